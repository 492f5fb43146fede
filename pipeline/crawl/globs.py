"""What globs on URLs have in common: whether some cover another, whether two meet. Decided from their text alone.

A glob is read as `scope.Pattern` reads it, and walked as the automaton that it is, over strings of path and query. All
signs that no glob names behave alike, so one of them stands for the rest. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))
_OTHER: Final = "\0"  # any sign that no glob names
_MOST_STATES: Final = 20_000  # beyond it nothing is certain


class _Step(NamedTuple):
    """A sign, or (`sign` empty) any number of signs but those of `without`."""

    sign: str
    without: str = ""


class _Glob:
    """The steps of a glob. One on the path alone is followed by any query."""

    def __init__(self, text: str) -> None:
        wild = "" if "?" in text else "?"
        self.steps = [
            _Step("", wild) if part == "**" else _Step("", f"/{wild}") if part == "*" else _Step(part)
            for part in re.findall(r"\*\*|.", quote(text, safe=_PRINTABLE), re.DOTALL)
        ]
        self.end = len(self.steps)
        self.tail = None if "?" in text else self.end + 1

    def reached(self, place: int) -> list[int]:
        """The place, and those behind it that need no sign."""
        found = [place]
        while place < self.end and not self.steps[place].sign:
            place += 1
            found.append(place)
        return found

    def after(self, place: int, sign: str) -> list[int]:
        """Where a sign leads from a place."""
        if place >= self.end:
            return [self.tail] if self.tail is not None and (place == self.tail or sign == "?") else []
        step = self.steps[place]
        if step.sign:
            return self.reached(place + 1) if step.sign == sign else []
        return [] if sign in step.without else self.reached(place)

    def accepts(self, place: int) -> bool:
        """Is this an end?"""
        return place >= self.end


def covered(glob: str, others: Sequence[str]) -> bool:
    """Does every URL that fits `glob` fit one of the others?"""
    return not any(
        own.accepts(place) and not any(rest[number].accepts(spot) for number, spot in spots)
        for own, rest, place, spots in _walk(glob, others, lost=True)
    )


def meets(glob: str, others: Sequence[str]) -> bool:
    """Is there a URL that fits `glob` and one of the others?"""
    return any(
        own.accepts(place) and any(rest[number].accepts(spot) for number, spot in spots)
        for own, rest, place, spots in _walk(glob, others, lost=False)
    )


_Spots = frozenset[tuple[int, int]]  # where in which of the others


def _walk(text: str, others: Sequence[str], *, lost: bool) -> Iterator[tuple[_Glob, list[_Glob], int, _Spots]]:
    """All (place in the glob, places in the others) that some start of a URL leads to; with `lost` also where the
    others give up.

    Where there are too many, the last one is made up, so that nothing is taken for certain.
    """
    own, rest = _Glob(text), [_Glob(other) for other in others if may_meet(text, other)]
    signs = sorted({"/", "?", _OTHER, *(step.sign for one in (own, *rest) for step in one.steps if step.sign)})
    begin = frozenset((number, spot) for number, one in enumerate(rest) for spot in one.reached(0))
    first = [(place, _next(rest, begin, "/")) for start in own.reached(0) for place in own.after(start, "/")]
    seen, waiting = set(first), first
    while waiting:
        place, spots = waiting.pop()
        yield own, rest, place, spots
        for sign in signs:
            new = _next(rest, spots, sign)
            for target in own.after(place, sign) if new or lost else ():
                if (target, new) not in seen:
                    seen.add((target, new))
                    waiting.append((target, new))
        if len(seen) > _MOST_STATES:
            yield own, rest, own.end, frozenset((number, one.end) for number, one in enumerate(rest) if not lost)
            return


def may_meet(one: str, two: str) -> bool:
    """Do the globs begin alike, up to their first wildcards? Quick; others neither cover each other nor meet."""
    first, second = (quote(text.partition("*")[0], safe=_PRINTABLE) for text in (one, two))
    return first.startswith(second) or second.startswith(first)


def _next(rest: Sequence[_Glob], spots: _Spots, sign: str) -> _Spots:
    return frozenset((number, target) for number, spot in spots for target in rest[number].after(spot, sign))
