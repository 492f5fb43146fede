"""What a page worker runs: the plugin host once more, built in a process of its own from what the parent sends.

`WorkerSetup.of` is made in the parent, of the same uses that `Host.load` got there, and crosses as msgpack: option
values are what YAML can say, numbers keep their spelling, and every key takes along the place where it stands, since
relative paths are resolved against the folder of that file. `start` is the job's name in `WorkerPool`.

`packed` is the step that both pools share, so that a page gives the same with workers and without.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.msgpack import Ext

from pipeline import logs
from pipeline.errors import ConfigError, Mark, Problem
from pipeline.model import MAX_BODY, Drop, Fault, Item, PackedPage, PageJob, PageResult, Request
from pipeline.packing import pack, unpack_job
from pipeline.stages.faults import describe, short
from pipeline.stages.host import Host, Use
from pipeline.stages.loading import Catalogue, Point, Text
from pipeline.stages.places import KeyPath, Locate, key_text
from pipeline.stages.runinfo import RunInfo
from pipeline.workers import notes
from pipeline.workers.guard import share, trust

JOB: Final = "pipeline.stages.worker:start"
EARLY: Final = "pipeline.stages.worker:prepare"
MOST: Final = 32 * 1024 * 1024  # bytes of items and links that one page may give

_PAGE_HOOKS: Final = ("fetch", "classify", "parse", "process_item", "admit")
_INT, _FLOAT, _PATH = 1, 2, 3  # extension types: numbers by their spelling, and a path

_ANEW: Final = "the next run begins anew with it"

Packer: TypeAlias = Callable[[PageJob], PackedPage]
Note: TypeAlias = Callable[[Callable[..., Any], bytes], Callable[..., Any]]


class UseData(msgspec.Struct, omit_defaults=True):
    """A `Use`, as far as a page worker needs it."""

    name: str
    options: Any = None
    key: tuple[str | int, ...] = ()
    items: tuple[str, ...] | None = None
    write: str | None = None
    only: str | None = None
    meta: tuple[str, ...] = ()
    keys: dict[str, list[str]] | None = None


class WorkerSetup(msgspec.Struct):
    """All that a page worker is told. `places`: key paths and where they, and all below them, stand."""

    plugins: list[UseData]
    parse: list[UseData]
    filter: list[UseData]
    rules: dict[str, dict[str, Any]]
    places: list[tuple[tuple[str | int, ...], Mark]]
    run_id: str
    run_start: datetime
    run_name: str
    strip_params: list[str] = []
    sort_params: bool = False
    max_body: int = MAX_BODY
    agent: str | None = None
    log_level: int = logging.CRITICAL
    log_json: bool = False
    store: list[UseData] = []
    points: list[Point] | None = None  # entry points as the parent found them; None: the worker looks itself
    fetchers: list[UseData] = []
    trace: str = ""  # where calls of hooks are told
    seeds: list[UseData] = []
    texts: dict[str, Text] = {}  # files of plugins as the parent found them

    @classmethod
    def of(
        cls,
        *,
        plugins: Sequence[Use] = (),
        parse: Sequence[Use] = (),
        filter: Sequence[Use] = (),  # noqa: A002 - the section's name
        store: Sequence[Use] = (),
        fetchers: Sequence[Use] = (),
        seeds: Sequence[Use] = (),
        rules: Mapping[str, Mapping[str, Any]],
        locate: Locate,
        run: RunInfo,
        strip_params: Sequence[str] = (),
        sort_params: bool = False,
        max_body: int = MAX_BODY,
        agent: str | None = None,
        trace: str = "",
        points: Sequence[Point] | None = None,
        texts: Mapping[str, Text] | None = None,
    ) -> WorkerSetup:
        """From what `Host.load` and `RuleBook` get in the parent."""
        uses = [*plugins, *parse, *filter, *store, *seeds, *fetchers]
        return cls(
            plugins=list(map(_told, plugins)),
            parse=list(map(_told, parse)),
            filter=list(map(_told, filter)),
            store=list(map(_told, store)),
            fetchers=list(map(_told, fetchers)),
            seeds=list(map(_told, seeds)),
            rules={name: dict(rule) for name, rule in rules.items()},
            places=[
                *_places(("pages",), dict.fromkeys(rules), locate, None),
                *(place for use in uses for place in _places(use.key, use.options, locate, None)),
            ],
            run_id=run.id,
            run_start=run.start,
            run_name=run.name,
            strip_params=list(strip_params),
            sort_params=sort_params,
            max_body=max_body,
            agent=agent,
            trace=trace,
            log_level=logging.getLogger(logs.ROOT).getEffectiveLevel(),
            log_json=logs.is_json(),
            points=None if points is None else list(points),
            texts=dict(texts or {}),
        )

    def encode(self) -> bytes:
        """The setup as bytes. Raises ConfigError for option values that cannot be sent to another process."""
        problems = [
            Problem(self.locate(key), key_text(key), f"{short(value)} cannot be sent to a worker process", _HINT)
            for use in (*self.plugins, *self.parse, *self.filter, *self.store, *self.seeds, *self.fetchers)
            for key, value in _unfit(use.key, use.options)
        ]
        if problems:
            raise ConfigError(problems)
        return _encode(self)

    def locate(self, path: KeyPath) -> Mark | None:
        """Where a key stands, or what it stands in."""
        known = dict(self.places)
        for length in range(len(path), 0, -1):
            if (mark := known.get(tuple(path[:length]))) is not None:
                return mark
        return None


def prepare(_: bytes) -> None:
    """Import what `start` needs, for a worker that is started before there is a setup."""
    from pipeline.stages import jobs  # noqa: F401, PLC0415


def start(setup: bytes) -> Callable[[Any], bytes]:
    """What a worker process does with a page: from a PageJob to a PackedPage, both as msgpack. Raises ConfigError."""
    from pipeline.crawl.scope import Normaliser  # noqa: PLC0415 - not for the store process, which starts from here too
    from pipeline.stages.links import RuleBook  # noqa: PLC0415
    from pipeline.stages.page import Page, PageHeaders  # noqa: PLC0415
    from pipeline.stages.tree import Element  # noqa: PLC0415

    plan, host = plan_and_host(setup)
    trust(host.only_ours)
    share(Page, PageHeaders, Element, Item, Request, Drop)
    normaliser = Normaliser(strip_params=plan.strip_params, sort_params=plan.sort_params)
    page = packed(host.page_runner(RuleBook(plan.rules, normaliser), max_body=plan.max_body, agent=plan.agent))
    write = msgspec.msgpack.Encoder().encode

    return lambda job: write(page(unpack_job(job)))


def plan_and_host(setup: bytes, note: Note = notes.noted) -> tuple[WorkerSetup, WatchedHost]:
    """What the parent sent, and the plugins that it names, loaded in this process. `note`: how their calls are."""
    plan = _decode(setup)
    _log_to_stderr(plan)
    host = WatchedHost.load(
        plugins=list(map(_use, plan.plugins)),
        parse=list(map(_use, plan.parse)),
        filter=list(map(_use, plan.filter)),
        store=list(map(_use, plan.store)),
        seeds=list(map(_use, plan.seeds)),
        fetchers=list(map(_use, plan.fetchers)),
        rules=plan.rules,
        locate=plan.locate,
        catalogue=Catalogue(plan.points),
        run=RunInfo(plan.run_id, plan.run_start, plan.run_name, logging.getLogger(f"{logs.ROOT}.plugin")),
    )
    assert isinstance(host, WatchedHost)
    _refuse_changed(plan.texts, host.texts)
    if plan.trace:
        host.trace(plan.trace)
    host.watch(note)
    return plan, host


def _refuse_changed(then: Mapping[str, Text], now: Mapping[str, Text]) -> None:
    """Raise ConfigError for a plugin that is not the parent's: what two versions of it make is nobody's result."""
    problems = [
        Problem(None, "", f"plugin {text.plugin} ({file}) has changed since the run began", _ANEW)
        for file, text in now.items()
        if text != then.get(file, text)
    ]
    if problems:
        raise ConfigError(problems)


def packed(run: Callable[[PageJob], PageResult]) -> Packer:
    """`run`, with its result packed; one that is too large, or cannot be packed, is a fault."""

    def work(job: PageJob) -> PackedPage:
        try:
            result = run(job)
        except KeyboardInterrupt as error:
            if type(error) is not KeyboardInterrupt:  # a second signal, which ends everything
                raise
            return PackedPage(fault=Fault(*notes.now(), describe(error)))  # a run has its own handlers: a plugin's
        try:
            page = pack(result)
        except (UnicodeEncodeError, OverflowError, TypeError) as error:
            fault = Fault("", "", f"what plugins made of the page cannot be stored: {describe(error)}")
            return PackedPage(fault=fault, seconds=result.seconds)
        size = len(page.items) + len(page.links) + sum(len(letter.fields) for letter in page.dead)
        if size > MOST:
            many = f"{size / 2**20:.0f} MiB of items and links; {MOST // 2**20} MiB are the most that one page may give"
            return PackedPage(fault=Fault("", "", f"too large: the page gives {many}"), seconds=result.seconds)
        return page

    return work


class WatchedHost(Host):
    """A host that notes which plugin is running, where the parent finds it if this process dies."""

    def watch(self, note: Note = notes.noted) -> None:
        """Have every hook that is called for pages say so. Costs 0.2 us a call."""
        for hook in _PAGE_HOOKS:
            for step in self._steps[hook]:
                step.call = note(step.call, notes.label(step.plugin, hook))


def _log_to_stderr(plan: WorkerSetup) -> None:
    if not logging.getLogger(logs.ROOT).handlers:  # else this is no process of its own
        of_run = logs.JsonFormatter(config=plan.run_name, run=plan.run_id) if plan.log_json else logs.TextFormatter()
        logs.set_up(sys.stderr, plan.log_level, of_run)


# --- the setup as bytes ----------------------------------------------------------------------------------------------

_HINT: Final = "give text, numbers, true, false, null, lists or mappings, or set workers: 0"


class _Int(int):
    """A whole number whose `str()` is how it was written."""

    text: str

    def __str__(self) -> str:
        return self.text


class _Float(float):
    """A number whose `str()` is how it was written."""

    text: str

    def __str__(self) -> str:
        return self.text


def _write(value: Any) -> Any:
    """What msgpack does not know of itself. Raises NotImplementedError."""
    if isinstance(value, int):
        return Ext(_INT, f"{int(value)} {value}".encode())
    if isinstance(value, float):
        return Ext(_FLOAT, f"{float(value)!r} {value}".encode())
    if isinstance(value, Path):
        return Ext(_PATH, str(value).encode("utf-8", "surrogateescape"))
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError


def _read(code: int, data: memoryview) -> Any:
    if code == _PATH:
        return Path(bytes(data).decode("utf-8", "surrogateescape"))
    value, _, text = str(data, "utf-8").partition(" ")
    number: Any = _Int(value) if code == _INT else _Float(value)
    number.text = text
    return number


_encode: Final = msgspec.msgpack.Encoder(enc_hook=_write).encode
_decode: Final = msgspec.msgpack.Decoder(WorkerSetup, ext_hook=_read).decode


def _told(use: Use) -> UseData:
    keys = None if use.keys is None else {kind: list(fields) for kind, fields in use.keys.items()}
    return UseData(
        use.name, use.options, tuple(use.key), use.items, write=use.write, only=use.only, meta=use.meta, keys=keys
    )


def _use(data: UseData) -> Use:
    return Use(
        data.name, data.options, data.key, data.items, write=data.write, only=data.only, meta=data.meta, keys=data.keys
    )


def _places(
    key: KeyPath, value: Any, locate: Locate, above: Mark | None
) -> Iterator[tuple[tuple[str | int, ...], Mark]]:
    """Where `key` and all that is in its value stand; what stands where its container does is left out."""
    mark = locate(key)
    if mark is not None and mark != above:
        yield tuple(key), mark
    for name, one in _children(value):
        yield from _places((*key, name), one, locate, mark)


def _unfit(key: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Any]]:
    """The values that msgpack cannot carry, by key path."""
    children = _children(value)
    if children:
        for name, one in children:
            yield from _unfit((*key, name), one)
        return
    try:
        _encode(value)
    except (TypeError, NotImplementedError, UnicodeEncodeError, OverflowError):
        yield key, value


def _children(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []
