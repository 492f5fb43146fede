"""`hookline run`: one run of each config, one after another."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pipeline.cli import terminal
from pipeline.cli.log import set_up_logging
from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.cli.running import duration, file_of, run_flags, run_one
from pipeline.config import Loaded, check_names, load_many
from pipeline.errors import ConfigError
from pipeline.runner.build import Options
from pipeline.runner.summary import worst


@click.command()
@click.argument("configs", metavar="CONFIG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@set_option
@click.option("--fresh", is_flag=True, help="Drop an interrupted run and begin a new one.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Fetch at most N pages.")
@click.option("--dry-run", is_flag=True, help="Fetch, parse and filter; write no output. With -o - items are printed.")
@run_flags
def run(
    *,
    configs: tuple[Path, ...],
    overrides: tuple[str, ...],
    fresh: bool,
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

    A run that was interrupted goes on. The exit code is the verdict; see docs/commands.md for the table.
    """
    set_up_logging(verbose, quiet)
    options = Options(
        limit=limit,
        time_limit=duration(time_limit),
        output=file_of(output),
        report=report,
        dry_run=dry_run,
        strict=strict,
        fresh=fresh,
    )
    found = load_many(configs, overrides=parse_overrides(overrides))
    if len(found) > 1 and (output or report):
        raise click.UsageError("-o and --report write one file and go with one config only")
    sys.exit(_run_all(one_name_each(found), options, quiet=quiet, to_stdout=output == "-"))


def _run_all(found: list[Loaded | ConfigError], options: Options, *, quiet: bool, to_stdout: bool) -> int:
    """One after another, whatever becomes of each; only a signal is meant for the whole command."""
    codes = []
    for number, each in enumerate(found, 1):
        if isinstance(each, ConfigError):
            terminal.say(str(each).splitlines())
            codes.append(each.exit_code)
            continue
        ending = run_one(each, options, quiet=quiet, to_stdout=to_stdout)
        codes.append(ending.code)
        left = [one for one in found[number:] if isinstance(one, Loaded)]
        if ending.by_signal and left:
            names = ", ".join(one.config.name for one in left[:5]) + (" ..." if len(left) > 5 else "")
            terminal.say([f"stopped by a signal; not started: {names}"])
        if ending.by_signal:
            break
    return worst(codes)


def one_name_each(found: list[Loaded | ConfigError]) -> list[Loaded | ConfigError]:
    """The configs, with an error in the place of one that shares name and state folder with an earlier one."""
    problems = check_names(each for each in found if isinstance(each, Loaded))
    clashes = {problem.mark.file: problem for problem in problems if problem.mark is not None}
    return [
        ConfigError([clashes[str(each.file)]]) if isinstance(each, Loaded) and str(each.file) in clashes else each
        for each in found
    ]
