"""`hookline test`: the config's own tests against saved pages, offline."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from pipeline.cli.configs import read_all
from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.config import Loaded
from pipeline.errors import ConfigError
from pipeline.logs import printable
from pipeline.runner.build import new_run
from pipeline.runner.fixtures import update as write_update
from pipeline.runner.plugging import load_host
from pipeline.runner.trials import Trial, run_trials, unfit_tests

LONGEST = 300  # characters of a line
MOST = 20  # differences of one test that are told


@click.command()
@click.argument("configs", metavar="CONFIG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@set_option
@click.option("--update", is_flag=True, help="Write what the pages give now into the tests that fail.")
def test(configs: tuple[Path, ...], overrides: tuple[str, ...], update: bool) -> None:
    """Run the `tests:` of each CONFIG: saved pages through its parsers and filters, offline.

    Exit code 0 if all give what is expected, 1 if one does not, 2 where a config or a test is wrong.
    """
    codes = [_test_one(found, update) for found in read_all(configs, parse_overrides(overrides))]
    sys.exit(max(codes, default=0))


test.__test__ = False  # type: ignore[attr-defined] # no test of pytest's


def _test_one(found: Loaded | ConfigError, update: bool) -> int:
    try:
        if isinstance(found, ConfigError):
            raise found
        host = load_host(found, new_run(found.config.name), dry_run=True)
        problems = unfit_tests(found)
        if problems:
            raise ConfigError(problems)
    except ConfigError as error:
        for line in str(error).splitlines():
            click.echo(line, err=True)
        return error.exit_code
    with host.stdout_guard():
        trials = list(run_trials(found, host))
    failed = [trial for trial in trials if trial.differences]
    why_not = write_update(found, trials) if update and failed else {}
    for trial in failed:
        renewed = update and trial.items is not None and trial.number not in why_not
        _tell(found, trial, renewed, why_not.get(trial.number, ""))
    left = [trial for trial in failed if not update or trial.items is None or trial.number in why_not]
    _sum_up(found, len(trials), len(failed) - len(left), len(left), update)
    return 1 if left else 0


def _tell(found: Loaded, trial: Trial, renewed: bool, why_not: str) -> None:
    """The test and what is different; of one that was renewed its name only."""
    if renewed:
        click.echo(printable(f"{found.file}: {trial.name}: renewed", LONGEST))
        return
    click.echo(printable(f"{trial.mark}: {trial.name}: failed", LONGEST))
    for one in trial.differences[:MOST]:
        click.echo(printable(f"  {one.mark}: {one.text}", LONGEST))
    if len(trial.differences) > MOST:
        click.echo(f"  ... and {len(trial.differences) - MOST} more")
    if why_not:
        click.echo(printable(f"  not renewed: {why_not}; change it by hand", LONGEST))


def _sum_up(found: Loaded, number: int, renewed: int, failed: int, update: bool) -> None:
    if not number:
        click.echo(f"{found.file}: no tests; hookline try {shlex.quote(str(found.file))} URL --save-fixture adds one")
        return
    told = [f"{number - failed - renewed} passed"]
    told += [f"{renewed} renewed"] if renewed else []
    told += [f"{failed} failed"] if failed else []
    click.echo(f"{found.file}: {', '.join(told)}")
    if failed and not update:
        click.echo(f"if the pages are right: hookline test --update {shlex.quote(str(found.file))}")
