"""How a run begins: anew, where the last process left it, or again with what went wrong.

Each way ends with an engine whose frontier is the one in the state. A new run is there with all its seeds, or not at
all: its row and they are one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import msgspec

import pipeline
from pipeline.crawl.hosts import MAX_PRIORITY
from pipeline.errors import ConfigError, NothingToDoError, PluginError
from pipeline.model import Request
from pipeline.runner.advice import lack_of_seeds
from pipeline.runner.books import Books
from pipeline.runner.build import Job, make_engine, secret_headers
from pipeline.runner.engine import Engine
from pipeline.runner.fingerprint import makers
from pipeline.runner.past import Past
from pipeline.state import again, deferred, requests, results, runs, sources
from pipeline.state.runs import RunRow
from pipeline.state.writer import Writer
from pipeline.url import Origin, identity, origin_of

SEEDS = 1000  # that are held in memory before they are handed to the state
MARKS = 50_000  # known requests that are read at a time by a run that goes on


class Begun(NamedTuple):
    """A run that can be crawled: its number in the state, its engine, and what a person should be told."""

    number: int
    engine: Engine
    told: str = ""


def start_requests(job: Job, writer: Writer) -> Iterator[Request]:
    """Tell the plugins that the run begins, and give its seeds one by one. Raises ConfigError."""
    run_start(job)
    try:
        for request in job.resolve(_expanded(job, chain(job.seeds, job.host.seeds(job.run)), writer)):
            if request.seed:
                request.url = job.credentials.without_userinfo(request.url)
                _trust(job, origin_of(request.url))
            yield request
    except PluginError as error:
        raise ConfigError([job.host.problem_of(error)]) from error


def _trust(job: Job, origin: Origin) -> None:
    """The user wrote a URL of this origin: it may be asked, and its host belongs to the crawl."""
    job.trust(origin)
    job.scope.adopt(origin.host)


def _expanded(job: Job, requests: Iterable[Request], writer: Writer) -> Iterator[Request]:
    """The requests, those for sitemaps and feeds as the run means them: which robots.txt, and since when."""
    origins = list(dict.fromkeys(origin_of(seed.url) for seed in job.seeds))
    last: float | None = None
    for request in requests:
        source = request.source
        if source is None:
            yield request
            continue
        if source.since is not None and last is None:
            last = writer.call(results.published_start) or 0.0
            _load_published(job, writer)
        since = last if source.since == "last_success" else source.since
        new = msgspec.structs.replace(request, source=msgspec.structs.replace(source, since=since))
        if source.kind == "robots" and request.url == "robots":
            for origin in origins:
                yield msgspec.structs.replace(new, url=f"{origin.root}robots.txt")
        else:
            yield new


def _load_published(job: Job, writer: Writer) -> None:
    for marks in writer.call(results.published_marks, list(makers(job.loaded, job.host).values())):
        job.published.add(marks)


def run_start(job: Job) -> None:
    """Tell the plugins that the run begins, or goes on. Raises ConfigError."""
    try:
        job.host.run_start(job.run)
    except PluginError as error:
        raise ConfigError([job.host.problem_of(error)]) from error


def begin(job: Job, writer: Writer) -> Begun:
    """A new run. Raises ConfigError for wrong seeds, and where there can be none; then there is no run."""
    if not job.seeds and not job.host.brings_seeds:
        raise ConfigError([lack_of_seeds(job.loaded.locate)])
    run, options = job.run, job.options
    last = writer.call(runs.last)
    writer.call(deferred.put_aside)
    new = partial(runs.begin, limit=options.limit, only=options.only)
    start = run.start.isoformat()
    number = writer.call(new, run.id, start, job.fingerprint, options.narrowed, pipeline.__version__)
    _restore_cookies(job, writer)
    engine = make_engine(job, writer, number, Books())
    same = last is not None and last.fingerprint == job.fingerprint
    if last is not None and same:
        engine.books.adopted += [host for host in last.counts.get("adopted", ()) if job.scope.adopt(host)]
        _add_left_over(job, writer, engine, seeds=True)
    for count, request in enumerate(start_requests(job, writer), 1):
        engine.add_seed(request)
        if count % SEEDS == 0:
            engine.recorder.flush()
            writer.call(requests.last_id)  # waits for it: otherwise all of them would be queued at once
    _add_left_over(job, writer, engine, seeds=False)
    engine.recorder.flush()
    writer.commit(wait=True)
    return Begun(number, engine)


def _add_left_over(job: Job, writer: Writer, engine: Engine, *, seeds: bool) -> None:
    """Enter what the last run deferred, to be asked for before all else of its host.

    What scope refuses now is left out: a page may bring it all the same, and then it is judged like any link.
    """
    after, vault = 0, secret_headers(job.loaded.config)
    while True:
        after, found = writer.call(deferred.take, after, SEEDS, seeds, vault)
        if not found:
            return
        for request in found:
            if request.page not in job.rules.rules:
                request.page = None
            request.priority, request.hops, request.trail = MAX_PRIORITY, (), ()
            start = job.rules.resolve(request)
            if seeds:
                _trust(job, origin_of(start.url))
            if start.page is not None and not job.scope.refusal(start.url, depth=start.depth, seed=seeds):
                engine.books.left_over += job.frontier.add(start, identity(start))


def resume(job: Job, writer: Writer, past: Past) -> Begun:
    """Go on where the last process was when it last committed."""
    job.summary.resumed = True
    books = msgspec.convert(past.row.counts, Books)
    engine = _restored(job, writer, past.row.number, books)
    waiting, done = job.frontier.pending, job.frontier.discovered - job.frontier.pending
    told = f"resuming run {past.row.id}, begun {past.age()} ago: {done} requests done, {waiting} waiting"
    return Begun(past.row.number, engine, told)


def begin_again(job: Job, writer: Writer, last: RunRow, reason: str) -> Begun:
    """A new run over the frontier of the last one, in which what went wrong is open again. Raises NothingToDoError."""
    run = job.run
    found = writer.call(again.begin_again, reason, run.id, run.start.isoformat(), job.fingerprint, pipeline.__version__)
    if found is None:
        of = f" with the reason {reason!r}" if reason else ""
        raise NothingToDoError(f"nothing to fetch again: in run {last.id} nothing failed{of}")
    before = msgspec.convert(last.counts, Books)
    books = Books(  # requests are those of both runs, items are this run's
        seeds=before.seeds,
        left_over=before.left_over,
        links=before.links,
        redirects=before.redirects,
        bad_links=before.bad_links,
        unseen=before.unseen,
        fates=dict(found.fates),
        per_limit=before.per_limit,
        adopted=before.adopted,
        sources=before.sources,
        sources_fetched=before.sources_fetched,
        incomplete=before.incomplete,
        skipped=before.skipped,
    )
    books.owed = books.pages + found.reopened
    engine = _restored(job, writer, found.number, books)
    engine.recorder.flush()  # its books, in the transaction of its row: it may be interrupted before its first page
    writer.commit(wait=True)
    note = f"fetched {found.reopened} requests of run {last.id} again; all other pages keep their items"
    job.summary.notes.append(note)  # for the report: whoever asks for it knows
    return Begun(found.number, engine)


def _restored(job: Job, writer: Writer, number: int, books: Books) -> Engine:
    for host in books.adopted:
        job.scope.adopt(host)
    for origin in writer.call(requests.seed_origins):
        _trust(job, origin_of(origin + "/"))
    if "pending" in writer.call(sources.fates):
        _load_published(job, writer)
    _restore_cookies(job, writer)
    engine = make_engine(job, writer, number, books)
    job.frontier.restore(
        writer.call(requests.last_id),
        _pieces(writer, requests.marks),
        writer.call(requests.waiting),
        books.fates,
        books.per_limit,
        _pieces(writer, requests.depths) if job.frontier.track_depth else (),
    )
    return engine


def _pieces(writer: Writer, read: Callable[..., tuple[int, Any]]) -> Iterator[Any]:
    after = 0
    while True:
        last, piece = writer.call(read, after, MARKS)
        if last == after:
            return
        yield piece
        after = last


def _restore_cookies(job: Job, writer: Writer) -> None:
    kept = writer.call(runs.load_meta, "cookies") if job.cookies is not None else None
    if job.cookies is not None and isinstance(kept, bytes):
        job.cookies.restore(kept)
