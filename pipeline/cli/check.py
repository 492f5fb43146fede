"""`hookline check`: is this config right? Without network, without writing anything."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from pipeline.cli.overrides import parse_overrides
from pipeline.cli.run import one_name_each
from pipeline.config import Loaded, load_many
from pipeline.errors import ConfigError, Problem
from pipeline.runner.build import Options, load_host, new_run, own_seeds


@click.command()
@click.argument("configs", metavar="CONFIG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key; may be repeated.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print.")
def check(configs: tuple[Path, ...], overrides: tuple[str, ...], form: str) -> None:
    """Check config, selectors, types, plugins and variables; no network, nothing is written.

    Tells what is wrong with file, line and column, which keys have no effect yet, and in which order hooks are called.
    Exit code 0, or 2 where anything is wrong.
    """
    reports = [_examine(each) for each in one_name_each(load_many(configs, overrides=parse_overrides(overrides)))]
    if form == "json":
        click.echo(json.dumps(reports, indent=2))
    else:
        for report in reports:
            _print(report)
    sys.exit(0 if all(report["ok"] for report in reports) else ConfigError.exit_code)


def _examine(found: Loaded | ConfigError) -> dict[str, Any]:
    try:
        if isinstance(found, ConfigError):
            raise found
        own_seeds(found)
        host = load_host(found, new_run(found.config.name), Options())
    except ConfigError as error:
        return {"ok": False, "problems": [_plain(problem) for problem in error.problems], "notes": [], "hooks": {}}
    notes = [_plain(problem) for problem in [*found.notes, *host.notes]]
    return {"ok": True, "config": str(found.file), "problems": [], "notes": notes, "hooks": host.describe()}


def _plain(problem: Problem) -> dict[str, Any]:
    mark = problem.mark
    place = {"file": mark.file, "line": mark.line, "column": mark.column} if mark else {}
    return {**place, "key": problem.key, "message": problem.message, "hint": problem.hint, "text": str(problem)}


def _print(report: dict[str, Any]) -> None:
    for problem in report["problems"]:
        click.echo(problem["text"], err=True)
    if report["ok"]:
        click.echo(f"{report['config']}: ok")
        for note in report["notes"]:
            click.echo(f"  note: {note['text']}")
        for hook, plugins in report["hooks"].items():
            called = ", ".join(plugin["plugin"] + (" (at publish)" if plugin["at"] else "") for plugin in plugins)
            click.echo(f"  {hook}: {called}")
