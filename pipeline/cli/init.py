"""`hookline init`: the files of a new project, as an example or drafted from a page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any, TypeAlias

import click

from pipeline.cli.terminal import say
from pipeline.config import Loaded, load
from pipeline.config.rewriting import CannotRewriteError, with_test
from pipeline.drafting.draft import TYPE, Draft, config_name, draft
from pipeline.drafting.single import spelt
from pipeline.drafting.starting import example_files, name_of, plugin_file, write_files
from pipeline.errors import ConfigError, Problem
from pipeline.logs import printable
from pipeline.model import PageJob, Request
from pipeline.runner.build import new_run
from pipeline.runner.client import Fetched
from pipeline.runner.fetching import client_for
from pipeline.runner.fixtures import FOLDER, content_type, entry_of, file_name
from pipeline.runner.plugging import load_host
from pipeline.runner.trials import items_of
from pipeline.stages.page import Page
from pipeline.url import normalise

SHOWN = 2  # fields of an item that the test of a draft compares
MOST_DRAFTS = 6  # of one page
Item: TypeAlias = dict[str, Any]


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--from", "url", metavar="URL", help="Draft the config from this page.")
def init(folder: Path, url: str | None) -> None:
    """Write a commented config, a test for it with its saved page, and a plugin, into DIR (default: here).

    With --from the config is drafted from a page: its repeated records, their fields, the link to the next page.
    Nothing is written over. Exit code 0, 2 if a file is there already, 4 if the page could not be fetched.
    """
    if url is None:
        name = name_of(folder)
        _told(write_files(folder, example_files(name)), folder / f"{name}.yaml")
        return
    fetched = _fetch(url)
    body, kind = fetched.body or b"", content_type(fetched)
    page = Page(fetched.final_url, fetched.status or 200, fetched.headers, body)
    if page.kind == "binary":
        raise ConfigError(
            [Problem(None, url, f"expected a page, found {kind or 'bytes'} without text", "name another URL")]
        )
    name, fixture = config_name(fetched.final_url), f"{FOLDER}/{file_name(fetched.final_url, kind)}"
    made = draft(page, name)
    config = folder / f"{name}.yaml"
    files = {f"{name}.yaml": made.text.encode(), fixture: body}
    plugin = {} if (folder / next(iter(plugin_file()))).exists() else plugin_file()
    written = write_files(folder, {**files, **plugin})
    made, items = _settled(page, name, config, fetched, made)
    shown = [{field: item.get(field) for field in list(made.fields)[:SHOWN]} for item in items]
    rule = next(iter(load(config).config.rules()))
    _add_test(config, entry_of(fetched.final_url, fixture, kind, rule, {TYPE: shown} if shown else {}))
    count = f"{len(items)} {TYPE}" + ("" if len(items) == 1 else "s")
    _told(written, config, f"found {made.found}; {count}, with {', '.join(made.fields) or 'no fields'}")


def _fetch(url: str) -> Fetched:
    full = normalise(url)
    if full is None:
        raise ConfigError([Problem(None, url, "is no URL", "write it as http://host/path")])
    with client_for(None, [full]) as client:
        fetched = client.fetch([Request(full, seed=True)])[0]
    if fetched.outcome != "fetched" or fetched.body is None:
        say([printable(f"{url}: {fetched.outcome}: {fetched.error or ''}")])
        sys.exit(4)
    return fetched


def _settled(page: Page, name: str, config: Path, fetched: Fetched, made: Draft) -> tuple[Draft, list[Item]]:
    """The draft once it has read its page, and the items: where a field was empty, another source is tried."""
    refused: set[str] = set()
    for _ in range(MOST_DRAFTS):
        loaded = load(config)
        items = _items(loaded, fetched, next(iter(loaded.config.rules())))
        empty = {
            spelt(spec)
            for field, spec in made.fields.items()
            if items and all(item.get(field) in (None, "", []) for item in items)
        }
        if empty <= refused:
            break
        refused |= empty
        made = draft(page, name, refused)
        config.write_bytes(made.text.encode())
    return made, items


def _add_test(config: Path, test: dict[str, Any]) -> None:
    """Write down what the draft gave for its page."""
    try:
        config.write_bytes(with_test(config.read_text(encoding="utf-8"), test).encode())
    except CannotRewriteError as error:
        say([printable(f"no test was written: {error}")])


def _items(loaded: Loaded, fetched: Fetched, rule: str) -> list[Item]:
    host = load_host(loaded, new_run(loaded.config.name), dry_run=True)
    job = PageJob(
        fetched.final_url, 200, [("Content-Type", content_type(fetched))], fetched.body or b"", rule=rule, carry={}
    )
    with host.stdout_guard():
        return items_of(host, job, host.run_page(job)).get(TYPE, [])


def _told(written: list[Path], config: Path, found: str = "") -> None:
    """What was written, on stdout; what can be done next, on a terminal."""
    for file in written:
        click.echo(str(file))
    quoted = shlex.quote(str(config))
    lines = [printable(found, 300)] if found else []
    say([*lines, f"next: hookline test {quoted}; hookline run --limit 5 {quoted}"])
