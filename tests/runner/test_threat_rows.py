"""The threat table as only a whole run can judge it: fates, time, memory, descriptors, and what each server was asked.

Each row runs as `hookline run` does, through `execute`. The guard below stands between us and the network: a connection
that would leave loopback is refused and fails the row.
"""

from __future__ import annotations

import gc
import json
import re
import resource
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.config import load
from pipeline.errors import ConfigError
from pipeline.fetch import opening
from pipeline.model import Item
from pipeline.runner.build import Options
from pipeline.runner.session import execute
from pipeline.runner.summary import Summary
from pipeline.state.database import read_only
from tests.badserver import certificates
from tests.badserver.crawl import Row, home, html, put, site
from tests.badserver.rows_bodies import BODIES
from tests.badserver.rows_secrets import SECRETS
from tests.badserver.rows_targets import TARGETS
from tests.badserver.server import Handler, Steps, serve_in_thread

TABLE = {**BODIES, **SECRETS, **TARGETS}
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a row: fates by URL, as rows write them, and what both servers were asked."""

    summary: Summary
    fates: dict[str, str | None]
    items: list[Item]
    here: list[bytes]
    other: list[bytes]
    names: dict[str, str]
    seconds: float
    growth: float  # MiB


@pytest.fixture(autouse=True)
def reached(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The addresses that were connected to; loopback only."""
    ips: list[str] = []
    begin = opening._begin

    def guarded(sock: Any, ip: str, port: int) -> int:
        ips.append(ip)
        return begin(sock, ip, port) if ip.startswith("127.") or ip == "::1" else 111

    monkeypatch.setattr(opening, "_begin", guarded)
    yield ips
    assert [ip for ip in ips if not ip.startswith("127.")] == []


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the first run loads is not charged to a row."""
    outcome = run(Row(("/x",), {"/x": html("x")}), tmp_path_factory.mktemp("warm"))
    assert outcome.fates == {"/": "fetched", "/x": "fetched", "/good": "fetched"}


def marked() -> Iterator[Any]:
    """The names of the rows; those that do not hold yet must fail."""
    for name, row in TABLE.items():
        yield pytest.param(name, marks=pytest.mark.xfail(strict=True, reason=row.broken)) if row.broken else name


@pytest.mark.parametrize("name", list(marked()))
def test_row(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = TABLE[name]
    for variable, value in row.environ.items():
        monkeypatch.setenv(variable, value)
    before = descriptors()
    outcome = run(row, tmp_path)
    assert differences(row, outcome) == {}
    assert outcome.summary.bad_links == row.bad_links
    assert outcome.summary.imbalance() == []
    assert outcome.summary.published is (row.home == "fetched")
    judge_requests(row, outcome)
    if row.untold:
        told = msgspec.json.encode(outcome.summary).decode() + (tmp_path / "out.jsonl").read_text()
        assert row.untold not in told
    if row.titles is not None:
        titles = sorted(item["title"] for item in outcome.items if item["title"] not in ("home", "good", None))
        assert titles == sorted(row.titles)
    assert outcome.seconds <= row.seconds
    assert outcome.growth <= row.growth, f"{outcome.growth:.0f} MiB more"
    assert descriptors() <= before


def differences(row: Row, outcome: Outcome) -> dict[str, tuple[str | None, str | None]]:
    """The fates that are not as the row wants them: (found, wanted) by the beginning of the URL."""
    wanted = {"/": row.home, **({"/good": row.good} if row.good else {})}
    wanted |= {written(put(url, outcome.names), outcome.names): fate for url, fate in row.fates.items()}
    urls = sorted({*wanted, *outcome.fates})
    found = outcome.fates
    return {url[:100]: (found.get(url), wanted.get(url)) for url in urls if found.get(url) != wanted.get(url)}


def judge_requests(row: Row, outcome: Outcome) -> None:
    """Whether each server was asked what it should be, and told nothing that it should not be."""
    for request in [*outcome.here, *outcome.other]:
        assert request.count(b"\r\nHost: ") == 1
        assert re.fullmatch(
            rb"[A-Z]+ /[\x21-\x7e]* HTTP/1\.1(\r\n[A-Za-z-]+: [\x20-\x7e]*)+", request.partition(b"\r\n\r\n")[0]
        )
        assert b"\r\ninjected" not in request.lower()
    assert not row.never or row.never not in b"".join(outcome.other)
    if row.asked is not None:
        assert sorted(targets(outcome.here)) == sorted(row.asked)
    if row.other_asked is not None:
        assert sorted(targets(outcome.other, ())) == sorted(row.other_asked)
    if row.strict is not None:
        row.strict(outcome.here, outcome.other)


def targets(requests: list[bytes], usual: tuple[str, ...] = ("/", "/good", "/robots.txt")) -> list[str]:
    """What was asked for, but for the usual."""
    asked = [request.split(b" ", 2)[1].decode("latin-1") for request in requests]
    return [target for target in asked if target not in usual]


def run(row: Row, folder: Path) -> Outcome:
    """A whole run of a row."""
    names: dict[str, str] = {}
    tls = certificates.good() if row.tls else None
    with (
        serve_in_thread(site({"/": home(row.links, names), **row.routes}, names), tls=tls) as here,
        serve_in_thread(site(row.other, names), host=row.other_host) as other,
    ):
        names |= {"@HERE@": here.url, "@OTHER@": other.url, "@FILE@": (folder / "row.yaml").as_uri()}
        names |= {"@HEREPORT@": str(here.port), "@OTHERPORT@": str(other.port)}
        loaded = load(configure(row, names, folder))
        items: list[Item] = []
        gc.collect()
        memory, begin = watch_memory(), time.monotonic()
        summary = execute(loaded, Options(), tap=items.append)
        seconds = time.monotonic() - begin
        growth = (peak_memory() - memory) / MIB
        requests = list(here.requests), list(other.requests)
    with closing(read_only(folder / ".hookline" / "row" / "state.db")) as db:
        fates = {written(url, names): fate for url, fate in db.execute("SELECT url, fate FROM request")}
    return Outcome(summary, fates, items, *requests, names, seconds, growth)


def configure(row: Row, names: dict[str, str], folder: Path) -> Path:
    """The config of a row, as JSON, which is YAML."""
    fetch = {"per_host": {"concurrency": 1, "delay": 0}, "retry": {"attempts": 1, "base": "10ms"}, **row.fetch}
    if row.tls:
        fetch["tls"] = {"ca_file": str(certificates.ca_file())}
    follow = [{"css": "a.row", "priority": 10}, "a.good"]
    config = {
        "name": "row",
        "seeds": ["@HERE@/", *row.seeds],
        "scope": row.scope,
        "fetch": fetch,
        "pages": {"all": {"items": [{"fields": {"title": "h1"}}], "follow": follow}},
        "store": [{"jsonl": "out.jsonl"}, {"sqlite": "out.db"}],
        "checks": ["items >= 0", "pages.failed <= 100%"],
    }
    path = folder / "row.yaml"
    path.write_text(put(json.dumps(config), names))
    return path


def written(url: str, names: dict[str, str]) -> str:
    """A URL as rows write it."""
    if url.startswith(f"{names['@HERE@']}/"):
        return url.removeprefix(names["@HERE@"])
    return url.replace(names["@OTHER@"], "@OTHER@")


def descriptors() -> int:
    """Open files of this process."""
    gc.collect()
    listing = Path("/proc/self/fd")
    return len(list(listing.iterdir())) if listing.exists() else 0


def watch_memory() -> float:
    """Bytes resident now; the peak is counted from here on where the kernel lets us say so."""
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        return peak_memory()
    reset.write_text("5")  # proc(5): "reset the peak resident set size to the current value"
    return peak_memory()


def peak_memory() -> float:
    """Bytes that were resident at most."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# --- what a config may not say ---------------------------------------------------------------------------------------

