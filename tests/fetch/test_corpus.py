"""Replies that nobody here wrote: llhttp, curl, h11, aiohttp, CPython, fuzzers. Judged as far as http1 alone can judge.

Where we differ from the source's expectation on purpose, `DIFFERENCES` says why; an entry that no longer differs fails.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64decode
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import FetchError
from pipeline.fetch.http1 import ResponseReader

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "open" / "http_responses"

_TE = "a transfer coding other than chunked is refused: none was asked for (threat row T10)"
_LF = "lines ending in LF alone are repaired, as browsers and curl read them (T11)"
_CR = "a bare CR counts as a blank (RFC 9112, 2.2, second choice); the connection is not used again"
_UPGRADE = "a switch of protocols that was not asked for is refused (T09)"
_LIST = "a list of lengths is refused even where all are equal (T10)"
_CONFLICT = "length and chunked together are refused (T10)"

DIFFERENCES = {
    "llhttp-invalid-132": _CR,
    "llhttp-invalid-151": _CR,
    "llhttp-invalid-176": _CR,
    "llhttp-invalid-287": _LF,
    "llhttp-invalid-327": _LF,
    "llhttp-lenient-version-4": "only HTTP/1.0 and 1.1 are read (T09)",
    "llhttp-sample-330": _LF,
    "llhttp-sample-574": "a line whose name is no token is dropped (T11)",
    "llhttp-transfer-encoding-74": _TE,
    "llhttp-transfer-encoding-110": _TE,
    "llhttp-transfer-encoding-4": "blanks after a chunk size are read, as curl, h11 and browsers read them",
    "curl-365": _CONFLICT,
    "curl-395": "a length beyond 64 bits is refused; curl reads to the end (T10)",
    "curl-398": "a line without colon is dropped; curl refuses the answer (T11)",
    "curl-770": _LIST,
    "curl-2105": _CR,
    "h11-002": _UPGRADE,
    "h11b-012": "llhttp refuses a blank before the name of a chunk extension",
    "aiohttp-006": _TE,
    "aiohttp-008": _UPGRADE,
    "aiohttp-010": _UPGRADE,
    "aiohttp-011": _UPGRADE,
    "aiohttp-013": _UPGRADE,
    "aiohttp-023": "the limit is on the whole head, 64 KiB, not on a line",
    "aiohttp-029": "the limit is on the whole head, 64 KiB, not on a line",
    "aiohttp-030": "the limit is on the whole head, 64 KiB, not on a line",
    "aiohttp-041": _TE,
    "aiohttp-042": _TE,
    "aiohttp-051": "a chunked body is judged with its head, not in a parser of its own",
}

# What http1 cannot judge alone.
ELSEWHERE = {
    "curl-221": "content coding",
    "curl-224": "content coding",
    "curl-397": "content coding",
    "curl-1563": "redirect to another scheme",
}


@cache
def cases(name: str) -> list[dict[str, Any]]:
    path = FOLDER / name
    if not path.exists():
        return []
    data = path.read_bytes()
    text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
    return [json.loads(line) for line in text.splitlines()]


def some(name: str) -> Any:
    """Parametrise over the cases of a file; one skipped test where the folder is absent.

    Of curl's cases, those of one plain GET with a stated outcome.
    """
    judged = [c for c in cases(name) if c["id"] not in ELSEWHERE and c.get("simple_get", True)]
    found = [pytest.param(case, id=case["id"]) for case in judged]
    skipped = pytest.param({}, id="absent", marks=pytest.mark.skip(reason=f"no corpus at {FOLDER}"))
    return pytest.mark.parametrize("case", found or [skipped])


def read(parts: list[bytes], *, eof: bool = True) -> ResponseReader | FetchError:
    reader = ResponseReader()
    try:
        for part in parts:
            if reader.feed(memoryview(part)):
                return reader
        if eof:
            reader.eof()
    except FetchError as error:
        return error
    return reader


def summary(result: ResponseReader | FetchError) -> tuple[Any, ...]:
    if isinstance(result, FetchError):
        return ("truncated" if result.reason == "early_eof" else "refused",)
    return result.status, result.headers, result.body


def same_however_cut(raw: bytes) -> ResponseReader | FetchError:
    """The result, which must not depend on how the bytes were cut."""
    whole = read([raw])
    assert summary(read([raw[n : n + 1] for n in range(len(raw))])) == summary(whole)
    step = max(1, len(raw) // 200)
    for n in range(1, len(raw), step):
        assert summary(read([raw[:n], raw[n:]])) == summary(whole), n
    return whole


def judge(case: dict[str, Any], agrees: bool, result: ResponseReader | FetchError) -> None:
    if case["id"] in DIFFERENCES:
        assert not agrees, f"no difference any more: {DIFFERENCES[case['id']]}"
    else:
        assert agrees, f"{case['name']}: {summary(result)}, expected {case['expect']}"


@some("llhttp.jsonl")
def test_llhttp(case: dict[str, Any]) -> None:
    result = same_however_cut(b64decode(case["raw_base64"]))
    expected = case["expect"]
    message = next((m for m in expected["messages"] if (m["status"] or 0) >= 200), None)
    if isinstance(result, FetchError):
        whole = message is not None and message["complete"]
        judge(case, not whole and (expected["error"] is not None or result.reason == "early_eof"), result)
    else:
        same = message is not None and (
            (result.status, result.body) == (message["status"], b64decode(message["body_base64"]))
            and [list(field) for field in result.headers] == message["headers"]
        )
        judge(case, same and (message is None or message["complete"] or not expected["error"]), result)


@some("curl.jsonl.gz")
def test_curl(case: dict[str, Any]) -> None:
    result = same_however_cut(b64decode(case["responses"][0]["raw_base64"]))
    expected = case["expect"]
    if isinstance(result, FetchError):
        judge(case, expected["error"], result)
        return
    status, body = expected.get("status"), expected.get("body_base64")
    agrees = not expected["error"] and status in (None, result.status)
    judge(case, agrees and (not body or b64decode(body) == result.body), result)


@some("h11_head.jsonl")
def test_h11_head(case: dict[str, Any]) -> None:
    result = same_however_cut(b64decode(case["raw_base64"]))
    expected = case["expect"]
    if isinstance(result, FetchError):
        judge(case, expected["error"], result)
    else:
        headers = [[name.lower(), value] for name, value in result.headers]
        judge(case, (result.status, headers) == (expected.get("status"), expected.get("headers")), result)


@some("h11_body.jsonl")
def test_h11_body(case: dict[str, Any]) -> None:
    length = case["content_length"]
    head = b"HTTP/1.1 200 OK\r\n"
    if case["reader"] == "ChunkedReader":
        head += b"Transfer-Encoding: chunked\r\n"
    elif length is not None:
        head += b"Content-Length: %d\r\n" % length
    result = read([head + b"\r\n" + b64decode(case["body_wire_base64"])], eof=case["eof"])
    expected = case["expect"]
    if isinstance(result, FetchError):
        judge(case, expected["error"] or not expected["complete"], result)
    else:
        judge(
            case, (result.complete, result.body) == (expected["complete"], b64decode(expected["body_base64"])), result
        )


@some("aiohttp.jsonl")
def test_aiohttp(case: dict[str, Any]) -> None:
    same_however_cut(b64decode(case["raw_base64"]))
    result = read([b64decode(chunk) for chunk in case["chunks_base64"]], eof=case["eof_fed"])
    judge(case, isinstance(result, FetchError) == case["expect"]["parser_raised"], result)


@some("cpython_httplib.jsonl")
def test_cpython(case: dict[str, Any]) -> None:
    same_however_cut(b64decode(case["raw_base64"]))


@some("curl_fuzzer.jsonl")
def test_curl_fuzzer(case: dict[str, Any]) -> None:
    same_however_cut(b64decode(case["raw_base64"]))


@some("client_test_literals.jsonl")
def test_client_literals(case: dict[str, Any]) -> None:
    same_however_cut(b64decode(case["raw_base64"]))


def test_every_curl_reply_is_read_or_refused() -> None:
    """Also those whose outcome needs more than http1: no foreign exception."""
    if not cases("curl.jsonl.gz"):
        pytest.skip(f"no corpus at {FOLDER}")
    replies = [b64decode(r["raw_base64"]) for case in cases("curl.jsonl.gz") for r in case["responses"]]
    results = [read([raw]) for raw in replies]
    good = sum(not isinstance(result, FetchError) for result in results)
    assert good > len(replies) * 0.6
