"""From a config to ready-made objects: the one place that says which key goes to which constructor argument.

Nothing below knows the config; nothing here does work. What is wrong with a config or a plugin comes out as one
ConfigError with all problems, before anything is requested or written.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random

import msgspec

import pipeline
from pipeline.config.entries import SeedEntry
from pipeline.config.loader import Loaded
from pipeline.config.schema import Config
from pipeline.crawl.frontier import Frontier
from pipeline.crawl.scope import NO_RULE, NOT_CHANGED, Normaliser, Pattern, Refusal, Scope
from pipeline.crawl.traps import Traps
from pipeline.errors import ConfigError, Problem
from pipeline.model import Request
from pipeline.runner.advice import advice
from pipeline.runner.books import Books
from pipeline.runner.budget import Limits
from pipeline.runner.credentials import CookieKeeper, Credentials, is_secret
from pipeline.runner.engine import Engine
from pipeline.runner.fetching import (
    Network,
    is_loopback,
    make_breakers,
    make_credentials,
    make_manners,
    make_robots,
    network_for,
    politeness,
    retry_policy,
)
from pipeline.runner.fingerprint import makers, run_fingerprint
from pipeline.runner.plugging import in_time, load_host, make_fetchers, make_pool, start_ahead
from pipeline.runner.recorder import Recorder, Tap
from pipeline.runner.redirects import Redirector
from pipeline.runner.revisits import Revisits
from pipeline.runner.sources import Published, Sources
from pipeline.runner.summary import Summary
from pipeline.stages.host import Host
from pipeline.stages.jobs import RuleBook
from pipeline.stages.runinfo import RunInfo
from pipeline.stages.staging import Store
from pipeline.state import pages
from pipeline.state.more import digest
from pipeline.state.writer import Writer
from pipeline.url import Origin, host_of, normalise
from pipeline.workers.process import Process


class Options(msgspec.Struct, frozen=True):
    """What the command line or `pipeline.run` adds to a config. Times in seconds."""

    limit: int | None = None
    only: str | None = None  # links that this glob or re:REGEX does not fit are left out
    time_limit: float | None = None
    output: Path | None = None  # write the items there too, as JSON Lines
    report: Path | None = None
    dry_run: bool = False
    strict: bool = False
    fresh: bool = False  # drop an interrupted run
    if_locked: str | None = None  # in place of the config's
    detailed_exit_code: bool = False  # 10 in place of 0 if data changed
    full_refresh: bool = False  # ask for every page as if it had never been seen
    workers: int | None = None
    trace: str | None = None  # a file, or - for stderr, that is told of every call of a hook
    retry: str | None = None  # fetch again what failed in the last run: "" for all of it, else a fate or a plugin

    @property
    def narrowed(self) -> bool:
        """Whether the run sees less than the config asks for."""
        return self.limit is not None or self.only is not None


class Job(msgspec.Struct):
    """One run, built and not yet begun: nothing has been requested, nothing written."""

    loaded: Loaded
    options: Options
    run: RunInfo
    network: Network
    host: Host
    rules: RuleBook
    scope: Scope
    traps: Traps
    frontier: Frontier
    credentials: Credentials
    summary: Summary
    seeds: list[Request]
    stores: list[Store]
    tap: Tap | None
    fingerprint: bytes
    published: Published
    cookies: CookieKeeper | None = None
    engine: Engine | None = None
    ahead: Process | None = None  # of the first worker, until there is an engine

    def trust(self, origin: Origin) -> None:
        """The user wrote a URL of this origin: private or not, it may be asked, and secret headers go to it."""
        self.network.fetcher.exempt.add((origin.host, origin.port))
        self.credentials.origins.add(origin)

    def resolve(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Start requests as the frontier wants them: URL normalised, page rule named."""
        for request in requests:
            yield self.rules.resolve(request)

    def close(self) -> None:
        """Let go of workers, sockets and the selector."""
        if self.engine is not None:
            self.engine.pool.close()
            if self.engine.own is not None:
                self.engine.own.pool.close()
        if self.ahead is not None:
            self.ahead.end()
        self.network.close()


def build(
    loaded: Loaded,
    options: Options,
    run: RunInfo,
    *,
    stores: Sequence[Store] = (),
    tap: Tap | None = None,
    ahead: bool = False,
) -> Job:
    """Everything that one run needs but its state. Raises ConfigError with every problem of plugins, options and seeds.

    `stores` are written to beside the config's; `tap` gets each item as it comes; `ahead`: pages will be parsed, so the
    first worker is started at once.
    """
    process = start_ahead(loaded, workers=options.workers) if ahead else None
    try:
        job = _built(loaded, options, run, stores, tap)
    except BaseException:
        if process is not None:
            process.end()
        raise
    job.ahead = process
    return job


