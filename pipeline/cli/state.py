"""`hookline state`: look at the saved state of a config, drop it, or forget parts of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from pipeline.cli import terminal
from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.cli.runs import told
from pipeline.config import Loaded, load
from pipeline.crawl.scope import Pattern
from pipeline.errors import ConfigError, Problem
from pipeline.runner.build import normaliser
from pipeline.runner.home import FILE, Home, state_folder
from pipeline.runner.release import state_file
from pipeline.state import look
from pipeline.state.database import reading
from pipeline.state.lock import Lock
from pipeline.state.runs import last
from pipeline.url import normalise

CONFIG = click.argument("config", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def state() -> None:
    """Look at, drop, or forget parts of the saved state."""


@state.command()
@CONFIG
@set_option
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(config: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show what the state of CONFIG holds: path, size, last run, requests by fate, pages, items, candidates.

    Nothing is changed. Exit code 0, 5 if the state cannot be read.
    """
    loaded = load(config, overrides=parse_overrides(overrides))
    path = state_file(loaded)
    if path is None:
        terminal.say([_nothing(loaded)])
        if as_json:
            click.echo("null")
        return
    with reading(path, briefly=True) as db:
        found, run = look.overview(db), last(db)
    size = sum(look.files(path).values())
    if as_json:
        whole = {"path": str(path), "bytes": size, "last_run": told(run) if run else None}
        click.echo(json.dumps(whole | msgspec.to_builtins(found), indent=2))
        return
    told_run = f"{run.id}, {run.status}" if run else "none"
    fates = ", ".join(f"{count} {fate}" for fate, count in found.fates.items()) or "none"
    published = f"{found.pages} pages, {found.items} items, of run {found.published}" if found.published else "nothing"
    for name, value in (
        ("state", f"{path} ({_size(size)})"),
        ("last run", told_run),
        ("its requests", fates),
        ("hosts", found.hosts),
        ("published", published),
        ("candidates", ", ".join(found.candidates) or "none"),
        ("dead letters", found.dead_letters),
    ):
        click.echo(f"{name + ':':<14}{value}")


@state.command()
@CONFIG
@set_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(config: Path, overrides: tuple[str, ...], yes: bool) -> None:
    """Delete the state of CONFIG, damaged or not: its runs, requests, pages and published items. Outputs stay.

    The next run begins with nothing. Asks on a terminal; elsewhere --yes is needed, else exit code 2; 75 while a run
    has the state.
    """
    loaded = load(config, overrides=parse_overrides(overrides))
    folder = state_folder(loaded)
    there = look.files(folder / FILE)
    if not there:
        terminal.say([_nothing(loaded)])
        return
    with Lock.take(folder, "hookline state reset"):
        terminal.say([f"{one} ({_size(size)})" for one, size in there.items()])
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError("these files would be deleted; say --yes if that is meant")
            click.confirm("Delete them? Outputs stay.", abort=True, err=True)
        look.delete(folder / FILE)
    terminal.say([f"{loaded.config.name}: the state is deleted; outputs were not touched"])


@state.command()
@CONFIG
@click.argument("patterns", metavar="GLOB_OR_URL...", nargs=-1, required=True)
@set_option
def forget(config: Path, patterns: tuple[str, ...], overrides: tuple[str, ...]) -> None:
    """Take pages out of the published result of CONFIG: a URL, a glob on the path as "/a/**", or re:REGEX on the URL.

    For the next run they are pages that it never saw. Their items stay in the outputs until the next publish. Exit
    code 0, 75 while a run has the state.
    """
    loaded = load(config, overrides=parse_overrides(overrides))
    wanted = {text: _test(text, loaded) for text in patterns}
    if state_file(loaded) is None:
        terminal.say([_nothing(loaded)])
        return
    fitted: set[str] = set()

    def fits(url: str) -> bool:
        found = [text for text, test in wanted.items() if test(url)]
        fitted.update(found)
        return bool(found)

    with Home(state_folder(loaded)) as home:
        count = home.writer.call(look.forget, fits)
        home.writer.commit(wait=True)
    terminal.say([f"no published page fits {text}" for text in patterns if text not in fitted])
    pages = "1 page is" if count == 1 else f"{count} pages are"
    stay = "; their items stay in the outputs until the next publish" if count else ""
    terminal.say([f"{loaded.config.name}: {pages} forgotten{stay}"])


def _test(text: str, loaded: Loaded) -> Callable[[str], bool]:
    """Whether a URL is meant by what was typed."""
    if "://" in text and not text.startswith("re:"):
        full = normalise(text)
        if full is None:
            raise ConfigError([Problem(None, text, "is no URL", "write it as http://host/path")])
        wanted = normaliser(loaded.config)(full)
        return lambda url: url == wanted
    try:
        return Pattern(text).matches
    except ValueError as error:
        raise ConfigError([Problem(None, text, str(error))]) from None


def _nothing(loaded: Loaded) -> str:
    return f"{loaded.config.name}: there is no state, and so no run yet"


def _size(number: int) -> str:
    for size, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"
