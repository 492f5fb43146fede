"""`hookline run`: one run of each config, one after another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli import terminal
from pipeline.cli.log import set_up_logging
from pipeline.cli.output import print_items
from pipeline.cli.overrides import parse_overrides
from pipeline.config import Loaded, check_names, load_many
from pipeline.config.units import seconds
from pipeline.errors import ConfigError, HooklineError
from pipeline.runner.build import Options
from pipeline.runner.publish import StreamStore
from pipeline.runner.session import execute
from pipeline.runner.signals import Forced
from pipeline.runner.summary import worst

if TYPE_CHECKING:
    from pipeline.cli.progress import LiveProgress


@click.command()
@click.argument("configs", metavar="CONFIG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key; may be repeated.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Fetch at most N pages.")
@click.option("--time-limit", metavar="DURATION", help="Stop early after this time (exit 3), as 25m.")
@click.option("-o", "--output", metavar="FILE", help="Write the items to FILE as JSON Lines too; - is stdout.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.json", help="Write the report."
)
@click.option("--dry-run", is_flag=True, help="Fetch, parse and filter; write no output. With -o - items are printed.")
@click.option("--strict", is_flag=True, help="The first plugin error ends the run (exit 6).")
@click.option("-v", "--verbose", count=True, help="Say more on stderr; twice for every URL.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors.")
def run(
    *,
    configs: tuple[Path, ...],
    overrides: tuple[str, ...],
    limit: int | None,
    time_limit: str | None,
    output: str | None,
    report: Path | None,
    dry_run: bool,
    strict: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Run each CONFIG: crawl, check, publish. A directory means every *.yaml in it that does not start with _.

    The exit code is the verdict; see docs/commands.md for the table.
    """
    set_up_logging(verbose, quiet)
    options = Options(
        limit=limit,
        time_limit=_duration(time_limit),
        output=Path(output) if output not in (None, "-") else None,
        report=report,
        dry_run=dry_run,
        strict=strict,
    )
    found = load_many(configs, overrides=parse_overrides(overrides))
    if len(found) > 1 and (output or report):
        raise click.UsageError("-o and --report write one file and go with one config only")
    to_stdout = output == "-"
    codes = [_run_one(each, options, quiet=quiet, to_stdout=to_stdout) for each in one_name_each(found)]
    sys.exit(worst(codes))


def one_name_each(found: list[Loaded | ConfigError]) -> list[Loaded | ConfigError]:
    """The configs, with an error in the place of one that shares name and state folder with an earlier one."""
    problems = check_names(each for each in found if isinstance(each, Loaded))
    clashes = {problem.mark.file: problem for problem in problems if problem.mark is not None}
    return [
        ConfigError([clashes[str(each.file)]]) if isinstance(each, Loaded) and str(each.file) in clashes else each
        for each in found
    ]


def _run_one(loaded: Loaded | ConfigError, options: Options, *, quiet: bool, to_stdout: bool) -> int:
    if isinstance(loaded, ConfigError):
        terminal.say(str(loaded).splitlines())
        return loaded.exit_code
    live = _live(loaded.config.name) if sys.stderr.isatty() and not quiet else None
    try:
        summary = execute(
            loaded,
            options,
            stores=[StreamStore("-", print_items)] if to_stdout and not options.dry_run else [],
            tap=(lambda item: print_items([item])) if to_stdout and options.dry_run else None,
            watch=live.watch if live else None,
        )
    except HooklineError as error:
        terminal.say(str(error).splitlines())
        return error.exit_code
    except Forced as forced:
        return forced.exit_code
    finally:
        if live:
            live.close()
    if summary.exit_code:
        report = str(options.report) if options.report else None
        terminal.say(terminal.failure_lines(summary, config=str(loaded.file), report=report))
    elif live:
        terminal.say(terminal.success_lines(summary))
    return summary.exit_code


def _live(name: str) -> LiveProgress:
    from pipeline.cli.progress import LiveProgress  # noqa: PLC0415 - 50 ms that a cron job need not pay

    return LiveProgress(name)


def _duration(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return seconds(text)
    except ValueError as error:
        raise click.UsageError(f"--time-limit wants {error.args[0]}") from None
