"""XML from strangers, read as a stream of events: no tree, no entities, no DTD, no network, whatever the encoding.

What is well-formed is read once. What is not is mended as text (bare ampersands, names of HTML entities, control
characters, junk before the first tag) and read again by a parser that goes on after mistakes, so that one broken entry
costs itself. `huge_tree` stays off on purpose: a file may have any length, but no text of 10 MB and no depth of 256.
"""

from __future__ import annotations

import re
from contextlib import suppress
from html.entities import html5
from typing import Any, Final, Protocol

from lxml import etree

from pipeline.errors import ParseError
from pipeline.stages.encoding import decode

PIECE: Final = 64 * 1024  # characters that the parser gets at a time

_PROLOG: Final = re.compile(r"\ufeff?(?>\s+|<\?.*?\?>|<!--.*?-->)*<!DOCTYPE[^>\[]*\[", re.DOTALL)
_TEXTS: Final = re.compile(r"<!\[CDATA\[.*?(?:\]\]>|\Z)|&(?:#?\w+;)?", re.DOTALL)
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KNOWN: Final = frozenset(("amp", "lt", "gt", "quot", "apos"))
# How XML without a byte order mark begins, by XML 1.0, appendix F: `<?` or `<x` in wide characters.
_WIDE: Final = (
    (b"\x00\x00\x00<", "utf-32-be"),
    (b"<\x00\x00\x00", "utf-32-le"),
    (b"\x00<\x00", "utf-16-be"),
    (b"<\x00", "utf-16-le"),
    (b"L\x6f\xa7\x94", "cp037"),
)


class Target(Protocol):
    """Who hears the events. Names are as they stand, with the namespace in braces."""

    def start(self, tag: str, attributes: Any) -> None: ...
    def end(self, tag: str) -> None: ...
    def data(self, text: str) -> None: ...
    def close(self) -> Any: ...


class EnoughError(Exception):
    """Raised by a target that wants no more."""


def text_of(body: bytes, content_type: str | None = None) -> str:
    """The text of an XML document, in whatever encoding it is."""
    for head, name in _WIDE:
        if body.startswith(head) and not body.startswith(b"\xff\xfe"):
            return body.decode(name, "replace")
    return decode(body, content_type)[0]


def refuse_entities(text: str) -> None:
    """Raise ParseError for a document that declares entities: nobody needs them, and bombs are made of them."""
    found = _PROLOG.match(text)
    if found is not None and text.find("<!ENTITY", found.end()) >= 0:
        raise ParseError("the document declares entities in a DTD, which are not read")


def parse(text: str, make: Any) -> tuple[Any, str]:
    """Feed the events of `text` to `make()`; (that target, "" or what was wrong and had to be mended).

    Raises ParseError for a document with entities.
    """
    refuse_entities(text)
    text = _without_declaration(text)
    target = make()
    try:
        _feed(text, target, recover=False)
    except etree.XMLSyntaxError as error:
        target = make()
        with suppress(etree.XMLSyntaxError):  # nothing more can be read then; what was read counts
            text = mended(text)
            refuse_entities(text)
            _feed(text, target, recover=True)
        return target, f"not well-formed XML: {_plain(error)}"
    return target, ""


def _without_declaration(text: str) -> str:
    """The text without its XML declaration, also where something stands before it: it has been decoded."""
    start = text.find("<?xml")
    end = text.find(">", start)
    return text[:start] + text[end + 1 :] if 0 <= start < end and text[end - 1] == "?" else text


def mended(text: str) -> str:
    """The text without what most often breaks XML; what stands in CDATA sections stays as it is."""
    start = text.find("<")
    return _TEXTS.sub(_mend, _NOT_XML.sub(" ", text[max(start, 0) :]))


def _mend(found: re.Match[str]) -> str:
    text = found.group()
    if text.startswith("<!"):
        return text
    name = text[1:-1]
    if name in _KNOWN or (name.startswith("#") and _is_number(name[1:])):
        return text
    known = html5.get(f"{name};") if name else None
    return f"&amp;{text[1:]}" if known is None else known.replace("&", "&amp;").replace("<", "&lt;")


def _is_number(text: str) -> bool:
    return text.isascii() and (text.isdigit() or (text[:1] in ("x", "X") and text[1:].isalnum()))


def _feed(text: str, target: Target, *, recover: bool) -> None:
    parser = etree.XMLParser(
        target=target,
        recover=recover,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        remove_pis=True,
        remove_comments=True,
        encoding="utf-8",
    )
    try:
        for start in range(0, len(text), PIECE):
            parser.feed(text[start : start + PIECE].encode("utf-8", "replace"))
        parser.close()
    except EnoughError:
        return


def _plain(error: etree.XMLSyntaxError) -> str:
    return str(error.msg or "it is empty").removesuffix(" (<string>, line 1)")
