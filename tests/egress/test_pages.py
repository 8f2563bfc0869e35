from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.egress.pages import HTML_TYPE, JSON_TYPE, BadPage, read_simple, rewrite_npm, write_simple

BASE = "https://index.example.com/simple/thing/"
PAGE = """<!DOCTYPE html><html><head><base href="https://files.example.com/a/"></head><body>
<a href="../thing-1.0-py3-none-any.whl#sha256=00ff" data-requires-python="&gt;=3.8" data-core-metadata="sha256=11">thing</a>
<a href="thing-0.9.tar.gz" data-yanked="broken">thing-0.9.tar.gz</a>
</body></html>"""


def ours(url: str) -> str:
    return "http://127.0.0.1/" + url.rpartition("/")[2]


def test_links_of_a_page_are_read_with_all_that_pip_needs_of_them() -> None:
    wheel, source = read_simple(PAGE.encode(), "text/html; charset=utf-8", BASE)
    assert (
        wheel.url == "https://files.example.com/thing-1.0-py3-none-any.whl"
        and wheel.name == "thing-1.0-py3-none-any.whl"
    )
    assert (wheel.hashes, wheel.requires_python, wheel.metadata) == ({"sha256": "00ff"}, ">=3.8", {"sha256": "11"})
    assert (source.url, source.yanked, source.metadata) == (
        "https://files.example.com/a/thing-0.9.tar.gz",
        "broken",
        None,
    )


@pytest.mark.parametrize("as_json", [True, False])
def test_a_page_that_was_written_reads_the_same_but_for_the_addresses(as_json: bool) -> None:
    links = read_simple(PAGE.encode(), HTML_TYPE, BASE)
    again = read_simple(write_simple("thing", links, ours, as_json=as_json), JSON_TYPE if as_json else HTML_TYPE, BASE)
    assert [ours(link.url) for link in links] == [link.url for link in again]
    for name in ("name", "hashes", "requires_python", "yanked", "metadata"):
        assert [getattr(link, name) for link in links] == [getattr(link, name) for link in again]


@given(st.text(), st.text())
def test_no_text_of_an_index_becomes_markup(name: str, reason: str) -> None:
    body = json.dumps(
        {"files": [{"filename": "a-1.tar.gz", "url": "a-1.tar.gz", "yanked": reason, "requires-python": name}]}
    )
    page = write_simple("a", read_simple(body.encode(), JSON_TYPE, BASE), ours, as_json=False).decode(
        "utf-8", "replace"
    )
    assert page.count("<a ") == 1 and "<script" not in page


def test_names_of_files_that_are_none_are_left_out() -> None:
    body = json.dumps({"files": [{"filename": "../../x", "url": "x"}, {"filename": "a-1.tar.gz", "url": "y"}]})
    assert [link.name for link in read_simple(body.encode(), JSON_TYPE, BASE)] == ["a-1.tar.gz"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"files": [1]}', b'{"files": [{"filename": "a"}]}', b"\xff"])
def test_what_is_no_page_is_told(body: bytes) -> None:
    with pytest.raises(BadPage):
        read_simple(body, JSON_TYPE, BASE)


def test_npms_tarballs_are_turned_and_all_else_stays() -> None:
    document = {
        "name": "thing",
        "versions": {"1.0.0": {"dist": {"tarball": "https://x/thing-1.0.0.tgz", "integrity": "i"}}},
    }
    found = json.loads(rewrite_npm(json.dumps(document).encode(), ours))
    assert found["versions"]["1.0.0"]["dist"] == {"tarball": "http://127.0.0.1/thing-1.0.0.tgz", "integrity": "i"}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"versions": []}', b'{"versions": {"1": 1}}'])
def test_what_is_no_metadata_is_told(body: bytes) -> None:
    with pytest.raises(BadPage):
        rewrite_npm(body, ours)
