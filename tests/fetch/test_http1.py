"""http1 by tables: each response is fed whole, byte by byte, and cut at every point; the facts must be the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.errors import FetchError, ProtocolError, TooLargeError, TruncatedError
from pipeline.fetch.http1 import ResponseReader, build_request, merge_fields, render_fields

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LIMITS = {"max_body": 2000, "max_head": 1000, "max_headers": 20}
Facts = dict[str, Any]


def read(parts: list[bytes], *, method: str = "GET", eof: bool = True, **limits: int) -> Facts:
    """What a reader makes of these parts, one `feed` each."""
    reader = ResponseReader(**{**LIMITS, **limits})
    reader.begin(method)
    try:
        for part in parts:
            if reader.feed(memoryview(part)):
                break
        else:
            if eof:
                reader.eof()
    except FetchError as error:
        return {"error": f"{type(error).__name__} {error.reason}"}
    return {
        "complete": reader.complete,
        "status": reader.status,
        "headers": reader.headers,
        "body": reader.body,
        "reusable": reader.reusable,
        "flags": reader.flags,
    }


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, in threes, and cut once at every point."""
    yield [data]
    yield [data[n : n + 1] for n in range(len(data))]
    yield [data[n : n + 3] for n in range(0, len(data), 3)]
    for n in range(1, len(data)):
        yield [data[:n], data[n:]]


def check(data: bytes, expected: Facts, **options: Any) -> None:
    for parts in cuts(data):
        facts = read(parts, **options)
        got = {key: facts.get(key, facts) for key in expected}
        assert got == expected, f"fed as {[len(part) for part in parts][:4]}..."


def good(body: bytes = b"", *, reusable: bool = True, status: int = 200, flags: tuple[str, ...] = ()) -> Facts:
    return {"complete": True, "status": status, "body": body, "reusable": reusable, "flags": flags}


# --- completion (RFC 9112, section 6.3) ---

COMPLETION: dict[str, tuple[bytes, Facts]] = {
    "length": (OK + b"Content-Length: 5\r\n\r\nhello", good(b"hello")),
    "length 0": (OK + b"Content-Length: 0\r\n\r\n", good()),
    "length, any case, blanks": (OK + b"cONTENT-lENGTH:   5  \r\n\r\nhello", good(b"hello")),
    "length, close": (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", good(b"hello", reusable=False)),
    "length, HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", good(b"hello", reusable=False)),
    "length, HTTP/1.0 keep-alive": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        good(b"hello"),
    ),
    "chunked": (CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", good(b"hello world")),
    "chunked, sizes padded with blanks": (CHUNKED + b"5  \r\nhello\r\n0 \t\r\n\r\n", good(b"hello")),
    "chunked, empty": (CHUNKED + b"0\r\n\r\n", good()),
    "chunked, extensions and trailers": (
        CHUNKED + b"5;a=b\r\nhello\r\n0;x\r\nSet-Cookie: evil=1\r\nLocation: /x\r\n\r\n",
        {**good(b"hello"), "headers": [("Transfer-Encoding", "chunked")]},
    ),
    "chunked, HTTP/1.0": (
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        good(b"hello", reusable=False),
    ),
    "end of input": (OK + b"\r\nhello", good(b"hello", reusable=False)),
    "end of input, empty": (OK + b"\r\n", good(reusable=False)),
    "end of input, HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", good(b"hello", reusable=False)),
    "204": (b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", good(status=204)),
    "204 with a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", good(status=204)),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\n\r\n", good(status=304)),
    "304 chunked": (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", good(status=304)),
    "no reason phrase": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", good()),
    "odd status": (b"HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n", good(status=999)),
    "latin-1 reason": (b"HTTP/1.1 404 Nicht gef\xfcnden\r\nContent-Length: 0\r\n\r\n", good(status=404)),
    "100 first": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", good(b"hi")),
    "103 with fields first": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi",
        {**good(b"hi"), "headers": [("Content-Length", "2")]},
    ),
    "eight interim": (b"HTTP/1.1 199 x\r\n\r\n" * 8 + OK + b"Content-Length: 2\r\n\r\nhi", good(b"hi")),
    "upgrade offered, not done": (
        OK + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nhi",
        good(b"hi"),
    ),
}


