"""`metadata`: what a page says of itself, as an item: title, description, canonical URL, Open Graph, JSON-LD.

    parse:
      - metadata: {type: page, jsonld: false}

`url`, `title`, `description`, `canonical`, `language`; every `og:` and `article:` property under its name with `_` for
`:`; with `jsonld`, the objects of its JSON-LD blocks. What a page does not say is null, or left out.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline import Item, Page, Registry, hookimpl

PREFIXES = ("og:", "article:", "product:")


class Metadata:
    """Give an item of `type` for each HTML page."""

    def __init__(self, type: str = "page", jsonld: bool = True) -> None:  # noqa: A002 - an option's name
        self.type = type
        self.jsonld = jsonld

    @hookimpl
    def parse(self, page: Page) -> Item | None:
        """The page's own words."""
        if page.kind != "html":
            return None
        canonical = _first(page, "link[rel~=canonical i]::attr(href)")
        item = Item(
            self.type,
            url=page.url,
            title=_first(page, "title::text"),
            description=_first(page, "meta[name=description i]::attr(content)"),
            canonical=page.url_join(canonical) if canonical else None,
            language=_first(page, "html::attr(lang)"),
        )
        for element in page.select("meta[property][content]"):
            name = element.attr("property") or ""
            if name.startswith(PREFIXES):
                item.setdefault(name.replace(":", "_"), element.attr("content"))
        if self.jsonld:
            item["jsonld"] = _jsonld(page)
        return item


def _first(page: Page, selector: str) -> str | None:
    found = page.css(selector)
    return str(found[0]).strip() or None if found else None


def _jsonld(page: Page) -> list[Any]:
    """All objects of all blocks; a block that is no JSON, as many are, is left out."""
    found: list[Any] = []
    for element in page.soup.select('script[type="application/ld+json" i]'):
        try:
            data = json.loads(element.get_text())
        except (ValueError, RecursionError):
            continue
        graph = data.get("@graph") if isinstance(data, dict) else data
        found.extend(graph if isinstance(graph, list) else [data])
    return found


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.parser("metadata", Metadata)
