"""`hookline retry`: fetch again what failed."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pipeline.cli import terminal
from pipeline.cli.log import set_up_logging
from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.cli.running import duration, file_of, run_flags, run_one
from pipeline.config import load
from pipeline.runner.build import Options
from pipeline.runner.release import state_file


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@set_option
@click.option("--reason", metavar="R", default="", help="Only this: a fate as http_503 or timeout, dead, or a plugin.")
@run_flags
def retry(
    *,
    config: Path,
    overrides: tuple[str, ...],
    reason: str,
    time_limit: str | None,
    output: str | None,
    report: Path | None,
    strict: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Fetch again what failed, was deferred or gave dead letters in the last run of CONFIG, then check and publish.

    All other pages keep their items. Exit codes are those of run; 0 also where there is nothing to fetch again.
    """
    set_up_logging(verbose, quiet)
    loaded = load(config, overrides=parse_overrides(overrides))
    if state_file(loaded) is None:
        if not quiet:
            terminal.say([f"{loaded.config.name}: nothing to fetch again: no run yet"])
        sys.exit(0)
    options = Options(
        time_limit=duration(time_limit), output=file_of(output), report=report, strict=strict, retry=reason
    )
    sys.exit(run_one(loaded, options, quiet=quiet, to_stdout=output == "-").code)
