"""When something changed, as sitemaps and feeds write it: W3C dates (ISO 8601) and those of mail (RFC 5322)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_PARTS: Final = re.compile(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?")
_NONE: Final = 3 * 86400
_OFFSETS: Final = timedelta(hours=14)  # the farthest that a place is from UTC


def latest(text: str) -> float | None:
    """The last moment that a date may mean, in seconds since 1970; None if it is none.

    A day is over when it is over everywhere, a month with its last day: who asks whether something changed since must
    not be told "no" too early. Dates up to the first days of 1970 are how programs write that they know none.
    """
    try:
        seconds = _last(text.strip())
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return seconds if seconds > _NONE else None


def _last(text: str) -> float:
    if (parts := _PARTS.fullmatch(text)) is not None:
        return (_end(*map(_number, parts.groups())) + _OFFSETS).timestamp()
    moment = _moment(text)
    return moment.timestamp() if moment.tzinfo else (moment.replace(tzinfo=UTC) + _OFFSETS).timestamp()


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _end(year: int | None, month: int | None, day: int | None) -> datetime:
    """The end of a year, month or day, as if it were in UTC."""
    assert year is not None
    if month is None:
        return datetime(year + 1, 1, 1, tzinfo=UTC)
    if day is None:
        return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return datetime(year, month, day, tzinfo=UTC) + timedelta(days=1)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - 8 ms, where a page or a list has such dates

        return parsedate_to_datetime(text)
