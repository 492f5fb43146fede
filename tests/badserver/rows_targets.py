"""Rows U01 to U10 and R01 to R07: where links and redirects may lead, and what a robots.txt can do to us."""

from __future__ import annotations

import gzip
from itertools import pairwise

from tests.badserver.crawl import Row, html, moved, plain
from tests.badserver.rows import OK, forever
from tests.badserver.server import HOLD, RESET, Handler, reply

SCHEMES = (
    *(
        "@FILE@",
        "FILE:///etc/passwd",
        "file:/etc/passwd",
        "f\tile:///etc/passwd",
        " file:///etc/passwd",
        "file://127.0.0.1/x",
    ),
    *("ftp://127.0.0.1/x", "data:text/html,<h1>data</h1>", "javascript:alert(1)", "view-source:file:///etc/passwd"),
    *("source:file:///etc/passwd", "gopher://127.0.0.1:1/_x", "ws://127.0.0.1/", "mailto:a@b.example", "about:blank"),
)
NORMAL = {  # as the URL standard writes them
    "FILE:///etc/passwd": "file:///etc/passwd",
    "file:/etc/passwd": "file:///etc/passwd",
    "f\tile:///etc/passwd": "file:///etc/passwd",
    " file:///etc/passwd": "file:///etc/passwd",
}
PRIVATE = {  # as a page writes the host, and as it is
    "10.0.0.1": "10.0.0.1",
    "172.16.0.1": "172.16.0.1",
    "192.168.1.1": "192.168.1.1",
    "169.254.169.254": "169.254.169.254",
    "100.64.0.1": "100.64.0.1",
    "0": "0.0.0.0",
    "2130706433": "127.0.0.1",
    "0x0a.1": "10.0.0.1",
    "012.0.0.2": "10.0.0.2",
    "\uff11\uff10.0.0.3": "10.0.0.3",
    "%31%30.0.0.4": "10.0.0.4",
    "10.0.0.5.": "10.0.0.5",
}
PRIVATE_V6 = {
    "[::1]": "[::1]",
    "[::ffff:10.0.0.1]": "[::ffff:a00:1]",
    "[64:ff9b::10.0.0.1]": "[64:ff9b::a00:1]",
    "[2002:a00:1::]": "[2002:a00:1::]",
    "[fe80::1]": "[fe80::1]",
    "[fd00::1]": "[fd00::1]",
}
WITHIN = {"allow_domains": [*sorted(set(PRIVATE.values())), "127.0.0.2"]}
PORTS = (1, 22, 25, 110, 6000, 6667, 10080)
STARS = b"User-agent: *\nDisallow: /" + b"a*" * 30 + b"b\nDisallow: /no\n"
LONG = "/" + "a" * 7000
RULES = b"User-agent: *\nDisallow: /no\n"
PAGES = ("/x", "/no")
KEPT = {"/x": "fetched", "/no": "rejected:robots"}
FREE = {"/x": "fetched", "/no": "fetched"}


def robots(handler: Handler, fates: dict[str, str], **words: object) -> Row:
    """A site with this robots.txt; `/x` is free and `/no` is not."""
    return Row(
        PAGES,
        {"/x": html("x"), "/no": html("no"), "/robots.txt": handler},
        fates=fates,
        **words,  # type: ignore[arg-type]
    )


def shut(handler: Handler, **words: object) -> Row:
    """A site whose robots.txt keeps us out altogether: only its seed is known."""
    words = {"home": "rejected:robots", "good": None} | words
    return Row(routes={"/robots.txt": handler}, **words)  # type: ignore[arg-type]


def cut_within(rules: bytes, before: bytes, after: bytes) -> bytes:
    """A robots.txt of which the first 512 KiB end in the middle of a line, between these two."""
    fill = 512 * 1024 - len(rules) - len(before)
    return rules + b"#" * (fill % 1024) + b"\n" * (fill - fill % 1024) + before + after * 1000


def chain(hops: int) -> dict[str, Handler]:
    """A robots.txt behind so many redirects."""
    names = ["/robots.txt", *(f"/r{number}" for number in range(1, hops + 1))]
    moves = {name: moved(after) for name, after in pairwise(names)}
    return {**moves, names[-1]: plain(RULES), "/x": html("x"), "/no": html("no")}