BAD_SEEDS = {
    "method": {"url": "http://127.0.0.1:1/", "method": "GET / HTTP/1.1\r\nInjected: 1"},
    "name": {"url": "http://127.0.0.1:1/", "headers": {"A\r\nInjected": "1"}},
    "value": {"url": "http://127.0.0.1:1/", "headers": {"A": "1\r\nInjected: 1"}},
    "nul": {"url": "http://127.0.0.1:1/", "headers": {"A": "1\0"}},
    "host": {"url": "http://a b/"},
    "scheme": {"url": "file:///etc/passwd"},
}


@pytest.mark.parametrize("name", BAD_SEEDS)
def test_c11_what_could_break_a_request_is_no_config(name: str, tmp_path: Path, reached: list[str]) -> None:
    """Told with its place, before anything is asked for."""
    (tmp_path / "row.yaml").write_text(json.dumps({"name": "row", "seeds": [BAD_SEEDS[name]], "pages": {"all": {}}}))
    with pytest.raises(ConfigError, match=r"row\.yaml:1:\d+: seeds"):
        execute(load(tmp_path / "row.yaml"), Options())
    assert reached == []


@pytest.mark.parametrize("key", ["user_agent", "headers"])
def test_c11_the_same_of_what_goes_with_every_request(key: str, tmp_path: Path) -> None:
    value: Any = "a\r\nInjected: 1"
    fetch = {key: {"A": value} if key == "headers" else value}
    config = {"name": "row", "seeds": ["http://127.0.0.1:1/"], "pages": {"all": {}}, "fetch": fetch}
    (tmp_path / "row.yaml").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=rf"row\.yaml:1:\d+: fetch\.{key}"):
        load(tmp_path / "row.yaml")


