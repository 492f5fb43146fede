"""A cron expression: what it says, how long it leaves at least between two runs, and how systemd says the same.

It is read as Debian's cron reads it, by cronsim, which is imported where there is a `schedule` only. What is no cron
expression everywhere (`L`, `#`, seconds, `5/10`) is refused. Mistakes are ValueErrors as in `units`: what is expected,
and a suggestion.
"""

from __future__ import annotations

import difflib
import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_WEEK: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")  # as systemd counts it
_DAY: Final = 86400
_YEARS: Final = 28  # that are looked at for the shortest gap: after them every weekday comes at every date again


class Part(NamedTuple):
    """One of the five."""

    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()


PARTS: Final = (
    Part("minute", 0, 59),
    Part("hour", 0, 23),
    Part("day of the month", 1, 31),
    Part("month", 1, 12, _MONTHS),
    Part("day of the week", 0, 7, _DAYS),
)


class Schedule(NamedTuple):
    """When a job runs. Weekdays count from Monday, 0. `either`: on the days and on the weekdays, else on days that are
    both.
    """

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either: bool

    def is_on(self, day: date) -> bool:
        """Whether it runs on this day."""
        of_month, of_week = day.day in self.days, day.weekday() in self.weekdays
        return day.month in self.months and ((of_month or of_week) if self.either else (of_month and of_week))

    def shortest_gap(self) -> int:
        """Seconds between two runs, at least, where no clock is changed."""
        times = [(hour * 60 + minute) * 60 for hour in self.hours for minute in self.minutes]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        first = date(2024, 1, 1)
        days = [number for number in range(_YEARS * 366) if self.is_on(first + timedelta(number))]
        nights = [later - earlier for earlier, later in pairwise(days)]
        gaps.append(min(nights, default=_YEARS * 366) * _DAY + times[0] - times[-1])
        return min(gaps)

    def on_calendar(self) -> list[str]:
        """The same for systemd's OnCalendar=, of which any number may be given: each adds its moments."""
        week = _ranges(self.weekdays, range(7), lambda number: _WEEK[number])
        week = "" if week == "*" else f"{week} "
        days = _ranges(self.days, range(1, 32), "{:02d}".format)
        months = _ranges(self.months, range(1, 13), "{:02d}".format)
        hours = _ranges(self.hours, range(24), "{:02d}".format)
        minutes = _ranges(self.minutes, range(60), "{:02d}".format)
        at = f"{hours}:{minutes}:00"
        if not self.either:
            return [f"{week}*-{months}-{days} {at}"]
        comes = any(
            self.days[0] <= monthrange(2024, month)[1] for month in self.months
        )  # the 30th of February does not
        return [f"*-{months}-{days} {at}"] * comes + [f"{week}*-{months}-* {at}"]


def parse(text: str) -> Schedule:
    """Read a cron expression. Raises ValueError."""
    if text.startswith("@"):
        return parse(_of_macro(text))._replace(text=text)
    parts = text.lower().split()
    if len(parts) != len(PARTS):
        what = "five parts: minute, hour, day of the month, month, day of the week"
        raise ValueError(what, _nearest_to(parts))
    for part, said in zip(PARTS, parts, strict=True):
        for term in said.split(","):
            _check(part, term)
    return _read(text, parts)


def _read(text: str, parts: Sequence[str]) -> Schedule:
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - few configs have a schedule

    try:
        read = CronSim(" ".join(parts), datetime(2024, 1, 1))  # of no zone: cron's time is the local one
    except CronSimError:  # all parts are right by themselves
        raise ValueError("a date that comes", f"no month of '{parts[3]}' has a day '{parts[2]}'") from None
    return Schedule(
        text=text,
        minutes=tuple(sorted(read.minutes)),
        hours=tuple(sorted(read.hours)),
        days=tuple(sorted(read.days)),
        months=tuple(sorted(read.months)),
        weekdays=tuple(sorted({(number + 6) % 7 for number in read.weekdays if isinstance(number, int)})),
        either=not read.day_and,
    )


_TERM: Final = re.compile(r"(?:(\*)|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:/(\d+))?", re.ASCII)


def _check(part: Part, term: str) -> None:
    """One term of a list: `*`, `5`, `1-5`, `mon-fri`, `*/10`, `0-30/10`."""
    found = _TERM.fullmatch(term)
    what = f"{'an' if part.name == 'hour' else 'a'} {part.name} of {part.low} to {part.high}"
    what += f" or {part.words[0]} to {part.words[-1]}" if part.words else ""
    if found is None:
        raise ValueError(f"{what}, a list, a range or a step", f"'{term}' is none")
    star, first, last, step = found.groups()
    if step is not None and int(step) == 0:
        raise ValueError(f"a step of 1 or more for the {part.name}", f"'{term}' never moves on")
    if star:
        return
    if step is not None and last is None:
        raise ValueError(
            f"a range before the step of the {part.name}", f"write '{first}-{part.high}/{step}' for '{term}'"
        )
    low, high = (_number(part, word, what) for word in (first, last or first))
    if low > high:
        raise ValueError(f"a range of the {part.name} that goes up", f"write '{low}-{part.high},{part.low}-{high}'")


def _number(part: Part, word: str, what: str) -> int:
    if word in part.words:
        return part.words.index(word) + (part.low if part.name == "month" else 0)
    if word.isdecimal() and part.low <= int(word) <= part.high:
        return int(word)
    near = difflib.get_close_matches(word[:3], part.words, 1) if not word.isdecimal() else []
    raise ValueError(what, f"did you mean '{near[0]}' for '{word}'?" if near else f"'{word}' is none")


def _of_macro(text: str) -> str:
    name = text.strip().lower()
    if name in MACROS:
        return MACROS[name]
    if name == "@reboot":
        raise ValueError("a time that comes again", "'@reboot' is none")
    near = difflib.get_close_matches(name, MACROS, 1)
    raise ValueError(", ".join(MACROS), f"did you mean '{near[0]}'?" if near else "")


def _nearest_to(parts: Sequence[str]) -> str:
    """What may have been meant by another number of parts."""
    if len(parts) == 1 and (near := difflib.get_close_matches(f"@{parts[0]}", MACROS, 1)):
        return f"did you mean '{near[0]}'?"
    if len(parts) in (6, 7):
        return f"these are {len(parts)}; seconds and years cannot be said"
    return 'as in "17 */6 * * *"'


def _ranges(values: Iterable[int], every: range, name: Callable[[int], str]) -> str:
    """`*` for all of them, else `1..5,9`."""
    numbers = sorted(values)
    if numbers == list(every):
        return "*"
    told: list[list[int]] = []
    for number in numbers:
        if told and told[-1][-1] == number - 1:
            told[-1].append(number)
        else:
            told.append([number])
    return ",".join(f"{name(run[0])}..{name(run[-1])}" if len(run) > 2 else ",".join(map(name, run)) for run in told)
