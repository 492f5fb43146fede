"""A request as bytes, or a refusal: nothing that a caller hands in can end a line or a message early."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pipeline.errors import ProtocolError

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_SENDS_LENGTH = frozenset({"POST", "PUT", "PATCH"})  # say Content-Length: 0 for an empty body (RFC 9110, 8.6)
_FRAMING = frozenset({"content-length", "transfer-encoding"})


def render_fields(fields: Iterable[tuple[str, str]]) -> bytes:
    """Header fields as they go on the wire, each line with its CRLF.

    Raises ProtocolError (bad_request) for a name that is no token, for control characters (CR, LF and NUL among them)
    or characters beyond latin-1 in a value, and for fields that say where the message ends: those are ours.
    """
    lines = []
    for name, value in fields:
        if not TOKEN.fullmatch(name):
            raise _bad_request(f"header name {name!r} is not a token")
        if not _VALUE.fullmatch(value):
            raise _bad_request(f"the value of header {name} holds a line break, control or non-latin-1 character")
        if name.lower() in _FRAMING:
            raise _bad_request(f"header {name} follows from the body and cannot be set")
        lines.append(f"{name}: {value.strip()}\r\n")
    return "".join(lines).encode("latin-1")


def merge_fields(defaults: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """`own` over `defaults`, names compared without case."""
    named = {name.lower() for name in own}
    return {**{name: value for name, value in defaults.items() if name.lower() not in named}, **own}


def build_request(method: str, authority: str, target: str, fields: bytes, body: bytes | None = None) -> bytes:
    """A whole HTTP/1.1 request.

    `authority` is `host[:port]` as in the URL, without user info, IPv6 in brackets; empty if `fields` (the answer of
    `render_fields`) has a Host of its own. `target` is path and query. Raises ProtocolError (bad_request).
    """
    if method != "GET" and not TOKEN.fullmatch(method):
        raise _bad_request(f"method {method!r} is not a token")
    if not _is_visible(target) or target[0] != "/":
        raise _bad_request(f"request target {target!r} is not a path of visible ASCII characters")
    host = ""
    if authority:
        if not _is_visible(authority) or "@" in authority or "/" in authority:
            raise _bad_request(f"{authority!r} cannot be sent as Host")
        host = f"Host: {authority}\r\n"
    length = ""
    if body is not None or method in _SENDS_LENGTH:
        length = f"Content-Length: {len(body or b'')}\r\n"
    head = f"{method} {target} HTTP/1.1\r\n{host}{length}".encode("ascii")
    return b"%b%b\r\n%b" % (head, fields, body or b"")


def _is_visible(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and text != ""


def _bad_request(message: str) -> ProtocolError:
    return ProtocolError(f"request not sent: {message}", reason="bad_request")
