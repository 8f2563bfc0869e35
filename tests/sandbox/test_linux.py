"""Linux calls of our own."""

from __future__ import annotations

import os
import resource

from kernel_gateway.sandbox.linux import is_readable


def test_a_descriptor_of_a_process_with_many_is_waited_for() -> None:
    """select() takes none above 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2100)), hard))
    reader, writer = os.pipe()
    try:
        os.dup2(reader, 2000)
        assert not is_readable(2000)
        os.write(writer, b"x")
        assert is_readable(2000)
    finally:
        for fd in (reader, writer, 2000):
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
