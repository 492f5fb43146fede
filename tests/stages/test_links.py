"""Where references lead, and that remembering it makes no difference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Links, PageResult, Request
from pipeline.packing import pack
from pipeline.stages import links
from pipeline.stages.links import PageLinks, RuleBook
from pipeline.url import join

PIECES = st.sampled_from(
    ["http:", "https:", "HTTP:", "/", "//", "\\", "?", "#", "..", ".", "a", "b.c", ":", "@", "x y", "\t", " ", "ü"]
)
BASE = ("https://a.example/x/y", "http://b.example:81/x")
TEXTS = st.lists(PIECES, max_size=7).map("".join) | st.text(max_size=20)
BASES = st.builds(
    "{}{}".format, st.sampled_from(["https://a.example", "http://b.example:81/x", "file:///x", ""]), TEXTS
)


@given(st.lists(BASES, min_size=1, max_size=4), st.lists(TEXTS, min_size=1, max_size=4))
def test_what_was_asked_before_makes_no_difference(bases: list[str], references: list[str]) -> None:
    book = RuleBook({"all": {"match": None}})
    for _ in range(2):
        for base in bases:
            page = PageLinks(book, base)
            for reference in references:
                result = PageResult()
                page.enter([Request(reference)], result)
                found = page.absolute([Request(reference)], PageResult())
                expected = join(base, reference)
                assert [request.url for request in found] == ([] if expected is None else [expected])
                assert (len(result.links), result.bad_links) == ((0, 1) if expected is None else (1, 0))


@given(st.lists(TEXTS, max_size=5), st.sampled_from([None, "list", "rest"]), st.sampled_from(BASE))
def test_links_are_a_request_each(references: list[str], rule: str | None, base: str) -> None:
    found = []
    for requests in [Links(references, rule)], [Request(reference, page=rule) for reference in references]:
        result = PageResult()
        PageLinks(RuleBook({"list": {"match": "/x/**"}, "rest": {"match": None}}), base).enter(requests, result)
        found.append((pack(result), result.links_found, result.bad_links))
    assert found[0] == found[1]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "KEPT", 100)
    book = RuleBook({"all": {"match": None}})
    for number in range(350):
        PageLinks(book, f"https://a.example/{number % 30}/").enter([Request(f"page{number}")], PageResult())
        assert sum(map(len, book._folders.values())) <= 100
    assert book._folders
