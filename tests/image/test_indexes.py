from __future__ import annotations

from pathlib import Path

import pytest

from kernel_gateway.image.indexes import uv_index_settings


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose settings all lie in a folder of the test."""
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}


def translated(environment: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    home = Path(environment["HOME"])
    return uv_index_settings(environment, home / "prefix", home / "etc")


def settings(environment: dict[str, str]) -> dict[str, str]:
    return translated(environment)[0]


def write_pip_conf(environment: dict[str, str], text: str) -> None:
    Path(environment["HOME"], ".config", "pip", "pip.conf").write_text(text)


def test_pips_index_is_uvs_default_index(home: dict[str, str]) -> None:
    home["PIP_INDEX_URL"] = "http://127.0.0.1:1/simple"
    assert settings(home)["UV_DEFAULT_INDEX"] == "http://127.0.0.1:1/simple"


def test_the_environment_wins_over_pips_file(home: dict[str, str]) -> None:
    write_pip_conf(home, "[global]\nindex-url = http://127.0.0.1:1/file\n")
    home["PIP_INDEX_URL"] = "http://127.0.0.1:1/environment"
    assert settings(home)["UV_DEFAULT_INDEX"] == "http://127.0.0.1:1/environment"


def test_the_install_section_wins_over_the_global_one(home: dict[str, str]) -> None:
    write_pip_conf(
        home, "[install]\nindex-url = http://127.0.0.1:1/install\n[global]\nindex_url = http://127.0.0.1:1/global\n"
    )
    assert settings(home)["UV_DEFAULT_INDEX"] == "http://127.0.0.1:1/install"


def test_several_extra_indexes_are_asked_for_the_best_match_as_pip_does(home: dict[str, str]) -> None:
    write_pip_conf(home, "[global]\nextra-index-url =\n  file:///a\n  file:///b\n")
    assert settings(home)["UV_INDEX"] == "file:///a file:///b"
    assert settings(home)["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_folders_of_wheels_are_separated_by_commas_for_uv(home: dict[str, str]) -> None:
    home["PIP_FIND_LINKS"] = "/a /b"
    assert settings(home)["UV_FIND_LINKS"] == "/a,/b"


def test_uvs_own_variable_leaves_pips_settings_out(home: dict[str, str]) -> None:
    home |= {"PIP_FIND_LINKS": "/a", "UV_DEFAULT_INDEX": "http://127.0.0.1:1/uv"}
    assert settings(home) == {}


def test_uvs_own_file_leaves_pips_settings_out(home: dict[str, str]) -> None:
    home["PIP_FIND_LINKS"] = "/a"
    uv = Path(home["HOME"], ".config", "uv")
    uv.mkdir()
    (uv / "uv.toml").write_text('[[index]]\nurl = "http://127.0.0.1:1/uv"\n')
    assert settings(home) == {}


def test_a_uv_file_that_names_no_index_does_not_count(home: dict[str, str]) -> None:
    home["PIP_FIND_LINKS"] = "/a"
    uv = Path(home["HOME"], ".config", "uv")
    uv.mkdir()
    (uv / "uv.toml").write_text('link-mode = "copy"\n')
    assert settings(home) == {"UV_FIND_LINKS": "/a"}


def test_no_index_switched_off_is_not_handed_on(home: dict[str, str]) -> None:
    home["PIP_NO_INDEX"] = "0"
    assert translated(home) == ({}, [])


def test_no_index_is_an_option_of_uv(home: dict[str, str]) -> None:
    home["PIP_NO_INDEX"] = "1"
    assert translated(home)[1] == ["--no-index"]


def test_the_null_device_as_pips_file_means_no_files(home: dict[str, str]) -> None:
    write_pip_conf(home, "[global]\nfind-links = /a\n")
    home["PIP_CONFIG_FILE"] = "/dev/null"
    assert settings(home) == {}
