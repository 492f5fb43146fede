"""How a run treats hosts: robots.txt, Retry-After, cookies, auth, codings, meta refresh. Whole runs."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline import run

CONFIG = """
name: polite
seeds: [{url}/]
fetch:
  retry: {{base: 20ms}}
  {fetch}
pages:
  all:
    items: [{{fields: {{title: h1}}}}]
    follow: [a]
store: [{{jsonl: out.jsonl}}]
"""


def prepare(site: Any, folder: Path, *, fetch: str = "", pages: int = 3) -> None:
    site.page("/", "<h1>home</h1>" + "".join(f"<a href=/{number}>x</a>" for number in range(1, pages + 1)))
    for number in range(1, pages + 1):
        site.page(f"/{number}", f"<h1>{number}</h1>")
    (folder / "polite.yaml").write_text(CONFIG.format(url=site.url, fetch=fetch))


def outcome(folder: Path, **overrides: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of a run; `fetch__max_body="1KiB"` overrides fetch.max_body."""
    summary = run(folder / "polite.yaml", overrides={k.replace("__", "."): v for k, v in overrides.items()}).summary
    return summary.exit_code, msgspec.to_builtins(summary)


def robots(site: Any, text: str, status: int = 200, **headers: str) -> None:
    site.pages["/robots.txt"] = (status, headers, text)


# --- robots.txt ------------------------------------------------------------------------------------------------------


def test_robots_is_asked_for_once_before_the_first_page_and_kept_to(site: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path)
    robots(site, "User-agent: *\nDisallow: /2\n")
    code, report = outcome(tmp_path)
    assert code == 0
    assert [path for path, _ in site.seen].count("/robots.txt") == 1 and site.seen[0][0] == "/robots.txt"
    assert sorted(site.log) == ["GET /", "GET /1", "GET /3"]
    assert report["fates"] == {"fetched": 3, "rejected:robots": 1}
    assert report["robots_requests"] == 1 and report["requests"] == 3
    told = next(problem for problem in report["problems"] if problem["fate"] == "rejected:robots")
    assert told["url"] == f"{site.url}/2" and "line 2" in told["detail"] and "/2" in told["detail"]


def test_the_group_of_our_own_agent_counts(site: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path, fetch='user_agent: "shopbot/2.0 (+https://me.example)"')
    robots(site, "User-agent: shopbot\nDisallow: /1\n\nUser-agent: *\nDisallow: /\n")
    _, report = outcome(tmp_path)
    assert report["fates"] == {"fetched": 3, "rejected:robots": 1}
    assert {headers["User-Agent"] for _, headers in site.seen} == {"shopbot/2.0 (+https://me.example)"}


ROBOTS = [
    (403, {}, 0),
    (404, {}, 0),
    (503, {}, 4),
    (302, {"Location": "/elsewhere.txt"}, 4),  # which forbids everything
    (302, {"Location": "/robots.txt"}, 0),  # more than five redirects: there are no rules
]


@pytest.mark.parametrize(("status", "headers", "code"), ROBOTS)
def test_what_a_failing_robots_means(
    site: Any, tmp_path: Path, status: int, headers: dict[str, str], code: int
) -> None:
    prepare(site, tmp_path)
    robots(site, "User-agent: *\nDisallow: /\n", status, **headers)
    site.pages["/elsewhere.txt"] = (200, {}, "User-agent: *\nDisallow: /\n")
    got, report = outcome(tmp_path)
    assert got == code
    assert report["fates"] == ({"fetched": 4} if code == 0 else {"rejected:robots": 1})
    assert ("GET /" in site.log) is (code == 0)


def test_robots_that_fails_once_is_asked_for_again(site: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path)
    site.pages["/robots.txt"] = [(503, {}, "later"), (200, {}, "User-agent: *\nDisallow: /3\n")]
    _, report = outcome(tmp_path)
    assert report["fates"] == {"fetched": 3, "rejected:robots": 1}


@pytest.mark.parametrize("status", [429, 503])
def test_robots_that_asks_for_quiet_pauses_the_host_and_uses_no_attempt(site: Any, tmp_path: Path, status: int) -> None:
    prepare(site, tmp_path)
    busy = (status, {"Retry-After": "1"}, "later")
    site.pages["/robots.txt"] = [busy, busy, (200, {}, "")]
    begin = time.monotonic()
    code, report = outcome(tmp_path, fetch__retry__attempts="1")
    assert code == 0 and report["fates"] == {"fetched": 4} and report["robots_requests"] == 3
    assert time.monotonic() - begin >= 2.0


