"""A site of many hosts on loopback that answers each URL the same, however often it is asked; a process of its own.

    python tests/crash/site.py --hosts 20 --pages 2000 --seed 1 --slowness 1

What a URL gives is a function of (seed, number of hosts, number of pages, URL) and nothing else, so that outputs of
two crawls can be compared byte by byte. Hosts are 127.0.1.1, 127.0.1.2, ... on one port. A quarter of the pages are
lists, which make a tree that reaches every page; the others are details, linked with a carried value. Among them are
redirects (chains, to other hosts), meta refreshes, 404, 410 and 500, slow and gzipped pages, keys that several pages
share, and one host whose robots.txt forbids a part.

One process, one thread. It is told what to do by JSON lines on stdin and answers each with one on stdout:

    {"do": "take"}                 the requests since the last time: [[monotonic seconds, host, path], ...]
    {"do": "stall", "seconds": s}  slow pages take so long from now on; null: as ever, and those that wait are answered
    {"do": "hold"}                 no page is answered any more (robots.txt is)
    {"do": "release"}              all pages that wait are answered, and so is everything that comes
    {"do": "waiting"}              how many requests wait for an answer
    {"do": "version", "number": n} from now on half of the good pages have an ETag, and answer 304 to whoever shows it;
                                   of number 1 a part of the pages are others, or gone. null: as ever

It ends with its input, so it never outlives whoever started it.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import socket
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, NamedTuple

HOST = "127.0.1.{}"
WORDS = (
    "Grün",
    "Brücke",
    "東京",
    "naïve",
    "кит",
    "🦀",
    "plain",
    "\U0001d4d0",
    "'quoted'",
    '"double"',
    "a&b",
    "<l>",
    "c,d;",
)
FORBIDDEN = "/d/s3/"  # on the second host
SHARES = (("redirect", 0.10), ("404", 0.02), ("410", 0.01), ("500", 0.015), ("refresh", 0.01), ("slow", 0.05))
STATUS = {"404": "404 Not Found", "410": "410 Gone", "500": "500 Internal Server Error"}


class Answer(NamedTuple):
    """A response, and how long it takes in seconds."""

    delay: float
    data: bytes


class Site:
    """The pages: what there is, and what links to what. URLs depend on `port`, nothing else does."""

    def __init__(self, *, hosts: int, pages: int, seed: int, port: int) -> None:
        self.hosts, self.pages, self.seed, self.port = hosts, pages, seed, port
        self.kinds = [self._kind(number) for number in range(pages)]
        self.lists = [number for number in range(pages) if self.is_list(number)]
        self.details = [number for number in range(pages) if not self.is_list(number)]
        self.parents = [number for number in self.lists if self.kinds[number] in ("ok", "slow")]
        self.places = [self._place(number) for number in range(pages)]
        self.numbers = {place: number for number, place in enumerate(self.places)}
        self.version: int | None = None
        self.children: dict[int, list[int]] = {number: [] for number in self.parents}
        for number in range(1, pages):
            self.children[self._parent(number)].append(number)

    def dice(self, number: int, what: str) -> random.Random:
        """Random numbers that depend on the page and what they are for alone."""
        return random.Random(f"{self.seed}/{self.hosts}/{self.pages}/{number}/{what}")

    def is_list(self, number: int) -> bool:
        """Whether a page is a list; the others are details."""
        return (number // self.hosts) % 4 == 0

    def _kind(self, number: int) -> str:
        roll = self.dice(number, "kind").random()
        for kind, share in SHARES if number else ():
            roll -= share
            if roll < 0:
                return kind
        return "ok"

    def _place(self, number: int) -> tuple[int, str]:
        """(host, path as it is asked for)"""
        if number == 0:
            return 0, "/"
        host, within = number % self.hosts, number // self.hosts
        if self.is_list(number):
            return host, f"/l/{within}"
        return host, f"/d/s{within % 5}/{within}{'-gr%C3%B6%C3%9Fe' if number % 7 == 0 else ''}"

    def _parent(self, number: int) -> int:
        """The list that links to a page: about eight pages a list, always one with a smaller number."""
        return self.parents[min(number // 8, max(0, bisect_left(self.parents, number) - 1), len(self.parents) - 1)]

    def _target(self, number: int) -> int | None:
        """Where a redirect leads: to a larger number, so never in circles; a third of them to another redirect."""
        dice, like = self.dice(number, "target"), self.lists if self.is_list(number) else self.details
        later = like[bisect_left(like, number + 1) :]
        moved = [other for other in later if self.kinds[other] == "redirect"]
        if moved and dice.random() < 0.33:
            return moved[0]
        return dice.choice(later) if later else None

    def url(self, number: int, *, seen_from: int) -> str:
        """A link as pages write it: relative on one host, not percent-encoded."""
        host, path = self.places[number]
        path = path.replace("%C3%B6%C3%9F", "öß")
        return path if host == self.places[seen_from][0] else f"http://{HOST.format(host + 1)}:{self.port}{path}"

    def answer(self, host: int, path: str, match: str | None = None) -> Answer:
        """The response to a GET; `match` is its If-None-Match."""
        if path == "/robots.txt":
            return Answer(0, self._robots(host))
        number = self.numbers.get((host, path))
        if number is None:
            return Answer(0, _response("404 Not Found", b"nothing here"))
        kind = "404" if self.version == 1 and number % 17 == 16 else self.kinds[number]
        if match is not None and match == self.etag(number) and kind in ("ok", "slow"):
            return Answer(0, f"HTTP/1.1 304 Not Modified\r\nETag: {match}\r\n\r\n".encode())
        delay = self.dice(number, "delay").uniform(0.05, 0.3) if kind == "slow" else 0
        return Answer(delay, self._page(number, kind))

    def etag(self, number: int) -> str | None:
        """What names this version of a page."""
        return f'"{number}-{self._edition(number)}"' if self.version is not None and number % 2 == 0 else None

    def _edition(self, number: int) -> str:
        return "1" if self.version == 1 and number % 3 == 0 else ""

    def _robots(self, host: int) -> bytes:
        if host % 5 == 4:
            return _response("404 Not Found", b"no rules here")
        forbidden = FORBIDDEN if host == 1 else "/nowhere/"
        return _response("200 OK", f"User-agent: *\nDisallow: {forbidden}\n".encode(), "text/plain")

    def _page(self, number: int, kind: str) -> bytes:
        if kind in STATUS:
            return _response(STATUS[kind], f"<h1>{kind}</h1>".encode())
        target = self._target(number) if kind in ("redirect", "refresh") else None
        if target is None:
            return self._good(number)
        host, path = self.places[target]
        url = f"http://{HOST.format(host + 1)}:{self.port}{path}"
        if kind == "refresh":
            return _response("200 OK", f'<meta http-equiv="refresh" content="0; url={url}">'.encode())
        status = self.dice(number, "status").choice(
            ["301 Moved", "302 Found", "303 See Other", "307 Again", "308 Moved"]
        )
        return _response(status, b"", extra=f"Location: {url}\r\n")

    def _good(self, number: int) -> bytes:
        charset = "iso-8859-1" if number % 11 == 3 else "utf-8"
        body = "".join(self._html(number)).encode(charset, "xmlcharrefreplace")
        kind, extra = f"text/html; charset={charset}", ""
        if self.dice(number, "gzip").random() < 0.08:
            body, extra = gzip.compress(body, 1, mtime=0), "Content-Encoding: gzip\r\n"
        if etag := self.etag(number):
            extra += f"ETag: {etag}\r\n"
        return _response("200 OK", body, kind, extra)

    def _html(self, number: int) -> Iterator[str]:
        dice = self.dice(number, f"text{self._edition(number)}")
        words = [word.replace("&", "&amp;").replace("<", "&lt;") for word in dice.choices(WORDS, k=4)]
        sku = f"D{number % max(1, self.pages // 40)}" if dice.random() < 0.1 else f"S{number}"
        yield f"<!doctype html><title>{words[0]}</title><h1>Page {number} {words[1]}</h1>"
        yield f"<article class=offer><b class=sku>{sku}</b><h2>{words[2]} {number}</h2>"
        yield f"<i class=price>{dice.randrange(10**6) / 100:.2f}</i><time>2024-0{1 + number % 9}-1{number % 10}</time>"
        yield f"<span class=tag>{words[3]}</span><span class=tag>t{number % 13}</span></article>"
        yield f"<ul><li class=note>{' '.join(words)}</li></ul><a href='mailto:a@b.example'>write</a>"
        yield f"<a class=out href='http://127.0.2.1:{self.port}/{number % 50}'>elsewhere</a>"
        for other in dice.sample(self.parents, min(3, len(self.parents))):
            yield f"<a class=more href='{self.url(other, seen_from=number)}#x'>more</a>"
        for child in self.children.get(number, ()):
            yield self._link(number, child)
        if (
            self.is_list(number) and dice.random() < 0.2
        ):  # a detail that is linked twice, half the time with other stars
            yield self._link(number, dice.choice(self.details), more=dice.randrange(2))

    def _link(self, number: int, child: int, more: int = 0) -> str:
        url = self.url(child, seen_from=number)
        if self.is_list(child):
            return f"<a class=more href='{url}'>list</a>"
        return f"<p class=card><a href='{url}'>detail</a><u>{(child + more) % 5} ★</u></p>"


def _response(status: str, body: bytes, kind: str = "text/html; charset=utf-8", extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


class Server:
    """Answers, keeps the log, and obeys its controller. `slowness` multiplies what slow pages take."""

    def __init__(self, site: Site, slowness: float) -> None:
        self.site = site
        self.slowness = slowness
        self.log: list[tuple[float, str, str]] = []
        self.answers: dict[tuple[int, str, str | None], Answer] = {}
        self.waiting: dict[Peer, tuple[asyncio.TimerHandle | None, bytes]] = {}
        self.held = False
        self.stall: float | None = None

    def ask(self, peer: Peer, host: int, path: str, match: str | None) -> None:
        """A request has come."""
        self.log.append((time.monotonic(), HOST.format(host + 1), path))
        answer = self.answers.get((host, path, match))
        if answer is None:
            answer = self.answers[host, path, match] = self.site.answer(host, path, match)
        delay = self.stall if self.stall is not None and answer.delay else answer.delay * self.slowness
        if self.held and path != "/robots.txt":
            self.waiting[peer] = None, answer.data
        elif delay:
            later = asyncio.get_running_loop().call_later(delay, self.give, peer)
            self.waiting[peer] = later, answer.data
        else:
            peer.transport.write(answer.data)

    def give(self, peer: Peer) -> None:
        """Answer a request that waits, or forget it if its peer is gone."""
        timer, data = self.waiting.pop(peer)
        if timer is not None:
            timer.cancel()
        if not peer.transport.is_closing():
            peer.transport.write(data)

    def obey(self, order: dict[str, Any]) -> Any:
        """What the controller asked for."""
        what = order["do"]
        if what == "take":
            taken, self.log = self.log, []
            return taken
        if what == "waiting":
            return len(self.waiting)
        if what == "version":
            self.site.version = order["number"]
            self.answers.clear()
        if what == "stall":
            self.stall = order["seconds"]
        self.held = what == "hold"
        if what == "release" or (what == "stall" and self.stall is None):
            for peer in list(self.waiting):
                self.give(peer)
        return None


class Peer(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self._server = server
        self._input = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._host = int(transport.get_extra_info("sockname")[0].rpartition(".")[2]) - 1

    def data_received(self, data: bytes) -> None:
        self._input += data
        while (end := self._input.find(b"\r\n\r\n")) >= 0:
            request, *fields = self._input[:end].decode("latin-1").split("\r\n")
            self._input = self._input[end + 4 :]
            match = next((field[15:] for field in fields if field.lower().startswith("if-none-match: ")), None)
            self._server.ask(self, self._host, request.split(" ")[1], match)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._server.waiting:
            self._server.give(self)


def listen(hosts: int) -> list[socket.socket]:
    """A listening socket on every host, all on one free port."""
    for _ in range(50):
        first = socket.create_server((HOST.format(1), 0), backlog=1024)
        port, sockets = first.getsockname()[1], [first]
        try:
            for host in range(2, hosts + 1):
                sockets.append(socket.create_server((HOST.format(host), port), backlog=1024))
        except OSError:  # taken on this address
            for each in sockets:
                each.close()
            continue
        return sockets
    raise SystemExit("no port is free on all addresses")


async def serve(hosts: int, pages: int, seed: int, slowness: float) -> None:
    """Serve until stdin ends."""
    sockets = listen(hosts)
    port = sockets[0].getsockname()[1]
    server = Server(Site(hosts=hosts, pages=pages, seed=seed, port=port), slowness)
    loop, over, orders = asyncio.get_running_loop(), asyncio.Event(), bytearray()
    for each in sockets:
        await loop.create_server(lambda: Peer(server), sock=each)

    def read() -> None:
        data = os.read(0, 65536)
        orders.extend(data)
        while (end := orders.find(b"\n")) >= 0:
            say(server.obey(json.loads(orders[:end])))
            del orders[: end + 1]
        if not data:
            over.set()

    def say(what: Any) -> None:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()

    loop.add_reader(0, read)
    say(port)
    await over.wait()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("hosts", "pages", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--slowness", type=float, default=1)
    asyncio.run(serve(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
