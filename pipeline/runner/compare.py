"""What is new, changed, unchanged and gone between two results (spec, section 3, contract 7). Pure.

Both results are in output order, so equal items meet, or nearly so. The two are walked side by side, and only what has
no partner yet is remembered: as many items as the one result has been pushed along against the other. Of an unchanged
site that is nothing, whole pieces are then equal, and no item is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pipeline.packing import MARK

PAIR = 2 * MARK  # identity and content of an item


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
    """Takes a new result piece by piece; `old` gives the marks of the published one, in its order."""

    def __init__(self, old: Iterator[bytes]) -> None:
        self._old = old
        self._rest = b""  # of the old piece that was begun
        self._gone: dict[bytes, bytes] = {}  # identity -> content of old items that no new one has answered yet
        self._new: dict[bytes, bytes] = {}
        self.difference = Difference()

    def feed(self, marks: bytes) -> None:
        """The marks of the next new items."""
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
            self._pair(old, content)

    def _take_old(self) -> None:
        identity, content = self._rest[:MARK], self._rest[MARK:PAIR]
        self._rest = self._rest[PAIR:]
        new = self._new.pop(identity, None)
        if new is None:
            self._gone[identity] = content
        else:
            self._pair(content, new)

    def _pair(self, old: bytes, new: bytes) -> None:
        if old == new:
            self.difference.unchanged += 1
        else:
            self.difference.changed += 1
