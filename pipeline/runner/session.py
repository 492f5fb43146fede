"""One run from start to exit code: build, crawl, publish, judge, report.

`execute` is what `hookline run` and `pipeline.run` both call. It owns the order of things (spec, section 3): hooks hear
`run_start` before the first request and `run_finish` after the verdict; nothing is staged before the crawl is over;
nothing is published unless the crawl ran to its end, the source was there and the checks passed.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from pipeline.config.loader import Loaded
from pipeline.errors import ConfigError, PluginError, Problem, StorageError
from pipeline.runner.build import Job, Options, build
from pipeline.runner.engine import Engine
from pipeline.runner.openrun import Tap
from pipeline.runner.publish import Store
from pipeline.runner.report import fill, sources_available
from pipeline.runner.summary import Summary, worst
from pipeline.url import origin_of


class Forced(BaseException):
    """A second signal: end at once. `exit_code` is 130 for SIGINT, 143 for the others."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = 130 if signum == signal.SIGINT else 143


def execute(
    loaded: Loaded,
    options: Options,
    *,
    stores: Sequence[Store] = (),
    tap: Tap | None = None,
    watch: Callable[[Engine], None] | None = None,
) -> Summary:
    """Run one config. Raises ConfigError before anything is requested or written; everything later is in the summary.

    `stores` are written to beside the config's own, `tap` gets each item as it comes, and `watch` is shown the engine
    before it starts (the live display).
    """
    job = build(loaded, options, stores=stores, tap=tap)
    started = time.monotonic()
    try:
        with job.host.stdout_guard():
            _start(job)
            if watch is not None:
                watch(job.engine)
            codes = _crawl_and_publish(job, options)
            _settle(job, codes, time.monotonic() - started)
            job.host.run_finish(job.run, job.summary)
    finally:
        job.close()
    if options.report is not None:
        write_report(options.report, job.summary)
    return job.summary


def _start(job: Job) -> None:
    try:
        job.host.run_start(job.run)
        seeds = [*job.seeds, *job.host.seeds(job.run)]
    except PluginError as error:
        raise ConfigError([Problem(None, f"plugin {error.plugin}", str(error))]) from error
    for request in job.resolve(seeds):
        if request.seed:
            job.trust(origin_of(request.url))
        job.engine.add_seed(request)


def _crawl_and_publish(job: Job, options: Options) -> list[int]:
    """The exit codes of everything that went wrong, none for a good run."""
    _catch_signals(job.engine)
    job.engine.run()
    fill(job.summary, job.engine)
    codes = []
    if job.engine.error is not None:
        job.summary.errors.append(str(job.engine.error))
        codes.append(6)
    if job.engine.stopped is not None:
        codes.append(3)
    elif not sources_available(job.engine):
        job.summary.errors.append("every seed failed, was gone, blocked or refused")
        codes.append(4)
    if not codes and not options.dry_run:
        codes.extend(_publish(job))
    return codes


def _publish(job: Job) -> list[int]:
    try:
        job.summary.published = job.publisher.publish(job.open_run.in_order(), job.summary)
    except StorageError as error:
        job.summary.errors.append(str(error))
        return [5]
    return [] if job.summary.published else [1]


def _settle(job: Job, codes: list[int], seconds: float) -> None:
    summary = job.summary
    summary.seconds = round(seconds, 3)
    for plugin, longest in job.host.slow.items():
        summary.notes.append(f"plugin {plugin} held up all fetching: prepare_request took {longest * 1000:.0f} ms")
    for problem in summary.imbalance():
        summary.errors.append(f"the books do not balance: {problem}")
        codes.append(70)
    summary.exit_code = worst(codes)
    summary.verdict = "ok" if summary.exit_code == 0 else "failed"


def _catch_signals(engine: Engine) -> None:
    """First TERM, INT or HUP drains, a second one ends at once. Only a main thread can have signals."""
    if threading.current_thread() is not threading.main_thread():
        return

    def on_signal(signum: int) -> None:
        name = signal.Signals(signum).name
        if engine.stopped is not None and engine.stopped.startswith("signal"):
            raise Forced(signum)
        engine.stop(f"signal {name}")

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        engine.loop.on_signal(signum, partial(on_signal, signum))


def write_report(path: Path, summary: Summary) -> None:
    """Write the summary as JSON, whole or not at all; a device or pipe is written to, never replaced."""
    data = msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"
    path = path.resolve()  # a link stays one
    stage = path.with_name(f".{path.name}.{summary.run}.stage")
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as there:
                there.write(data)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        stage.write_bytes(data)
        stage.replace(path)
    except OSError as error:
        raise StorageError(f"the report cannot be written to {path}: {error.strerror}") from error
