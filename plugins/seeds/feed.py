"""`feed`: seeds from a feed: RSS, Atom or JSON Feed.

    seeds:
      - {feed: https://shop.example/atom.xml, page: article, since: 7d}

The run reads it. What it links to is a link of depth 0 and passes scope.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import Registry, Request, RunInfo, Source, hookimpl

from ._since import check, check_url, moment

FIRST = 1000  # priority


class Feed:
    """Start at the pages of the entries in the feed at `url`; with `since`, of those that have changed since then."""

    def __init__(self, url: str, since: str | None = None) -> None:
        check(since)
        check_url("feed", url)
        self.url = url
        self.since = since

    @hookimpl
    def seeds(self, run: RunInfo) -> Iterator[Request]:
        """The request for the feed."""
        source = Source("feed", since=moment(self.since, run.start))
        yield Request(self.url, source=source, priority=FIRST, seed=True)


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.seeds("feed", Feed)
