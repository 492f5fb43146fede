"""Items as JSON Lines, exactly as the `jsonl` store writes them, on stdout or, of a dry run, in a file.

Stdout is written to by its descriptor, because what plugins print to stdout is sent to stderr.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from pipeline.errors import StorageError
from pipeline.model import Item
from pipeline.stages.stdout import descriptor

_encoder = msgspec.json.Encoder(decimal_format="number")


def print_items(items: Iterable[Item]) -> None:
    """Write items to stdout, one JSON object per line."""
    data = _lines(items)
    while data:
        data = data[os.write(descriptor(), data) :]


@contextmanager
def written_as_they_come(path: Path) -> Iterator[Callable[[Item], None]]:
    """A function that writes an item to the file at once. Both raise StorageError where that fails."""
    with ExitStack() as stack:
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("wb"))

        def write(item: Item) -> None:
            with _told(path):
                file.write(_lines([item]))
                file.flush()

        yield write


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"the items cannot be written to {path}: {error.strerror}") from error


def _lines(items: Iterable[Item]) -> bytes:
    return b"".join(_encoder.encode(item) + b"\n" for item in items)
