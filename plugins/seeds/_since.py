"""`since` of sitemaps and feeds: from what a config says to a moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from pipeline import OptionError

Since: TypeAlias = float | Literal["last_success"] | None

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(m|h|d)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def check(since: str | None) -> None:
    """Raise OptionError for what is neither `last_success`, nor a date, nor a duration."""
    moment(since, datetime.now(UTC))


def moment(since: str | None, start: datetime) -> Since:
    """What `since` means to a run that began at `start`: seconds since 1970, or `last_success`, which the run knows."""
    if since is None or since == "last_success":
        return since  # type: ignore[return-value]  # mypy does not narrow by comparing
    if duration := _DURATION.fullmatch(since):
        return (start - timedelta(**{_UNITS[duration[2]]: float(duration[1])})).timestamp()
    try:
        date = datetime.fromisoformat(since)
    except ValueError:
        hint = "write last_success, a date as 2026-01-31, or a duration as 7d"
        raise OptionError(f"since: {since!r} is no moment", hint=hint) from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def check_url(name: str, url: str) -> None:
    """Raise OptionError for what is no URL."""
    if not re.match(r"https?://[^/\s]+", url, re.IGNORECASE):
        raise OptionError(f"{url!r} is no URL", hint=f"as {name}: https://shop.example/{name}.xml")
