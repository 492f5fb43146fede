"""What is new, changed, unchanged and gone between two results (spec, section 3, contract 7). Pure.

Both results are in output order, so equal items meet, or nearly so. The two are walked side by side, and only what has
no partner yet is remembered: as many items as the one result has been pushed along against the other. Of an unchanged
site that is nothing, whole pieces are then equal, and no item is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import nsmallest
from typing import Literal, TypeAlias

import msgspec

from pipeline.packing import MARK, pack_values, unpack_values

PAIR = 2 * MARK  # identity and content of an item

Change: TypeAlias = Literal["new", "changed", "gone"]


class Difference(msgspec.Struct):
    """Items by what became of them since the last published result."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0

    @property
    def any(self) -> bool:
        """Whether data changed."""
        return bool(self.new or self.changed or self.gone)


class Moves(msgspec.Struct):
    """Where the items stand that are not as they were: places in the old result and in the new one, from 0.

    Of each kind the first ones only, as many as were asked for.
    """

    changed: list[tuple[int, int]] = []
    new: list[int] = []
    gone: list[int] = []


class Comparison:
    """Takes a new result piece by piece; `old` gives the marks of the published one, in its order, and is None where
    nothing was published yet.

    `difference` counts; `moves` says of at most `most` items of each kind where they stand; with `remember` it knows
    afterwards what became of each item.
    """

    def __init__(self, old: Iterator[bytes] | None, *, most: int = 0, remember: bool = False) -> None:
        self._first = old is None
        self._old = old if old is not None else iter(())
        self._most = most
        self._rest = b""  # of the old piece that was begun
        self._old_at = self._new_at = 0  # places of the items that come next
        self._gone: dict[bytes, tuple[bytes, int]] = {}  # identity -> content and place; no new item has answered yet
        self._new: dict[bytes, tuple[bytes, int]] = {}
        self._changed: set[bytes] | None = set() if remember else None
        self.difference = Difference()
        self.moves = Moves()

    def feed(self, marks: bytes) -> None:
        """The marks of the next new items."""
        if self._first:
            self.difference.new += len(marks) // PAIR
            return
        for at in range(0, len(marks), PAIR):
            if not self._rest:
                self._rest = next(self._old, b"")
                if self._rest == marks[at:]:  # the usual case: nothing has changed
                    count = len(self._rest) // PAIR
                    self.difference.unchanged += count
                    self._old_at += count
                    self._new_at += count
                    self._rest = b""
                    return
            self._meet(marks[at : at + MARK], marks[at + MARK : at + PAIR])

    def end(self) -> Difference:
        """There are no more new items."""
        while self._rest:
            self._take_old()
        for piece in self._old:
            self._rest = piece
            while self._rest:
                self._take_old()
        self.difference.new += len(self._new)
        self.difference.gone += len(self._gone)
        self.moves.new = nsmallest(self._most, (place for _, place in self._new.values()))
        self.moves.gone = nsmallest(self._most, (place for _, place in self._gone.values()))
        return self.difference

    def _meet(self, identity: bytes, content: bytes) -> None:
        if self._rest:
            self._take_old()
        new = (content, self._new_at)
        self._new_at += 1
        old = self._gone.pop(identity, None)
        if old is None:
            self._new[identity] = new
        else:
            self._pair(identity, old, new)

    def _take_old(self) -> None:
        identity, content = self._rest[:MARK], self._rest[MARK:PAIR]
        self._rest = self._rest[PAIR:]
        old = (content, self._old_at)
        self._old_at += 1
        new = self._new.pop(identity, None)
        if new is None:
            self._gone[identity] = old
        else:
            self._pair(identity, old, new)

    def _pair(self, identity: bytes, old: tuple[bytes, int], new: tuple[bytes, int]) -> None:
        if old[0] == new[0]:
            self.difference.unchanged += 1
            return
        self.difference.changed += 1
        if len(self.moves.changed) < self._most:
            self.moves.changed.append((old[1], new[1]))
        if self._changed is not None:
            self._changed.add(identity)

    # --- when all have been given ------------------------------------------------------------------------------------

    def change_of(self, identity: bytes) -> Change | None:
        """What became of an item of the new result; None: nothing."""
        if self._first or identity in self._new:
            return "new"
        return "changed" if self._changed is not None and identity in self._changed else None

    def loss_of(self, identity: bytes) -> Change | None:
        """What became of an item of the old result, if it is not in the new one."""
        return "gone" if identity in self._gone else None


def chosen(marks: bytes, items: bytes, change_of: Callable[[bytes], Change | None]) -> bytes:
    """Of a piece of a result, the items of which something became, each with that word behind it; b"" for none."""
    changes = [change_of(marks[at : at + MARK]) for at in range(0, len(marks), PAIR)]
    if not any(changes):
        return b""  # nearly always: nothing is unpacked
    rows = unpack_values(items)
    return pack_values([[*row, change] for row, change in zip(rows, changes, strict=True) if change is not None])
