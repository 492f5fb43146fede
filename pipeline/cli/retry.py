"""`hookline retry`: fetch again what failed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.cli.running import Runner, run_flags
from pipeline.config import load
from pipeline.runner.release import state_file


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@set_option
@click.option("--reason", metavar="R", default="", help="Only this: a fate as http_503 or timeout, dead, or a plugin.")
@run_flags
def retry(*, config: Path, overrides: tuple[str, ...], reason: str, **flags: Any) -> None:
    """Fetch again what failed, was deferred or gave dead letters in the last run of CONFIG, then check and publish.

    All other pages keep their items. Exit codes are those of run; 0 also where there is nothing to fetch again.
    """
    runner = Runner.of(flags, retry=reason)
    loaded = load(config, overrides=parse_overrides(overrides))
    if state_file(loaded) is None:
        runner.voice.about(loaded.config.name)
        runner.voice.note("nothing to fetch again: no run yet")
        sys.exit(0)
    sys.exit(runner.run(config, loaded).code)
