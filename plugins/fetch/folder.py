"""`folder`: pages from a folder instead of a site, such as a mirror, or pages saved for tests.

    pages:
      product:
        fetcher: {folder: {path: mirror}}

The path of a URL leads to a file below the folder: `https://books.example/a/b.html` to `mirror/a/b.html`, a path that
ends in a slash to `index.html` there. What is not there is a 404. Nothing outside the folder is ever read.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline import OptionError, Registry, Reply, Request, hookimpl


class Folder:
    """Read pages from the folder `path`; `index` is the file of a URL that ends in a slash."""

    def __init__(self, path: Path, index: str = "index.html") -> None:
        if not path.is_dir():
            raise OptionError(f"{path} is no folder", hint="paths in a config are relative to the config's folder")
        self.root = path.resolve()
        self.index = index

    @hookimpl
    def fetch(self, request: Request) -> Reply:
        """The file that the URL leads to."""
        parts = [part for part in unquote(urlsplit(request.url).path).split("/") if part]
        file = self.root.joinpath(*parts) if "\0" not in request.url else self.root
        if file.is_dir():
            file = file / self.index
        file = file.resolve()
        if not (file.is_relative_to(self.root) and file.is_file()):
            return Reply(f"there is no {file.name} in the folder", 404, {"Content-Type": "text/plain"})
        kind = mimetypes.guess_type(file.name)[0]
        return Reply(file.read_bytes(), headers={"Content-Type": kind} if kind else {})


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.fetcher("folder", Folder)
