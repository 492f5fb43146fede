"""What every store must bear: tests that an author's test class inherits, and that `hookline plugin check` runs too.

    class TestTitles(StoreContract):
        def make_store(self, folder, run):
            return Titles(folder / "titles.txt")

        def read(self, folder):
            path = folder / "titles.txt"
            return path.read_text().splitlines() if path.exists() else []

The rules: nothing is visible before `commit`, everything after it; `abort` leaves what was there, and nothing else; a
process may be killed anywhere, and the same run is then given to a new object; a run that is committed twice counts
once. Knows no config and no run: a store is used through its hooks, as publishing uses it.
"""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from pipeline.model import Item
from pipeline.stages.chains import adapt
from pipeline.stages.runinfo import RunInfo
from pipeline.stages.stores import BoundStore
from pipeline.stages.validate import hooks_of
from pipeline.testing.pages import make_run

_FIRST, _SECOND = "20260101T000000Z-000001", "20260102T000000Z-000002"


def bind(store: Any) -> BoundStore:
    """A store's hooks as publishing calls them. AssertionError if they are not written as specified."""
    marked, mistakes = hooks_of(type(store).__name__, store)
    if mistakes:
        raise AssertionError("\n".join(f"{one.message}; {one.hint}" for one in mistakes))
    hooks = {hook.hook: adapt(hook.function, hook.hook, hook.arguments) for hook in marked}
    for wanted in ("store_items", "commit", "abort"):
        if wanted not in hooks:
            raise AssertionError(f"{type(store).__name__} has no {wanted}: a store has store_items, commit and abort")
    return BoundStore(type(store).__name__, hooks, path=getattr(store, "path", None))


