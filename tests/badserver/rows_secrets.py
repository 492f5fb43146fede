"""Rows C01 to C13: what we tell whom. Secrets on redirects, cookies, proxies of the environment, loops, gates."""

from __future__ import annotations

from tests.badserver.crawl import HTML, Row, html, moved, plain
from tests.badserver.rows import OK, forever
from tests.badserver.server import Handler, Steps, page, reply

ALLOW = {"private_networks": "allow"}
CANARY = b"canary"
BOTH = {"allow_domains": ["127.0.0.1", "127.0.0.2"]}
STATUSES = (301, 302, 303, 307, 308)
SECRETS_BY_HAND = {
    "AUTHORIZATION": "Bearer canary",
    "cookie": "k=canary",
    "X-Api-Key": "canary",
    "x-AUTH-token": "canary",
}


def seed(path: str, **words: object) -> dict[str, object]:
    """A seed of the site."""
    return {"url": f"@HERE@{path}", **words}


def once_told(path: str, secret: bytes = CANARY) -> object:
    """The site itself was told the secret at `path`, and nowhere else."""

    def judge(here: list[bytes], other: list[bytes]) -> None:
        assert other, "the second origin was never asked"
        told = {request.split(b" ", 2)[1].decode() for request in here if secret in request}
        assert told == {path}

    return judge


def away_and_back(status: int) -> Row:
    """Secrets set by hand on a seed, which is sent to another port and from there back."""
    return Row(
        seeds=(seed("/start", headers=SECRETS_BY_HAND),),
        routes={"/start": moved("@OTHER@/x", f"{status} Moved"), "/back": html("back")},
        other={"/x": moved("@HERE@/back", f"{status} Moved")},
        fetch=ALLOW,
        fates={"/start": "redirected", "@OTHER@/x": "redirected", "/back": "fetched"},
        other_asked=("/robots.txt", "/x"),
        never=CANARY,
        strict=once_told("/start"),  # type: ignore[arg-type]
    )


def posted(here: list[bytes], other: list[bytes]) -> None:
    """What became of the method and the body at each target (Fetch standard, HTTP-redirect fetch, step 12)."""
    for request in here:
        line, _, rest = request.partition(b"\r\n")
        method, target, _ = line.split(b" ")
        if not target.startswith(b"/to"):
            continue
        kept = target in (b"/to307", b"/to308")
        assert method == (b"POST" if kept else b"GET"), target
        assert rest.endswith(b"\r\n\r\nq=secret" if kept else b"\r\n\r\n"), target
        assert (b"content-type:" in rest.lower()) is kept, target
        assert (b"content-length:" in rest.lower()) is kept, target
        assert b"X-Kept: yes" in rest


def cookies_of(requests: list[bytes], target: str) -> list[str]:
    """The cookies that the one request for a target carried."""
    (request,) = [request for request in requests if request.split(b" ", 2)[1].decode() == target]
    lines = [line for line in request.decode("latin-1").split("\r\n") if line.lower().startswith("cookie: ")]
    return sorted(lines[0].partition(": ")[2].split("; ")) if lines else []


def only_good_cookies(here: list[bytes], other: list[bytes]) -> None:
    """Of all that was set, what the host may set for itself, and nothing for the other host."""
    assert cookies_of(here, "/next") == ["case=1", "own=1"]
    assert cookies_of(other, "/x") == []


def few_cookies(here: list[bytes], other: list[bytes]) -> None:
    """Caps: 50 of one answer, 150 in one request, 8190 bytes in all."""
    sent = cookies_of(here, "/z")
    assert 100 <= len(sent) <= 150
    assert len("; ".join(sent)) <= 8190


def small_cookies(here: list[bytes], other: list[bytes]) -> None:
    """Cookies of 8 KiB are not kept, nor those with control bytes."""
    assert cookies_of(here, "/next") == ["fine=1"]
    assert sum(map(len, cookies_of(here, "/next2"))) <= 8190


def set_cookies(*values: bytes) -> bytes:
    """Header lines."""
    return b"".join(b"Set-Cookie: %b\r\n" % value for value in values)


