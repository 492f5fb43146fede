"""Content codings: the corpus of odd streams, bombs in bounded memory, and any mutation ends in one of our errors."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import resource
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DecodeError, TooLargeError
from pipeline.fetch.content import MAX_MEMBERS, Decoder, content_codings, decode

STREAMS = Path(__file__).parents[3] / "shared/corpus/open/decompression/streams.jsonl.gz"
MIB = 1024 * 1024

# Where our answer is not what the source expects, and why.
DIFFERENT = {
    "sc-html-gzip-deflate-gzip": "encoding_chain: more than two codings are refused",
    "sc-truncated-crc": "truncated: a cut body is asked for again, never parsed",
    "sc-unexpected-eof": "truncated: a cut body is asked for again, never parsed",
    "sc-half-html-zlibdeflate": "truncated: a cut body is asked for again, never parsed",
    "sc-half-html-gzip": "truncated: a cut body is asked for again, never parsed",
    "sc-bomb-br": "too_large: the case asks for a cap of 1,000,000",
    "sc-bomb-deflate": "too_large: the case asks for a cap of 1,000,000",
    "sc-bomb-zstd": "too_large: the case asks for a cap of 1,000,000",
}


def raw_deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeeze.compress(data) + squeeze.flush()


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}
TEXT = b"".join(b"line %d of a page that compresses like one\n" % n for n in range(3000))


def run(data: bytes, coding: str, step: int | None = None, cap: int = 16 * MIB) -> bytes:
    decoder = Decoder(coding.split(","), cap)
    size = step or len(data) or 1
    out = b"".join(decoder.feed(data[at : at + size]) for at in range(0, len(data), size))
    decoder.finish()
    return out


def corpus() -> list[dict[str, Any]]:
    if not STREAMS.exists():
        return []
    with gzip.open(STREAMS, "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.skipif(not STREAMS.exists(), reason="the corpus of coded streams is not here")
@pytest.mark.parametrize("case", corpus(), ids=lambda case: case["id"])
@pytest.mark.parametrize("step", [None, 1, 700])
def test_corpus(case: dict[str, Any], step: int | None) -> None:
    data, expect, name = base64.b64decode(case["bytes_base64"]), case["expect"], case["id"]
    coding = case["content_encoding"]
    if name in DIFFERENT:
        cap = 1_000_000 if "bomb" in name else 16 * MIB
        with pytest.raises((DecodeError, TooLargeError)) as caught:
            run(data, coding, step, cap)
        wanted = DIFFERENT[name].partition(":")[0]
        assert caught.value.reason == wanted or caught.value.fate == f"failed:{wanted}"
    elif expect.get("error"):
        with pytest.raises(DecodeError):
            run(data, coding, step)
    else:
        out = run(data, coding, step)
        assert len(out) == expect.get("size", len(out))
        assert hashlib.sha256(out).hexdigest() == expect.get("sha256", hashlib.sha256(out).hexdigest())
        assert out.startswith(expect.get("starts_with", "").encode())


@pytest.mark.skipif(not STREAMS.exists(), reason="the corpus of coded streams is not here")
def test_every_listed_difference_is_a_case() -> None:
    assert set(DIFFERENT) <= {case["id"] for case in corpus()}


@pytest.mark.parametrize("coding", CODECS)
@pytest.mark.parametrize("step", [None, 1, 3, 1000])
def test_round_trip_however_split(coding: str, step: int | None) -> None:
    assert run(CODECS[coding](TEXT), coding, step) == TEXT


@pytest.mark.parametrize("first", CODECS)
@pytest.mark.parametrize("second", CODECS)
def test_two_codings_on_top_of_each_other(first: str, second: str) -> None:
    body = CODECS[second](CODECS[first](TEXT))
    assert decode(body, [("Content-Encoding", f"{first}, {second}")], MIB) == TEXT
    assert decode(body, [("content-encoding", first), ("CONTENT-ENCODING", second.upper())], MIB) == TEXT


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["gzip", "gzip", "gzip"], "encoding_chain"),
        (["gzip, gzip, gzip"], "encoding_chain"),
        (["gzip," * 1000], "encoding_chain"),
        (["br", "identity, gzip", "zstd"], "encoding_chain"),
        (["compress"], "unknown_coding"),
        (["gzip; q=1"], "unknown_coding"),
    ],
)
def test_refused_codings(lines: list[str], reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(b"x", [("Content-Encoding", line) for line in lines], MIB)
    assert caught.value.reason == reason


@pytest.mark.parametrize("value", ["", "identity", "UTF-8", "none", " , ", "aws-chunked", "binary"])
def test_what_servers_write_though_it_is_no_coding(value: str) -> None:
    assert decode(b"plain", [("Content-Encoding", value)], MIB) == b"plain"


def test_codings_of_all_lines_in_order() -> None:
    headers = [("Content-Encoding", "GZIP, br"), ("Content-Type", "x"), ("content-encoding", "zstd")]
    assert content_codings(headers) == ["gzip", "br", "zstd"]


@pytest.mark.parametrize("coding", [*CODECS, "gzip,br"])
def test_an_empty_body_has_no_coding(coding: str) -> None:
    assert run(b"", coding) == b""


@pytest.mark.parametrize("coding", [*CODECS, "identity"])
def test_the_cap_is_exact(coding: str) -> None:
    body = CODECS.get(coding, bytes)(TEXT)
    headers = [("Content-Encoding", coding)]
    assert decode(body, headers, len(TEXT)) == TEXT
    with pytest.raises(TooLargeError) as caught:
        decode(body, headers, len(TEXT) - 1)
    assert caught.value.reason == "decoded_too_large"


def test_the_cap_without_a_coding() -> None:
    assert decode(b"12345", [], 5) == b"12345"
    with pytest.raises(TooLargeError):
        decode(b"123456", [], 5)


def test_an_inner_bomb_that_comes_to_nothing_is_refused() -> None:
    empty_members = gzip.compress(b"")
    inner = raw_deflate(b"") + bytes(64 * MIB)  # raw deflate of nothing, then junk
    with pytest.raises(TooLargeError):
        decode(gzip.compress(inner, 1), [("Content-Encoding", "deflate, gzip")], 16 * MIB)
    with pytest.raises(DecodeError) as caught:
        run(empty_members * (MAX_MEMBERS + 1), "gzip")
    assert caught.value.reason == "members"


@pytest.mark.parametrize("junk", [b"\x00" * 9, b"<!-- cached -->", b"\x1f", b"\x1f\x8b", b"\x28\xb5", b"\x50\x2a\x4d"])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw", "zstd"])
@pytest.mark.parametrize("step", [None, 1])
def test_junk_behind_a_whole_member_is_ignored(coding: str, junk: bytes, step: int | None) -> None:
    body = raw_deflate(TEXT[:999]) if coding == "raw" else CODECS[coding](TEXT[:999])
    assert run(body + junk, "deflate" if coding == "raw" else coding, step) == TEXT[:999]


@pytest.mark.parametrize("step", [None, 1])
def test_junk_behind_brotli_is_refused_however_split(step: int | None) -> None:
    with pytest.raises(DecodeError):
        run(brotli.compress(b"x") + b"junk", "br", step)


@pytest.mark.parametrize("step", [None, 1, 7])
def test_members_follow_each_other(step: int | None) -> None:
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    assert run(gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two"), "gzip", step) == b"one two"
    assert run(skippable + zstd.compress(b"a") + skippable + zstd.compress(b"b"), "zstd", step) == b"ab"


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize("coding", [*CODECS, "raw"])
def test_every_cut_is_truncated(coding: str, step: int | None) -> None:
    body = raw_deflate(TEXT[:300]) if coding == "raw" else CODECS[coding](TEXT[:300])
    for cut in range(1, len(body)):
        with pytest.raises(DecodeError) as caught:
            run(body[:cut], "deflate" if coding == "raw" else coding, step)
        assert caught.value.reason == "truncated"


def test_a_huge_zstd_window_is_refused_from_the_frame_header() -> None:
    header = b"\x28\xb5\x2f\xfd\x00" + bytes([(31 - 10) << 3])  # window 2 GiB
    with pytest.raises(DecodeError) as caught:
        run(header + b"\x00\x00\x00", "zstd")
    assert caught.value.reason == "zstd_window"


@given(st.binary(max_size=2000), st.sampled_from([*CODECS, "gzip,br", "deflate,zstd"]), st.integers(1, 300))
def test_any_bytes_decode_or_raise_ours(data: bytes, coding: str, step: int) -> None:
    _decodes_or_refuses(data, coding, step)


@given(st.data(), st.sampled_from(sorted(CODECS)), st.integers(1, 500))
def test_mutated_streams_decode_or_raise_ours(data: st.DataObject, coding: str, step: int) -> None:
    body = bytearray(CODECS[coding](TEXT[: data.draw(st.integers(0, 2000))]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        body = body or bytearray(b"\x00")
    _decodes_or_refuses(bytes(body), coding, step)


def _decodes_or_refuses(data: bytes, coding: str, step: int) -> None:
    """The same answer in one piece and in steps: the same bytes, or one of our two errors both times."""
    outcomes: list[bytes | type[Exception]] = []
    for size in (None, step):
        try:
            outcomes.append(run(data, coding, size, 4 * MIB))
        except (DecodeError, TooLargeError) as error:
            outcomes.append(type(error))
    assert outcomes[0] == outcomes[1]


# A stream of 10 GiB of zeros without the time to make one: the block of a flushed second MiB, again and again.
BOMB = """
import resource, sys, time, zlib
import brotli
from backports import zstd
from pipeline.errors import TooLargeError
from pipeline.fetch.content import Decoder

