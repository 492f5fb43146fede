"""`hookline init`: the files of a new project, as an example or drafted from a page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from pipeline.cli.terminal import say
from pipeline.config import Loaded, load
from pipeline.config.rewriting import CannotRewriteError, with_test
from pipeline.drafting.draft import TYPE, config_name, draft
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
    name, fixture = config_name(fetched.final_url), f"{FOLDER}/{file_name(fetched.final_url, kind)}"
    made = draft(page, name)
    config = folder / f"{name}.yaml"
    files = {f"{name}.yaml": made.text.encode(), fixture: body}
    plugin = {} if (folder / next(iter(plugin_file()))).exists() else plugin_file()
    written = write_files(folder, {**files, **plugin})
    number = _add_test(config, fetched, fixture, kind, made.fields[:SHOWN])
    _told(written, config, f"found {made.found}; {number} {TYPE}s, with {', '.join(made.fields) or 'no fields'}")


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


def _add_test(config: Path, fetched: Fetched, fixture: str, kind: str, fields: list[str]) -> int:
    """Let the draft read its page, and write down what it gave; the number of items."""
    loaded = load(config)
    items = _items(loaded, fetched, next(iter(loaded.config.rules())))
    expect = {TYPE: [{name: item.get(name) for name in fields} for item in items]} if items else {}
    test = entry_of(fetched.final_url, fixture, kind, next(iter(loaded.config.rules())), expect)
    try:
        config.write_bytes(with_test(config.read_text(encoding="utf-8"), test).encode())
    except CannotRewriteError as error:
        say([printable(f"no test was written: {error}")])
    return len(items)


def _items(loaded: Loaded, fetched: Fetched, rule: str) -> list[dict[str, object]]:
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
