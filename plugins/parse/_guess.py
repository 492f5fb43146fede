"""Dates without a format: dateparser, held to the run's start and the field's zone and languages."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from dateparser.date import DateDataParser

from ._languages import Language

_HOURS = re.compile(r"\b([01]?\d|2[0-3])\s?[hH]\s?([0-5]\d)\b")
_MAX_LENGTH = 100  # characters: what is longer is no date, and dateparser would look at every word of it


class Guess:
    """Reads dates in any usual spelling of some languages. Days without a month, or without a day, are no dates."""

    def __init__(self, languages: Sequence[Language], zone: str, year: str) -> None:
        self._codes = [one.code for one in languages]
        self._languages = [one.code for one in languages if one.locale is None]
        self._locales = [one.locale for one in languages if one.locale is not None]
        self._zone = zone
        self._year = year
        self._parsers: tuple[datetime, Any, Any] | None = None

    def read(self, text: str, start: datetime) -> datetime | None:
        """The date, naive in the field's zone unless the text names another."""
        if not text or len(text) > _MAX_LENGTH:
            return None
        found = self._read(text, start)
        for other in self._respelt(text) if found is None else ():
            found = found or self._read(other, start)
        return found

    def _respelt(self, text: str) -> Iterator[str]:
        """The text as dateparser knows it, where it is written in a way that it does not know."""
        if (plain := _HOURS.sub(r"\1:\2", text)) != text:
            yield plain  # 19h30
        if "I" in text and {"tr", "az"}.intersection(self._codes):
            yield (
                text.replace("I", "\u0131").replace("\u0130", "i").lower()
            )  # capitals of a language with two kinds of i

    def _read(self, text: str, start: datetime) -> datetime | None:
        if self._parsers is None or self._parsers[0] != start:
            # 1,461 and 33 days: what is relative then moves by days, a date without year by whole years.
            later = start + timedelta(days=1461 + 33)
            self._parsers = (start, self._parser(start), self._parser(later))
        _, parser, other = self._parsers
        found = _ask(parser, text)
        if found is None or re.search(r"\d{4}", text):
            return found
        moved = _ask(other, text)
        if moved is None or moved.year == found.year or (moved.month, moved.day) != (found.month, found.day):
            return found
        return self._with_year(found, start)

    def _with_year(self, found: datetime, start: datetime) -> datetime | None:
        from ._dates import choose_year  # noqa: PLC0415 - it imports this module

        year = choose_year(found.month, found.day, start.date(), self._year)
        return None if year is None else found.replace(year=year)

    def _parser(self, base: datetime) -> Any:
        settings: dict[str, Any] = {
            "RELATIVE_BASE": base.replace(tzinfo=None),
            "TIMEZONE": self._zone,
            "REQUIRE_PARTS": ["day", "month"],
            "RETURN_TIME_AS_PERIOD": False,
            "PREFER_LOCALE_DATE_ORDER": True,
        }
        return DateDataParser(
            languages=self._languages or None,
            locales=self._locales or None,
            try_previous_locales=False,
            settings=settings,
        )


def _ask(parser: Any, text: str) -> datetime | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found: datetime | None = parser.get_date_data(text).date_obj
        except (ValueError, OverflowError, TypeError, RecursionError):  # dateparser gives up on some texts
            return None
    return found
