"""RSS 2.0 and Atom 1.0 (RFC 4287) as text. What XML cannot hold, control characters above all, becomes U+FFFD."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import datetime
from email.utils import format_datetime
from html import escape
from typing import NamedTuple
from xml.sax.saxutils import escape as xml_escape

from ._entry import Entry

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+")


def tag(name: str, text: str | None = None, **attributes: str) -> str:
    """An element; nothing at all without text and attributes."""
    if not text and not attributes:
        return ""
    given = "".join(f' {key.replace("_", ":")}="{_clean(value, quote=True)}"' for key, value in attributes.items())
    return f"<{name}{given}>{_clean(text)}</{name}>\n" if text else f"<{name}{given}/>\n"


def _clean(text: str, *, quote: bool = False) -> str:
    more = {'"': "&quot;", "\n": "&#10;"} if quote else {}
    return xml_escape(_FORBIDDEN.sub("\ufffd", text), {"\r": "&#13;", **more})


class Channel(NamedTuple):
    """A feed: what stands at its head, and how its entries are written."""

    format: str
    link: str
    title: str
    description: str
    author: str | None
    language: str | None
    ttl: int | None
    html: bool
    stylesheets: list[dict[str, str]]

    def head(self, newest: datetime | None, start: datetime) -> str:
        """Everything before the entries. `newest` is the date of the newest of them."""
        sheets = "".join(
            "<?xml-stylesheet "
            + " ".join(f'{key}="{_clean(value, quote=True)}"' for key, value in sheet.items())
            + "?>\n"
            for sheet in self.stylesheets
        )
        body = self._rss_head(newest) if self.format == "rss" else self._atom_head(newest or start)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{sheets}' + "".join(body)

    def tail(self) -> str:
        """Everything behind the entries."""
        return "</channel>\n</rss>\n" if self.format == "rss" else "</feed>\n"

    def entry(self, entry: Entry, start: datetime) -> str:
        """One entry."""
        return "".join(self._rss_entry(entry) if self.format == "rss" else self._atom_entry(entry, start))

    # --- RSS --------------------------------------------------------------------------------------------------------

    def _rss_head(self, newest: datetime | None) -> Iterator[str]:
        yield '<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/">\n<channel>\n'
        yield tag("title", self.title) + tag("link", self.link) + tag("description", self.description or self.title)
        yield tag("language", self.language) + _person("managingEditor", self.author)
        yield tag("lastBuildDate", _rfc822(newest))
        yield tag("generator", "Hookline") + tag("ttl", str(self.ttl) if self.ttl else None)

    def _rss_entry(self, entry: Entry) -> Iterator[str]:
        named = entry.title or entry.description
        yield "<item>\n" + tag("title", entry.title if named else entry.identity) + tag("link", entry.link)
        yield tag("description", entry.description if self.html else escape(entry.description, quote=False))
        yield _person("author", entry.author)
        yield "".join(tag("category", category) for category in entry.categories) + tag("comments", entry.comments)
        if entry.enclosure:
            yield tag("enclosure", url=entry.enclosure.url, length="0", type=entry.enclosure.type)
        yield tag("guid", entry.identity, isPermaLink="true" if entry.identity == entry.link else "false")
        yield tag("pubDate", _rfc822(entry.date)) + "</item>\n"

    # --- Atom -------------------------------------------------------------------------------------------------------

    def _atom_head(self, newest: datetime) -> Iterator[str]:
        language = f' xml:lang="{_clean(self.language, quote=True)}"' if self.language else ""
        yield f'<feed xmlns="http://www.w3.org/2005/Atom"{language}>\n'
        yield tag("id", self.link) + tag("title", self.title) + tag("subtitle", self.description)
        yield tag("link", rel="alternate", href=self.link) + tag("updated", _rfc3339(newest))
        yield f"<author>\n{tag('name', self.author or self.title)}</author>\n" + tag("generator", "Hookline")

    def _atom_entry(self, entry: Entry, start: datetime) -> Iterator[str]:
        yield "<entry>\n" + tag("id", self._iri(entry.identity)) + (tag("title", entry.title) or "<title/>\n")
        yield tag("link", rel="alternate", href=entry.link) if entry.link else ""
        yield tag("updated", _rfc3339(entry.date or start))
        yield tag("published", _rfc3339(entry.date) if entry.date else None)
        yield f"<author>\n{tag('name', entry.author)}</author>\n" if entry.author else ""
        yield "".join(tag("category", term=category) for category in entry.categories)
        yield tag("link", rel="replies", href=entry.comments) if entry.comments else ""
        if entry.enclosure:
            yield tag("link", rel="enclosure", href=entry.enclosure.url, type=entry.enclosure.type)
        if entry.description or not entry.link:  # an entry without a link must have content
            text = entry.description or entry.title or entry.identity
            yield tag("content", text, type="html" if self.html and entry.description else "text")
        yield "</entry>\n"

    def _iri(self, identity: str) -> str:
        """Atom wants an address of some kind; what is none becomes one that stays the same."""
        if _ABSOLUTE.fullmatch(identity):
            return identity
        return uuid.uuid5(uuid.NAMESPACE_URL, _FORBIDDEN.sub("\ufffd", f"{self.link} {identity}")).urn


def _person(name: str, author: str | None) -> str:
    """RSS wants an address of an author; a name alone is Dublin Core's."""
    return tag(name if "@" in (author or "") else "dc:creator", author)


def _rfc822(moment: datetime | None) -> str | None:
    return format_datetime(moment) if moment else None


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
