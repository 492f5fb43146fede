"""A response from bytes, under limits: see the package's head for where a response ends."""

from __future__ import annotations

import re
from typing import Final

from httptools import HttpParserCallbackError, HttpParserError, HttpParserInvalidStatusError, HttpResponseParser

from pipeline.errors import ProtocolError, TooLargeError, TruncatedError
from pipeline.failpoints import hit
from pipeline.fetch.http1.scrub import scrub
from pipeline.model import Headers, header

MAX_REDIRECT_BODY: Final = 64 * 1024  # bytes that are read of the body of a redirect
MAX_INTERIM: Final = 8
MAX_BLANK: Final = 16  # bytes of empty lines before the status line
CHUNK_SLACK: Final = 64 * 1024

_STARTS = (b"HTTP/1.1 ", b"HTTP/1.0 ")


_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_GONE: Final = frozenset({404, 410})


class _EnoughError(Exception):
    """No more of the body is wanted."""


class _ExtraDataError(Exception):
    """Leaves the parser when bytes follow a complete response."""


class ResponseReader:
    """Reads the responses of one connection, one at a time: `begin`, then `feed` until it says True, or `eof`.

    Limits: `max_body` bytes as on the wire without framing; `max_head` bytes of one head from its first byte to its
    blank line, however it was cut; `max_headers` fields, trailers included. A crossed limit raises TooLargeError.
    After any exception the reader is done for.
    """

    __slots__ = (
        "_chunked",
        "_chunks",
        "_fields",
        "_held",
        "_interims",
        "_keep",
        "_length",
        "_max_body",
        "_max_head",
        "_max_headers",
        "_method",
        "_overhead",
        "_parser",
        "_received",
        "_repaired",
        "_scanned",
        "complete",
        "flags",
        "head_done",
        "headers",
        "reusable",
        "status",
        "touched",
    )

    def __init__(self, *, max_body: int = 16 * 2**20, max_head: int = 64 * 2**10, max_headers: int = 256) -> None:
        self._max_body = max_body
        self._max_head = max_head
        self._max_headers = max_headers
        self._parser = _make_parser(self)
        self.begin("GET")

    def begin(self, method: str, keep: int | None = None) -> None:
        """Get ready for the answer to a request with this method.

        `keep` bytes of its body are enough, whatever `max_body` is; None: all of it, and no more than `max_body`.
        """
        self._method = method
        self._keep = keep
        self._held = bytearray()  # of a head whose end has not come
        self._scanned = 0
        self._interims = 0
        self._repaired = False
        self._fields = 0
        self._length: int | None = None
        self._chunked = False
        self._chunks: list[bytes] = []
        self._received = 0  # body bytes
        self._overhead = 0  # bytes after the head, framing included
        self.status = 0
        self.headers: Headers = []
        self.flags: tuple[str, ...] = ()
        self.touched = False  # any byte came
        self.head_done = False
        self.complete = False
        self.reusable = False

    @property
    def body(self) -> bytes:
        """The body, still content-coded."""
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    @property
    def head(self) -> tuple[int | None, Headers]:
        """Status and header fields, if they are known: (None, []) before the head is whole."""
        return (self.status, self.headers) if self.head_done else (None, [])

    def feed(self, view: memoryview) -> bool:
        """Take bytes that arrived; True once the response is complete. Nothing keeps a reference to `view`.

        Raises ProtocolError (framing, header_syntax, bad_status_line, bad_version, unexpected_upgrade) or TooLargeError
        (head_too_large, too_many_headers, too_many_interim, body_too_large, chunk_overhead).
        """
        self.touched = True
        while not self.head_done:
            size = self._take_head(view) if view else -1
            if size < 0:
                return False
            view = view[size:]
        if view:
            self._take_body(view)
        return self.complete

    def eof(self) -> bool:
        """The input ended: True if that completes the response, else TruncatedError."""
        if self.complete:
            return True
        if self.head_done and self._length is None and not self._chunked:
            self.complete = True
            return True
        if self._held and not self.head_done:
            raise TruncatedError(f"connection ended {len(self._held)} bytes into the head", reason="early_eof")
        if not self.touched:
            raise TruncatedError("connection ended without an answer", reason="early_eof")
        if not self.head_done:
            raise TruncatedError(
                "connection ended after an interim answer (1xx), before the answer", reason="early_eof"
            )
        expected = "the last chunk" if self._chunked else f"{self._length} bytes"
        raise TruncatedError(
            f"connection ended after {self._received} bytes of body, before {expected}", reason="early_eof"
        )

    def close(self) -> None:
        """Break the circle of reader and parser, so that memory goes back at once."""
        del self._parser

    # --- head

    def _take_head(self, view: memoryview) -> int:
        """Parse a head if it is whole, and say how many bytes of `view` belong to it; -1: more is to come."""
        before = len(self._held)
        data: bytes | bytearray
        if before:
            self._held += view
            data = self._held
        else:
            data = bytes(view)
        end = self._find_end(data)
        if end > self._max_head or (end < 0 and len(data) > self._max_head):
            raise TooLargeError(f"response head is larger than {self._max_head} bytes", reason="head_too_large")
        if end < 0:
            _check_start(data)
            if not before:
                self._held += data
            return -1
        self._parse_head(bytes(data[:end]))
        if self._held:
            self._held = bytearray()
        self._scanned = 0
        return end - before

    def _find_end(self, data: bytes | bytearray) -> int:
        """Index behind the first empty line, or -1. Lines may end in LF alone; blank ones may come first."""
        start = self._scanned
        if not start and data[0] in b"\r\n":
            start = len(data[:MAX_BLANK]) - len(data[:MAX_BLANK].lstrip(b"\r\n"))
            if start == MAX_BLANK:
                raise ProtocolError("answer begins with empty lines: not HTTP", reason="bad_status_line")
        end = data.find(b"\n\r\n", start)
        bare = data.find(b"\n\n", start, end + 1 if end >= 0 else len(data))  # the two may share a line feed
        if bare >= 0:
            return bare + 2
        if end >= 0:
            return end + 3
        self._scanned = max(start, len(data) - 2) if start < len(data) else 0
        return -1

    def _parse_head(self, head: bytes) -> None:
        if not head.startswith(_STARTS):
            head = self._check_sloppy_start(head)
        if b"\0" in head:
            raise ProtocolError("response head holds a NUL", reason="header_syntax")
        if head.count(b"\n") - 2 > self._max_headers:
            raise self._too_many_fields()
        if self._complaint(head) is not None:
            self._parse_scrubbed(head)
        if not self.head_done:
            raise ProtocolError("response head ends where it should not", reason="header_syntax")
        if self.status < 200:
            self._pass_interim()

    def _check_sloppy_start(self, head: bytes) -> bytes:
        """Blank lines before the status line are forgiven, as browsers do; anything else is not HTTP/1.x."""
        stripped = head.lstrip(b"\r\n")
        _check_start(stripped)
        self._note_repair()
        return stripped

    def _parse_scrubbed(self, head: bytes) -> None:
        scrubbed = scrub(head)
        self._forget_head()
        self._note_repair()
        complaint = self._complaint(scrubbed)
        if complaint is not None:
            raise ProtocolError(f"response head: {complaint}", reason=_reason(complaint)) from complaint

    def _complaint(self, head: bytes) -> HttpParserError | None:
        """Parse a whole head; what the parser has against it, or None. Raises what callbacks raise.

        A complaint is returned so that nothing is being handled when the next head is parsed: Python would put the
        handled exception where httptools puts the one of a callback.
        """
        try:
            self._parser.feed_data(head)
        except HttpParserCallbackError as error:
            raise _cause(error) from None
        except HttpParserError as error:
            return error
        return None

    def _forget_head(self) -> None:
        self.headers.clear()
        self._fields = 0
        self._length = None
        self._chunked = False
        self._parser = _make_parser(self)

    def _note_repair(self) -> None:
        self._repaired = True
        self.flags = ("head_repaired",)

    def _pass_interim(self) -> None:
        """An answer 1xx: forget it and expect the next head."""
        self._interims += 1
        if self._interims > MAX_INTERIM:
            raise TooLargeError(f"more than {MAX_INTERIM} interim answers (1xx)", reason="too_many_interim")
        self._forget_head()
        self.head_done = self.complete = False

    def _too_many_fields(self) -> TooLargeError:
        return TooLargeError(f"response has more than {self._max_headers} header fields", reason="too_many_headers")

    # --- body

    def _take_body(self, view: memoryview) -> None:
        if self.complete:  # at the end of its head
            self._note_extra()
            return
        try:
            self._parser.feed_data(view)
        except HttpParserError as error:
            if not self.complete:
                raise _cause(error) from None
            if "cut" not in self.flags:
                self._note_extra()
            return
        if self._chunked:
            self._overhead += len(view)
            if self._overhead > self._received * 1.25 + CHUNK_SLACK:
                raise TooLargeError("chunked body is mostly framing", reason="chunk_overhead")

    def _note_extra(self) -> None:
        self.reusable = False
        if "extra_data" not in self.flags:
            self.flags = (*self.flags, "extra_data")

    # --- called by httptools

    def on_message_begin(self) -> None:
        """A byte that begins a message."""
        if self.complete:
            raise _ExtraDataError

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, or a trailer: those are counted and otherwise ignored (RFC 9110, 6.5.1)."""
        self._fields += 1
        if self._fields > self._max_headers:
            raise self._too_many_fields()
        if self.head_done:
            return
        self.headers.append((name.decode("latin-1"), value.decode("latin-1")))
        size = len(name)
        if size == 14 and name.lower() == b"content-length":
            self._length = int(value)
        elif size == 17 and name.lower() == b"transfer-encoding":
            if self._chunked or value.strip().lower() != b"chunked":
                raise ProtocolError(f"transfer-encoding {value!r} was not asked for", reason="framing")
            self._chunked = True

    def on_headers_complete(self) -> None:
        """The blank line: what kind of body follows is known now."""
        self.status = status = self._parser.get_status_code()
        if status < 100:
            raise ProtocolError(f"status {status:03} is none", reason="bad_status_line")
        if status == 101:
            raise ProtocolError("server switches protocols unasked", reason="unexpected_upgrade")
        self.head_done = True
        hit("recv_head")
        if _leads_elsewhere(status, self.headers):
            self._keep = min(self._keep or MAX_REDIRECT_BODY, MAX_REDIRECT_BODY)  # nobody reads it
        if self._method == "HEAD":
            self.complete = status >= 200  # httptools waits for a body: this parser cannot be used again
        elif (
            self._length is not None
            and self._length > self._max_body
            and self._keep is None
            and status not in (204, 304)
        ):
            raise TooLargeError(
                f"body of {self._length} bytes announced, {self._max_body} allowed", reason="body_too_large"
            )

    def on_body(self, data: bytes) -> None:
        """Some bytes of the body."""
        self._received += len(data)
        if self._keep is not None and self._received >= self._keep:
            self._cut(data)
        elif self._received > self._max_body and self._keep is None:
            raise TooLargeError(f"body is larger than {self._max_body} bytes", reason="body_too_large")
        self._chunks.append(data)

    def _cut(self, data: bytes) -> None:
        """Enough of the body is there: the response counts as complete, and the connection is of no more use."""
        self._chunks.append(data)
        self.complete = True
        self.flags = (*self.flags, "cut")
        raise _EnoughError

    def on_message_complete(self) -> None:
        """The response ended by its own framing. Only here httptools knows whether the connection can be kept."""
        hit("recv_body")
        self.complete = True
        self.reusable = self._method != "HEAD" and not self._repaired and self._parser.should_keep_alive()


def says_all(status: int | None, headers: Headers) -> bool:
    """Whether a head says what becomes of its request, whatever the body is: that is gone, or leads elsewhere."""
    return status in _GONE or _leads_elsewhere(status, headers)


def _leads_elsewhere(status: int | None, headers: Headers) -> bool:
    return status in _REDIRECTS and bool(header(headers, "location"))


def _make_parser(reader: ResponseReader) -> HttpResponseParser:
    parser = HttpResponseParser(reader)
    # Servers pad chunk sizes with blanks (Apache long did). Harmless where nothing is pipelined.
    parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
    return parser


def _check_start(data: bytes | bytearray) -> None:
    """Refuse early what does not begin like a status line of HTTP/1.0 or 1.1; as much of it as has come."""
    start = bytes(data[:32]).lstrip(b"\r\n")[:9]
    if any(known.startswith(start) if len(start) < 9 else start == known for known in _STARTS):
        return
    if re.match(rb"HTTP/\d", start):
        raise ProtocolError(f"answer begins with {start!r}: neither HTTP/1.0 nor 1.1", reason="bad_version")
    raise ProtocolError(f"answer begins with {start!r}: not HTTP", reason="bad_status_line")


def _cause(error: HttpParserError) -> BaseException:
    """What a callback of ours raised, unwrapped; else the parser's complaint about a body."""
    if isinstance(error, HttpParserCallbackError) and error.__context__ is not None:
        return error.__context__
    return ProtocolError(f"response body: {error}", reason="framing")


def _reason(error: HttpParserError) -> str:
    if isinstance(error, HttpParserInvalidStatusError):
        return "bad_status_line"
    text = str(error)
    return "framing" if "Content-Length" in text or "Transfer-Encoding" in text else "header_syntax"
