"""The frontier on disk: `python tests/benchmarks/frontier_million.py [URLS]` prints one line of JSON.

A million URLs (or as many as asked for: 10_000_000 takes some minutes and 2 GB of disk) over 20 hosts go the whole way:
add, write, refill, next, finish, write; a page brings ten. In the middle the process stands still, and another frontier
goes on from the file; a resume ends when the first request can be handed out. `loop_us` is what of a URL's time the
loop's thread computes, `making_us` what it takes to make up the URL and its fingerprint, which counts.

Goals for a million: 50 us a URL, 150 MiB, 3 s to resume.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from time import perf_counter, thread_time

from pipeline.crawl.frontier import Changes, Entry, Frontier, Politeness
from pipeline.model import Request
from pipeline.state import requests
from pipeline.state.requests import FreshRow, TouchedRow
from pipeline.state.writer import Writer
from pipeline.url import fingerprint, host_of

HOSTS = 20
LINKS = 10
RUNNING = 64
BATCH = 500
PIECE = 50_000  # rows that a resume reads at a time


class Crawl:
    """Plays the engine: hands out, finishes, adds the links of each page, writes in batches."""

    def __init__(self, path: Path, urls: int) -> None:
        self._urls = urls
        self._answered = Event()
        self.writer = Writer(path, wake=self._answered.set)
        self.frontier = Frontier(refusal=lambda request: None, politeness=lambda host: Politeness(16, 0.0))
        self._met = 0
        self._unwritten = 0
        self.finished = 0

    def begin(self) -> None:
        for number in range(HOSTS):
            self._add(number, 0, None)

    def resume(self, met: int) -> None:
        """Read what a resume reads, until the first request could be handed out."""
        self._met = met
        waiting = self.writer.call(requests.waiting)
        self.frontier.restore(met, self._marks(), waiting, {"fetched": met - sum(n for _, n in waiting)}, {})
        while self.frontier.next_time() is None and self.frontier.pending:
            self._exchange(wait=True)

    def run(self, until: int) -> None:
        """Go on until so many pages are finished."""
        running: list[Entry] = []
        while self.finished < until and (self.frontier.pending or running):
            while len(running) < RUNNING and (entry := self.frontier.next(0.0)) is not None:
                running.append(entry)
            if not running:
                self._exchange(wait=True)
                continue
            for entry in running:
                self._finish(entry)
            running.clear()
            if self.frontier.wants or self.writer.done or self._unwritten >= BATCH:
                self._exchange()

    def close(self) -> None:
        self._write()
        self.writer.commit(wait=True)
        self.writer.close()

    def _finish(self, entry: Entry) -> None:
        self.frontier.finish(entry, "fetched", status=200)
        self.finished += 1
        self._unwritten += 1
        for _ in range(min(LINKS, self._urls - self._met)):
            self._add(self._met, entry.request.depth + 1, entry)

    def _add(self, number: int, depth: int, parent: Entry | None) -> None:
        self._met += self.frontier.add(*_link(number, depth), parent)

    def _exchange(self, *, wait: bool = False) -> None:
        """Write what is ripe, ask, and take answers."""
        self._answered.clear()
        if self.frontier.wants or self._unwritten >= BATCH:
            self._write()
        while self.frontier.wants:
            want = self.frontier.wants.popleft()
            self.writer.post(requests.refill, *want, token=want.host)
        if wait and not self.writer.done:
            self._answered.wait(10)
        while self.writer.done:
            self.frontier.refill(*self.writer.done.popleft())
        if self.writer.error is not None:
            raise self.writer.error

    def _write(self) -> None:
        changes = self.frontier.take_changes()
        self.writer.post(requests.write, *_rows(changes), changes.edges, changes.ended_hosts)
        if self._unwritten >= BATCH:
            self._unwritten = 0
            self.writer.commit()

    def _marks(self) -> Iterator[bytes]:
        last, packed = self.writer.call(requests.marks, 0, PIECE)
        while packed:
            yield packed
            last, packed = self.writer.call(requests.marks, last, PIECE)


def _link(number: int, depth: int) -> tuple[Request, bytes]:
    url = f"http://host-{number % HOSTS}.example/catalogue/category-{number % 97}/page-{number}.html"
    return Request(url, page="page", depth=depth), fingerprint("GET", url, None, "page", {})


def _rows(changes: Changes) -> tuple[list[FreshRow], list[TouchedRow]]:
    fresh = [
        FreshRow(
            id=one.id,
            mark=one.fingerprint,
            host=one.host.name if one.host is not None else host_of(one.request.url),
            url=one.request.url,
            rule=one.request.page,
            rank=one.rank,
            depth=one.request.depth,
            fate=one.fate,
            detail=one.detail,
            status=one.status,
            attempts=one.attempts,
            parent=one.parent,
            seed=one.request.seed,
            more=requests.more_of(one.request),
        )
        for one in changes.fresh
    ]
    touched = [
        TouchedRow(
            id=one.id,
            rank=one.rank,
            depth=one.request.depth,
            fate=one.fate,
            detail=one.detail,
            status=one.status,
            attempts=one.attempts,
            target=one.target,
            more=requests.more_of(one.request),
        )
        for one in changes.touched
    ]
    return fresh, touched


def _making() -> float:
    begin = perf_counter()
    for number in range(20_000):
        _link(number, 0)
    return (perf_counter() - begin) / 20_000 * 1e6


def main(urls: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        crawl = Crawl(path, urls)
        begin, busy = perf_counter(), thread_time()
        crawl.begin()
        crawl.run(urls // 2)
        crawl.close()
        half, met = perf_counter() - begin, crawl.frontier.discovered
        again = Crawl(path, urls)
        finished = crawl.finished
        del crawl
        begin = perf_counter()
        again.resume(met)
        resumed = perf_counter() - begin
        begin = perf_counter()
        again.run(urls - finished)
        again.close()
        wall = half + perf_counter() - begin
        assert again.frontier.fates == {"fetched": urls}, again.frontier.fates
        figures = {
            "urls": urls,
            "us_per_url": round(wall / urls * 1e6, 1),
            "loop_us": round((thread_time() - busy) / urls * 1e6, 1),
            "making_us": round(_making(), 1),
            "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "resume_s": round(resumed, 2),
            "waiting_at_resume": met - finished,
            "state_mib": round(path.stat().st_size / 2**20),
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