# --- the same servers for the command that is a client ---------------------------------------------------------------

CLIENT = {  # row, target -> outcome
    **{(f"B01-{coding}", "/bomb"): "failed:too_large" for coding in ("gzip", "deflate", "br", "zstd")},
    ("B02", "/lines"): "failed:decode",
    ("B03", "/2GiB"): "failed:decode",
    ("B04-whole", "/raw"): "fetched",
    ("C12-self", "/x"): "failed:http_302",
    ("C12-count", "/count"): "failed:http_302",
    ("C12-grow", "/grow"): "failed:http_302",
    ("U01-redirects", "/1"): "rejected:scheme",
    ("U02-redirects", "/0"): "rejected:private_network",
    ("U02-port", "/to"): "rejected:private_network",
    ("U09", "/to25"): "rejected:scheme",
}


def test_fetch_meets_the_same_servers(hookline: Any, tmp_path: Path) -> None:
    """One process for all of them; a good URL comes last."""
    names: dict[str, str] = {}
    routes: dict[str, Handler] = {"/x": TABLE["C12-self"].routes["/x"]}
    for row, target in CLIENT:
        known = TABLE[row].routes
        routes[f"/{row}{target}"] = known[target] if target in known else known[f"{target}*"]
        routes[f"/{row}{target}?*"] = routes[f"/{row}{target}"]
    with serve_in_thread(site(routes, names)) as server, serve_in_thread(not_asked) as other:
        names |= {"@HERE@": server.url, "@OTHER@": other.url, "@FILE@": "file:///etc/passwd"}
        urls = [*(f"{server.url}/{row}{target}" for row, target in CLIENT), f"{server.url}/good"]
        begin = time.monotonic()
        done = hookline("fetch", "--json", *urls)
        assert time.monotonic() - begin < 6
        assert other.accepted == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    found = {row["url"].removeprefix(server.url): row["outcome"] for row in rows}
    assert found == {f"/{row}{target}": outcome for (row, target), outcome in CLIENT.items()} | {"/good": "fetched"}
    assert done.returncode == 4


def not_asked() -> Steps:
    """A server that has nothing to say."""
    yield from ()
    return None
