"""A page that shows why a check failed: one whose items lack the field, or that has none though its rule asks for some.

Looked for in the result that was judged, among its first pages, so that it costs nothing to speak of however large the
result is; a page that this run fetched is preferred to one of before. It knows items as the pages gave them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple

from pipeline.checks.figures import is_filled
from pipeline.packing import unpack_items
from pipeline.state import pages
from pipeline.state.pages import StoredPage
from pipeline.state.writer import Writer

MOST: Final = 2000  # pages that are looked at
AT_ONCE: Final = 200

Lacks = Callable[[StoredPage], bool]


class Example(NamedTuple):
    """A page, and the name of its rule."""

    url: str
    rule: str


def example(writer: Writer, run: int, lacks: Lacks) -> Example | None:
    """The first page of a result of which that is true; None where there is none among those looked at.

    Only pages that `hookline try` can ask for again: those of a GET.
    """
    earlier = None
    for page in _first(writer, run):
        if page.method == "GET" and lacks(page):
            if page.run == run:
                return Example(page.url, page.rule)
            earlier = earlier or Example(page.url, page.rule)
    return earlier


def without_field(kind: str, field: str) -> Lacks:
    """Is there an item of this type in which the field is empty?"""
    return lambda page: any(
        item.type == kind and not is_filled(item.fields.get(field)) for item in unpack_items(page.items)
    )


def without_items(kind: str | None, rules: Collection[str]) -> Lacks:
    """Is the page's rule one of these, and has it no item of this type (None: no item at all)?"""
    return lambda page: page.rule in rules and not any(kind in (None, item.type) for item in unpack_items(page.items))


def _first(writer: Writer, run: int) -> Iterator[StoredPage]:
    ids = writer.call(pages.order, run)[:MOST]
    for start in range(0, len(ids), AT_ONCE):
        yield from writer.call(pages.read, ids[start : start + AT_ONCE])
