"""Fetch only, but through `hookline run`: run_hookline.py N C. Prints one line of JSON beside the peers' fetch_*.

Seeds from a file, a page rule without items: what is measured is the whole way of a URL through seeds, frontier, robots
gate, fetch stage, page job and books, compared with a client that only fetches.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from pipeline.cli import main

BASE = os.environ.get("SITE", "http://127.0.0.1:8800")


def run(folder: Path, count: int, connections: int) -> dict[str, object]:
    """One run over `count` URLs of the bench site, which has 2,000 pages."""
    urls = "".join(f"{BASE}/p/{number % 2000}.html?{number // 2000}\n" for number in range(count))
    (folder / "urls.txt").write_text(urls, encoding="utf-8")
    config = {
        "name": "bench",
        "seeds": [{"file": "urls.txt"}],
        "scope": {"allow_domains": ["127.0.0.1"]},
        "fetch": {"concurrency": connections, "per_host": {"concurrency": connections, "delay": "0s"}},
        "pages": {"all": {}},
    }
    (folder / "bench.yaml").write_text(json.dumps(config), encoding="utf-8")
    begin = time.perf_counter()
    try:
        code = main(["run", str(folder / "bench.yaml"), "--report", str(folder / "report.json")], standalone_mode=False)
    except SystemExit as end:
        code = end.code
    wall = time.perf_counter() - begin
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    if code:
        sys.exit(f"hookline run ended with {code}: {report['errors']}")
    done = report["fates"]["fetched"]
    use = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "name": f"hookline {report['hookline']} run, fetch only",
        "per_s": round(done / wall),
        "cpu_us": round((use.ru_utime + use.ru_stime) / done * 1e6, 1),
        "rss_mb": use.ru_maxrss // 1024,
        "count": done,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(run(Path(name), int(sys.argv[1]), int(sys.argv[2]))))
