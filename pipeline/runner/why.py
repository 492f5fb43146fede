"""`hookline why`: how a URL came about or why it did not, from what the last run recorded and from the config as it is.

Nothing is asked of the network and nothing written. What the last run decided is told as it was recorded; what the
config says is judged now, rule by rule, so that a change of the config shows its effect before the next run.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

import msgspec

from pipeline.config.loader import Loaded
from pipeline.crawl.robots import Robots
from pipeline.crawl.scope import Scope
from pipeline.runner.build import make_scope, normaliser, own_seeds
from pipeline.runner.fetching import politeness, user_agent
from pipeline.stages.links import RuleBook
from pipeline.state import robots, runs, trace
from pipeline.state.database import Database
from pipeline.state.runs import RunRow
from pipeline.state.trace import Step
from pipeline.url import gate, host_of, normalise, origin_of, path_of, shown, split

NEAREST = 3  # known URLs that are told of an unknown one
ALIKE = 0.5  # from which likeness on


class Rule(msgspec.Struct):
    """What one rule of the config says of the URL: its key, whether it lets the URL pass, and why in words."""

    key: str
    passes: bool
    words: str


class Known(msgspec.Struct):
    """A request for the URL in the last run: its way from a seed, what became of it, what would change that."""

    request: Step
    way: list[Step]
    redirected_to: str | None
    ends_in: Step | None  # the request that its redirects lead to in the end
    advice: str


class Why(msgspec.Struct):
    """All that can be said of a URL."""

    url: str  # as the crawl knows it
    asked: str
    run: str | None  # the last one
    known: list[Known]
    rules: list[Rule]
    throttled: dict[str, int]  # what held up its host in that run -> times
    nearest: list[str]
    advice: str


def explain(loaded: Loaded, asked: str, db: Database | None) -> Why:
    """Look a URL up in the last run (`db` None: there was none), and judge it. Raises ValueError for no URL."""
    url = normalise(asked)
    if url is None:
        raise ValueError(f"{asked!r} is no URL; a whole one is wanted, as https://books.example/page")
    url = normaliser(loaded.config)(url)
    last = runs.last(db) if db is not None else None
    steps = trace.requests_for(db, url) if db is not None else []
    adopted: list[str] = last.counts.get("adopted", []) if last is not None else []
    rules = list(judge(loaded, url, adopted))
    if db is not None and loaded.config.fetch.robots.obey:
        rules += _by_robots(loaded, url, db)
    config = shlex.quote(str(loaded.file))
    known = [_known(db, step, config) for step in steps if db is not None]
    told: dict[str, dict[str, int]] = last.counts.get("told", {}) if last is not None else {}
    near = [] if steps or db is None else _nearest(db, url)
    return Why(
        url=shown(url),
        asked=asked,
        run=last.id if last is not None else None,
        known=known,
        rules=rules,
        throttled=told.get(host_of(url), {}),
        nearest=[shown(one) for one in near],
        advice="" if steps else _unknown(rules, last, near, config),
    )


# --- by the config as it is ------------------------------------------------------------------------------------------


def judge(loaded: Loaded, url: str, adopted: Iterable[str] = ()) -> Iterator[Rule]:
    """What each rule says of a URL, in the order in which they are asked; `adopted` hosts are those that the seeds
    redirected to.
    """
    config = loaded.config
    seeds = own_seeds(loaded)
    if any(seed.url == url for seed in seeds):
        yield Rule("seeds", True, "it is one, so scope does not apply")
    else:
        scope = make_scope(config, seeds)
        for host in adopted:
            scope.adopt(host)
        yield from _by_scope(scope, url, config.fetch.max_url)
    page = RuleBook(config.rules()).rule_for(url)
    words = f"{page}: its match fits" if page else f"no match fits {path_of(url)}; a link or seed can name the rule"
    yield Rule("pages", page is not None, words)
    manners = politeness(config.fetch)(host_of(url))
    together = f"{manners.concurrency} at a time"
    yield Rule("fetch.per_host", True, f"{together}, {manners.delay:g} s apart" if manners.delay else together)


def _by_scope(scope: Scope, url: str, max_url: int) -> Iterator[Rule]:
    reason = gate(url, max_url=max_url)
    if reason is not None:
        yield Rule("scheme" if reason == "scheme" else "fetch.max_url", False, "not a URL that could be asked for")
        return
    host = host_of(url)
    refused = scope.by_host(url)
    yield Rule("scope.allow_domains", refused is None, refused.detail if refused else f"{host} belongs to the crawl")
    allowed = next((pattern.text for pattern in scope.allow if pattern.matches(url)), None)
    words = "there is none, so all fit" if not scope.allow else f"{allowed} fits" if allowed else "nothing fits"
    yield Rule("scope.allow", bool(allowed or not scope.allow), words)
    denied = next((pattern.text for pattern in scope.deny if pattern.matches(url)), None)
    yield Rule("scope.deny", denied is None, f"{denied} fits" if denied else "nothing fits")
    trap = scope.by_trap(url)
    yield Rule("scope.traps", trap is None, trap.detail if trap else "does not look like one")
    if scope.max_depth is not None:
        yield Rule("scope.max_depth", True, f"{scope.max_depth}: depends on where it is linked")


def _by_robots(loaded: Loaded, url: str, db: Database) -> Iterator[Rule]:
    """What the last good robots.txt says, if there is a copy of one."""
    copy = robots.load(db, origin_of(url).root)
    if copy is None:
        return
    said = Robots(copy.text).explain(url, user_agent(loaded.config.fetch))
    group = "no group is for us" if said.group is None else f"group {said.group}"
    line = "no line fits" if said.line is None else f"line {said.line}: {said.rule}"
    yield Rule("robots.txt", said.allowed, group if said.group is None else f"{group}, {line}")


# --- by the last run -------------------------------------------------------------------------------------------------


def _known(db: Database | None, step: Step, config: str) -> Known:
    assert db is not None, "a request is known without a state"
    way = trace.way_to(db, step)
    onward = trace.way_from(db, step)
    for one in (step, *way, *onward):
        one.url = shown(one.url)
    end = onward[-1] if onward else None
    advice = advice_for(step, config) if end is None else _advice_on(end, config)
    return Known(step, way, onward[0].url if onward else None, end, advice)


def _advice_on(end: Step, config: str) -> str:
    """What to change of a request that was redirected is what there is to change where that led."""
    if end.fate in _BY_FATE and _BY_FATE[end.fate].startswith("nothing:"):
        return f"nothing: it leads to {end.url}, and that is {end.fate}"
    return f"it leads to {end.url}, and that {f'ended {end.fate}' if end.fate else 'waits'}: {advice_for(end, config)}"


def _nearest(db: Database, url: str) -> list[str]:
    """The most alike of the known URLs; those that share most of their beginning are compared in full."""
    found = trace.nearest(db, host_of(url), lambda other: _shared(url, other), 200)
    here, target = host_of(url), split(url)[2]
    rated = [  # of one host only what differs is compared: else all its URLs would be alike
        (SequenceMatcher(None, *((target, split(other)[2]) if host_of(other) == here else (url, other))).ratio(), other)
        for other in found
    ]
    return [other for ratio, other in sorted(rated, reverse=True)[:NEAREST] if ratio >= ALIKE]


def _shared(url: str, other: str) -> float:
    """How much two URLs share at both ends; a cheap likeness, for all URLs of a host."""
    short = min(len(url), len(other))
    head = next((at for at in range(short) if url[at] != other[at]), short)
    tail = next((at for at in range(short - head) if url[-1 - at] != other[-1 - at]), short - head)
    return (head + tail) / max(len(url), len(other))


def _unknown(rules: list[Rule], last: RunRow | None, near: list[str], config: str) -> str:
    refused = next((rule for rule in rules if not rule.passes), None)
    if refused is not None:
        return _ADVICE.get(refused.key, f"change {refused.key}") + ", then run again"
    if last is None:
        return f"there was no run yet: hookline run {config}"
    hint = "; a URL very like it was met, see above" if near else ""
    if unfollowed := last.counts.get("nofollow", 0):
        many = "a link was" if unfollowed == 1 else f"{unfollowed} links were"
        hint += f"; {many} left out because pages ask not to follow them (nofollow)"
    return f"no page of the last run links to it where a follow rule looks: write it under seeds, or add a follow{hint}"


_ADVICE = {
    "scope.allow_domains": "name the host in scope.allow_domains",
    "scope.allow": "add a pattern to scope.allow that fits it",
    "scope.deny": "make the pattern in scope.deny narrower",
    "scope.max_depth": "raise scope.max_depth, or link to it from nearer to a seed",
    "scope.traps": "raise the limit in scope.traps, or write the URL under seeds",
    "scope.traps.max_params": "raise scope.traps.max_params, or drop parameters by scope.normalize.strip_params",
    "scope.traps.max_path_repetition": "raise scope.traps.max_path_repetition, or write the URL under seeds",
    "scope.traps.max_barren": "raise scope.traps.max_barren (0: no such limit), or write the URL under seeds",
    "scope.traps.max_similar": "raise scope.traps.max_similar",
    "robots.txt": "ask the site's owner to allow it",
    "pages": "give a page rule a match that fits it, or name a rule by page: where it is linked",
    "not a host of the seeds, and there is no scope.allow_domains": "name the host in scope.allow_domains",
    "limits.pages": "raise limits.pages, or leave --limit out",
}

_BY_FATE = {
    "fetched": "nothing: it was fetched",
    "not_modified": "nothing: the server says that it is as it was",
    "not_due": "nothing: it is asked for again when its page rule's revisit is over",
    "redirected": "nothing: it leads elsewhere, and that is asked for",
    "gone": "nothing, if it is gone; a page that says so by mistake: hookline try {config} {url}",
    "rejected:robots": "the site's robots.txt decides: ask its owner to allow it",
    "rejected:private_network": "write it under seeds, or set fetch.private_networks: allow",
    "rejected:scheme": "only http and https can be asked for",
    "rejected:limit": "raise the limit that is named",
    "failed:parse": "look at what its selectors find: hookline try {config} {url}",
    "failed:plugin": "look at what the plugin does: hookline try {config} {url}",
    "failed:blocked": "the site keeps robots out: ask its owner, or log in by fetch.auth or cookies",
    "deferred:retry_after": "nothing: it comes first in the next run; to wait longer, raise fetch.retry_after.max",
    "deferred:host_down": "nothing: it comes first in the next run; how long a host is waited for: fetch.breaker",
}

_OF_LIST = "see what the server sends there: hookline fetch {url}; is it the address of a sitemap or feed?"


def advice_for(step: Step, config: str) -> str:
    """What to change if the fate of a request should be another."""
    if step.fate is None:
        return f"it waits: hookline run {config}"
    named, _, _ = step.detail.partition(":")
    words = step.detail if step.detail in _ADVICE else named.partition(" ")[0] if "limits." in named else named
    text = _ADVICE.get(words) if step.fate.startswith("rejected:") else None
    if text is None and step.fate == "rejected:limit" and named.startswith("pages."):
        text = f"raise {named}, or write the URL under seeds"
    if step.source and step.fate.startswith("failed:"):
        text = _OF_LIST
    text = text or _BY_FATE.get(step.fate)
    if text is None:
        text = "hookline fetch --head {url} shows what the server says; hookline retry {config} asks again"
    return text.format(config=config, url=shlex.quote(step.url))