class StoreContract:
    """Inherit, name the class `Test...`, and write `make_store` and `read`. Without pytest each method can be called
    with an empty folder.

    `replaces` says whether a later run's items take the place of those that are there (write mode `replace`) or are
    added to them (`append`); None leaves that untested. `batches` are the items of two runs.
    """

    replaces: ClassVar[bool | None] = True
    old: ClassVar[Sequence[Item]] = [Item("book", id=number, title=f"old {number}") for number in range(1, 4)]
    new: ClassVar[Sequence[Item]] = [Item("book", id=number, title=f"new {number} é\n") for number in range(11, 36)]

    def make_store(self, folder: Path, run: RunInfo) -> Any:
        """A new store object that writes into `folder` for this run."""
        raise NotImplementedError("write make_store(self, folder, run): the store, with its output in folder")

    def read(self, folder: Path) -> Any:
        """What a reader of the output sees, in order; an empty list where there is nothing."""
        raise NotImplementedError("write read(self, folder): the rows of the output, in order")

    # --- the rules ---------------------------------------------------------------------------------------------------

    def test_nothing_is_seen_before_commit(self, tmp_path: Path) -> None:
        """The target is as it was until `commit` returns."""
        self.publish(tmp_path, self.old, _FIRST)
        before = self.read(tmp_path)
        store = bind(self.make_store(tmp_path, make_run(run_id=_SECOND)))
        for item in self.new:
            store.store_items([item])
            self._same(tmp_path, before, "store_items changed the output before commit")
        store.commit(None)
        if self.read(tmp_path) == before:
            raise AssertionError("commit changed nothing: a reader sees what was there before")

    def test_batches_make_no_difference(self, tmp_path: Path) -> None:
        """One batch or many, an empty one among them: the same rows in the same order."""
        seen = []
        for name, size in (("whole", len(self.new)), ("parts", 4)):
            folder = tmp_path / name
            folder.mkdir()
            self.publish(folder, self.new, _FIRST, size)
            seen.append(self.read(folder))
        if seen[0] != seen[1]:
            raise AssertionError(f"in batches of 4 the output is {seen[1]!r:.300}, in one batch {seen[0]!r:.300}")

    def test_abort_leaves_what_was_there(self, tmp_path: Path) -> None:
        """After `abort` the target is as it was, and no file is left that was not there."""
        self.publish(tmp_path, self.old, _FIRST)
        before, files = self.read(tmp_path), _files(tmp_path)
        store = bind(self.make_store(tmp_path, make_run(run_id=_SECOND)))
        store.store_items(list(self.new))
        store.abort("a check failed")
        self._same(tmp_path, before, "abort changed the output")
        if left := sorted(_files(tmp_path) - files):
            raise AssertionError(f"abort left {', '.join(left)}")

    def test_abort_before_anything_was_staged(self, tmp_path: Path) -> None:
        """A store may be aborted at once, and again."""
        store = bind(self.make_store(tmp_path, make_run(run_id=_FIRST)))
        store.abort("stopped")
        store.abort("stopped")
        if left := sorted(_files(tmp_path)):
            raise AssertionError(f"abort of an unused store left {', '.join(left)}")

    def test_a_result_without_items(self, tmp_path: Path) -> None:
        """A run may publish nothing: no exception, and nothing is seen."""
        self.publish(tmp_path, [], _FIRST)
        if self.replaces:
            self.publish(tmp_path, self.old, _FIRST)
            self.publish(tmp_path, [], _SECOND)
            if any(str(item["title"]) in str(self.read(tmp_path)) for item in self.old):
                raise AssertionError(f"a result without items left {self.read(tmp_path)!r:.300}")

    def test_the_next_run(self, tmp_path: Path) -> None:
        """Its items take the place of those before, or follow them (`replaces`)."""
        fresh, both = tmp_path / "fresh", tmp_path / "both"
        for folder in (fresh, both):
            folder.mkdir()
        self.publish(fresh, self.new, _SECOND)
        self.publish(both, self.old, _FIRST)
        first = self.read(both)
        self.publish(both, self.new, _SECOND)
        if self.replaces:
            self._same(both, self.read(fresh), "the earlier run's items are still there, or the new ones are not")
        elif self.replaces is False and len(self.read(both)) != len(first) + len(self.read(fresh)):
            raise AssertionError(f"{len(first)} rows, then {len(self.new)} items, gave {len(self.read(both))} rows")

    def test_a_run_counts_once(self, tmp_path: Path) -> None:
        """A process that is killed after its commit is followed by one that gives the same items again."""
        self.publish(tmp_path, self.old, _FIRST)
        self.publish(tmp_path, self.new, _SECOND)
        once = self.read(tmp_path)
        self.publish(tmp_path, self.new, _SECOND)
        self._same(tmp_path, once, "the same run, published again, changed the output")

    def test_killed_while_staging(self, tmp_path: Path) -> None:
        """Killed before commit: the target is as it was; the same run, given again, gives its output."""
        if not hasattr(os, "fork"):
            return
        clean = tmp_path / "clean"
        killed = tmp_path / "killed"
        for folder in (clean, killed):
            folder.mkdir()
            self.publish(folder, self.old, _FIRST)
        before = self.read(killed)
        self.publish(clean, self.new, _SECOND)
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                store = bind(self.make_store(killed, make_run(run_id=_SECOND)))
                store.store_items(list(self.new[:10]))
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        self._same(killed, before, "a process killed before commit changed the output")
        self.publish(killed, self.new, _SECOND)
        self._same(killed, self.read(clean), "after a kill, the same run gives another output")

    def test_values_of_every_kind(self, tmp_path: Path) -> None:
        """All that an item may hold can be stored, and a field may be missing."""
        self.publish(tmp_path, VALUES, _FIRST)

    def test_items_are_left_alone(self, tmp_path: Path) -> None:
        """Other stores get the same objects."""
        items = copy.deepcopy([*self.old, *VALUES])
        self.publish(tmp_path, items, _FIRST)
        for item, original in zip(items, [*self.old, *VALUES], strict=True):
            if dict(item) != dict(original) or item.type != original.type:
                raise AssertionError(f"the store changed {original!r} to {item!r}")

    # --- how -----------------------------------------------------------------------------------------------------

    def publish(self, folder: Path, items: Sequence[Item], run_id: str, size: int = 10) -> None:
        """As a run does it: sweep, batches, the last one empty, commit."""
        store = bind(self.make_store(folder, make_run(run_id=run_id)))
        store.sweep(run_id)
        for start in range(0, len(items), size):
            store.store_items(list(items[start : start + size]))
        store.store_items([])
        store.commit(None)

    def _same(self, folder: Path, expected: Any, message: str) -> None:
        got = self.read(folder)
        if got != expected:
            raise AssertionError(f"{message}\n  now:      {got!r:.500}\n  expected: {expected!r:.500}")


VALUES = [
    Item("book", id=101, title=None, price=Decimal("12.50"), when=date(2026, 1, 2), ok=True),
    Item("book", id=102, title="ü 漢 \U0001f600 \"' ,;\t", tags=["a", "b"], size={"x": 1, "y": [2]}, ratio=0.1),
    Item("book", id=103, title="", at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), many=2**40, less=-1),
]
"""Items with every kind of value that an item may hold."""


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
