"""Proxies as scripts: CONNECT and SOCKS5 tunnels to a port of 127.0.0.1, whatever host they are asked for."""

from __future__ import annotations

from tests.badserver.server import REQUEST, Exactly, Relay, Script, Steps, page


def connect_to(port: int, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> Script:
    """An HTTP proxy: CONNECT is answered so, then leads to `port`; any other request gets a page that names it."""

    def script() -> Steps:
        while request := (yield REQUEST):
            if request.startswith(b"CONNECT "):
                yield answer
                if answer.startswith(b"HTTP/1.1 2"):
                    yield Relay(port)
                return None
            yield page(b"by proxy: " + request.split(b" ", 2)[1])
        return None

    return script


def socks_to(port: int, *, user: bytes | None = None, password: bytes = b"", reply: bytes | None = None) -> Script:
    """A SOCKS5 proxy (RFC 1928, 1929) that leads to `port`, or gives `reply` to the request instead."""
    method = 0 if user is None else 2

    def script() -> Steps:
        offered = yield Exactly(2)
        methods = (yield Exactly(offered[1])) if offered else None
        if not methods or method not in methods:
            yield b"\5\xff"
            return None
        yield bytes((5, method))
        if user is not None:
            right = yield from _authenticate(user, password)
            if not right:
                return None
        yield from _read_request()
        yield reply or b"\5\0\0\1\0\0\0\0\0\0"
        if reply is None or reply[1] == 0:
            yield Relay(port)
        return None

    return script


def _authenticate(user: bytes, password: bytes) -> Steps:
    given = []
    yield Exactly(1)
    for _ in range(2):
        size = yield Exactly(1)
        given.append((yield Exactly(size[0])) if size and size[0] else b"")
    right = given == [user, password]
    yield b"\1\0" if right else b"\1\1"
    return right


def _read_request() -> Steps:
    head = yield Exactly(4)
    if head and head[3] == 3:
        size = yield Exactly(1)
        yield Exactly((size or b"\0")[0])
    else:
        yield Exactly(4 if head and head[3] == 1 else 16)
    yield Exactly(2)
    return True
