"""The plugin sections of a config as objects: the host, and the pool in which its page hooks run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, Literal

from pipeline.config.entries import SeedEntry, StageEntry, StoreEntry
from pipeline.config.loader import Loaded
from pipeline.config.schema import Config
from pipeline.fetch.loop import Loop
from pipeline.model import Brought
from pipeline.runner.credentials import is_secret
from pipeline.runner.fetchers import OwnFetchers
from pipeline.runner.fetching import user_agent
from pipeline.stages.clerk import StoreSetup
from pipeline.stages.fetchers import JOB as FETCH_JOB
from pipeline.stages.fetchers import bringer
from pipeline.stages.hookspecs import PAGE_HOOKS
from pipeline.stages.host import Host, Use
from pipeline.stages.jobs import RuleBook
from pipeline.stages.limited import limited
from pipeline.stages.runinfo import RunInfo
from pipeline.stages.staging import Stager, Store
from pipeline.stages.storing import StoreProcess
from pipeline.stages.worker import EARLY, JOB, WatchedHost, WorkerSetup, packed
from pipeline.workers.inline import InlinePool, Pool
from pipeline.workers.pool import START, WorkerPool
from pipeline.workers.process import Process, start_process

OURS = "selectors"  # the fetch stage's name among fetchers
MOST = 8  # worker processes that `auto` stands for
ITEM_HOOKS = ("process_item",)  # that of `single` filters, and of what stands after them, is called at publish
SUMMARY = "pipeline.runner.summary:Summary"  # what stores get when they commit


def load_host(
    loaded: Loaded,
    run: RunInfo,
    *,
    output: Path | None = None,
    dry_run: bool = False,
    trace: str | None = None,
    whole: bool = True,
) -> Host:
    """Find, load and check every plugin that the config names. `whole`: as `Host.load`."""
    config = loaded.config
    store = [] if dry_run else store_uses(config, output)
    host = WatchedHost.load(
        plugins=uses("plugins", config.plugins),
        rules=config.rules(),
        parse=uses("parse", config.parse),
        filter=uses("filter", config.filter),
        store=store,
        seeds=[_seed_use(index, seed) for index, seed in enumerate(config.seeds) if seed.name is not None],
        fetchers=fetcher_uses(config),
        locate=loaded.locate,
        run=run,
        hides=loaded.hides,
        whole=whole,
    )
    if trace is not None:
        host.trace(trace)
    return host


def in_time(load: Callable[[Loaded, RunInfo], Host], loaded: Loaded, run: RunInfo, *, workers: int | None) -> Host:
    """The host that `load` gives, which may take as long as a worker's start, and whose hooks come back in time.

    With `workers: 0` they have all the time: somebody may be debugging them.
    """
    debugging = processes(loaded.config.workers if workers is None else workers) == 0
    host: Host = limited(load, inf if debugging else START)(loaded, run)
    host.limit(inf if debugging else loaded.config.limits.page_time)
    return host


def fetcher_uses(config: Config) -> list[Use]:
    """The page rules' own fetchers: `fetcher: NAME` or `fetcher: {NAME: OPTIONS}`."""
    found: list[Use] = []
    for rule, page in config.pages.items():
        given, key = page.fetcher, ("pages", rule, "fetcher")
        if isinstance(given, dict):
            found.extend(Use(name=name, options=options, key=(*key, name)) for name, options in given.items())
        elif given != OURS:
            found.append(Use(name=given, key=key))
    return found


def store_uses(config: Config, output: Path | None) -> list[Use]:
    """The stores of a config, and that of `-o FILE`."""
    store = uses("store", config.store, item_keys(config))
    if output is not None:
        store.append(Use(name="jsonl", options=str(output.resolve()), key=("-o",)))
    return store


def uses(stage: str, entries: Sequence[StageEntry], keys: Mapping[str, Sequence[str]] | None = None) -> list[Use]:
    """The entries of a stage as the host takes them; `keys` are the key fields by item type."""
    result = []
    for index, entry in enumerate(entries):
        words: dict[str, Any] = {}
        if isinstance(entry, StoreEntry):
            words = {"write": entry.write, "only": entry.only, "meta": tuple(entry.meta)}
            words["keys"] = keys if entry.write == "merge" else None
        items = getattr(entry, "items", None)
        result.append(
            Use(
                name=entry.name,
                options=entry.options,
                key=entry.key_path(stage, index),
                items=tuple(items) if items else None,
                **words,
            )
        )
    return result


def _seed_use(index: int, seed: SeedEntry) -> Use:
    assert seed.name is not None
    return Use(name=seed.name, options=seed.options, key=seed.key_path(index), page=seed.page)


def item_keys(config: Config) -> dict[str, list[str]]:
    """Item type -> the fields that identify an item of it."""
    return {rule.type: rule.key for page in config.pages.values() for rule in page.items if rule.key}


