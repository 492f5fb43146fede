"""What pages ask of robots, and what a page job makes of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.stages.directives import Directives
from pipeline.stages.page import Page

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HTML = ("Content-Type", "text/html")


def asked(
    *headers: str, body: str = "", agent: str = "shopbot/2.0 (+https://me.example)", kind: str = "text/html"
) -> str:
    """`i` for noindex, `f` for nofollow."""
    fields = [("Content-Type", kind), *(("X-Robots-Tag", value) for value in headers)]
    page = Page("https://a.example/", 200, fields, body.encode())
    noindex, nofollow = Directives(agent).of(page, fields, NOW)
    return "i" * noindex + "f" * nofollow


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ([], ""),
        (["all"], ""),
        (["noindex"], "i"),
        (["NoFollow"], "f"),
        (["noindex, nofollow"], "if"),
        (["none"], "if"),
        (["noindex", "nofollow"], "if"),
        (["noarchive, max-snippet: 20, nofollow"], "f"),
        (["otherbot: noindex, nofollow"], ""),
        (["otherbot: noindex, shopbot: nofollow"], "f"),
        (["shopbot: none"], "if"),
        (["ShopBot: noindex"], "i"),
        (["*: noindex"], "i"),
        (["nofollow, otherbot: noindex"], "f"),
        (["unavailable_after: 25 Jun 2025 15:00:00 PST"], "i"),
        (["unavailable_after: Wed, 25 Jun 2025 15:00:00 GMT, nofollow"], "if"),
        (["unavailable_after: 2027-01-01"], ""),
        (["unavailable_after: some day"], ""),
        (["unavailable_after: 25 Jun 2025 15:00:00 PST  ,  max-snippet: 3"], "i"),
        ([f"unavailable_after: 2025-01-01{' ' * 60_000}, nofollow"], "if"),
        ([f"unavailable_after: x{' ' * 60_000}y"], ""),
        (["", ",", ":", "a:b:c"], ""),
    ],
)
def test_headers(headers: list[str], answer: str) -> None:
    assert asked(*headers) == answer
    assert asked(*headers, kind="application/json") == answer


@pytest.mark.parametrize(
    ("markup", "answer"),
    [
        ('<meta name="robots" content="noindex,nofollow">', "if"),
        ("<META CONTENT=none NAME=ROBOTS>", "if"),
        ("<meta content='nofollow' name='Robots'>", "f"),
        ('<meta name="robots" content="index, follow"><a rel="nofollow">', ""),
        ('<meta name="shopbot" content="noindex">', "i"),
        ('<meta name="googlebot" content="noindex">', ""),
        ('<meta name="robots" content="all"><meta name="shopbot" content="nofollow">', "f"),
        ('<meta name="robots" content="unavailable_after: 2025-01-01">', "i"),
        ('<!-- <meta name="robots" content="noindex"> -->', ""),
        ('<script>"<meta name=robots content=noindex>"</script>', ""),
        ('<meta name="description" content="none of the robots">', ""),
        ("<meta name=x content='robots'>" * 30 + '<meta name="robots" content="noindex">', "i"),
        (f"<style>{'x' * 9000}</style><meta name=robots content=noindex>", "i"),
    ],
)
def test_metas(markup: str, answer: str) -> None:
    assert asked(body=f"<html><head>{markup}</head><body class=robots>none noindex") == answer


def test_header_and_meta_count_together() -> None:
    assert asked("noindex", body="<head><meta name=robots content=nofollow></head><body>") == "if"
    assert asked(body='<meta name="robots" content="noindex">', kind="application/json") == ""
