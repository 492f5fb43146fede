"""`hookline plugin`: what is installed, a new one, is one as it should be."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import msgspec

from pipeline.logs import LONGEST, printable
from pipeline.stages.listing import PluginFacts, list_plugins

KINDS = ("parser", "filter", "store", "seeds", "fetcher")


@click.group()
def plugin() -> None:
    """Look at plugins, begin one, check one."""


@plugin.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_command(as_json: bool) -> None:
    """List installed plugins with distribution, version, file, hooks and components.

    One that cannot be imported is listed with its error; it harms no config that does not name it.
    """
    rows = list_plugins()
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    for line in _table([(row.name, _origin(row), row.module) for row in rows], [_offer(row) for row in rows]):
        click.echo(printable(line, LONGEST))


def _origin(row: PluginFacts) -> str:
    return f"{row.distribution or '?'} {row.version or ''}".strip()


def _offer(row: PluginFacts) -> str:
    return row.error or ", ".join([*row.components, *row.hooks])


def _table(cells: list[tuple[str, str, str]], ends: list[str]) -> list[str]:
    """Columns as wide as their longest cell, and what follows them."""
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(3)]
    starts = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells]
    return [f"{start}  {end}" for start, end in zip(starts, ends, strict=True)]


@plugin.command(name="new")
@click.argument("name")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--kind", type=click.Choice(KINDS), default="filter", help="What it is; default filter.")
def new_command(name: str, folder: Path | None, kind: str) -> None:
    """Write a package with a plugin, tests and a README into DIR (default: ./hookline-NAME).

    Its tests pass as they are. Nothing that is there is written over.
    """
    from pipeline.testing.scaffold import distribution_of, new_plugin  # noqa: PLC0415 - `plugin list` needs none of it

    place = folder or Path(distribution_of(name))
    for path in new_plugin(name, kind, place):
        click.echo(path)
    click.echo(f"next: cd {place} && pytest, and hookline plugin check .", err=True)


@plugin.command(name="check")
@click.argument("target", metavar="PKG")
@click.option(
    "--set", "given", multiple=True, metavar="NAME.OPTION=VALUE", help="An option of a component; may be repeated."
)
@click.option(
    "--page",
    "pages",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Try it on this page too; may be repeated.",
)
@click.option("--url", "urls", multiple=True, metavar="URL", help="Have a fetcher bring this page; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def check_command(
    target: str, given: tuple[str, ...], pages: tuple[Path, ...], urls: tuple[str, ...], as_json: bool
) -> None:
    """Examine a plugin: a file, a folder with a pyproject.toml, an entry point, a module or a distribution.

    Hook names and signatures, options, answers, the same page twice, the time on a few pages, what importing it does
    to the process; for stores what every store must bear. Then a section for its README. Exit code 0; 1 where something
    is wrong; 2 if it cannot be loaded.
    """
    from pipeline.testing.conformance import check_plugin  # noqa: PLC0415 - as above

    report = check_plugin(target, options=_options(given), pages=pages, urls=urls)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
        sys.exit(report.exit_code)
    for finding in report.findings:
        word = {"ok": "ok", "note": "note", "wrong": "WRONG", "unloadable": "WRONG"}[finding.level]
        first, *more = finding.message.splitlines() or [""]
        click.echo(printable(f"{word:<5}  {finding.about}: {first}"), err=True)
        for line in more:
            click.echo(printable(f"       {line}"), err=True)
    if report.readme:
        click.echo(report.readme)
    sys.exit(report.exit_code)


def _options(given: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """`NAME.OPTION=VALUE`; the value is JSON, or else text."""
    options: dict[str, dict[str, Any]] = {}
    for text in given:
        key, equals, value = text.partition("=")
        name, dot, option = key.partition(".")
        if not (equals and dot and name and option):
            raise click.UsageError(f"--set wants NAME.OPTION=VALUE, as cheaper.than=5; found {text!r}")
        known = options.setdefault(name, {})
        try:
            known[option] = json.loads(value)
        except ValueError:
            known[option] = value
    return options