@pytest.mark.parametrize("had", [False, True])
def test_a_host_that_asks_for_too_much_at_robots_is_left_to_the_next_run(site: Any, tmp_path: Path, had: bool) -> None:
    """Whether or not there is a copy from before: that says what may be asked for, not that it may be asked now."""
    prepare(site, tmp_path)
    if had:
        robots(site, "User-agent: *\nDisallow: /2\n")
        assert outcome(tmp_path)[0] == 0
    site.log.clear()
    robots(site, "", 429, **{"Retry-After": "5000"})
    begin = time.monotonic()
    code, report = outcome(tmp_path, fetch__retry_after__max="3s")
    assert code == 4 and report["fates"] == {"deferred:retry_after": 1} and report["robots_requests"] == 1
    assert time.monotonic() - begin < 10 and site.log == []
    assert "for robots.txt" in report["problems"][0]["detail"]
    robots(site, "")
    code, report = outcome(tmp_path)
    assert code == 0 and "GET /3" in site.log


def test_robots_elsewhere_that_policy_refuses_allows_nothing(
    site: Any, serve: Callable[[], Any], tmp_path: Path
) -> None:
    prepare(site, tmp_path)
    inner = serve()
    robots(site, "", 302, Location=f"{inner.url}/robots.txt")
    code, report = outcome(tmp_path)
    assert code == 4 and report["fates"] == {"rejected:robots": 1} and report["robots_requests"] == 1
    assert site.log == [] and inner.seen == []
    assert "may not be asked for" in report["problems"][0]["detail"]


def test_robots_can_be_left_alone(site: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path, fetch="robots: {obey: false}")
    robots(site, "User-agent: *\nDisallow: /\n")
    _, report = outcome(tmp_path)
    assert report["fates"] == {"fetched": 4}
    assert site.asked("/robots.txt") == []


def test_a_server_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "polite.yaml").write_text(CONFIG.format(url="http://127.0.0.1:1", fetch=""))
    code, report = outcome(tmp_path)
    assert code == 4 and report["fates"] == {"failed:connect": 1}


def test_crawl_delay_is_kept_to_up_to_its_cap(site: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path, pages=2)
    robots(site, "User-agent: *\nCrawl-delay: 0.3\n")
    begin = time.monotonic()
    assert outcome(tmp_path)[0] == 0
    assert time.monotonic() - begin >= 2 * 0.3
    robots(site, "User-agent: *\nCrawl-delay: 61\n")
    code, report = outcome(tmp_path)
    assert code == 4 and report["fates"] == {"rejected:robots": 1}
    assert "Crawl-delay of 61 s" in report["problems"][0]["detail"]


# --- Retry-After -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_429_pauses_the_host_and_uses_no_attempt(site: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path)
    busy = (429, {"Retry-After": "0"}, "slow down")
    site.pages["/1"] = [busy] * 5 + [site.pages["/1"]]
    code, report = outcome(tmp_path, fetch__retry__attempts="1")
    assert code == 0 and report["fates"] == {"fetched": 4}
    assert len(site.asked("/1")) == 6


def test_a_host_that_asks_for_too_much_is_left_to_the_next_run(site: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path)
    site.page("/2", "<h1>busy</h1>", status=503, Retry_After="3600")
    code, report = outcome(tmp_path, fetch__per_host__concurrency="1")
    assert report["fates"] == {"fetched": 2, "deferred:retry_after": 2}
    assert code == 0 and len(site.asked("/2")) == 1


def test_503_without_retry_after_is_an_ordinary_failure(site: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path)
    site.page("/2", "<h1>busy</h1>", status=503)
    _, report = outcome(tmp_path)
    assert report["fates"] == {"fetched": 3, "failed:http_503": 1}
    assert len(site.asked("/2")) == 3


# --- cookies, auth, headers ------------------------------------------------------------------------------------------


