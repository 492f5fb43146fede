"""Validators: which answers have them, what is sent, what a 304 makes of them."""

from __future__ import annotations

import pytest

from pipeline.crawl.conditional import Validators, ask_with, refreshed, validators_of
from pipeline.model import Headers, Request

DATE = "Thu, 01 Jan 2026 00:00:00 GMT"

ANSWERS: list[tuple[Headers, tuple[str | None, str | None]]] = [
    ([], (None, None)),
    ([("ETag", '"a"')], ('"a"', None)),
    ([("etag", ' W/"a" ')], ('W/"a"', None)),
    ([("ETag", "unquoted")], ("unquoted", None)),  # against the grammar, and sent by many: it comes back as it was
    ([("Last-Modified", DATE)], (None, DATE)),
    ([("Last-Modified", "yesterday")], (None, "yesterday")),
    ([("ETag", '"a"'), ("Last-Modified", DATE)], ('"a"', DATE)),
    ([("ETag", '"a"'), ("ETag", '"b"')], ('"a"', None)),
    ([("ETag", ""), ("Last-Modified", "  ")], (None, None)),
    ([("ETag", '"' + "x" * 1023 + '"')], (None, None)),
    ([("ETag", '"a\x01"'), ("Last-Modified", "a\r\nX: y")], (None, None)),
    ([("Last-Modified", DATE), ("Vary", "Accept-Encoding")], (None, DATE)),
    ([("Last-Modified", DATE), ("Vary", "accept-encoding , COOKIE")], (None, None)),
    ([("Last-Modified", DATE), ("Vary", "x"), ("vary", "Authorization")], (None, None)),
    ([("ETag", '"a"'), ("Last-Modified", DATE), ("Vary", "*")], ('"a"', None)),
]


@pytest.mark.parametrize(("headers", "expected"), ANSWERS)
def test_validators(headers: Headers, expected: tuple[str | None, str | None]) -> None:
    found = validators_of(headers)
    assert found == expected
    assert bool(found) is (expected != (None, None))


BOTH = Validators('"a"', DATE)
REQUESTS: list[tuple[Request, Validators, dict[str, str] | None]] = [
    (Request("http://a/"), BOTH, {"If-None-Match": '"a"', "If-Modified-Since": DATE}),
    (Request("http://a/", method="HEAD"), Validators('"a"', None), {"If-None-Match": '"a"'}),
    (Request("http://a/"), Validators(None, DATE), {"If-Modified-Since": DATE}),
    (Request("http://a/", headers={"X": "y"}), Validators(None, DATE), {"X": "y", "If-Modified-Since": DATE}),
    (Request("http://a/"), Validators(None, None), None),
    (Request("http://a/", method="POST", body=b"x"), BOTH, None),
    (Request("http://a/", headers={"if-none-match": "mine"}), BOTH, None),
    (Request("http://a/", headers={"If-Modified-Since": "mine"}), BOTH, None),
    (Request("http://a/", headers={"Range": "bytes=0-9"}), BOTH, None),
]


@pytest.mark.parametrize(("request_", "validators", "expected"), REQUESTS)
def test_what_is_asked_with(request_: Request, validators: Validators, expected: dict[str, str] | None) -> None:
    before = dict(request_.headers)
    request_.headers = dict(before)
    assert ask_with(request_, validators) is (expected is not None)
    assert request_.headers == (before if expected is None else expected)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], BOTH),
        ([("ETag", '"b"')], Validators('"b"', DATE)),
        ([("Last-Modified", "now")], Validators('"a"', "now")),
        ([("ETag", '"b"'), ("Last-Modified", "now")], Validators('"b"', "now")),
        ([("ETag", "\x00")], BOTH),
    ],
)
def test_what_a_304_says_is_taken_and_the_rest_stays(headers: Headers, expected: Validators) -> None:
    assert refreshed(BOTH, headers) == expected
