"""`hookline publish`: finish a publish, or release a result that was held back."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from pipeline.cli import terminal
from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.cli.voice import Voice
from pipeline.config import load
from pipeline.runner.release import release
from pipeline.runner.signals import Forced
from pipeline.runner.summary import Summary


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("run", metavar="[RUN]", required=False)
@set_option
@click.option("--force", is_flag=True, help="Publish though a check failed.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors.")
def publish(config: Path, run: str | None, overrides: tuple[str, ...], force: bool, quiet: bool) -> None:
    """Publish the result of RUN, an id or the beginning of one, without fetching anything.

    Without RUN: the run whose publish was interrupted, or failed, else the newest candidate. Exit code 0, also where
    there is nothing to publish; 1 if a check fails and --force is not given.
    """
    Voice(quiet=quiet)  # for the loggers
    loaded = load(config, overrides=parse_overrides(overrides))
    say = (lambda line: None) if quiet else (lambda line: terminal.say([f"{loaded.config.name}: {line}"]))
    try:
        summary = release(loaded, run, force=force, say=say)
    except Forced as forced:
        terminal.say([f"{loaded.config.name}: ended at once by a second signal; what was committed is kept"])
        sys.exit(forced.exit_code)
    if summary.exit_code:
        terminal.say(_failure(summary, str(loaded.file)))
    elif not quiet:
        terminal.say([f"{summary.name}: run {summary.run} is published, {summary.items.stored} items"])
    sys.exit(summary.exit_code)


def _failure(summary: Summary, config: str) -> list[str]:
    again = f"hookline publish {shlex.quote(config)} {summary.run}"
    if summary.exit_code == 1:
        failed = [f"  {line}" for line in terminal.failed_checks(summary.checks)]
        if summary.published:
            return [f"{summary.name}: run {summary.run} is published, though a check failed [exit 1]", *failed]
        head = f"{summary.name}: run {summary.run} is not published: a check failed [exit 1]"
        return [head, *failed, f"  to publish it all the same: {again} --force"]
    reasons = [f"  {error}" for error in summary.errors] or [f"  {summary.stopped or 'it was stopped'}"]
    head = f"{summary.name}: run {summary.run} is not published, or not everywhere [exit {summary.exit_code}]"
    return [head, *reasons, f"  next: the same command goes on with it: {again}"]
