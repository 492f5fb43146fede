"""Rows of the threat table that only a whole run can judge: what the servers do, what the config says, what must come.

A row has two servers: its site (`@HERE@`) and a second origin (`@OTHER@`), which is another port of the same address or
another address of loopback. Both names stand for `scheme://host:port` wherever a row mentions them: in links, in the
config, in expected URLs, and in the first bytes of what handlers send. `/` and `/good` are there by themselves: `/`
leads to the links of the row, and then to `/good`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from tests.badserver.server import REQUEST, Action, Handler, Script, Steps, not_found, page, reply

HTML = b"Content-Type: text/html\r\n"
NAMED = 64 * 1024  # bytes of an action in which `@HERE@` and `@OTHER@` are looked for


@dataclass(frozen=True, slots=True)
class Row:
    """One row. URLs of the site are written from the path on; `fates` leaves out `/` and `/good`.

    `routes` are the handlers of the site by target, `other` those of the second origin; a target `/x?*` stands for all
    that begin so. `seeds` come beside `/`. `asked` are the targets that the site must have been asked for, in any
    order (robots.txt, `/` and `/good` apart); None says nothing about them. `never` may stand in no request to the
    second origin, `untold` not in the report or an output. `titles` are the items of the row's pages. `seconds` and
    `growth` (MiB) bound the whole run.
    """

    links: tuple[str, ...] = ()
    routes: Mapping[str, Handler] = field(default_factory=dict)
    other: Mapping[str, Handler] = field(default_factory=dict)
    other_host: str = "127.0.0.1"
    tls: bool = False
    seeds: tuple[Any, ...] = ()
    fetch: Mapping[str, Any] = field(default_factory=dict)
    scope: Mapping[str, Any] = field(default_factory=dict)
    fates: Mapping[str, str] = field(default_factory=dict)
    home: str = "fetched"
    good: str | None = "fetched"  # None: never found
    bad_links: int = 0
    asked: tuple[str, ...] | None = None
    other_asked: tuple[str, ...] | None = None
    never: bytes = b""
    untold: str = ""
    titles: tuple[str, ...] | None = None
    seconds: float = 2.0
    growth: int = 24
    environ: Mapping[str, str] = field(default_factory=dict)
    broken: str = ""  # what is wrong, for a row that does not hold yet
    strict: Callable[[list[bytes], list[bytes]], None] | None = None  # (requests to the site, to the second origin)


def html(title: str, *, headers: bytes = b"", body: str = "") -> Handler:
    """A decent page."""
    return reply(page(f"<h1>{escape(title)}</h1>{body}".encode(), headers=HTML + headers))


def moved(where: str, status: str = "302 Found", *, headers: bytes = b"", body: bytes = b"") -> Handler:
    """A redirect."""
    location = b"Location: " + where.encode("latin-1") + b"\r\n"
    return reply(page(body, status=status, headers=location + headers))


def plain(text: bytes, status: str = "200 OK", *, headers: bytes = b"") -> Handler:
    """Some bytes as text, such as a robots.txt."""
    return reply(page(text, status=status, headers=b"Content-Type: text/plain\r\n" + headers))


def home(links: tuple[str, ...], names: Mapping[str, str]) -> Handler:
    """The page that leads to the links, and last to `/good`; made when asked for: by then the names are known."""

    def handler(request: bytes) -> Steps:
        hrefs = [f'<a class=row href="{escape(put(link, names))}">x</a>' for link in links]
        body = "\n".join([*hrefs, "<a class=good href=/good>x</a>"])
        return (yield from html("home", body=body)(request))

    return handler


def site(routes: Mapping[str, Handler], names: Mapping[str, str]) -> Script:
    """A script of these routes; `/good` is good and the rest is not there. `names` may be filled in later."""

    def script() -> Steps:
        while request := (yield REQUEST):
            target = request.split(b" ", 2)[1].decode("latin-1")
            steps = _handler(routes, target)(request)
            if not (yield from _named(steps, names)):
                return None
        return None

    return script


def put(text: str, names: Mapping[str, str]) -> str:
    """The text with the names of the two origins put in."""
    for name, origin in names.items():
        text = text.replace(name, origin)
    return text


def _handler(routes: Mapping[str, Handler], target: str) -> Handler:
    if target in routes:
        return routes[target]
    if target == "/good":
        return html("good")
    fits = (handler for begin, handler in routes.items() if begin.endswith("*") and target.startswith(begin[:-1]))
    return next(fits, not_found)


def _named(steps: Steps, names: Mapping[str, str]) -> Steps:
    """The same steps, with the names put into what is sent."""
    brought: bytes | None = None
    while True:
        try:
            action: Action = steps.send(brought)
        except StopIteration as end:
            kept: bool = end.value
            return kept
        if isinstance(action, bytes) and b"@" in action[:NAMED]:
            start = put(action[:NAMED].decode("latin-1"), names)
            action = start.encode("latin-1") + action[NAMED:]
        brought = yield action