def _built(loaded: Loaded, options: Options, run: RunInfo, stores: Sequence[Store], tap: Tap | None) -> Job:
    config = loaded.config
    load = partial(load_host, output=options.output, dry_run=options.dry_run, trace=options.trace)
    host = in_time(load, loaded, run, workers=options.workers)
    rules = RuleBook(config.rules(), normaliser(config))
    seeds = own_seeds(loaded)
    scope, traps, published = make_scope(config, seeds, options.only), make_traps(config), Published()
    summary = Summary(pipeline.__version__, config.name, run.id, run.start.isoformat(), str(loaded.file))
    summary.notes = [str(note) for note in [*reminders(loaded, seeds), *host.deprecations]]
    summary.outputs = [str(store.path) for store in host.stores if store.path is not None]
    credentials = make_credentials(config.fetch)
    for seed in seeds:
        seed.url = credentials.without_userinfo(seed.url)
    jar = credentials.jar if config.fetch.cookies.persist else None
    return Job(
        loaded=loaded,
        options=options,
        run=run,
        network=network_for(loaded),
        host=host,
        rules=rules,
        scope=scope,
        traps=traps,
        frontier=make_frontier(config, scope, traps, published),
        published=published,
        credentials=credentials,
        summary=summary,
        seeds=seeds,
        stores=[*host.stores, *stores],
        tap=tap,
        fingerprint=run_fingerprint(loaded, host, only=options.only),
        cookies=CookieKeeper(jar) if jar is not None else None,
    )


def make_engine(job: Job, writer: Writer, number: int, books: Books) -> Engine:
    """The crawl of a job. `number` is the run's in the state, `books` are its counters so far."""
    config, options, random = job.loaded.config, job.options, Random()
    retry = retry_policy(config.fetch)
    made_by, vault = makers(job.loaded, job.host), secret_headers(config)
    recorder = Recorder(
        writer,
        job.frontier,
        books,
        run=number,
        fetched=int(job.run.start.timestamp()),
        made_by=made_by,
        vault=vault,
        tap=job.tap,
        cookies=job.cookies,
    )
    redirector = Redirector(
        job.frontier,
        job.scope,
        job.credentials.signature,
        most=config.fetch.redirects,
        counts=books.redirects,
        sources=books.sources,
        adopted=books.adopted,
    )
    job.traps.counts = books.similar
    manners = make_manners(config.fetch, job.frontier, random, books.tell_host)
    job.engine = Engine(
        loop=job.network.loop,
        fetcher=job.network.fetcher,
        frontier=job.frontier,
        robots=make_robots(config.fetch, random, recorder, manners),
        sources=Sources(job.frontier, books, job.published),
        manners=manners,
        breakers=make_breakers(config.fetch, job.frontier, job.network.resolver, books.tell_host),
        credentials=job.credentials,
        redirector=redirector,
        traps=job.traps,
        pool=make_pool(job.loaded, job.host, job.rules, job.network.loop, workers=options.workers, process=job.ahead),
        recorder=recorder,
        revisits=make_revisits(job, writer, recorder, number, made_by, vault),
        prepare=job.host.prepare_request,
        retry=retry,
        limits=limits(config, options, job.host.bundled),
        strict=options.strict,
        random=random,
        own=make_fetchers(job.loaded, job.host, job.network.loop, workers=options.workers),
    )
    job.ahead = None  # the pool has it
    return job.engine


def make_revisits(  # noqa: PLR0917 - what `make_engine` has in hand
    job: Job, writer: Writer, recorder: Recorder, number: int, made_by: Mapping[str, bytes], vault: Mapping[str, str]
) -> Revisits | None:
    """`fetch.conditional` and `revisit`; None where they mean nothing, since every page is to be fetched.

    That is so before anything is published, and for a run that fetches again what went wrong: a page whose items a
    plugin broke on may be as it was.
    """
    config, options = job.loaded.config, job.options
    revisit = {name: page.revisit for name, page in config.pages.items() if page.revisit is not None}
    if options.full_refresh or options.retry is not None or not (config.fetch.conditional or revisit):
        return None
    if writer.call(pages.published) is None:
        return None
    return Revisits(
        writer,
        job.frontier,
        recorder,
        run=number,
        start=int(job.run.start.timestamp()),
        made_by=made_by,
        revisit=revisit,
        conditional=config.fetch.conditional,
        vault=vault,
    )


