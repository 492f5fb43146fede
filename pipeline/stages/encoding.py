"""From the bytes of a body to text: which encoding, and decoding that never fails.

Order (WHATWG HTML, "determining the character encoding"): byte order mark, charset of the HTTP header, declaration in
the first 1024 bytes, else UTF-8 where the bytes are valid UTF-8, else windows-1252. Knows nothing of pages or trees.

Labels are resolved the WHATWG way by w3lib (`iso-8859-1` is windows-1252, `gb2312` is gb18030). A label that names no
text encoding (`base64`, `idna`) is treated as absent: a page cannot fail its own parse by choosing one.
"""

from __future__ import annotations

import codecs
from typing import Final

from w3lib.encoding import (
    html_body_declared_encoding,
    http_content_type_encoding,
    read_bom,
    resolve_encoding,
    to_unicode,
)

PRESCAN: Final = 1024  # bytes
FALLBACK: Final = "cp1252"
# Codecs that Python counts as text encodings and that no page may choose: they are transforms, or always raise.
_NOT_FOR_PAGES: Final = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7"})


def decode(body: bytes, content_type: str | None = None) -> tuple[str, str]:
    """The text of a body and the name of the Python codec that was used. Broken sequences become U+FFFD."""
    mark, bom = read_bom(body)
    if mark is not None and bom is not None:
        return to_unicode(body[len(bom) :], mark), mark
    name = _usable(http_content_type_encoding(content_type)) or declared(body)
    if name is not None and name != "utf-8":
        return _decode_as(body, name), name
    try:
        return body.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        name = name or FALLBACK
        return _decode_as(body, name), name


def declared(body: bytes) -> str | None:
    """The encoding that the markup declares for itself (`meta`, `<?xml encoding?>`), as a Python codec name."""
    name = _usable(html_body_declared_encoding(body[:PRESCAN]))
    if name is None:
        return None
    # Whoever could read the declaration byte by byte is not reading UTF-16 (WHATWG HTML, prescan, last steps).
    return "utf-8" if name.startswith(("utf-16", "utf-32")) else name


def known(label: str) -> str | None:
    """The Python codec for an encoding label, or None if no page may be in it."""
    return _usable(resolve_encoding(label))


def _usable(name: str | None) -> str | None:
    if name is None or name in _NOT_FOR_PAGES:
        return None
    info = codecs.lookup(name)
    # Codecs such as base64 and rot13 turn bytes into bytes or text into text; bytes.decode refuses them.
    return name if getattr(info, "_is_text_encoding", True) else None


def _decode_as(body: bytes, name: str) -> str:
    if name == FALLBACK:
        return _windows_1252(body)
    if name in {"utf-16", "utf-32"}:
        name += "-le"
    return to_unicode(body, name)


def _windows_1252(body: bytes) -> str:
    """windows-1252 as in WHATWG Encoding: the five bytes that Python's table leaves out are C1 controls."""
    try:
        return body.decode(FALLBACK)
    except UnicodeDecodeError:
        return body.decode("latin-1").translate(_C1)


_C1: Final = {
    byte: bytes((byte,)).decode(FALLBACK) for byte in range(0x80, 0xA0) if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}
