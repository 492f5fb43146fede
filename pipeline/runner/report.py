"""From an engine that has ended to the summary that is told: counts, fates by host, problems with an example each."""

from __future__ import annotations

from collections import Counter, defaultdict

from pipeline.crawl.frontier import Entry
from pipeline.runner.engine import Engine
from pipeline.runner.summary import ItemCounts, PluginCost, Summary, UrlProblem
from pipeline.url import host_of, shown

MOST_PROBLEMS = 200  # URLs that are told one by one; the counts are always whole
FINE = ("fetched", "not_modified", "redirected", "not_due")


def fill(summary: Summary, engine: Engine) -> None:
    """Write what the crawl did into `summary`; what publishing does is added later."""
    frontier, open_run = engine.frontier, engine.open_run
    summary.stopped = engine.stopped
    summary.discovered = frontier.discovered
    summary.fates = dict(sorted((+frontier.fates).items()))
    summary.pending = frontier.pending + frontier.active
    summary.seeds = engine.new_seeds
    summary.requests = engine.requests
    summary.bytes = engine.bytes
    summary.links = engine.links
    summary.redirects = engine.redirector.counts
    summary.robots_requests = engine.robots.requests
    summary.bad_links = engine.bad_links
    summary.missing = dict(sorted(engine.missing.items()))
    summary.items = ItemCounts(
        extracted=open_run.extracted,
        stored=open_run.kept,
        dropped=dict(open_run.dropped),
        dead_lettered=len(open_run.dead),
        by_type=dict(open_run.by_type),
    )
    summary.hosts = _hosts(engine)
    summary.problems = _problems(engine)
    summary.plugins = _plugins(engine)


def sources_available(engine: Engine) -> bool:
    """False if every seed failed, was gone, blocked or refused, at the end of its redirects (exit 4)."""
    return any(_reached(engine, seed) for seed in engine.seeds)


def _reached(engine: Engine, entry: Entry) -> bool:
    seen = set()
    while (
        entry.fate == "redirected"
        and entry.fingerprint in engine.redirector.target_of
        and entry.fingerprint not in seen
    ):
        seen.add(entry.fingerprint)
        entry = engine.redirector.target_of[entry.fingerprint]
    return entry.fate in (None, "fetched", "not_modified", "not_due", "rejected:limit")


def _hosts(engine: Engine) -> dict[str, dict[str, int]]:
    hosts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for entry in engine.frontier.entries.values():
        host = entry.host.name if entry.host is not None else host_of(entry.request.url)
        hosts[host][entry.fate or "pending"] += 1
    return {host: dict(sorted(fates.items())) for host, fates in sorted(hosts.items())}


def _problems(engine: Engine) -> list[UrlProblem]:
    """One example of every fate that is not fine first, then more, up to `MOST_PROBLEMS`; in order of URL."""
    bad = sorted(
        (entry for entry in engine.frontier.entries.values() if entry.fate and entry.fate not in FINE),
        key=lambda entry: (entry.fate or "", entry.request.url),
    )
    told: dict[int, Entry] = {}
    seen: set[str] = set()
    for entry in bad:
        if entry.fate not in seen:
            seen.add(entry.fate or "")
            told[id(entry)] = entry
    failures_first = sorted(bad, key=lambda entry: not (entry.fate or "").startswith("failed:"))
    for entry in failures_first[: MOST_PROBLEMS - len(told)]:
        told[id(entry)] = entry
    problems = [UrlProblem(shown(entry.request.url), entry.fate or "", entry.detail) for entry in told.values()]
    return sorted(problems, key=lambda problem: (not problem.fate.startswith("failed:"), problem.fate, problem.url))


def _plugins(engine: Engine) -> dict[str, PluginCost]:
    costs: defaultdict[str, PluginCost] = defaultdict(PluginCost)
    for plugin, seconds in engine.plugin_seconds.items():
        costs[plugin].seconds = round(seconds, 6)
    for (plugin, message), count in engine.faults.items():
        costs[plugin].errors[message] = count
    return dict(sorted(costs.items()))
