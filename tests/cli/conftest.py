"""A scripted site on loopback and a way to run the command line against it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Answer = tuple[int, dict[str, str], str | bytes]


class Site:
    """Pages by path. A list of answers is given one after another; a function is given the request's headers.

    `log` has every request line but those for robots.txt, `seen` (path, headers) of every request, in order.
    """

    def __init__(self) -> None:
        self.pages: dict[str, Answer | list[Answer] | Callable[[dict[str, str]], Answer]] = {}
        self.log: list[str] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def page(self, path: str, body: str, *, status: int = 200, **headers: str) -> None:
        """Answer `path` with `body`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[path] = (status, {"Content-Type": "text/html; charset=utf-8", **named}, body)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def asked(self, path: str) -> list[dict[str, str]]:
        """The headers of each request for a path."""
        return [headers for asked, headers in self.seen if asked == path]

    def _answer(self, path: str, headers: dict[str, str]) -> Answer:
        self.seen.append((path, headers))
        answer = self.pages.get(path, (404, {}, "nothing here"))
        if callable(answer):
            return answer(headers)
        if isinstance(answer, list):
            return answer.pop(0) if len(answer) > 1 else answer[0]
        return answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _respond(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode()
                if self.path != "/robots.txt":
                    site.log.append(f"{self.command} {self.path}{' ' + body if body else ''}")
                status, headers, text = site._answer(self.path, dict(self.headers.items()))
                data = text.encode() if isinstance(text, str) else text
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_POST = do_HEAD = _respond  # noqa: N815 - the library's names

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        return Handler


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()
    yield served
    served.close()


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def hookline(tmp_path: Path) -> Run:
    """Run `hookline ARGS` in `tmp_path`, off a terminal; the result has returncode, stdout and stderr."""

    def run(*args: str, env: dict[str, str] | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "pipeline", *args]
        return subprocess.run(
            command,
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=50,
            env={**os.environ, **(env or {})},
            **more,
        )

    return run
