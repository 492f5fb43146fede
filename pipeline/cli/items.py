"""`hookline items`: what is published, as JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from pipeline.cli import terminal
from pipeline.cli.output import print_items
from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.config import load
from pipeline.model import Item
from pipeline.packing import unpack_values
from pipeline.runner.release import state_file
from pipeline.state.database import reading
from pipeline.state.look import published_items


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@set_option
@click.option("--type", "kind", metavar="T", help="Items of this type only.")
def items(config: Path, overrides: tuple[str, ...], kind: str | None) -> None:
    """Print the published items of CONFIG as JSON Lines, in output order, exactly as the jsonl store writes them.

    They come from the state, so a config without a store has them too. Exit code 0, also where nothing is published.
    """
    loaded = load(config, overrides=parse_overrides(overrides))
    path = state_file(loaded)
    if path is None:
        terminal.say([f"{loaded.config.name}: nothing is published: no run yet"])
        return
    with reading(path) as db:
        pieces = published_items(db)
        if pieces is None:
            terminal.say([f"{loaded.config.name}: nothing is published yet"])
            return
        failed = _print(pieces, kind)
    if failed is not None:  # here, where nobody takes it for a failure of the state
        raise failed


def _print(pieces: Iterator[bytes], kind: str | None) -> OSError | None:
    """Print the items; what stdout said if it did not take them."""
    found, others = 0, set()
    for piece in pieces:
        wanted = []
        for name, fields, *_ in unpack_values(piece):
            if kind in (None, name):
                wanted.append(Item(name, fields))
            else:
                others.add(name)
        found += len(wanted)
        try:
            print_items(wanted)
        except OSError as error:
            return error
    if kind is not None and not found:
        there = f"; there are {', '.join(sorted(others))}" if others else ""
        terminal.say([f"no items of type {kind!r}{there}"])
    return None
