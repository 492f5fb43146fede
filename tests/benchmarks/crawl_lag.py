"""How late the loop is while workers are saturated: crawl_lag.py [key=value...]. Prints one line of JSON.

The whole crawl of the bench site ($SITE, default http://127.0.0.1:8800), and beside it a timer every 5 ms: lag is how
much later than planned it is called. Arguments are given on as `--set`; without any, pages are read by BeautifulSoup in
two workers, which keeps both at work all the time.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import tempfile
from pathlib import Path

from crawl_hookline import CONFIG

from pipeline.cli.overrides import parse_overrides
from pipeline.config import load
from pipeline.runner.build import Options
from pipeline.runner.engine import Engine
from pipeline.runner.session import execute

EVERY = 0.005


def main(settings: list[str]) -> None:
    """One crawl, its lags in milliseconds."""
    logging.disable(logging.WARNING)
    lags: list[float] = []

    def watch(engine: Engine) -> None:
        loop = engine.loop

        def beat(planned: float) -> None:
            lags.append(loop.now - planned)
            loop.call_at(loop.now + EVERY, lambda at=loop.now + EVERY: beat(at))

        beat(loop.now)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.yaml"
        file.write_text(json.dumps(CONFIG), encoding="utf-8")
        summary = execute(load(file, parse_overrides(settings)), Options(), watch=watch)
    cuts = statistics.quantiles(lags, n=1000)
    told = {"name": "loop lag", "p50_ms": cuts[499], "p99_ms": cuts[989], "p999_ms": cuts[998], "max_ms": max(lags)}
    told = {key: round(value * 1000, 2) if key.endswith("_ms") else value for key, value in told.items()}
    print(json.dumps({**told, "pages": summary.fates.get("fetched"), "seconds": summary.seconds}))


if __name__ == "__main__":
    main(sys.argv[1:] or ["workers=2", "pages.quotes.parser=soup"])
