"""A good citizen: what hosts allow is kept to in every window, outages cost nothing, traps end, deferred comes first.

Whole runs on loopback, with delays in hundredths; what was asked is read from the log of the server.
"""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline import run
from pipeline.fetch.cares import CaresResolver
from pipeline.runner import fetching
from tests.fetch.test_cares import NXDOMAIN, SERVFAIL, A, parse, reply, v4

CONFIG = """
name: citizen
seeds: [{seeds}]
fetch:
  retry: {{base: 20ms}}
  private_networks: allow
  {fetch}
scope: {{{scope}}}
pages:
  all:
    items: [{{each: h1, fields: {{title: "::text"}}}}]
    follow: [a]
on_check_failure: publish
checks: [pages.failed <= 100%, items >= 0]
"""


def write(folder: Path, *seeds: str, fetch: str = "", scope: str = "") -> Path:
    path = folder / "citizen.yaml"
    path.write_text(CONFIG.format(seeds=", ".join(seeds), fetch=fetch, scope=scope))
    return path


def report(path: Path, **overrides: str) -> dict[str, Any]:
    found = run(path, overrides={name.replace("__", "."): value for name, value in overrides.items()})
    built: dict[str, Any] = msgspec.to_builtins(found.summary)
    return built


def links(*targets: str) -> str:
    return "<h1>page</h1>" + "".join(f"<a href='{target}'>x</a>" for target in targets)


def rows(folder: Path, question: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / ".hookline/citizen/state.db") as db:
        return db.execute(question).fetchall()


# --- what a host allows ----------------------------------------------------------------------------------------------


def test_no_window_has_more_requests_than_the_host_allowed(site: Any, tmp_path: Path) -> None:
    times: list[tuple[float, str]] = []
    quiet: list[tuple[float, float]] = []  # (from, until) as the server has said

    def timed(path: str, *answers: Any) -> Callable[[dict[str, str]], Any]:
        queue = list(answers)

        def answer(headers: dict[str, str]) -> Any:
            now = time.monotonic()
            times.append((now, path))
            status, fields, body = queue.pop(0) if len(queue) > 1 else queue[0]
            if "Retry-After" in fields:
                quiet.append((now, now + float(fields["Retry-After"])))
            return status, fields, body

        return answer

    html = {"Content-Type": "text/html"}
    robots = (200, {}, "User-agent: *\nCrawl-delay: 0.08\n")
    site.pages["/robots.txt"] = timed("/robots.txt", (503, {}, ""), (429, {"Retry-After": "0.5"}, ""), robots)
    site.pages["/"] = timed("/", (200, html, links(*(f"/{n}" for n in range(8)))))
    for n in range(8):
        busy = {2: [(429, {"Retry-After": "0.4"}, "")], 5: [(503, {"Retry-After": "0.3"}, "")] * 2}.get(n, [])
        site.pages[f"/{n}"] = timed(f"/{n}", *busy, (200, html, "<h1>x</h1>"))
    found = report(write(tmp_path, f"{site.url}/", fetch="per_host: {concurrency: 1, delay: 50ms, jitter: 0}"))
    assert found["fates"] == {"fetched": 9}
    assert found["throttled"]["127.0.0.1"] == {
        "Crawl-delay of 0.08 s": 1,
        "HTTP 429 with Retry-After 0.5 s for robots.txt: paused": 1,
        "HTTP 429 with Retry-After 0.4 s: paused": 1,
        "HTTP 503 with Retry-After 0.3 s: paused": 2,
    }
    pages = [now for now, path in times if path != "/robots.txt"]
    gaps = [after - before for before, after in pairwise(pages)]
    assert min(gaps) >= 0.08 - 0.01, "Crawl-delay, between any two requests"
    everything = [after - before for (before, _), (after, _) in pairwise(times)]
    assert min(everything) >= 0.05 - 0.01, "robots.txt counts, each time that it is asked for"
    for begin, until in quiet:
        assert not [now for now, _ in times if begin < now < until - 0.01], "nothing while the host asked for quiet"