TARGETS: dict[str, Row] = {
    "U01-links": Row(
        SCHEMES,
        fates={NORMAL.get(url, url): "rejected:scheme" for url in SCHEMES},
        asked=(),
    ),
    "U01-redirects": Row(
        tuple(f"/{number}" for number in range(len(SCHEMES))),
        {f"/{number}": moved(url) for number, url in enumerate(SCHEMES)},
        fates={
            **{f"/{number}": "redirected" for number in range(len(SCHEMES))},
            **{NORMAL.get(url, url): "rejected:scheme" for url in SCHEMES},
        },
    ),
    "U02-links": Row(
        tuple(f"http://{host}/" for host in PRIVATE),
        scope=WITHIN,
        fates={f"http://{host}/": "rejected:private_network" for host in PRIVATE.values()},
        asked=(),
    ),
    "U02-redirects": Row(
        tuple(f"/{number}" for number in range(len(PRIVATE))),
        {f"/{number}": moved(f"http://{host.encode().decode('latin-1')}/") for number, host in enumerate(PRIVATE)},
        scope=WITHIN,
        fates={
            **{f"/{number}": "redirected" for number in range(len(PRIVATE))},
            **{f"http://{host}/": "rejected:private_network" for host in PRIVATE.values()},
        },
    ),
    "U02-v6": Row(  # the first hop of a seed is in scope wherever it leads
        seeds=tuple(f"@HERE@/{number}" for number in range(len(PRIVATE_V6))),
        routes={f"/{number}": moved(f"http://{host}/") for number, host in enumerate(PRIVATE_V6)},
        fates={
            **{f"/{number}": "redirected" for number in range(len(PRIVATE_V6))},
            **{f"http://{host}/": "rejected:private_network" for host in PRIVATE_V6.values()},
        },
    ),
    "U02-port": Row(
        ("@OTHER@/x", "/to"),
        {"/to": moved("@OTHER@/y")},
        other={"/x": html("x"), "/y": html("y")},
        fates={"@OTHER@/x": "rejected:private_network", "/to": "redirected", "@OTHER@/y": "rejected:private_network"},
        other_asked=(),
    ),
    "U02-seed": Row(
        seeds=("@HERE@/to",),
        routes={"/to": moved("@OTHER@/y")},
        other={"/y": html("y")},
        fates={"/to": "redirected", "@OTHER@/y": "rejected:private_network"},
        other_asked=(),
    ),
    "U02-address": Row(
        ("@OTHER@/x",),
        other={"/x": html("x")},
        other_host="127.0.0.2",
        scope=WITHIN,
        fates={"@OTHER@/x": "rejected:private_network"},
        other_asked=(),
    ),
    "U04": Row(
        (
            "http://127.0.0.1:@HEREPORT@\\@127.0.0.2:@OTHERPORT@/1",
            "http://127.0.0.2:@OTHERPORT@#@127.0.0.1:@HEREPORT@/2",
            "http://127.0.0.1:@HEREPORT@;@127.0.0.2:@OTHERPORT@/3",
            "/\\127.0.0.2:@OTHERPORT@/4",
            "\\\\127.0.0.2:@OTHERPORT@\\5",
            "/\t/127.0.0.2:@OTHERPORT@/6",
            "http:127.0.0.2:@OTHERPORT@/7",
            "http://127.0.0.1%2F@127.0.0.2:@OTHERPORT@/8",
            "http://127.0.0.1%252F.127.0.0.2/9",
            "http://127.0.0.2:@OTHERPORT@?@127.0.0.1:@HEREPORT@/10",
            "http:///127.0.0.2:@OTHERPORT@/11",
            "//127%E3%80%820.0.2:@OTHERPORT@/12",
            "http://127.0.0.1 .127.0.0.2/13",
            "http://127.0.0.1:99999/14",
            "http://[::1/15",
        ),
        other={},
        other_host="127.0.0.2",
        fates={
            "/@127.0.0.2:@OTHERPORT@/1": "gone",
            "@OTHER@/": "rejected:scope",
            "http://127.0.0.1:@HEREPORT@%3B@127.0.0.2:@OTHERPORT@/3": "rejected:scope",
            "@OTHER@/4": "rejected:scope",
            "@OTHER@/5": "rejected:scope",
            "@OTHER@/6": "rejected:scope",
            "/127.0.0.2:@OTHERPORT@/7": "gone",
            "http://127.0.0.1%2F@127.0.0.2:@OTHERPORT@/8": "rejected:scope",
            "@OTHER@/?@127.0.0.1:@HEREPORT@/10": "rejected:scope",
            "@OTHER@/11": "rejected:scope",
            "@OTHER@/12": "rejected:scope",
        },
        bad_links=4,
        other_asked=(),
    ),
    "U09": Row(
        (*(f"http://127.0.0.1:{port}/" for port in PORTS), "/to25", "http://127.0.0.1:6379/"),
        {"/to25": moved("http://127.0.0.1:25/to")},
        fates={
            **{f"http://127.0.0.1:{port}/": "rejected:scheme" for port in PORTS},
            "/to25": "redirected",
            "http://127.0.0.1:25/to": "rejected:scheme",
            "http://127.0.0.1:6379/": "rejected:private_network",
        },
    ),
    "U10": Row(
        (
            *("/" + "m" * 2**20, "/" + "k" * 9000, "/q?" + "&".join(f"a{n}=1" for n in range(60)), "/a/a/a/a"),
            *(
                "http://" + "h" * 64 + ".example/",
                "http://" + ".".join(["l" * 60] * 5) + "/",
                "http://a..b/",
                "/to9000",
            ),
        ),
        {"/to9000": moved("/" + "t" * 9000), "/to1M": moved("/" + "u" * 2**20)},
        seeds=("@HERE@/to1M",),
        fates={
            "/" + "k" * 9000: "rejected:trap",
            "/q?" + "&".join(f"a{n}=1" for n in range(60)): "rejected:trap",
            "/a/a/a/a": "rejected:trap",
            "http://" + "h" * 64 + ".example/": "rejected:trap",
            "http://" + ".".join(["l" * 60] * 5) + "/": "rejected:trap",
            "http://a..b/": "rejected:trap",
            "/to9000": "redirected",
            "/" + "t" * 9000: "rejected:trap",
            "/to1M": "failed:too_large",
        },
        bad_links=1,
    ),
    # robots.txt
    "R01": Row(
        (LONG, "/no"),
        {"/robots.txt": plain(STARS)},
        fates={LONG: "gone", "/no": "rejected:robots"},
        seconds=1.0,
    ),
    "R01-many": robots(plain(RULES + b"".join(b"Disallow: /%d*a*b$\n" % n for n in range(9000))), KEPT),
    "R02-endless": robots(forever(OK + b"\r\n" + RULES, b"# again\n" * 8192), KEPT),
    "R02-huge": robots(forever(OK + b"Content-Length: 1000000000\r\n\r\n" + RULES, b"# again\n" * 8192), KEPT),
    "R02-line": robots(plain(RULES + b"Disallow: /" + b"x" * 10_000_000), KEPT),
    "R02-cut": robots(plain(cut_within(b"User-agent: *\nDisallow: /no\n", b"Allow: /no", b"thing\n")), KEPT),
    "R02-cut-packed": robots(
        plain(
            gzip.compress(cut_within(b"User-agent: *\nDisallow: /no\n", b"Allow: /no", b"thing\n")),
            headers=b"Content-Encoding: gzip\r\n",
        ),
        KEPT,
    ),
    "R03-503": shut(plain(b"", "503 Unavailable")),
    "R03-429": shut(plain(b"", "429 Too Many"), fetch={"retry_after": {"max": "1s"}}, home="deferred:retry_after"),
    "R03-later": shut(plain(b"", "503 Unavailable", headers=b"Retry-After: 5000\r\n"), home="deferred:retry_after"),
    "R03-reset": shut(reply(RESET)),
    "R03-silent": shut(reply(HOLD), fetch={"timeout": {"first_byte": "200ms"}}),
    **{f"R04-{status}": robots(plain(RULES, f"{status} No"), FREE) for status in (400, 401, 403, 404, 410)},
    "R05-html": robots(html("robots", body="<p>\nUser-agent: *\nDisallow: /no\n</p>"), KEPT),
    "R05-utf16": robots(plain(RULES.decode().encode("utf-16")), KEPT),
    "R05-bom": robots(plain(b"\xef\xbb\xbf" + RULES), KEPT),
    "R05-nul": robots(plain(b"\0\0\n" + RULES + b"Disallow: /a\0b\n"), KEPT),
    "R05-invalid": robots(plain(b"# \xff\xfe\xed\xa0\x80\n" + RULES + b"Disallow: /\xff\n"), KEPT),
    "R05-empty": robots(plain(b""), FREE),
    "R05-endings": robots(plain(RULES.replace(b"\n", b"\r")), KEPT),
    "R06-5": Row(PAGES, chain(5), fates=KEPT),
    "R06-6": Row(PAGES, chain(6), fates=FREE),
    "R06-loop": robots(moved("/robots.txt"), FREE),
    "R06-other": robots(
        moved("@OTHER@/rules"),
        KEPT,
        other={"/rules": plain(RULES)},
        fetch={"private_networks": "allow"},
        other_asked=("/rules",),
    ),
    "R06-private": shut(moved("@OTHER@/rules"), other={"/rules": plain(RULES)}, other_asked=()),
    "R06-scheme": shut(moved("file:///etc/passwd")),
    "R06-ftp": shut(moved("ftp://127.0.0.1/robots.txt")),
    "R06-no-url": shut(moved("http://[")),
    "R06-nowhere": shut(plain(b"", "302 Found")),
    "R07-kept": robots(plain(RULES + b"Crawl-delay: 0.2\n"), KEPT),
    "R07-cap": shut(plain(RULES + b"Crawl-delay: 61\n")),
    "R07-cap-own": shut(plain(RULES + b"Crawl-delay: 0.3\n"), fetch={"robots": {"max_crawl_delay": "200ms"}}),
    "R07-day": shut(plain(RULES + b"Crawl-delay: 86400\n")),
    "R07-words": robots(plain(RULES + b"Crawl-delay: abc\nCrawl-delay: -5\nCrawl-delay: nan\n"), KEPT),
    "R07-off": robots(plain(RULES + b"Crawl-delay: 86400\n"), KEPT, fetch={"robots": {"crawl_delay": False}}),
}
