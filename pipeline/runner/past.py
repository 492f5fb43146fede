"""What the last run means for the next command: go on, publish, or leave it (spec, section 3, contract 9)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from pipeline.errors import LockedError, StorageError
from pipeline.stages.runinfo import RunInfo
from pipeline.state.lock import age
from pipeline.state.runs import RunRow

if TYPE_CHECKING:
    from pipeline.runner.build import Job, Options

TOO_OLD = timedelta(hours=24)  # an interrupted run that began earlier is not gone on with
LONG_AGO = timedelta(hours=12)  # a pending publish of a run that began earlier is not all that `run` does

_UNDELIVERED = (StorageError.exit_code, LockedError.exit_code)


class Past(msgspec.Struct, frozen=True):
    """A run of before, and when we are asked about it."""

    row: RunRow
    now: datetime

    @classmethod
    def of(cls, row: RunRow) -> Past:
        """As things are now."""
        return cls(row, datetime.now(UTC))

    @property
    def start(self) -> datetime:
        """When it began."""
        return datetime.fromisoformat(self.row.started)

    def age(self) -> str:
        """How long ago that is, in words."""
        return age(self.row.started, self.now)

    def is_long_ago(self) -> bool:
        """Whether a command that publishes it should go on and crawl."""
        return self.now - self.start > LONG_AGO

    @property
    def is_undelivered(self) -> bool:
        """Whether its crawl is over, and all that it lacks are stores that can take its items."""
        summary = self.row.summary or {}
        is_over = not summary.get("pending", 1) and summary.get("stopped") is None
        return self.row.status == "open" and self.row.exit_code in _UNDELIVERED and is_over

    def info(self, name: str) -> RunInfo:
        """Its identity, for plugins: a run of the config `name` that goes on is the same run."""
        return RunInfo(self.row.id, self.start, name, logging.getLogger("hookline.plugin"))


def why_not(past: Past, job: Job, options: Options) -> str | None:
    """Why an interrupted run is not gone on with, or None if it is."""
    if options.fresh:
        return "--fresh was given"
    if past.now - past.start > TOO_OLD:
        return f"it began {past.age()} ago, and after 24 hours a run is not gone on with"
    if past.start - past.now > timedelta(minutes=5):
        return "it began in the future, so the clock was changed"
    if not _is_as_narrow(past.row, options):
        return _how_narrow(past.row, options)
    if past.row.fingerprint != job.fingerprint:
        return "seeds, scope, pages, parse, filter or a plugin have changed since"
    return None


def _is_as_narrow(row: RunRow, options: Options) -> bool:
    """Whether the command leaves out what the one that began the run left out."""
    if row.limit is None and row.only is None:  # a run of before they were kept may be narrowed all the same
        return row.narrowed == options.narrowed
    return (row.limit, row.only) == (options.limit, options.only)


def _how_narrow(row: RunRow, options: Options) -> str:
    had, has = narrowing(row.limit, row.only), narrowing(options.limit, options.only)
    if not had:
        return f"it was begun {'with other limits than' if row.narrowed else 'without'} {has or 'none'}"
    return f"it was begun with {had}, and this command has {has or 'no such limit'}"


def narrowing(limit: int | None, only: str | None) -> str:
    """The flags that narrow a run, as they are typed: `--limit 20`; "" without."""
    flags = [f"--limit {limit}"] if limit is not None else []
    return " ".join([*flags, f"--only {quote(only)}"] if only is not None else flags)
