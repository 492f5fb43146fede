"""URLs as strings that one WHATWG parser (ada) has normalised; every other module trusts that form.

A *normalised* URL is ada's serialisation without fragment. On such a string host and origin can be cut out by position,
which is what the hot path does; nothing here parses a URL a second way.

Where a reference leads depends on the base only up to its last slash, except for references that replace less than
that: `folder_of` and `replaces_segment` tell who wants to remember answers.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import unquote

import ada_url
import msgspec

from pipeline.model import Request

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_INPUT = 32 * 1024  # characters of what is parsed at all: IDNA is slow on long labels, `data:` links are megabytes
MAX_HOST = 253  # bytes of a name in DNS, and of one of its labels (RFC 1035)
MAX_LABEL = 63

# A base whose last segment is nothing but a name: what stands before that is its folder, and the same for many.
_PLAIN = re.compile(
    r"(https?://[a-z0-9.:-]+/(?:[^?#\\\x00-\x20\x7f]*/)?)(?:[a-z0-9_-][a-z0-9_.-]*)?(?:\?|\Z)", re.I | re.A
)

_carry = msgspec.json.Encoder(order="sorted", decimal_format="number")


class Origin(NamedTuple):
    """Scheme, host and port (RFC 6454): the key of connections, robots and credentials."""

    scheme: str
    host: str
    port: int

    @property
    def root(self) -> str:
        """The URL of its `/`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = DEFAULT_PORTS.get(self.scheme) == self.port
        return f"{self.scheme}://{host}/" if usual else f"{self.scheme}://{host}:{self.port}/"


def join(base: str, reference: str) -> str | None:
    """Resolve `reference` against `base` (WHATWG URL), without fragment; None where that gives no valid URL."""
    if len(reference) > MAX_INPUT:
        return None
    try:
        url: str = ada_url.join_url(base, reference)
    except ValueError:
        return None
    return url.partition("#")[0]


def folder_of(base: str) -> str | None:
    """What of a base decides where references lead that replace its last segment; None for a base without such."""
    plain = _PLAIN.match(base)
    return _folder(base) if plain is None else _known_folder(plain[1])


def _folder(base: str) -> str | None:
    url = normalise(base) or ""
    return url.partition("?")[0].rpartition("/")[0] if url.startswith(("http://", "https://")) else None


_known_folder = lru_cache(maxsize=1024)(_folder)


def replaces_segment(reference: str) -> bool:
    """Whether it surely replaces the last segment or more, whatever the base.

    Not so: `?x`, `#x`, nothing, `http:x` (relative where the schemes are equal), and what the parser skips in front.
    """
    return (
        reference[:1] not in "?#\\ "
        and reference.isprintable()
        and (reference[:4].lower() != "http" or "://" in reference[:8])
    )


def normalise(url: str) -> str | None:
    """The WHATWG serialisation of an absolute URL without fragment, or None if it is none."""
    if len(url) > MAX_INPUT:
        return None
    try:
        result: str = ada_url.normalize_url(url)
    except ValueError:
        return None
    return result.partition("#")[0]


def gate(url: str, *, max_url: int = 8192) -> str | None:
    """Why a normalised URL may not be asked for, whoever brought it: `scheme`, `trap`, or None if it may.

    The words are those of the fates (`rejected:scheme`); a URL or host that no server can have is a `trap`. It is
    the one gate of seeds, links, redirects, robots, sitemaps and plugins; what else a link must pass, the scope says.
    """
    if not url.startswith(("http://", "https://")):
        return "scheme"
    return "trap" if len(url) > max_url or not _fits_dns(origin_of(url).host) else None


def _fits_dns(host: str) -> bool:
    """Whether a name could be asked for at all: WHATWG parsing takes empty and endless labels, DNS does not."""
    host = host.removesuffix(".")
    if len(host) > MAX_HOST or ".." in f".{host}.":
        return False
    return len(host) <= MAX_LABEL or max(map(len, host.split("."))) <= MAX_LABEL


def split_userinfo(url: str) -> tuple[str, str | None]:
    """(the URL without user and password, "user:password" percent-decoded or None) of a normalised http(s) URL.

    As in curl and in a browser's address bar, user info is not refused: it is credentials for that origin, sent as
    Basic authorization (RFC 7617), and belongs in no Host, Referer, log or state.
    """
    scheme, authority, target = split(url)
    userinfo, at, host = authority.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    return f"{scheme}://{host}{target}", f"{unquote(user)}:{unquote(password)}"


def shown(url: str) -> str:
    """A URL as it may stand in a report or message: without user and password."""
    return split_userinfo(url)[0] if "@" in url and url.startswith(("http://", "https://")) else url


def scheme_of(url: str) -> str:
    """The scheme of a normalised URL."""
    return url.partition(":")[0]


def split(url: str) -> tuple[str, str, str]:
    """(scheme, authority, target) of a normalised http(s) URL; target starts with `/` and holds path and query."""
    scheme, _, rest = url.partition("://")
    authority, slash, target = rest.partition("/")
    return scheme, authority, slash + target


@lru_cache(maxsize=4096)
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


def identity(request: Request) -> bytes:
    """The fingerprint of a request whose page rule is resolved. A list of URLs is never the page of the same URL."""
    rule = request.page if request.source is None else f"{request.page or ''}\0{request.source.kind}"
    return fingerprint(request.method, request.url, request.body, rule, request.carry)
