"""`jsonl`: one JSON object a line.

    store:
      - jsonl: out/books.jsonl
      - jsonl: {path: "out/log.jsonl", write: append}

UTF-8, non-ASCII as it is; decimals are numbers with all their digits, dates ISO 8601. Rows go into a stage beside the
target. `commit` makes the stage durable and renames it: a reader sees the old file or the new one, never a part. With
`append` the stage begins as a copy of the file, so that this is true of it too, and a run's rows are appended once
however often it is told to commit them (see `_files`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from pipeline import Item, Registry, RunInfo, hookimpl

from ._files import Stage, writable

_encode = msgspec.json.Encoder(decimal_format="number").encode_lines


class JsonLines:
    """Write items to `path`; `write` says whether they replace what is there or follow it."""

    def __init__(self, path: Path, *, run: RunInfo, write: Literal["replace", "append"] = "replace") -> None:
        self.path = writable(path)
        self.run = run
        self.write = write
        self._stage: Stage | None = None

    @hookimpl
    def store_items(self, items: list[Item]) -> None:
        """Add the rows to the stage."""
        stage = self._stage or self._begin()
        stage.file.write(_encode(items))

    @hookimpl
    def commit(self) -> None:
        """Put the stage in the target's place."""
        stage = self._stage or self._begin()  # without items the output is an empty file
        stage.commit()
        self._stage = None

    @hookimpl
    def abort(self) -> None:
        """Forget the stage; the target was never touched."""
        if self._stage:
            self._stage.abort()
            self._stage = None

    def _begin(self) -> Stage:
        self._stage = stage = Stage(self.path, self.run)
        if self.write == "append":
            stage.copy_target(b"\n")
        return stage


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.store("jsonl", JsonLines)
