"""What a page's first bytes say of their encoding: `<meta charset>`, `<meta http-equiv>`, `<?xml encoding?>`.

Answers for: the label as it is written, found as browsers find it (WHATWG HTML, "prescan a byte stream to determine its
encoding" and "get an XML encoding"). Must not know which labels there are. All steps are linear in what is looked at.

Browsers take a `meta` that comes later too, by reading the page again. So we look on behind the first `PRESCAN` bytes,
until a tag comes that cannot be in a head.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

PRESCAN: Final = 1024  # bytes that are looked at whatever they are
LATEST: Final = 64 * 1024  # bytes that are looked at while the head goes on

_HEAD: Final = frozenset(
    (b"html", b"head", b"title", b"base", b"link", b"meta", b"script", b"noscript", b"style", b"object", b"template")
)
# Between these and their end tag, `<` is a letter.
_RAW: Final = {name: re.compile(rb"</" + name, re.IGNORECASE) for name in (b"script", b"style", b"title")}
_TOKEN: Final = re.compile(
    rb"<(?:(?P<comment>!--)|(?P<meta>meta)(?=[\t\n\f\r /])|(?P<close>/?)(?P<tag>[a-z][^\t\n\f\r >]*)|[!/?])",
    re.IGNORECASE,
)
_META: Final = re.compile(rb"<[mM][eE][tT][aA][\t\n\f\r /]")  # not IGNORECASE: so it looks for the `<` alone
_NAME: Final = re.compile(rb"[\t\n\f\r /]*(?:(>)|([^\t\n\f\r />][^\t\n\f\r />=]*)[\t\n\f\r ]*(=?)[\t\n\f\r ]*)")
_VALUE: Final = re.compile(rb"\"([^\"]*)\"|'([^']*)'|([^\t\n\f\r >\"'][^\t\n\f\r >]*)|(?=>)")
_CHARSET: Final = re.compile(
    rb"charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:\"([^\"]*)\"|'([^']*)'|([^\t\n\f\r ;\"'][^\t\n\f\r ;]*))", re.I
)
_XML: Final = re.compile(rb"<\?xml[\t\n\f\r ][^>]*?\bencoding[\t\n\f\r ]*=[\t\n\f\r ]*(?:\"([^\">]*)\"|'([^'>]*)')")


class _CutError(Exception):
    """The bytes end in the middle of something."""


def meta_label(body: bytes, is_label: Callable[[str], bool]) -> str | None:
    """The first label of a `meta` that `is_label` knows, or None."""
    data = body[:LATEST]
    if _META.search(data) is None:
        return None
    try:
        return _first(data, is_label)
    except _CutError:
        return None


def xml_label(body: bytes) -> str | None:
    """The label in an XML declaration, or None."""
    if not body.startswith(b"<?xml"):
        return None
    found = _XML.match(body[:PRESCAN])
    return _text(next(group for group in found.groups() if group is not None)) if found else None


def _first(data: bytes, is_label: Callable[[str], bool]) -> str | None:
    place = raw_end = 0
    while (token := _TOKEN.search(data, place)) is not None:
        start, place = token.span()
        if start >= PRESCAN and start < raw_end:
            place = raw_end
        elif token["comment"]:
            place = _after(data, b"-->", start + 2)  # `<!-->` is a whole one
        elif token["meta"]:
            given, place = _attributes(data, place)
            label = _declared(given)
            if label is not None and is_label(label):
                return label
        elif (tag := token["tag"]) is not None:
            name = tag.lower()
            if start >= PRESCAN and (name not in _HEAD or (token["close"] and name == b"head")):
                return None
            _, place = _attributes(data, place)
            if name in _RAW and not token["close"] and place > raw_end:
                end = _RAW[name].search(data, place)
                raw_end = end.start() if end else len(data)
        else:
            place = _after(data, b">", place)
    return None


def _after(data: bytes, what: bytes, place: int) -> int:
    found = data.find(what, place)
    if found < 0:
        raise _CutError
    return found + len(what)


def _attributes(data: bytes, place: int) -> tuple[dict[bytes, bytes], int]:
    """The attributes of the tag whose name ends at `place`, the first of a name; and where the tag ends."""
    given: dict[bytes, bytes] = {}
    while True:
        found = _NAME.match(data, place)
        if found is None or (found.end() == len(data) and not found[1]):
            raise _CutError
        place = found.end()
        if found[1]:
            return given, place
        value = b""
        if found[3]:
            told = _VALUE.match(data, place)
            if told is None or told.end() == len(data):
                raise _CutError
            place, value = told.end(), told[1] or told[2] or told[3] or b""
        given.setdefault(found[2].lower(), value)


def _declared(given: dict[bytes, bytes]) -> str | None:
    """What a `meta` with these attributes declares."""
    if b"charset" in given:
        return _text(given[b"charset"])
    if given.get(b"http-equiv", b"").lower() != b"content-type":
        return None
    found = _CHARSET.search(given.get(b"content", b""))
    return _text(next(group for group in found.groups() if group is not None)) if found else None


def _text(label: bytes) -> str:
    return label.decode("latin-1").strip("\t\n\f\r ")
