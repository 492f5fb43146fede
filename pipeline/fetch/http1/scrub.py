"""Sloppy heads, put into strict form as browsers read them (RFC 9112, 2.2, 5.1, 5.2)."""

from __future__ import annotations

import re
from typing import Final

from pipeline.errors import ProtocolError

MAX_DROPPED_LINES: Final = 10

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Control characters other than tab and line ends count as blanks (RFC 9110, 5.5); NUL is refused before.
_BLANKED = bytes(c for c in (*range(1, 32), 127) if c not in b"\t\n")
_BLANK = bytes.maketrans(_BLANKED, b" " * len(_BLANKED))


# A cookie that holds a control character is dropped whole, not kept as another one (RFC 6265bis, 5.6).
_POISONED_COOKIE = re.compile(rb"(?im)^set-cookie[ \t]*:[^\n]*(?:[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n))[^\n]*\n")


def scrub(head: bytes) -> bytes:
    """A head without NUL, its blank line included, in strict form.

    Lines ending in LF alone, folded lines, blanks before the colon, control characters in values and repeated equal
    Content-Lengths are put right; lines without a colon or with a name that is no token are dropped, up to 10.
    """
    status, *lines = _POISONED_COOKIE.sub(b"", head).translate(_BLANK).split(b"\n")
    fields: list[tuple[bytes, bytes]] = []
    dropped = 0
    folding = False  # whether a folded line has a field to continue
    for line in lines:
        if not line.strip():
            continue
        if line[0] in b" \t":
            if folding:
                name, value = fields[-1]
                fields[-1] = name, b"%b %b" % (value, line.strip())
            else:
                dropped += 1
            continue
        name, colon, value = line.partition(b":")
        folding = bool(colon) and _TOKEN.fullmatch(name.rstrip()) is not None
        if folding:
            fields.append((name.rstrip(), value.strip()))
        else:
            dropped += 1
    if dropped > MAX_DROPPED_LINES:
        raise ProtocolError(f"{dropped} lines of the response head are no header fields", reason="header_syntax")
    rendered = b"".join(b"%b: %b\r\n" % field for field in _merge_lengths(fields))
    return b"%b\r\n%b\r\n" % (status.rstrip(), rendered)


def _merge_lengths(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """One Content-Length where several say the same."""
    seen: set[bytes] = set()
    kept = []
    for name, value in fields:
        if name.lower() == b"content-length":
            if value in seen:
                continue
            seen.add(value)
        kept.append((name, value))
    return kept