def no_user(here: list[bytes], other: list[bytes]) -> None:
    """User info becomes Authorization for its own origin; neither it nor a fragment stands in a head otherwise."""
    for request in [*here, *other]:
        target, _, head = request.partition(b" ")[2].partition(b" HTTP/1.1\r\n")
        assert b"#" not in target and b"@" not in target and b"referer" not in head.lower()
        assert b"user:" not in head and b"frag" not in head
    assert any(b"Basic dXNlcjpjYW5hcnk=" in request for request in here)
    assert other and not any(b"authorization" in request.lower() for request in other)


def growing(request: bytes) -> Steps:
    """A redirect to a longer URL each time."""
    path, _, query = request.split(b" ", 2)[1].partition(b"?")
    yield page(status="302 Found", headers=b"Location: %b?%b\r\n" % (path, (query or b"n") * 3))
    return True


def counting(request: bytes) -> Steps:
    """`?n` to `?n+1`."""
    path, _, number = request.split(b" ", 2)[1].partition(b"?")
    yield page(status="302 Found", headers=b"Location: %b?%d\r\n" % (path, int(number or b"0") + 1))
    return True


def refreshing(to: str) -> Handler:
    """A page that gives nothing but a meta refresh."""
    return reply(page(f"<meta http-equiv=refresh content='0; url={to}'>".encode(), headers=HTML))


GROWN = {"/grow": "redirected", **{f"/grow?{'n' * 3**power}": "redirected" for power in range(1, 9)}}
GROWN[f"/grow?{'n' * 3**9}"] = "rejected:trap"
COUNTED = {
    "/count": "redirected",
    **{f"/count?{n}": "redirected" for n in range(1, 10)},
    "/count?10": "failed:http_302",
}

