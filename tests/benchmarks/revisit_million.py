"""A run over pages that are published already: `python tests/benchmarks/revisit_million.py [URLS] [not_due]`.

Prints one line of JSON. A million pages (or as many as asked for) over 20 hosts are in the state, each with an ETag, a
date and ten links. A run begins with the seeds and meets all others by stored links: each is looked up, asked for (the
304 comes at once, with another date, so that there is something to renew) or found not to be due, and its links are
read back. There is no network and no page, so what is measured is what `revisits` and the state cost a URL; compare
`frontier_million.py`, which is the same crawl without a past. `promote_s` is the transaction that makes renewals count.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path
from threading import Event
from time import perf_counter, process_time, thread_time

import msgspec

from pipeline.crawl.frontier import Entry, Frontier, Politeness
from pipeline.model import Request, Response
from pipeline.runner.books import Books
from pipeline.runner.recorder import Recorder
from pipeline.runner.revisits import Revisits
from pipeline.state import pages, runs
from pipeline.state.pages import PageRow
from pipeline.state.writer import Writer
from pipeline.url import fingerprint

HOSTS, LINKS, RUNNING = 20, 10, 64
MADE_BY = {"page": b"m" * 16}
STARTED, DAY = "2026-01-02T00:00:00+00:00", 86_400

_encode = msgspec.msgpack.Encoder().encode


def request(number: int) -> Request:
    url = f"http://host-{number % HOSTS}.example/catalogue/category-{number % 97}/page-{number}.html"
    return Request(url, page="page")


def mark_of(number: int) -> bytes:
    return fingerprint("GET", request(number).url, None, "page", {})


def publish(path: Path, urls: int) -> None:
    """A published result: page n leads to the ten pages from 10 n + 20 on."""
    writer = Writer(path)
    run = writer.call(runs.begin, "first", "2026-01-01T00:00:00+00:00", b"", False, "0")
    for start in range(0, urls, 1000):
        writer.post(pages.add, [row(number, urls) for number in range(start, min(start + 1000, urls))])
        writer.commit(wait=True)
    writer.call(runs.close, run, "published", 0, STARTED, b"{}")
    writer.commit(wait=True)
    writer.close()


def row(number: int, urls: int) -> PageRow:
    first = HOSTS + number * LINKS
    links = [request(other) for other in range(first, min(first + LINKS, urls))]
    return PageRow(
        run=0,
        mark=mark_of(number),
        url=request(number).url,
        method="GET",
        body=b"",
        rule="page",
        carry=b"",
        carried=b"",
        status=200,
        etag=f'"{number:x}-5f3a1c2b"',
        last_modified="Thu, 01 Jan 2026 00:00:00 GMT",
        made_by=MADE_BY["page"],
        fetched=0,
        origin=1,
        count=0,
        items=b"",
        links=_encode(links) if links else b"",
    )


def crawl(path: Path, urls: int, *, not_due: bool) -> dict[str, float]:
    """The run; the figures."""
    answered = Event()
    writer = Writer(path, wake=answered.set)
    run = writer.call(runs.begin, "second", STARTED, b"", False, "0")
    frontier = Frontier(refusal=lambda request: None, politeness=lambda host: Politeness(16, 0.0))
    recorder = Recorder(writer, frontier, Books(), run=run, fetched=DAY, made_by=MADE_BY, vault={})
    revisits = Revisits(
        writer,
        frontier,
        recorder,
        run=run,
        start=DAY,
        made_by=MADE_BY,
        revisit={"page": 2 * DAY} if not_due else {},
        conditional=True,
        vault={},
    )
    for number in range(HOSTS):
        frontier.add(request(number), mark_of(number))
    begin, busy, both = perf_counter(), thread_time(), process_time()
    while frontier.pending or frontier.active:
        answered.clear()
        recorder.tick(perf_counter(), revisits.unsettled)
        while revisits.known:
            visit(revisits, revisits.known.popleft())
        while revisits.room(RUNNING) and (entry := frontier.next(0.0)) is not None:
            visit(revisits, entry)
        revisits.ask()
        if not writer.done:
            answered.wait(1.0)
    recorder.close()
    wall, loop, cpu = perf_counter() - begin, thread_time() - busy, process_time() - both
    begin = perf_counter()
    writer.call(pages.promote, run, STARTED)
    writer.commit(wait=True)
    promoted = perf_counter() - begin
    writer.close()
    assert frontier.fates == {"not_due" if not_due else "not_modified": urls}, frontier.fates
    spent = {"us_per_url": wall, "loop_us": loop, "cpu_us": cpu}
    return {name: seconds / urls * 1e6 for name, seconds in spent.items()} | {"promote_s": promoted}


def visit(revisits: Revisits, entry: Entry) -> None:
    """What the engine does with a request that is handed out; the site answers at once."""
    if revisits.judge(entry):
        asked = Request(entry.request.url)
        assert revisits.ask_with(entry, asked)
        revisits.is_unchanged(entry, Response(asked, 304, [("Last-Modified", "now")], b"", 0.0))


def main(urls: int, *, not_due: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        publish(path, urls)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        figures = crawl(path, urls, not_due=not_due)
        figures["rss_before_mib"] = before / 1024
        figures["peak_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures["state_mib"] = path.stat().st_size / 2**20
        print(json.dumps({"urls": urls, **{name: round(figure, 1) for name, figure in figures.items()}}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, not_due="not_due" in sys.argv)
