"""Documentation sites as they are served for real: nginx on loopback over packages that Debian installs.

The listening socket belongs to the test session, and each nginx inherits it (its `NGINX` variable, made for replacing
a running binary). So the port is known and bound before nginx starts, connections wait in the backlog until it
accepts, and the same URL is served by one nginx after another, each with an access log of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parent.parent.parent
ORACLES = REPO.parent / "shared/corpus/open/sites"

# Nothing outside `run` is written, so that it works beside an installed nginx and without its folders.
CONF = """
worker_processes 1; daemon off; pid {run}/pid; error_log {run}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  include /etc/nginx/mime.types; default_type application/octet-stream;
  log_format asked '$request_method $request_uri $status'; access_log {run}/access.log asked;
  keepalive_requests 1000000;
  client_body_temp_path {run}/b; proxy_temp_path {run}/p; fastcgi_temp_path {run}/f;
  uwsgi_temp_path {run}/u; scgi_temp_path {run}/s;
  server {{ listen 127.0.0.1:{port}; root {root}; index index.html; autoindex off; }}
}}
"""

# The shell stays until its input ends, which it does however the tests end; nginx never outlives them.
KEEPER = 'nginx -e "$1/error.log" -c "$1/nginx.conf" & read -r _; kill -QUIT $!; wait $!'


@dataclass(frozen=True)
class Served:
    """A site while nginx serves it. `log` is complete once the `with` block is left."""

    base: str
    log: Path

    def asked(self) -> Counter[tuple[str, int]]:
        """How often each (request target, answer's status) was asked for."""
        lines = (line.split(" ") for line in self.log.read_text(encoding="utf-8").splitlines())
        return Counter((" ".join(words[1:-1]), int(words[-1])) for words in lines)


Serve = Callable[[Path], AbstractContextManager[Served]]


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`with nginx(root) as served:` serves this folder at the session's one port of 127.0.0.1."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        port = listener.getsockname()[1]

        @contextmanager
        def serve(root: Path) -> Iterator[Served]:
            run = tmp_path_factory.mktemp("nginx")
            run.chmod(0o755)
            (run / "nginx.conf").write_text(CONF.format(run=run, port=port, root=root), encoding="utf-8")
            keeper = subprocess.Popen(
                ["sh", "-c", KEEPER, "nginx", str(run)],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                env={**os.environ, "NGINX": f"{listener.fileno()};"},
            )
            try:
                yield Served(f"http://127.0.0.1:{port}", run / "access.log")
            finally:
                keeper.communicate(timeout=20)

        yield serve


@dataclass(frozen=True)
class Oracle:
    """What three independent crawls of a package's pages agree on."""

    name: str
    root: Path
    urls: dict[str, dict[str, Any]]  # path with query -> what is known of it

    def titles(self) -> dict[str, str]:
        """Path to title, for the pages whose title the oracle is sure of."""
        return {path: known["title"] for path, known in self.urls.items() if known.get("title")}


def installed_version(package: str) -> str:
    """The version that dpkg has installed, or an empty text."""
    answer = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False
    )
    return answer.stdout if answer.returncode == 0 else ""


@pytest.fixture(scope="session")
def oracle() -> Callable[[str], Oracle]:
    """`oracle(site)`, or skip: without its list, or where another version of the package is installed."""

    def load(name: str) -> Oracle:
        if not (ORACLES / f"{name}.summary.json").exists():
            pytest.skip(f"no list of the URLs of {name} beside the checkout (../shared/corpus/open/sites)")
        summary = json.loads((ORACLES / f"{name}.summary.json").read_text(encoding="utf-8"))
        found = installed_version(summary["package"])
        if found != summary["version"]:
            pytest.skip(f"{summary['package']} {summary['version']} is listed, {found or 'nothing'} is installed")
        lines = (ORACLES / f"{name}.urls.jsonl").read_text(encoding="utf-8").splitlines()
        # The list has paths as links are written; a space in one is asked for as %20 (WHATWG URL).
        urls = {known["path"].replace(" ", "%20"): known for known in map(json.loads, lines)}
        return Oracle(name, Path(summary["root"]), urls)

    return load
