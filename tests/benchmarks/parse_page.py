"""One page of 20 records and 41 links: `fields` beside the loop that one would write by hand, the soup beside lxml's.

    python tests/benchmarks/parse_page.py PAGE.html [SECONDS]

Prints one line of JSON: best microseconds of each, taken in turns (absolute figures drift, ratios hold), tree included.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from bs4 import BeautifulSoup
from selectolax.lexbor import LexborHTMLParser

from pipeline import Item, Links, Page
from pipeline.model import one_by_one
from pipeline.stages.tree import Tree
from plugins.parse.fields import Fields

URL = "http://127.0.0.1:8800/p/0.html"
FIELDS = {"text": {"css": "span.text"}, "author": {"css": "small.author"}, "tags": {"css": "a.tag", "many": True}}
RULE = {"items": [{"type": "quote", "each": "div.quote", "fields": FIELDS}], "follow": [{"css": "a"}]}


def by_hand(body: bytes) -> list[Any]:
    """selectolax and urljoin, nothing else."""
    tree = LexborHTMLParser(body)
    found: list[Any] = []
    for quote in tree.css("div.quote"):
        text, author = quote.css_first("span.text"), quote.css_first("small.author")
        assert text is not None and author is not None
        found.append({"text": text.text(), "author": author.text(), "tags": [a.text() for a in quote.css("a.tag")]})
    found.extend(urljoin(URL, link.attributes["href"] or "") for link in tree.css("a[href]"))
    return found


def contenders(body: bytes) -> dict[str, Callable[[], Any]]:
    """name -> what is measured."""
    fields = Fields({"r": RULE})
    text = body.decode()

    def page() -> Page:
        return Page(URL, 200, [("Content-Type", "text/html")], body, rule="r")

    def with_joins() -> list[Any]:
        asked = page()
        found = list(fields.parse(asked))
        joined = [asked.url_join(url) for one in found if isinstance(one, Links) for url in one.urls]
        return [one for one in one_by_one(found) if isinstance(one, Item)] + joined

    return {
        "by_hand": lambda: by_hand(body),
        "fields": lambda: list(fields.parse(page())),
        "fields_and_joins": with_joins,
        "tree": lambda: page().tree,
        "soup": lambda: Tree(text).soup,
        "bs4_lxml": lambda: BeautifulSoup(text, "lxml"),
    }


def measure(body: bytes, seconds: float = 5.0) -> dict[str, float]:
    """Best time of each in microseconds, all taken in turns."""
    todo = contenders(body)
    assert todo["fields_and_joins"]() == by_hand(body)
    best = dict.fromkeys(todo, float("inf"))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, run in todo.items():
            begin = time.perf_counter()
            run()
            best[name] = min(best[name], (time.perf_counter() - begin) * 1e6)
    return {name: round(value, 1) for name, value in best.items()}


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]).read_bytes(), float(sys.argv[2]) if len(sys.argv) > 2 else 5.0)))