def cookie_wall(site: Any) -> None:
    def wall(headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        if "seen=1" in headers.get("Cookie", ""):
            return 200, {"Content-Type": "text/html"}, "<h1>inside</h1>"
        return 302, {"Location": "/", "Set-Cookie": "seen=1; Path=/"}, ""

    site.pages["/"] = wall


def test_a_cookie_wall_lets_us_in(site: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path)
    cookie_wall(site)
    code, report = outcome(tmp_path)
    assert code == 0 and report["fates"] == {"fetched": 1}
    assert len(site.asked("/")) == 2


def test_a_cookie_wall_over_another_page_lets_us_in(site: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path)
    cookie_wall(site)
    inside = site.pages["/"]
    site.pages["/"] = lambda headers: inside(headers) if "Cookie" in headers else (302, {"Location": "/set"}, "")
    site.page("/set", "", status=302, Location="/", Set_Cookie="seen=1; Path=/")
    code, report = outcome(tmp_path)
    assert code == 0 and report["fates"] == {"fetched": 1, "redirected": 1}
    assert report["discovered"] == 2


def test_without_cookies_the_wall_is_a_loop(site: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path, fetch="cookies: false")
    cookie_wall(site)
    code, report = outcome(tmp_path)
    assert code == 4 and report["fates"] == {"failed:http_302": 1}
    assert "redirect loop" in report["problems"][0]["detail"]


def test_auth_and_headers_go_to_their_origin_only(
    site: Any, serve: Callable[[], Any], hookline: Any, tmp_path: Path
) -> None:
    prepare(
        site,
        tmp_path,
        fetch=f'auth: {{"{site.url}": {{basic: "me:${{PW}}"}}}}\n'
        '  headers: {X-Team: one, X-Api-Key: "${PW}"}\n  private_networks: allow',
    )
    other = serve()
    other.page("/x", "<h1>other</h1>")
    site.page("/1", "", status=302, Location=f"{other.url}/x")
    config = (tmp_path / "polite.yaml").read_text() + "scope: {allow_domains: [127.0.0.1]}\n"
    (tmp_path / "polite.yaml").write_text(config)
    done = hookline("run", "polite.yaml", "--report", "report.json", env={"PW": "geheim"})
    assert done.returncode == 0, done.stderr
    assert site.asked("/2")[0]["Authorization"] == "Basic bWU6Z2VoZWlt"
    assert site.asked("/2")[0]["X-Api-Key"] == "geheim"
    for headers in [*(headers for _, headers in other.seen), site.asked("/robots.txt")[0]]:
        assert "Authorization" not in headers and "X-Api-Key" not in headers
    assert other.asked("/x")[0]["X-Team"] == "one"
    assert "geheim" not in (tmp_path / "report.json").read_text()


# --- bodies ----------------------------------------------------------------------------------------------------------


def test_coded_bodies_are_decoded_and_broken_ones_fail(site: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path)
    whole = gzip.compress(b"<h1>packed</h1>")
    site.pages["/1"] = (200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, whole)
    site.pages["/2"] = (200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, whole[:-12])
    site.pages["/3"] = (200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, gzip.compress(b"x" * 2**20))
    _, report = outcome(tmp_path, fetch__max_body="100KiB")
    assert report["fates"] == {"fetched": 2, "failed:decode": 1, "failed:too_large": 1}
    assert report["plugins"].get("", None) is None
    assert site.asked("/1")[0]["Accept-Encoding"] == "gzip, deflate, br, zstd"


def test_what_is_gone_is_so_whatever_its_body(site: Any, hookline: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path, fetch="max_body: 1KiB")
    coded = {"Content-Encoding": "gzip"}
    site.pages["/1"], site.pages["/2"] = (404, {}, "x" * 2000), (410, coded, "no gzip")
    site.pages["/3"] = (500, {}, "x" * 2000)
    _, report = outcome(tmp_path)
    assert report["fates"] == {"fetched": 1, "gone": 2, "failed:too_large": 1}
    urls = [f"{site.url}/{number}" for number in (1, 2, 3)]
    told = hookline("fetch", "--json", "--config", "polite.yaml", *urls).stdout.splitlines()
    rows = [msgspec.json.decode(line) for line in told]
    assert [row["outcome"] for row in rows] == ["gone", "gone", "failed:too_large"]
    assert [row["body_b64"] for row in rows] == [None] * 3


def test_meta_refresh_of_a_page_that_gives_nothing_else_is_a_redirect(site: Any, tmp_path: Path) -> None:
    prepare(site, tmp_path)
    site.page("/1", '<meta http-equiv=refresh content="0; url=/target">')
    site.page("/target", "<h1>target</h1>")
    site.page("/2", '<h1>a page of its own</h1><meta http-equiv=refresh content="0; url=/never">')
    site.page("/3", '<meta http-equiv=refresh content="600; url=/later">')
    _, report = outcome(tmp_path)
    assert report["fates"] == {"fetched": 4, "redirected": 1}
    assert not site.asked("/never") and not site.asked("/later")


def test_fetch_takes_a_cookie_wall_and_decodes(site: Any, hookline: Any) -> None:
    cookie_wall(site)
    site.pages["/zip"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(b"packed"))
    assert hookline("fetch", f"{site.url}/").stdout == "<h1>inside</h1>"
    assert hookline("fetch", f"{site.url}/zip").stdout == "packed"
