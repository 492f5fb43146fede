"""What a body is: by its media type, and by its first bytes where the type says nothing definite, or not the truth.

After WHATWG mimesniff, with two liberties: JSON that calls itself HTML is taken for JSON, since no page in HTML is
valid JSON; and what calls itself text but begins as a picture, an archive, a font or a film is `disguised`, where a
browser would show garbage. Pure: knows bytes and media types.
"""

from __future__ import annotations

import json
import re
from typing import Final, Literal, TypeAlias

from pipeline.stages.encoding import decode

Kind: TypeAlias = Literal["html", "xml", "json", "text", "binary"]

_HTML_TYPES: Final = frozenset({"text/html", "application/xhtml+xml"})
_XML_TYPES: Final = frozenset({"text/xml", "application/xml"})
_JSON_TYPES: Final = frozenset({"application/json", "text/json"})
_TEXT_TYPES: Final = frozenset({"application/javascript", "application/ecmascript", "application/x-ndjson"})
_SNIFFED: Final = frozenset(
    {
        "",
        "text/plain",
        "application/octet-stream",
        "binary/octet-stream",
        "unknown/unknown",
        "application/unknown",
        "*/*",
    }
)
_SNIFF_BYTES: Final = 1445  # what WHATWG mimesniff reads of a resource
_SPACE: Final = b"\t\n\x0c\r "
# WHATWG mimesniff 7.1, with the tags that begin real fragments besides.
_LOOKS_HTML = re.compile(
    rb"<(?:!--|(?:!doctype\s+html|html|head|body|title|meta|link|script|style|iframe|table|div|span|section|article|main|"
    rb"header|footer|nav|form|font|img|ul|ol|h[1-6]|p|a|b|br)[\s/>])",
    re.IGNORECASE,
)
_LOOKS_XML = re.compile(rb"<(?:\?xml|rss|feed|urlset|sitemapindex|opml)[\s?>]", re.IGNORECASE)
# What calls itself HTML and is a feed: mimesniff, 7.3. Declaration, comments and doctype may stand before the root.
_LOOKS_FEED = re.compile(rb"(?>\s+|<\?[^>]*>|<!--.*?-->|<![^>]*>)*+<(?:rss|feed|rdf:RDF)[\s>/]", re.DOTALL)
_FEEDS: Final = (b"<rss", b"<feed", b"<rdf:RDF")
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_BOMS: Final = (b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")

# mimesniff, 6.1 to 6.4 and 7.1; dots stand for any byte.
_SIGNATURES: Final = re.compile(
    rb"\x89PNG\r\n\x1a\n|GIF8[79]a|\xff\xd8\xff|BM[\s\S]{4}\x00\x00\x00\x00|RIFF[\s\S]{4}(?:WEBPVP|AVI |WAVE)"
    rb"|\x00\x00[\x01\x02]\x00[\s\S]\x00|%PDF-|PK\x03\x04|Rar!?\x1a\x07|\x1f\x8b\x08|7z\xbc\xaf\x27\x1c|BZh[1-9]1AY&SY"
    rb"|OggS\x00|ID3[\x02-\x04]|fLaC\x00|MThd\x00\x00\x00\x06|FORM[\s\S]{4}AIFF|[\s\S]{4}ftyp|\x1aE\xdf\xa3"
    rb"|wOF[F2][\s\S]{2}|OTTO\x00|\x00\x01\x00\x00\x00|ttcf\x00|\x7fELF"
)


def kind_of(content_type: str, body: bytes) -> Kind:
    """The kind of a body of this media type (lower case, without parameters)."""
    if content_type in _HTML_TYPES:
        return _calls_itself_html(body)
    if content_type in _JSON_TYPES or content_type.endswith("+json"):
        return "json"
    if content_type in _XML_TYPES or content_type.endswith("+xml"):
        return "xml"
    if content_type in _SNIFFED or "/" not in content_type:
        return sniff(body)
    if content_type.startswith("text/") or content_type in _TEXT_TYPES:
        return "text"
    return "binary"


def disguised(content_type: str, body: bytes) -> bool:
    """Does it call itself HTML, XML, JSON or other text, and is a picture, an archive, a font, a film or a PDF?"""
    if body[:1] in b"<{[\r\n\t " or _SIGNATURES.match(body) is None:
        return False
    text = content_type.startswith("text/") or content_type in _TEXT_TYPES | _JSON_TYPES | _XML_TYPES
    return text or content_type.endswith(("+xml", "+json"))


def _calls_itself_html(body: bytes) -> Kind:
    head = body[:_SNIFF_BYTES].removeprefix(_BOMS[0]).lstrip(_SPACE)
    if head[:1] in (b"{", b"["):
        return "json" if _is_json(body) else "html"
    is_feed = any(root in head for root in _FEEDS) and _LOOKS_FEED.match(head)
    return "xml" if is_feed else "html"


def sniff(body: bytes) -> Kind:
    """The kind by the first bytes: close to WHATWG mimesniff, 7.1, with JSON and feeds besides."""
    head = body[:_SNIFF_BYTES]
    if head.startswith(_BOMS[1:]):
        head = decode(head)[0].encode()  # UTF-16: look at the characters
    head = head.removeprefix(_BOMS[0]).lstrip(_SPACE)
    if _LOOKS_XML.match(head):
        return "html" if re.search(rb"<(?:!doctype\s+)?html[\s>]", head, re.IGNORECASE) else "xml"
    if _LOOKS_HTML.match(head) or head[:14].lower() == b"<!doctype html":
        return "html"
    if head[:1] in (b"{", b"[") and _is_json(body):
        return "json"
    return "binary" if _BINARY.search(head) else "text"


def _is_json(body: bytes) -> bool:
    try:
        json.loads(decode(body)[0])
    except (ValueError, RecursionError):
        return False
    return True
