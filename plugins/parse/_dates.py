"""Dates: from text to `date` and `datetime`, by formats where there are some, else by dateparser.

Nothing depends on the machine's clock, zone or locale: what is relative counts from the run's start, a datetime without
offset is in the field's zone (UTC if none is named), names of months and days are those of the field's languages.
A format is turned into one regular expression when the config is loaded. Case, accents and the amount of white space do
not count; the whole text must fit.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from ._languages import DAYS, Language

_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s*(?:Z|[+-]\d\d:?\d\d)?)?")
_BASIC = re.compile(r"\d{8}T\d{4}(?:\d\d)?(?:Z|[+-]\d{4})?")  # ISO 8601 without signs, as calendars have it
_RFC2822 = re.compile(r"(?:[A-Za-z]{3}, )?\d{1,2} [A-Za-z]{3} \d{4} \d\d:\d\d(?::\d\d)? (?:[+-]\d{4}|[A-Z]{1,4})")
_MARKS = re.compile("[\u0300-\u036f]")
_ORDINAL = r"(?:(?:st|nd|rd|th|er|re|e|º|ª|°)(?!\w))?"
_OFFSET = r"(?P<z>(?:utc|gmt)?\s*[+-]\d{1,2}(?::?\d{2})?|z|utc|gmt)"
_NUMBERS = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d{2})",
    "m": r"(?P<m>\d{1,2})",
    "d": r"(?P<d>\d{1,2})" + _ORDINAL,
    "H": r"(?P<H>\d{1,2})",
    "I": r"(?P<H>\d{1,2})",
    "M": r"(?P<M>\d{1,2})",
    "S": r"(?P<S>\d{1,2})",
    "f": r"(?P<f>\d{1,9})",
    "s": r"(?P<s>-?\d{1,13})",
    "z": _OFFSET,
}
ZONES: Mapping[str, int] = {  # hours from UTC of the zones that pages name
    "utc": 0,
    "gmt": 0,
    "z": 0,
    "wet": 0,
    "west": 1,
    "bst": 1,
    "cet": 1,
    "cest": 2,
    "mez": 1,
    "mesz": 2,
    "eet": 2,
    "eest": 3,
    "msk": 3,
    "est": -5,
    "edt": -4,
    "cst": -6,
    "cdt": -5,
    "mst": -7,
    "mdt": -6,
    "pst": -8,
    "pdt": -7,
    "jst": 9,
    "kst": 9,
    "aest": 10,
    "aedt": 11,
}
_DIRECTIVE = re.compile(r"%-?([A-Za-z%])|(\s+)|(.)", re.DOTALL)


class FormatError(ValueError):
    """A format that is none."""


class Format(NamedTuple):
    """A compiled format."""

    pattern: re.Pattern[str]
    months: Mapping[str, int]
    days: Mapping[str, int]
    afternoon: frozenset[str]


class Dates:
    """Reads the dates of one field. `year` says which one is meant where there is none."""

    def __init__(
        self,
        *,
        with_time: bool,
        formats: Sequence[str] = (),
        languages: Sequence[Language] = (),
        zone: str | None = None,
        year: str = "nearest",
    ) -> None:
        self._with_time = with_time
        self._languages = languages
        self._zone: tzinfo = ZoneInfo(zone) if zone else UTC
        self._zone_name = zone or "UTC"
        self._year = year
        self._formats = [compile_format(text, languages) for text in formats]
        self._guess: Any = None

    def read(self, text: str, start: datetime) -> date | None:
        """The date, or None if the text is none. `start` is the run's, aware."""
        start = start.astimezone(self._zone)
        found = self._by_format(text, start) if self._formats else self._by_guess(text, start)
        if found is None:
            return None
        try:
            if not self._with_time:
                return found.date()
            aware = found if found.tzinfo is not None else found.replace(tzinfo=self._zone)
            offset = aware.utcoffset() or timedelta()
            return aware.replace(tzinfo=UTC if not offset else timezone(offset))
        except (OverflowError, ValueError):
            return None

    def _by_format(self, text: str, start: datetime) -> datetime | None:
        folded = " ".join(fold(text).split())
        for one in self._formats:
            match = one.pattern.fullmatch(folded)
            found = None if match is None else self._build(match.groupdict(), one, start)
            if found is not None:
                return found
        return None

    def _build(self, parts: dict[str, str | None], form: Format, start: datetime) -> datetime | None:
        try:
            return self._assemble({name: text for name, text in parts.items() if text is not None}, form, start)
        except (ValueError, OverflowError, OSError):  # 31 February, 25 o'clock
            return None

    def _assemble(self, parts: dict[str, str], form: Format, start: datetime) -> datetime | None:
        if "s" in parts:
            seconds = int(parts["s"])
            return datetime.fromtimestamp(seconds / 1000 if len(parts["s"]) > 11 else seconds, UTC)
        month = form.months[parts["B"]] if "B" in parts else int(parts.get("m", 1))
        day = int(parts.get("d", 1))
        year = self._year_of(parts)
        if year is None:
            if not ("d" in parts and ("B" in parts or "m" in parts)):
                return None
            weekday = form.days.get(parts.get("A", ""))
            year = choose_year(month, day, start.date(), self._year, weekday)
        if year is None:
            return None
        moment = datetime(
            year,
            month,
            day,
            _hour(parts, form),
            int(parts.get("M", 0)),
            int(parts.get("S", 0)),
            int(parts.get("f", "0")[:6].ljust(6, "0")),
        )
        offset = _offset(parts)
        return moment if offset is None else moment.replace(tzinfo=offset)

    def _year_of(self, parts: dict[str, str]) -> int | None:
        if "Y" in parts:
            return int(parts["Y"])
        if "y" not in parts:
            return None
        year = int(parts["y"])
        return year + (2000 if year < 69 else 1900)  # POSIX, as strptime

    def _by_guess(self, text: str, start: datetime) -> datetime | None:
        text = " ".join(text.split())
        try:
            if _BASIC.fullmatch(text):
                return datetime.fromisoformat(text)
            if _ISO.fullmatch(text):
                return datetime.fromisoformat(text.replace(",", ".").replace(" Z", "Z"))
            if _RFC2822.fullmatch(text):
                return parsedate_to_datetime(text)
        except ValueError:
            return None
        if self._guess is None:
            from ._guess import Guess  # noqa: PLC0415 - dateparser takes 90 ms to import

            self._guess = Guess(self._languages, self._zone_name, self._year)
        found: datetime | None = self._guess.read(text, start)
        return found


