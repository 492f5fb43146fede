"""A whole crawl of the bench site by `hookline run`: crawl_hookline.py [key=value...]. Prints one line of JSON.

The site is $SITE (default http://127.0.0.1:8800). Arguments are given on as `--set`. `per_s` counts what the command
does from its call on: its imports, config, plugins, crawl, publish. The peers' clocks start behind their imports;
`imported_per_s` is the rate by that clock, without what the command imports before it looks at a config.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from pipeline.cli import main

BASE = os.environ.get("SITE", "http://127.0.0.1:8800")
CONFIG = {
    "name": "bench",
    "seeds": [f"{BASE}/p/0.html"],
    "fetch": {"concurrency": 64, "per_host": {"concurrency": 64, "delay": "0s"}},
    "pages": {
        "quotes": {
            "items": [
                {
                    "type": "quote",
                    "each": "div.quote",
                    "fields": {
                        "url": {"url": True},
                        "text": "span.text",
                        "author": "small.author",
                        "tags": {"css": "a.tag", "many": True},
                    },
                }
            ],
            "follow": ["a"],
        }
    },
    "store": [{"jsonl": "quotes.jsonl"}],
}


def crawl(folder: Path, settings: list[str]) -> dict[str, object]:
    """One run in this folder; what the peers report, from the run's own books."""
    (folder / "bench.yaml").write_text(json.dumps(CONFIG), encoding="utf-8")
    arguments = ["run", str(folder / "bench.yaml"), "--report", str(folder / "report.json")]
    for setting in settings:
        arguments += ["--set", setting]
    begin = time.perf_counter()
    import_module("pipeline.cli.run")
    imported = time.perf_counter()
    try:
        code = main(arguments, standalone_mode=False)
    except SystemExit as stop:
        code = stop.code
    end = time.perf_counter()
    if code:
        sys.exit(f"hookline run ended with {code}")
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    count = report["fates"]["fetched"]
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    spent = [(use.ru_utime + use.ru_stime) / count * 1e6 for use in uses]
    with (folder / "quotes.jsonl").open("rb") as lines:
        items = sum(1 for _ in lines)
    return {
        "name": f"hookline {report['hookline']} crawl",
        "per_s": round(count / (end - begin)),
        "imported_per_s": round(count / (end - imported)),
        "cpu_us": round(sum(spent), 1),
        "parent_us": round(spent[0], 1),
        "rss_mb": sum(use.ru_maxrss for use in uses) // 1024,
        "count": count,
        "items": items,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(crawl(Path(name), sys.argv[1:])))
