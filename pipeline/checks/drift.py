"""What has changed about a result that no check asks for: a warning before a check fails.

Compared with the median of the last published runs, so that one odd run neither warns twice nor hides what follows. It
knows no config: what stands still is left alone, what falls or changes its kind is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from pipeline.checks.figures import FieldFigures, Figures, median
from pipeline.checks.judge import percentage

RUNS: Final = 7  # published ones that are looked at
ENOUGH: Final = 20  # items; below that a share jumps by itself
COUNT_FALLS: Final = 0.20  # by more than this share
COVERAGE_FALLS: Final = 0.05  # by more than these points
KIND_CHANGES: Final = 0.10
LENGTH_CHANGES: Final = 2.0  # times longer or shorter
LEAST_LENGTH: Final = 4.0  # by which a mean must have changed at least


class Drift(msgspec.Struct, frozen=True):
    """A figure that has moved: `figure` as in a check (`coverage.book.price`), what it was and what it is now."""

    figure: str
    before: float
    now: float
    message: str


def drift(now: Figures, past: Sequence[Figures]) -> list[Drift]:
    """What has moved; `past` are published runs, newest first."""
    past = past[:RUNS]
    return [*_counts(now, past), *_fields(now, past)] if past else []


def _counts(now: Figures, past: Sequence[Figures]) -> Iterator[Drift]:
    for kind in sorted({kind for figures in past for kind in figures.items}):
        before, count = median(figures.items.get(kind, 0) for figures in past), now.items.get(kind, 0)
        if before >= ENOUGH and count < before * (1 - COUNT_FALLS):
            yield Drift(f"items.{kind}", before, count, f"items of type {kind} fell from {before:g} to {count}")


def _fields(now: Figures, past: Sequence[Figures]) -> Iterator[Drift]:
    for kind in sorted(now.items):
        before = [figures for figures in past if figures.items.get(kind)]
        if not before or not now.items[kind]:
            continue
        small = now.items[kind] < ENOUGH or median(figures.items[kind] for figures in before) < ENOUGH
        for field in dict.fromkeys(name for figures in before for name in figures.fields.get(kind, {})):
            fell = _coverage(now, before, kind, field, small=small)
            if fell is not None:
                yield fell
            elif not small:
                earlier = [figures.fields.get(kind, {}).get(field, FieldFigures()) for figures in before]
                yield from _values(now.fields.get(kind, {}).get(field, FieldFigures()), earlier, f"{kind}.{field}")


def _coverage(now: Figures, past: Sequence[Figures], kind: str, field: str, *, small: bool) -> Drift | None:
    before = float(median(figures.coverage(kind, field) or 0 for figures in past))
    share = float(now.coverage(kind, field) or 0)
    vanished = share == 0 and before >= 0.5
    if round(before - share, 9) <= COVERAGE_FALLS or (small and not vanished):
        return None
    what = f"coverage of {kind}.{field} fell from {percentage(before)} to {percentage(share)}"
    return Drift(f"coverage.{kind}.{field}", before, share, what)


def _values(now: FieldFigures, past: Sequence[FieldFigures], name: str) -> Iterator[Drift]:
    """Kinds and lengths of a field's values, of which there are as many as before."""
    for kind in dict.fromkeys(word for figures in past for word in figures.types):
        before, share = median(_share(figures, kind) for figures in past), _share(now, kind)
        if round(before - share, 9) > KIND_CHANGES:
            other = max(now.types, key=lambda word: now.types[word] - before * (word == kind), default="")
            came = f", now mostly {other}" if other and other != kind else ""
            what = f"values of {name} that are {kind} fell from {percentage(before)} to {percentage(share)}{came}"
            yield Drift(f"types.{name}.{kind}", before, share, what)
            return  # other kinds have other lengths
    means = [figures.mean for figures in past if figures.mean is not None]
    if means and now.mean is not None:
        before, mean = median(means), now.mean
        if max(mean, before) >= min(mean, before) * LENGTH_CHANGES and abs(mean - before) >= LEAST_LENGTH:
            what = f"mean length of {name} went from {before:.1f} to {mean:.1f}"
            yield Drift(f"length.{name}", before, mean, what)


def _share(figures: FieldFigures, kind: str) -> float:
    return figures.types.get(kind, 0) / figures.filled if figures.filled else 0.0
