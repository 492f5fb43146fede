"""Which requests the run has met: fingerprint -> id, for millions of them, in about 27 bytes each.

It answers for nothing else: what became of a request is on disk.

Theory. A `dict` of a million fingerprints takes 150 MB. Here they stand in 1,024 *shards*, chosen by ten bits of the
fingerprint, each an open-addressing table with linear probing in one flat array: a *slot* is two 64-bit words, 12
bytes of the fingerprint and 4 bytes of the id, and is empty where the id is 0. A shard that is three quarters full
grows by half, alone: a tenth of a second for all of them would hold up the loop, a shard takes a thousandth of that.
96 bits are enough: among ten million requests the chance of one false match is 10^-15.

In front of the shards stands a dict of the fingerprints met last. Most links of a page are its menu, and were on the
page before; so nearly all look-ups are one dict hit.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from itertools import chain, islice
from struct import Struct
from typing import Final

SHARDS: Final = 1024
SLOT: Final = 16  # bytes
MOST_RECENT: Final = 8_192
_FORGOTTEN: Final = MOST_RECENT // 16  # how many of the oldest make room at a time
_LEAST_SLOTS: Final = 8
_SHARD_MASK: Final = SHARDS - 1
_ID_MASK: Final = 0xFFFF_FFFF
WIDTH: Final = 16  # bytes of a fingerprint
_each: Final = Struct(f"{WIDTH}s").iter_unpack
_words: Callable[[bytes], tuple[int, int]] = Struct(
    ">QI"
).unpack_from  # the first 8 and the next 4 bytes of a fingerprint


class Seen:
    """A map from fingerprints (16 bytes, uniform as hashes are) to ids (1 .. 2**32 - 1). Nothing is ever removed."""

    __slots__ = ("_counts", "_recent", "_shards")

    def __init__(self) -> None:
        self._shards = [_table(_LEAST_SLOTS) for _ in range(SHARDS)]
        self._counts = [0] * SHARDS
        self._recent: dict[bytes, int] = {}

    def __len__(self) -> int:
        return sum(self._counts)

    def get(self, mark: bytes) -> int | None:
        """The id of a fingerprint, or None."""
        found = self._recent.get(mark)
        return found if found is not None else self._look_up(mark)

    def unknown(self, marks: bytes) -> list[int]:
        """Which of these fingerprints, one behind the other, are new: their places."""
        each = [*chain.from_iterable(_each(marks))]
        older = set(each).difference(self._recent)  # nothing is left of most pages' links
        return [at for at, mark in enumerate(each) if mark in older and self._look_up(mark) is None] if older else []

    def add(self, mark: bytes, number: int) -> None:
        """Enter a fingerprint that `get` does not know."""
        head, tail = _words(mark)
        self._insert(head, tail << 32 | number)
        self._remember(mark, number)

    def expect(self, count: int) -> None:
        """Make room for so many at once; before `load`, this saves the growing."""
        share = count / SHARDS
        slots = int((share + 4 * share**0.5) * 4 / 3) + _LEAST_SLOTS  # shards are uneven: four standard deviations more
        for index, shard in enumerate(self._shards):
            if len(shard) < 2 * slots:
                self._resize(index, slots)

    def load(self, packed: bytes) -> None:
        """Enter many, none of them known: for each 12 bytes of its fingerprint and 4 bytes of its id, big-endian."""
        words = array("Q", packed)
        if sys.byteorder == "little":
            words.byteswap()
        shards, counts = self._shards, self._counts
        for head, value in zip(words[::2], words[1::2], strict=True):  # `_insert`, without a call for each
            index = head & _SHARD_MASK
            shard = shards[index]
            size = len(shard)
            if counts[index] * 8 >= size * 3:
                self._insert(head, value)
                continue
            at = (head >> 9) % size & -2
            while shard[at + 1]:
                at += 2
                if at == size:
                    at = 0
            shard[at] = head
            shard[at + 1] = value
            counts[index] += 1

    def _look_up(self, mark: bytes) -> int | None:
        head, tail = _words(mark)
        shard = self._shards[head & _SHARD_MASK]
        size = len(shard)
        at: int = (head >> 9) % size & -2
        while value := shard[at + 1]:
            if shard[at] == head and value >> 32 == tail:
                self._remember(mark, value & _ID_MASK)
                return value & _ID_MASK
            at += 2
            if at == size:
                at = 0
        return None

    def _insert(self, head: int, value: int) -> None:
        index = head & _SHARD_MASK
        size = len(self._shards[index])
        if self._counts[index] * 8 >= size * 3:  # words are two a slot: three quarters
            self._resize(index, size * 3 // 4)
        _put(self._shards[index], head, value)
        self._counts[index] += 1

    def _resize(self, index: int, slots: int) -> None:
        old = self._shards[index]
        new = self._shards[index] = _table(slots)
        for head, value in zip(old[::2], old[1::2], strict=True):
            if value:
                _put(new, head, value)

    def _remember(self, mark: bytes, number: int) -> None:
        recent = self._recent
        if len(recent) >= MOST_RECENT:
            for old in list(islice(recent, _FORGOTTEN)):
                del recent[old]
        recent[mark] = number


def _table(slots: int) -> array[int]:
    return array("Q", bytes(SLOT * slots))


def _put(shard: array[int], head: int, value: int) -> None:
    size = len(shard)
    at = (head >> 9) % size & -2  # the ten bits that chose the shard are no longer news, but for one
    while shard[at + 1]:
        at += 2
        if at == size:
            at = 0
    shard[at] = head
    shard[at + 1] = value
