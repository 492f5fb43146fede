"""A run of one config, and how it is told: what `run` and `retry` have in common."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from pipeline import collector, interrupts
from pipeline.cli import faults, terminal
from pipeline.cli.output import print_items, written_as_they_come
from pipeline.cli.overrides import Command
from pipeline.cli.voice import JsonVoice, Voice
from pipeline.config import Loaded
from pipeline.config.units import if_locked, seconds
from pipeline.errors import ConfigError, SkippedError
from pipeline.runner.build import Options
from pipeline.runner.past import narrowing
from pipeline.runner.publish import StreamStore
from pipeline.runner.session import execute
from pipeline.runner.signals import Forced
from pipeline.runner.summary import Summary, worst

if TYPE_CHECKING:
    from pipeline.cli.progress import LiveProgress
    from pipeline.runner.metrics import Sample
    from pipeline.runner.recorder import Tap

FLAGS = (
    click.option("--time-limit", metavar="DURATION", help="Stop early after this time (exit 3), as 25m."),
    click.option("--if-locked", metavar="POLICY", help="While another run is under way: fail, skip or wait=10m."),
    click.option("--workers", type=click.IntRange(0, 1024), metavar="N", help="Processes that run plugins; 0: none."),
    click.option("-o", "--output", metavar="FILE", help="Write the items to FILE as JSON Lines too; - is stdout."),
    click.option(
        "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.json", help="Write the report."
    ),
    click.option(
        "--metrics",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE.prom",
        help="Write figures for Prometheus (textfile collector).",
    ),
    click.option("--strict", is_flag=True, help="The first plugin error ends the run (exit 6)."),
    click.option("--detailed-exit-code", is_flag=True, help="Exit with 10 in place of 0 if data changed."),
    click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="How stderr is written."),
    click.option("-v", "--verbose", count=True, help="Say more on stderr; twice for every URL."),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors."),
)


class Ending(NamedTuple):
    """How a run ended; by a signal, no other is to be started. `skipped`: another is under way, and that is fine."""

    code: int
    by_signal: bool = False
    skipped: bool = False
    summary: Summary | None = None


def run_flags(command: Command) -> Command:
    """The flags of both commands, which keep the signals until a run takes them."""
    command.keeps_signals = True  # type: ignore[attr-defined]
    for flag in reversed(FLAGS):
        command = flag(command)
    return command


class Runner(msgspec.Struct):
    """Runs configs one after another and tells how each of them ended."""

    options: Options
    voice: Voice
    to_stdout: bool = False
    metrics: Path | None = None
    _samples: list[Sample] = []

    @classmethod
    def of(cls, flags: Mapping[str, Any], **more: Any) -> Runner:
        """From the values of `FLAGS`, and what else a command has for the options."""
        output = flags["output"]
        options = Options(
            time_limit=_checked("--time-limit", flags["time_limit"], _limit),
            if_locked=flags["if_locked"],
            workers=flags["workers"],
            output=Path(output) if output not in (None, "-") else None,
            report=flags["report"],
            strict=flags["strict"],
            detailed_exit_code=flags["detailed_exit_code"],
            **more,
        )
        _checked("--if-locked", flags["if_locked"], if_locked)
        voice = (JsonVoice if flags["log_format"] == "json" else Voice)(verbose=flags["verbose"], quiet=flags["quiet"])
        return cls(options, voice, output == "-", flags["metrics"])

    def run(self, file: Path, found: Loaded | ConfigError, codes: Sequence[int] = ()) -> Ending:
        """Run one config. Whatever goes wrong is told and is an exit code: others may follow.

        `codes` are those of the runs before, which count if a signal ends the command now.
        """
        interrupts.starting(file.stem, worst([*codes, interrupts.STOPPED]))
        self.voice.about(found.config.name if isinstance(found, Loaded) else file.stem)
        try:
            if isinstance(found, ConfigError):
                raise found
            ending = self._run(found)
        except SkippedError as skipped:
            ending = Ending(skipped.exit_code, skipped=True)
            if self.voice.is_live or self.voice.verbose:
                self.voice.note(str(skipped))
        except Forced as forced:
            self.voice.forced()
            ending = Ending(forced.exit_code, by_signal=True)
        except KeyboardInterrupt:  # before or after the time in which signals are ours
            ending = Ending(130, by_signal=True)
        except Exception as error:
            fault = faults.fault_of(error)
            self.voice.failed(fault, str(file))
            ending = Ending(fault.code)
        return self._measured(file, found, ending)

    def _run(self, loaded: Loaded) -> Ending:
        collector.relax()
        options, voice = self.options, self.voice
        live = _live(loaded.config.name) if voice.is_live else None
        try:
            with self._tap() as tap:
                summary = execute(
                    loaded,
                    options,
                    stores=[StreamStore("-", print_items)] if self.to_stdout and not options.dry_run else [],
                    tap=tap,
                    watch=live.watch if live else None,
                    say=voice.note,
                )
        finally:
            if live:
                live.close()
        self._tell(summary, str(loaded.file))
        by_signal = summary.exit_code == 3 and (summary.stopped or "").startswith("signal")
        return Ending(summary.exit_code, by_signal, summary=summary)

    def _tap(self) -> AbstractContextManager[Tap | None]:
        """Where a dry run writes its items as they come; other runs publish them."""
        if not self.options.dry_run:
            return nullcontext()
        if self.to_stdout:
            return nullcontext(lambda item: print_items([item]))
        return nullcontext() if self.options.output is None else written_as_they_come(self.options.output)

    def _tell(self, summary: Summary, config: str) -> None:
        options = self.options
        if summary.verdict != "ok":
            command = "" if options.dry_run else self._command()
            report = str(options.report) if options.report else None
            lines = terminal.failure_lines(summary, config=config, report=report, command=command)
            self.voice.went_wrong(summary, lines, report=options.report)
            return
        self.voice.went_well(summary)
        if not summary.published and not options.dry_run:
            self.voice.note(terminal.kept_back(config))

    def _command(self) -> str:
        """The command that goes on with such a run: with other limits it would be dropped."""
        if self.options.retry is not None:
            return "retry"
        return f"run {narrowing(self.options.limit, self.options.only)}".strip()

    def _measured(self, file: Path, found: Loaded | ConfigError, ending: Ending) -> Ending:
        """Write the metrics anew with this ending among them: whoever is killed later leaves those of before."""
        if self.metrics is None or ending.skipped:
            return ending
        from pipeline.runner.metrics import Sample, last_success, write_metrics  # noqa: PLC0415 - few jobs have them

        good = last_success(found) if isinstance(found, Loaded) else None
        self._samples.append(Sample(file.absolute(), ending.code, time.time(), good, ending.summary))
        try:
            write_metrics(self.metrics, self._samples)
        except Exception as error:
            fault = faults.fault_of(error)
            self.voice.failed(fault, str(file))
            return ending._replace(code=worst([ending.code, fault.code]))
        return ending


def _limit(text: str) -> float:
    """A duration in seconds, as `limits.time` may be one."""
    limit = seconds(text)
    if not limit:
        raise ValueError("a duration longer than 0, such as 25m")
    return limit


def _checked(flag: str, text: str | None, read: Any) -> Any:
    """What a flag's text means; a usage error where it means nothing."""
    if text is None:
        return None
    try:
        return read(text)
    except ValueError as error:
        hint = f"; did you mean {error.args[1]}?" if error.args[1:] and error.args[1] else ""
        raise click.UsageError(f"{flag} wants {error.args[0]}{hint}") from None


def _live(name: str) -> LiveProgress:
    from pipeline.cli.progress import LiveProgress  # noqa: PLC0415 - 50 ms that a cron job need not pay

    return LiveProgress(name)
