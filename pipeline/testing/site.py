"""A scripted site on a free port of 127.0.0.1: what real sites do, and what they do wrong.

    with FakeSite({"/": "<h1>A</h1>"}) as site:
        site.script("/busy", status(503), status(429, {"Retry-After": "1"}), "<h1>B</h1>")
        site.script("/bad", reset(), truncate("<p>half of this"), drip("<p>slow", every=0.01))

Answers of a path are given one after another, the last one for ever; any other path is 404. Knows no plugin, no config.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Literal, Self

_HTML: Final = "text/html; charset=utf-8"
_POLL: Final = 0.02  # seconds in which a site notices that it is to end


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `how`: whole, or what goes wrong; `part` is the share of the body that a truncated one has."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    how: Literal["whole", "reset", "close", "hang", "drip", "truncate"] = "whole"
    part: float = 0.5
    size: int = 1  # of drip: bytes at a time
    every: float = 0.05  # of drip: seconds between them


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that the site was sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def status(code: int, headers: Mapping[str, str] | None = None, body: str | bytes = "") -> Answer:
    """An answer with this status."""
    return Answer(_bytes(body), code, dict(headers or {}))


def redirect(to: str, code: int = 302) -> Answer:
    """A redirect."""
    return Answer(b"", code, {"Location": to})


def reset() -> Answer:
    """The connection is reset before any answer."""
    return Answer(how="reset")


def close() -> Answer:
    """The connection is closed before any answer."""
    return Answer(how="close")


def hang() -> Answer:
    """No answer until the site is closed."""
    return Answer(how="hang")


def truncate(body: str | bytes, part: float = 0.5) -> Answer:
    """The head promises the whole body, and the connection ends after a part of it."""
    return Answer(_bytes(body), how="truncate", part=part)


def drip(body: str | bytes, size: int = 1, every: float = 0.05) -> Answer:
    """The body comes `size` bytes at a time, `every` so many seconds."""
    return Answer(_bytes(body), how="drip", size=size, every=every)


class FakeSite:
    """`pages` are HTML by path. `url` has no slash at its end. `requests` has what was asked, robots.txt apart."""

    def __init__(self, pages: Mapping[str, str | bytes] | None = None) -> None:
        self.requests: list[Asked] = []
        self._scripts: dict[str, list[Answer]] = {}
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL,), daemon=True)
        self._thread.start()
        for path, body in (pages or {}).items():
            self.page(path, body)

    # --- what it answers ---------------------------------------------------------------------------------------------

    def page(self, path: str, body: str | bytes, *, code: int = 200, headers: Mapping[str, str] | None = None) -> str:
        """Answer `path` with this page; gives its URL."""
        return self.script(path, status(code, headers, body))

    def script(self, path: str, *answers: Answer | str | bytes) -> str:
        """Answer `path` with these, one after another and the last one for ever; gives its URL."""
        if not answers:
            raise ValueError(f"{path}: a script has at least one answer")
        made = [answer if isinstance(answer, Answer) else Answer(_bytes(answer)) for answer in answers]
        with self._lock:
            self._scripts[path] = made
        return self.url + path

    def take(self, asked: Asked) -> Answer:
        """Note a request, and find its answer."""
        path = asked.path
        with self._lock:
            if path != "/robots.txt":
                self.requests.append(asked)
            script = self._scripts.get(path) or self._scripts.get(path.partition("?")[0])
            if script is None:
                return Answer(b"nothing here", 404)
            return script.pop(0) if len(script) > 1 else script[0]

    def wait(self, seconds: float | None = None) -> bool:
        """Wait as a slow answer does; True if the site is being closed."""
        return self._closing.wait(seconds)

    # --- what it was asked -------------------------------------------------------------------------------------------

    def asked(self, path: str) -> list[Asked]:
        """The requests for a path."""
        return [one for one in self.requests if one.path == path]

    def assert_asked(self, path: str, times: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        """`path` was asked for, so many times (without `times`: at all), each time with these headers."""
        found = self.asked(path)
        seen = "".join(f"\n  {one.method} {one.path}" for one in self.requests) or " nothing"
        if len(found) != times if times is not None else not found:
            wanted = "asked for" if times is None else f"asked for {times} times"
            raise AssertionError(f"{path} was to be {wanted}, and was {len(found)} times; the site was asked:{seen}")
        for one in found:
            lower = {name.lower(): value for name, value in one.headers.items()}
            for name, value in (headers or {}).items():
                got = lower.get(name.lower())
                if got != value:
                    raise AssertionError(f"{path} was asked for with {name}: {got!r}; expected {value!r}")

    def assert_not_asked(self, path: str) -> None:
        """`path` was never asked for."""
        if found := self.asked(path):
            raise AssertionError(f"{path} was not to be asked for, and was {len(found)} times")

    def assert_requests(self, *paths: str) -> None:
        """These paths were asked for and no others, in whatever order; one that is named twice, twice."""
        got, wanted = sorted(one.path for one in self.requests), sorted(paths)
        if got != wanted:
            missing = [path for path in wanted if path not in got]
            more = [path for path in got if path not in wanted]
            raise AssertionError(f"asked for: {got}\nexpected:  {wanted}\nmissing: {missing}, not expected: {more}")

    # --- its end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop; more than once is fine."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<FakeSite {self.url}>"


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


class _Handler(BaseHTTPRequestHandler):
    site: FakeSite
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body waits 40 ms for the acknowledgement of the head

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.site.take(Asked(self.command, self.path, dict(self.headers.items()), body))
        if answer.how in ("reset", "close", "hang"):
            self._refuse(answer)
        else:
            self._answer(answer)

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = _respond  # noqa: N815 - the names http.server looks up

    def _refuse(self, answer: Answer) -> None:
        if answer.how == "hang":
            self.site.wait()
        if answer.how == "reset":  # a close that does not linger
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _answer(self, answer: Answer) -> None:
        headers = {"Content-Type": _HTML, **answer.headers}
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        if answer.how == "truncate":
            answer = replace(answer, body=answer.body[: int(len(answer.body) * answer.part)])
            self.close_connection = True
        if answer.how != "drip":
            self.wfile.write(answer.body)
            return
        for start in range(0, len(answer.body), answer.size):
            if self.site.wait(answer.every):
                break
            self.wfile.write(answer.body[start : start + answer.size])

    def handle(self) -> None:
        """One connection; that the other side ends it is no error here."""
        try:
            super().handle()
        except (ConnectionError, ValueError):  # ValueError: our own end was closed on purpose
            self.close_connection = True

    def finish(self) -> None:
        """The end of a connection, which may be closed already."""
        try:
            super().finish()
        except OSError:
            return

    def log_message(self, *_: Any) -> None:
        """Requests are recorded by the site; stderr stays quiet."""


def _handler(site: FakeSite) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"site": site})
