"""`hookline try`: one page through parse and filter, printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from pipeline.cli.output import print_items
from pipeline.cli.overrides import parse_overrides
from pipeline.cli.terminal import say
from pipeline.config import Loaded, load
from pipeline.errors import ConfigError, Problem
from pipeline.logs import printable
from pipeline.model import Item, PageJob, PageResult, Request
from pipeline.packing import pack, unpack_links
from pipeline.runner.build import new_run, normaliser
from pipeline.runner.client import Fetched
from pipeline.runner.fetchers import fetch_by_hand
from pipeline.runner.fetching import client_for
from pipeline.runner.outcome import page_fate
from pipeline.runner.plugging import load_host
from pipeline.stages.jobs import RuleBook
from pipeline.url import normalise


@click.command(name="try")
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("url")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key; may be repeated.")
@click.option("--page", metavar="RULE", help="The page rule to take; else the first that fits the URL.")
@click.option("--field", metavar="F", help="Print this field only.")
def try_page(config: Path, url: str, overrides: tuple[str, ...], page: str | None, field: str | None) -> None:
    """Fetch URL once, run it through the parsers and filters of CONFIG, and print its items as JSON Lines.

    Links, drops and errors go to stderr. Nothing is stored. Exit code 0, 4 if the page could not be fetched, 1 if it
    could not be parsed.
    """
    loaded = load(config, overrides=parse_overrides(overrides))
    request = _request(loaded, url, page)
    host = load_host(loaded, new_run(loaded.config.name), dry_run=True)
    rules = RuleBook(loaded.config.rules(), normaliser(loaded.config))
    request = rules.resolve(request)
    if request.page is None:
        known = ", ".join(loaded.config.rules())
        raise ConfigError([Problem(None, url, "no page rule fits this URL", f"name one with --page: {known}")])
    if request.page in host.fetchers:
        fetched = fetch_by_hand(host.fetchers, request, loaded.config.fetch.max_body)
    else:
        with client_for(loaded, [request.url]) as client:
            fetched = client.fetch([request])[0]
    if fetched.outcome != "fetched" or fetched.body is None:
        say([printable(f"{url}: {fetched.outcome}: {fetched.error or ''}")])
        sys.exit(4)
    with host.stdout_guard():
        result = host.page_runner(rules)(_job(fetched, request.page))
    _tell(result, request.page, field)
    sys.exit(0 if page_fate(result)[0] == "fetched" else 1)


def _request(loaded: Loaded, url: str, page: str | None) -> Request:
    full = normalise(url)
    if full is None:
        raise ConfigError([Problem(None, url, "is no URL", "write it as http://host/path")])
    rules = loaded.config.rules()
    if page is not None and page not in rules:
        known = ", ".join(rules)
        raise ConfigError([Problem(None, "--page", f"there is no page rule {page!r}", f"the rules are {known}")])
    return Request(full, page=page, seed=True)


def _job(fetched: Fetched, rule: str) -> PageJob:
    plain = [(name, value) for name, value in fetched.headers if name.lower() != "content-encoding"]
    body = fetched.body or b""
    return PageJob(fetched.final_url, fetched.status or 200, plain, body, rule=rule, carry={})


def _tell(result: PageResult, rule: str, field: str | None) -> None:
    items = [Item(record.type, record.fields) for record in result.items]
    print_items(items if field is None else [Item(item.type, {field: item.get(field)}) for item in items])
    lines = [f"page rule {rule}: {len(items)} items, {len(result.links)} links"]
    lines += [f"  {count} dropped: {reason}" for reason, count in result.dropped.items()]
    lines += [f"  dead letter: {_fault(letter.fault)}" for letter in result.dead]
    if result.fault is not None:
        lines.append(f"  page failed: {_fault(result.fault)}")
    lines += [
        f"  -> {request.url} ({request.page or 'no page rule'}){_carry(request)}"
        for request in unpack_links(pack(result).links)
    ]
    say([printable(line) for line in lines])


def _fault(fault: Any) -> str:
    return f"plugin {fault.plugin}, hook {fault.hook}: {fault.message}"


def _carry(request: Request) -> str:
    return f" carrying {msgspec.json.encode(request.carry).decode()}" if request.carry else ""
