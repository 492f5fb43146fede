"""Rows B01 to B06: what is inside a body. Codings that swell, break or lie, charsets, and pages that are none."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from functools import cache

import brotli
from backports import zstd

from tests.badserver.crawl import HTML, Row, html, moved, plain
from tests.badserver.rows import CHUNKED
from tests.badserver.server import HOLD, Handler, Steps, page, reply

MIB = 2**20
PAGE = b"<h1>packed</h1>"
CHARSETS = (
    *(
        "utf-8",
        "UTF8",
        "unicode-1-1-utf-8",
        "ascii",
        "us-ascii",
        "iso-8859-1",
        "latin1",
        "l1",
        "windows-1252",
        "cp1252",
    ),
    *("iso-8859-2", "iso-8859-15", "windows-1251", "koi8-r", "koi8-u", "ibm866", "macintosh", "x-mac-cyrillic", "big5"),
    *(
        "gb2312",
        "gbk",
        "gb18030",
        "hz-gb-2312",
        "euc-jp",
        "shift_jis",
        "iso-2022-jp",
        "iso-2022-kr",
        "euc-kr",
        "utf-16",
    ),
    *("utf-16le", "utf-16be", "utf-32", "utf-7", "x-user-defined", "replacement", "base64", "rot13", "idna", "no-such"),
    *("unicode_escape", '"', "a" * 5000),
)


def lazily(make: Callable[[], bytes], coding: bytes, *, kind: bytes = HTML) -> Handler:
    """A page with this coded body, made when it is first asked for."""
    made = cache(make)

    def handler(request: bytes) -> Steps:
        yield page(made(), headers=kind + b"Content-Encoding: " + coding + b"\r\n")
        return True

    return handler


def zlib_bomb(wbits: int, mebibytes: int = 1024) -> bytes:
    """So many MiB of zeros: one block of deflate, repeated as it is."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    start = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * (mebibytes - 1)


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: zlib_bomb(31),
    "deflate": lambda: zlib_bomb(15),
    "br": lambda: brotli.compress(bytes(64 * MIB), quality=1),
    "zstd": lambda: zstd.compress(bytes(16 * MIB)) * 640,
}


def dribbled(make: Callable[[], bytes], coding: bytes, size: int) -> Handler:
    """The first 4 MiB of the same in chunks of so many bytes."""

    def handler(request: bytes) -> Steps:
        body = make()[: 4 * MIB]
        yield CHUNKED[:-2] + HTML + b"Content-Encoding: " + coding + b"\r\n\r\n"
        for start in range(0, len(body), size):
            part = body[start : start + size]
            yield b"%x\r\n%b\r\n" % (len(part), part)
        yield b"0\r\n\r\n"
        return True

    return handler


