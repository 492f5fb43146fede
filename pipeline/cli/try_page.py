"""`hookline try`: one page through parse and filter, printed."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click
import msgspec

from pipeline.cli.explaining import Head, Link, explanation, show
from pipeline.cli.output import print_items
from pipeline.cli.overrides import parse_overrides, set_option
from pipeline.cli.prompt import prompt
from pipeline.cli.terminal import say
from pipeline.config import Loaded, load
from pipeline.crawl.scope import NO_RULE
from pipeline.errors import ConfigError, Problem
from pipeline.logs import printable
from pipeline.model import Explained, Item, PageJob, PageResult, Request
from pipeline.packing import pack, unpack_links
from pipeline.runner.build import make_scope, new_run, normaliser, own_seeds
from pipeline.runner.client import Fetched
from pipeline.runner.fetchers import fetch_by_hand
from pipeline.runner.fetching import client_for
from pipeline.runner.fixtures import save_fixture
from pipeline.runner.outcome import page_fate
from pipeline.runner.plugging import load_host
from pipeline.runner.trials import items_of
from pipeline.stages.chains import PageFaultError
from pipeline.stages.host import Host
from pipeline.stages.jobs import PageRunner, RuleBook
from pipeline.stages.loading import nearest
from pipeline.stages.page import Page
from pipeline.url import normalise


@click.command(name="try")
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("url")
@set_option
@click.option("--page", metavar="RULE", help="The page rule to take; else the first that fits the URL.")
@click.option("--field", metavar="F", help="Print this field only.")
@click.option("--explain", is_flag=True, help="Tell what each selector matched, and of those that missed why.")
@click.option("--save-fixture", is_flag=True, help="Save the page beside the config, and print a test with its items.")
@click.option("-i", "interactive", is_flag=True, help="Open a Python prompt with `page`.")
def try_page(
    config: Path,
    url: str,
    *,
    overrides: tuple[str, ...],
    page: str | None,
    field: str | None,
    explain: bool,
    save_fixture: bool,
    interactive: bool,
) -> None:
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
    if field is not None and (explain or not _may_add_fields(loaded)):
        _known_field(loaded, request.page, field)
    fetched = _fetch(loaded, host, request)
    if fetched.outcome != "fetched" or fetched.body is None:
        say([printable(f"{url}: {fetched.outcome}: {fetched.error or ''}")])
        sys.exit(4)
    job, runner = _job(fetched, request.page), host.page_runner(rules)
    with host.stdout_guard():
        result = runner(job)
        read = _read(runner, job)
        told = host.explain(read) if explain and read is not None else []
    if field is not None and not explain and result.items:
        _known_field(loaded, request.page, field, {name for record in result.items for name in record.fields})
    if explain:
        _explain(loaded, fetched, request.page, result, _only(told, field))
    else:
        _tell(result, request.page, field)
    if save_fixture:
        _save(loaded, host, fetched, job, result)
    if interactive and read is not None:
        prompt(read)
    sys.exit(0 if page_fate(result)[0] == "fetched" else 1)


def _fetch(loaded: Loaded, host: Host, request: Request) -> Fetched:
    if request.page in host.fetchers:
        return fetch_by_hand(host.fetchers, request, loaded.config.fetch.max_body)
    with client_for(loaded, [request.url]) as client:
        return client.fetch([request])[0]


def _read(runner: PageRunner, job: PageJob) -> Page | None:
    """The page; None if its bytes are no page, which the result of the job says."""
    try:
        return runner.page(job)
    except PageFaultError:
        return None


def _may_add_fields(loaded: Loaded) -> bool:
    return bool(loaded.config.plugins or loaded.config.parse or loaded.config.filter)


def _known_field(loaded: Loaded, rule: str, field: str, more: Collection[str] = ()) -> None:
    """Refuse a name that no item rule or follow of the page rule has, nor an item of the page (`more`)."""
    entries = loaded.config.rules()[rule]
    names = [name for one in entries.get("items") or () for name in one.get("fields") or ()]
    names += [name for one in entries.get("follow") or () if isinstance(one, dict) for name in one.get("carry") or ()]
    names = list(dict.fromkeys([*names, *more]))
    if field not in names:
        hint = nearest(field, names) or f"there are: {', '.join(names) or 'none'}"
        raise ConfigError([Problem(None, "--field", f"page rule {rule} has no field {field!r}", hint)])


def _only(told: list[Explained], field: str | None) -> list[Explained]:
    """The explanations, or of each that has the field its explanation alone."""
    if field is None:
        return told
    for one in told:
        one.parts = [part for part in one.parts if part.name == field]
    return [one for one in told if one.parts or one.misses]


def _explain(loaded: Loaded, fetched: Fetched, rule: str, result: PageResult, told: list[Explained]) -> None:
    kind = next((value for name, value in fetched.headers if name.lower() == "content-type"), "no Content-Type")
    head = Head(fetched.final_url, fetched.status, kind, len(fetched.body or b""), rule)
    scope = make_scope(loaded.config, own_seeds(loaded))
    links = []
    for request in unpack_links(pack(result).links):
        refused = scope.refusal(request.url, depth=1)
        if refused is None and request.page is None and request.source is None:
            refused = NO_RULE
        links.append(Link(request.url, request.page or "", f"{refused.fate} ({refused.detail})" if refused else ""))
    show(explanation(head, told, links, _notes(result)))


def _notes(result: PageResult) -> list[str]:
    """What the filters and other plugins did with the page."""
    lines = [f"the page is taken for: {result.verdict}"] if result.verdict != "ok" else []
    lines += [f"{count} dropped: {reason}" for reason, count in result.dropped.items()]
    lines += [f"dead letter: {_fault(letter.fault)}" for letter in result.dead]
    return lines + ([f"page failed: {_fault(result.fault)}"] if result.fault is not None else [])


def _save(loaded: Loaded, host: Host, fetched: Fetched, job: PageJob, result: PageResult) -> None:
    if result.fault is not None:
        say(["not saved: a test of a page that fails would always fail"])
        return
    saved = save_fixture(loaded, fetched, job.rule, items_of(host, job, result))
    if not saved.why_not:
        say([f"saved as {saved.file}, with a test of it at the end of `tests:` in {loaded.file}"])
        return
    say([f"saved as {saved.file}; {loaded.file} is as it was ({saved.why_not}); a test to put under `tests:`:"])
    click.echo(saved.entry, nl=False, err=True)


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
    return f"plugin {fault.plugin}, hook {fault.hook}: {fault.message}" if fault.plugin else str(fault.message)


def _carry(request: Request) -> str:
    return f" carrying {msgspec.json.encode(request.carry).decode()}" if request.carry else ""
