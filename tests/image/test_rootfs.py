"""Which packages go into the root file system of containers, and what is said where it cannot be made."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel_gateway.errors import BadRequest, ImageUnavailable
from kernel_gateway.image import apt_sources, base, rootfs

DEB822 = """\
# the release
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://other.example/linux
Suites: bookworm
Components: stable

Types: deb
URIs: https://more.example/apt
Suites: bookworm-pgdg
Components: main

Enabled: no
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm
Components: main
"""
LISTED = """\
deb http://mirror.example/debian bookworm main contrib # the release
deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian-security bookworm-security main
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64] https://other.example/linux bookworm stable
deb http://mirror.example/debian trixie main
# deb http://mirror.example/debian bookworm main
deb
"""


def test_only_the_releases_own_stanzas_are_taken() -> None:
    (stanza,) = apt_sources.deb822(DEB822, "bookworm")
    assert "Suites: bookworm bookworm-updates" in stanza and "mirror.example" in stanza


def test_only_the_releases_own_lines_are_taken() -> None:
    first, second = apt_sources.one_line(LISTED, "bookworm")
    assert first == "deb http://mirror.example/debian bookworm main contrib"
    assert second.endswith("debian-security bookworm-security main")


def test_without_mmdebstrap_the_command_that_installs_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("apt-get", "dpkg"):
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageUnavailable, match="sudo apt-get install -y mmdebstrap"):
        rootfs.build(tmp_path)


def test_elsewhere_than_on_debian_another_way_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageUnavailable, match="--engine bubblewrap"):
        rootfs.build(tmp_path)


def test_bubblewrap_needs_no_root_file_system() -> None:
    with pytest.raises(BadRequest, match="no container engine"):
        base.build_base("bubblewrap")
