"""The floor: sockets, selectors and httptools with nothing above them: fetch_bare.py N C. Prints the peers' JSON line.

No limits, no timeouts, no keep-alive rules, no errors: what a request costs before anything is done for it.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import socket
import sys
import time

import httptools

BASE = os.environ.get("SITE", "http://127.0.0.1:8800")


class Bare:
    """One connection that asks for one page after another."""

    def __init__(self, crawl: Crawl) -> None:
        self.crawl = crawl
        self.socket = socket.create_connection((crawl.host, crawl.port))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.parser = httptools.HttpResponseParser(self)
        crawl.selector.register(self.socket, selectors.EVENT_READ, self.ready)
        self.send()

    def send(self) -> None:
        self.chunks: list[bytes] = []
        number = self.crawl.started
        self.crawl.started += 1
        if number < self.crawl.count:
            self.socket.send(b"GET /p/%d.html HTTP/1.1\r\nHost: %b\r\n\r\n" % (number % 2000, self.crawl.authority))

    def ready(self) -> None:
        self.parser.feed_data(self.crawl.buffer[: self.socket.recv_into(self.crawl.buffer)])

    def on_body(self, data: bytes) -> None:
        self.chunks.append(data)

    def on_message_complete(self) -> None:
        self.crawl.done += 1
        self.send()


class Crawl:
    """The loop."""

    def __init__(self, count: int, connections: int) -> None:
        self.count, self.started, self.done = count, 0, 0
        self.authority = BASE.partition("://")[2].encode()
        host, _, port = BASE.partition("://")[2].partition(":")
        self.host, self.port = host, int(port)
        self.selector = selectors.DefaultSelector()
        self.buffer = memoryview(bytearray(256 * 1024))
        self.connections = [Bare(self) for _ in range(connections)]

    def run(self) -> None:
        while self.done < self.count:
            for key, _ in self.selector.select():
                key.data()


if __name__ == "__main__":
    begin = time.perf_counter()
    crawl = Crawl(int(sys.argv[1]), int(sys.argv[2]))
    crawl.run()
    wall = time.perf_counter() - begin
    use = resource.getrusage(resource.RUSAGE_SELF)
    facts = {
        "name": "bare selectors + httptools",
        "per_s": round(crawl.done / wall),
        "cpu_us": round((use.ru_utime + use.ru_stime) / crawl.done * 1e6, 1),
        "rss_mb": use.ru_maxrss // 1024,
        "count": crawl.done,
    }
    print(json.dumps(facts))
