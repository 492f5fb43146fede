"""What the plugin host costs: `python tests/benchmarks/host_cost.py` prints microseconds a page, an item and a link.

Five plugins that do nothing stand on every hook, so what is measured is the host: in a worker, where each call is noted
for the case that the process dies, and in the parent. Time of this process, so that what else runs does not count.
Targets: 15 us a page with five plugins, 1 us an item and plugin, 150 us for a page with 41 links; exits with 1 if one
of the first two is missed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import process_time
from typing import Any

from pipeline.errors import Mark
from pipeline.model import Item, PageJob, Request
from pipeline.stages.assemble import Placed, Use
from pipeline.stages.chains import Step, adapt
from pipeline.stages.hookspecs import hookimpl
from pipeline.stages.host import Host
from pipeline.stages.jobs import PageRunner, RuleBook
from pipeline.stages.loading import Source
from pipeline.stages.page import Page, RunInfo
from pipeline.stages.places import Problems
from pipeline.stages.validate import Marked
from pipeline.workers import notes

PLUGINS, ITEMS, LINKS = 5, 20, 41
BOTH, EACH = "page, all of that", "item and plugin"
TARGETS = {BOTH: 15.0, EACH: 1.0}
RUN = RunInfo("r", datetime(2026, 1, 1, tzinfo=UTC), "bench", logging.getLogger("bench"))
RULES: dict[str, dict[str, Any]] = {
    "product": {"match": "/catalogue/*/index.html"},
    "listing": {"match": "/catalogue/**"},
    "rest": {"match": None},
}


def classify(page: Page) -> None:
    """Leave the verdict to others."""


def parse_nothing(page: Page) -> None:
    """Find nothing."""


def keep(item: Item, page: Page) -> None:
    """Keep the item."""


def parse_items(page: Page) -> Iterator[Item]:
    """Items of five fields."""
    for number in range(ITEMS):
        yield Item("book", {"title": "A Light in the Attic", "price": 51.77, "stock": 22, "n": number, "note": None})


def parser_of_links(reference: Callable[[int, int], str]) -> Callable[[Page], Iterator[Request]]:
    """A parser that gives LINKS links, made of page number and link number."""

    def parse(page: Page) -> Iterator[Request]:
        for number in range(LINKS):
            yield Request(reference(int(page.carry["n"]), number))

    return parse


def steps(hook: str, *functions: Callable[..., Any]) -> list[Step]:
    """The functions as a worker's host has them."""
    found = []
    for number, function in enumerate(functions):
        call = adapt(function, hook, function.__code__.co_varnames[: function.__code__.co_argcount])
        found.append(Step(f"p{number}", hook, notes.noted(call, notes.label(f"p{number}", hook))))
    return found


@hookimpl
def sign(request: Request) -> None:
    """Leave the request as it is."""


def prepared(plugins: int, times: int = 3000, rounds: int = 5) -> float:
    """Microseconds that the parent takes to have a request gone over by so many plugins."""
    mark = Marked("prepare_request", "prepare_request", sign, ("request",))
    module = sys.modules[__name__]
    placed = [
        Placed(f"p{number}", [mark], Use(f"p{number}"), "plugins", module, Source(f"p{number}", module))
        for number in range(plugins)
    ]
    host = Host(placed, rules={}, run=RUN, problems=Problems(lambda key: Mark("x.yaml", 1, 1)))
    request, best = Request("http://books.example/"), float("inf")
    for _ in range(rounds):
        start = process_time()
        for _ in range(times):
            host.prepare_request(request)
        best = min(best, (process_time() - start) / times)
    return best * 1e6


def cost(pages: int = 300, rounds: int = 5, **hooks: Any) -> float:
    """Microseconds a page, the best of some rounds; every page of a round is another URL."""
    best = float("inf")
    for _ in range(rounds):
        runner = PageRunner(book=RuleBook(RULES), run=RUN, **hooks)
        jobs = [
            PageJob(f"http://books.example/catalogue/page-{n}.html", 200, [], b"<p>x", "listing", {"n": n})
            for n in range(pages)
        ]
        start = process_time()
        for job in jobs:
            runner(job)
        best = min(best, (process_time() - start) / pages)
    return best * 1e6


def measure() -> dict[str, float]:
    """Name of a figure -> microseconds."""
    bare = cost()
    full = cost(classify=steps("classify", *[classify] * PLUGINS), parse=steps("parse", *[parse_nothing] * PLUGINS))
    items = cost(parse=steps("parse", parse_items))
    filtered = cost(parse=steps("parse", parse_items), process_item=steps("process_item", *[keep] * PLUGINS))
    one = cost(parse=steps("parse", parse_items), process_item=steps("process_item", keep))
    made = cost(parse=steps("parse", parser_of_links(lambda page, link: f"/nav/{link}")))
    fresh = cost(parse=steps("parse", parser_of_links(lambda page, link: f"../p/{page}_{link}/index.html")))
    mixed = cost(
        parse=steps("parse", parser_of_links(lambda p, n: f"/nav/{n}" if n < 21 else f"../p/{p}_{n}/index.html"))
    )
    return {
        "page, no plugins": bare,
        f"page, {PLUGINS} plugins on classify and parse": full,
        f"page, {PLUGINS} plugins on prepare_request": (request := prepared(PLUGINS) - prepared(0)),
        BOTH: full + request,
        f"item, extracted and checked ({ITEMS} a page)": (items - bare) / ITEMS,
        EACH: (filtered - one) / ITEMS / (PLUGINS - 1),
        f"{LINKS} links of a navigation (known)": made - bare,
        f"{LINKS} links, all new": fresh - bare,
        f"{LINKS} links, half of them new": mixed - bare,
    }


if __name__ == "__main__":
    figures = measure()
    for name, figure in figures.items():
        print(f"{figure:8.2f} us  {name}")
    sys.exit(any(figures[name] > target for name, target in TARGETS.items()))
