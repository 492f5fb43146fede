"""Page pools with plugins in them, run to the end in a loop of their own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.fetch.loop import Loop
from pipeline.model import PackedPage, PageJob
from pipeline.stages.host import Host, Use
from pipeline.stages.page import RunInfo
from pipeline.stages.worker import JOB, WorkerSetup, packed
from pipeline.workers.inline import InlinePool
from pipeline.workers.pool import WorkerPool

RUN = RunInfo("r1", datetime(2026, 3, 4, 5, 6, tzinfo=UTC), "shop", logging.getLogger("hookline.plugin"))
RULES: dict[str, dict[str, Any]] = {
    "page": {"match": None, "parser": "auto", "items": [{"type": "row", "each": "li", "fields": {"n": {"css": "b"}}}]}
}


class Crew:
    """A pool of `processes` and its loop; `run` submits and waits. `plugins` are files."""

    def __init__(self, *, plugins: Iterable[Path] = (), processes: int = 2, job: str = "", **settings: Any) -> None:
        self.uses = [Use(str(path), None, ("plugins", number)) for number, path in enumerate(plugins)]
        self.loop = Loop()
        setup = WorkerSetup.of(plugins=self.uses, rules=RULES, locate=lambda key: None, run=RUN)
        self.pool = WorkerPool(self.loop, job=job or JOB, setup=setup.encode(), processes=processes, **settings)

    def run(self, jobs: Iterable[PageJob], *, window: int = 64) -> dict[str, PackedPage]:
        """The result of each by URL, `window` of them submitted at a time. Ends at `pool.error` too."""
        pool, todo, results = self.pool, iter(jobs), {}
        left = True

        def pump() -> None:
            nonlocal left
            while pool.done:
                url, page = pool.done.popleft()
                assert url not in results
                results[url] = page
            while left and pool.busy < window:
                job = next(todo, None)
                left = job is not None
                if job is not None:
                    pool.submit(job.url, job)
            if pool.error or not (left or pool.busy or pool.done):
                self.loop.stop()

        self.loop.run(pump)
        return results

    def inline(self, jobs: Iterable[PageJob]) -> dict[str, PackedPage]:
        """What the same plugins make of the jobs in this process."""
        host = Host.load(plugins=self.uses, rules=RULES, locate=lambda key: None, run=RUN)
        pool = InlinePool(packed(host.page_runner()))
        for job in jobs:
            pool.submit(job.url, job)
        return dict(pool.done)

    def close(self) -> None:
        self.pool.close()
        self.loop.close()


def page_job(path: str) -> PageJob:
    """A small page."""
    rows = "".join(f"<li><b>{path} {number}</b>" for number in range(3))
    body = f"<h1>{path}</h1><ul>{rows}</ul>".encode()
    return PageJob(f"http://shop.example/{path}", 200, [("Content-Type", "text/html")], body, "page", {})


def comparable(page: PackedPage) -> PackedPage:
    """Without what is measured."""
    page.seconds = {}
    return page


def children() -> dict[int, str]:
    """Living processes whose parent is this one, or whose group's leader was: pid -> state and command."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            command, _, rest = text.partition("(")[2].rpartition(")")
            state, parent, *_ = rest.split()
            if int(parent) == os.getpid():
                found[int(entry.name)] = f"{state} {command}"
    return found


@pytest.fixture
def crew() -> Iterator[Callable[..., Crew]]:
    """`crew(**settings) -> Crew`, closed at the end; no child may be left then."""
    before = children()
    crews: list[Crew] = []

    def make(**settings: Any) -> Crew:
        crews.append(Crew(**settings))
        return crews[-1]

    yield make
    for one in crews:
        one.close()
    assert children().keys() <= before.keys()


@pytest.fixture
def job() -> Callable[[str], PageJob]:
    """`job(path)`: a small page."""
    return page_job


@pytest.fixture
def same() -> Callable[[PackedPage, PackedPage], bool]:
    """Whether two results are equal, times apart."""
    return lambda one, other: comparable(one) == comparable(other)
