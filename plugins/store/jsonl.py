"""`jsonl`: one JSON object a line.

    store:
      - jsonl: out/books.jsonl
      - jsonl: {path: "out/log.jsonl", write: append}

UTF-8, non-ASCII as it is; decimals are numbers with all their digits, dates ISO 8601. Rows go into a stage beside the
target. `commit` makes the stage durable and renames it: a reader sees the old file or the new one, never a part. With
`append` the stage begins as a copy of the file, so that this is true of it too.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from pipeline import Item, Registry, RunInfo, hookimpl

from ._files import sync_folder, writable

_encode = msgspec.json.Encoder(decimal_format="number").encode_lines


class JsonLines:
    """Write items to `path`; `write` says whether they replace what is there or follow it."""

    def __init__(self, path: Path, *, run: RunInfo, write: Literal["replace", "append"] = "replace") -> None:
        self.path = writable(path)
        self.stage = path.with_name(f".{path.name}.{run.id}.stage")
        self.write = write
        self._file: BinaryIO | None = None

    @hookimpl
    def store_items(self, items: list[Item]) -> None:
        """Add the rows to the stage."""
        file = self._file or self._open()
        file.write(_encode(items))

    @hookimpl
    def commit(self) -> None:
        """Put the stage in the target's place."""
        file = self._file or self._open()  # without items the output is an empty file
        file.flush()
        os.fsync(file.fileno())
        file.close()
        self.stage.replace(self.path)
        self._file = None
        sync_folder(self.path.parent)

    @hookimpl
    def abort(self) -> None:
        """Forget the stage; the target was never touched."""
        if self._file:
            self.stage.unlink(missing_ok=True)
            with suppress(OSError):  # a full disk refuses what is still in the buffer
                self._file.close()
            self._file = None

    def _open(self) -> BinaryIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = file = self.stage.open("w+b")
        if self.path.exists():
            shutil.copymode(self.path, self.stage)
            if self.write == "append":
                _copy(self.path, file)
        return file


def _copy(path: Path, file: BinaryIO) -> None:
    """Begin `file` with the lines of `path`, the last one ended."""
    with path.open("rb") as old:
        shutil.copyfileobj(old, file, 1 << 20)
    if file.tell():
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.store("jsonl", JsonLines)
