"""The entries of a sitemap or feed in XML, heard event by event: nothing of the document is kept but its entries.

Elements are told apart by local name and parent, without case, since namespaces are often wrong: `loc` of a `url` is
the page's, that of an `image` is not. Within an entry nothing begins another one: an Atom entry may hold whole feeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline import url as urls
from pipeline.stages.dates import latest
from pipeline.stages.sources import Listing
from pipeline.stages.xmltext import EnoughError

_ROOTS: Final = frozenset(("urlset", "sitemapindex", "rss", "rdf", "feed", "channel"))
_ENTRIES: Final = frozenset(("url", "sitemap", "item", "entry"))
_FEEDS: Final = ("item", "entry")
_DATES: Final = frozenset(("lastmod", "pubdate", "date", "updated", "published", "modified", "issued", "created"))
_WANTED: Final = _DATES | {"loc", "link", "guid"}
_BASE: Final = "{http://www.w3.org/XML/1998/namespace}base"
_ATOM: Final = ("http://www.w3.org/2005/atom", "http://purl.org/atom/ns#")
_RDF_ABOUT: Final = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"
_LONGEST: Final = 64 * 1024  # characters of a value: no URL and no date is longer


class _Entry:
    """What is known of the entry that is being read."""

    __slots__ = ("changed", "depth", "guid", "html", "kind", "link")

    def __init__(self, kind: str, depth: int) -> None:
        self.kind = kind
        self.depth = depth
        self.link: str | None = None  # resolved
        self.html = False  # whether `link` is said to be HTML
        self.guid: str | None = None
        self.changed: float | None = None


class Reader:
    """A target of `xmltext.parse`. `known`: the root is one of a sitemap or feed."""

    def __init__(self, listing: Listing, url: str) -> None:
        self.listing = listing
        self.root = ""
        self.known = False
        self._bases = [url]
        self._names: list[str] = []
        self._entry: _Entry | None = None
        self._text: list[str] | None = None
        self._size = 0
        self._permalink = True

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        space, _, name = tag.rpartition("}")
        name = name.rpartition(":")[2].lower()  # a prefix that nobody declared
        if not self._names:
            self.root, self.known = name, name in _ROOTS
        self._names.append(name)
        base = attributes.get(_BASE)
        self._bases.append(self._bases[-1] if base is None else urls.join(self._bases[-1], base) or self._bases[-1])
        entry = self._entry
        if entry is None:
            if name in _ENTRIES:
                self._begin(name, attributes)
        elif name in _WANTED and len(self._names) == entry.depth + 1:
            self._text, self._size = [], 0
            if name == "link":
                self._link(entry, space[1:].lower(), attributes)
            elif name == "guid":
                self._permalink = attributes.get("isPermaLink", "true").strip().lower() != "false"

    def _begin(self, name: str, attributes: Mapping[str, str]) -> None:
        entry = self._entry = _Entry(name, len(self._names))
        if name == "item" and _RDF_ABOUT in attributes:
            entry.guid = _page(self._resolve(attributes[_RDF_ABOUT]))

    def data(self, text: str) -> None:
        """Some text, perhaps not all of an element's."""
        if self._text is not None and self._size < _LONGEST:
            self._size += len(text)
            self._text.append(text)

    def end(self, tag: str) -> None:
        """An element ends."""
        del tag
        entry = self._entry
        if entry is not None:
            if self._text is not None and len(self._names) == entry.depth + 1:
                self._value(entry, self._names[-1], "".join(self._text).strip())
                self._text = None
            elif len(self._names) == entry.depth:
                self._finish(entry)
        self._names.pop()
        self._bases.pop()

    def comment(self, text: str) -> None:
        """Nothing is said in comments."""

    def close(self) -> None:
        """The document is over. An entry that has not ended is not whole, and does not count."""

    # --- an entry ----------------------------------------------------------------------------------------------------

    def _link(self, entry: _Entry, space: str, attributes: Mapping[str, str]) -> None:
        """`<link href>` as in Atom; that of RSS has its URL as text."""
        href = attributes.get("href")
        if href is None:
            if space in _ATOM or entry.kind == "entry":
                self._text = None
            return
        self._text = None
        html = "html" in attributes.get("type", "html")
        alternate = (attributes.get("rel") or "alternate").strip().lower() == "alternate"
        if entry.kind in _FEEDS and alternate and (entry.link is None or (html and not entry.html)):
            entry.link, entry.html = self._resolve(href), html

    def _value(self, entry: _Entry, name: str, text: str) -> None:
        if name in _DATES:
            date = latest(text)
            if date is not None and (entry.changed is None or date > entry.changed):
                entry.changed = date
        elif not text:
            return
        elif name == "loc" and entry.kind not in _FEEDS:
            entry.link = entry.link or self._resolve(text)
        elif name == "link" and entry.kind in _FEEDS:
            entry.link, entry.html = entry.link or self._resolve(text), True
        elif name == "guid" and self._permalink:
            entry.guid = _page(urls.normalise(text))

    def _finish(self, entry: _Entry) -> None:
        self._entry = None
        if not self.listing.add(entry.link or entry.guid, entry.changed, nested=entry.kind == "sitemap"):
            raise EnoughError

    def _resolve(self, reference: str) -> str | None:
        return urls.join(self._bases[-1], reference)


def _page(url: str | None) -> str | None:
    """The URL, if it is one of a page: names may be any URI."""
    return url if url is not None and url.startswith(("http://", "https://")) else None
