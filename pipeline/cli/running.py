"""A run of one config, and how it is told: what `run` and `retry` have in common."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from pipeline import collector
from pipeline.cli import faults, terminal
from pipeline.cli.output import print_items
from pipeline.cli.overrides import Command
from pipeline.config import Loaded
from pipeline.config.units import seconds
from pipeline.runner.build import Options
from pipeline.runner.publish import StreamStore
from pipeline.runner.session import execute
from pipeline.runner.signals import Forced
from pipeline.runner.summary import Summary

if TYPE_CHECKING:
    from pipeline.cli.progress import LiveProgress


class Ending(NamedTuple):
    """How a run ended; by a signal, no other is to be started."""

    code: int
    by_signal: bool = False


def run_flags(command: Command) -> Command:
    """The flags of both commands."""
    for flag in reversed((
        click.option("--time-limit", metavar="DURATION", help="Stop early after this time (exit 3), as 25m."),
        click.option("-o", "--output", metavar="FILE", help="Write the items to FILE as JSON Lines too; - is stdout."),
        click.option(
            "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.json", help="Write the report."
        ),
        click.option("--strict", is_flag=True, help="The first plugin error ends the run (exit 6)."),
        click.option("-v", "--verbose", count=True, help="Say more on stderr; twice for every URL."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors."),
    )):  # fmt: skip
        command = flag(command)
    return command


def duration(text: str | None) -> float | None:
    """`--time-limit` in seconds; a usage error for what is none."""
    if text is None:
        return None
    try:
        return seconds(text)
    except ValueError as error:
        raise click.UsageError(f"--time-limit wants {error.args[0]}") from None


def file_of(output: str | None) -> Path | None:
    """The file that `-o` names, None for stdout."""
    return Path(output) if output not in (None, "-") else None


def run_one(loaded: Loaded, options: Options, *, quiet: bool, to_stdout: bool) -> Ending:
    """Run one config and tell how it ended. Whatever goes wrong is told and is an exit code: others may follow."""
    collector.relax()
    live = _live(loaded.config.name) if sys.stderr.isatty() and not quiet else None
    try:
        summary = execute(
            loaded,
            options,
            stores=[StreamStore("-", print_items)] if to_stdout and not options.dry_run else [],
            tap=(lambda item: print_items([item])) if to_stdout and options.dry_run else None,
            watch=live.watch if live else None,
            say=(lambda line: None) if quiet else (lambda line: terminal.say([f"{loaded.config.name}: {line}"])),
        )
    except Forced as forced:
        terminal.say([f"{loaded.config.name}: ended at once by a second signal; what was committed is kept"])
        return Ending(forced.exit_code, by_signal=True)
    except KeyboardInterrupt:  # before or after the time in which signals are ours
        return Ending(130, by_signal=True)
    except Exception as error:
        return Ending(faults.tell(error))
    finally:
        if live:
            live.close()
    _tell(summary, loaded, options, on_terminal=live is not None, quiet=quiet)
    by_signal = summary.exit_code == 3 and (summary.stopped or "").startswith("signal")
    return Ending(summary.exit_code, by_signal)


def _tell(summary: Summary, loaded: Loaded, options: Options, *, on_terminal: bool, quiet: bool) -> None:
    if summary.exit_code:
        command = "" if options.dry_run else "run" if options.retry is None else "retry"
        report = str(options.report) if options.report else None
        terminal.say(terminal.failure_lines(summary, config=str(loaded.file), report=report, command=command))
        return
    if on_terminal:
        terminal.say(terminal.success_lines(summary))
    if not quiet and not options.dry_run:
        terminal.say(terminal.note_lines(summary, config=str(loaded.file)))


def _live(name: str) -> LiveProgress:
    from pipeline.cli.progress import LiveProgress  # noqa: PLC0415 - 50 ms that a cron job need not pay

    return LiveProgress(name)
