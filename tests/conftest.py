"""What tests of several rooms share: the checkout, the command in a process of its own, and a site on loopback.

Nothing here knows the insides of the framework: the command is started the way a user starts it.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

REPO = Path(__file__).resolve().parent.parent
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the checkout."""
    return REPO


@pytest.fixture(scope="session")
def installed() -> str:
    """The version of the installed distribution; without one there are no entry points, so no bundled plugins."""
    try:
        return importlib.metadata.version("hookline")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("hookline is not installed in this environment: pip install -e '.[all,test]'")


@pytest.fixture(scope="session")
def hookline(installed: str) -> Command:
    """`hookline(*args, cwd=..., env=..., timeout=50)`: the command in a process of its own, off a terminal."""
    assert installed

    def run(
        *args: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 50
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "pipeline", *map(str, args)],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )

    return run


@dataclass
class Site:
    """A running site: its base URL without trailing slash, and what it was asked for, in order of arrival."""

    base: str
    asked: list[tuple[str, str]] = field(default_factory=list)  # (method, path)
    headers: list[dict[str, str]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pages: ClassVar[Mapping[str, str]]
    site: ClassVar[Site]

    def do_GET(self) -> None:
        self.site.asked.append((self.command, self.path))
        self.site.headers.append(dict(self.headers.items()))
        text = self.pages.get(self.path)
        body = ("not here" if text is None else text).encode()
        self.send_response(404 if text is None else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_GET  # noqa: N815 - the names that http.server looks up

    def log_message(self, *_: Any) -> None:
        """Requests are recorded in `Site.asked`; stderr stays quiet."""


@pytest.fixture
def serve() -> Iterator[Callable[[Mapping[str, str]], Site]]:
    """`serve({"/": html, ...}) -> Site`: these pages, and 404 for all else, on a free port of 127.0.0.1."""
    servers: list[ThreadingHTTPServer] = []

    def start(pages: Mapping[str, str]) -> Site:
        handler = type("Handler", (_Handler,), {"pages": pages})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        handler.site = Site(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return handler.site  # type: ignore[attr-defined,no-any-return]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
