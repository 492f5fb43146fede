"""One run from start to exit code: which run this is, crawl, publish, judge, report.

`execute` is what `hookline run` and `pipeline.run` both call. It owns the order of things (spec, section 3). A run that
was interrupted goes on, with its id, its start and its books; one whose publish was interrupted is published, and that
is all there is to do. Hooks hear `run_start` before the first request of a process and `run_finish` after the verdict;
nothing is staged before the crawl is over; nothing is published unless the crawl ran to its end, the source was there,
the books balance and the checks passed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from pipeline.config.loader import Loaded
from pipeline.errors import (
    ConfigError,
    LockedError,
    NothingToDoError,
    Problem,
    SkippedError,
    StateError,
    StorageError,
    WorkersError,
)
from pipeline.failpoints import hit
from pipeline.runner.beginning import Begun, begin, begin_again, resume, run_start
from pipeline.runner.books import Books
from pipeline.runner.build import Job, Options, build, new_run
from pipeline.runner.engine import Engine
from pipeline.runner.home import FILE, Home, patience, state_folder
from pipeline.runner.judging import Judge
from pipeline.runner.memory import memory_limit
from pipeline.runner.past import Past, why_not
from pipeline.runner.plugging import item_keys, make_stager
from pipeline.runner.publish import Publisher, StoppedError
from pipeline.runner.recorder import Tap
from pipeline.runner.report import crawled, fill, take_leave, write_report
from pipeline.runner.signals import Signals
from pipeline.runner.summary import Summary
from pipeline.stages.staging import Stager, Store
from pipeline.stages.storing import StoreProcess
from pipeline.state import pages, requests, runs
from pipeline.state.database import size

Say = Callable[[str], None]


class Session(msgspec.Struct):
    """One call of `execute`, while it holds the state."""

    loaded: Loaded
    options: Options
    home: Home
    say: Say
    stores: Sequence[Store] = ()
    tap: Tap | None = None
    watch: Callable[[Engine], None] | None = None
    notes: list[str] = []
    number: int = 0
    status: str = "open"
    narrowed: bool = False  # the run sees less than the config asks for
    stager: Stager | StoreProcess | None = None  # made beside the crawl

    # --- which run ---------------------------------------------------------------------------------------------------

    def run(self, early: Job | None) -> Summary:
        """Go on with the last run, or begin one."""
        writer = self.home.writer
        if writer.note:
            self._tell(writer.note)
        last = writer.call(runs.last)
        self.home.fresh = last is None
        if early is not None and last is None and self.options.retry is None:
            self.narrowed = self.options.narrowed
            return self._work(early, lambda: begin(early, writer))
        if early is not None:
            early.close()
        if last is not None and last.status == "publishing":
            summary = self._finish_publish(Past.of(last))
            if summary.verdict != "ok" or not (self.options.fresh or Past.of(last).is_long_ago()):
                return summary
            last = writer.call(runs.last)
        if self.options.retry is not None:
            return self._retry(last)
        if last is not None and last.status == "open":
            found = self._go_on(Past.of(last))
            if isinstance(found, Summary):
                return found
            self._tell(f"run {last.id} was interrupted and is dropped: {found}; a new one starts")
        job, self.narrowed = self._build(None), self.options.narrowed
        return self._work(job, lambda: begin(job, writer))

    def _go_on(self, past: Past) -> Summary | str:
        """Go on with a run that was interrupted; if that cannot be, why."""
        mine, self.options = self.options, replace(self.options, retry=past.row.again)  # as whoever began it
        job = self._build(past)
        reason = why_not(past, job, mine)
        if reason is None:
            self.narrowed = past.row.narrowed
            return self._work(job, lambda: resume(job, self.home.writer, past))
        job.close()
        self.options = mine
        return reason

    def _retry(self, last: runs.RunRow | None) -> Summary:
        if last is None:
            raise NothingToDoError("nothing to fetch again: there was no run yet")
        if last.status == "dropped":
            raise NothingToDoError(f"nothing to fetch again: run {last.id} was dropped when another was published")
        reason = self.options.retry or ""
        self.options = replace(self.options, limit=last.limit, only=last.only)  # it sees what that run saw
        if last.status == "open":
            return self._retry_on(Past.of(last))
        job, self.narrowed = self._build(None), last.narrowed
        return self._work(job, lambda: begin_again(job, self.home.writer, last, reason))

    def _retry_on(self, past: Past) -> Summary:
        """Go on with a `retry` that was interrupted; any other run is `run`'s. Raises ConfigError."""
        found = self._go_on(past) if past.row.again is not None else ""
        if isinstance(found, Summary):
            return found
        again = "goes on with it first" if not found else f"drops it and begins anew, since {found}"
        message = f"run {past.row.id} was interrupted: `hookline run {self.loaded.file}` {again}"
        raise ConfigError([Problem(None, "", message)])

    def _build(self, past: Past | None) -> Job:
        name = self.loaded.config.name
        run = past.info(name) if past is not None else new_run(name)
        return build(self.loaded, self.options, run, stores=self.stores, tap=self.tap)

    def _tell(self, line: str) -> None:
        self.notes.append(line)
        self.say(line)

    # --- its course --------------------------------------------------------------------------------------------------

    def _work(self, job: Job, start: Callable[[], Begun]) -> Summary:
        started = time.monotonic()
        summary = job.summary
        try:
            with job.host.stdout_guard(), Signals(job.network.loop) as signals:
                begun = start()
                self.number, engine = begun.number, begun.engine
                if begun.told:
                    self._tell(begun.told)
                before = engine.books.seconds
                self.home.say(job.run.id)
                loop = job.network.loop
                self.home.wake_with(lambda: loop.call_soon_threadsafe(_nothing))
                if summary.resumed or self.options.retry is not None:
                    run_start(job)
                if self.watch is not None:
                    self.watch(engine)
                summary.notes = [*self.notes, *summary.notes]
                if not (self.options.dry_run or job.host.only_ours):
                    with suppress(WorkersError):  # the system has no process: publishing tries again, and says so
                        self.stager = self._stager_of(job)  # a process, which sets itself up beside the crawl
                self._crawl(engine, signals)
                fill(summary, engine, self.home.writer)
                codes = self._judge_crawl(engine, summary)
                if not codes and not self.options.dry_run:
                    codes.extend(self._publish(job, signals, engine.books))
                self._settle(job, codes, before + time.monotonic() - started)
                take_leave(summary, job.host, job.run)
            self._close(summary)
        finally:
            self.home.wake_with(None)
            if self.stager is not None:
                self.stager.close()
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
        if isinstance(engine.error, WorkersError) and self.home.fresh and not engine.books.asked:
            raise ConfigError(engine.error.problems)  # as if it had been found out before the state was made

    def _judge_crawl(self, engine: Engine, summary: Summary) -> list[int]:
        """The exit codes of everything that went wrong before publishing."""
        codes = []
        if engine.error is not None:
            summary.errors.append(str(engine.error))
            codes.append(engine.error.exit_code)
        if engine.stopped is not None:
            codes.append(3)
        elif not codes and not self.home.writer.call(requests.seeds_reached):
            summary.errors.append(summary.unreached)
            codes.append(4)
            self.status = "failed"
        if summary.imbalance():
            codes.append(70)
            self.status = "failed"  # whoever goes on with such books comes to the same end
        return codes

    def _publish(self, job: Job, signals: Signals, books: Books) -> list[int]:
        summary, rules = job.summary, list(self.loaded.config.rules())
        if self.narrowed and self.home.writer.call(pages.published) is not None:
            self.status = "candidate"
            self.home.writer.call(partial(pages.decide_removals, clean=False, rules=rules), self.number)
            return []
        publish = self._publication(summary, books, despite_checks=self._despite_checks)
        return self._with_publisher(job, signals, summary, publish)

    def _publication(self, summary: Summary, books: Books, *, despite_checks: bool) -> Callable[[Publisher], bool]:
        """The first publication of a crawl that is over."""
        # Where no robots.txt was to be had (`unseen`), and what unchanged pages lead to (`skipped`), nobody looked.
        clean = not (books.unseen or books.skipped or self.narrowed) and summary.is_clean
        words: dict[str, Any] = {"rules": list(self.loaded.config.rules()), "clean": clean}
        return lambda publisher: publisher.publish(summary, despite_checks=despite_checks, **words)

    @property
    def _despite_checks(self) -> bool:
        """Whether a result that fails a check is published; the exit code tells of it all the same."""
        return self.loaded.config.on_check_failure == "publish"

    def _with_publisher(
        self, job: Job, signals: Signals, summary: Summary, publish: Callable[[Publisher], bool], *, force: bool = False
    ) -> list[int]:
        """Publish; the exit codes of what went wrong, and what the run is from now on.

        With `force` a check that failed is not among it: somebody knows of it and wants the result.
        """
        try:
            with closing(self._stager_of(job)) as stager:
                publisher = Publisher(
                    self.home.writer,
                    stager,
                    number=self.number,
                    run=job.run.id,
                    judge=Judge(self.loaded.config, self.home.writer, self.number),
                    keys=item_keys(self.loaded.config),
                    stopped=signals.came,
                    balances=lambda summary: not summary.imbalance(),
                    wait=patience(self.loaded, self.options).wait,
                )
                try:
                    visible = publish(publisher)
                finally:
                    summary.spend(stager.seconds)
                if visible:
                    self.status = "published"
                    return [] if force or all(verdict.passed for verdict in summary.checks) else [1]
        except StoppedError:
            summary.stopped = "signal"
            return [3]
        except (StorageError, LockedError, WorkersError, OSError) as error:
            self.status = "publishing" if summary.published else self.status
            summary.published = False
            summary.errors.append(str(error))
            return [StorageError.exit_code if isinstance(error, OSError) else error.exit_code]
        if summary.imbalance():
            self.status = "failed"
            return [70]
        self.status = "candidate"
        return [1]

    def _stager_of(self, job: Job) -> Stager | StoreProcess:
        """The store side of publishing, if it has not died since it was made."""
        if self.stager is not None and self.stager.alive:
            return self.stager
        engine = job.engine if job.host.only_ours else None
        process = engine.pool.release() if engine is not None else None  # to start one costs as much as 100 pages
        workers, output = self.options.workers, self.options.output
        return make_stager(self.loaded, job.host, job.stores, workers=workers, output=output, process=process)

    def _finish_publish(self, past: Past) -> Summary:
        """Deliver what the last process had begun to publish."""
        job = self._build(past)
        self.number, self.status = past.row.number, "publishing"
        summary = msgspec.convert(past.row.summary, Summary)
        summary.resumed, summary.published, summary.errors, summary.notes = True, True, [], []
        self._tell(f"run {past.row.id}, begun {past.age()} ago, was about to be published: publishing it now")
        try:
            with job.host.stdout_guard(), Signals(job.network.loop) as signals:
                codes = self._with_publisher(
                    job, signals, summary, lambda publisher: publisher.finish(summary), force=not self._despite_checks
                )
            summary.conclude(codes, detailed=self.options.detailed_exit_code)
            for note in summary.notes:
                self.say(note)
            summary.notes = [*self.notes, *summary.notes]
            self._close(summary)
        finally:
            job.close()
        return summary

    def release(self, past: Past, *, force: bool) -> Summary:
        """Publish a result that was kept back, or that no store had yet (`hookline publish`)."""
        if past.row.status == "publishing":
            return self._finish_publish(past)
        job = self._build(past)
        self.number, self.status, self.narrowed = past.row.number, past.row.status, past.row.narrowed
        summary, books = msgspec.convert(past.row.summary, Summary), msgspec.convert(past.row.counts, Books)
        summary.items, summary.notes, summary.errors = crawled(books), [], []
        try:
            with job.host.stdout_guard(), Signals(job.network.loop) as signals:
                despite = force or self._despite_checks
                publish: Callable[[Publisher], bool] = lambda one: one.release(summary, despite_checks=despite)  # noqa: E731
                if past.is_undelivered:
                    publish = self._publication(summary, books, despite_checks=despite)
                codes = self._with_publisher(job, signals, summary, publish, force=force)
            for note in summary.notes:
                self.say(note)
            summary.conclude(codes, detailed=self.options.detailed_exit_code)
            self._close(summary)
        finally:
            job.close()
        return summary

    # --- its end -----------------------------------------------------------------------------------------------------

    def _settle(self, job: Job, codes: list[int], seconds: float) -> None:
        summary = job.summary
        summary.seconds = round(seconds, 3)
        summary.spend(job.host.spent())
        for plugin, longest in job.host.slow.items():
            summary.notes.append(f"plugin {plugin} held up all fetching: prepare_request took {longest * 1000:.0f} ms")
        for problem in summary.imbalance():
            summary.errors.append(f"the books do not balance: {problem}")
            codes.append(70)
        if self.status in ("open", "publishing") and 5 in codes and self.home.writer.error is None:
            summary.notes.append("what was committed is kept; the same command, or `hookline publish`, goes on with it")
        summary.conclude(codes, detailed=self.options.detailed_exit_code)

    def _close(self, summary: Summary) -> None:
        """Note in the state how this process left the run."""
        writer = self.home.writer
        if writer.error is not None:
            return
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        writer.post(runs.close, self.number, self.status, summary.exit_code, ended, msgspec.json.encode(summary))
        writer.commit(wait=True)


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
    policy = patience(loaded, options)
    early = None
    if folder is None or size(folder / FILE) is None:  # what is wrong with a config leaves nothing behind
        early = build(loaded, options, new_run(loaded.config.name), stores=stores, tap=tap, ahead=True)
    try:
        home = Home(folder)
    except BaseException as error:
        if early is not None:
            early.close()
        if not isinstance(error, LockedError) or policy.word == "fail":
            raise
        if policy.word == "skip":
            raise SkippedError(f"{error} (skipped, as if_locked says)") from None
        early = None  # what was built has the time of now; the run begins when it is its turn
        home = Home(folder, wait=policy.wait)
    with home:
        try:
            summary = Session(loaded, options, home, say, stores, tap, watch).run(early)
        except ConfigError:
            home.unmake()
            raise
    if options.report is not None:
        write_report(options.report, summary)
    return summary


def _nothing() -> None:
    """Waking the loop is all that an answer of the state needs: the next tick takes it."""
