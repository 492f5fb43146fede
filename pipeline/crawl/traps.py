"""Endless spaces of URLs, seen by what their pages bring: calendars, sessions in the URL, facets without end.

A URL alone seldom shows that it belongs to one; `scope` has the rules for those that do. Here what is of one *pattern*
is taken together: one page rule, one host, and one path and query once what varies is put aside (segments with a
digit, the last segment where there is no query, the values of parameters).

A pattern is *barren* as long as its pages bring nothing but more of their kind: no item (or a body that was there
already), and no new link but to patterns that are barren themselves. After so many such pages in a row the next one's
new links are refused; a page that brings something begins the count anew. Only links found on barren pages are ever
refused, so what anything else links to is never lost. A list with a thousand pages brings its items, or links to them;
a calendar without events brings the next month.

Pure. What is remembered is bounded: the patterns and bodies met last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from typing import Final
from zlib import crc32

from pipeline.crawl.scope import Refusal
from pipeline.model import Request
from pipeline.url import split

PATTERNS: Final = 10_000  # that are told apart
BODIES: Final = 10_000  # that are known again

_DIGIT: Final = re.compile("[0-9]")
_VALUE: Final = re.compile(r"=[^&]*")


def pattern_of(url: str) -> str:
    """Host, path and query of a normalised URL with a star for what varies: `h/cal/*/*`, `h/cal?month&year`."""
    _, authority, target = split(url)
    path, mark, query = target.partition("?")
    segments = ["*" if _DIGIT.search(segment) else segment for segment in path.split("/")]
    if not mark:
        last = -1 if segments[-1] else -2  # of /a/b/ it is b
        segments[last] = segments[last] and "*"
    return f"{authority}{'/'.join(segments)}{mark}{_VALUE.sub('', query)}"


class Traps:
    """The traps of a run. `max_barren`: pages of a pattern in a row; `max_similar`: requests of a pattern in the whole
    run, counted in `counts`. None: no such rule.
    """

    def __init__(self, *, max_barren: int | None = 500, max_similar: int | None = None) -> None:
        self._max_barren = max_barren
        self._max_similar = max_similar
        self._barren: dict[str, int] = {}  # pattern -> barren pages in a row; the ones met last at the end
        self._bodies: dict[tuple[int, int], None] = {}
        self.counts: MutableMapping[str, int] = {}

    def refusal(self, request: Request) -> Refusal | None:
        """Why a new request may not be made; it is counted if it may."""
        if self._max_similar is None or request.seed:
            return None
        pattern = pattern_of(request.url)
        if pattern not in self.counts and len(self.counts) >= PATTERNS:
            pattern = f"{pattern.partition('/')[0]}/**"  # what is left of a host is one pattern
        count = self.counts.get(pattern, 0) + 1
        if count > self._max_similar:
            return Refusal("rejected:trap", f"scope.traps.max_similar: {self._max_similar} of {pattern}")
        self.counts[pattern] = count
        return None

    def read(self, page: Request, body: bytes, *, items: bool, links: Iterable[Request]) -> Refusal | None:
        """A page was read that has new links: why these may not be made."""
        if self._max_barren is None:
            return None
        known = self._is_known(body)
        if items and not known and not self._barren:
            return None
        pattern = _kind(page)
        if (items and not known) or self._leads_on(pattern, links):
            self._barren.pop(pattern, None)
            return None
        count = self._barren.pop(pattern, 0) + 1
        self._barren[pattern] = count
        if len(self._barren) > PATTERNS:
            del self._barren[next(iter(self._barren))]
        if count <= self._max_barren:
            return None
        return Refusal(
            "rejected:trap", f"scope.traps.max_barren: {self._max_barren} pages in a row like {pattern_of(page.url)}"
        )

    def _leads_on(self, pattern: str, links: Iterable[Request]) -> bool:
        """Whether any link leads to something else than more of the same, or of what is barren as well."""
        return any((other := _kind(link)) != pattern and other not in self._barren for link in links)

    def _is_known(self, body: bytes) -> bool:
        """Whether this body was there already, under another URL."""
        mark = len(body), crc32(body)
        known = mark in self._bodies
        self._bodies.pop(mark, None)
        self._bodies[mark] = None
        if len(self._bodies) > BODIES:
            del self._bodies[next(iter(self._bodies))]
        return known


def _kind(request: Request) -> str:
    return f"{request.page} {pattern_of(request.url)}"
