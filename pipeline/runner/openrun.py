"""The open run: what the pages of this run have given so far, before anything of it is published.

Held in memory. Pages come in any order and are read in the contract's order (spec, section 3, 5), so that the order of
arrival can never show in an output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pipeline.model import DeadLetter, Item, ItemRecord, PageResult, Request
from pipeline.url import carry_key


class PageFacts(NamedTuple):
    """What is remembered of a page that gave items: all that a `single` filter may ask about it."""

    url: str
    method: str
    body: bytes
    rule: str
    carry_key: bytes
    status: int
    carry: dict[str, Any]


Tap = Callable[[Item], None]


class OpenRun:
    """Items, drops and dead letters of the pages that ended well; `tap` is shown each item as it comes."""

    def __init__(self, tap: Tap | None = None) -> None:
        self._tap = tap
        self._pages: list[tuple[PageFacts, list[ItemRecord]]] = []
        self.extracted = 0
        self.kept = 0
        self.dropped: Counter[str] = Counter()
        self.dead: list[tuple[str, DeadLetter]] = []  # (page URL, letter)
        self.by_type: Counter[str] = Counter()

    def add(self, request: Request, status: int, result: PageResult) -> None:
        """Take the result of one page. Its books must balance by themselves."""
        self.extracted += result.extracted
        self.kept += len(result.items)
        self.dropped.update(result.dropped)
        self.dead.extend((request.url, letter) for letter in result.dead)
        if result.items:
            carry = request.carry
            facts = PageFacts(
                url=request.url,
                method=request.method,
                body=request.body or b"",
                rule=request.page or "",
                carry_key=carry_key(carry),
                status=status,
                carry=carry,
            )
            self._pages.append((facts, result.items))
            self.by_type.update(record.type for record in result.items)
        if self._tap is not None:
            for record in result.items:
                self._tap(Item(record.type, record.fields))

    def in_order(self) -> Iterator[tuple[PageFacts, Item]]:
        """All items by (page URL, method, body, page rule, carried values, item rule, position on the page)."""
        for facts, records in sorted(self._pages, key=lambda page: page[0][:5]):
            for record in sorted(records, key=lambda record: (record.rule, record.position)):
                item = Item(record.type, record.fields)
                item.rule = record.rule
                yield facts, item
