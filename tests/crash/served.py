"""The site as tests hold it: a handle on its process, and the config that crawls it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

SITE = Path(__file__).with_name("site.py")
CONCURRENCY = 64
NAME = "crash"


class Asked(NamedTuple):
    """One request that the site got. `when` is on the clock of `time.monotonic`."""

    when: float
    host: str
    path: str

    @property
    def robots(self) -> bool:
        """A robots.txt: never counted as a page."""
        return self.path == "/robots.txt"


class Served:
    """A site that runs. One crawl at a time: `take` gives the requests since it was last called."""

    def __init__(self, *, hosts: int, pages: int, slowness: float = 1, seed: int = 1) -> None:
        self.hosts, self.pages = hosts, pages
        sizes = {"hosts": hosts, "pages": pages, "seed": seed, "slowness": slowness}
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(SITE), *(f"--{name}={value}" for name, value in sizes.items())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.port: int = self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def tell(self, do: str, **more: Any) -> Any:
        """Have the site do something (see `site.py`)."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        self.process.stdin.flush()
        return self._read()

    def take(self) -> list[Asked]:
        """The requests since the last time."""
        return [Asked(*each) for each in self.tell("take")]

    def wait_for_waiting(self, least: int, seconds: float = 20) -> None:
        """Until so many requests wait for an answer."""
        deadline = time.monotonic() + seconds
        while self.tell("waiting") < least:
            assert time.monotonic() < deadline, f"only {self.tell('waiting')} requests wait after {seconds} s"
            time.sleep(0.02)

    def reset(self) -> None:
        """As new: nothing held, nothing logged."""
        self.tell("stall", seconds=None)
        self.take()

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


ITEMS = """\
    items:
      - type: offer
        each: article.offer
        key: [sku]
        fields:
          sku: {css: .sku, required: true}
          name: h2
          price: {css: .price, type: decimal}
          day: {css: time, type: date}
          tags: {css: .tag, many: true}
          stars: {carry: stars}
      - type: note
        each: li.note
        fields: {text: {css: "::text"}, page: {url: true}}
      - type: page
        fields: {title: h1, url: {url: true}, stars: {carry: stars}}
    follow:
      - {each: .card, css: a, page: detail, carry: {stars: u}}
      - a.more
      - a.out
"""

CONFIG = """\
name: {name}
seeds: ["http://127.0.1.1:{port}/"]
scope: {{allow_domains: [{hosts}]}}
fetch:
  private_networks: allow
  concurrency: {concurrency}
  per_host: {{concurrency: 16, delay: 0s}}
  retry: {{base: 50ms, cap: 200ms}}
checks: [items.offer >= 10, pages.failed <= 10%]
pages:
  detail:
    match: "/d/**"
{items}  list:
{items}store:
  - jsonl: out/all.jsonl
  - csv: {{path: out/offers.csv, items: offer}}
  - sqlite: out/all.db
  - sqlite: {{path: out/all.db, table: merged, write: merge, items: offer}}
{more_stores}  - jsonl: {{path: out/log.jsonl, write: append}}
  - sqlite: {{path: out/log.db, table: notes, write: append, items: note}}
"""

OUTPUTS = {"all.jsonl", "offers.csv", "all.db", "log.jsonl", "log.db"}
APPENDED = {"log.jsonl", "log.db"}


def config(site: Served, *, stores: str = "", more: str = "") -> str:
    """The config that crawls `site`. `stores` go before the appending ones, `more` is put at the end."""
    hosts = ", ".join(f"127.0.1.{host + 1}" for host in range(site.hosts))
    text = CONFIG.format(
        name=NAME, port=site.port, hosts=hosts, concurrency=CONCURRENCY, items=ITEMS, more_stores=stores
    )
    return text + more


def write_config(folder: Path, site: Served, **words: str) -> Path:
    """A fresh folder with the config in it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.yaml"
    path.write_text(config(site, **words), encoding="utf-8")
    return path
