"""What bad servers do, one handler per row of the threat table (transport and framing, T01 to T19 without TLS).

The path is the row id with a letter for its variants: `/T04b`. `/good` is decent. A handler gets the request and
decides with its return value whether the connection is kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.badserver.server import HOLD, REQUEST, RESET, Action, Handler, Pause, Steps, page, reply

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = b"Content-Length: 4\r\n\r\ngood"


def forever(start: bytes, part: bytes, every: float = 0.0) -> Handler:
    """`start`, then `part` again and again with pauses of the loop's clock between."""

    def handler(request: bytes) -> Steps:
        yield start
        while True:
            if every:
                yield Pause(every)
            yield part

    return handler


def closing(*parts: Action) -> Handler:
    """These, then close."""
    return reply(*parts, keep=False)


def then_dies(*parts: Action) -> Handler:
    """A kept connection that is closed when the next request comes."""

    def handler(request: bytes) -> Steps:
        yield from parts
        yield REQUEST
        return False

    return handler


def _variants(row: str, handlers: Iterable[Handler]) -> dict[str, Handler]:
    return {f"/{row}{chr(ord('a') + n)}": handler for n, handler in enumerate(handlers)}


ROWS: dict[str, Handler] = {
    "/good": reply(page()),
    # drips of body
    "/T01a": forever(OK + b"Content-Length: 100000\r\n\r\n", b"x", 5),
    "/T01b": forever(CHUNKED, b"1\r\nx\r\n", 5),
    "/T01c": reply(OK + b"Content-Length: 100000\r\n\r\n", HOLD),
    # heads without end
    "/T02a": forever(OK + b"X: ", b"a" * 65536),
    "/T02b": forever(OK + b"X: ", b"a", 1),
    "/T02c": forever(OK, b"X: y\r\n" * 1000),
    # silence
    "/T03a": reply(HOLD),
    # ends too early
    "/T04a": reply(OK + b"Content-Length: 10\r\n\r\ngoodg", Pause(1), RESET),
    "/T04b": closing(OK + b"Content-Length: 10\r\n\r\ngoodg"),
    "/T04c": closing(CHUNKED + b"4\r\ngood\r\n"),
    "/T04d": closing(CHUNKED + b"9\r\ngood"),
    # the end of input is the end of the body
    "/T05a": closing(b"HTTP/1.0 200 OK\r\n\r\ngood"),
    "/T05b": closing(OK + b"\r\ngood"),
    # lengths without a body
    "/T06a": reply(OK + b"Content-Length: 5000\r\n\r\n"),  # asked with HEAD
    "/T06b": reply(b"HTTP/1.1 204 No Content\r\nContent-Length: 5000\r\n\r\n"),
    "/T06c": reply(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\n\r\n"),
    "/T06d": reply(page(status="206 Partial Content")),
    # answers nobody asked for
    "/T07a": reply(page() + page(b"bad", status="404 Not Found")),
    "/T07b": reply(page(), Pause(1), page(b"bad", status="404 Not Found"), HOLD),
    # interim answers
    "/T08a": forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "/T08b": reply(b"HTTP/1.1 100 Continue\r\n\r\n" * 8 + page()),
    # other protocols
    "/T09a": reply(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", HOLD),
    "/T09b": reply(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff", HOLD),
    "/T09c": reply(b"HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\ngood", HOLD),
    # framing conflicts
    **_variants(
        "T10",
        [
            reply(OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", HOLD),
            reply(OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\ngood!", HOLD),
            reply(OK + b"Content-Length: 3, 3\r\n\r\nbad", HOLD),
            reply(OK + b"Content-Length: -3\r\n\r\n", HOLD),
            reply(OK + b"Content-Length: 99999999999999999999999\r\n\r\n", HOLD),
            reply(OK + b"Transfer-Encoding: chunked, gzip\r\n\r\nxyz", HOLD),
            reply(OK + b"Transfer-Encoding: gzip\r\n\r\nxyz", HOLD),
            reply(CHUNKED + b"fffffffffffffffff\r\n", HOLD),
            reply(CHUNKED + b"4\r\ngood!!\r\n", HOLD),
            reply(CHUNKED + b"-4\r\ngood\r\n", HOLD),
        ],
    ),
    # sloppy heads
    **_variants(
        "T11",
        [
            reply(b"HTTP/1.1 200 OK\nContent-Length: 4\n\ngood"),
            reply(OK + b"A: b\n" + LENGTH),
            reply(OK + b"A: b\r\n folded\r\n" + LENGTH),
            reply(OK + b"A:\r\n\tfolded\r\n" + LENGTH),
            reply(OK + b"no colon here\r\n" + LENGTH),
            reply(OK + b"no colon\r\n" * 10 + LENGTH),
            reply(OK + b"A : b\r\n" + LENGTH),
            reply(OK + b"Content-Length : 4\r\n\r\ngood"),
            reply(OK + b"A: \x01b\x1f\r\n" + LENGTH),
            reply(OK + b"A: b\rc\r\n" + LENGTH),
            reply(OK + b"Content-Length: 4\r\n" + LENGTH),
            reply(OK + b"A: b\0c\r\n" + LENGTH, HOLD),
        ],
    ),
    # floods of fields and trailers
    "/T12a": reply(OK + b"A: b\r\n" * 100_000 + LENGTH, HOLD),
    "/T12b": reply(OK + b"A: b\r\n" * 256 + LENGTH, HOLD),
    "/T13a": reply(CHUNKED + b"4\r\ngood\r\n0\r\nSet-Cookie: evil=1\r\nLocation: /T01a\r\n\r\n"),
    "/T13b": reply(CHUNKED + b"4\r\ngood\r\n0\r\n" + b"A: b\r\n" * 100_000 + b"\r\n", HOLD),
    # framing that outweighs the body
    "/T14a": reply(CHUNKED + b"1\r\nx\r\n" * 2**20, HOLD),
    "/T14b": reply(CHUNKED + b"4;" + b"x" * 2**20 + b"\r\ngood\r\n0\r\n\r\n", HOLD),
    # bodies beyond the limit
    "/T15a": reply(OK + b"Content-Length: 1099511627776\r\n\r\n", HOLD),
    "/T15b": forever(OK + b"\r\n", b"x" * 65536),
    "/T15c": forever(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    # no status line
    **_variants(
        "T16",
        [
            closing(b"HTTP/1.1 1000 OK\r\n\r\n"),
            closing(b"<html><body>HTTP/0.9</body></html>"),
            closing(b"ICY 200 OK\r\nicy-name: radio\r\n\r\n"),
            closing(bytes(range(256))),
            closing(b"HTTP/1.1 OK\r\n\r\n"),
        ],
    ),
    # a kept connection that is gone
    "/T17a": then_dies(page()),
    # early answers
    "/T19a": closing(page(b"early", status="413 Content Too Large")),
}


def script() -> Steps:
    """The whole server: rows by path. `/T19b` answers before it has read the body, and never reads it."""
    while request := (yield REQUEST):
        path = request.split(b" ", 2)[1].decode("latin-1")
        if not (yield from ROWS.get(path, ROWS["/good"])(request)):
            return None
    return None


def early_script() -> Steps:
    """Answers each connection without reading a byte, and holds it open (T19)."""
    yield Pause(0.5)
    yield page(b"early", status="413 Content Too Large", headers=b"Connection: close\r\n")
    yield Pause(5)
    return None
