"""`hookline diff`: which two published results are meant, and what lies between them."""

from __future__ import annotations

from functools import partial

import msgspec

from pipeline.config.loader import Loaded
from pipeline.errors import NothingToDoError
from pipeline.runner.changes import Change, between, turned
from pipeline.runner.release import named, state_file, wrong
from pipeline.state import changes, runs
from pipeline.state.changes import RUNS, Published
from pipeline.state.database import Database, reading


class Diff(msgspec.Struct, frozen=True):
    """The changes from one published result to another; `whole` if these are all of them."""

    one: str
    other: str
    whole: bool
    changes: list[Change]

    def count(self, kind: str) -> int:
        """How many are new, changed or gone."""
        return sum(change.kind == kind for change in self.changes)


def diff(loaded: Loaded, one: str | None, other: str | None) -> Diff:
    """What has changed from run `one` to run `other`, ids or their beginnings.

    Without `other`: to the last published run; without both: from the one before it. Raises NothingToDoError where
    there is nothing to compare, ConfigError for runs that were not published or are too long ago.
    """
    path = state_file(loaded)
    if path is None:
        raise NothingToDoError(f"{loaded.config.name}: nothing to compare: no run yet")
    with reading(path, briefly=True) as db:
        db.execute("BEGIN")  # one view of the state: a run may publish meanwhile
        newest = changes.published(db, 0, 2**62)
        if len(newest) < 2:
            there = "only one result was published yet" if newest else "nothing was published yet"
            raise NothingToDoError(f"{loaded.config.name}: nothing to compare: {there}")
        last = newest[-1] if other is None else _published(db, newest, other)
        first = newest[-2] if one is None else _published(db, newest, one)
        low, high = sorted((first, last))
        steps = [step for step in newest if low.number < step.number <= high.number]
    lost = next((step for step in reversed(steps) if step.changes is None), None)
    if lost is not None:
        message = f"what changed with run {lost.id} is not kept any more"
        raise wrong(message, f"the last {RUNS} published runs can be compared; the oldest is {lost.id}")
    found = list(between(steps))
    if first.number > last.number:
        found = [turned(change) for change in found]
    return Diff(first.id, last.id, all(step.whole for step in steps), found)


def _published(db: Database, known: list[Published], wanted: str) -> Published:
    row = named(runs.find(db, wanted), wanted, partial(runs.ids, db))
    found = next((step for step in known if step.number == row.number), None)
    if found is None:
        ids = ", ".join(step.id for step in known[:-4:-1])
        raise wrong(f"run {row.id} was not published ({row.status})", f"published were: {ids}")
    return found