def _hour(parts: Mapping[str, str], form: Format) -> int:
    hour = int(parts.get("H", 0))
    if "p" in parts and hour <= 12:
        return hour % 12 + (12 if parts["p"].replace(".", "") in form.afternoon else 0)
    return hour


def _offset(parts: Mapping[str, str]) -> tzinfo | None:
    if "Z" in parts:
        return timezone(timedelta(hours=ZONES[parts["Z"]]))
    text = re.sub(r"utc|gmt|z|\s", "", parts["z"]) if "z" in parts else None
    if text is None:
        return None
    digits = text[1:].replace(":", "")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return timezone(-offset if text.startswith("-") else offset)


def choose_year(month: int, day: int, today: date, which: str, weekday: int | None = None) -> int | None:
    """The year of a date without one: nearest to today, the next or the last such date, or this year's.

    A weekday decides where it fits some of the years around; where it fits none, it is ignored.
    """
    if which == "current":
        return today.year
    candidates = [found for year in range(today.year - 8, today.year + 9) if (found := _date(year, month, day))]
    if which == "future":
        candidates = [one for one in candidates if one >= today]
    elif which == "past":
        candidates = [one for one in candidates if one <= today]
    candidates.sort(key=lambda one: abs(one - today))
    near = candidates[:3]
    fitting = [one for one in near if one.weekday() == weekday]
    return next((one.year for one in fitting or near), None)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def fold(text: str) -> str:
    """Without case, accents and compatibility forms: what two spellings of a name have in common."""
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return unicodedata.normalize("NFC", plain.replace("\u0131", "i"))  # Turkish: I without a dot, in small


def compile_format(text: str, languages: Sequence[Language]) -> Format:
    """A strptime format as a regular expression. Raises `FormatError`."""
    months = _names(language.months for language in languages)
    days = _names(language.days for language in languages)
    noon = frozenset(fold(name).replace(".", "") for language in languages for name in language.afternoon) | {"pm", "p"}
    morning = {fold(name).replace(".", "") for language in languages for name in language.morning} | {"am", "a"}
    named = {
        "B": _either("B", months),
        "b": _either("B", months),
        "A": _either("A", days),
        "a": _either("A", days),
        "p": r"(?P<p>" + "|".join(rf"{_dotted(name)}" for name in sorted(noon | morning, key=len, reverse=True)) + ")",
        "Z": r"(?P<Z>" + "|".join(sorted(ZONES, key=len, reverse=True)) + r")(?!\w)",
        **_NUMBERS,
    }
    found: list[str] = []
    after_name = False
    for match in _DIRECTIVE.finditer(text.strip()):
        letter, space, literal = match.groups()
        letter = "d" if letter == "e" else letter
        if letter and letter != "%":
            if letter not in named:
                known = ", ".join(f"%{one}" for one in sorted(named))
                raise FormatError(
                    f"format {text!r}: there is no {match[0]} at column {match.start() + 1}; known are {known}"
                )
            found.append(named[letter])
        elif space:
            found.append(r"\s+")
        else:
            folded = re.escape(fold(literal or "%"))
            found.append(folded + "?" if after_name and literal == "." else folded)  # "Mai" beside "Jan."
        after_name = letter in ("B", "b", "A", "a")
    try:
        pattern = re.compile("".join(found))
    except re.error:
        raise FormatError(f"format {text!r}: each part of a date may stand there once") from None
    if not pattern.groups:
        raise FormatError(f"format {text!r}: nothing of a date is in it; formats are written as %d.%m.%Y")
    return Format(pattern, months, days, noon)


def _names(tables: Any) -> dict[str, int]:
    return {fold(name).strip("."): number for table in tables for name, number in table.items()}


def _either(group: str, names: Mapping[str, int]) -> str:
    spelt = "|".join(re.escape(name).replace(r"\ ", r"\s+") for name in sorted(names, key=len, reverse=True))
    return rf"(?P<{group}>{spelt})\.?"


def _dotted(name: str) -> str:
    return r"\.?\s?".join(map(re.escape, name)) + r"\.?" if len(name) <= 2 else re.escape(name)


__all__ = ["DAYS", "Dates", "FormatError", "choose_year", "compile_format", "fold"]