@pytest.mark.parametrize("name", COMPLETION)
def test_completion(name: str) -> None:
    check(COMPLETION[name][0], COMPLETION[name][1])


HEADS = {
    "length": OK + b"Content-Length: 5000\r\n\r\n",
    "huge length": OK + b"Content-Length: 99999999999\r\n\r\n",
    "chunked": CHUNKED,
    "nothing": OK + b"\r\n",
    "after 100": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5000\r\n\r\n",
}


@pytest.mark.parametrize("name", HEADS)
def test_head_completes_at_the_blank_line_and_is_not_reused(name: str) -> None:
    check(HEADS[name], good(reusable=False), method="HEAD", eof=False)


def test_headers_are_kept_in_order_and_case() -> None:
    fields = b"Set-Cookie: a=1\r\nset-cookie: b=2\r\nX-\xc4: no\r\nX-Latin: gr\xfc\xdf\r\nX-Empty:\r\n"
    data = OK + fields + b"Content-Length: 0\r\n\r\n"
    expected = [("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X-Latin", "gr\xfc\xdf"), ("X-Empty", "")]
    check(data, {"headers": [*expected, ("Content-Length", "0")], "flags": ("head_repaired",)})


# --- input that ends too early ---

TRUNCATED = {
    "nothing": b"",
    "status line": b"HTTP/1.1 200",
    "head": OK + b"Content-Len",
    "head without blank line": OK + b"Content-Length: 0\r\n",
    "interim only": b"HTTP/1.1 100 Continue\r\n\r\n",
    "length": OK + b"Content-Length: 10\r\n\r\nhello",
    "length, no byte of it": OK + b"Content-Length: 10\r\n\r\n",
    "chunk": CHUNKED + b"5\r\nhel",
    "chunk size": CHUNKED + b"5",
    "last chunk missing": CHUNKED + b"5\r\nhello\r\n",
    "end of trailers missing": CHUNKED + b"5\r\nhello\r\n0\r\n",
}


@pytest.mark.parametrize("name", TRUNCATED)
def test_truncated(name: str) -> None:
    check(TRUNCATED[name], {"error": "TruncatedError early_eof"})
    assert read([TRUNCATED[name]], eof=False).get("complete") is False


@pytest.mark.parametrize("name", TRUNCATED)
def test_an_end_too_early_is_told_in_words_that_fit(name: str) -> None:
    reader = ResponseReader()
    if TRUNCATED[name]:
        assert not reader.feed(memoryview(TRUNCATED[name]))
    with pytest.raises(TruncatedError) as told:
        reader.eof()
    words = {
        "nothing": "connection ended without an answer",
        "interim only": "connection ended after an interim answer (1xx), before the answer",
        "length": "connection ended after 5 bytes of body, before 10 bytes",
    }
    assert "None" not in str(told.value) and str(told.value) == words.get(name, str(told.value))


# --- refused ---

