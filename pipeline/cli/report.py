"""`hookline report`: the stored report of a run, for people or as the JSON that `--report` writes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from pipeline.checks.figures import FieldFigures
from pipeline.checks.judge import Verdict, percentage
from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.cli.runs import table, took
from pipeline.config import Loaded, load
from pipeline.errors import NothingToDoError
from pipeline.logs import printable
from pipeline.runner.release import named, state_file, wrong
from pipeline.runner.summary import Summary
from pipeline.state.database import reading
from pipeline.state.runs import RunRow, find, history, ids

MOST_PROBLEMS = 20
MOST_HOSTS = 20
USUAL = {"fetched", "not_modified", "not_due", "redirected"}  # fates of which nothing is to be said
FIELDS = ("FIELD", "COVERAGE", "VALUES", "MEAN LENGTH", "FROM", "TO")


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("run", metavar="[RUN]", required=False)
@set_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print.")
def report(config: Path, run: str | None, overrides: tuple[str, ...], form: str) -> None:
    """Print the report of RUN, an id or the beginning of one; without it, that of the last run that has ended.

    Requests by fate, items, checks and what was expected of them, drift, fields, hosts, what held them up, what was
    refused by which rule, problems. Exit code 0, also where there is no run yet; 2 for a run that is not there or has
    no report; 5 if the state cannot be read.
    """
    loaded = load(config, overrides=parse_overrides(overrides))
    row = _row(loaded, run)
    if form == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(row.summary), indent=2).decode())
        return
    summary = msgspec.convert(row.summary, Summary)
    for line in _lines(summary, row):
        click.echo(line)


def _row(loaded: Loaded, wanted: str | None) -> RunRow:
    """The run that is meant; it has a report."""
    path = state_file(loaded)
    if path is None:
        raise NothingToDoError(f"{loaded.config.name}: no run yet")
    with reading(path, briefly=True) as db:
        if wanted is not None:
            row = named(find(db, wanted), wanted, partial(ids, db))
            if row.summary is None:
                raise wrong(f"run {row.id} has no report yet: it was interrupted, or is under way")
            return row
        for row in history(db, 10):
            if row.summary is not None:
                return row
    raise NothingToDoError(f"{loaded.config.name}: no run has ended yet")


# --- in words ---------------------------------------------------------------------------------------------------------


def _lines(summary: Summary, row: RunRow) -> Iterator[str]:
    items = summary.items
    yield f"{summary.name}: run {summary.run}, {row.status}, exit {summary.exit_code}, took {took(summary.seconds)}"
    yield from _section("requests", [f"{count} {fate}" for fate, count in summary.fates.items()])
    kinds = [f"{count} {kind}" for kind, count in sorted(items.by_type.items())]
    dropped = [f"{count} dropped: {reason}" for reason, count in sorted(items.dropped.items())]
    changes = f"{items.new} new, {items.changed} changed, {items.unchanged} unchanged, {items.gone} gone"
    dead = [f"{items.dead_lettered} dead-lettered"] if items.dead_lettered else []
    yield from _section("items", [*(kinds or ["none"]), *([changes] if summary.checks else []), *dropped, *dead])
    yield from _section("checks", [_verdict(verdict) for verdict in summary.checks])
    yield from _section("drift", [one.message for one in summary.drift])
    for kind, fields in summary.fields.items():
        yield from _section(f"fields of {kind}", table([FIELDS, *_fields(fields, items.by_type.get(kind, 0))], (0, 2)))
    yield from _manners(summary)
    refused = bool(summary.refused)  # reports of before had these among the problems only
    problems = [one for one in summary.problems if not (refused and one.fate.startswith("rejected:"))]
    yield from _section("problems", _first([f"{one.fate} {one.url}: {one.detail}" for one in problems], MOST_PROBLEMS))
    errors = [f"{n} x {name}: {what}" for name, cost in summary.plugins.items() for what, n in cost.errors.items()]
    yield from _section("plugins", errors)
    yield from _section("errors", summary.errors)
    yield from _section("notes", summary.notes)
    yield from _section("outputs", summary.outputs if summary.published else [])


def _manners(summary: Summary) -> Iterator[str]:
    """How the crawl went by host and by rule: sitemaps and feeds, what was refused and why, what held hosts up."""
    lists = [f"{count} {fate}" for fate, count in summary.sources.fates.items()]
    in_part = [f"{summary.sources.incomplete} read in part"] if summary.sources.incomplete else []
    yield from _section("sitemaps and feeds", [*lists, *in_part])
    if len(summary.hosts) > 1:
        # Those of which something went wrong first: most of many hosts are alike.
        hosts = sorted(summary.hosts.items(), key=lambda one: (set(one[1]) <= USUAL, one[0]))
        told = [
            f"{host or 'no host'}: {', '.join(f'{count} {fate}' for fate, count in fates.items())}"
            for host, fates in hosts
        ]
        yield from _section("hosts", _first(told, MOST_HOSTS))
    waits = [
        f"{host or 'all hosts'}: {words}{f' ({times} times)' if times > 1 else ''}"
        for host, told in summary.throttled.items()
        for words, times in told.items()
    ]
    yield from _section("held up", _first(waits, MOST_HOSTS))
    rules = [
        f"{one.requests} {one.fate}: {one.rule}{f'; one is {one.url}' if one.url else ''}" for one in summary.refused
    ]
    why = [f"why one of them: hookline why {shlex.quote(summary.config)} URL"] if rules else []
    yield from _section("refused", [*_first(rules, MOST_PROBLEMS), *why])


def _first(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[:most], f"... and {len(lines) - most} more"]


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"{title}:"
        yield from (f"  {printable(line)}" for line in lines)


def _verdict(verdict: Verdict) -> str:
    word = "skipped" if verdict.skipped else "passed" if verdict.passed else "FAILED"
    where = f"; see {verdict.url}" if verdict.url else ""
    return f"{word:<7} {verdict.check}: {verdict.message}{where}"


def _fields(fields: dict[str, FieldFigures], count: int) -> Iterator[tuple[Any, ...]]:
    for name, figures in fields.items():
        kinds = ", ".join(sorted(figures.types, key=lambda kind: -figures.types[kind])) or "none"
        sized = figures.mean is not None
        yield (
            name,
            percentage(figures.filled / count if count else 0),
            kinds,
            f"{figures.mean:.1f}" if sized else "",
            str(figures.shortest) if sized else "",
            str(figures.longest) if sized else "",
        )
