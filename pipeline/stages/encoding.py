"""From the bytes of a body to text: which encoding, and decoding that never fails.

Order (WHATWG HTML, "determining the character encoding"): byte order mark, charset of the HTTP header, declaration in
the markup, else UTF-8 where the bytes are valid UTF-8, else a declaration that is misspelt, which browsers do not take
(`httpequiv=`, `< meta`), else windows-1252. Knows nothing of pages or trees.

A label that names no text encoding (`base64`, `idna`) is treated as absent: a page cannot fail its own parse by
choosing one.
"""

from __future__ import annotations

import re
from typing import Final

from pipeline.stages.decoding import is_label, known, read
from pipeline.stages.prescan import meta_label, xml_label

FALLBACK: Final = "cp1252"
_MARKS: Final = (b"\xef", b"\xfe", b"\xff", b"\0")  # first bytes of byte order marks
_XML: Final = re.compile(r"\s*(?:text/xml|application/xml|[^;]*\+xml)\s*(?:;|$)", re.IGNORECASE)
# A parameter, or what is stepped over: a comma, behind which another field of the same name begins, and quoted text.
_PARAMETER: Final = re.compile(r';[ \t]*([^\s;="]+)=(?:"((?:[^"\\]|\\.)*)"|([^;,\s]*))|,|"(?:[^"\\]|\\.)*"')
_LONGEST: Final = 1024  # characters of a Content-Type that are looked at
_WIDE: Final = {b"<\0?\0x\0": "utf-16-le", b"\0<\0?\0x": "utf-16-be"}  # XML that begins so can be nothing else


def decode(body: bytes, content_type: str | None = None) -> tuple[str, str]:
    """The text of a body and the name of the Python codec that was used. Broken sequences become U+FFFD."""
    if body[:1] in _MARKS:
        from w3lib.encoding import read_bom  # noqa: PLC0415 - few pages have one

        mark, bom = read_bom(body)
        if mark is not None and bom is not None:
            return read(body[len(bom) :], mark), mark
    name = of_header(content_type) or declared(body, xml=bool(content_type and _XML.match(content_type[:_LONGEST])))
    if name is not None and name != "utf-8":
        return read(body, name), name
    try:
        return body.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        name = name or _sloppy(body) or FALLBACK
        return read(body, name), name


def of_header(content_type: str | None) -> str | None:
    """The encoding that a Content-Type names, as a Python codec name. The first `charset` that is a label counts."""
    if not content_type or "charset" not in content_type.lower():
        return None
    for found in _PARAMETER.finditer(content_type[:_LONGEST]):
        if found[0] == ",":
            return None
        if found[1] and found[1].lower() == "charset":
            label = found[2] if found[2] is not None else found[3]
            if is_label(label):
                return known(label)
    return None


def declared(body: bytes, *, xml: bool = False) -> str | None:
    """The encoding that the markup declares for itself (`meta`, `<?xml encoding?>`), as a Python codec name.

    Of a page that is both, `meta` counts; in `xml` there is no such thing.
    """
    if (wide := _WIDE.get(body[:6])) is not None:
        return wide
    label = None if xml else meta_label(body, lambda label: known(label) is not None)
    if label is None:
        label = xml_label(body)
    if label is None or (name := known(label)) is None:
        return None
    # Whoever could read the declaration byte by byte is not reading UTF-16 (WHATWG HTML, prescan, last steps).
    return "utf-8" if name.startswith(("utf-16", "utf-32")) else name


def _sloppy(body: bytes) -> str | None:
    from w3lib.encoding import html_body_declared_encoding  # noqa: PLC0415 - for pages that say something wrong

    name = html_body_declared_encoding(body)
    return known(name) if name else None
