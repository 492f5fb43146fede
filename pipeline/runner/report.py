"""From an engine that has ended to the summary that is told: counts, fates by host, problems with an example each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import msgspec

from pipeline.errors import StateError, StorageError
from pipeline.runner.books import Books
from pipeline.runner.engine import Engine
from pipeline.runner.summary import ItemCounts, PluginCost, RefusalCount, Summary, UrlProblem
from pipeline.stages.host import Host
from pipeline.stages.runinfo import RunInfo
from pipeline.state import requests, robots, sources
from pipeline.state.writer import Writer

MOST_NOTES = 5  # sitemaps that are told one by one
MOST_RULES = 100  # rules whose refusals are told one by one
OTHER_RULES = "other rules"
MOST_PROBLEMS = 200  # URLs that are told one by one; the counts are always whole


def fill(summary: Summary, engine: Engine, writer: Writer) -> None:
    """Write what the crawl did into `summary`; what publishing does is added later."""
    books = engine.books
    summary.stopped = engine.stopped
    summary.seeds = books.seeds
    summary.left_over = books.left_over
    summary.throttled = {host: dict(told) for host, told in sorted(books.told.items())}
    summary.notes += books.told.get("", {})
    _split(summary, engine, writer)
    summary.requests = books.requests - books.source_requests
    summary.bytes = books.bytes
    summary.links = books.links
    summary.redirects = books.redirects
    summary.robots_requests = books.robots_requests
    summary.bad_links = books.bad_links
    summary.nofollow, summary.noindex = books.nofollow, books.noindex
    summary.depth_truncated = books.depth_truncated
    summary.missing = dict(sorted(books.missing.items()))
    summary.items = crawled(books)
    summary.plugins = _plugins(books)
    summary.slow_hooks = books.slow
    try:
        summary.hosts = writer.call(requests.fates_by_host)
        found = writer.call(requests.problems, MOST_PROBLEMS)
        rules = writer.call(requests.refusals, MOST_RULES)
        refused = writer.call(robots.refused_now)
        in_part = writer.call(sources.read_in_part, MOST_NOTES)
    except StateError:  # told elsewhere: it is why the run ended
        return
    summary.problems = [UrlProblem(*problem) for problem in found]
    summary.refused = _refused(rules, engine)
    summary.notes.extend(engine.robots.notes)
    summary.notes.extend(f"{url} was read in part only, {why}; nothing goes for not being met" for url, why in in_part)
    for host, number in refused:
        urls = "a URL" if number == 1 else f"{number} URLs"
        summary.notes.append(f"robots.txt of {host} now refuses {urls} that the last published result has")


def _refused(rules: list[tuple[str, str, int, str]], engine: Engine) -> list[RefusalCount]:
    """All refusals by rule; those of the rarest rules in one sum."""
    counts = [RefusalCount(*one) for one in rules]
    total = sum(number for fate, number in engine.frontier.fates.items() if fate.startswith("rejected:"))
    rest = total - sum(one.requests for one in counts)
    return [*counts, RefusalCount("rejected", OTHER_RULES, rest, "")] if rest > 0 else counts


def _split(summary: Summary, engine: Engine, writer: Writer) -> None:
    """Fates of pages, and those of sitemaps and feeds, which are booked apart; the frontier knows both as requests."""
    frontier, books, lists = engine.frontier, engine.books, summary.sources
    fates: dict[str, int] = {}
    try:
        fates = writer.call(sources.fates)
    except StateError:  # without the state nobody can tell them apart
        summary.seeds += books.sources.new
    else:
        lists.found, lists.new, lists.duplicate = books.sources.found, books.sources.new, books.sources.duplicate
    total = sum(fates.values())
    lists.pending = fates.pop("pending", 0)
    lists.fates = fates
    lists.requests, lists.incomplete = books.source_requests, books.incomplete
    summary.discovered = frontier.discovered - total
    left = {fate: count - fates.get(fate, 0) for fate, count in sorted(frontier.fates.items())}
    summary.fates = {fate: count for fate, count in left.items() if count}
    summary.pending = frontier.pending + frontier.active - lists.pending


def crawled(books: Books) -> ItemCounts:
    """The items of a run before anything of them is published."""
    return ItemCounts(
        extracted=books.extracted,
        stored=books.kept,
        dropped=dict(books.dropped),
        dead_lettered=books.dead,
        by_type=dict(books.by_type),
    )


def _plugins(books: Books) -> dict[str, PluginCost]:
    names = sorted({*books.plugin_seconds, *books.faults})
    errors: Mapping[str, dict[str, int]] = books.faults
    return {name: PluginCost(round(books.plugin_seconds.get(name, 0.0), 6), errors.get(name, {})) for name in names}


def take_leave(summary: Summary, host: Host, run: RunInfo) -> None:
    """Tell the plugins that the run is over, and the report how they took it. They get a copy: it is not theirs."""
    before = host.spent()
    for fault in host.run_finish(run, deepcopy(summary)):
        cost = summary.plugins.setdefault(fault.plugin, PluginCost())
        cost.errors[f"{fault.hook}: {fault.message}"] = 1
        summary.notes.append(f"plugin {fault.plugin}, hook {fault.hook}: {fault.message}")
    summary.spend({plugin: seconds - before.get(plugin, 0.0) for plugin, seconds in host.spent().items()})


def write_report(path: Path, summary: Summary) -> None:
    """Write the summary as JSON, whole or not at all; a device or pipe is written to, never replaced."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n", "report")


def write_whole(path: Path, data: bytes, what: str) -> None:
    """Put `data` in the place of a file in one step. Raises StorageError."""
    path = path.resolve()  # a link stays one
    stage = path.with_name(f".{path.name}.{os.getpid()}.stage")
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as there:
                there.write(data)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            stage.write_bytes(data)
            stage.replace(path)
        finally:
            stage.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"the {what} cannot be written to {path}: {error.strerror}") from error
