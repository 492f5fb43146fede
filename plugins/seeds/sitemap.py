"""`sitemap`: seeds from a sitemap, or from those that a robots.txt names.

    seeds:
      - {sitemap: https://shop.example/sitemap.xml, page: product, since: last_success}
      - {sitemap: https://shop.example}         # those that its robots.txt names, else /sitemap.xml
      - {sitemap: robots}                       # the same, for the origins of all URLs in `seeds`

The run reads it: indexes, gzip, text and feeds are understood. What it names is a link of depth 0 and passes scope.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from pipeline import Registry, Request, RunInfo, Source, hookimpl

from ._since import check, check_url, moment

FIRST = 1000  # priority


class Sitemap:
    """Start at the URLs that the sitemap at `url` names; with `since`, at those that have changed since then."""

    def __init__(self, url: str, since: str | None = None) -> None:
        check(since)
        if url != "robots":
            check_url("sitemap", url)
        parts = urlsplit(url)
        self.by_robots = url == "robots" or (parts.path in ("", "/", "/robots.txt") and not parts.query)
        self.url = url if url == "robots" or not self.by_robots else f"{parts.scheme}://{parts.netloc}/robots.txt"
        self.since = since

    @hookimpl
    def seeds(self, run: RunInfo) -> Iterator[Request]:
        """The request for the sitemap."""
        since = moment(self.since, run.start)
        source = Source("robots" if self.by_robots else "sitemap", since=since)
        yield Request(self.url, source=source, priority=FIRST, seed=True)


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.seeds("sitemap", Sitemap)
