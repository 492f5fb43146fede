"""Ten thousand slow connections in one process, and healthy requests beside them: does anybody notice?

`python tests/benchmarks/slow_connections.py [--tls] [--seconds 60] [--drips 10000] [--rate 200]`

A drip sends one byte every 10 s. The drips come from one server process, the healthy answers (6.5 KB) from another.
Reported are memory over what the process had before, CPU, the loop's lag (how late a timer of every 20 ms runs), the
healthy requests' failures and latency, and what all deadlines at once cost in the end. Exit code 1 where a goal is
missed. It asks for two cores and as many open files as drips, plus 600. With --tls `openssl` makes a certificate.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from idle_connections import server

from pipeline.fetch.connection import RECEIVING
from pipeline.fetch.descriptors import raise_limit, room_for
from pipeline.fetch.fetcher import Fetcher, Timeouts
from pipeline.fetch.loop import Loop
from pipeline.fetch.tls import TlsOptions
from pipeline.model import Failure, Request, Response

HOSTS = 20
TICK = 0.02
GOALS = {"rss_over_base_mib": 80.0, "lag_p99_ms": 20.0, "healthy_failed": 0, "drips_failed": 0}
TLS_GOALS = GOALS | {"rss_over_base_mib": 480.0, "ramp_s": 30.0}
TIMEOUTS = Timeouts(connect=60, tls=60, first_byte=120, idle=30, total=600)


def resident() -> float:
    """MiB."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def percentile(values: list[float], share: float) -> float:
    """Milliseconds; 0 of nothing."""
    return round(sorted(values)[int(len(values) * share)] * 1000, 2) if values else 0.0


class Load:
    """The run: drips first, then `rate` healthy requests a second for so many seconds."""

    def __init__(self, fetcher: Fetcher, loop: Loop, urls: dict[str, str], options: argparse.Namespace) -> None:
        self.fetcher, self.loop, self.urls, self.options = fetcher, loop, urls, options
        self.to_open = options.drips
        self.bad: dict[str, list[str]] = {"drip": [], "page": []}
        self.good = self.asked = 0
        self.latencies: list[float] = []
        self.lags: list[float] = []
        self.peak = 0.0
        self.until = 0.0
        self.ramp_lags: list[float] = []

    def collect(self) -> None:
        """What has ended."""
        while self.fetcher.done:
            outcome = self.fetcher.done.popleft()
            kind = "drip" if outcome.request.url.endswith("/drip") else "page"
            if isinstance(outcome, Response) and kind == "page" and outcome.status == 200:
                self.good += 1
                self.latencies.append(outcome.elapsed)
            else:
                self.bad[kind].append(str(outcome.error) if isinstance(outcome, Failure) else str(outcome.status))

    def ramp(self) -> float:
        """Open all drips, 25 a turn and not more than 500 ahead of the server; seconds until all of them drip."""
        start = time.perf_counter()

        def tick() -> None:
            self.collect()
            for _ in range(min(25, self.to_open)):
                host = f"127.0.0.{self.to_open % HOSTS + 1}"
                self.fetcher.start(Request(self.urls["drip"].format(host)))
                self.to_open -= 1
            if self.to_open:
                self.loop.call_soon(lambda: None)
            elif self.bad["drip"]:
                self.loop.stop()

        def look() -> None:
            if not self.to_open and self.all_dripping():
                self.loop.stop()
            else:
                self.loop.call_later(TICK, look)

        look()
        self.loop.run(tick)
        return time.perf_counter() - start

    def all_dripping(self) -> bool:
        """Whether every running connection has its head; kept ones, which wait for a request, do not count."""
        everything = self.fetcher._pool._all
        begun = sum(one.state == RECEIVING and one._reader.head_done for one in everything)
        return begun >= self.options.drips

    def hold(self) -> None:
        """Healthy requests beside the drips, evenly spread."""
        start = self.loop._clock()
        self.until = start + self.options.seconds
        due = start

        def tick() -> None:
            self.collect()
            now = self.loop._clock()
            if now >= self.until and self.good + len(self.bad["page"]) >= self.asked:
                self.loop.stop()

        def ask() -> None:
            nonlocal due
            now = self.loop._clock()
            self.lags.append(now - due)
            self.peak = max(self.peak, resident()) if len(self.lags) % 50 == 0 else self.peak
            if now >= self.until:
                return
            while self.asked < (now - start) * self.options.rate:
                self.asked += 1
                self.fetcher.start(Request(self.urls["page"]))
            due += TICK
            due = max(due, now)  # one hold-up is one late timer, not a hundred
            self.loop.call_at(due, ask)

        self.loop.call_at(due, ask)
        self.loop.run(tick)


