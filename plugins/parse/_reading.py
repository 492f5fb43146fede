"""One page as the rules read it: what several fields look at is made once, and records that they are read from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from pipeline import Element, Page, ParseError, Selector

from . import _structured

_SCRIPTS = Selector("script")


class Reading:
    """A page with what is made of it at most once. `start` is the time that relative dates are counted from."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.gave = 0  # items so far

    @cached_property
    def start(self) -> datetime:
        """The start of the run, aware."""
        return self.page.run.start if self.page.run is not None else datetime.now(UTC)

    @cached_property
    def documents(self) -> list[Any]:
        """The JSON of the page: its body, or that of each `script[type$=json]`. Raises ParseError for a broken body."""
        if self.page.kind != "json":
            return self.scripts(None)
        if not self.page.body.strip():
            return []
        try:
            return [json.loads(self.page.text, strict=False)]
        except RecursionError:
            raise ParseError("the page's JSON is nested too deep") from None
        except ValueError as error:
            raise ParseError(f"the page is said to be JSON, and cannot be read as that: {error}") from None

    def scripts(self, element: Element | None) -> list[Any]:
        """What the JSON scripts of the page, or within an element, hold; broken ones are left out."""
        found = self.page.select(_SCRIPTS) if element is None else [element, *element.select(_SCRIPTS)]
        return _read_all([one.text for one in found if one.tag == "script" and _is_json_script(one)])

    @cached_property
    def jsonld(self) -> _structured.Graph:
        """The page's JSON-LD."""
        return _structured.Graph(_structured.read_jsonld(self.page.select("script")))

    @cached_property
    def microdata(self) -> _structured.Graph:
        """The page's microdata."""
        return _structured.Graph(_structured.read_microdata(self.page.select("[itemscope]"), self.page))


def _is_json_script(element: Element) -> bool:
    return (element.attr("type") or "").split(";")[0].strip().lower().endswith("json")


def _read_all(texts: Sequence[str]) -> list[Any]:
    found = []
    for text in texts:
        try:
            found.append(json.loads(text, strict=False))
        except (ValueError, RecursionError):
            continue
    return found


class Scopes:
    """Where fields are looked up: the whole page, or the records of an `each`, elements or data.

    `seen` tells whether any selector has found anything.
    """

    __slots__ = ("_group", "data", "elements", "reading", "seen", "size")

    def __init__(self, reading: Reading, elements: list[Element] | None = None, data: list[Any] | None = None) -> None:
        self.reading = reading
        self.elements = elements
        self.data = data
        records = elements if elements is not None else data
        self.size = 1 if records is None else len(records)
        self.seen = False
        self._group = None if elements is None else reading.page.group(elements)

    @property
    def whole(self) -> bool:
        """Is it the page itself?"""
        return self.elements is None and self.data is None

    def select(self, selector: Selector, first: bool) -> Sequence[Sequence[Element]]:
        """For each record the elements that match in it, with `first` at most one."""
        if self._group is not None:
            return self._group.select(selector, first=first)
        found = self.reading.page.select(selector) if self.data is None else []
        if found:
            self.seen = True
        return [found] * self.size

    def texts(self, selector: Selector) -> Sequence[list[str]]:
        """As `select`, but the text of each element."""
        if self._group is not None:
            return self._group.texts(selector)
        return [[element.text for element in share] for share in self.select(selector, False)]

    def first_texts(self, selector: Selector) -> Sequence[str | None]:
        """For each record the text of the first element that matches, None without one."""
        if self._group is not None:
            return self._group.first_texts(selector)
        return [share[0].text if share else None for share in self.select(selector, True)]

    def links(self, selector: Selector) -> Sequence[list[Any]]:
        """As `select`, but where each element leads."""
        if not self.whole or self.reading.page.kind != "html":
            return [[element.link for element in share] for share in self.select(selector, False)]
        found = self.reading.page.tree.links(selector)
        if found:
            self.seen = True
        return [found]

    def at(self, number: int) -> Scopes:
        """One record by itself."""
        if self.elements is not None:
            return Scopes(self.reading, [self.elements[number]])
        return self if self.data is None else Scopes(self.reading, data=[self.data[number]])
