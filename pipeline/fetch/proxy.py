"""Proxies, as bytes in and bytes out: what is said to a proxy before the connection leads to the origin.

Answers for: proxy URLs, CONNECT (RFC 9110, 9.3.6), SOCKS5 (RFC 1928, RFC 1929), requests in absolute form (RFC 9112,
3.2.2). Must not know: sockets, TLS, states, time.

A `Prologue` is fed what the proxy says and answers with what is to be sent. Both kinds end at a byte that is known in
advance (a blank line, a reply of known length), and the origin says nothing before it is asked: so bytes behind the end
are a fault of the proxy, never the origin's.

Credentials come from the user info of the proxy's URL and from nowhere else: neither the environment nor netrc is read.
They are written here, into what only the proxy reads, and are part of a `Proxy`'s identity. No message shows them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator
from ipaddress import ip_address
from typing import Final, Protocol, TypeAlias

import msgspec

from pipeline.errors import ConnectError, FetchError
from pipeline.fetch.http1 import ResponseReader
from pipeline.url import normalise, origin_of, split_userinfo

_DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}

_GRANTED: Final = 0
_SOCKS_REPLIES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}


class Proxy(msgspec.Struct, frozen=True):
    """A proxy of scheme http, https or socks5. `credentials` are "user:password", or None."""

    scheme: str
    host: str
    port: int
    credentials: str | None = None

    def __repr__(self) -> str:
        return f"Proxy({self.scheme!r}, {self.host!r}, {self.port!r})"  # credentials are nobody's to read

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """From `scheme://[user:password@]host[:port]`; raises ValueError, which does not show the user info.

        Ports by default: 80, 443, and 1080 for socks5. Behind any of them the proxy resolves the names of origins, so
        `socks5h` is another spelling of `socks5`.
        """
        scheme, _, rest = url.strip().partition("://")
        scheme = scheme.lower()
        if scheme not in _DEFAULT_PORTS:
            shown = f"scheme {scheme!r}" if rest else "what has no scheme"
            raise ValueError(f"{shown} is no proxy; there are http://, https:// and socks5://")
        # Both, because a normalised URL does not say its scheme's own port: where they differ, none was given.
        plain, other = normalise(f"http://{rest}"), normalise(f"https://{rest}")
        if plain is None or other is None:
            raise ValueError(f"the {scheme} proxy is no valid URL: scheme://[user:password@]host[:port] is expected")
        bare, credentials = split_userinfo(plain)
        origin, port = origin_of(bare), origin_of(other).port
        if bare.partition("://")[2].partition("/")[2]:
            raise ValueError(f"the proxy {origin.host} has a path: scheme://[user:password@]host[:port] is expected")
        return cls(
            scheme.removesuffix("h") if scheme == "socks5h" else scheme,
            origin.host,
            port if port == origin.port else _DEFAULT_PORTS[scheme],
            credentials,
        )

    def __str__(self) -> str:
        return f"{self.scheme}://{_authority(self.host, self.port)}"

    @property
    def authorization(self) -> bytes:
        """The header line for this proxy; empty without credentials (RFC 7617)."""
        if self.credentials is None:
            return b""
        return b"Proxy-Authorization: Basic %b\r\n" % b64encode(self.credentials.encode())

    def failed(self, what: str) -> ConnectError:
        """The error for something this proxy did."""
        return ConnectError(f"proxy {self}: {what}", reason="proxy")

    def refused(self, status: int) -> ConnectError:
        """The error for this status instead of a way to the origin."""
        advice = "; are user and password in its URL right?" if status == 407 else ""
        return self.failed(f"it answered {status}{advice}")


def absolute_form(payload: bytes, authority: str, proxy: Proxy) -> bytes:
    """A request in origin form, as an http proxy wants it: with the whole URL, and the proxy's credentials."""
    line, _, rest = payload.partition(b"\r\n")
    method, _, target = line.partition(b" ")
    return b"%b http://%b%b\r\n%b%b" % (method, authority.encode("ascii"), target, proxy.authorization, rest)


class Prologue(Protocol):
    """Send `first`, then `feed` what comes and send what it answers, until `done`."""

    first: bytes
    done: bool

    def feed(self, data: memoryview) -> bytes:
        """What is to be sent now, often nothing. Raises ConnectError (proxy)."""

    def eof(self) -> ConnectError:
        """The error for a proxy that hangs up before the end."""


