"""What a run did, as data: the report file, the `summary` of hooks and that of `pipeline.run` are this one struct."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pipeline.checks.drift import Drift
from pipeline.checks.figures import Fields
from pipeline.checks.judge import Verdict


class LinkCounts(msgspec.Struct):
    """found = new + duplicate."""

    found: int = 0
    new: int = 0
    duplicate: int = 0

    def count(self, new: bool) -> None:
        """Enter one more."""
        self.found += 1
        self.new += new
        self.duplicate += not new


class SourceCounts(LinkCounts):
    """Requests for sitemaps and feeds: met, sent, and how they ended; `incomplete` ones gave a part of their URLs."""

    requests: int = 0
    fates: dict[str, int] = {}
    pending: int = 0
    incomplete: int = 0


class ItemCounts(msgspec.Struct):
    """extracted + earlier = stored + dropped + dead_lettered.

    `extracted` is of this run's pages, `earlier` of pages that were fetched by earlier runs and are still part of the
    result. `new`, `changed`, `unchanged` and `gone` compare what is stored with the last published result.
    """

    extracted: int = 0
    earlier: int = 0
    stored: int = 0
    dropped: dict[str, int] = {}
    dead_lettered: int = 0
    by_type: dict[str, int] = {}
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0

    @property
    def changes(self) -> dict[str, int]:
        """What is stored against the last published result."""
        return {"new": self.new, "changed": self.changed, "unchanged": self.unchanged, "gone": self.gone}

    @property
    def differs(self) -> bool:
        """Whether what is stored is not what the last published result was."""
        return bool(self.new or self.changed or self.gone)


class UrlProblem(msgspec.Struct):
    """A request that did not end well, and why."""

    url: str
    fate: str
    detail: str


class RefusalCount(msgspec.Struct):
    """How many requests a rule of scope, robots or budgets refused, with one of them."""

    fate: str
    rule: str
    requests: int
    url: str


class PluginCost(msgspec.Struct):
    """Time spent in a plugin's hooks, and its errors by message."""

    seconds: float = 0.0
    errors: dict[str, int] = {}


class SlowHook(msgspec.Struct):
    """A hook that took half a second or more for a page: on how many pages, the longest time, and on which page."""

    pages: int = 0
    longest: float = 0.0
    url: str = ""


class Summary(msgspec.Struct):
    """One run. Times are UTC ISO 8601, durations seconds, sizes bytes. Encoded as JSON it is the report file."""

    hookline: str
    name: str
    run: str  # the id; a run that was interrupted keeps it, and its start
    started: str
    config: str
    seconds: float = 0.0
    exit_code: int = 0
    verdict: str = ""
    published: bool = False
    resumed: bool = False
    stopped: str | None = None
    discovered: int = 0
    seeds: int = 0
    left_over: int = 0  # requests that the run before had deferred
    pending: int = 0
    fates: dict[str, int] = {}
    requests: int = 0
    robots_requests: int = 0
    sources: SourceCounts = msgspec.field(default_factory=SourceCounts)
    bytes: int = 0
    links: LinkCounts = msgspec.field(default_factory=LinkCounts)
    redirects: LinkCounts = msgspec.field(default_factory=LinkCounts)
    bad_links: int = 0
    nofollow: int = 0  # links that were not followed because their pages ask for it
    noindex: int = 0  # pages that ask not to be kept; their items are, and plugins can see it
    depth_truncated: int = 0  # pages whose deepest elements were put side by side
    items: ItemCounts = msgspec.field(default_factory=ItemCounts)
    missing: dict[str, int] = {}
    fields: Fields = {}  # of what is stored, by type
    checks: list[Verdict] = []
    drift: list[Drift] = []
    hosts: dict[str, dict[str, int]] = {}
    throttled: dict[str, dict[str, int]] = {}  # host ("": the run) -> what held it up, in words -> times
    refused: list[RefusalCount] = []  # by rule, most frequent first
    problems: list[UrlProblem] = []
    plugins: dict[str, PluginCost] = {}
    slow_hooks: dict[str, SlowHook] = {}
    outputs: list[str] = []
    notes: list[str] = []
    errors: list[str] = []

    def spend(self, seconds: Mapping[str, float]) -> None:
        """Add time that plugins took outside page jobs."""
        for plugin, spent in seconds.items():
            cost = self.plugins.setdefault(plugin, PluginCost())
            cost.seconds = round(cost.seconds + spent, 6)

    def conclude(self, codes: list[int], *, detailed: bool) -> None:
        """The exit code of all that went wrong; if nothing did, 10 tells those who asked that data changed."""
        code = worst(codes)
        self.verdict = "ok" if code == 0 else "failed"
        changed = code == 0 and self.published and self.items.differs
        self.exit_code = CHANGED if changed and detailed else code

    @property
    def is_clean(self) -> bool:
        """Whether nothing failed, was deferred or cut: what the run did not meet is not there any more."""
        return not self.sources.incomplete and not any(map(_is_unclean, (*self.fates, *self.sources.fates)))

    @property
    def unreached(self) -> str:
        """Why nothing that the run began with was there."""
        if not self.discovered and not self.sources.new:
            return "no page was asked for: no seed stands in the config, and its plugins and seed files gave none"
        return "every seed failed, was gone, blocked or refused"

    def imbalance(self) -> list[str]:
        """What does not add up (spec, section 3, "The books must balance"); empty when all is well."""
        items, wrong = self.items, []
        ended = sum(self.fates.values())
        if ended + self.pending != self.discovered:
            wrong.append(f"{self.discovered} requests discovered, but {ended} fates and {self.pending} pending")
        met = self.seeds + self.left_over + self.links.new + self.redirects.new
        if met != self.discovered:
            wrong.append(f"{self.discovered} requests discovered, but {met} new ones met")
        sources = self.sources
        if sum(sources.fates.values()) + sources.pending != sources.new:
            wrong.append(f"{sources.new} sitemaps and feeds met, but their fates are {sources.fates}")
        for name, links in (("links", self.links), ("redirects", self.redirects), ("sitemaps and feeds", sources)):
            if links.found != links.new + links.duplicate:
                wrong.append(f"{links.found} {name} found, but {links.new} new and {links.duplicate} duplicate")
        accounted = items.stored + sum(items.dropped.values()) + items.dead_lettered
        if items.extracted + items.earlier != accounted:
            there = f"{items.extracted} items extracted" + (f" and {items.earlier} of before" if items.earlier else "")
            wrong.append(f"{there}, but {accounted} stored, dropped or dead-lettered")
        return wrong


def _is_unclean(fate: str) -> bool:
    """Whether a fate says that something was not seen that may be there."""
    return fate.startswith(("failed:", "deferred:")) or fate == "rejected:limit"


CHANGED = 10
EXIT_ORDER = (130, 143, 70, 2, 5, 6, 4, 1, 3, 75, 10, 0)


def worst(codes: list[int]) -> int:
    """The exit code of several causes or several configs (spec, section 1)."""
    return min(codes, key=EXIT_ORDER.index, default=0)