REFUSED: dict[str, tuple[bytes, str]] = {
    "CL and TE": (OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "framing"),
    "TE and CL": (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "framing"),
    "differing lengths": (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "framing"),
    "length list": (OK + b"Content-Length: 3, 3\r\n\r\nabc", "framing"),
    "negative length": (OK + b"Content-Length: -3\r\n\r\n", "framing"),
    "signed length": (OK + b"Content-Length: +3\r\n\r\nabc", "framing"),
    "hex length": (OK + b"Content-Length: 0x3\r\n\r\nabc", "framing"),
    "empty length": (OK + b"Content-Length:\r\n\r\n", "framing"),
    "length overflow": (OK + b"Content-Length: 18446744073709551617\r\n\r\n", "framing"),
    "TE not chunked": (OK + b"Transfer-Encoding: gzip\r\n\r\nx", "framing"),
    "TE chunked not last": (OK + b"Transfer-Encoding: chunked, gzip\r\n\r\nx", "framing"),
    "TE with coding": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "framing"),
    "TE twice": (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "framing"),
    "TE misspelt": (OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "framing"),
    "chunk size no hex": (CHUNKED + b"xyz\r\nhello\r\n0\r\n\r\n", "framing"),
    "chunk size overflow": (CHUNKED + b"ffffffffffffffffff\r\nhello", "framing"),
    "chunk longer than said": (CHUNKED + b"3\r\nhello\r\n0\r\n\r\n", "framing"),
    "chunk with bare LF": (CHUNKED + b"5\nhello\n0\n\n", "framing"),
    "NUL in value": (OK + b"X: a\0b\r\n\r\n", "header_syntax"),
    "NUL in reason": (b"HTTP/1.1 200 O\0K\r\n\r\n", "header_syntax"),
    "NUL in name": (OK + b"X\0: a\r\n\r\n", "header_syntax"),
    "eleven lines without colon": (OK + b"nothing\r\n" * 11 + b"\r\n", "header_syntax"),
    "status of four digits": (b"HTTP/1.1 1000 OK\r\n\r\n", "bad_status_line"),
    "status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", "bad_status_line"),
    "status below 100": (b"HTTP/1.1 099 OK\r\n\r\n", "bad_status_line"),
    "HTTP/0.9": (b"<html><body>hello</body></html>", "bad_status_line"),
    "ICY": (b"ICY 200 OK\r\n\r\n", "bad_status_line"),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", "bad_status_line"),
    "binary": (bytes(range(1, 200)), "bad_status_line"),
    "TLS alert": (b"\x15\x03\x01\x00\x02\x02\x46", "bad_status_line"),
    "lower case": (b"http/1.1 200 OK\r\n\r\n", "bad_status_line"),
    "only empty lines": (b"\r\n" * 20, "bad_status_line"),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\n\r\n", "bad_version"),
    "HTTP/2": (b"HTTP/2 200\r\n\r\n", "bad_version"),
    "HTTP/1.2": (b"HTTP/1.2 200 OK\r\n\r\n", "bad_version"),
    "HTTP/0.9 said": (b"HTTP/0.9 200 OK\r\n\r\n", "bad_version"),
    "101": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "unexpected_upgrade"),
    "101 alone": (b"HTTP/1.1 101 Switching\r\n\r\n", "unexpected_upgrade"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    data, reason = REFUSED[name]
    check(data, {"error": f"ProtocolError {reason}"})


# --- sloppy heads: the page is read, the connection is not used again ---

LENGTH = b"Content-Length: 2\r\n\r\nhi"
SLOPPY: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "bare LF": (b"HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nhi", [("A", "b")]),
    "bare LF, some lines": (OK + b"A: b\nB: c\r\n" + LENGTH, [("A", "b"), ("B", "c")]),
    "blank line is LF alone": (OK + b"A: b\r\nContent-Length: 2\r\n\nhi", [("A", "b")]),
    "folded": (OK + b"A: b\r\n  c\r\n\td\r\n" + LENGTH, [("A", "b c d")]),
    "folded, empty first line": (OK + b"A:\r\n b\r\n" + LENGTH, [("A", " b")]),
    "folded over blanks": (OK + b"A: b\r\n \t\r\n c\r\n" + LENGTH, [("A", "b c")]),
    "fold of nothing": (OK + b" lost\r\nA: b\r\n" + LENGTH, [("A", "b")]),
    "fold of a dropped line": (OK + b"dropped\r\n with: this\r\nA: b\r\n" + LENGTH, [("A", "b")]),
    "line without colon": (OK + b"nothing here\r\nA: b\r\n" + LENGTH, [("A", "b")]),
    "ten lines without colon": (OK + b"nothing\r\n" * 10 + LENGTH, []),
    "blank before colon": (OK + b"A : b\r\nB\t: c\r\n" + LENGTH, [("A", "b"), ("B", "c")]),
    "blank before the colon of the length": (OK + b"Content-Length : 2\r\n\r\nhi", []),
    "control characters": (OK + b"A: b\x01c\x7fd\r\n" + LENGTH, [("A", "b c d")]),
    "bare CR": (OK + b"A: b\rc\r\n" + LENGTH, [("A", "b c")]),
    "bare CR in the status line": (b"HTTP/1.1 200 O\rK\r\nA: b\r\n" + LENGTH, [("A", "b")]),
    "name is no token": (OK + b"A B: c\r\n\xe9: d\r\n: e\r\nA: b\r\n" + LENGTH, [("A", "b")]),
    "same length twice": (OK + b"Content-Length: 2\r\nA: b\r\n" + LENGTH, [("A", "b")]),
    "same length, other case and blanks": (OK + b"content-length:2\r\nA: b\r\n" + LENGTH, [("A", "b")]),
    "empty lines first": (b"\r\n\r\n" + OK + b"A: b\r\n" + LENGTH, [("A", "b")]),
}


