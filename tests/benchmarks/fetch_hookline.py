"""Fetch only, over `Fetcher`: fetch_hookline.py N CONNECTIONS [SELECTOR].

Prints one line of JSON with the keys of the peers' scripts: name, per_s, cpu_us (user + system, per request), rss_mb,
count. The site is the one of SITE (default http://127.0.0.1:8800) with pages /p/0.html to /p/1999.html.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

from pipeline.fetch.fetcher import Fetcher
from pipeline.fetch.loop import Loop
from pipeline.model import Failure, Request

SITE = os.environ.get("SITE", "http://127.0.0.1:8800")


def fetch_all(count: int, connections: int, selector: str) -> tuple[int, int]:
    """(good, failed) of `count` requests."""
    loop = Loop(selector)
    fetcher = Fetcher(loop, concurrency=connections)
    requests = iter([Request(f"{SITE}/p/{i % 2000}.html") for i in range(count)])
    good = failed = 0

    def tick() -> None:
        nonlocal good, failed
        done = fetcher.done
        while done:
            outcome = done.popleft()
            if isinstance(outcome, Failure) or outcome.status != 200:
                failed += 1
            else:
                good += 1
        for _ in range(fetcher.room):
            request = next(requests, None)
            if request is None:
                break
            fetcher.start(request)
        if good + failed == count:
            loop.stop()

    loop.run(tick)
    fetcher.close()
    loop.close()
    return good, failed


def main() -> None:
    """Measure and print."""
    count, connections = int(sys.argv[1]), int(sys.argv[2])
    selector = sys.argv[3] if len(sys.argv) > 3 else "auto"
    start = time.perf_counter()
    good, failed = fetch_all(count, connections, selector)
    wall = time.perf_counter() - start
    use = resource.getrusage(resource.RUSAGE_SELF)
    report = {
        "name": "hookline fetch",
        "per_s": round(good / wall),
        "cpu_us": round((use.ru_utime + use.ru_stime) / max(1, good) * 1e6, 1),
        "rss_mb": use.ru_maxrss // 1024,
        "count": good,
        "failed": failed,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
