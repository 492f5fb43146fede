"""Publish is one step, after the crawl: read the result in order, stage, check, commit, promote (spec, section 3, 4).

Stores see nothing before it and make nothing visible until all of them hold their whole stage and the checks passed. An
error while staging leaves every target as it was.

*The journal.* When all stages stand, one transaction says that this run is being published, with a row for each store.
From then on the run will be published, whatever happens: a process that dies is followed by one that gives the same
items, which are in the state too, to the stores that had not committed. So a store's commit may be asked for twice for
one run, and must then be as if it had been asked once. When all have committed, one more transaction makes the run's
pages the published ones.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from pipeline.checks.figures import Fields, add
from pipeline.errors import HooklineError, StorageError
from pipeline.failpoints import hit
from pipeline.model import Item
from pipeline.runner.changes import MOST, collect, packed
from pipeline.runner.compare import Comparison, Difference, chosen
from pipeline.runner.home import is_file_target
from pipeline.runner.summary import Summary
from pipeline.stages.staging import LostItem, ResultPage, Staged, Stager, Store
from pipeline.stages.stores import BoundStore, sweep
from pipeline.stages.storing import StoreProcess
from pipeline.state import changes, pages, runs
from pipeline.state.lock import Lock
from pipeline.state.pages import DeadRow, StoredPage
from pipeline.state.writer import Writer

PAGES = 200  # pages that are read and staged at a time

Judge = Callable[[Summary], None]
"""Writes the verdicts on what has been staged into its summary."""


class StoppedError(Exception):
    """A signal came while the stages were written: nothing is visible yet, and the next run publishes."""


class Publisher:
    """Publishes the result of one run. `number` is the run's in the state, `keys` are the key fields by type; `stopped`
    is asked between pages, `balances` before anything becomes visible. For outputs that others have locked it waits for
    `wait` seconds.
    """

    def __init__(
        self,
        writer: Writer,
        stager: Stager | StoreProcess,
        *,
        number: int,
        run: str,
        judge: Judge,
        keys: Mapping[str, Sequence[str]] | None = None,
        stopped: Callable[[], bool] = lambda: False,
        balances: Callable[[Summary], bool] = lambda summary: True,
        wait: float = 0.0,
    ) -> None:
        self._writer = writer
        self._stager = stager
        self._number = number
        self._run = run
        self._judge = judge
        self._keys = keys or {}
        self._stopped = stopped
        self._balances = balances
        self._wait = wait

    def publish(self, summary: Summary, *, rules: Sequence[str], clean: bool, despite_checks: bool) -> bool:
        """Stage, check and commit the run's result; True if it is visible now. What came of it goes into `summary`.

        `rules` are the page rules that there are; `clean` says that nothing failed, was deferred or cut. Raises
        StorageError, LockedError and StoppedError; what had been committed by then stays.
        """
        self._writer.call(partial(pages.decide_removals, clean=clean, rules=list(rules)), self._number)
        return self._publish(summary, despite_checks=despite_checks)

    def release(self, summary: Summary, *, despite_checks: bool) -> bool:
        """As `publish`, for a candidate: what it takes away was decided when its crawl was over."""
        return self._publish(summary, despite_checks=despite_checks)

    def finish(self, summary: Summary) -> bool:
        """Go on with a publish that the journal says was begun."""
        left = {(one.place, one.store, one.path): one for one in self._writer.call(runs.deliveries, self._number)}
        stores = self._stager.stores  # those that have committed, too: the killed process left their locks
        wanted: list[Store] = []
        places: list[int | None] = []
        for place, store in enumerate(stores):
            noted = left.pop((place, store.name, _path(store)), None) if isinstance(store, BoundStore) else None
            if noted is None and isinstance(store, BoundStore):
                summary.notes.append(f"store {store.name} is new since run {self._run}: it gets the next run's result")
            elif noted is None or not noted.done:
                wanted.append(store)
                places.append(place if noted is not None else None)
        for one in left.values():
            if not one.done:
                summary.notes.append(
                    f"store {one.store} ({one.path or 'no path'}) is not in the config any more: not delivered"
                )
            self._clear_away(one.path)
        again = self._stager.only(wanted)
        with self._locks(stores):
            with self._undone(again):
                self._sweep(again)
                for piece in self._chunks(self._number):
                    again.feed_again(piece.items)
                self._feed_changes(again)
                again.finish()
            self._deliver(again, places, summary)
        return True

    # --- the steps ---------------------------------------------------------------------------------------------------

    def _publish(self, summary: Summary, *, despite_checks: bool) -> bool:
        stager = self._stager
        with self._locks(stager.stores):
            with self._undone(stager):
                self._sweep(stager)
                hit("before_stage")
                comparison = self._stage(summary)
                hit("after_stage")
            self._judge(summary)
            if not self._balances(summary):
                stager.abort("the books do not balance")
                return False
            if not all(verdict.passed for verdict in summary.checks) and not despite_checks:
                stager.abort("a check failed")
                return False
            with self._undone(stager):
                self._begin(summary, comparison)
            summary.published = True
            self._deliver(stager, [_place(store, index) for index, store in enumerate(stager.stores)], summary)
        return True

    def _stage(self, summary: Summary) -> Comparison:
        """Give the whole result to the stores, and keep it in the state as it was given."""
        writer, number = self._writer, self._number
        writer.call(pages.unstage, number)
        before = writer.call(pages.published)
        comparison = self._comparison(before)
        total = _Totals()
        read: deque[list[StoredPage]] = deque()  # and not staged yet
        for seq, staged in enumerate(self._stager.stage(self._read(read))):
            comparison.feed(staged.marks)
            total.add(read.popleft(), staged, number)
            writer.post(pages.add_chunk, number, seq, sum(staged.by_type.values()), staged.marks, staged.items)
        total.tell(summary, comparison.end())
        self._feed_changes(self._stager, comparison)
        self._stager.finish()
        if total.dead:
            rows = [DeadRow.of(number, None, lost.mark, lost.url, lost.letter) for lost in total.dead]
            writer.post(pages.dead, rows)
        return comparison

    def _read(self, read: deque[list[StoredPage]]) -> Iterator[list[ResultPage]]:
        """The pages of the result in output order, piece by piece; as they are in the state, they go into `read`."""
        ids = self._writer.call(pages.order, self._number)
        for start in range(0, len(ids), PAGES):
            if self._stopped():
                raise StoppedError
            found = self._writer.call(pages.read, ids[start : start + PAGES])
            read.append(found)
            yield [_result_page(page) for page in found]

    def _begin(self, summary: Summary, comparison: Comparison) -> None:
        """From here on the run will be published."""
        hit("before_journal")
        before = self._writer.call(pages.published)
        if before is not None:
            found, whole = collect(self._writer, before, self._number, comparison.moves, self._keys)
            whole = whole and len(found) == summary.items.new + summary.items.changed + summary.items.gone
            self._writer.call(changes.keep, self._number, whole, packed(found))
        stores = [(store.name, _path(store)) for store in self._stager.stores if isinstance(store, BoundStore)]
        self._writer.call(runs.deliver, self._number, stores)
        then = msgspec.structs.replace(summary, published=True)
        self._writer.call(runs.close, self._number, "publishing", None, _now(), msgspec.json.encode(then))
        self._writer.commit(wait=True)
        hit("after_journal")

    def _deliver(self, stager: Stager | StoreProcess, places: Sequence[int | None], summary: Summary) -> None:
        for index, place in enumerate(places):
            hit("before_store_commit")
            try:
                stager.commit(index, summary)
            except StorageError as error:
                stager.abort(str(error), first=index)
                raise
            hit("after_store_commit")
            if place is not None:
                self._writer.post(runs.delivered, self._number, place)
                self._writer.commit(wait=True)
        self._writer.call(pages.promote, self._number, _now())
        self._writer.commit(wait=True)

    def _feed_changes(self, stager: Stager | StoreProcess, comparison: Comparison | None = None) -> None:
        """Give what is new, changed and gone to the stores that want that alone; what is gone comes last.

        What became of an item may be known only when the last one has been seen, so they are read once more. Without
        `comparison` the result was staged by another process, and compared with the published one that still is.
        """
        if not any(store.only for store in stager.stores):
            return
        before = self._writer.call(pages.published)
        if comparison is None:
            comparison = self._comparison(before)
            for piece in self._chunks(self._number):
                comparison.feed(piece.marks)
            comparison.end()
        for run, change_of in ((self._number, comparison.change_of), (before, comparison.loss_of)):
            for piece in self._chunks(run) if run is not None else ():
                if found := chosen(piece.marks, piece.items, change_of):
                    stager.feed_changes(found)

    def _comparison(self, before: int | None) -> Comparison:
        old = (piece.marks for piece in self._chunks(before) if piece.marks) if before is not None else None
        most = MOST if before is not None else 0
        return Comparison(old, most=most, remember=any(store.only for store in self._stager.stores))

    def _chunks(self, run: int) -> Iterator[pages.Chunk]:
        """A result that was staged, in order."""
        after = -1
        while found := self._writer.call(pages.chunks, run, after, 4):
            after = found[-1].seq
            yield from found

    # --- what holds meanwhile ----------------------------------------------------------------------------------------

    @contextmanager
    def _locks(self, stores: Sequence[Store]) -> Iterator[None]:
        """Hold every output path: two configs may name one."""
        with ExitStack() as held:
            for path in sorted({os.path.realpath(store.path or "") for store in _with_files(stores)}):
                held.enter_context(Lock.beside(Path(path), f"run {self._run}", wait=self._wait))
            yield

    @contextmanager
    def _undone(self, stager: Stager | StoreProcess) -> Iterator[None]:
        """An error within leaves no stage."""
        try:
            yield
        except BaseException as error:
            stager.abort(str(error) or type(error).__name__)
            raise

    def _sweep(self, stager: Stager | StoreProcess) -> None:
        """Remove the stages that killed processes left; nobody else is at work there now."""
        for store in _with_files(stager.stores):
            store.sweep(self._run)

    def _clear_away(self, path: str | None) -> None:
        """Remove what the killed process left at an output that the config has no longer; nobody may need it, so that
        nothing that goes wrong is told.
        """
        if path is None or not is_file_target(Path(path)) or not Path(path).parent.is_dir():
            return
        with suppress(HooklineError, OSError), Lock.beside(Path(os.path.realpath(path)), f"run {self._run}"):
            sweep(Path(path), self._run)


class _Totals:
    """What became of the items of a result."""

    def __init__(self) -> None:
        self.earlier = 0
        self.by_type: dict[str, int] = {}
        self.fields: Fields = {}
        self.dropped: dict[str, int] = {}
        self.dead: list[LostItem] = []

    def add(self, found: Sequence[StoredPage], staged: Staged, run: int) -> None:
        self.earlier += sum(page.count for page in found if page.origin != run)
        for counts, more in ((self.by_type, staged.by_type), (self.dropped, staged.dropped)):
            for name, number in more.items():
                counts[name] = counts.get(name, 0) + number
        add(self.fields, staged.fields)
        self.dead.extend(staged.dead)

    def tell(self, summary: Summary, difference: Difference) -> None:
        items = summary.items
        items.earlier = self.earlier
        items.by_type = self.by_type
        summary.fields = self.fields
        items.stored = sum(self.by_type.values())
        for name, number in self.dropped.items():
            items.dropped[name] = items.dropped.get(name, 0) + number
        items.dead_lettered += len(self.dead)
        items.new, items.changed = difference.new, difference.changed
        items.unchanged, items.gone = difference.unchanged, difference.gone


def _result_page(page: StoredPage) -> ResultPage:
    return ResultPage(
        page.mark,
        page.url,
        page.method,
        page.rule,
        page.carried,
        page.status,
        page.fetched,
        page.items,
        noindex=bool(page.noindex),
    )


def _with_files(stores: Sequence[Store]) -> Iterator[BoundStore]:
    return (store for store in stores if isinstance(store, BoundStore) and is_file_target(store.path))


def _place(store: Store, index: int) -> int | None:
    """The store's place in the journal; stores of the command line have none: who asked for them is gone."""
    return index if isinstance(store, BoundStore) else None


def _path(store: Store) -> str | None:
    return str(store.path) if isinstance(store, BoundStore) and store.path is not None else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class StreamStore:
    """The store behind `-o -` and `pipeline.run`: holds the items back until commit, then hands them over at once."""

    items: tuple[str, ...] | None = None
    only: str | None = None
    meta: tuple[str, ...] = ()

    def __init__(self, name: str, deliver: Callable[[list[Item]], None]) -> None:
        self.name = name
        self._deliver = deliver
        self._held: list[Item] = []

    def store_items(self, items: list[Item]) -> None:
        """Hold a batch."""
        self._held.extend(items)

    def commit(self, summary: Any) -> None:
        """Hand over everything."""
        try:
            self._deliver(self._held)
        except OSError as error:
            raise StorageError(f"the items cannot be written to {self.name}: {error.strerror}") from error

    def abort(self, reason: str) -> None:
        """Forget everything."""
        self._held.clear()