@pytest.mark.parametrize("name", SLOPPY)
def test_sloppy_heads_are_repaired(name: str) -> None:
    data, fields = SLOPPY[name]
    check(data, good(b"hi", reusable=False, flags=("head_repaired",)))
    headers = read([data])["headers"]
    assert [(k, v.strip()) for k, v in headers if k.lower() != "content-length"] == [(k, v.strip()) for k, v in fields]


def test_a_repaired_chunked_head_still_frames() -> None:
    check(
        b"HTTP/1.1 200 OK\nTransfer-Encoding : chunked\n\n2\r\nhi\r\n0\r\n\r\n",
        good(b"hi", reusable=False, flags=("head_repaired",)),
    )


def test_a_repair_does_not_hide_a_framing_conflict() -> None:
    check(OK + b"Content-Length : 2\nTransfer-Encoding: chunked\r\n\r\nhi", {"error": "ProtocolError framing"})


# --- bytes that follow ---

EXTRA = {
    "second response": OK + b"Content-Length: 2\r\n\r\nhi" + b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nbad",
    "second response, chunked": CHUNKED + b"2\r\nhi\r\n0\r\n\r\n" + b"HTTP/1.1 404 Not Found\r\n\r\n",
    "one byte": OK + b"Content-Length: 2\r\n\r\nhi!",
    "junk": OK + b"Content-Length: 2\r\n\r\nhi\0\1\2",
    "junk after close": OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi<!-- -->",
    "interim": OK + b"Content-Length: 2\r\n\r\nhi" + b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize("name", EXTRA)
def test_extra_bytes_leave_the_response_good(name: str) -> None:
    facts = read([EXTRA[name]])
    assert facts == {**facts, **good(b"hi", reusable=False, flags=("extra_data",))}
    first = EXTRA[name].index(b"hi") + 2
    for n in range(1, len(EXTRA[name])):
        facts = read([EXTRA[name][:n], EXTRA[name][n:]])
        assert (facts["status"], facts["body"]) == (200, b"hi")
        assert not facts["reusable"] or n >= first


@pytest.mark.parametrize("head", [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n"])
def test_a_body_where_none_belongs_is_extra(head: bytes) -> None:
    facts = read([head + b"body"])
    assert facts["complete"]
    assert (facts["body"], facts["reusable"], facts["flags"]) == (b"", False, ("extra_data",))


def test_a_body_after_head_is_extra() -> None:
    facts = read([OK + b"Content-Length: 2\r\n\r\nhi"], method="HEAD")
    assert (facts["body"], facts["reusable"], facts["flags"]) == (b"", False, ("extra_data",))


# --- limits ---


def headers(count: int) -> bytes:
    return b"".join(b"X-%d: y\r\n" % n for n in range(count))


LIMITED: dict[str, tuple[bytes, str | None]] = {
    "head of exactly the limit": (
        OK + b"X: " + b"a" * (1000 - 17 - 3 - 4 - 19) + b"\r\nContent-Length: 0\r\n\r\n",
        None,
    ),
    "head one byte longer": (
        OK + b"X: " + b"a" * (1001 - 17 - 3 - 4 - 19) + b"\r\nContent-Length: 0\r\n\r\n",
        "head_too_large",
    ),
    "head without end": (OK + b"X: " + b"a" * 3000, "head_too_large"),
    "status line without end": (b"HTTP/1.1 200 " + b"a" * 3000, "head_too_large"),
    "fields at the limit": (OK + headers(19) + b"Content-Length: 0\r\n\r\n", None),
    "one field more": (OK + headers(20) + b"Content-Length: 0\r\n\r\n", "too_many_headers"),
    "nine interim": (b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + OK + b"\r\n", "too_many_interim"),
    "body at the limit": (OK + b"Content-Length: 2000\r\n\r\n" + b"a" * 2000, None),
    "announced too large": (OK + b"Content-Length: 2001\r\n\r\n", "body_too_large"),
    "announced 1 TiB": (OK + b"Content-Length: 1099511627776\r\n\r\n", "body_too_large"),
    "chunked at the limit": (CHUNKED + b"7d0\r\n" + b"a" * 2000 + b"\r\n0\r\n\r\n", None),
    "chunked too large": (CHUNKED + b"7d1\r\n" + b"a" * 2001 + b"\r\n0\r\n\r\n", "body_too_large"),
    "to the end, too large": (OK + b"\r\n" + b"a" * 2001, "body_too_large"),
    "trailers count": (CHUNKED + b"2\r\nhi\r\n0\r\n" + headers(20) + b"\r\n", "too_many_headers"),
}


@pytest.mark.parametrize("name", LIMITED)
def test_limits(name: str) -> None:
    data, reason = LIMITED[name]
    samples = [[data], [data[n : n + 1] for n in range(len(data))], [data[n : n + 97] for n in range(0, len(data), 97)]]
    for parts in samples:
        facts = read(parts)
        assert facts.get("error") == (f"TooLargeError {reason}" if reason else None), facts


def test_the_head_limit_holds_across_reads_and_in_memory() -> None:
    reader = ResponseReader()
    fed = 0
    with pytest.raises(TooLargeError):
        for _ in range(1000):
            reader.feed(memoryview(OK + b"X: a" if not fed else b"a" * 1000))
            fed += 1000
    assert fed <= 66_000
    assert len(reader._held) < 67_000


def test_a_dripping_head_takes_linear_time() -> None:
    reader = ResponseReader()
    start = time.process_time()
    with pytest.raises(TooLargeError):
        for byte in OK + b"X: " + b"a" * 70_000:
            reader.feed(memoryview(bytes([byte])))
    assert time.process_time() - start < 2


def test_100k_fields_are_refused_before_they_are_parsed() -> None:
    reader = ResponseReader(max_head=10 * 2**20)
    data = OK + b"A: b\r\n" * 100_000 + b"\r\n"
    start = time.process_time()
    with pytest.raises(TooLargeError) as caught:
        reader.feed(memoryview(data))
    assert caught.value.reason == "too_many_headers"
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize(
    "data",
    [b"1\r\na\r\n" * 2**18, b"1;" + b"x" * 2**20 + b"\r\na\r\n", b"1\r\na\r\n0\r\nX: " + b"y" * 2**20],
    ids=["one-byte chunks", "long extension", "long trailer"],
)
def test_chunk_overhead(data: bytes) -> None:
    reader = ResponseReader()
    reader.feed(memoryview(CHUNKED))
    with pytest.raises(TooLargeError) as caught:
        for n in range(0, len(data), 65536):
            reader.feed(memoryview(data)[n : n + 65536])
    assert caught.value.reason == "chunk_overhead"


def test_usual_chunk_sizes_are_no_overhead() -> None:
    reader = ResponseReader()
    data = CHUNKED + (b"40\r\n" + b"a" * 64 + b"\r\n") * 20_000 + b"0\r\n\r\n"
    for n in range(0, len(data), 65536):
        reader.feed(memoryview(data)[n : n + 65536])
    assert reader.complete
    assert len(reader.body) == 64 * 20_000


# --- one reader after another response ---


def test_a_reader_reads_one_response_after_another() -> None:
    reader = ResponseReader()
    for body in (b"one", b"", b"three" * 100):
        reader.begin("GET")
        assert not reader.touched
        assert reader.feed(memoryview(OK + b"X: 1\r\nContent-Length: %d\r\n\r\n" % len(body) + body))
        assert (reader.body, reader.reusable, reader.flags, len(reader.headers)) == (body, True, (), 2)
    reader.begin("GET")
    assert reader.feed(memoryview(CHUNKED + b"2\r\nhi\r\n0\r\n\r\n"))
    assert reader.body == b"hi"


def test_kept_facts_do_not_change_with_the_next_response() -> None:
    reader = ResponseReader()
    buffer = bytearray(OK + b"A: b\r\nContent-Length: 2\r\n\r\nhi")
    reader.feed(memoryview(buffer))
    kept_headers, kept_body = reader.headers, reader.body
    buffer[:] = b"\0" * len(buffer)
    reader.begin("GET")
    assert kept_headers == [("A", "b"), ("Content-Length", "2")]
    assert kept_body == b"hi"


def test_a_fault_in_a_callback_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    for name in ("on_header", "on_body"):
        with monkeypatch.context() as patch:
            patch.setattr(ResponseReader, name, broken)
            with pytest.raises(ZeroDivisionError):
                ResponseReader().feed(memoryview(OK + b"Content-Length: 2\r\n\r\nhi"))


# --- laws ---

PIECES = st.sampled_from(
    [
        *(OK, b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"0\r\n\r\n", b"5\r\nhello\r\n", b"hello", b"\0", b"\xff"),
        *(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 304 x\r\n", b"Content-Length: 5\r\n", b"Content-Length: 6\r\n"),
        *(
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: close\r\n",
            b"A: b\r\n",
            b"A : b\n",
            b" fold\r\n",
            b"junk\r\n",
        ),
    ]
)


@settings(max_examples=500, deadline=None)
@example([b"hello", b"Content-Length: 5\r\n", b"Connection: close\r\n", b"\n", b"\r\n"], [21, 40], "GET")
@given(st.lists(PIECES, max_size=12), st.lists(st.integers(1, 40), max_size=8), st.sampled_from(["GET", "HEAD"]))
def test_law_any_bytes_cut_anyhow(pieces: list[bytes], sizes: list[int], method: str) -> None:
    """No exception but ours; how the bytes were cut changes neither error nor status, headers and body."""
    data = OK + b"".join(pieces)
    parts, rest = [], data
    for size in sizes:
        parts.append(rest[:size])
        rest = rest[size:]
    whole = read([data], method=method)
    cut = read([part for part in (*parts, rest) if part], method=method)
    for facts in (whole, cut):  # what follows a complete response may come in another part, unseen
        facts.pop("reusable", None)
        facts["flags"] = tuple(flag for flag in facts.get("flags", ()) if flag != "extra_data")
    assert cut == whole


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_law_random_bytes(data: bytes) -> None:
    for start in (b"", b"HTTP/1.1 ", OK, CHUNKED):
        facts = read([start + data])
        assert "error" in facts or facts["complete"]


# --- requests ---


def test_a_plain_get() -> None:
    fields = render_fields([("User-Agent", "x"), ("Accept", "*/*")])
    assert build_request("GET", "books.example:8080", "/a?b=c", fields) == (
        b"GET /a?b=c HTTP/1.1\r\nHost: books.example:8080\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "body", "line"),
    [
        ("POST", b"x=1", b"Content-Length: 3\r\n"),
        ("POST", None, b"Content-Length: 0\r\n"),
        ("PUT", b"", b"Content-Length: 0\r\n"),
        ("GET", b"q", b"Content-Length: 1\r\n"),
        ("DELETE", None, b""),
        ("HEAD", None, b""),
    ],
)
def test_content_length(method: str, body: bytes | None, line: bytes) -> None:
    wire = build_request(method, "h", "/", b"", body)
    assert wire == b"%b / HTTP/1.1\r\nHost: h\r\n%b\r\n%b" % (method.encode(), line, body or b"")


def test_ipv6_host_keeps_its_brackets() -> None:
    assert b"\r\nHost: [::1]:81\r\n" in build_request("GET", "[::1]:81", "/", b"")


BAD_FIELDS = [
    *(("X", f"a{c}b") for c in "\r\n\0\x0b\x7f\u20ac"),
    *((name, "x") for name in ("", "A B", "A:", "A\r\nB", "\xc4", "(")),
    *((name, "1") for name in ("Content-Length", "transfer-encoding")),
    ("X", "a\r\nEvil: 1"),
]


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
def test_bad_fields(name: str, value: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        render_fields([(name, value)])
    assert caught.value.reason == "bad_request"


BAD_REQUESTS = [
    *(("GET", "h", target) for target in ("", "a", "http://h/", "/a b", "/a\r\n", "/\0", "/\xe9", "*", "/\x7f")),
    *((method, "h", "/") for method in ("", "G T", "GET\r\n", "GÉT", "GET ")),
    *(("GET", host, "/") for host in ("h\r\nX: y", "a b", "u@h", "h/x", "h\0", "bücher.example")),
]


@pytest.mark.parametrize(("method", "authority", "target"), BAD_REQUESTS)
def test_bad_requests(method: str, authority: str, target: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        build_request(method, authority, target, b"")
    assert caught.value.reason == "bad_request"


def test_merge_fields_ignores_case() -> None:
    assert merge_fields({"User-Agent": "a", "Accept": "b"}, {"user-agent": "c"}) == {"Accept": "b", "user-agent": "c"}


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_law_a_field_is_one_line_or_refused(name: str, value: str) -> None:
    try:
        line = render_fields([(name, value)])
    except ProtocolError:
        return
    assert line.count(b"\r\n") == line.count(b"\r") == line.count(b"\n") == 1
    assert b"\0" not in line


def test_truncated_error_says_how_far_it_got() -> None:
    reader = ResponseReader()
    reader.feed(memoryview(OK + b"Content-Length: 10\r\n\r\nhello"))
    with pytest.raises(TruncatedError, match=r"after 5 bytes of body, before 10 bytes"):
        reader.eof()


def test_eof_after_a_complete_response_is_no_error() -> None:
    reader = ResponseReader()
    reader.feed(memoryview(OK + b"Content-Length: 2\r\n\r\nhi"))
    assert reader.eof()
    assert reader.reusable


def test_a_parser_that_sees_no_end_of_a_whole_head_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResponseReader, "on_headers_complete", lambda reader: None)
    with pytest.raises(ProtocolError) as caught:
        ResponseReader().feed(memoryview(OK + b"Content-Length: 0\r\n\r\n"))
    assert caught.value.reason == "header_syntax"


@pytest.mark.parametrize("framing", [b"Content-Length: 99999999999\r\n", b"", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("step", [1, 7, 4000])
def test_enough_of_a_body_is_enough(framing: bytes, step: int) -> None:
    """An endless robots.txt: what is wanted of it comes, the rest is not read."""
    body = b"x" * 3000 if b"chunked" not in framing else b"%x\r\n%b\r\n" % (3000, b"x" * 3000)
    data = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + body
    reader = ResponseReader()
    reader.begin("GET", keep=1000)
    for start in range(0, len(data), step):
        if reader.feed(memoryview(data[start : start + step])):
            break
    assert reader.complete and not reader.reusable
    assert 1000 <= len(reader.body) <= 1000 + step and set(reader.body) == {ord("x")}
    assert reader.flags == ("cut",)
