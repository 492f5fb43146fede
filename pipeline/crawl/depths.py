"""How far each request is from the seeds, kept only where depth is limited: two bytes a request, for all of them.

A page that is reached by a shorter path may bring within the limit what lay beyond it. Who links to whom is on disk, so
the search downwards is the state's (`relax`): this object notes the first shorter path (`shorter`) and, for every
answer, asks again from there, since links may have been met while the question was under way. An answer has only what
got nearer, so the asking ends.

An answer also tells what the state last heard of each request, and the frontier may know better: two flags besides the
depth say whether a request has ended since, and whether it waits again.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable
from typing import Final, TypeAlias

from pipeline.crawl.hosts import MAX_DEPTH
from pipeline.errors import BooksError
from pipeline.model import Request

RelaxedRow: TypeAlias = tuple[int, int, str | None, bytes, str, Request, int]
"""A request that got nearer: id, depth, fate (None: waits), fingerprint, host, the request, attempts so far."""

_OVER: Final = 1 << 14
_AGAIN: Final = 1 << 15
_DEPTH: Final = MAX_DEPTH


class Depths:
    """The depth of every request by id (1, 2, ...), and its flags."""

    def __init__(self) -> None:
        self._cells = array("H", [0])
        self.shorter: deque[tuple[int, int]] = deque()

    def restore(self, last: int, pieces: Iterable[array[int]]) -> None:
        """Take over the depths of the requests 1 .. `last`, in order, in pieces of 16-bit numbers."""
        self._cells = array("H", [0])
        for piece in pieces:
            self._cells.extend(piece if max(piece) <= _DEPTH else array("H", [min(depth, _DEPTH) for depth in piece]))
        if len(self._cells) != last + 1:
            raise BooksError(f"the depths of {len(self._cells) - 1} of {last} requests are known")

    def __getitem__(self, number: int) -> int:
        return self._cells[number] & _DEPTH

    def enter(self, depth: int) -> None:
        """The depth of the next new request."""
        self._cells.append(min(depth, _DEPTH))

    def offer(self, number: int, depth: int) -> None:
        """A path of this length leads to a known request."""
        if self.lower(number, depth) == depth:
            self.shorter.append((number, depth))

    def lower(self, number: int, depth: int) -> int | None:
        """Enter a depth if it is less than the one known; the depth, or None if it is not."""
        cell = self._cells[number]
        if depth >= cell & _DEPTH:
            return None
        self._cells[number] = cell & ~_DEPTH | depth
        return depth

    def end(self, number: int) -> None:
        """The request has ended, and not for its depth."""
        self._cells[number] |= _OVER

    def open(self, number: int) -> None:
        """The request had ended and waits again."""
        self._cells[number] = self._cells[number] & ~_OVER | _AGAIN

    def is_over(self, number: int) -> bool:
        """Whether it has ended, and not for its depth, as far as this process saw."""
        return bool(self._cells[number] & _OVER)

    def waits_again(self, number: int) -> bool:
        """Whether this process has opened it again, after it had ended."""
        return bool(self._cells[number] & _AGAIN)
