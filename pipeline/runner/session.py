"""One run from start to exit code: which run this is, crawl, publish, judge, report.

`execute` is what `hookline run` and `pipeline.run` both call. It owns the order of things (spec, section 3). A run that
was interrupted goes on, with its id, its start and its books; one whose publish was interrupted is published, and that
is all there is to do. Hooks hear `run_start` before the first request of a process and `run_finish` after the verdict;
nothing is staged before the crawl is over; nothing is published unless the crawl ran to its end, the source was there,
the books balance and the checks passed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

import pipeline
from pipeline.config.loader import Loaded
from pipeline.errors import ConfigError, LockedError, NothingToDoError, PluginError, Problem, StateError, StorageError
from pipeline.failpoints import hit
from pipeline.model import Request
from pipeline.runner.books import Books
from pipeline.runner.build import Job, Options, build, make_engine, make_judge, make_stager, new_run
from pipeline.runner.engine import Engine
from pipeline.runner.home import FILE, Home, state_folder
from pipeline.runner.memory import memory_limit
from pipeline.runner.past import Past, why_not
from pipeline.runner.publish import Publisher, StoppedError
from pipeline.runner.recorder import Tap
from pipeline.runner.report import crawled, fill, write_report
from pipeline.runner.signals import Signals
from pipeline.runner.summary import Summary, worst
from pipeline.stages.staging import Store
from pipeline.state import again, pages, requests, runs
from pipeline.url import origin_of

SEEDS = 1000  # that are held in memory before they are handed to the state
MARKS = 50_000  # known requests that are read at a time by a run that goes on

Say = Callable[[str], None]


@dataclass(slots=True)
class Session:
    """One call of `execute`, while it holds the state."""

    loaded: Loaded
    options: Options
    home: Home
    say: Say
    stores: Sequence[Store] = ()
    tap: Tap | None = None
    watch: Callable[[Engine], None] | None = None
    notes: list[str] = field(default_factory=list)
    number: int = 0
    status: str = "open"
    stopped: str | None = None

    # --- which run ---------------------------------------------------------------------------------------------------

    def run(self, early: Early | None) -> Summary:
        """Go on with the last run, or begin one."""
        last = self.home.writer.call(runs.last)
        if early is not None and last is None:
            return self._work(early.job, lambda: self._begin(early.job, iter(early.seeds)))
        if early is not None:
            early.job.close()
        if last is not None and last.status == "publishing":
            summary = self._finish_publish(Past.of(last))
            if summary.exit_code or not Past.of(last).is_long_ago():
                return summary
        if self.options.retry is not None:
            return self._retry(last)
        if last is not None and last.status == "open":
            past = Past.of(last)
            job = self._build(past)
            reason = why_not(past, job, self.options)
            if reason is None:
                return self._work(job, lambda: self._resume(job, past))
            job.close()
            self._tell(f"run {last.id} was interrupted and is dropped: {reason}; a new one starts")
        job = self._build(None)
        return self._work(job, lambda: self._begin(job, iter(collect(job))))

    def _build(self, past: Past | None) -> Job:
        run = past.info() if past is not None else new_run(self.loaded.config.name)
        return build(self.loaded, self.options, run, stores=self.stores, tap=self.tap)

    def _tell(self, line: str) -> None:
        self.notes.append(line)
        self.say(line)

    # --- its beginning -----------------------------------------------------------------------------------------------

    def _begin(self, job: Job, seeds: Iterator[Request]) -> Engine:
        """A new run: it is there, with all its seeds, or not at all."""
        writer, run = self.home.writer, job.run
        self.number = writer.call(
            runs.begin, run.id, run.start.isoformat(), job.fingerprint, job.options.narrowed, pipeline.__version__
        )
        self._restore_cookies(job)
        engine = make_engine(job, writer, self.number, Books())
        for count, request in enumerate(seeds, 1):
            engine.add_seed(request)
            if count % SEEDS == 0:
                engine.recorder.flush()
        engine.recorder.flush()
        writer.commit(wait=True)
        return engine

    def _resume(self, job: Job, past: Past) -> Engine:
        """Go on where the last process was when it last committed."""
        self.number = past.row.number
        job.summary.resumed = True
        books = msgspec.convert(past.row.counts, Books)
        engine = self._restored(job, books)
        waiting, done = job.frontier.pending, job.frontier.discovered - job.frontier.pending
        self._tell(f"resuming run {past.row.id}, begun {past.age()} ago: {done} requests done, {waiting} waiting")
        return engine

    def _retry(self, last: runs.RunRow | None) -> Summary:
        if last is None:
            raise NothingToDoError("nothing to fetch again: there was no run yet")
        if last.status == "open":
            message = f"run {last.id} was interrupted: `hookline run {self.loaded.file}` goes on with it first"
            raise ConfigError([Problem(None, "", message)])
        job = self._build(None)
        return self._work(job, lambda: self._begin_again(job, last))

    def _begin_again(self, job: Job, last: runs.RunRow) -> Engine:
        run, reason = job.run, self.options.retry or ""
        begun = self.home.writer.call(
            again.begin_again, reason, run.id, run.start.isoformat(), job.fingerprint, pipeline.__version__
        )
        if begun is None:
            of = f" with the reason {reason!r}" if reason else ""
            raise NothingToDoError(f"nothing to fetch again: in run {last.id} nothing failed{of}")
        self.number = begun.number
        before = msgspec.convert(last.counts, Books)
        books = Books(
            seeds=before.seeds,
            links=before.links,
            redirects=before.redirects,
            bad_links=before.bad_links,
            fates=dict(begun.fates),
            per_limit=before.per_limit,
            adopted=before.adopted,
        )
        engine = self._restored(job, books)
        self.home.writer.commit(wait=True)
        self._tell(f"fetching {begun.reopened} requests of run {last.id} again; all other pages keep their items")
        return engine

    def _restored(self, job: Job, books: Books) -> Engine:
        """An engine whose frontier is the one in the state."""
        writer = self.home.writer
        for host in books.adopted:
            job.scope.adopt(host)
        for origin in writer.call(requests.seed_origins):
            job.trust(origin_of(origin + "/"))
        self._restore_cookies(job)
        engine = make_engine(job, writer, self.number, books)
        job.frontier.restore(
            writer.call(requests.last_id),
            self._pieces(requests.marks),
            writer.call(requests.waiting),
            books.fates,
            books.per_limit,
            self._pieces(requests.depths) if job.frontier.track_depth else (),
        )
        return engine

    def _pieces(self, read: Callable[..., tuple[int, Any]]) -> Iterator[Any]:
        after = 0
        while True:
            last, piece = self.home.writer.call(read, after, MARKS)
            if last == after:
                return
            yield piece
            after = last

    def _restore_cookies(self, job: Job) -> None:
        kept = self.home.writer.call(runs.load_meta, "cookies") if job.cookies is not None else None
        if job.cookies is not None and isinstance(kept, bytes):
            job.cookies.restore(kept)

    # --- its course --------------------------------------------------------------------------------------------------

    def _work(self, job: Job, begin: Callable[[], Engine]) -> Summary:
        started = time.monotonic()
        summary = job.summary
        try:
            with job.host.stdout_guard(), Signals(job.network.loop) as signals:
                engine = begin()
                before = engine.books.seconds
                self.home.say(job.run.id)
                loop = job.network.loop
                self.home.wake_with(lambda: loop.call_soon_threadsafe(_nothing))
                if summary.resumed or self.options.retry is not None:
                    _run_start(job)
                if self.watch is not None:
                    self.watch(engine)
                summary.notes = [*self.notes, *summary.notes]
                self._crawl(engine, signals)
                fill(summary, engine, self.home.writer)
                codes = self._judge_crawl(engine, summary)
                if not codes and not self.options.dry_run:
                    codes.extend(self._publish(job, signals))
                self._settle(job, codes, before + time.monotonic() - started)
                job.host.run_finish(job.run, summary)
            self._close(summary)
        finally:
            self.home.wake_with(None)
            job.close()
        return summary

    def _crawl(self, engine: Engine, signals: Signals) -> None:
        signals.give_to(engine)
        engine.watch_memory(memory_limit(self.loaded.config.limits.memory))
        started = time.monotonic()
        engine.run()
        if engine.stopped is not None:
            hit("on_drain")
        engine.books.seconds = round(engine.books.seconds + time.monotonic() - started, 3)
        try:
            engine.recorder.close()
        except StateError as error:
            engine.error = engine.error or error

    def _judge_crawl(self, engine: Engine, summary: Summary) -> list[int]:
        """The exit codes of everything that went wrong before publishing."""
        codes = []
        if engine.error is not None:
            summary.errors.append(str(engine.error))
            codes.append(engine.error.exit_code)
        if engine.stopped is not None:
            codes.append(3)
        elif not codes and not self.home.writer.call(requests.seeds_reached):
            summary.errors.append("every seed failed, was gone, blocked or refused")
            codes.append(4)
            self.status = "failed"
        codes.extend(70 for _ in summary.imbalance())
        return codes

    def _publish(self, job: Job, signals: Signals) -> list[int]:
        summary, config = job.summary, self.loaded.config
        if self.options.narrowed and self.home.writer.call(pages.published) is not None:
            self.status = "candidate"
            summary.notes.append(
                f"--limit saw only a part: the published result stays; "
                f"`hookline publish {self.loaded.file}` puts this one in its place"
            )
            return []
        publisher = self._publisher(job, signals)
        clean = not self.options.narrowed and not any(map(_is_unclean, summary.fates))
        return self._guarded(
            summary,
            lambda: publisher.publish(summary, rules=list(config.rules()), clean=clean, despite_checks=False),
        )

    def _publisher(self, job: Job, signals: Signals) -> Publisher:
        return Publisher(
            self.home.writer,
            make_stager(job),
            number=self.number,
            run=job.run.id,
            judge=make_judge(self.loaded.config),
            stopped=signals.came,
        )

    def _guarded(self, summary: Summary, publish: Callable[[], bool]) -> list[int]:
        """Publish; the exit codes of what went wrong, and what the run is from now on."""
        try:
            if publish():
                self.status = "published"
                return []
        except StoppedError:
            summary.stopped = "signal"
            return [3]
        except (StorageError, LockedError) as error:
            self.status = "publishing" if summary.published else "open"
            summary.published = False
            summary.errors.append(str(error))
            return [error.exit_code]
        self.status = "candidate"
        return [1] if not summary.imbalance() else [70]

    def _finish_publish(self, past: Past) -> Summary:
        """Deliver what the last process had begun to publish."""
        job = self._build(past)
        self.number, self.status = past.row.number, "publishing"
        summary = msgspec.convert(past.row.summary, Summary)
        summary.resumed = True
        self._tell(f"run {past.row.id}, begun {past.age()} ago, was about to be published: publishing it now")
        try:
            with job.host.stdout_guard(), Signals(job.network.loop) as signals:
                publisher = self._publisher(job, signals)
                codes = self._guarded(summary, lambda: publisher.finish(summary))
            summary.exit_code = worst(codes)
            summary.verdict = "ok" if not codes else "failed"
            summary.notes = [*self.notes, *summary.notes]
            self._close(summary)
        finally:
            job.close()
        return summary

    def release(self, past: Past, *, force: bool) -> Summary:
        """Publish a result that was kept back (`hookline publish`)."""
        if past.row.status == "publishing":
            return self._finish_publish(past)
        job = self._build(past)
        self.number, self.status = past.row.number, past.row.status
        summary = msgspec.convert(past.row.summary, Summary)
        summary.items = crawled(msgspec.convert(past.row.counts, Books))
        summary.notes = []
        try:
            with job.host.stdout_guard(), Signals(job.network.loop) as signals:
                publisher = self._publisher(job, signals)
                codes = self._guarded(summary, lambda: publisher.release(summary, despite_checks=force))
            summary.exit_code = worst(codes)
            summary.verdict = "ok" if not codes else "failed"
            self._close(summary)
        finally:
            job.close()
        return summary

    # --- its end -----------------------------------------------------------------------------------------------------

    def _settle(self, job: Job, codes: list[int], seconds: float) -> None:
        summary = job.summary
        summary.seconds = round(seconds, 3)
        for plugin, longest in job.host.slow.items():
            summary.notes.append(f"plugin {plugin} held up all fetching: prepare_request took {longest * 1000:.0f} ms")
        for problem in summary.imbalance():
            summary.errors.append(f"the books do not balance: {problem}")
            codes.append(70)
        if self.status in ("open", "publishing") and 5 in codes and self.home.writer.error is None:
            summary.notes.append("what was committed is kept; the same command, or `hookline publish`, goes on with it")
        summary.exit_code = worst(codes)
        summary.verdict = "ok" if summary.exit_code == 0 else "failed"

    def _close(self, summary: Summary) -> None:
        """Note in the state how this process left the run."""
        writer = self.home.writer
        if writer.error is not None:
            return
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        writer.post(runs.close, self.number, self.status, summary.exit_code, ended, msgspec.json.encode(summary))
        writer.commit(wait=True)


@dataclass(slots=True)
class Early:
    """A job that was built before there was a state: what is wrong with a config leaves nothing behind."""

    job: Job
    seeds: list[Request]


def execute(
    loaded: Loaded,
    options: Options,
    *,
    stores: Sequence[Store] = (),
    tap: Tap | None = None,
    watch: Callable[[Engine], None] | None = None,
    say: Say = lambda line: None,
) -> Summary:
    """Run one config. Raises ConfigError before anything is requested or written, LockedError where another run has
    the state, StateError where it cannot be used; everything later is in the summary.

    `stores` are written to beside the config's own, `tap` gets each item as it comes, `watch` is shown the engine
    before it starts (the live display), and `say` is told at once what a person should know.
    """
    folder = None if options.dry_run else state_folder(loaded)
    early = None
    if folder is None or not (folder / FILE).exists():
        job = build(loaded, options, new_run(loaded.config.name), stores=stores, tap=tap)
        early = Early(job, collect(job))
    try:
        home = Home(folder, run=early.job.run.id if early is not None else "")
    except BaseException:
        if early is not None:
            early.job.close()
        raise
    with home:
        summary = Session(loaded, options, home, say, stores, tap, watch).run(early)
    if options.report is not None:
        write_report(options.report, summary)
    return summary


def collect(job: Job) -> list[Request]:
    """Tell the plugins that the run begins, and take all its seeds. Raises ConfigError."""
    try:
        with job.host.stdout_guard():
            _run_start(job)
            found = list(job.resolve([*job.seeds, *job.host.seeds(job.run)]))
    except BaseException:
        job.close()
        raise
    for request in found:
        if request.seed:
            job.trust(origin_of(request.url))
    return found


def _run_start(job: Job) -> None:
    try:
        job.host.run_start(job.run)
    except PluginError as error:
        raise ConfigError([Problem(None, f"plugin {error.plugin}", str(error))]) from error


def _is_unclean(fate: str) -> bool:
    """Whether a fate says that something was not seen that may be there."""
    return fate.startswith(("failed:", "deferred:")) or fate == "rejected:limit"


def _nothing() -> None:
    """Waking the loop is all that an answer of the state needs: the next tick takes it."""
