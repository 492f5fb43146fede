"""`file`: seeds from a text file, one URL a line.

    seeds:
      - {file: urls.txt, page: product}
      - {file: "-"}

Blank lines and lines that begin with # are skipped; `-` is standard input. Every line that is no URL is named before
anything is requested.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from pipeline import OptionError, Registry, Request, hookimpl

SHOWN = 10  # wrong lines that an error lists


class File:
    """Start at every URL in `path`; `page` names the page rule for all of them."""

    def __init__(self, path: Path, page: str | None = None) -> None:
        self.stdin = path.name == "-"
        if not self.stdin and not path.exists():
            raise OptionError(f"{path} does not exist", hint="paths in a config are relative to the config's folder")
        if path.is_dir():
            raise OptionError(f"{path} is a folder", hint="name a text file with one URL a line")
        self.path = path
        self.page = page

    @hookimpl
    def seeds(self) -> Iterator[Request]:
        """The requests, in the order of the lines."""
        wrong = []
        for number, url in self._lines():
            if problem := _problem(url):
                wrong.append(f"{'<stdin>' if self.stdin else self.path}:{number}: {problem}: {url[:100]!r}")
            else:
                yield Request(url, page=self.page, seed=True)
        if wrong:
            more = f"\nand {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
            raise OptionError("\n".join(wrong[:SHOWN]) + more)

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Number and text of each line that says something."""
        with open(sys.stdin.fileno() if self.stdin else self.path, "rb", closefd=not self.stdin) as file:
            for number, line in enumerate(file, 1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()
                if text and not text.startswith("#"):
                    yield number, text


def _problem(url: str) -> str | None:
    """What keeps a line from being a URL to start at."""
    if "\ufffd" in url:
        return "not UTF-8"
    if len(url.split()) > 1:
        return "more than one URL, or a space in it"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"not a URL ({error})"
    if parts.scheme not in {"http", "https"}:
        return "does not begin with http:// or https://"
    return None if parts.hostname else "no host"


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.seeds("file", File)
