"""`hookline publish`: which kept-back result is meant, and its publication; also how commands open a state.

A run is published by itself when nothing speaks against it. What is left are two kinds: one whose publish was begun and
interrupted, which has to be finished first, and candidates, which a check held back or which saw only a part. A run
whose crawl is over, but whose items no store could take, is `run`'s to go on with, and may be published here as well.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from pipeline.config.loader import Loaded
from pipeline.errors import ConfigError, NothingToDoError, Problem
from pipeline.runner.build import Options
from pipeline.runner.home import FILE, Home, state_folder
from pipeline.runner.past import Past
from pipeline.runner.session import Session
from pipeline.runner.summary import Summary
from pipeline.state import runs
from pipeline.state.database import size
from pipeline.state.runs import RunRow
from pipeline.state.writer import Writer

MOST_RUNS = 1000  # newest ones, that are looked through

WHY_NOT = {
    "open": "was interrupted; `hookline run` goes on with it",
    "failed": "found no source, so it has no result",
    "dropped": "was dropped, its pages are gone",
}


def state_file(loaded: Loaded) -> Path | None:
    """The database of a config; None where there is none yet, or one that a killed process had only just made.

    Raises ConfigError where permission is lacking.
    """
    path = state_folder(loaded) / FILE
    return path if size(path) else None


def release(loaded: Loaded, wanted: str | None, *, force: bool, say: Callable[[str], None]) -> Summary:
    """Publish the run `wanted`, an id or the beginning of one; None: the pending one, else the newest candidate.

    With `force` whatever its checks say. Raises NothingToDoError where there is nothing to publish, ConfigError for a
    run that is not there or has nothing to publish, and what `execute` raises.
    """
    if state_file(loaded) is None:
        raise NothingToDoError(f"{loaded.config.name}: nothing to publish: no run yet")
    options = Options()
    with Home(state_folder(loaded)) as home:
        history = home.writer.call(runs.history, MOST_RUNS)
        row = _newest(history) if wanted is None else _releasable(_named(home.writer, wanted))
        if row is None:
            open_run = next((f"run {one.id} {WHY_NOT['open']}" for one in history if one.status == "open"), None)
            raise NothingToDoError(f"{loaded.config.name}: nothing to publish: {open_run or 'no result was kept back'}")
        pending = next((one for one in history if one.status == "publishing"), row)
        if pending.number != row.number:
            raise wrong(f"run {pending.id} is being published and was interrupted", "publish that one first")
        home.say(row.id)
        return Session(loaded, options, home, say).release(Past.of(row), force=force)


def _newest(history: list[RunRow]) -> RunRow | None:
    """The run whose publish was interrupted, else the one that no store could take, else the newest candidate."""
    for status in ("publishing", "open", "candidate"):
        for row in history:
            if row.status == status and (status != "open" or Past.of(row).is_undelivered):
                return row
    return None


def named(found: list[RunRow], wanted: str, ids: Callable[[], list[str]]) -> RunRow:
    """The run that is meant by an id or the beginning of one, of those `found` for it (`runs.find`).

    Raises ConfigError where there is none, or several; `ids` then tells which runs there are.
    """
    if not found:
        names = ids()
        near = get_close_matches(wanted, names, n=3, cutoff=0.4) or names[:3]
        raise wrong(f"there is no run {wanted!r}", f"near to it: {', '.join(near)}" if near else "there was no run yet")
    if len(found) > 1:
        raise wrong(f"{wanted!r} is the beginning of several runs", ", ".join(row.id for row in found[:5]))
    return found[0]


def _named(writer: Writer, wanted: str) -> RunRow:
    return named(writer.call(runs.find, wanted), wanted, partial(writer.call, runs.ids))


def _releasable(row: RunRow) -> RunRow:
    if row.status == "published":
        raise NothingToDoError(f"run {row.id} is published already")
    if row.status in WHY_NOT and not Past.of(row).is_undelivered:
        raise wrong(f"run {row.id} cannot be published: it {WHY_NOT[row.status]}")
    return row


def wrong(message: str, hint: str = "") -> ConfigError:
    """A mistake in what was typed."""
    return ConfigError([Problem(None, "", message, hint)])