def test_every_key_of_per_host_can_be_set_for_some_hosts(tmp_path: Path) -> None:
    from pipeline.config import load

    hosts = 'hosts: {"*.slow.example": {concurrency: 3, delay: 5s, jitter: 0.5, autothrottle: false}, "b.example": 7s}'
    path = write(
        tmp_path,
        "http://a/",
        fetch=hosts.replace(', "b.example": 7s', ', "b.example": {delay: 7s}') + "\n  per_host: {jitter: 0.1}",
    )
    fetch = load(path).config.fetch
    of, throttled = fetching.politeness(fetch), fetching.throttled(fetch)
    assert of("x.slow.example") == (3, 5.0, 0.5) and not throttled("x.slow.example")
    assert of("b.example") == (1, 7.0, 0.1) and throttled("b.example")
    assert of("slow.example") == (1, 1.0, 0.1) and throttled("slow.example")


def test_a_host_that_goes_down_is_left_to_the_next_run_and_comes_first_there(site: Any, tmp_path: Path) -> None:
    site.page("/", links(*(f"/{n}" for n in range(9))))
    for n in range(9):
        site.page(f"/{n}", "<h1>x</h1>", status=500)
    config = write(
        tmp_path,
        f"{site.url}/",
        fetch="per_host: {concurrency: 1}\n  breaker: {failures: 4, pause: 50ms, pauses: 2}",
    )
    found = report(config, fetch__retry__attempts="1")
    assert found["exit_code"] == 0
    assert found["fates"] == {"deferred:host_down": 5, "failed:http_500": 4, "fetched": 1}
    assert len(site.log) == 1 + 4 + 2, "a probe for every pause"
    assert found["throttled"]["127.0.0.1"] == {"failed 4 times in a row: left alone for 0.05 s": 2}
    deferred = {url for (url,) in rows(tmp_path, "SELECT url FROM request WHERE fate LIKE 'deferred:%'")}
    for n in range(9):
        site.page(f"/{n}", "<h1>x</h1>")
    site.log.clear()
    found = report(config)
    assert found["fates"] == {"fetched": 10} and found["left_over"] == 5
    assert {f"{site.url}{line.removeprefix('GET ')}" for line in site.log[:5]} == deferred


def test_a_host_that_comes_back_is_asked_as_before(site: Any, tmp_path: Path) -> None:
    site.page("/", links(*(f"/{n}" for n in range(6))))
    for n in range(6):
        site.pages[f"/{n}"] = [(503, {}, ""), (200, {"Content-Type": "text/html"}, "<h1>x</h1>")]
    found = report(write(tmp_path, f"{site.url}/", fetch="breaker: {failures: 3, pause: 50ms}"))
    assert found["fates"] == {"fetched": 7}
    assert found["throttled"]["127.0.0.1"]["answers again"] == 1


# --- traps -----------------------------------------------------------------------------------------------------------


def calendar(site: Any, *, items: bool = False) -> None:
    def month(number: int) -> Callable[[dict[str, str]], Any]:
        def answer(headers: dict[str, str]) -> Any:
            site.pages[f"/cal/{number + 1}"] = month(number + 1)
            body = f"<a href='/cal/{number + 1}'>next</a>" + ("<h1>an event</h1>" if items else "")
            return 200, {"Content-Type": "text/html"}, body

        return answer

    site.page("/", links("/cal/0", "/shop/0"))
    site.pages["/cal/0"] = month(0)
    for n in range(60):
        site.page(f"/shop/{n}", f"<h1>{n}</h1>" + (f"<a href='/shop/{n + 1}'>next</a>" if n < 59 else ""))


