"""Content codings undone in small steps: gzip, deflate, br and zstd, alone or two on top of each other.

Answers for the bytes that a page is parsed from: never more than the cap, never more memory than one step beyond what
has been handed out, never a loop that does not move. Knows nothing of sockets, responses or the config.

Every coding is wrapped as a `_Unit` that decodes one member and gives at most `STEP` bytes a call; a `_Stage` strings
members together, counts, and decides what follows a whole member; `Decoder` chains stages. Input goes in slices,
because the libraries copy what they could not take yet: one large input would be copied once a step.

Sources: RFC 9110 8.4, RFC 1950-1952, RFC 7932, RFC 8878, RFC 9659 (zstd window of 8 MiB).
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, Protocol, TypeAlias

from pipeline.errors import DecodeError, TooLargeError
from pipeline.model import Headers

STEP = 256 * 1024  # bytes out of one call of a library, at most
MAX_CODINGS = 2  # over all header lines together; more is an attack (CVE-2022-32206, CVE-2023-23916)
MAX_MEMBERS = 10_000  # members of one gzip or zstd stream: each costs a new decoder, and empty ones give nothing

_SLICE = 64 * 1024
_ZSTD_WINDOW_LOG = 23
# What servers write into Content-Encoding though it is none; browsers show such pages, so do we.
_NO_CODING = frozenset({"", "identity", "none", "utf-8", "utf8", "iso-8859-1", "7bit", "8bit", "binary", "aws-chunked"})


class _Unit(Protocol):
    """A decoder of one member."""

    @property
    def eof(self) -> bool:
        """The member is whole."""

    @property
    def hungry(self) -> bool:
        """There is nothing more to get without new input."""

    @property
    def rest(self) -> bytes:
        """Input behind the end of the member."""

    def step(self, data: bytes) -> bytes:
        """Take input, give at most STEP bytes; call with b"" until hungry or at the end."""


class _Inflate:
    """One zlib, gzip or raw deflate member, by `wbits`."""

    __slots__ = ("_full", "_zlib")

    def __init__(self, wbits: int) -> None:
        self._zlib = zlib.decompressobj(wbits)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def hungry(self) -> bool:
        return not self._full and not self._zlib.unconsumed_tail

    @property
    def rest(self) -> bytes:
        return self._zlib.unused_data

    def step(self, data: bytes) -> bytes:
        try:
            out = self._zlib.decompress(self._zlib.unconsumed_tail + data, STEP)
        except zlib.error as error:
            raise _corrupt(error) from error
        # A full answer may leave some of a long match inside zlib although all input is consumed.
        self._full = len(out) == STEP
        return out


class _Brotli:
    """A brotli stream. The library refuses bytes behind the end, so there is never a rest."""

    __slots__ = ("_brotli", "_error", "_full")
    rest = b""
    _LIMIT = STEP // 4  # where the library stops growing its buffer, which doubles: it may give more

    def __init__(self) -> None:
        import brotli  # noqa: PLC0415 - loaded when the first br body comes

        self._brotli = brotli.Decompressor()
        self._error: type[Exception] = brotli.error
        self._full = False

    @property
    def eof(self) -> bool:
        return bool(self._brotli.is_finished())

    @property
    def hungry(self) -> bool:
        return not self._full and bool(self._brotli.can_accept_more_data())

    def step(self, data: bytes) -> bytes:
        try:
            out: bytes = self._brotli.process(data, output_buffer_limit=self._LIMIT)
        except self._error as error:
            raise _corrupt(error) from error
        self._full = len(out) >= self._LIMIT  # input may be used up with output still inside
        return out


class _Zstd:
    """One zstd frame, data or skippable."""

    __slots__ = ("_error", "_zstd")

    def __init__(self) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415 - loaded when the first zstd body comes
        else:
            from backports import zstd  # noqa: PLC0415
        window: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        self._zstd = zstd.ZstdDecompressor(options=window)
        self._error: type[Exception] = zstd.ZstdError

    @property
    def eof(self) -> bool:
        return self._zstd.eof

    @property
    def hungry(self) -> bool:
        return self._zstd.needs_input

    @property
    def rest(self) -> bytes:
        return self._zstd.unused_data

    def step(self, data: bytes) -> bytes:
        try:
            return self._zstd.decompress(data, STEP)
        except self._error as error:
            if "too much memory" in str(error):
                raise DecodeError("zstd window over 8 MiB (RFC 9659)", reason="zstd_window") from error
            raise _corrupt(error) from error


# --- which member begins with these bytes: a unit, None = more bytes needed, _JUNK = none ----------------------------

_JUNK: Final = "junk"
_Opened: TypeAlias = "_Unit | Literal['junk'] | None"
_Opener: TypeAlias = Callable[[bytes, bool], _Opened]


def _open_gzip(head: bytes, first: bool) -> _Opened:
    return _Inflate(31) if first else _if_magic(head, (b"\x1f\x8b\x08",), lambda: _Inflate(31))


def _open_deflate(head: bytes, first: bool) -> _Opened:
    """RFC 9110 means zlib, many servers send raw deflate: the two bytes of a zlib header tell them apart."""
    if not first:
        return _JUNK
    if len(head) < 2:
        return None
    zlib_header = head[0] & 15 == 8 and head[0] >> 4 <= 7 and (head[0] << 8 | head[1]) % 31 == 0
    return _Inflate(15 if zlib_header else -15)


def _open_brotli(head: bytes, first: bool) -> _Opened:
    if not first:
        # Behind the end in the same slice the library fails too: one answer, however the bytes were split.
        raise _corrupt("bytes after the end of the brotli stream")
    return _Brotli()


def _open_zstd(head: bytes, first: bool) -> _Opened:
    if first:
        return _Zstd()
    skippable = tuple(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60))
    return _if_magic(head, (b"\x28\xb5\x2f\xfd", *skippable), _Zstd)


def _if_magic(head: bytes, magics: Sequence[bytes], make: Callable[[], _Unit]) -> _Opened:
    if any(head.startswith(magic) for magic in magics):
        return make()
    return None if any(magic.startswith(head) for magic in magics) else _JUNK


_OPENERS: dict[str, _Opener] = {
    "gzip": _open_gzip,
    "x-gzip": _open_gzip,
    "deflate": _open_deflate,
    "br": _open_brotli,
    "zstd": _open_zstd,
}


class _Stage:
    """One coding: members one after another, junk behind the last whole one ignored."""

    __slots__ = ("_cap", "_given", "_held", "_junk", "_members", "_open", "_out", "_unit")

    def __init__(self, opener: _Opener, cap: int) -> None:
        self._open = opener
        self._cap = cap
        self._out = 0
        self._unit: _Unit | None = None
        self._held = b""  # the first bytes of a member, too few to know
        self._members = 0
        self._given = False
        self._junk = False

    def push(self, data: bytes) -> Iterator[bytes]:
        """Decode a slice; gives pieces of at most STEP bytes."""
        self._given = True
        data = self._held + data
        self._held = b""
        while data and not self._junk:
            unit = self._unit or self._begin(data)
            if unit is None:
                return
            yield from self._drain(unit, data)
            data = unit.rest if unit.eof else b""
            self._unit = None if unit.eof else unit

    def finish(self) -> None:
        """The input is over. No input at all is an empty body: servers label those too."""
        if self._unit is not None or (self._given and not self._members):
            raise DecodeError("the coded body ends early", reason="truncated")

    def _begin(self, data: bytes) -> _Unit | None:
        opened = self._open(data, not self._members)
        if opened == _JUNK:
            self._junk = True
            return None
        if opened is None:
            self._held = data
            return None
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise DecodeError(f"more than {MAX_MEMBERS} members in one coded body", reason="members")
        return opened

    def _drain(self, unit: _Unit, data: bytes) -> Iterator[bytes]:
        while True:
            out = unit.step(data)
            data = b""
            if out:
                self._out += len(out)
                if self._out > self._cap:
                    raise _too_large(self._cap)
                yield out
            if unit.eof or unit.hungry:
                return
            if not out:
                raise DecodeError("the decoder neither takes nor gives bytes", reason="stalled")


class Decoder:
    """Undoes `codings` (in the order of the header: the last was applied last), giving at most `max_out` bytes in all.

    Raises TooLargeError beyond `max_out` decoded bytes, else DecodeError with a `reason`: `encoding_chain`,
    `unknown_coding`, `content_encoding` (corrupt), `truncated`, `stalled`, `members`, `zstd_window`. Not usable after.
    """

    __slots__ = ("_left", "_max", "_stages")

    def __init__(self, codings: Sequence[str], max_out: int) -> None:
        names = [name for name in (coding.strip().lower() for coding in codings) if name not in _NO_CODING]
        if len(names) > MAX_CODINGS:
            raise DecodeError(f"{len(names)} content codings, at most {MAX_CODINGS}", reason="encoding_chain")
        unknown = [name for name in names if name not in _OPENERS]
        if unknown:
            raise DecodeError(f"unknown content coding {unknown[0][:40]!r}", reason="unknown_coding")
        # What lies between two codings is capped too: it costs the same work and may come to nothing in the end.
        self._stages = [_Stage(_OPENERS[name], max_out + STEP) for name in reversed(names)]
        self._max = self._left = max_out

    def feed(self, data: bytes) -> bytes:
        """Decode a piece of the body: what it gives so far, b"" if nothing yet."""
        pieces: list[bytes] = []
        for start in range(0, len(data), _SLICE):
            for piece in self._through(data[start : start + _SLICE], 0):
                self._left -= len(piece)
                if self._left < 0:
                    raise _too_large(self._max)
                pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> None:
        """The body is over: raises DecodeError (`truncated`) unless every coding came to its end."""
        for stage in self._stages:
            stage.finish()

    def _through(self, data: bytes, index: int) -> Iterator[bytes]:
        if index == len(self._stages):
            yield data
            return
        for piece in self._stages[index].push(data):
            yield from self._through(piece, index + 1)


def content_codings(headers: Headers) -> list[str]:
    """The codings of all Content-Encoding lines together, in order, lower case."""
    lines = [value for name, value in headers if name.lower() == "content-encoding"]
    return [part.strip().lower() for line in lines for part in line.split(",")]


def decode(body: bytes, headers: Headers, max_out: int) -> bytes:
    """A whole body without its content codings; errors as of `Decoder`."""
    codings = content_codings(headers)
    if not codings:
        if len(body) > max_out:
            raise _too_large(max_out)
        return body
    decoder = Decoder(codings, max_out)
    out = decoder.feed(body)
    decoder.finish()
    return out


def _too_large(cap: int) -> TooLargeError:
    return TooLargeError(f"the decoded body is over {cap} bytes", reason="decoded_too_large")


def _corrupt(cause: object) -> DecodeError:
    return DecodeError(f"broken content coding: {cause}", reason="content_encoding")
