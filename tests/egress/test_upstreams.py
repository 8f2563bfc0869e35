from __future__ import annotations

import base64
from pathlib import Path

from kernel_gateway.egress.upstreams import (
    Npm,
    Upstream,
    network_environment,
    npm_from_settings,
    npm_upstreams,
    origin_of,
    pip_upstreams,
)


def test_pips_indexes_come_in_its_order_with_its_certificates(tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "https://user:p%40ss@index.example.com/simple",
        "PIP_EXTRA_INDEX_URL": "file:///folder/simple https://extra.example.com/",
        "PIP_FIND_LINKS": "/wheels",
        "PIP_CERT": "/ca.pem",
        "PIP_TRUSTED_HOST": "extra.example.com",
    }
    first, second, third = pip_upstreams(environ, tmp_path)
    assert first.url == "https://index.example.com/simple/" and first.cafile == "/ca.pem" and first.is_verified
    assert first.authorization == "Basic " + base64.b64encode(b"user:p@ss").decode()
    assert (second.url, third.url) == ("file:///folder/simple/", "https://extra.example.com/")
    assert not third.is_verified and third.authorization is None


def test_without_settings_the_index_is_the_one_that_pips_own_source_names(tmp_path: Path) -> None:
    models = tmp_path / "python/lib/python3.11/site-packages/pip/_internal/models"
    models.mkdir(parents=True)
    (models / "index.py").write_text('PyPI = PackageIndex("https://default.example.com/", file_storage_domain="x")\n')
    (found,) = pip_upstreams({"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}, tmp_path)
    assert found.url.startswith("https://") and found.url.endswith("/simple/")


def test_where_pip_must_use_no_index_there_is_none(tmp_path: Path) -> None:
    assert pip_upstreams({"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1"}, tmp_path) == []


def test_npms_registries_scopes_and_tokens(tmp_path: Path) -> None:
    npmrc = tmp_path / ".npmrc"
    npmrc.write_text("//npm.example.com/:_authToken=tok\n//corp.example.com/npm/:_auth=dXNlcjpw\n; a comment\n")
    found = npm_from_settings(
        {
            "registry": "https://npm.example.com/",
            "@corp:registry": "https://corp.example.com/npm/",
            "@open:registry": "https://open.example.com",
            "userconfig": str(npmrc),
            "cafile": "/ca.pem",
            "https-proxy": "http://proxy.example.com:8080",
        }
    )
    assert found.default.authorization == "Bearer tok" and found.default.cafile == "/ca.pem"
    assert found.for_package("@corp/thing").authorization == "Basic dXNlcjpw"
    assert found.for_package("@open/thing").authorization is None
    assert found.for_package("@other/thing") == found.for_package("thing") == found.default
    assert found.default.proxy == "http://proxy.example.com:8080"
    assert Npm.from_json(found.to_json()) == found


async def test_npm_itself_is_asked(tmp_path: Path) -> None:
    command = tmp_path / "bin" / "npm"
    command.parent.mkdir()
    command.write_text('#!/bin/sh\necho \'{"registry": "https://npm.example.com/"}\'\n')
    command.chmod(0o755)
    found = await npm_upstreams({"PATH": f"{command.parent}:/usr/bin:/bin"}, tmp_path)
    assert found is not None and found.default == Upstream("https://npm.example.com/")


async def test_an_npm_that_fails_is_no_registry(tmp_path: Path) -> None:
    command = tmp_path / "npm"
    command.write_text("#!/bin/sh\nexit 1\n")
    command.chmod(0o755)
    assert await npm_upstreams({"PATH": f"{tmp_path}:/usr/bin:/bin"}, tmp_path) is None
    assert await npm_upstreams({"PATH": str(tmp_path / "nothing")}, tmp_path) is None


def test_credentials_stay_with_one_origin() -> None:
    assert origin_of("https://a.example.com/x") == origin_of("https://A.example.com:443/y")
    assert origin_of("https://a.example.com/") != origin_of("http://a.example.com/")


def test_of_the_environment_only_what_concerns_the_network_is_passed_on() -> None:
    environ = {
        "ANTHROPIC_API_KEY": "k",
        "PIP_INDEX_URL": "u",
        "npm_config_registry": "r",
        "https_proxy": "p",
        "HOME": "h",
    }
    assert network_environment(environ) == {"PIP_INDEX_URL": "u", "npm_config_registry": "r", "https_proxy": "p"}
