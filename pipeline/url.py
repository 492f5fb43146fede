"""URLs as strings that one WHATWG parser (ada) has normalised; every other module trusts that form.

A *normalised* URL is ada's serialisation without fragment. On such a string host and origin can be cut out by position,
which is what the hot path does; nothing here parses a URL a second way.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple

import ada_url
import msgspec

DEFAULT_PORTS = {"http": 80, "https": 443}
_carry = msgspec.json.Encoder(order="sorted", decimal_format="number")


class Origin(NamedTuple):
    """Scheme, host and port (RFC 6454): the key of connections, robots and credentials."""

    scheme: str
    host: str
    port: int


def join(base: str, reference: str) -> str | None:
    """Resolve `reference` against `base` (WHATWG URL), without fragment; None where that gives no valid URL."""
    try:
        url: str = ada_url.join_url(base, reference)
    except ValueError:
        return None
    return url.partition("#")[0]


def normalise(url: str) -> str | None:
    """The WHATWG serialisation of an absolute URL without fragment, or None if it is none."""
    try:
        result: str = ada_url.normalize_url(url)
    except ValueError:
        return None
    return result.partition("#")[0]


def scheme_of(url: str) -> str:
    """The scheme of a normalised URL."""
    return url.partition(":")[0]


def split(url: str) -> tuple[str, str, str]:
    """(scheme, authority, target) of a normalised http(s) URL; target starts with `/` and holds path and query."""
    scheme, _, rest = url.partition("://")
    authority, slash, target = rest.partition("/")
    return scheme, authority, slash + target


def origin_of(url: str) -> Origin:
    """The origin of a normalised http(s) URL. IPv6 hosts come without brackets."""
    scheme, authority, _ = split(url)
    authority = authority.rpartition("@")[2]
    if authority.startswith("["):
        host, _, rest = authority[1:].partition("]")
        port = rest[1:]
    else:
        host, _, port = authority.partition(":")
    return Origin(scheme, host, int(port) if port else DEFAULT_PORTS.get(scheme, 0))


def host_of(url: str) -> str:
    """The host of a normalised URL: the key of politeness. Lower case, without port; IPv6 without brackets."""
    return origin_of(url).host


def path_of(url: str) -> str:
    """The path of a normalised http(s) URL, without query."""
    return split(url)[2].partition("?")[0]


def carry_key(carry: dict[str, Any]) -> bytes:
    """Carried values as canonical JSON: part of a request's identity and of the output order."""
    return _carry.encode(carry) if carry else b""


def fingerprint(method: str, url: str, body: bytes | None, rule: str | None, carry: dict[str, Any]) -> bytes:
    """16 bytes that identify a request: (method, URL, body, page rule, carried values), spec section 2."""
    if body is None and not carry:
        text = f"{method} {url} {rule or ''}".encode()
    else:
        text = b"%b\n%b\n%b" % (f"{method} {url} {rule or ''}".encode(), carry_key(carry), body or b"\n")
    return blake2b(text, digest_size=16).digest()
