"""`hookline schedule`: a config's job, ready for cron or systemd."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from pipeline.cli import emit
from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.config import Loaded, crontab, load
from pipeline.errors import ConfigError, OptionError, Problem
from pipeline.runner.build import new_run
from pipeline.runner.home import state_folder
from pipeline.runner.plugging import load_host


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@set_option
@click.option("--emit", "form", type=click.Choice(["cron", "systemd"]), required=True, help="For whom.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIR",
    help="Write the units to files in DIR.",
)  # fmt: skip
def schedule(config: Path, overrides: tuple[str, ...], form: str, output: Path | None) -> None:
    """Print a crontab line, or a systemd service and timer, that run CONFIG as its `schedule` says.

    With a time limit below the interval, some jitter, absolute paths, and for systemd what each exit code means.
    Nothing is installed. Exit code 0, or 2 where CONFIG is wrong or has no schedule.
    """
    if output is not None and form == "cron":
        raise click.UsageError("-o goes with --emit systemd; a crontab line belongs into a file of yours: crontab -e")
    loaded = load(config, overrides=parse_overrides(overrides))
    job = job_of(loaded, [word for key in overrides if not key.startswith("schedule=") for word in ("--set", key)])
    try:
        files = emit.units(job) if form == "systemd" else {"": emit.crontab(job, os.uname().nodename)}
    except OptionError as error:
        raise ConfigError([Problem(loaded.locate(("schedule",)), "schedule", str(error), error.hint)]) from None
    if output is None:
        click.echo("\n".join(files.values()), nl=False)
        return
    for name, text in files.items():
        (output / name).write_text(text, encoding="utf-8")
        click.echo(output / name)


def job_of(loaded: Loaded, arguments: list[str]) -> emit.Job:
    """The job of a config. Raises ConfigError, also for one without a schedule."""
    text = loaded.config.schedule
    if text is None:
        hint = 'add `schedule: "17 */6 * * *"`, or give it by --set'
        raise ConfigError([Problem(loaded.locate(()), "schedule", "there is none, so there is nothing to emit", hint)])
    host = load_host(loaded, new_run(loaded.config.name))
    outputs = [store.path.absolute().parent for store in host.stores if store.path is not None]
    user = pwd.getpwuid(os.getuid()).pw_name if os.getuid() else ""
    return emit.Job(
        name=loaded.config.name,
        file=loaded.file.absolute(),
        program=_program(),
        arguments=arguments,
        schedule=crontab.parse(text),
        writable=_folders([state_folder(loaded).absolute(), *outputs]),
        user=user,
    )


def _program() -> list[str]:
    """This very program, by its absolute path: jobs have a PATH of their own."""
    beside = Path(sys.executable).absolute().with_name("hookline")
    return [str(beside)] if beside.exists() else [str(Path(sys.executable).absolute()), "-P", "-m", "pipeline"]


def _folders(wanted: Iterable[Path]) -> list[Path]:
    """The folders that are there and have all of these in them; of nested ones the outermost."""
    there = set()
    for path in wanted:
        folder = Path(os.path.normpath(path))
        while not folder.is_dir():
            folder = folder.parent
        there.add(folder)
    return sorted(one for one in there if not any(other in one.parents for other in there))
