"""What tests of several rooms share: the checkout, the command in a process of its own, and scripted sites on loopback.

Nothing here knows the insides of the framework: the command is started the way a user starts it. A start costs 0.7 s,
so what is asked of many configs is asked in one call, or through `pipeline.run`, which is what `hookline run` calls.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner

# Most tests ask what a run does, not where: two processes less make each of them half a second shorter. Those that are
# about workers say how many. And what a shell says against compiled modules would make every start of the command slow.
os.environ["HOOKLINE_WORKERS"] = "0"
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

REPO = Path(__file__).resolve().parent.parent
Command: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]


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
def command(installed: str) -> Command:
    """`command(*args, cwd=..., env=..., timeout=50)`: `hookline ARGS` in a process of its own, off a terminal."""
    assert installed

    def run(
        *args: object, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 50
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


@pytest.fixture
def hookline(command: Command, tmp_path: Path) -> Command:
    """As `command`, in `tmp_path` unless `cwd` is given."""
    return partial(command, cwd=tmp_path)


@pytest.fixture
def inside(installed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """As `hookline`, in this very process, which costs no start."""
    from pipeline.cli import main

    assert installed
    monkeypatch.chdir(tmp_path)

    def run(*args: object) -> subprocess.CompletedProcess[str]:
        done = CliRunner().invoke(main, [*map(str, args)])
        return subprocess.CompletedProcess(args, done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """The framework's logger as it was: commands that are called in this process set it up for themselves."""
    logger = logging.getLogger("hookline")
    before = (logger.handlers[:], logger.propagate, logger.level)
    yield
    logger.handlers[:], logger.propagate, _ = before
    logger.setLevel(before[2])


Answer: TypeAlias = tuple[int, Mapping[str, str], str | bytes]
Script: TypeAlias = "Answer | list[Answer] | Callable[[dict[str, str]], Answer]"


class Site:
    """A site on a free port of 127.0.0.1; `url` is its address, without a slash at the end.

    `pages` are its answers by path, 404 for all others. A list is given one after another, the last one for ever; a
    function is given the request's headers. What was asked stands in `log` ("GET /x", with the body if there was one;
    robots.txt apart) and in `seen` ((path, headers), all of them), in order of arrival.
    """

    def __init__(self) -> None:
        self.pages: dict[str, Script] = {}
        self.log: list[str] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def page(self, path: str, body: str, *, status: int = 200, **headers: str) -> None:
        """Answer `path` with an HTML page; `_` in the names of headers stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[path] = (status, {"Content-Type": "text/html; charset=utf-8", **named}, body)

    def asked(self, path: str) -> list[dict[str, str]]:
        """The headers of each request for a path."""
        return [headers for asked, headers in self.seen if asked == path]

    def answer(self, method: str, path: str, headers: dict[str, str], body: str) -> Answer:
        """Take note of a request, and answer it."""
        self.seen.append((path, headers))
        if path != "/robots.txt":
            self.log.append(f"{method} {path}{' ' + body if body else ''}")
        script = self.pages.get(path, (404, {}, "nothing here"))
        if callable(script):
            return script(headers)
        if isinstance(script, list):
            return script.pop(0) if len(script) > 1 else script[0]
        return script

    def close(self) -> None:
        """Stop; more than once is fine."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else the body waits 40 ms for the acknowledgement of the head

        def _respond(self) -> None:
            asked = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            status, headers, body = site.answer(self.command, self.path, dict(self.headers.items()), asked)
            data = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_POST = do_HEAD = _respond  # noqa: N815 - the names that http.server looks up

        def log_message(self, *_: Any) -> None:
            """Requests are recorded by the site; stderr stays quiet."""

    return Handler


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    """`serve({"/": html, ...}) -> Site`: as many sites as a test needs, closed at its end."""
    sites: list[Site] = []

    def start(pages: Mapping[str, str] | None = None) -> Site:
        site = Site()
        sites.append(site)
        for path, body in (pages or {}).items():
            site.page(path, body)
        return site

    yield start
    for site in sites:
        site.close()


@pytest.fixture
def site(serve: Callable[..., Site]) -> Site:
    """One site, without pages yet."""
    return serve()
