"""`near_duplicate`: of items whose texts are nearly the same, keep the first in output order.

    filter:
      - near_duplicate: {field: text, distance: 3}

Texts are compared by SimHash (Charikar 2002) over overlapping groups of three words: 64 bits of which nearly the same
texts share nearly all. `distance` is how many bits may differ; 3 is what Manku and others (2007) found right for web
pages. Short texts say too little, and stay. Memory is about 100 bytes an item and one look for each part of a hash.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise

from pipeline import Drop, Item, KnownFields, OptionError, Registry, hookimpl, unknown_fields

BITS = 64
WORDS = 3  # of a group
MOST_DISTANCE = 7


class NearDuplicate:
    """Drop items whose `field`, of `shortest` words or more, is within `distance` bits of an earlier one's."""

    changes_fields = False
    single = True  # must see every item, so it runs at publish

    def __init__(self, field: str, distance: int = 3, shortest: int = 8) -> None:
        if not 0 <= distance <= MOST_DISTANCE:
            raise OptionError(f"distance goes from 0 to {MOST_DISTANCE}", path=("distance",))
        self.field = field
        self.distance = distance
        self.shortest = shortest
        edges = [part * BITS // (distance + 1) for part in range(distance + 2)]
        self._parts = [(low, (1 << (high - low)) - 1) for low, high in pairwise(edges)]
        self._seen: dict[tuple[str, int, int], list[int]] = defaultdict(list)

    def check_fields(self, fields: KnownFields) -> Iterator[OptionError]:
        """A field that no item has."""
        for error in unknown_fields([self.field], fields):
            yield OptionError(str(error), path=("field",), hint=error.hint)

    @hookimpl
    def process_item(self, item: Item) -> Drop | None:
        """Hashes that differ in few bits agree wholly in one of a few parts: only such are compared."""
        text = item.get(self.field)
        words = re.findall(r"\w+", text.lower()) if isinstance(text, str) else []
        if len(words) < self.shortest:
            return None
        mark = simhash(words)
        keys = [(item.type, low, mark >> low & mask) for low, mask in self._parts]
        for key in keys:
            if any((mark ^ other).bit_count() <= self.distance for other in self._seen.get(key, ())):
                return Drop("nearly the same as an earlier one")
        for key in keys:
            self._seen[key].append(mark)
        return None


def simhash(words: list[str]) -> int:
    """Each bit is what most hashes of groups of words have there."""
    groups = {" ".join(words[start : start + WORDS]) for start in range(max(len(words) - WORDS + 1, 1))}
    counts = [0] * BITS
    for group in groups:
        digest = int.from_bytes(blake2b(group.encode("utf-8", "surrogatepass"), digest_size=BITS // 8).digest(), "big")
        for bit in range(BITS):
            counts[bit] += 1 if digest >> bit & 1 else -1
    return sum(1 << bit for bit, count in enumerate(counts) if count > 0)


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.filter("near_duplicate", NearDuplicate)
