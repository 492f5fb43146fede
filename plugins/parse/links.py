"""`links`: every link of a page as an item, for link checkers, site maps and lists of files.

    parse:
      - links: {match: '\\.pdf$', type: file}

An item has `url`, `text`, `rel` and `on`, the page that has the link. Nothing is followed; `follow` does that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline import Element, Item, OptionError, Page, Registry, hookimpl


class Links:
    """Give an item of `type` for each URL that the page links to; `match` is a regular expression on the URL."""

    def __init__(self, match: str = "", type: str = "link", selector: str = "a[href], area[href]") -> None:  # noqa: A002
        self.type = type
        self.selector = selector
        try:
            self._fits = re.compile(match).search
        except re.error as error:
            raise OptionError(f"not a regular expression: {error}", path=("match",)) from None

    @hookimpl
    def parse(self, page: Page) -> Iterator[Item]:
        """The links in document order, each URL once."""
        seen: set[str] = set()
        for element in page.css(self.selector):
            assert isinstance(element, Element)
            url = page.url_join(element.attr("href") or element.attr("src") or "")
            if url is not None and url not in seen and self._fits(url):
                seen.add(url)
                yield Item(self.type, url=url, text=element.text, rel=element.attr("rel"), on=page.url)


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.parser("links", Links)