@pytest.mark.parametrize(("scope", "months"), [("traps: {max_barren: 25}", 26), ("traps: {max_similar: 80}", 80)])
def test_an_endless_calendar_ends_and_the_rest_is_fetched(
    site: Any, serve: Callable[[], Any], hookline: Any, tmp_path: Path, scope: str, months: int
) -> None:
    calendar(site, items="similar" in scope)
    other = serve()
    other.page("/", links(*(f"/p/{n}" for n in range(40))))
    for n in range(40):
        other.page(f"/p/{n}", f"<h1>{n}</h1>")
    config = write(tmp_path, f"{site.url}/", f"{other.url}/", scope=scope)
    found = report(config)
    assert found["exit_code"] == 0
    assert len([line for line in site.log if "/cal/" in line]) == months
    assert len([line for line in site.log if "/shop/" in line]) == 60 and len(other.log) == 41, "nothing real is lost"
    assert found["fates"] == {"fetched": 2 + months + 60 + 40, "rejected:trap": 1}
    refused = found["refused"][0]
    assert refused["requests"] == 1 and refused["url"] == f"{site.url}/cal/{months}"
    assert "/cal/*" in refused["rule"] and refused["rule"].startswith("scope.traps.max_")
    done = hookline("why", "citizen.yaml", refused["url"])
    assert done.returncode == 0 and refused["rule"] in " ".join(done.stdout.split())
    assert "raise scope.traps.max_" in done.stdout and f"... {months + 2 - 9} more" in done.stdout


def test_why_tells_of_robots_and_of_urls_never_met(site: Any, hookline: Any, tmp_path: Path) -> None:
    site.pages["/robots.txt"] = (200, {}, "User-agent: *\nDisallow: /private\n")
    site.page("/", links("/private/1", "/open/12345"))
    site.page("/open/12345", "<h1>x</h1>")
    config = write(tmp_path, f"{site.url}/", scope='deny: ["/basket"]')
    assert report(config)["exit_code"] == 0
    told = {}
    for path in ("/private/1", "/open/12346", "/basket", "/open/12345"):
        done = hookline("why", config.name, site.url + path, "--format", "json")
        assert done.returncode == 0, done.stderr
        told[path] = msgspec.json.decode(done.stdout)
    known = told["/private/1"]["known"][0]
    assert known["request"]["fate"] == "rejected:robots" and "line 2" in known["request"]["detail"]
    assert [step["url"] for step in known["way"]] == [f"{site.url}/"] and "owner" in known["advice"]
    robots = {path: next(rule for rule in one["rules"] if rule["key"] == "robots.txt") for path, one in told.items()}
    assert robots["/private/1"]["words"] == "group *, line 2: Disallow: /private" and not robots["/private/1"]["passes"]
    assert robots["/open/12345"]["passes"]
    assert told["/open/12346"]["known"] == [] and told["/open/12346"]["nearest"][0] == f"{site.url}/open/12345"
    assert "scope.deny" in told["/basket"]["advice"]
    assert told["/open/12345"]["known"][0]["request"]["items"] == 1
    screen = hookline("why", config.name, f"{site.url}/basket").stdout.splitlines()
    assert max(map(len, screen)) <= 80 and any(line.startswith("  NO    scope.deny") for line in screen)
    assert hookline("why", config.name, "no url").returncode == 2


