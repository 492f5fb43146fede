"""The parent's side of the store process: `single` filters, stages and commits, done elsewhere (`clerk`).

`StoreProcess` is to publishing what `pipeline.stages.staging.Stager` is, and asks one in a process of its own to do the
work. A store that crashes, leaks or prints there harms neither the crawl's books nor the state; what it had not
committed is told to the next process. Stores of the command line, whose data goes to this process, are fed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import inf
from typing import Any, Final

import msgspec

from pipeline.errors import StorageError
from pipeline.stages.clerk import JOB, Done, Order, StoreSetup
from pipeline.stages.hookspecs import time_for
from pipeline.stages.staging import ResultPage, Staged, Stager, Store
from pipeline.stages.stores import BoundStore
from pipeline.workers.caller import Caller, CallError, TooLongError
from pipeline.workers.process import Process

_TIME: Final = "limits.page_time is what a filter may take for one item, and a tenth of what a store may for a call"
_encode: Final = msgspec.msgpack.Encoder().encode
_done: Final = msgspec.msgpack.Decoder(Done).decode


class StoreProcess:
    """A `Stager` in a process of its own. `stores` are this process's, which say where their outputs are.

    `process` is one that has done other work, where nothing but our own code ever runs; None: a new one. `page_time`
    is the config's, in seconds; see `time_for`.
    """

    def __init__(
        self, stores: Sequence[Store], setup: StoreSetup, process: Process | None = None, *, page_time: float = inf
    ) -> None:
        self.stores = stores
        self.seconds: dict[str, float] = {}
        self._caller = Caller(JOB, _encode(setup), process=process, most=partial(time_for, page_time=page_time))
        self._there = [store for store in stores if isinstance(store, BoundStore)]
        self._here = Stager([store for store in stores if not isinstance(store, BoundStore)])

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._caller.alive

    def only(self, stores: Sequence[Store]) -> StoreProcess:
        """This one, for some of the stores, to feed a result that has been staged before."""
        self._ask(Order("only", places=[index for index, store in enumerate(self._there) if store in stores]))
        self.stores = stores
        self._there = [store for store in self._there if store in stores]
        self._here = Stager([store for store in stores if not isinstance(store, BoundStore)])
        return self

    def stage(self, pieces: Iterable[Sequence[ResultPage]]) -> Iterator[Staged]:
        """Take the next pages of the result, piece by piece. While one is staged there, the next is read here."""
        asked = False
        for pages in pieces:
            order = _encode(Order("stage", pages=list(pages)))
            staged = self._staged() if asked else None
            self._begin(order)
            asked = True
            if staged is not None:
                yield staged
        if asked:
            yield self._staged()

    def _staged(self) -> Staged:
        staged = self._end().staged
        assert staged is not None, "the store process answered nothing"
        self._here.feed_again(staged.items)
        return staged

    def feed_again(self, items: bytes) -> None:
        """Take a piece of a result that has been staged before."""
        self._ask(Order("feed", data=items))
        self._here.feed_again(items)

    def feed_changes(self, items: bytes) -> None:
        """Take items, each with what became of it, for the stores with `only`."""
        self._ask(Order("changes", data=items))
        self._here.feed_changes(items)

    def finish(self) -> None:
        """The last page has been given."""
        self._ask(Order("finish"))
        self._here.finish()

    def commit(self, place: int, summary: Any) -> None:
        """Make the stage of one store visible."""
        store = self.stores[place]
        if isinstance(store, BoundStore):
            self._ask(Order("commit", place=self._there.index(store), data=msgspec.json.encode(summary)))
        else:
            store.commit(summary)

    def abort(self, reason: str, *, first: int = 0) -> None:
        """Forget the stages, from the store at place `first` on."""
        there = [self._there.index(store) for store in self.stores[first:] if isinstance(store, BoundStore)]
        self._here.abort(reason)
        if self._caller.busy:  # we were interrupted: what it does is of no use, and it may never come back
            self._caller.hurry()
        try:
            self._ask(Order("abort", places=there, reason=reason))
        except StorageError:  # it died: what it left is swept away by the next publish
            return

    def close(self) -> None:
        """End the process."""
        self._caller.close()

    def _ask(self, order: Order) -> Done:
        with _told():
            answer = self._caller.call(_encode(order))
        return self._done(answer)

    def _begin(self, order: bytes) -> None:
        with _told():
            self._caller.ask(order)

    def _end(self) -> Done:
        with _told():
            answer = self._caller.answer()
        return self._done(answer)

    def _done(self, answer: bytes) -> Done:
        done = _done(answer)
        self.seconds = done.seconds
        if done.failed is not None:
            raise StorageError(done.failed)
        return done


@contextmanager
def _told() -> Iterator[None]:
    """The death of the process, as what it means for the stores."""
    try:
        yield
    except CallError as error:
        told = f"the store process {error}; what was not put in place is delivered next time"
        raise StorageError(f"{told}. {_TIME}" if isinstance(error, TooLongError) else told) from error
