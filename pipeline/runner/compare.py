"""What is new, changed, unchanged and gone between two results (spec, section 3, contract 7). Pure.

Both results are in output order, so equal items meet, or nearly so. The two are walked side by side, and only what has
no partner yet is remembered: as many items as the one result has been pushed along against the other. Of an unchanged
site that is nothing, whole pieces are then equal, and no item is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


class Comparison:
    """Takes a new result piece by piece; `old` gives the marks of the published one, in its order, and is None where
    nothing was published yet. With `remember` it knows afterwards what became of each item.
    """

    def __init__(self, old: Iterator[bytes] | None, *, remember: bool = False) -> None:
        self._first = old is None
        self._old = old if old is not None else iter(())
        self._rest = b""  # of the old piece that was begun
        self._gone: dict[bytes, bytes] = {}  # identity -> content of old items that no new one has answered yet
        self._new: dict[bytes, bytes] = {}
        self._changed: set[bytes] | None = set() if remember else None
        self.difference = Difference()

    def feed(self, marks: bytes) -> None:
        """The marks of the next new items."""
        if self._first:
            self.difference.new += len(marks) // PAIR
            return
        for at in range(0, len(marks), PAIR):
            if not self._rest:
                self._rest = next(self._old, b"")
                if self._rest == marks[at:]:  # the usual case: nothing has changed
                    self.difference.unchanged += len(self._rest) // PAIR
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
        return self.difference

    def _meet(self, identity: bytes, content: bytes) -> None:
        if self._rest:
            self._take_old()
        old = self._gone.pop(identity, None)
        if old is None:
            self._new[identity] = content
        else:
            self._pair(identity, old, content)

    def _take_old(self) -> None:
        identity, content = self._rest[:MARK], self._rest[MARK:PAIR]
        self._rest = self._rest[PAIR:]
        new = self._new.pop(identity, None)
        if new is None:
            self._gone[identity] = content
        else:
            self._pair(identity, content, new)

    def _pair(self, identity: bytes, old: bytes, new: bytes) -> None:
        if old == new:
            self.difference.unchanged += 1
            return
        self.difference.changed += 1
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
