"""`hookline check`: is this config right? Without network, without writing anything."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from pipeline.checks.judge import VANISHED
from pipeline.cli.configs import read_all
from pipeline.cli.overrides import parse_overrides
from pipeline.config import Config, Loaded
from pipeline.config.units import duration
from pipeline.errors import ConfigError, Problem
from pipeline.runner.build import reminders
from pipeline.runner.fetching import DEFAULT_POLITENESS, LOOPBACK_POLITENESS
from pipeline.runner.judging import checks_of
from pipeline.runner.mistakes import examine

LIMITS = (
    *("concurrency", "per_host", "timeout", "retry", "retry_after", "robots"),
    *("redirects", "max_body", "max_head", "max_headers", "max_url", "private_networks"),
)
SIZES = ("max_body", "max_head", "bytes", "memory", "page_memory")
SHARES = ("plugin_errors",)
NUMBERS = ("jitter",)  # floats without a unit
SIZE_UNITS = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10}


@click.command()
@click.argument("configs", metavar="CONFIG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key; may be repeated.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print.")
def check(configs: tuple[Path, ...], overrides: tuple[str, ...], form: str) -> None:
    """Check config, selectors, types, plugins and variables; no network, nothing is written.

    Tells what is wrong with file, line and column, which keys have no effect yet, and in which order hooks are called.
    Exit code 0, or 2 where anything is wrong.
    """
    reports = [_examine(each) for each in read_all(configs, parse_overrides(overrides))]
    if form == "json":
        click.echo(json.dumps(reports, indent=2))
    else:
        for report in reports:
            _print(report)
    sys.exit(0 if all(report["ok"] for report in reports) else ConfigError.exit_code)


def _examine(found: Loaded | ConfigError) -> dict[str, Any]:
    if isinstance(found, ConfigError):
        return _refused(found.problems)
    seeds, host, problems = examine(found)
    if problems or host is None or seeds is None:
        return _refused(problems)
    notes = [_plain(problem) for problem in [*found.notes, *host.notes, *reminders(found, seeds)]]
    return {
        "ok": True,
        "config": str(found.file),
        "problems": [],
        "notes": notes,
        "limits": limits_of(found.config),
        "checks": checks_in_force(found.config),
        "hooks": host.describe(),
    }


def _refused(problems: Sequence[Problem]) -> dict[str, Any]:
    return {"ok": False, "problems": [_plain(problem) for problem in problems], "notes": [], "hooks": {}}


def limits_of(config: Config) -> dict[str, Any]:
    """Every limit in force, by its key; None where there is none. Times in seconds, sizes in bytes, but where a host on
    this machine has another limit than the others: that is told in words.
    """
    fetch = config.fetch.model_dump(include=set(LIMITS), by_alias=True)
    found = {f"fetch.{key}": value for key, value in sorted(_flat(fetch), key=lambda pair: pair[0].count("."))}
    for key in ("concurrency", "delay"):
        usual, loopback = getattr(DEFAULT_POLITENESS, key), getattr(LOOPBACK_POLITENESS, key)
        if found[f"fetch.per_host.{key}"] is None:
            found[f"fetch.per_host.{key}"] = f"{_told(key, usual)} (loopback {_told(key, loopback)})"
    return found | {f"limits.{key}": value for key, value in _flat(config.limits.model_dump())}


def checks_in_force(config: Config) -> list[str]:
    """What a result is held to: the config's checks, and those that are there unless it has its own."""
    checks, may_vanish = checks_of(config)
    return [check.text.strip() for check in checks] + ([] if may_vanish else [VANISHED])


def _flat(tree: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


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
        for section, limits in groupby(report["limits"].items(), lambda limit: limit[0].rpartition(".")[0]):
            told = ", ".join(f"{key.rpartition('.')[2]} {_told(key, value)}" for key, value in limits)
            click.echo(f"  {section}: {told}")
        click.echo(f"  checks: {', '.join(report['checks'])}")
        for hook, plugins in report["hooks"].items():
            called = ", ".join(plugin["plugin"] + (" (at publish)" if plugin["at"] else "") for plugin in plugins)
            click.echo(f"  {hook}: {called}")


def _told(key: str, value: Any) -> str:
    """A limit as it would be written in a config."""
    name = key.rpartition(".")[2]
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if name in SIZES:
        unit = next((unit for unit in SIZE_UNITS if value % SIZE_UNITS[unit] == 0), "")
        return f"{value // SIZE_UNITS.get(unit, 1)}{unit}"
    if name in SHARES:
        return f"{value * 100:g}%"
    if isinstance(value, float) and name not in NUMBERS:
        return duration(value)
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