class ConnectPrologue:
    """CONNECT, and the head of its answer under the limits of any head (`reader` has them)."""

    def __init__(self, proxy: Proxy, host: str, port: int, reader: ResponseReader) -> None:
        target = _authority(host, port)
        self._proxy = proxy
        self._reader = reader
        # Like the answer to HEAD, a good one to CONNECT ends at its blank line, whatever lengths it announces.
        reader.begin("HEAD")
        self.first = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n".encode("ascii") + proxy.authorization + b"\r\n"
        self.done = False

    def feed(self, data: memoryview) -> bytes:
        """See `Prologue`."""
        reader = self._reader
        try:
            whole = reader.feed(data)
        except FetchError as error:
            raise self._proxy.failed(f"to CONNECT: {error}") from error
        if not whole:
            return b""
        if not 200 <= reader.status < 300:
            raise self._proxy.refused(reader.status)
        if "extra_data" in reader.flags:
            raise self._proxy.failed("it sent more than its answer to CONNECT")
        reader.close()
        self.done = True
        return b""

    def eof(self) -> ConnectError:
        """See `Prologue`."""
        return self._proxy.failed("it closed the connection instead of an answer to CONNECT")


_Dialogue: TypeAlias = Generator[tuple[bytes, int], bytes, None]  # (bytes to send, size of the reply) -> the reply


class SocksPrologue:
    """SOCKS5: greeting, user and password if there are any, request. Names go to the proxy as they are."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        self._proxy = proxy
        self._dialogue = _socks(proxy, host, port)
        self._held = b""
        self.first, self._wanted = next(self._dialogue)
        self.done = False

    def feed(self, data: memoryview) -> bytes:
        """See `Prologue`."""
        self._held += bytes(data[:1024])  # a reply is shorter
        answer = b""
        while not answer and not self.done and len(self._held) >= self._wanted:
            reply, self._held = self._held[: self._wanted], self._held[self._wanted :]
            try:
                answer, self._wanted = self._dialogue.send(reply)
            except StopIteration:
                self.done = True
        if self._held and (self.done or answer):
            raise self._proxy.failed("it sent more than its answer")
        return answer

    def eof(self) -> ConnectError:
        """See `Prologue`."""
        return self._proxy.failed("it closed the connection during the SOCKS5 handshake")


def _socks(proxy: Proxy, host: str, port: int) -> _Dialogue:
    """One exchange after another; the last reply is read in two steps, as its length depends on its fourth byte."""
    method = 0 if proxy.credentials is None else 2
    # Only the method that is meant is offered: a proxy cannot talk us out of credentials, or into showing them.
    reply = yield bytes((5, 1, method)), 2
    if reply[0] != 5:
        raise proxy.failed(f"it answers {reply!r}: not SOCKS5")
    if reply[1] != method:
        wants = "no way of authentication that we offer" if proxy.credentials else "no client without credentials"
        raise proxy.failed(f"it takes {wants}; its URL may have user:password@")
    if proxy.credentials is not None:
        reply = yield _user_and_password(proxy), 2
        if reply[1] != _GRANTED:
            raise proxy.failed("it refuses the user or password in its URL")
    reply = yield b"\5\1\0" + _socks_address(proxy, host) + port.to_bytes(2, "big"), 5
    if reply[0] != 5:
        raise proxy.failed(f"it answers {reply!r}: not SOCKS5")
    if reply[1] != _GRANTED:
        raise proxy.failed(f"no connection to {host}:{port}: {_SOCKS_REPLIES.get(reply[1], f'code {reply[1]}')}")
    left = {1: 4, 3: reply[4] + 1, 4: 16}.get(reply[3])
    if left is None:
        raise proxy.failed(f"it answers with an address of unknown type {reply[3]}")
    yield b"", left - 1 + 2


def _user_and_password(proxy: Proxy) -> bytes:
    user, _, password = (part.encode() for part in (proxy.credentials or "").partition(":"))
    if not 0 < len(user) < 256 or len(password) > 255:
        raise proxy.failed("user and password in its URL may have 255 bytes each, and a user there must be (RFC 1929)")
    return b"\1%c%b%c%b" % (len(user), user, len(password), password)


def _socks_address(proxy: Proxy, host: str) -> bytes:
    try:
        ip = ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        if len(name) > 255:
            raise proxy.failed("the host name is longer than SOCKS5 can say") from None
        return b"\3%c%b" % (len(name), name)
    return (b"\1" if ip.version == 4 else b"\4") + ip.packed


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
