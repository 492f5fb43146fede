"""What the store process runs: `single` filters, stages and commits, as the parent orders it (see `storing`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Final

import msgspec

from pipeline.errors import StorageError
from pipeline.stages.staging import ResultPage, Staged, Stager
from pipeline.stages.worker import plan_and_host
from pipeline.workers import notes

JOB: Final = "pipeline.stages.clerk:start"


class StoreSetup(msgspec.Struct):
    """All that a store process is told. `summary` names the type of what `commit` gets, as "module:class"."""

    worker: bytes
    keys: dict[str, list[str]]
    eaches: dict[str, list[bool]]
    summary: str


class Order(msgspec.Struct, omit_defaults=True):
    """One thing to do: `stage`, `feed`, `changes`, `finish`, `commit`, `abort` or `only`, with what it needs."""

    what: str
    pages: list[ResultPage] = []
    data: bytes = b""
    place: int = 0
    places: list[int] = []
    reason: str = ""


class Done(msgspec.Struct, omit_defaults=True):
    """What came of it. `failed`: why a store could not; `seconds`: spent in each plugin's hooks so far."""

    staged: Staged | None = None
    failed: str | None = None
    seconds: dict[str, float] = {}


_encode: Final = msgspec.msgpack.Encoder().encode
_order: Final = msgspec.msgpack.Decoder(Order).decode


def start(setup: bytes) -> Callable[[Any], bytes]:
    """What a store process does with an order: from an `Order` to a `Done`, both as msgpack. Raises ConfigError."""
    plan = msgspec.msgpack.decode(setup, type=StoreSetup)
    _, host = plan_and_host(plan.worker, notes.timed)
    for store in host.stores:
        store.note(partial(_timed, store.name))
    module, _, name = plan.summary.partition(":")
    clerk = Clerk(
        Stager(host.stores, single=host.single_chain(), keys=plan.keys, eaches=plan.eaches, run=host.run.id),
        getattr(import_module(module), name),
        host.spent,
    )
    return lambda order: _encode(clerk.do(_order(order)))


def _timed(plugin: str, hook: str, call: Callable[..., Any]) -> Callable[..., Any]:
    return notes.timed(call, notes.label(plugin, hook))


class Clerk:
    """Does what the parent orders."""

    def __init__(self, stager: Stager, summary: type[Any], spent: Callable[[], dict[str, float]]) -> None:
        self._stager = stager
        self._summary = summary
        self._spent = spent

    def do(self, order: Order) -> Done:
        """One order."""
        done = Done()
        try:
            done.staged = self._do(order)
        except StorageError as error:
            done.failed = str(error)
        done.seconds = self._spent()
        return done

    def _do(self, order: Order) -> Staged | None:
        stager = self._stager
        if order.what == "stage":
            return stager.take(order.pages)
        if order.what == "feed":
            stager.feed_again(order.data)
        elif order.what == "changes":
            stager.feed_changes(order.data)
        elif order.what == "finish":
            stager.finish()
        elif order.what == "commit":
            stager.commit(order.place, msgspec.json.decode(order.data, type=self._summary))
        elif order.what == "abort":
            for place in order.places:
                stager.stores[place].abort(order.reason)
        else:
            self._stager = stager.only([stager.stores[place] for place in order.places])
        return None
