"""`hookline why`: how a URL came about, or why it did not."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.config import load
from pipeline.logs import printable
from pipeline.runner.release import state_file
from pipeline.runner.why import Known, Why, explain
from pipeline.state.database import reading
from pipeline.state.trace import Step

WIDTH = 80
FIRST, LAST = 3, 6  # steps of a long way that are shown, from its beginning and before its end


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("url")
@set_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print it.")
def why(config: Path, url: str, overrides: tuple[str, ...], form: str) -> None:
    """Tell how URL came about in the last run of CONFIG, or why it did not, and what would change that.

    The way from a seed, what became of each request on it, what every rule of the config says now, what held up its
    host. A URL that was never met is judged by the config alone, beside the known ones most like it. Nothing is asked
    of the network. Exit code 0, 5 if the state cannot be read.
    """
    loaded = load(config, overrides=parse_overrides(overrides))
    path = state_file(loaded)
    try:
        if path is None:
            told = explain(loaded, url, None)
        else:
            with reading(path, briefly=True) as db:
                told = explain(loaded, url, db)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if form == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
    else:
        click.echo("\n".join(line for text in lines(told) for line in [printable(text, 10_000).rstrip()]))


def lines(told: Why) -> Iterator[str]:
    """What a person reads, at most `WIDTH` wide but for URLs."""
    yield told.url
    if told.url != told.asked:
        yield from _row("asked as", told.asked)
    for known in told.known:
        yield from _of_request(known, told)
    if not told.known:
        yield from _row("fate", f"not met in run {told.run}" if told.run else "no run yet")
        yield from _rows("nearest", told.nearest)
    yield from _rows("host", [f"{words}{_times(times)}" for words, times in told.throttled.items()])
    yield ""
    yield "The config as it is now:"
    wide = max(len(rule.key) for rule in told.rules)
    for rule in told.rules:
        head = f"  {'pass' if rule.passes else 'NO  '}  {rule.key.ljust(wide)}  "
        yield from _wrapped(head, rule.words)
    if told.advice:
        yield ""
        yield from _row("to do", told.advice)


def _of_request(known: Known, told: Why) -> Iterator[str]:
    request = known.request
    yield from _row("fate", f"{request.fate or 'pending'}{_status(request)}, in run {told.run}")
    if request.detail and known.redirected_to is None:
        yield from _row("because", request.detail)
    if known.redirected_to:
        yield from _row("leads to", known.redirected_to)
    if known.ends_in:
        end = known.ends_in
        yield from _row("there", f"{end.fate or 'pending'}{_status(end)}{f': {end.detail}' if end.detail else ''}")
    yield from _rows("way", list(_way(known)))
    rule = request.rule or "none"
    if request.source:
        yield from _row("read as", "robots.txt, for its sitemaps" if request.source == "robots" else request.source)
    yield from _row("rule", f"{rule}, {request.method}, depth {request.depth}{_carried(request)}")
    if request.attempts and not (request.fate or "").startswith("rejected:"):
        items = "" if request.items is None else f"; {request.items} item{'' if request.items == 1 else 's'}"
        yield from _row("attempts", f"{request.attempts}{items}")
    yield from _row("to do", known.advice)


def _way(known: Known) -> Iterator[str]:
    steps = [*known.way, known.request]
    for number, step in enumerate(steps):
        if number == FIRST and len(steps) > FIRST + LAST + 1:
            yield f"... {len(steps) - FIRST - LAST} more"
        if FIRST <= number < len(steps) - LAST and len(steps) > FIRST + LAST + 1:
            continue
        yield f"{step.url}  ({_how(steps, number)})"


def _how(steps: list[Step], number: int) -> str:
    step = steps[number]
    if step.parent is None:
        return "seed" if step.seed else "from a sitemap, feed, plugin or an earlier run"
    before = steps[number - 1] if number else None
    if before is not None and before.target == step.id and before.fate == "redirected":
        return "redirected to"
    return "named there" if before is not None and before.source else "linked"


def _status(step: Step) -> str:
    return "" if step.status is None else f" (HTTP {step.status})"


def _carried(step: Step) -> str:
    return "" if not step.carry else f", carries {', '.join(step.carry)}"


def _times(times: int) -> str:
    return "" if times == 1 else f" ({times} times)"


def _row(name: str, text: str) -> Iterator[str]:
    yield from _wrapped(f"  {name.ljust(8)}  ", text)


def _rows(name: str, texts: list[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield from _row(name if number == 0 else "", text)


def _wrapped(head: str, text: str) -> Iterator[str]:
    indent = " " * len(head)
    words = textwrap.wrap(text, WIDTH - len(head), break_long_words=False, break_on_hyphens=False) or [""]
    yield head + words[0]
    yield from (indent + line for line in words[1:])
