"""What an import gives: a config's data in order, and what could not be said; and its YAML text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.config.nodes import printable
from pipeline.config.writing import dump

WIDTH = 120
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass
class Document:
    """One config to be: `data` has its keys in order, `notes` are what the source says and this does not."""

    name: str
    origin: str
    data: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The file as it is written: where it comes from, what is missing, then the keys."""
        head = [f"# {printable(' '.join(self.origin.split()))}"]
        if self.notes:
            head.append("# Not said here:")
            for note in self.notes:
                head += textwrap.wrap(
                    printable(" ".join(note.split())), WIDTH - 6, initial_indent="# - ", subsequent_indent="#   "
                )
        body = [dump({key: value}) for key, value in self.data.items() if value not in ([], {}, None)]
        return "\n".join(head) + "\n\n" + "\n".join(_spaced(body))


def safe_name(text: str, taken: Iterable[str], fallback: str) -> str:
    """A name as configs have it, near to `text`, that is not among those taken, in whatever case."""
    name = _UNSAFE.sub("-", text).strip("-._")[:90] or fallback
    used = {other.lower() for other in taken}
    number, result = 1, name
    while result.lower() in used:
        number += 1
        result = f"{name}-{number}"
    return result


def _spaced(blocks: list[str]) -> Iterable[str]:
    """Blocks of several lines stand apart."""
    for index, block in enumerate(blocks):
        long = block.count("\n") > 1 or (index > 0 and blocks[index - 1].count("\n") > 1)
        yield ("\n" if index and long else "") + block.rstrip("\n")
    yield ""
