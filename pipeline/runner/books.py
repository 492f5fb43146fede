"""What a crawl counts while it goes on. Saved with every batch, so that the books of a resumed run balance."""

from __future__ import annotations

import msgspec

from pipeline.model import PackedPage
from pipeline.runner.summary import LinkCounts, SlowHook

MOST_HOSTS = 200  # of which something is told
MOST_TOLD = 20  # different things that are told of one host, or of the run
MOST_MESSAGES = 100  # of one plugin that are told apart
OTHER = "other errors"
OTHER_WORDS = "other things"


class Books(msgspec.Struct):
    """Counters of one run, over all processes that worked on it. Sizes are bytes, durations seconds."""

    seeds: int = 0  # distinct ones
    left_over: int = 0  # requests that the run before had deferred
    requests: int = 0  # attempts sent, those for robots.txt apart
    robots_requests: int = 0
    source_requests: int = 0  # of `requests`, those for sitemaps and feeds
    sources: LinkCounts = msgspec.field(default_factory=LinkCounts)  # sitemaps and feeds that were met
    sources_fetched: int = 0
    incomplete: int = 0  # of these, how many gave only a part of what they name
    noindex: int = 0  # pages that ask not to be kept
    depth_truncated: int = 0  # pages with elements that stood too deep
    nofollow: int = 0  # links that were left out because their page asks not to follow them
    skipped: int = 0  # pages that are not asked for because their sitemap says that they have not changed
    unseen: int = 0  # requests refused because no robots.txt was to be had
    bytes: int = 0
    seconds: float = 0.0  # of the processes before this one
    links: LinkCounts = msgspec.field(default_factory=LinkCounts)
    redirects: LinkCounts = msgspec.field(default_factory=LinkCounts)
    bad_links: int = 0
    fates: dict[str, int] = {}
    per_limit: dict[str, int] = {}  # follow rule -> links that it has given
    similar: dict[str, int] = {}  # pattern -> requests, where they are limited
    owed: int = 0  # pages that a run which fetches again may come to whatever caps say: all that it began with
    adopted: list[str] = []  # hosts that seeds redirected to
    extracted: int = 0
    kept: int = 0
    dropped: dict[str, int] = {}
    dead: int = 0
    by_type: dict[str, int] = {}
    missing: dict[str, int] = {}
    plugin_seconds: dict[str, float] = {}
    slow: dict[str, SlowHook] = {}  # by "plugin.hook"
    faults: dict[str, dict[str, int]] = {}  # plugin -> "hook: message" -> pages or items
    parsed: int = 0  # pages that plugins have seen
    faulty: dict[str, int] = {}  # plugin -> pages on which it failed
    told: dict[str, dict[str, int]] = {}  # host ("": the run) -> what throttled it, in words -> times

    @property
    def pages(self) -> int:
        """Pages that were asked for and are there: what caps count."""
        return self.fates.get("fetched", 0) + self.fates.get("not_modified", 0) - self.sources_fetched

    @property
    def asked(self) -> int:
        """Whatever was sent to a site."""
        return self.requests + self.robots_requests

    def take_items(self, page: PackedPage) -> None:
        """Enter the items of a page that ended well."""
        self.noindex += page.noindex
        self.depth_truncated += page.depth_truncated
        self.nofollow += page.nofollow
        self.extracted += page.extracted
        self.dead += len(page.dead)
        for kind, number in page.types.items():
            self.kept += number
            add(self.by_type, kind, number)
        for reason, number in page.dropped.items():
            add(self.dropped, reason, number)
        for field, number in page.missing.items():
            add(self.missing, field, number)

    def take_links(self, found: int, new: int, bad: int) -> None:
        """Enter the links of a page: all of them, those that nobody knew, those that were no URL."""
        self.links.found += found
        self.links.new += new
        self.links.duplicate += found - new
        self.bad_links += bad

    def charge(self, plugin: str, message: str) -> None:
        """Enter an error of a plugin."""
        messages = self.faults.setdefault(plugin, {})
        add(messages, message if message in messages or len(messages) < MOST_MESSAGES else OTHER, 1)

    def tell_host(self, host: str, words: str) -> None:
        """Enter what throttled a host, or with "" the run, in words."""
        if host in self.told or len(self.told) < MOST_HOSTS:
            told = self.told.setdefault(host, {})
            add(told, words if words in told or len(told) < MOST_TOLD else OTHER_WORDS, 1)

    def spend(self, page: PackedPage, url: str) -> None:
        """Enter the time that plugins took for a page."""
        for plugin, spent in page.seconds.items():
            self.plugin_seconds[plugin] = self.plugin_seconds.get(plugin, 0.0) + spent
        for hook, spent in page.slow.items():
            known = self.slow.setdefault(hook, SlowHook())
            known.pages += 1
            if spent > known.longest:
                known.longest, known.url = spent, url


def add(counts: dict[str, int], name: str, number: int) -> None:
    """Add `number` to a count."""
    counts[name] = counts.get(name, 0) + number