def start_ahead(loaded: Loaded, *, workers: int | None) -> Process | None:
    """The first worker's process, which is up when it is needed; None without workers, or if the system has none.

    For a run that is sure to parse pages, and not yet built: that goes on beside it.
    """
    if processes(loaded.config.workers if workers is None else workers) == 0:
        return None
    try:
        return start_process(EARLY)
    except OSError:
        return None  # the pool tries again, and says what is wrong


def make_pool(
    loaded: Loaded, host: Host, rules: RuleBook, loop: Loop, *, workers: int | None, process: Process | None = None
) -> Pool:
    """Where pages are parsed: worker processes, which start beside the first fetches, or this very process.

    `workers` is the command line's word, None if it has none; `process` is of `start_ahead`.
    """
    config = loaded.config
    number = processes(config.workers if workers is None else workers)
    agent = user_agent(config.fetch) if config.fetch.robots.obey else None
    if number == 0:
        if isinstance(host, WatchedHost):
            host.watch()
        runner = host.page_runner(rules, max_body=config.fetch.max_body, agent=agent)
        return InlinePool(packed(runner if host.only_ours else limited(runner, inf)))
    normalize = config.scope.normalize
    setup = WorkerSetup.of(
        plugins=uses("plugins", config.plugins),
        parse=uses("parse", config.parse),
        filter=uses("filter", config.filter),
        store=host.uses("store", PAGE_HOOKS),
        seeds=host.uses("seeds", PAGE_HOOKS),
        fetchers=host.uses("fetcher", PAGE_HOOKS),
        rules=config.rules(),
        locate=loaded.locate,
        run=host.run,
        points=host.points,
        texts=host.texts,
        trace=host.tracer.target if host.tracer else "",
        strip_params=normalize.strip_params,
        sort_params=normalize.sort_params,
        max_body=config.fetch.max_body,
        agent=agent,
    )
    limits = config.limits
    return WorkerPool(
        loop,
        job=JOB,
        setup=setup.encode(),
        processes=number,
        page_time=limits.page_time,
        page_memory=limits.page_memory,
        process=process,
    )


def make_fetchers(loaded: Loaded, host: Host, loop: Loop, *, workers: int | None) -> OwnFetchers | None:
    """The page rules' own fetchers, in processes apart from those that parse: they may block. None if there are none.

    With `workers: 0`, which somebody has chosen, they run in this very process.
    """
    if not host.fetchers:
        return None
    config = loaded.config
    given = config.workers if workers is None else workers
    usual = {name: value for name, value in config.fetch.headers.items() if not is_secret(name)}
    headers = {"User-Agent": user_agent(config.fetch), **usual}
    if given == 0:
        return OwnFetchers(host.fetchers, InlinePool(bringer(host.fetchers, config.fetch.max_body)), headers)
    setup = WorkerSetup.of(
        plugins=uses("plugins", config.plugins),
        fetchers=fetcher_uses(config),
        rules={},
        locate=loaded.locate,
        run=host.run,
        points=host.points,
        texts=host.texts,
        trace=host.tracer.target if host.tracer else "",
        max_body=config.fetch.max_body,
    )
    limits = config.limits
    pool = WorkerPool(
        loop,
        job=FETCH_JOB,
        setup=setup.encode(),
        processes=max(processes(given), 1),
        page_time=limits.page_time,
        page_memory=limits.page_memory,
        in_flight=1,  # they wait for others, so no page may wait behind another
        answer=Brought,
    )
    return OwnFetchers(host.fetchers, pool, headers)


def make_stager(
    loaded: Loaded,
    host: Host,
    stores: Sequence[Store],
    *,
    workers: int | None,
    output: Path | None,
    process: Process | None = None,
) -> Stager | StoreProcess:
    """The store side of publishing: a process of its own, unless all is done in one. `process`: see `StoreProcess`."""
    config = loaded.config
    eaches = {name: [rule.each is not None for rule in page.items] for name, page in config.pages.items()}
    if processes(config.workers if workers is None else workers) == 0:
        return Stager(stores, single=host.single_chain(), keys=item_keys(config), eaches=eaches, run=host.run.id)
    setup = WorkerSetup.of(
        plugins=uses("plugins", config.plugins),
        filter=uses("filter", config.filter),
        store=store_uses(config, output),
        parse=host.uses("parse", ITEM_HOOKS),
        seeds=host.uses("seeds", ITEM_HOOKS),
        fetchers=host.uses("fetcher", ITEM_HOOKS),
        rules={},
        locate=loaded.locate,
        run=host.run,
        points=host.points,
        texts=host.texts,
        trace=host.tracer.target if host.tracer else "",
    )
    told = StoreSetup(setup.encode(), item_keys(config), eaches, SUMMARY)
    return StoreProcess(stores, told, process, page_time=config.limits.page_time)


def processes(given: int | Literal["auto"]) -> int:
    """How many processes run the plugins; 0: this one.

    `auto` is what HOOKLINE_WORKERS says, else as many as the process may use processors, up to `MOST`.
    """
    if given != "auto":
        return given
    told = os.environ.get("HOOKLINE_WORKERS", "auto")
    return int(told) if told.isdecimal() else min(usable_processors(), MOST)


def usable_processors() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