def new_run(name: str) -> RunInfo:
    """A run's identity: its id sorts by time, and its start is the one time that its outputs know."""
    start = datetime.now(UTC).replace(microsecond=0)
    return RunInfo(f"{start:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}", start, name, logging.getLogger("hookline.plugin"))


# --- where to start, and what belongs to it --------------------------------------------------------------------------


def own_seeds(loaded: Loaded) -> list[Request]:
    """The URLs that stand in the config, as requests."""
    problems, seeds = [], []
    for index, seed in enumerate(loaded.config.seeds):
        if seed.url is None:
            continue
        url = normalise(seed.url)
        if url is None or not host_of(url):
            problems.append(Problem(loaded.locate(("seeds", index)), f"seeds.{index}", f"{seed.url!r} is no URL"))
            continue
        seeds.append(_seed_request(url, seed))
    if problems:
        raise ConfigError(problems)
    return seeds


def reminders(loaded: Loaded, seeds: Iterable[Request]) -> list[Problem]:
    """What `check` and the report remind of."""
    hosts = [host for seed in seeds if not is_loopback(host := host_of(seed.url))]
    return advice(loaded.config.fetch, hosts, loaded.locate)


def _seed_request(url: str, seed: SeedEntry) -> Request:
    headers, body, kind = dict(seed.headers), None, ""
    if "json_" in seed.model_fields_set:
        body, kind = msgspec.json.encode(seed.json_), "application/json"
    elif seed.body is not None:
        body, kind = seed.body.encode(), "application/x-www-form-urlencoded"  # as curl sends it
    if kind and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = kind
    return Request(url, method=seed.method, headers=headers, body=body, page=seed.page, seed=True)


def make_scope(config: Config, seeds: Iterable[Request], only: str | None = None) -> Scope:
    """`scope:`, narrowed by `--only`."""
    scope = config.scope
    return Scope(
        seed_hosts=[host_of(seed.url) for seed in seeds],
        allow_domains=scope.allow_domains,
        allow=[Pattern(text) for text in scope.allow],
        deny=[Pattern(text) for text in scope.deny],
        only=Pattern(only) if only is not None else None,
        max_depth=scope.max_depth,
        max_path_repetition=scope.traps.max_path_repetition,
        max_params=scope.traps.max_params,
        max_url=config.fetch.max_url,
    )


def normaliser(config: Config) -> Callable[[str], str]:
    """`scope.normalize`"""
    rules = config.scope.normalize
    return Normaliser(strip_params=rules.strip_params, sort_params=rules.sort_params)


def make_traps(config: Config) -> Traps:
    """`scope.traps`, as far as they need more than one URL. Pages that are to give no items cannot be barren."""
    traps = config.scope.traps
    gives_items = config.parse or any(page.items for page in config.pages.values())
    return Traps(max_barren=(traps.max_barren or None) if gives_items else None, max_similar=traps.max_similar)


def make_frontier(config: Config, scope: Scope, traps: Traps, published: Published) -> Frontier:
    """A frontier that refuses by scope, what no page rule fits, and what is published and said to be unchanged."""

    def refusal(request: Request) -> Refusal | None:
        if request.source is not None:
            return scope.source_refusal(request.url, near=request.parent if request.source.level else None)
        refused = scope.refusal(request.url, depth=request.depth, seed=request.seed)
        if refused is None and request.page is None:
            return NO_RULE
        if refused is None and published.has(request):
            return NOT_CHANGED
        return refused or traps.refusal(request)

    return Frontier(
        refusal=refusal,
        politeness=politeness(config.fetch),
        order=config.scope.order,
        track_depth=scope.max_depth is not None,
    )


# --- publishing ------------------------------------------------------------------------------------------------------


def limits(config: Config, options: Options, bundled: frozenset[str]) -> Limits:
    """`limits:`, narrowed by the command line. `bundled`: plugins that come with the framework."""
    return Limits(
        pages=min(filter(None, (config.limits.pages, options.limit)), default=None),
        time=min(filter(None, (config.limits.time, options.time_limit)), default=None),
        bytes=config.limits.bytes,
        plugin_errors=config.limits.plugin_errors,
        bundled=bundled,
    )


def secret_headers(config: Config) -> dict[str, str]:
    """The values of credentials in headers that the config gives to single requests, by their digests.

    The state has only the digests; a run that goes on finds the values here.
    """
    given = [seed.headers for seed in config.seeds]
    given += [follow.headers for page in config.pages.values() for follow in page.follow]
    return {digest(value): value for headers in given for name, value in headers.items() if is_secret(name)}
