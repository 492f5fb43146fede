"""Is a result good enough to publish? The checks of a config, and the ones that are always there (spec, section 3).

Figures in, verdicts out. A verdict says what was expected, what came, and what it was in the last published run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from pipeline.checks.figures import Figures, median
from pipeline.checks.grammar import COMPARISONS, LEAST_RUNS, SENT, Check, Figure, parse

ITEMS: Final = parse("items >= 1")
FAILED: Final = parse("pages.failed <= 10%")
VANISHED: Final = "no type of items vanishes"

_TRUE: Final = {
    ">=": lambda value, bound: value >= bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    "<": lambda value, bound: value < bound,
    "==": lambda value, bound: value == bound,
}


class Verdict(msgspec.Struct, frozen=True):
    """How one check came out; `message` says what was expected, what came, and what it was before.

    A check that could not be judged is `skipped`, and `passed` too. Of one that failed `url` is a page that shows why,
    where one was found, and `rule` its page rule.
    """

    check: str
    passed: bool
    message: str
    skipped: bool = False
    url: str = ""
    rule: str = ""


class Measured(msgspec.Struct, frozen=True):
    """A figure of a result: its value, None where there is nothing to measure, and how it is told."""

    value: Decimal | None
    text: str


def with_defaults(own: Sequence[Check], *, expects_items: bool) -> tuple[list[Check], bool]:
    """All checks of a config, and whether types may vanish.

    Each default steps aside where the config has a check on the same figure. `expects_items` says that some page rule
    or parser is there to give items.
    """
    guarded = expects_items and not any(check.figure.kind == "items" for check in own)
    checks = [*own, ITEMS] if guarded else list(own)
    if not any(str(check.figure) == "pages.failed" for check in own):
        checks.append(FAILED)
    return checks, not guarded


def judge(checks: Iterable[Check], now: Figures, past: Sequence[Figures]) -> list[Verdict]:
    """The verdicts over a result about to be published; `past` are published runs, newest first."""
    return [_judge_drop(check, now, past) if check.median else _judge(check, now, past) for check in checks]


def judge_types(now: Figures, past: Sequence[Figures], *, retired: Collection[str] | None = None) -> list[Verdict]:
    """The verdict that no type of the last published result has vanished.

    `retired` are types that cannot come any more because the config does not ask for them. Nothing to say before the
    first published result.
    """
    if not past:
        return []
    known = {kind: count for kind, count in past[0].items.items() if count and kind not in (retired or ())}
    lost = {kind: count for kind, count in sorted(known.items()) if not now.items.get(kind)}
    if not lost:
        return [Verdict(VANISHED, True, f"expected items of every type that was published, got all {len(known)}")]
    names = " and no ".join(lost)
    counts = ", ".join(f"{count} {kind}" for kind, count in lost.items())
    return [
        Verdict(VANISHED, False, f"expected items of every type that was published, got no {names}, before {counts}")
    ]


def runs_needed(checks: Iterable[Check]) -> int:
    """How many published runs the checks look at."""
    return max([check.median or 1 for check in checks], default=1)


# --- one check --------------------------------------------------------------------------------------------------------


def _judge(check: Check, now: Figures, past: Sequence[Figures]) -> Verdict:
    found = measured(check.figure, now, percent=check.percent)
    value = Decimal(0) if found.value is None else found.value
    bound = percentage(check.bound) if check.percent else str(check.bound)
    before = _before(check.figure, past, percent=check.percent)
    message = f"expected {COMPARISONS[check.sign]} {bound}, got {found.text}{before}"
    return Verdict(check.text, bool(_TRUE[check.sign](value, check.bound)), message)


def _judge_drop(check: Check, now: Figures, past: Sequence[Figures]) -> Verdict:
    assert check.median is not None
    percent = check.figure.kind == "coverage"
    found = measured(check.figure, now, percent=percent)
    looked_at = [measured(check.figure, figures, percent=percent).value for figures in past[: check.median]]
    values = [value for value in looked_at if value is not None]
    if len(values) < LEAST_RUNS:
        message = f"not judged: it needs {LEAST_RUNS} published runs, there {_are(len(values))}; got {found.text}"
        return Verdict(check.text, True, message, skipped=True)
    middle = Decimal(median(values))
    value = Decimal(0) if found.value is None else found.value
    fell = max((middle - value) / middle, Decimal(0)) if middle else Decimal(0)
    told = percentage(middle) if percent else f"{middle.normalize():f}"
    message = (
        f"expected at most {percentage(check.bound)} below {told}, the median of {len(values)} published runs, "
        f"got {found.text}, {percentage(fell)} below{_before(check.figure, past, percent=percent)}"
    )
    return Verdict(check.text, fell <= check.bound, message)


def _before(figure: Figure, past: Sequence[Figures], *, percent: bool) -> str:
    return f", before {measured(figure, past[0], percent=percent).text}" if past else ""


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count or 'none'}"


# --- figures ----------------------------------------------------------------------------------------------------------


def measured(figure: Figure, figures: Figures, *, percent: bool) -> Measured:
    """A figure of a result, as a share or as a count."""
    names = [name.text for name in figure.names]
    if figure.kind == "items":
        count = figures.items.get(names[0], 0) if names else figures.total()
        return Measured(Decimal(count), str(count))
    if figure.kind == "coverage":
        share, count = figures.coverage(*names), figures.items.get(names[0], 0)
        if share is None:
            return Measured(None, f"no items of type {names[0]}")
        return Measured(share, f"{percentage(share)} ({figures.filled(*names)} of {count})")
    count = _with_fate(figures.fates, names[0])
    if not percent:
        return Measured(Decimal(count), str(count))
    whole, what = _whole(figures.fates, names[0])
    share = Decimal(count) / whole if whole else Decimal(0)
    return Measured(share, f"{percentage(share)} ({count} of {whole} {what})")


def _with_fate(fates: Mapping[str, int], wanted: str) -> int:
    """How many requests ended so; a fate's first word stands for all that begin with it."""
    return sum(count for fate, count in fates.items() if fate == wanted or fate.partition(":")[0] == wanted)


def _whole(fates: Mapping[str, int], wanted: str) -> tuple[int, str]:
    """What a share is of: requests that were sent, or for those that were not, all."""
    if wanted.partition(":")[0] in SENT:
        return sum(count for fate, count in fates.items() if fate.partition(":")[0] in SENT), "requests sent"
    return sum(fates.values()), "requests"


def percentage(share: Decimal | float) -> str:
    """A share in per cent, with two decimals at most."""
    return f"{share * 100:.2f}".rstrip("0").rstrip(".") + " %"
