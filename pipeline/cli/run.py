"""`hookline run`: one run of each config, one after another."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipeline import interrupts
from pipeline.cli.configs import read_all
from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.cli.running import Runner, run_flags
from pipeline.config import Loaded, expand
from pipeline.crawl.scope import Pattern
from pipeline.errors import ConfigError
from pipeline.runner.summary import worst


@click.command()
@click.argument("configs", metavar="CONFIG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@set_option
@click.option("--fresh", is_flag=True, help="Drop an interrupted run and begin a new one.")
@click.option("--full-refresh", is_flag=True, help="Ask for every page as if it had never been seen.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Fetch at most N pages.")
@click.option("--only", metavar="GLOB", help="Follow only links whose path fits GLOB, or re:REGEX; seeds are fetched.")
@click.option("--dry-run", is_flag=True, help="Fetch, parse and filter; write no output. With -o - items are printed.")
@click.option("--trace-hooks", "trace", metavar="FILE", help="Tell of each call of a hook in FILE; - is stderr.")
@run_flags
def run(
    *,
    configs: tuple[Path, ...],
    overrides: tuple[str, ...],
    fresh: bool,
    full_refresh: bool,
    limit: int | None,
    only: str | None,
    dry_run: bool,
    trace: str | None,
    **flags: Any,
) -> None:
    """Run each CONFIG: crawl, check, publish. A directory means every *.yaml in it that does not start with _.

    A run that was interrupted goes on. The exit code is the verdict; see docs/commands.md for the table.
    """
    runner = Runner.of(
        flags,
        fresh=fresh,
        full_refresh=full_refresh,
        limit=limit,
        only=_pattern(only),
        dry_run=dry_run,
        trace=_place(trace),
    )
    files = expand(configs)
    found = read_all(files, parse_overrides(overrides))
    if len(found) > 1 and (flags["output"] or flags["report"]):
        raise click.UsageError("-o and --report write one file and go with one config only")
    sys.exit(_run_all(runner, files, found))


def _place(trace: str | None) -> str | None:
    """Where `--trace-hooks` writes, whatever folder a plugin goes to."""
    return trace if trace in (None, "-") else str(Path(trace).absolute())


def _run_all(runner: Runner, files: Sequence[Path], found: Sequence[Loaded | ConfigError]) -> int:
    """One after another, whatever becomes of each; only a signal is meant for the whole command."""
    codes: list[int] = []
    for number, (file, each) in enumerate(zip(files, found, strict=True), 1):
        ending = runner.run(file, each, codes)
        codes.append(ending.code)
        if not (ending.by_signal or interrupts.came()):
            continue
        left = [one for one in found[number:] if isinstance(one, Loaded)]
        if left:
            names = ", ".join(one.config.name for one in left[:5]) + (" ..." if len(left) > 5 else "")
            runner.voice.tell(f"stopped by a signal; not started: {names}")
            codes.append(interrupts.STOPPED)
        break
    return worst(codes)


def _pattern(text: str | None) -> str | None:
    """A glob or re:REGEX that compiles; a usage error for any other."""
    try:
        return text if text is None or Pattern(text) else None
    except (ValueError, OverflowError, RecursionError) as error:
        raise click.UsageError(f"--only wants a glob on the path such as /books/** or re:REGEX: {error}") from None
