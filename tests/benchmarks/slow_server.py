"""The other end of the connection benchmarks: slow_server.py HOST_COUNT [CERTIFICATE]. Ends with its input.

Listens on one port of 127.0.0.1, .2 and so on, and prints it. By path:

  /drip       a head that promises 100,000 bytes, then one byte every DRIP seconds
  /wait/N     answers when N such requests wait, all at once
  other       a page of 6.5 KB

With CERTIFICATE (one file with key and chain) it speaks TLS.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import sys
import time

DRIP = 10.0
SLOTS = 100  # each DRIP seconds, a hundredth of the drips at a time
PAGE = b"<!doctype html><p>" + b"0123456789" * 650
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
ANSWER = HEAD % len(PAGE) + PAGE
WANTS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Server:
    """One thread, one selector; requests are taken to come in one piece each, as a client's GET does."""

    def __init__(self, hosts: int, context: ssl.SSLContext | None) -> None:
        self.context = context
        self.selector = selectors.DefaultSelector()
        self.waiting: list[socket.socket] = []
        self.drips: list[set[socket.socket]] = [set() for _ in range(SLOTS)]
        self.slot = 0
        self.port = 0
        for number in range(1, hosts + 1):
            listener = socket.create_server((f"127.0.0.{number}", self.port), backlog=4096)
            self.port = listener.getsockname()[1]
            listener.setblocking(False)
            self.selector.register(listener, selectors.EVENT_READ, self.accept)
        self.selector.register(sys.stdin, selectors.EVENT_READ, self.finish)

    def run(self) -> None:
        """Until the input ends."""
        due = time.monotonic()
        while True:
            for key, _ in self.selector.select(max(0.0, due - time.monotonic())):
                key.data(key.fileobj)
            while due <= time.monotonic():
                due += DRIP / SLOTS
                self.slot = (self.slot + 1) % SLOTS
                for sock in list(self.drips[self.slot]):
                    self.send(sock, b"x")

    def accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            sock = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self.selector.register(sock, selectors.EVENT_READ, self.serve)

    def serve(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(4096)  # TLS does its handshake here
        except (*WANTS, BlockingIOError):
            return
        except OSError:
            data = b""
        if not data:
            self.drop(sock)
            return
        path = data.split(b" ", 2)[1]
        if path == b"/drip":
            self.send(sock, HEAD % 100_000 + b"x")
            self.drips[hash(sock) // 64 % SLOTS].add(sock)
        elif path.startswith(b"/wait/"):
            self.waiting.append(sock)
            if len(self.waiting) == int(path[6:]):
                for waiter in self.waiting:
                    self.send(waiter, ANSWER)
                self.waiting.clear()
        else:
            self.send(sock, ANSWER)

    def send(self, sock: socket.socket, data: bytes) -> None:
        try:
            sock.send(data)
        except OSError:
            self.drop(sock)

    def drop(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            self.drips[hash(sock) // 64 % SLOTS].discard(sock)
            self.selector.unregister(sock)
            sock.close()

    def finish(self, _: object) -> None:
        os._exit(0)


def main() -> None:
    """Serve."""
    context = None
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2])
        context.num_tickets = 0
    server = Server(int(sys.argv[1]), context)
    print(server.port, flush=True)
    server.run()


if __name__ == "__main__":
    main()
