"""What a request has beyond URL, page rule, depth and seed, as bytes: most requests have nothing.

A secret is never among these bytes (spec, section 2). In its place stands a digest; who resumes the run has the secrets
from its config again, and gives them as a vault, digest -> value. What the vault does not know is left out of the
request.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Final

import msgspec

from pipeline.crawl.redirect import SECRET_HEADERS
from pipeline.model import Request, Source
from pipeline.packing import pack_values, unpack_links, unpack_values

HIDDEN: Final = "\0secret "  # begins a header's value in stored links that is not the value itself
NO_VAULT: Final[Mapping[str, str]] = MappingProxyType({})


class Secret(msgspec.Struct, array_like=True, frozen=True):
    """Stands for the value of a header. A value that is no secret is text, so nothing else can look like this."""

    digest: str


class _More(msgspec.Struct, omit_defaults=True):
    method: str = "GET"
    headers: dict[str, str | Secret] = {}
    body: bytes | None = None
    carry: bytes = b""  # packed with the types of its values
    priority: int = 0
    hops: tuple[str, ...] = ()
    trail: tuple[tuple[bytes, bytes], ...] = ()
    rule_limit: tuple[str, int] | None = None
    source: Source | None = None
    at_seed: bool = False


_HEADERS: Final = b"\xa7headers"  # the key, as msgpack has it, of a request that has any

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_More).decode
_PLAIN: Final = _More()


def digest(value: str) -> str:
    """What stands for a secret in the state: blake2b, 16 bytes, in hex."""
    return blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def hidden_links(links: bytes, secret_names: Collection[str] = SECRET_HEADERS) -> bytes:
    """Packed requests with every secret header's value replaced by `HIDDEN` and its digest."""
    if _HEADERS not in links:
        return links  # nearly always: nothing is looked at
    lower = links.lower()
    if not any(name.encode() in lower for name in secret_names):
        return links
    requests = unpack_links(links)
    for request in requests:
        for name, value in request.headers.items():
            if name.lower() in secret_names:
                request.headers[name] = HIDDEN + digest(value)
    return _encode(requests)


def shown_links(links: bytes, vault: Mapping[str, str] = NO_VAULT) -> list[Request]:
    """The requests of `hidden_links`, with the secrets that the vault knows."""
    requests = unpack_links(links)
    for request in requests:
        if request.headers:
            request.headers = {
                name: text for name, value in request.headers.items() if (text := _revealed(value, vault)) is not None
            }
    return requests


def _revealed(value: str, vault: Mapping[str, str]) -> str | None:
    return vault.get(value.removeprefix(HIDDEN)) if value.startswith(HIDDEN) else value


def more_of(request: Request, secret_names: Collection[str] = SECRET_HEADERS) -> bytes | None:
    """What differs from a plain GET, msgpack; None if nothing. `secret_names` are headers in lower case."""
    more = _More(
        method=request.method,
        headers=_hidden(request.headers, secret_names) if request.headers else {},
        body=request.body,
        carry=pack_values(request.carry) if request.carry else b"",
        priority=request.priority,
        hops=request.hops,
        trail=request.trail,
        rule_limit=request.rule_limit,
        source=request.source,
        at_seed=request.at_seed,
    )
    return None if more == _PLAIN else _encode(more)


def request_of(  # noqa: PLR0917 - the columns of a row, by place
    url: str,
    rule: str | None,
    depth: int,
    seed: bool,
    more: bytes | None,
    vault: Mapping[str, str] = NO_VAULT,
    *,
    parent: str | None = None,
) -> Request:
    """The request that `more_of` was given, with the secrets that the vault knows. `parent` is its parent's URL."""
    request = Request(url, page=rule, depth=depth, seed=bool(seed), parent=parent)
    if more is not None:
        found = _decode(more)
        request.method = found.method
        request.headers = _shown(found.headers, vault)
        request.body = found.body
        request.carry = _carry(found.carry)
        request.priority = found.priority
        request.hops = found.hops
        request.trail = found.trail
        request.rule_limit = found.rule_limit
        request.source = found.source
        request.at_seed = found.at_seed
    return request


def _hidden(headers: Mapping[str, str], secret_names: Collection[str]) -> dict[str, str | Secret]:
    return {
        name: Secret(digest(value)) if name.strip().lower() in secret_names else value
        for name, value in headers.items()
    }


def _shown(headers: Mapping[str, str | Secret], vault: Mapping[str, str]) -> dict[str, str]:
    shown = {}
    for name, value in headers.items():
        text = vault.get(value.digest) if isinstance(value, Secret) else value
        if text is not None:
            shown[name] = text
    return shown


def _carry(packed: bytes) -> dict[str, Any]:
    carry: dict[str, Any] = unpack_values(packed) if packed else {}
    return carry
