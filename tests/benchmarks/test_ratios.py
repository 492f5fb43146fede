"""Hookline beside its peers, back to back in one run: the server on one core, the client on another.

Absolute figures drift with machine and day; the ratios hold, and they alone are asserted. `-rP` shows the figures.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(170)]

HERE = Path(__file__).resolve().parent
BENCH = HERE.parent.parent.parent / "shared/bench"
ROUNDS = 2
PAGES, ITEMS = 2000, 40_000
REQUESTS, CONNECTIONS = 20_000, 100

CONF = """
{user} worker_processes 1; daemon off; pid {run}/pid; error_log {run}/error.log warn; worker_rlimit_nofile 4096;
events {{ worker_connections 2048; }}
http {{
  include /etc/nginx/mime.types; access_log off; sendfile on; tcp_nopush on;
  keepalive_requests 1000000; keepalive_timeout 300; open_file_cache max=4000 inactive=600s;
  client_body_temp_path {run}/b; proxy_temp_path {run}/p; fastcgi_temp_path {run}/f;
  uwsgi_temp_path {run}/u; scgi_temp_path {run}/s;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {run}/site; }}
}}
"""

# The shell stays until its input ends, which it does however the tests end; nginx never outlives them.
KEEPER = 'taskset -c "$2" nginx -e "$1/error.log" -c "$1/nginx.conf" & read -r _; kill -QUIT $!; wait $!'

Measure = Callable[[str, Path, list[str]], dict[str, Any]]


def skip_unless_possible() -> tuple[str, list[int]]:
    """The peers' Python and two cores, or skip with what is missing."""
    peers = os.environ.get("HOOKLINE_PEERS", "")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    for wrong, why in (
        (not peers, "HOOKLINE_PEERS must name the Python of an environment with aiohttp and scrapy"),
        (not BENCH.exists(), "no peers' scripts beside the checkout (../shared/bench)"),
        (len(cores) < 2, "needs two cores: one for the server, one for the client"),
        (not (shutil.which("nginx") and shutil.which("taskset")), "needs nginx and taskset"),
    ):
        if wrong:
            pytest.skip(why)
    return peers, cores


def words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(("alpha", "beta", "gamma", "delta", "kappa", "lambda", "sigma")) for _ in range(count))


def make_page(number: int, rng: random.Random) -> str:
    """A page of about 6.5 KB: 20 quotes with two tag links each, and a link to the next page."""
    quotes = []
    for place in range(20):
        near, far = (number * 5 + place * 17) % PAGES, (number * 11 + place * 23 + 7) % PAGES
        quotes.append(
            f'<div class="quote"><span class="text">{words(rng, 19)}</span><span>by <small class="author">'
            f'{words(rng, 2)}</small></span><div class="tags"><a class="tag" href="/p/{near}.html">{words(rng, 1)}</a>'
            f'<a class="tag" href="/p/{far}.html">{words(rng, 1)}</a></div></div>'
        )
    following = f'<ul class="pager"><li class="next"><a href="/p/{(number + 1) % PAGES}.html">Next</a></li></ul>'
    head = f"<!doctype html><html><head><title>Page {number}</title></head><body><h1>Page {number}</h1>"
    return f"{head}{''.join(quotes)}<nav>{following}</nav></body></html>"


@pytest.fixture(scope="module")
def measure() -> Iterator[Measure]:
    """`measure(python, script, arguments)`: the script's JSON, run against the site on the client's core."""
    _, cores = skip_unless_possible()
    rng = random.Random(1)
    # Not pytest's folder, which nginx's worker may not be allowed to enter.
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        run, port = Path(name), listener.getsockname()[1]
        run.chmod(0o755)
        (run / "site/p").mkdir(parents=True)
        for number in range(PAGES):
            (run / f"site/p/{number}.html").write_text(make_page(number, rng), encoding="utf-8")
        user = "user root;" if os.geteuid() == 0 else ""
        (run / "nginx.conf").write_text(CONF.format(run=run, port=port, user=user), encoding="utf-8")
        keeper = subprocess.Popen(
            ["sh", "-c", KEEPER, "nginx", str(run), str(cores[0])],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env={**os.environ, "NGINX": f"{listener.fileno()};"},  # nginx inherits the bound socket
        )

        # As where it is installed: modules are compiled once, not at each start of each process.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

        def one(python: str, script: Path, arguments: list[str]) -> dict[str, Any]:
            done = subprocess.run(
                ["taskset", "-c", str(cores[1]), python, str(script), *arguments],
                env={**inherited, "SITE": f"http://127.0.0.1:{port}"},
                capture_output=True,
                text=True,
                timeout=80,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            print(done.stdout.strip())
            found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return found

        try:
            yield one
        finally:
            keeper.communicate(timeout=20)


def best_of(
    measure: Measure, ours: Path, theirs: Path, arguments: list[str], count: int
) -> tuple[float, list[dict[str, Any]]]:
    """Ours and theirs in turn; the ratio of the best of each, and all that was measured."""
    peers, _ = skip_unless_possible()
    found = []
    for _ in range(ROUNDS):
        found += [measure(sys.executable, ours, arguments), measure(peers, theirs, arguments)]
    assert {one["count"] for one in found} == {count}
    ratio = max(one["per_s"] for one in found[::2]) / max(one["per_s"] for one in found[1::2])
    print(f"ratio {ratio:.2f}")
    return ratio, found


def test_fetch_beside_aiohttp(measure: Measure) -> None:
    arguments = [str(REQUESTS), str(CONNECTIONS)]
    theirs = BENCH / "peers/fetch_aiohttp.py"
    ratio, _ = best_of(measure, HERE / "fetch_hookline.py", theirs, arguments, REQUESTS)
    assert ratio >= 1.3


def test_whole_crawl_beside_scrapy(measure: Measure) -> None:
    ratio, found = best_of(measure, HERE / "crawl_hookline.py", BENCH / "peers/crawl_scrapy.py", [], PAGES)
    assert {one["items"] for one in found} == {ITEMS}
    assert ratio >= 6