def zstd_frame(window_log: int, content: bytes) -> bytes:
    """A frame that asks for this window, with one raw block (RFC 8878, 3.1.1)."""
    block = (len(content) << 3 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd\0" + bytes(((window_log - 10) << 3,)) + block + content


def coded(body: bytes, *codings: bytes) -> Handler:
    """A page with a header line for each coding."""
    return reply(page(body, headers=HTML + b"".join(b"Content-Encoding: %b\r\n" % one for one in codings)))


def raw_deflate(data: bytes) -> bytes:
    """Deflate without the zlib header, which many servers mean by the name."""
    return zlib.compress(data, wbits=-15)


def broken_gzip() -> dict[str, Handler]:
    """One byte changed behind the header, at 16 places."""
    whole = gzip.compress(PAGE * 20, mtime=0)
    places = range(10, len(whole), max(1, (len(whole) - 10) // 16))
    bodies = [whole[:at] + bytes((whole[at] ^ 0xFF,)) + whole[at + 1 :] for at in places]
    return {f"/flip{number}": coded(body, b"gzip") for number, body in enumerate(bodies)}


def truncated() -> dict[str, Handler]:
    """Every coding cut in its middle, and before its last byte."""
    bodies = {"gzip": gzip.compress(PAGE * 20), "deflate": zlib.compress(PAGE * 20)}
    bodies |= {"br": brotli.compress(PAGE * 20), "zstd": zstd.compress(PAGE * 20)}
    return {
        f"/{name}{cut}": coded(body[: len(body) // 2 if cut == "half" else -1], name.encode())
        for name, body in bodies.items()
        for cut in ("half", "last")
    }


WHOLE: dict[str, Handler] = {
    "/raw": coded(raw_deflate(PAGE), b"deflate"),
    "/zlib": coded(zlib.compress(PAGE), b"deflate"),
    "/members": coded(gzip.compress(PAGE[:5]) + gzip.compress(PAGE[5:]), b"gzip"),
    "/frames": coded(zstd.compress(PAGE[:5]) + zstd.compress(PAGE[5:]), b"zstd"),
    "/junk": coded(gzip.compress(PAGE) + b"\r\njunk", b"gzip"),
    "/zlibjunk": coded(zlib.compress(PAGE) + b"junk", b"deflate"),
    "/xgzip": coded(gzip.compress(PAGE), b"X-GZIP"),
    "/empty": reply(page(b"", headers=HTML + b"Content-Encoding: gzip\r\n")),
}


def _identity_only(request: bytes) -> Steps:
    """A server whose gzip is broken."""
    if b"accept-encoding: identity" in request.lower():
        yield page(PAGE, headers=HTML)
    else:
        yield page(b"\x1f\x8b\x08no gzip at all", headers=HTML + b"Content-Encoding: gzip\r\n")
    return True


def _short(status: str, headers: bytes = b"") -> bytes:
    """A head, and less of a body than it says."""
    return b"HTTP/1.1 " + status.encode() + b"\r\nContent-Length: 9\r\n" + headers + b"\r\nabc"


def _all(paths: object, fate: str) -> dict[str, str]:
    return dict.fromkeys(paths, fate)  # type: ignore[call-overload,no-any-return]


EVERY_BYTE = bytes(range(256))
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + EVERY_BYTE * 20

BODIES: dict[str, Row] = {
    **{
        f"B01-{name}": Row(
            ("/bomb", "/slices", "/bytes"),
            {
                "/bomb": lazily(make, name.encode()),
                "/slices": dribbled(make, name.encode(), 65536),
                "/bytes": dribbled(lambda make=make: make()[:2000], name.encode(), 1),  # type: ignore[misc]
            },
            fates={
                "/bomb": "failed:too_large",
                "/slices": "failed:too_large",
                "/bytes": "failed:too_large" if name == "zstd" else "failed:decode",
            },
            growth=40,
        )
        for name, make in BOMBS.items()
    },
    "B01-robots": Row(
        ("/x",),
        {"/robots.txt": lazily(BOMBS["gzip"], b"gzip", kind=b"Content-Type: text/plain\r\n"), "/x": html("x")},
        fates={"/x": "fetched"},
    ),
    "B01-redirect": Row(
        ("/x",),
        {"/x": moved("/y", headers=b"Content-Encoding: gzip\r\n", body=zlib_bomb(31, 16)), "/y": html("y")},
        fates={"/x": "redirected", "/y": "fetched"},
    ),
    "B02": Row(
        ("/lines", "/list", "/thousand", "/two"),
        {
            "/lines": coded(gzip.compress(gzip.compress(gzip.compress(PAGE))), b"gzip", b"gzip", b"gzip"),
            "/list": coded(PAGE, b", ".join([b"gzip"] * 1000)),
            "/thousand": coded(PAGE, *([b"gzip"] * 1000)),
            "/two": coded(brotli.compress(gzip.compress(PAGE)), b"gzip", b"br"),
        },
        fates={
            **_all(("/lines", "/list"), "failed:decode"),
            "/thousand": "failed:too_large",
            "/two": "fetched",
        },
        titles=("packed",),
    ),
    "B03": Row(
        ("/2GiB", "/16MiB", "/8MiB"),
        {
            "/2GiB": coded(zstd_frame(31, PAGE), b"zstd"),
            "/16MiB": coded(zstd_frame(24, PAGE), b"zstd"),
            "/8MiB": coded(zstd_frame(23, PAGE), b"zstd"),
        },
        fates={**_all(("/2GiB", "/16MiB"), "failed:decode"), "/8MiB": "fetched"},
        titles=("packed",),
    ),
    "B04-whole": Row(
        tuple(WHOLE),
        WHOLE,
        fates=_all(WHOLE, "fetched"),
        titles=("packed",) * 7,
    ),
    "B04-broken": Row(
        (*broken_gzip(), *truncated()),
        broken_gzip() | truncated(),
        fates=_all((*broken_gzip(), *truncated()), "failed:decode"),
    ),
    "B04-identity": Row(
        ("/x",),
        {"/x": _identity_only},
        fates={"/x": "fetched"},
        broken="a broken coding is not asked for once more with Accept-Encoding: identity",
    ),
    "B05": Row(
        tuple(f"/{number}" for number in range(len(CHARSETS))),
        {
            f"/{number}": reply(
                page(
                    b"<meta charset='%b'><h1>%b</h1>" % (label.encode()[:40], EVERY_BYTE + b"\xed\xa0\x80\xff\xfe"),
                    headers=b"Content-Type: text/html; charset=%b\r\n" % label.encode(),
                )
            )
            for number, label in enumerate(CHARSETS)
        },
        fates=_all((f"/{number}" for number in range(len(CHARSETS))), "fetched"),
    ),
    "B05-marks": Row(
        ("/bom", "/utf16", "/json"),
        {
            "/bom": reply(
                page(b"\xef\xbb\xbf<h1>\xc3\xa4</h1>", headers=b"Content-Type: text/html; charset=iso-8859-1\r\n")
            ),
            "/utf16": reply(page("\ufeff<h1>\u00e4</h1>".encode("utf-16-le"), headers=HTML)),
            "/json": reply(page(b'{"a": "\\ud800"}', headers=b"Content-Type: application/json\r\n")),
        },
        fates=_all(("/bom", "/utf16", "/json"), "fetched"),
        titles=("\u00e4", "\u00e4"),
    ),
    "B06": Row(
        ("/png",),
        {"/png": reply(page(PNG, headers=HTML))},
        fates={"/png": "rejected:type"},
    ),
    "B06-kinds": Row(
        ("/nul", "/png", "/none"),
        {
            "/nul": reply(page(b"<h1>a\0b</h1>" + b"\0" * 100_000, headers=HTML)),
            "/png": reply(page(PNG, headers=b"Content-Type: image/png\r\n")),
            "/none": reply(page(EVERY_BYTE)),
        },
        fates=_all(("/nul", "/png", "/none"), "fetched"),
    ),
    "T04-head-said-it": Row(
        ("/moved", "/stalls", "/gone", "/large", "/other"),
        {
            "/moved": reply(_short("302 Found", b"Location: /a\r\n")),
            "/stalls": reply(_short("301 Moved", b"Location: /b\r\nSet-Cookie: k=v\r\n"), HOLD),
            "/gone": reply(_short("404 No"), HOLD),
            "/large": reply(b"HTTP/1.1 410 Gone\r\nContent-Length: 99999999\r\n\r\n"),
            "/other": reply(b"HTTP/1.1 403 No\r\nContent-Length: 99999999\r\n\r\n"),
            "/a": html("a"),
            "/b": html("b"),
        },
        fetch={"timeout": {"idle": "200ms"}},
        fates={
            **_all(("/moved", "/stalls"), "redirected"),
            **_all(("/a", "/b"), "fetched"),
            **_all(("/gone", "/large"), "gone"),
            "/other": "failed:too_large",
        },
        asked=("/moved", "/stalls", "/gone", "/large", "/other", "/a", "/b"),
    ),
    "B06-robots": Row(
        ("/x", "/no"),
        {"/robots.txt": plain(PNG + b"\nUser-agent: *\nDisallow: /no\n"), "/x": html("x")},
        fates={"/x": "fetched", "/no": "rejected:robots"},
    ),
}
