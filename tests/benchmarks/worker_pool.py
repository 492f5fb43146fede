"""What the worker pool costs: `python tests/benchmarks/worker_pool.py SITE [SECONDS]`, SITE as make_site.py writes it.

Prints lines of JSON. `start`: milliseconds from `start()` to the first answer, and the child's processor time. Then
`parent`: microseconds of the parent's processor time a page in submitting and receiving (a worker that does nothing
sends the answer of a real page back), by the number of jobs in a worker's channel. `throughput`: pages a second with
the plugin host, inline and in one and two workers, the best of three turns.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from pipeline.fetch.loop import Loop
from pipeline.model import PageJob
from pipeline.stages.host import Host
from pipeline.stages.page import RunInfo
from pipeline.stages.worker import JOB, WorkerSetup, packed
from pipeline.workers.pool import WorkerPool

RUN = RunInfo("r", datetime(2026, 1, 1, tzinfo=UTC), "bench", logging.getLogger("bench"))
FIELDS = {"text": {"css": "span.text"}, "author": {"css": "small.author"}, "tags": {"css": "a.tag", "many": True}}
ECHO = f"{Path(__file__).stem}:echo"


def rules(parser: str) -> dict[str, dict[str, Any]]:
    """The rule of the benchmark site."""
    items = [{"type": "quote", "each": "div.quote", "fields": FIELDS}]
    return {"page": {"match": None, "parser": parser, "items": items, "follow": [{"css": "a"}]}}


def jobs(site: Path) -> list[PageJob]:
    """All pages of the site."""
    headers = [("Content-Type", "text/html"), ("Server", "nginx"), ("Content-Length", "6500"), ("ETag", '"abc"')]
    return [
        PageJob(f"http://127.0.0.1:8800/p/{path.name}", 200, headers, path.read_bytes(), "page", {})
        for path in sorted((site / "p").iterdir())
    ]


def echo(setup: bytes) -> Callable[[Any], bytes]:
    """A worker that answers every page with the same bytes."""
    return lambda job: setup


def cpu() -> float:
    """Seconds of processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def drive(pool: Any, loop: Loop, todo: list[PageJob], seconds: float, window: int = 64) -> tuple[float, float]:
    """(pages a second, microseconds of our processor time a page) with up to `window` pages submitted."""
    done = number = 0
    end = 0.0

    def pump() -> None:
        nonlocal done, number
        while pool.done:
            pool.done.popleft()
            done += 1
        if time.perf_counter() < end:
            while pool.busy < window:
                pool.submit(number, todo[number % len(todo)])
                number += 1
        elif not pool.busy:
            loop.stop()

    end = time.perf_counter() + 0.7
    loop.run(pump)  # workers are there and warm
    done, used, start = 0, cpu(), time.perf_counter()
    end = start + seconds
    loop.run(pump)
    spent = time.perf_counter() - start
    return done / spent, (cpu() - used) / done * 1e6


def with_pool(todo: list[PageJob], seconds: float, **settings: Any) -> tuple[float, float]:
    """The best of three times `drive` with a pool of its own."""
    figures = []
    for _ in range(3):
        loop = Loop()
        pool = WorkerPool(loop, **settings)
        try:
            figures.append(drive(pool, loop, todo, seconds / 3))
        finally:
            pool.close()
            loop.close()
    return max(rate for rate, _ in figures), min(used for _, used in figures)


def start_up(setup: bytes, job: PageJob) -> dict[str, float]:
    """Milliseconds from nothing to the first page's result."""
    best: dict[str, float] = {}
    for _ in range(5):
        loop, before = Loop(), resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        pool = WorkerPool(loop, job=JOB, setup=setup, processes=1)
        pool.start()
        started = time.perf_counter() - start
        pool.submit(0, job)
        loop.run(lambda pool=pool, loop=loop: None if pool.busy else loop.stop())  # type: ignore[misc]
        answered = time.perf_counter() - start
        pool.close()
        closed = time.perf_counter() - start - answered
        loop.close()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        figures = {"spawn": started, "first_answer": answered, "close": closed, "child_cpu": used}
        best = {name: min(best.get(name, 1e9), value * 1e3) for name, value in figures.items()}
    return best


def main(site: Path, seconds: float) -> None:
    """All figures."""
    todo = jobs(site)
    say = lambda **figures: print(json.dumps(figures), flush=True)  # noqa: E731
    setup = {p: WorkerSetup.of(rules=rules(p), locate=lambda _: None, run=RUN).encode() for p in ("auto", "soup")}
    sample = packed(Host.load(rules=rules("auto"), locate=lambda _: None, run=RUN).page_runner())(todo[0])
    answer = msgspec.msgpack.encode(sample)
    say(name="start", **{name: round(value, 1) for name, value in start_up(setup["auto"], todo[0]).items()})
    for flight in (1, 2, 4, 8, 16):
        rate, used = with_pool(todo, seconds, job=ECHO, setup=answer, processes=1, in_flight=flight)
        say(name="parent", in_flight=flight, cpu_us=round(used, 1), per_s=round(rate), answer_bytes=len(answer))
    for parser in ("auto", "soup"):
        run = packed(Host.load(rules=rules(parser), locate=lambda _: None, run=RUN).page_runner())
        start, count = time.perf_counter(), 0
        while time.perf_counter() < start + seconds:
            run(todo[count % len(todo)])
            count += 1
        say(name="throughput", parser=parser, workers=0, per_s=round(count / (time.perf_counter() - start)))
        for workers in (1, 2):
            for flight in (1, 2, 4, 8):
                rate, used = with_pool(todo, seconds, job=JOB, setup=setup[parser], processes=workers, in_flight=flight)
                say(
                    name="throughput",
                    parser=parser,
                    workers=workers,
                    in_flight=flight,
                    per_s=round(rate),
                    parent_us=round(used, 1),
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 2.0)
