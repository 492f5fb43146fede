"""The server: one generator per connection says what happens next.

A script yields actions and gets back what they brought:

    bytes          are sent (all of them, before the next action)
    REQUEST        waits for a whole request and gives its bytes; None if the peer hung up
    Exactly(count) waits for so many bytes and gives them; None if the peer hung up
    Relay(port)    connects to a port of 127.0.0.1 and passes bytes both ways until one side ends
    UNWRAP         says close_notify (TLS) and goes on
    Pause(seconds) on the loop's clock
    HALF_CLOSE     ends our direction (FIN) and goes on
    HOLD           does nothing more until the peer hangs up
    RESET          ends the connection with RST

The end of the script closes the connection, without close_notify. Nothing is read but during REQUEST, Exactly, Relay
and HOLD, so a script can also let the peer's send buffer run full. With `tls`, a handshake comes before the script; one
that fails ends the connection. The server runs on the loop under test, hence on its clock; `serve_in_thread` gives it a
loop of its own.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from typing import NamedTuple, TypeAlias

from pipeline.fetch.loop import READ, WRITE, Loop


class Pause(NamedTuple):
    """Wait so many seconds."""

    seconds: float


class Exactly(NamedTuple):
    """Wait for so many bytes."""

    count: int


class Relay(NamedTuple):
    """Become a tunnel to this port."""

    port: int


class Do(Enum):
    """Actions without argument."""

    REQUEST = 1
    HALF_CLOSE = 2
    HOLD = 3
    RESET = 4
    UNWRAP = 5


REQUEST, HALF_CLOSE, HOLD, RESET, UNWRAP = Do
Action: TypeAlias = bytes | Pause | Exactly | Relay | Do
Steps: TypeAlias = Generator[Action, bytes | None, bool | None]
Script: TypeAlias = Callable[[], Steps]
Handler: TypeAlias = Callable[[bytes], Steps]


class Handshake(NamedTuple):
    """What a client agreed to."""

    version: str | None
    alpn: str | None
    reused: bool | None


class BadServer:
    """Listens on a free port of `host` and runs `script` for each connection."""

    def __init__(
        self, loop: Loop, script: Script, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.loop = loop
        self.script = script
        self.tls = tls
        self.accepted = 0
        self.handshakes: list[Handshake] = []  # that went well
        self.requests: list[bytes] = []
        self.peers: set[_Peer] = set()
        self._listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        authority = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{authority}"
        loop.register(self._listener, READ, self._accept)

    def _accept(self, mask: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:  # the peer was gone again
            return
        self.accepted += 1
        self.peers.add(_Peer(self, sock))

    def close(self) -> None:
        """Stop listening and drop all connections."""
        self.loop.unregister(self._listener)
        self._listener.close()
        for peer in list(self.peers):
            peer.close()


class _Peer:
    """One connection: runs its script until it has to wait."""

    def __init__(self, server: BadServer, sock: socket.socket) -> None:
        self._server = server
        self._loop = server.loop
        self._sock = sock
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._interest = 0
        self._closed = False
        self._input = bytearray()
        self._output = memoryview(b"")
        self._doing: Action | None = None
        self._steps = server.script()
        self._far: socket.socket | None = None  # of a tunnel
        self._loop.call_soon(self._begin if server.tls is None else self._begin_tls)

    def close(self, *, reset: bool = False) -> None:
        if self._closed:
            return
        self._closed = True
        self._watch(0)
        if self._far is not None:
            self._loop.unregister(self._far)
            self._far.close()
        if reset:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()
        self._steps.close()
        self._server.peers.discard(self)

    def _begin_tls(self) -> None:
        if self._closed:
            return
        assert self._server.tls is not None
        self._sock = self._server.tls.wrap_socket(
            self._sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )
        self._shake(READ)

    def _shake(self, mask: int) -> None:
        assert isinstance(self._sock, ssl.SSLSocket)
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(READ, self._shake)
        except ssl.SSLWantWriteError:
            self._watch(WRITE, self._shake)
        except OSError:
            self.close()
        else:
            sock = self._sock
            self._server.handshakes.append(
                Handshake(sock.version(), sock.selected_alpn_protocol(), sock.session_reused)
            )
            self._watch(0)
            self._begin()

    def _begin(self) -> None:
        if not self._closed:
            self._run(lambda: next(self._steps))

    def _go_on(self, brought: bytes = b"") -> None:
        if not self._closed:
            self._run(lambda: self._steps.send(brought or None))

    def _run(self, step: Callable[[], Action]) -> None:
        try:
            self._doing = step()
        except StopIteration:
            self.close()
            return
        self._begin_action(self._doing)

    def _begin_action(self, action: Action) -> None:
        self._watch(0)
        if isinstance(action, bytes):
            self._output = memoryview(action)
            self._send()
        elif isinstance(action, Pause):
            self._loop.call_later(action.seconds, self._go_on)
        elif action is RESET:
            self.close(reset=True)
        elif action is HALF_CLOSE:
            self._sock.shutdown(socket.SHUT_WR)
            self._loop.call_soon(self._go_on)
        elif action is UNWRAP:
            with suppress(OSError):  # the peer's close_notify is not waited for, or the peer is gone
                assert isinstance(self._sock, ssl.SSLSocket)
                self._sock.unwrap()
            self._loop.call_soon(self._go_on)
        elif isinstance(action, Relay):
            self._begin_relay(action.port)
        elif action is HOLD or not self._take_input():
            self._watch(READ)
            if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
                self._loop.call_soon(lambda: self._on_ready(READ))

    def _begin_relay(self, port: int) -> None:
        self._far = socket.create_connection(("127.0.0.1", port))
        self._far.setblocking(False)
        far = self._far
        self._loop.register(far, READ, lambda mask: self._pump(far, self._sock))
        self._watch(READ, lambda mask: self._pump(self._sock, far))

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        """Pass on what is there. Loopback takes what tests send through a tunnel without having to wait."""
        if self._closed:
            return
        try:
            while data := source.recv(65536):
                sink.sendall(data) if isinstance(sink, ssl.SSLSocket) else sink.send(data)
            self.close()
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            self.close()

    def _on_ready(self, mask: int) -> None:
        try:
            if mask & WRITE:
                self._send()
            else:
                self._receive()
        except OSError:
            self.close()

    def _send(self) -> None:
        try:
            self._output = self._output[self._sock.send(self._output) :] if self._output else self._output
        except (BlockingIOError, ssl.SSLWantWriteError):
            self._watch(WRITE)
            return
        except OSError:
            self.close()
            return
        if self._output:
            self._watch(WRITE)
        else:
            self._watch(0)
            self._loop.call_soon(self._go_on)

    def _receive(self) -> None:
        try:
            data = self._sock.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        if self._doing is HOLD:
            if not data:
                self.close()
            return
        self._input += data
        if not data:
            self._watch(0)
            self._go_on(b"")
        else:
            self._take_input()

    def _take_input(self) -> bool:
        """Hand what it waits for to the script, if it is there."""
        if isinstance(self._doing, Exactly):
            size = self._doing.count
        else:
            end = self._input.find(b"\r\n\r\n") + 4
            if end < 4:
                return False
            size = end + _body_length(bytes(self._input[:end]))
        if len(self._input) < size:
            return False
        request = bytes(self._input[:size])
        del self._input[:size]
        self._server.requests.append(request)
        self._watch(0)
        self._loop.call_soon(lambda: self._go_on(request))
        return True

    def _watch(self, interest: int, callback: Callable[[int], object] | None = None) -> None:
        if interest == self._interest and callback is None:
            return
        if self._interest:
            self._loop.unregister(self._sock)
        if interest:
            self._loop.register(self._sock, interest, callback or self._on_ready)
        self._interest = interest


def _body_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def by_path(routes: Mapping[str, Handler]) -> Script:
    """A script that picks a handler by the path of each request; one that returns True keeps the connection."""

    def script() -> Steps:
        while request := (yield REQUEST):
            handler = routes.get(request.split(b" ", 2)[1].decode("latin-1"), not_found)
            if not (yield from handler(request)):
                return None
        return None

    return script


def not_found(request: bytes) -> Steps:
    """The handler of paths that have none."""
    yield b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    return True


def reply(*parts: Action, keep: bool = True) -> Handler:
    """A handler that does these things after the request."""

    def handler(request: bytes) -> Steps:
        yield from parts
        return keep

    return handler


def page(body: bytes = b"good", *, status: str = "200 OK", headers: bytes = b"") -> bytes:
    """A decent response."""
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status.encode(), headers, len(body), body)


@contextmanager
def serve_in_thread(
    script: Script, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[BadServer]:
    """The server on a loop of its own in a thread, for callers that have none or block."""
    loop = Loop()
    server = BadServer(loop, script, host=host, tls=tls)
    thread = threading.Thread(target=loop.run, name="badserver", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        server.close()
        loop.close()