@contextmanager
def certificate() -> Iterator[str]:
    """A file with key and self-signed certificate for the addresses in use."""
    names = ",".join(f"IP:127.0.0.{n}" for n in range(1, HOSTS + 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "both.pem")
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bench"
        subprocess.run(
            [*command.split(), "-addext", f"subjectAltName={names}", "-keyout", path, "-out", f"{path}.c"],
            check=True,
            capture_output=True,
        )
        with path.open("a", encoding="ascii") as both:
            both.write(Path(f"{path}.c").read_text(encoding="ascii"))
        yield str(path)


def expire_all(loop: Loop, fetcher: Fetcher) -> tuple[int, float]:
    """Move every running deadline to now: (outcomes, seconds until the last one)."""
    running = list(fetcher._pool._all)
    fetcher.done.clear()
    expected = fetcher.active
    start = time.perf_counter()
    for connection in running:
        connection._timer.move(loop.now)
    loop.run(lambda: len(fetcher.done) >= expected and loop.stop())
    return len(fetcher.done), time.perf_counter() - start


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    with ExitStack() as stack:
        pem = (stack.enter_context(certificate()),) if options.tls else ()
        drip_port = stack.enter_context(server(HOSTS, *pem))
        page_port = stack.enter_context(server(1, *pem))
        scheme = "https" if options.tls else "http"
        urls = {"drip": f"{scheme}://{{}}:{drip_port}/drip", "page": f"{scheme}://127.0.0.1:{page_port}/"}
        loop = Loop(options.selector)
        concurrency = options.drips + 300
        room_for(concurrency, loop.selector_name)
        tls = TlsOptions(ca_file=pem[0]) if options.tls else None
        fetcher = Fetcher(loop, concurrency=concurrency, max_idle=50, timeouts=TIMEOUTS, tls=tls)
        load = Load(fetcher, loop, urls, options)
        warm = Load(fetcher, loop, urls, argparse.Namespace(drips=0, seconds=1, rate=options.rate))
        warm.hold()
        gc.collect()
        base, ramp = resident(), load.ramp()
        cpu = time.process_time()
        load.hold()
        cpu = time.process_time() - cpu
        expired, expiry = expire_all(loop, fetcher)
        fetcher.close()
        loop.close()
    return {
        "selector": options.selector,
        "tls": options.tls,
        "drips": options.drips,
        "ramp_s": round(ramp, 2),
        "base_rss_mib": round(base, 1),
        "rss_over_base_mib": round(load.peak - base, 1),
        "kib_a_connection": round((load.peak - base) * 1024 / options.drips, 1),
        "cpu_share": round(cpu / options.seconds, 3),
        "lag_p50_ms": percentile(load.lags, 0.5),
        "lag_p99_ms": percentile(load.lags, 0.99),
        "lag_max_ms": round(max(load.lags) * 1000, 2),
        "healthy": load.good,
        "healthy_failed": len(load.bad["page"]),
        "healthy_p50_ms": percentile(load.latencies, 0.5),
        "healthy_p99_ms": percentile(load.latencies, 0.99),
        "alone_p99_ms": percentile(warm.latencies, 0.99),
        "drips_failed": len(load.bad["drip"]),
        "first_errors": (load.bad["page"] + load.bad["drip"])[:3],
        "expired_together": expired,
        "expiry_ms": round(expiry * 1000),
    }


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--drips", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=200, help="healthy requests a second")
    parser.add_argument("--selector", default="auto")
    options = parser.parse_args()
    raise_limit()
    figures = measure(options)
    print(json.dumps(figures, indent=2))
    goals = TLS_GOALS if options.tls else GOALS
    missed = [f"{name} {figures[name]} > {goal}" for name, goal in goals.items() if figures[name] > goal]
    print("missed: " + "; ".join(missed) if missed else "all goals reached", file=sys.stderr)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