SECRETS: dict[str, Row] = {
    **{f"C01-{status}": away_and_back(status) for status in STATUSES},
    "C01-address": Row(
        seeds=(seed("/start", headers=SECRETS_BY_HAND),),
        routes={"/start": moved("@OTHER@/x")},
        other={"/x": html("x")},
        other_host="127.0.0.2",
        fetch=ALLOW,
        fates={"/start": "redirected", "@OTHER@/x": "fetched"},
        never=CANARY,
        strict=once_told("/start"),  # type: ignore[arg-type]
    ),
    "C02": Row(
        seeds=(seed("/start", headers={"Authorization": "Bearer canary"}), seed("/bare")),
        routes={"/start": moved("@OTHER@/x"), "/bare": moved("@OTHER@/bare")},
        other={"/bare": html("bare")},
        tls=True,
        fetch=ALLOW,
        fates={"/start": "failed:http_302", "/bare": "redirected", "@OTHER@/bare": "fetched"},
        other_asked=("/robots.txt", "/bare"),
        never=CANARY,
    ),
    "C03": Row(
        ("/leave", "@OTHER@/link"),
        {"/leave": moved("@OTHER@/x")},
        other={"/x": html("x"), "/link": html("link")},
        scope=BOTH,
        fetch={
            **ALLOW,
            "auth": {"@HERE@": {"bearer": "canary"}},
            "headers": {"X-Api-Key": "canary", "COOKIE": "k=canary", "X-Plain": "all"},
        },
        fates={"/leave": "redirected", "@OTHER@/x": "fetched", "@OTHER@/link": "fetched"},
        other_asked=("/robots.txt", "/x", "/link"),
        never=CANARY,
        strict=lambda here, other: _robots_without(here, CANARY),
    ),
    "C03-robots": Row(
        ("/x",),
        {"/robots.txt": moved("@OTHER@/rules"), "/x": html("x")},
        other={"/rules": plain(b"User-agent: *\nDisallow: /x\n")},
        fetch={**ALLOW, "auth": {"@OTHER@": {"bearer": "canary"}, "@HERE@": {"bearer": "canary"}}},
        fates={"/x": "rejected:robots"},
        other_asked=("/rules",),
        never=CANARY,
    ),
    "C04": Row(
        ("/set", "/next", "@OTHER@/x"),
        {
            "/set": reply(
                page(
                    headers=set_cookies(
                        *(b"own=1", b"case=1; DOMAIN=127.0.0.1", b"tld=1; Domain=1", b"net=1; Domain=.0.0.1"),
                        *(
                            b"psl=1; Domain=co.uk",
                            b"dot=1; Domain=.com.",
                            b"far=1; Domain=127.0.0.2",
                            b"up=1; Domain=0.0.1",
                        ),
                        *(
                            b"sec=1; Secure",
                            b"path=1; Path=/elsewhere",
                            b"old=1; Max-Age=0",
                            b"__Host-a=1",
                            b"=n",
                            b"__Secure-b=1",
                        ),
                    )
                )
            ),
            "/next": html("next"),
        },
        other={"/x": html("x")},
        other_host="127.0.0.2",
        fetch=ALLOW,
        scope=BOTH,
        fates={"/set": "fetched", "/next": "fetched", "@OTHER@/x": "fetched"},
        strict=only_good_cookies,
    ),
    "C05-flood": Row(
        (*(f"/{number}" for number in range(40)), "/z"),
        {
            **{
                f"/{number}": reply(page(headers=set_cookies(*(b"c%d-%d=v" % (number, n) for n in range(250)))))
                for number in range(40)
            },
            "/z": html("z"),
        },
        fates={**{f"/{number}": "fetched" for number in range(40)}, "/z": "fetched"},
        strict=few_cookies,
    ),
    "C05-lines": Row(
        ("/x",),
        {"/x": reply(page(headers=set_cookies(*([b"a=b"] * 10_000))))},
        fates={"/x": "failed:too_large"},
    ),
    "C05-large": Row(
        ("/set", "/next", "/set2", "/next2"),
        {
            "/set": reply(
                page(headers=set_cookies(b"big=" + b"x" * 8192, b"ctl=a\x01b", b"del=a\x7fb", b"fine=1", b";;;=;", b""))
            ),
            "/next": html("next"),
            "/set2": reply(page(headers=set_cookies(*(b"c%d=" % n + b"y" * 4000 for n in range(10))))),
            "/next2": html("next2"),
        },
        fates=dict.fromkeys(("/set", "/next", "/set2", "/next2"), "fetched"),
        strict=small_cookies,
    ),
    "C08": Row(
        ("/x",),
        {"/x": html("x")},
        environ=dict.fromkeys(
            ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"),
            "http://u:p@127.0.0.1:1",
        )
        | {"NETRC": "/dev/null"},
        fates={"/x": "fetched"},
    ),
    "C09": Row(
        ("http://user:canary@127.0.0.1:@HEREPORT@/in#frag", "@OTHER@/direct"),
        {
            "/in": moved("@OTHER@/x#frag", headers=b"Referrer-Policy: os.system\r\n"),
        },
        other={"/x": html("x", headers=b"Referrer-Policy: unsafe-url\r\n"), "/direct": html("direct")},
        fetch=ALLOW,
        scope=BOTH,
        fates={
            "http://user:canary@127.0.0.1:@HEREPORT@/in": "redirected",
            "@OTHER@/x": "fetched",
            "@OTHER@/direct": "fetched",
        },
        other_asked=("/robots.txt", "/x", "/direct"),
        never=CANARY,
        strict=no_user,
    ),
    "C09-told": Row(
        seeds=("http://user:canary@127.0.0.1:@HEREPORT@/gone",),
        fates={"/gone": "gone"},
        untold="canary",
    ),
    "C10": Row(
        seeds=tuple(
            seed(
                f"/from{status}",
                body="q=secret",
                headers={"Content-Type": "text/x", "content-language": "de", "X-Kept": "yes"},
            )
            for status in STATUSES
        ),
        routes={
            **{f"/from{status}": moved(f"/to{status}", f"{status} Moved") for status in STATUSES},
            **{f"/to{status}": html(f"to{status}") for status in STATUSES},
        },
        fates={
            **{f"/from{status}": "redirected" for status in STATUSES},
            **{f"/to{status}": "fetched" for status in STATUSES},
        },
        strict=posted,
    ),
    "C11-links": Row(
        (
            "/a\r\nInjected: 1",
            "/b\0c",
            "/d\x7f e",
            "/f%0d%0aInjected:%201",
            "\t/g\n",
            "http://127.0.0.1:@HEREPORT@\r\n/h",
        ),
        fates=dict.fromkeys(
            ("/aInjected:%201", "/b%EF%BF%BDc", "/d%7F%20e", "/f%0d%0aInjected:%201", "/g", "/h"), "gone"
        ),
        asked=("/aInjected:%201", "/b%EF%BF%BDc", "/d%7F%20e", "/f%0d%0aInjected:%201", "/g", "/h"),
    ),
    "C11-redirect": Row(
        ("/tab", "/escape", "/latin"),
        {
            "/tab": moved("/t\ta b"),
            "/escape": moved("/e\x01\x1bf"),
            "/latin": moved("/\u00e4"),
            "/t*": html("t"),
        },
        fates={
            "/tab": "redirected",
            "/ta%20b": "fetched",
            "/escape": "redirected",
            "/e%20%20f": "gone",
            "/latin": "redirected",
            "/%C3%A4": "gone",
        },
    ),
    "C12-self": Row(("/x",), {"/x": moved("/x")}, fates={"/x": "failed:http_302"}, asked=("/x",)),
    "C12-two": Row(
        ("/a",),
        {"/a": moved("/b"), "/b": moved("/a")},
        fates={"/a": "redirected", "/b": "failed:http_302"},
        asked=("/a", "/b"),
    ),
    "C12-count": Row(("/count",), {"/count*": counting}, fates=COUNTED),
    "C12-grow": Row(("/grow",), {"/grow*": growing}, fates=GROWN),
    "C12-refresh": Row(
        ("/a", "/self"),
        {"/a": refreshing("/b"), "/b": refreshing("/a"), "/self": refreshing("/self")},
        fates={"/a": "redirected", "/b": "failed:http_302", "/self": "fetched"},
    ),
    "C12-mixed": Row(
        ("/a",),
        {"/a": moved("/b"), "/b": refreshing("/a")},
        fates={"/a": "redirected", "/b": "failed:http_302"},
    ),
    "C12-body": Row(
        ("/x", "/hold"),
        {"/x": forever(OK.replace(b"200 OK", b"302 Found") + b"Location: /y\r\n\r\n", b"x" * 65536), "/y": html("y")},
        fates={"/x": "redirected", "/y": "fetched", "/hold": "gone"},
    ),
    "C13-robots": Row(
        ("/open",),
        {
            "/robots.txt": plain(b"User-agent: *\nDisallow: /private\n"),
            "/open": moved("/private/x"),
            "/private/x": html("p"),
        },
        fates={"/open": "redirected", "/private/x": "rejected:robots"},
        asked=("/open",),
    ),
    "C13-scope": Row(
        ("/deny", "/host", "/refresh"),
        {"/deny": moved("/admin/x"), "/host": moved("@OTHER@/x"), "/refresh": refreshing("/admin/y")},
        other={"/x": html("x")},
        other_host="127.0.0.2",
        fetch=ALLOW,
        scope={"deny": ["/admin/**"]},
        fates={
            "/deny": "redirected",
            "/admin/x": "rejected:scope",
            "/host": "redirected",
            "@OTHER@/x": "rejected:scope",
            "/refresh": "redirected",
            "/admin/y": "rejected:scope",
        },
        asked=("/deny", "/host", "/refresh"),
        other_asked=(),
    ),
    "C13-seen": Row(
        ("/a", "/b"),
        {"/a": moved("/c"), "/b": moved("/c"), "/c": html("c")},
        fates={"/a": "redirected", "/b": "redirected", "/c": "fetched"},
        asked=("/a", "/b", "/c"),
    ),
}


def _robots_without(requests: list[bytes], secret: bytes) -> None:
    robots = [request for request in requests if request.startswith(b"GET /robots.txt ")]
    assert robots and not any(secret in request for request in robots)
    assert any(secret in request for request in requests)