coding, step = sys.argv[1], int(sys.argv[2])
zeros = bytes(1 << 20)
if coding == "br":
    squeeze = brotli.Compressor()
    parts = [squeeze.process(zeros) + squeeze.flush() for _ in range(4)]
elif coding == "zstd":
    squeeze = zstd.ZstdCompressor()
    parts = [squeeze.compress(zeros, squeeze.FLUSH_BLOCK) for _ in range(4)]
else:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    parts = [squeeze.compress(zeros) + squeeze.flush(zlib.Z_FULL_FLUSH) for _ in range(4)]
bomb = b"".join(parts[:2]) + parts[2] * 10_238
Decoder([coding], 1 << 20).feed(b"")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
decoder = Decoder([coding], 16 << 20)
kept = []
try:
    for at in range(0, len(bomb), step):
        kept.append(decoder.feed(bomb[at : at + step]))
except TooLargeError:
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(grown, time.perf_counter() - start)
"""


@pytest.mark.parametrize("coding", CODECS)
@pytest.mark.parametrize("step", [1, 65536])
def test_ten_gib_of_zeros_are_refused_in_bounded_memory(coding: str, step: int) -> None:
    command = [sys.executable, "-c", BOMB, coding, str(step)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=True, cwd=Path(__file__).parents[2]
    )
    grown, seconds = done.stdout.split()
    kibibytes = int(grown) // (1024 if sys.platform == "darwin" else 1)
    assert kibibytes < 32 * 1024
    assert float(seconds) < 2


def test_many_small_pages_do_not_leak() -> None:
    body = {coding: squeeze(TEXT) for coding, squeeze in CODECS.items()}
    for coding, data in body.items():
        run(data, coding)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(50):
        for coding, data in body.items():
            assert len(run(data, coding)) == len(TEXT)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024 * (
        1024 if sys.platform == "darwin" else 1
    )
