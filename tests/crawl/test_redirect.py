"""Redirects: method and body, what may not leave an origin, and refreshes written into a page."""

from __future__ import annotations

import base64
import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.redirect import SECRET_HEADERS, downgrade, meta_refresh, redirect, strip_credentials
from pipeline.model import Request
from pipeline.url import origin_of

CORPUS = Path(__file__).parents[3] / "shared/corpus/open/html_helpers"
needs_corpus = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of HTML helpers is not here")

# Refresh cases that we answer differently, and why.
DIFFERENT = {"w127": "the case switches off that noscript is skipped; we always skip it"}


def target(request: Request, status: int, location: str) -> Request:
    found = redirect(request, status, location)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("method", "status", "wanted", "body"),
    [
        ("POST", 301, "GET", False),
        ("POST", 302, "GET", False),
        ("POST", 303, "GET", False),
        ("POST", 307, "POST", True),
        ("POST", 308, "POST", True),
        ("PUT", 301, "PUT", True),
        ("PUT", 302, "PUT", True),
        ("PUT", 303, "GET", False),
        ("DELETE", 303, "GET", False),
        ("GET", 301, "GET", True),
        ("GET", 303, "GET", True),
        ("HEAD", 301, "HEAD", True),
        ("HEAD", 303, "HEAD", True),
        ("HEAD", 307, "HEAD", True),
    ],
)
def test_method_and_body(method: str, status: int, wanted: str, body: bool) -> None:
    headers = {"Content-Type": "text/plain", "content-LENGTH": "1", "Content-Encoding": "br", "Accept": "*/*"}
    found = target(Request("https://a.example/x", method=method, body=b"b", headers=headers), status, "/y")
    assert found.method == wanted
    assert found.body == (b"b" if body else None)
    assert found.headers == (headers if body else {"Accept": "*/*"})


def test_the_target_carries_on_what_the_request_was_for() -> None:
    asked = Request(
        "https://a.example/x/y?z",
        page="product",
        carry={"rating": 5},
        priority=7,
        depth=3,
        seed=True,
        parent="https://a.example/",
        hops=("https://a.example/0",),
        rule_limit=("listing.0", 5),
    )
    found = target(asked, 302, "../w#part")
    assert found == Request(
        "https://a.example/w",
        page="product",
        carry={"rating": 5},
        priority=7,
        depth=3,
        seed=False,
        at_seed=True,
        parent="https://a.example/x/y?z",
        hops=("https://a.example/0", "https://a.example/x/y?z"),
    )
    assert asked.seed
    assert asked.hops == ("https://a.example/0",)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/y", "https://a.example/y"),
        ("y?q#f", "https://a.example/x/y?q"),
        ("//b.example", "https://b.example/"),
        ("HTTPS://B.Example:443/", "https://b.example/"),
        ("?q", "https://a.example/x/?q"),
        ("  /y \t", "https://a.example/y"),
        ("/\xc3\xbc", "https://a.example/%C3%BC"),  # UTF-8 bytes, read as latin-1 by the header parser
        ("/\xfc", "https://a.example/%C3%BC"),
        ("file:///etc/passwd", "file:///etc/passwd"),  # for the gate to refuse
        ("javascript:x://a:b", "javascript:x://a:b"),
        ("", None),
        ("https://", None),
        ("https://[::g]/", None),
        ("https://a b.example/", None),
    ],
)
def test_where_it_leads(location: str, url: str | None) -> None:
    found = redirect(Request("https://a.example/x/"), 302, location)
    assert (found and found.url) == url


@pytest.mark.parametrize("status", [200, 300, 304, 305, 306, 404])
def test_other_statuses_lead_nowhere(status: int) -> None:
    assert redirect(Request("https://a.example/"), status, "/y") is None


HOME = "https://a.example/"
ELSEWHERE = {
    "scheme": "http://a.example/",
    "host": "https://b.example/",
    "port": "https://a.example:8443/",
    "sub-domain": "https://www.a.example/",
    "domain above": "https://example/",
    "home": "https://a.example:443/other",
}
SECRETS = ["Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key"]


@pytest.mark.parametrize("where", ELSEWHERE)
@pytest.mark.parametrize("secret", SECRETS)
def test_credentials_stay_within_their_origin(where: str, secret: str) -> None:
    headers = {secret: "1", secret.upper(): "2", secret.lower(): "3", "Accept": "*/*", "Referer": HOME}
    there = origin_of(ELSEWHERE[where].replace(":443", ""))
    kept = strip_credentials(headers, origin_of(HOME), there, SECRET_HEADERS)
    assert kept == (headers if where == "home" else {"Accept": "*/*", "Referer": HOME})


