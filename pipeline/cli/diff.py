"""`hookline diff`: what is different between two published results, by key and field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from pipeline.cli import terminal
from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.config import load
from pipeline.logs import printable
from pipeline.runner.changes import Change
from pipeline.runner.diff import Diff
from pipeline.runner.diff import diff as compare

SIGNS: Final = {"new": "+", "changed": "~", "gone": "-"}
LONGEST: Final = 200  # characters of a value, in text

_json: Final = msgspec.json.Encoder(decimal_format="number").encode


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("one", metavar="[A", required=False)
@click.argument("other", metavar="B]", required=False)
@set_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print.")
def diff(config: Path, one: str | None, other: str | None, overrides: tuple[str, ...], form: str) -> None:
    """Print what changed from published run A to published run B: items that are new (+), changed (~) and gone (-).

    A and B are ids or their beginnings. Without them the last published run and the one before it; without B the last.
    What changed is kept for the last 20 published runs. Exit code 0, 2 for runs that cannot be compared, 5 if the state
    cannot be read.
    """
    loaded = load(config, overrides=parse_overrides(overrides))
    found = compare(loaded, one, other)
    if form == "json":
        click.echo(msgspec.json.format(_json(_data(found)), indent=2).decode())
        return
    counts = ", ".join(f"{found.count(kind)} {kind}" for kind in SIGNS)
    click.echo(f"{loaded.config.name}: {found.one} -> {found.other}: {counts}")
    for change in found.changes:
        for line in _lines(change):
            click.echo(line)
    if not found.whole:
        terminal.say(["there are more changes than were kept; `hookline runs` has the counts of each run"])


def _data(found: Diff) -> dict[str, Any]:
    return {
        "from": found.one,
        "to": found.other,
        "complete": found.whole,
        **{kind: found.count(kind) for kind in SIGNS},
        "changes": [
            {
                "change": change.kind,
                "type": change.type,
                "key": change.key,
                "url": change.url,
                "before": change.before,
                "after": change.after,
            }
            for change in found.changes
        ],
    }


def _lines(change: Change) -> Iterator[str]:
    """The item, and below it its fields."""
    name = " ".join(f"{field}={_value(value)}" for field, value in change.key.items() if value is not None)
    yield printable(f"{SIGNS[change.kind]} {change.type} {name or change.url}", 2 * LONGEST)
    before, after = change.before or {}, change.after or {}
    for field in dict.fromkeys((*before, *after)):
        if change.kind == "changed":
            values = f"{_value(before.get(field))} -> {_value(after.get(field))}"
        else:
            values = _value({**before, **after}[field])
        if change.kind == "changed" or field not in change.key:
            yield f"    {printable(field)}: {values}"


def _value(value: Any) -> str:
    return printable(_json(value).decode(), LONGEST)
