"""`hookline plugin`: what is installed."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from pipeline.logs import printable
from pipeline.stages.listing import list_plugins


@click.group()
def plugin() -> None:
    """Look at plugins."""


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
    for row in rows:
        what = row.error or ", ".join([*row.components, *row.hooks])
        origin = f"{row.distribution or '?'} {row.version or ''}".strip()
        click.echo(printable(f"{row.name:<12} {origin:<16} {row.module:<24} {what}"))