@pytest.mark.parametrize("secret", SECRETS)
def test_credentials_do_not_come_back(secret: str) -> None:
    away = target(Request(HOME, headers={secret: "1", "Accept": "*/*"}), 302, "https://b.example/")
    back = target(away, 302, HOME)
    assert away.headers == back.headers == {"Accept": "*/*"}


def test_further_secret_names_and_a_hand_set_host() -> None:
    asked = Request(HOME, headers={"X-My-Token": "1", "Host": "a.example", "Accept": "*/*"})
    found = redirect(asked, 302, "https://b.example/", secret_names={*SECRET_HEADERS, "X-MY-token"})
    assert found is not None
    assert found.headers == {"Accept": "*/*"}


@pytest.mark.parametrize("secret", SECRETS)
def test_no_downgrade_with_credentials(secret: str) -> None:
    asked = Request(HOME, headers={secret.lower(): "hush"})
    assert redirect(asked, 302, "http://a.example/") is None
    refused = downgrade(asked, "http://a.example/")
    assert refused is not None
    assert refused.rejected == "rejected:scheme"
    assert "hush" not in str(refused)


def test_a_downgrade_without_credentials_is_followed() -> None:
    assert target(Request(HOME), 301, "http://a.example/").url == "http://a.example/"
    assert target(Request("http://a.example/", headers={"Cookie": "a"}), 301, "/y").headers == {"Cookie": "a"}


@given(st.text(max_size=60), st.sampled_from([301, 302, 303, 307, 308, 200]), st.sampled_from(["GET", "POST", "PUT"]))
def test_any_location_is_answered(location: str, status: int, method: str) -> None:
    asked = Request(HOME, method=method, headers={"Authorization": "x"})
    found = redirect(asked, status, location)
    if found is not None:
        assert found.hops == (HOME,)
        assert "#" not in found.url
        same = found.url.startswith(HOME)
        assert ("Authorization" in found.headers) is same


def lines(name: str) -> list[dict[str, Any]]:
    path = CORPUS / name
    if not path.exists():
        return []
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return [json.loads(line) for line in text.splitlines()]


def text_of(value: Any) -> str:
    return base64.b64decode(value["b64"]).decode() if isinstance(value, dict) else str(value)


@needs_corpus
def test_corpus_of_refreshes() -> None:
    cases = [case for case in lines("w3lib_html.jsonl") if case["func"] == "get_meta_refresh"]
    wrong = []
    for case in cases:
        found = meta_refresh(text_of(case["args"][0]), case["args"][1])
        if found != (tuple(case["expected"]) if case["expected"][1] else None):
            wrong.append(case["id"])
    assert len(cases) == 14
    assert wrong == list(DIFFERENT)


@needs_corpus
@pytest.mark.parametrize("case", lines("w3lib_redos.jsonl.gz"), ids=lambda case: case["id"])
def test_no_page_takes_long(case: dict[str, Any]) -> None:
    start = time.process_time()
    assert meta_refresh(text_of(case["args"][0]) + "refresh", "http://example.com/") is None
    assert meta_refresh("refresh" + text_of(case["args"][0]), "http://example.com/") is None
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<meta http-equiv=refresh content="0;url=/y#f">', (0.0, "https://a.example/y")),
        ('<meta http-equiv="REFRESH" content="2; URL=\'b c\'">', (2.0, "https://a.example/x/b%20c")),
        ('<meta http-equiv=refresh content="0;url=javascript:alert(1)">', None),
        ('<meta http-equiv=refresh content="0;url=file:///etc/passwd">', None),
        ('<meta http-equiv=refresh content="0;url=http://[::g]/">', None),
        ('<meta http-equiv=refresh content="30">', None),
        (" " * 70_000 + '<meta http-equiv=refresh content="0;url=/y">', None),
        ("", None),
    ],
)
def test_refreshes(html: str, found: tuple[float, str] | None) -> None:
    assert meta_refresh(html, "https://a.example/x/") == found


@given(st.text(max_size=80), st.text(max_size=20))
def test_refreshes_never_raise(content: str, tail: str) -> None:
    found = meta_refresh(f'<meta http-equiv=refresh content="0;url={content}">{tail}', "https://a.example/")
    assert found is None or found[1].startswith(("http://", "https://"))