def test_the_report_tells_people_of_hosts_waits_and_refusals_and_loses_none(
    site: Any, hookline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.runner.report.MOST_RULES", 2)
    site.page("/robots.txt", "User-agent: *\n" + "".join(f"Disallow: /no/{n}\n" for n in range(5)))
    site.page("/", links("/busy", "http://elsewhere.example/", *(f"/no/{n % 5}/{n}" for n in range(7))))
    site.pages["/busy"] = [(429, {"Retry-After": "0"}, ""), (200, {"Content-Type": "text/html"}, "<h1>x</h1>")]
    path = write(tmp_path, f"{site.url}/")
    found = report(path)
    assert sum(one["requests"] for one in found["refused"]) == 8
    assert found["refused"][-1] == {"fate": "rejected", "rule": "other rules", "requests": 4, "url": ""}
    shown = hookline("report", path.name).stdout
    robots = f"2 rejected:robots: {site.url}/robots.txt line 2: Disallow: /no/0; one is {site.url}/no/0/0"
    for line in (
        "hosts:",
        "  127.0.0.1: 2 fetched, 7 rejected:robots",
        "  elsewhere.example: 1 rejected:scope",
        "held up:",
        "  127.0.0.1: HTTP 429 with Retry-After 0 s: paused",
        "refused:",
        f"  {robots}",
        "  4 rejected: other rules",
    ):
        assert line in shown.splitlines()
    assert "problems:" not in shown, "they are told by rule"


REDIRECTED = [
    ("{inner}/x", "rejected:private_network", "fetch.private_networks: allow"),
    ("ftp://a.example/x", "rejected:scheme", "only http and https"),
    ("http://elsewhere.example/", "rejected:scope", "name the host in scope.allow_domains"),
    ("/private/1", "rejected:robots", "ask its owner"),
    ("/a/a/a/a", "rejected:trap", "raise scope.traps.max_path_repetition"),
    ("/gone", "gone", "hookline try"),
    ("/further", "fetched", "nothing: it leads to {site}/open, and that is fetched"),
]


def test_why_of_a_redirect_looks_at_what_it_leads_to(
    site: Any, serve: Callable[[], Any], hookline: Any, tmp_path: Path
) -> None:
    inner = serve()
    site.pages["/robots.txt"] = (200, {}, "User-agent: *\nDisallow: /private\n")
    site.page("/", links(*(f"/r/{number}" for number in range(len(REDIRECTED)))))
    for number, (target, _, _) in enumerate(REDIRECTED):
        site.page(f"/r/{number}", "", status=302, Location=target.format(inner=inner.url))
    site.page("/further", "", status=302, Location="/open")
    site.page("/open", "<h1>x</h1>")
    path = write(tmp_path, f"{site.url}/")
    assert report(path, fetch__private_networks="deny")["exit_code"] == 0 and inner.seen == []
    for number, (_, fate, words) in enumerate(REDIRECTED):
        told = hookline("why", path.name, f"{site.url}/r/{number}").stdout
        joined = " ".join(told.split())
        assert "fate redirected (HTTP 302)" in joined and f"there {fate}" in joined
        assert words.format(site=site.url) in joined, told
        assert ("to do nothing" in joined) is (fate == "fetched")


def test_why_of_a_redirect_that_leads_back_ends(site: Any, hookline: Any, tmp_path: Path) -> None:
    """A site that sets a cookie elsewhere and sends us back: the page that was redirected is where it ends too."""
    inside = (200, {"Content-Type": "text/html"}, "<h1>in</h1>")
    site.pages["/"] = lambda headers: inside if "seen=1" in headers.get("Cookie", "") else (302, {"Location": "/s"}, "")
    site.page("/s", "", status=302, Location="/", Set_Cookie="seen=1; Path=/")
    path = write(tmp_path, f"{site.url}/")
    assert report(path)["fates"] == {"fetched": 1, "redirected": 1}
    told = " ".join(hookline("why", path.name, f"{site.url}/s").stdout.split())
    assert f"nothing: it leads to {site.url}/, and that is fetched" in told


def test_why_names_the_limit_of_a_follow_by_its_key(site: Any, hookline: Any, tmp_path: Path) -> None:
    site.page("/", links("/1", "/2"))
    site.page("/1", "<h1>x</h1>")
    path = write(tmp_path, f"{site.url}/")
    path.write_text(path.read_text().replace("follow: [a]", "follow: [{css: a, limit: 1}]"))
    found = report(path)
    assert [(one["rule"], one["requests"]) for one in found["refused"]] == [("pages.all.follow.0.limit: 1", 1)]
    told = hookline("why", path.name, f"{site.url}/2").stdout
    assert "because   pages.all.follow.0.limit: 1" in told
    assert "to do     raise pages.all.follow.0.limit, or write the URL under seeds" in told


def test_every_refusal_has_its_rule_in_the_report(site: Any, tmp_path: Path) -> None:
    bad = [
        "/basket",
        "/a/a/a/a",
        "http://elsewhere.example/",
        "mailto:x@y",
        "/deep/1",
        f"/?{'&'.join(f'{n}=1' for n in range(30))}",
    ]
    site.page("/", links(*bad))
    site.page("/deep/1", links("/deep/2"))
    found = report(write(tmp_path, f"{site.url}/", scope='deny: ["/basket"], max_depth: 1'))
    rules = {refused["rule"]: refused["fate"] for refused in found["refused"]}
    assert rules == {
        "scope.deny: /basket": "rejected:scope",
        "scope.traps.max_path_repetition: 2": "rejected:trap",
        "scope.traps.max_params: 20": "rejected:trap",
        "scope.max_depth: 1": "rejected:depth",
        "not a host of the seeds, and there is no scope.allow_domains": "rejected:scope",
    } | ({"neither http nor https": "rejected:scheme"} if "neither http nor https" in rules else {})
    assert not rows(tmp_path, "SELECT url FROM request WHERE fate LIKE 'rejected:%' AND detail = ''")


# --- DNS -------------------------------------------------------------------------------------------------------------


class Names:
    """A name server on loopback: every name under .test is 127.0.0.1, while it is not `down`."""

    def __init__(self) -> None:
        self.down_after = 10**9  # answers
        self.down_for = 0.0
        self.until = 0.0
        self.answers = 0
        self.refused = 0
        self.broken: set[str] = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            message, peer = self._socket.recvfrom(4096)
            if message == b"stop":
                return
            question, now = parse(message), time.monotonic()
            self.answers += 1
            if self.answers > self.down_after and not self.until:
                self.until = now + self.down_for
            if now < self.until or question.name in self.broken:
                self.refused += 1
                answer = reply(question, [], SERVFAIL)
            elif question.name.startswith("hookline-check-"):
                answer = reply(question, [], NXDOMAIN)
            else:
                answer = reply(question, [v4("127.0.0.1")] if question.kind == A else [])
            self._socket.sendto(answer, peer)

    def close(self) -> None:
        self._socket.sendto(b"stop", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """A name server that runs ask; closed at the end."""
    server = Names()
    monkeypatch.setattr(
        fetching, "make_resolver", lambda loop, timeout: CaresResolver(loop, servers=[server.address], timeout=timeout)
    )
    yield server
    server.close()


@pytest.mark.parametrize("robots", ["true", "false"])
def test_an_outage_of_dns_costs_no_attempts(site: Any, names: Names, tmp_path: Path, robots: str) -> None:
    hosts = [f"http://h{n}.test:{site.port}" for n in range(40)]
    site.page("/", links(*(f"{host}/{n % 2}" for n, host in enumerate(hosts))))
    site.page("/0", links("/2"))
    for path in ("/1", "/2"):
        site.page(path, "<h1>x</h1>")
    names.down_after, names.down_for = 12, 0.7
    config = write(
        tmp_path,
        f"{hosts[0]}/",
        fetch="concurrency: 4\n  per_host: {delay: 0s}\n  outage: {probe: 100ms}",
        scope="allow_domains: [test]",
    )
    found = report(config, fetch__robots__obey=robots)
    assert names.refused, "there was no outage"
    assert found["exit_code"] == 0 and found["fates"] == {"fetched": 61}
    assert rows(tmp_path, "SELECT DISTINCT attempts FROM request") == [(1,)]
    assert any("was out for" in note for note in found["notes"])


def test_a_run_stops_in_an_outage_that_lasts_and_goes_on_after_it(site: Any, names: Names, tmp_path: Path) -> None:
    hosts = [f"http://h{n}.test:{site.port}" for n in range(12)]
    site.page("/", links(*(f"{host}/x" for host in hosts)))
    site.page("/x", "<h1>x</h1>")
    names.down_after, names.down_for = 4, 3600.0
    config = write(
        tmp_path,
        f"{hosts[0]}/",
        fetch="per_host: {delay: 0s}\n  outage: {probe: 50ms, max: 400ms}",
        scope="allow_domains: [test]",
    )
    found = report(config)
    assert found["exit_code"] == 3 and found["stopped"] == "DNS or the network is out"
    assert not [fate for fate in found["fates"] if fate.startswith("failed:")]
    names.down_after, names.until = 10**9, 0.0
    found = report(config)
    assert found["exit_code"] == 0 and found["fates"] == {"fetched": 13}


def test_a_host_without_dns_is_no_outage(site: Any, names: Names, tmp_path: Path) -> None:
    site.page("/", links("/1", f"http://h1.test:{site.port}/x"))
    site.page("/1", "<h1>x</h1>")
    config = write(
        tmp_path, f"http://h0.test:{site.port}/", fetch="per_host: {delay: 0s}", scope="allow_domains: [test]"
    )
    names.broken.add("h1.test")
    found = report(config)
    assert found["fates"] == {"failed:dns": 1, "fetched": 2}
    assert not any("out" in note.split() for note in found["notes"])
