"""What the memory folders of a sandbox may hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.sandbox import layout


@given(st.integers(min_value=64 * 1024**2, max_value=2**44))
def test_full_memory_folders_stay_below_a_quarter_of_the_memory(memory: int) -> None:
    folders = [size for _, _, size in layout.temporary_folders(memory)]
    assert sum(folders) + layout.shared_memory_size(memory) <= memory // 4
