"""`hookline runs`: what became of each run, newest first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipeline.cli import terminal
from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.config import load
from pipeline.logs import printable
from pipeline.runner.release import state_file
from pipeline.state.database import reading
from pipeline.state.runs import RunRow, history

HEADINGS = ("RUN, BY ITS START (UTC)", "TOOK", "STATUS", "EXIT", "PAGES", "FAILED", "ITEMS", "CHANGES")
LEFT = (0, 2, 7)  # columns of text; numbers stand at the right


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@set_option
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option(
    "-n", "most", type=click.IntRange(min=1), metavar="N", default=20, help="The last N runs; 20 if not given."
)
def runs(config: Path, overrides: tuple[str, ...], as_json: bool, most: int) -> None:
    """List the last runs of CONFIG, newest first: when, how long, what became of them, pages, items, changes; below a
    run the checks that it failed.

    Status: open (interrupted or stopped: the next run goes on with it, or under way), publishing (interrupted while it
    was published), published, candidate (kept back: a check failed, or it saw only a part), failed (no source),
    dropped. Nothing is changed. Exit code 0, 5 if the state cannot be read.
    """
    loaded = load(config, overrides=parse_overrides(overrides))
    path, rows = state_file(loaded), []
    if path is not None:
        with reading(path, briefly=True) as db:
            rows = [told(row) for row in history(db, most)]
    if not rows:
        terminal.say([f"{loaded.config.name}: no run yet"])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif rows:
        heading, *lines = table([HEADINGS, *(_cells(row) for row in rows)])
        click.echo(heading)
        for row, line in zip(rows, lines, strict=True):
            click.echo(line)
            for check in row["checks"]:
                if not check["passed"]:
                    click.echo(f"  {printable(check['check'])}: {printable(check['message'])}")


def told(row: RunRow) -> dict[str, Any]:
    """One run as data; times are UTC, ISO 8601. What is not known, or not decided yet, is None."""
    running = row.status == "open" or row.summary is None  # what a process last told of it may be out of date
    source: dict[str, Any] = row.counts if running else row.summary or {}
    fates: dict[str, int] = source.get("fates", {})
    counts = source.get("items", {}) if not running else {}
    compared = row.status in ("published", "publishing") or (row.status == "candidate" and not row.narrowed)
    return {
        "id": row.id,
        "started": row.started,
        "ended": row.ended,
        "seconds": source.get("seconds", 0.0),
        "status": row.status,
        "exit_code": row.exit_code,
        "narrowed": row.narrowed,
        "hookline": row.made_by,
        "pages": {
            "fetched": fates.get("fetched", 0),
            "unchanged": fates.get("not_modified", 0) + fates.get("not_due", 0),
            "failed": sum(count for fate, count in fates.items() if fate.startswith("failed:")),
        },
        "items": row.counts.get("kept", 0) if running else counts.get("stored", 0),
        "checks": [] if running else source.get("checks", []),
        **{kind: counts.get(kind, 0) if compared else None for kind in ("new", "changed", "gone")},
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    changes = f"+{row['new']} ~{row['changed']} -{row['gone']}" if row["new"] is not None else ""
    code = "" if row["exit_code"] is None else str(row["exit_code"])
    pages = row["pages"]
    return (
        row["id"],
        took(row["seconds"]),
        row["status"],
        code,
        str(pages["fetched"] + pages["unchanged"]),
        str(pages["failed"]),
        str(row["items"]),
        changes,
    )


def took(seconds: float) -> str:
    """A duration in at most six characters: `4.2s`, `12m03s`, `3h05m`, `2d04h`."""
    if seconds < 99.95:
        return f"{seconds:.1f}s"
    for size, unit, part, below in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}{int(seconds % size // part):02d}{below}"
    return f"{seconds:.0f}s"


def table(rows: Sequence[Sequence[str]], left: Sequence[int] = LEFT) -> list[str]:
    """Lines with columns as wide as their widest cell; those named in `left` begin at the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        " ".join(
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
