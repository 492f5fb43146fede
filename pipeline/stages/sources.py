"""From the bytes of a sitemap, a feed or a robots.txt to the URLs that it names.

What it is is seen from what it says, not from its name or media type: sites put feeds where sitemaps are asked for, and
text into `.xml`. Read are sitemaps and their indexes (XML, text), RSS 0.9x to 2.0, RDF, Atom 0.3 and 1.0, JSON Feed,
each perhaps gzipped; namespaces may be wrong or missing. Of an entry its URL and its date are taken, nothing else.

A file that is broken gives what can be read of it, and `Listing.incomplete` says why it may not be all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from pipeline import url as urls
from pipeline.crawl.robots import MAX_BYTES, Robots
from pipeline.errors import FetchError, ParseError
from pipeline.fetch.content import Decoder, content_codings
from pipeline.model import Headers, Request, Source, header
from pipeline.stages.dates import latest
from pipeline.stages.encoding import decode

MOST_BYTES: Final = 50 * 1024 * 1024  # of a file without its codings: what the sitemap protocol allows
MOST_ENTRIES: Final = 50_000  # likewise
MOST_LEVELS: Final = 3  # of sitemaps that name sitemaps
MOST_FILES: Final = 5_000  # sitemaps that are asked for because others name them, in a run
FIRST: Final = 1000  # priority of lists: what they name is known before the crawl has gone far
_LOOKS_XML: Final = re.compile(r"<(?:\?xml|urlset|sitemapindex|rss|rdf|feed)\b", re.IGNORECASE)
_STEP: Final = 256 * 1024


class Found(NamedTuple):
    """One URL that a list names. `changed` is in seconds since 1970; `nested`: another sitemap."""

    url: str
    changed: float | None = None
    nested: bool = False


class Listing:
    """What a list of URLs says. `without`: entries that name no URL."""

    __slots__ = ("found", "incomplete", "without")

    def __init__(self) -> None:
        self.found: list[Found] = []
        self.without = 0
        self.incomplete = ""

    def add(self, url: str | None, changed: float | None = None, *, nested: bool = False) -> bool:
        """Enter what an entry names; False if there is no room for more."""
        if url is None:
            self.without += 1
        elif len(self.found) >= MOST_ENTRIES:
            self.incomplete = f"it names more than {MOST_ENTRIES:,} URLs"
            return False
        else:
            self.found.append(Found(url, changed, nested))
        return True


def read(source: Source, url: str, headers: Headers, body: bytes) -> Listing:
    """The URLs of a list that was fetched from `url`. Raises ParseError if it is none, FetchError if it cannot be
    decoded.
    """
    if source.kind == "robots":
        return _read_robots(url, _plain(body, headers, MAX_BYTES + 1)[0])
    data, cut = _plain(body, headers, MOST_BYTES)
    if data[:2] == b"\x1f\x8b":  # a `.gz`, which is no content coding
        data, again = _plain(data, [("Content-Encoding", "gzip")], MOST_BYTES)
        cut = cut or again
    listing = _read_data(data, header(headers, "content-type"), url)
    listing.incomplete = cut or listing.incomplete
    return listing


def requests(listing: Listing, source: Source, page: str) -> list[Request]:
    """What a list names, as requests; `page` is the rule that its pages are for, if there is one."""
    level = source.level + (source.kind != "robots")
    nested = Source("sitemap", source.since, level)
    made = []
    for url, changed, is_list in listing.found:
        if is_list:
            if level > MOST_LEVELS:
                listing.incomplete = f"it names sitemaps more than {MOST_LEVELS} levels deep"
                continue
            made.append(
                Request(
                    url,
                    page=page or None,
                    priority=FIRST,
                    source=nested,
                    rule_limit=("sitemaps named by others", MOST_FILES),
                )
            )
        else:
            since = source.since if isinstance(source.since, float) else None
            unchanged = since is not None and changed is not None and changed < since
            made.append(Request(url, page=page or None, unchanged=unchanged))
    return made


def _plain(body: bytes, headers: Headers, most: int) -> tuple[bytes, str]:
    """(The body without its codings, "" or why that is not all of it)."""
    decoder = Decoder(content_codings(headers), most + _STEP)
    out = bytearray()
    try:
        for start in range(0, len(body), _STEP // 16):
            out += decoder.feed(body[start : start + _STEP // 16])
            if len(out) > most:
                return bytes(out[:most]), f"it is larger than {most >> 20} MiB"
        decoder.finish()
    except FetchError as error:
        if not out:
            raise
        return bytes(out), str(error)
    return bytes(out), ""


def _read_robots(url: str, text: bytes) -> Listing:
    listing = Listing()
    for line in Robots(text).sitemaps or ["/sitemap.xml"]:  # the place where sitemaps are when nobody says
        if not listing.add(urls.join(url, line), nested=True):
            break
    return listing


def _read_data(data: bytes, content_type: str | None, url: str) -> Listing:
    from pipeline.stages.xmltext import text_of  # noqa: PLC0415 - lxml is for runs that have such lists

    text = text_of(data, content_type)
    start = text.lstrip("\ufeff \t\r\n")[:1]
    if start == "{":
        return _read_json(text, url)
    if start == "<" or _LOOKS_XML.search(text[:4096]):  # perhaps with junk before it
        return _read_xml(text, url)
    return _read_text(decode(data, content_type)[0])


def _read_xml(text: str, url: str) -> Listing:
    from pipeline.stages.listed import Reader  # noqa: PLC0415
    from pipeline.stages.xmltext import parse  # noqa: PLC0415

    reader, wrong = parse(text, lambda: Reader(Listing(), url))
    listing: Listing = reader.listing
    if not reader.known and not listing.found and not listing.without:
        what = f"its root is <{reader.root}>" if reader.root else wrong or "it is empty"
        what = "it is an HTML page" if "<html" in text[:4096].lower() else what
        raise ParseError(f"neither a sitemap nor a feed: {what}")
    listing.incomplete = listing.incomplete or wrong
    return listing


def _read_text(text: str) -> Listing:
    """One URL a line."""
    listing = Listing()
    for line in filter(None, map(str.strip, text.splitlines())):
        absolute = line.lower().startswith(("http://", "https://")) and not set(line) & set(" \t<>")
        if not listing.add(urls.normalise(line) if absolute else None):
            break
    if not listing.found:
        raise ParseError("neither a sitemap nor a feed: no line of it is a URL")
    return listing


def _read_json(text: str, url: str) -> Listing:
    """JSON Feed."""
    try:
        feed = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise ParseError(f"not JSON: {error}") from None
    items = feed.get("items") if isinstance(feed, dict) else None
    if not isinstance(items, list):
        raise ParseError("neither a sitemap nor a feed: JSON without a list of `items`")
    listing = Listing()
    for item in items:
        named, changed = _json_item(item if isinstance(item, dict) else {})
        if not listing.add(urls.join(url, named) if named else None, changed):
            break
    return listing


def _json_item(item: dict[str, Any]) -> tuple[str | None, float | None]:
    return next(_texts(item, "url", "external_url"), None), max(
        (date for date in map(latest, _texts(item, "date_modified", "date_published")) if date is not None),
        default=None,
    )


def _texts(item: dict[str, Any], *names: str) -> Iterator[str]:
    return (value for name in names if isinstance(value := item.get(name), str) and value)
