"""Responses and coded bodies that nobody would send: mutated good ones, cut anywhere. Fixed seed, so a failure repeats.

What must hold for each: it is read or refused with an error of ours, within 100 ms, and nothing is kept of it.
"""

from __future__ import annotations

import gc
import gzip
import json
import random
import sys
import time
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli
import pytest

from pipeline.errors import DecodeError, FetchError, TooLargeError
from pipeline.fetch.content import Decoder
from pipeline.fetch.http1 import ResponseReader

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = [pytest.mark.slow, pytest.mark.timeout(110)]

SEED = 20260723
RESPONSES, STREAMS = 50_000, 10_000
SLOWEST = 0.1  # seconds for one case
GROWTH = 8 * 2**20  # bytes that the process may grow by after the first tenth
CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "open"

HTML = b"<!doctype html><title>x</title><p>" + b"word " * 200
BUILT_IN = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/html\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n8;x=y\r\n01234567\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\nuntil the end",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 301 Moved\r\nLocation: /a\r\nContent-Length: 0\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
    b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 900 + b"\r\n folded\r\nbroken line\r\nContent-Length: 1\r\n\r\nz",
    b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 99\r\n\r\n',
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(HTML) + HTML,
]
SPICE = [
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b";", b"\xff", b"\x80", b"0\r\n\r\n", b"-1", b"+5"),
    *(b"Content-Length: 7\r\n", b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Connection: close\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/9.9 ",
        b"HTTP/",
    ),
    *(
        b"ffffffffffffffff\r\n",
        b"fffffffffffffffff\r\n",
        b"1" * 40,
        b"A" * 300,
        b"HTTP/1.1 101 X\r\n\r\n",
        b"Upgrade: h2c\r\n",
    ),
]


def corpus(folder: str, key: str) -> Iterator[tuple[dict[str, Any], bytes]]:
    """(case, bytes under `key`), wherever that stands in a case; short ones only. None where there is no corpus."""
    for path in sorted((CORPUS / folder).glob("*.jsonl*")):
        data = path.read_bytes()
        for line in (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines():
            case: dict[str, Any] = json.loads(line)
            places: list[Any] = [case]
            while places:
                place = places.pop()
                if isinstance(place, dict):
                    places += [value for name, value in place.items() if name != key]
                    raw = b64decode(place.get(key) or "")
                    if 8 < len(raw) <= 8192:
                        yield case, raw
                elif isinstance(place, list):
                    places += place


def mutate(raw: bytes, rng: random.Random, spice: list[bytes]) -> bytes:
    """The bytes with one to four changes: one altered, some lost, doubled or moved, something strange put in."""
    out = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randrange(len(out) + 1), rng.randint(1, 40)
        match rng.randrange(6):
            case 0:
                out[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del out[at : at + size]
            case 2:
                out[at:at] = out[at : at + size] * rng.randint(1, 30)
            case 3:
                out[at:at] = rng.choice(spice)
            case 4:
                out[at : at + size] = rng.choice(spice)
            case 5:
                del out[at:]
    return bytes(out)


def cuts(raw: bytes, rng: random.Random) -> list[bytes]:
    """The bytes in up to nine pieces, seldom one by one."""
    if len(raw) <= 400 and rng.random() < 0.02:
        return [raw[n : n + 1] for n in range(len(raw))]
    places = sorted(rng.randrange(len(raw) + 1) for _ in range(rng.randint(0, 8)))
    return [raw[a:b] for a, b in zip([0, *places], [*places, len(raw)], strict=True)]


def read(raw: bytes, rng: random.Random) -> str:
    """What became of one response: a reason, or its status."""
    reader = ResponseReader(max_body=1 << 20)
    reader.begin(rng.choice(["GET", "GET", "GET", "HEAD", "POST"]))
    try:
        for piece in cuts(raw, rng):
            if piece and reader.feed(memoryview(piece)):
                return str(reader.status)
        return str(reader.status) if reader.eof() else "open"
    except FetchError as error:
        assert error.reason
        return error.reason
    finally:
        reader.close()


def decode(raw: bytes, rng: random.Random, codings: list[str]) -> str:
    """What became of one coded body: a reason, or "whole"."""
    given = 0
    try:
        decoder = Decoder(codings, 1 << 20)
        for piece in cuts(raw, rng):
            given += len(decoder.feed(piece))
        decoder.finish()
    except (DecodeError, TooLargeError) as error:
        assert error.reason
        return error.reason
    finally:
        assert given <= 1 << 20
    return "whole"


def resident() -> int:
    """Bytes of memory that the process holds; 0 where the system does not say."""
    try:
        fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    except OSError:
        return 0
    return int(fields[1]) * 4096


def fuzz(count: int, case: Callable[[int], str]) -> dict[str, int]:
    """Run so many cases; how often each ending was seen. Asserts time and memory."""
    seen: dict[str, int] = {}
    base = 0
    for number in range(count):
        if number == count // 10:
            gc.collect()
            base = resident()
        start = time.process_time()
        ending = case(number)
        took = time.process_time() - start
        if took > SLOWEST:  # once more: the machine may have been held up
            start = time.process_time()
            case(number)
            took = time.process_time() - start
        assert took <= SLOWEST, f"case {number}: {took:.3f} s"
        seen[ending] = seen.get(ending, 0) + 1
    gc.collect()
    assert resident() - base <= GROWTH, f"grown by {(resident() - base) >> 10} KiB"
    return seen


def test_responses() -> None:
    seeds = BUILT_IN * 5 + [raw for _, raw in corpus("http_responses", "raw_base64")]

    def case(number: int) -> str:
        rng = random.Random(SEED * RESPONSES + number)  # so that one case can be run alone
        return read(mutate(rng.choice(seeds), rng, SPICE), rng)

    seen = fuzz(RESPONSES, case)
    assert sum(seen.values()) == RESPONSES
    assert seen["200"] > RESPONSES // 20, seen  # mutation leaves some good: the parser is reached
    assert seen["early_eof"] > RESPONSES // 20, seen
    assert len(seen) > 12, seen


def coded_seeds() -> list[tuple[list[str], bytes]]:
    plain = [b"", b"x", HTML, bytes(range(256)) * 8, b"\0" * 200_000]
    raw = zlib.compressobj(wbits=-15)
    found = [(["deflate"], raw.compress(HTML) + raw.flush())]
    for text in plain:
        found += [
            (["gzip"], gzip.compress(text, mtime=0)),
            (["deflate"], zlib.compress(text)),
            (["br"], brotli.compress(text, quality=4)),
            (["zstd"], zstd.compress(text)),
            (["gzip", "br"], brotli.compress(gzip.compress(text, mtime=0), quality=4)),
            (["gzip"], gzip.compress(text, mtime=0) * 3),
        ]
    named = corpus("decompression", "bytes_base64")
    return found * 2 + [(case["content_encoding"].split(","), raw) for case, raw in named]


def test_coded_bodies() -> None:
    seeds = coded_seeds()
    spice = [b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x78\x9c", b"\x50\x2a\x4d\x18\x04\0\0\0", b"\0" * 64, b"\xff" * 9]

    def case(number: int) -> str:
        rng = random.Random(SEED * STREAMS + number)
        codings, raw = rng.choice(seeds)
        return decode(mutate(raw, rng, spice), rng, codings)

    seen = fuzz(STREAMS, case)
    assert sum(seen.values()) == STREAMS
    assert {"whole", "truncated", "content_encoding"} <= set(seen), seen
