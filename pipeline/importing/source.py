"""Reading a foreign tree: each key is asked for once, and what nobody asked for is told.

A mapping that is not of the kind that its format has is the user's mistake: a `Problem` with its place. A key that the
format does not know, or that cannot be said, is a note: the foreign tool would pass over it too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from pipeline.config.nodes import Mapping, Node, Scalar, Sequence, kind, to_data
from pipeline.errors import ConfigError, Mark, Problem

_TRUE, _FALSE = ("true", "yes", "on", "y"), ("false", "no", "off", "n")


class Source:
    """The file that is being read: its problems, and the notes of the document in the making."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.notes: list[str] = []

    def wrong(self, mark: Mark, where: str, expected: str, found: str) -> None:
        """Note a mistake of the user's."""
        self.problems.append(Problem(mark, where, f"expected {expected}, found {found}"))

    def note(self, where: str, text: str) -> None:
        """Note what cannot be said; each once."""
        note = f"{where}: {text}" if where else text
        if note not in self.notes:
            self.notes.append(note)

    def check(self) -> None:
        """Raise ConfigError if there were mistakes."""
        if self.problems:
            raise ConfigError(self.problems)


class Part:
    """A mapping of the source. `where` is what people call it: `scrapers.3.fields.title`."""

    def __init__(self, source: Source, node: Node | None, where: str, mark: Mark) -> None:
        self.source = source
        self.where = where
        self.mark = node.mark if node is not None else mark
        self._asked: set[str] = set()
        self._entries: dict[str, Any] = {}
        if isinstance(node, Mapping):
            self._entries = node.entries
        elif node is not None and not (isinstance(node, Scalar) and node.null):
            source.wrong(self.mark, where, "a mapping", kind(node))

    def __contains__(self, key: str) -> bool:
        entry = self._entries.get(key)
        return entry is not None and not (isinstance(entry.node, Scalar) and entry.node.null)

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def names(self) -> list[str]:
        """All keys, in order."""
        return list(self._entries)

    def without(self, *keys: str) -> Mapping:
        """The mapping itself, without some keys."""
        return Mapping(self.mark, entries={key: entry for key, entry in self._entries.items() if key not in keys})

    def note(self, text: str, key: str = "") -> None:
        """Note what cannot be said of this part."""
        self.source.note(self._at(key), text)

    def _at(self, key: str) -> str:
        return f"{self.where}.{key}".strip(".") if key else self.where

    def node(self, key: str) -> Node | None:
        """What stands under a key, None for nothing; the key is then known."""
        self._asked.add(key)
        return self._entries[key].node if key in self else None

    def text(self, key: str, *, needed: bool = False) -> str | None:
        """A text, with numbers and words as they are spelt."""
        node = self.node(key)
        if isinstance(node, Scalar) and (node.text or not needed):
            return node.text
        if node is not None or needed:
            mark = node.mark if node is not None else self.mark
            self.source.wrong(mark, self._at(key), "text", kind(node))
        return None

    def number(self, key: str) -> int | None:
        """A whole number."""
        node = self.node(key)
        if node is None:
            return None
        try:
            return int(_spelling(node))
        except ValueError:
            self._bad(key, node, "a whole number")
            return None

    def flag(self, key: str) -> bool | None:
        """True or false, also as YAML 1.1 spelt them."""
        node = self.node(key)
        word = _spelling(node).lower()
        if node is None or word in _TRUE + _FALSE:
            return None if node is None else word in _TRUE
        self._bad(key, node, "true or false")
        return None

    def part(self, key: str) -> Part:
        """A mapping below; an empty one if there is none."""
        return Part(self.source, self.node(key), self._at(key), self.mark)

    def parts(self, key: str, *, lone: bool = False) -> list[Part]:
        """A list of mappings; with `lone` a single one counts as a list of one."""
        node = self.node(key)
        if lone and isinstance(node, Mapping):
            return [Part(self.source, node, self._at(key), node.mark)]
        return [
            Part(self.source, item, f"{self._at(key)}.{index}", item.mark) for index, item in enumerate(self._list(key))
        ]

    def texts(self, key: str) -> list[str]:
        """A list of texts; a lone one counts as a list of one."""
        node = self.node(key)
        if isinstance(node, Scalar):
            return [node.text]
        items = self._list(key)
        for item in items:
            if not isinstance(item, Scalar):
                self._bad(key, item, "text")
        return [item.text for item in items if isinstance(item, Scalar)]

    def data(self, key: str) -> Any:
        """Whatever stands there, as plain data."""
        node = self.node(key)
        return None if node is None else _plain(to_data(node))

    def rest(self) -> Iterator[str]:
        """Keys that nobody has asked for."""
        return (key for key in self._entries if key not in self._asked)

    def done(self, known: tuple[str, ...] = (), tool: str = "") -> None:
        """Note the keys that nobody asked for: the tool does not know them either."""
        for key in list(self.rest()):
            near = difflib.get_close_matches(key, [*self._asked, *known], 1, cutoff=0.7)
            hint = f"; did it mean {near[0]}?" if near else ""
            self.note(f"{tool} does not know this key{hint}", key)

    def _list(self, key: str) -> list[Node]:
        node = self.node(key)
        if isinstance(node, Sequence):
            return node.items
        if node is not None:
            self._bad(key, node, "a list")
        return []

    def _bad(self, key: str, node: Node, expected: str) -> None:
        found = repr(node.text) if isinstance(node, Scalar) else kind(node)
        self.source.wrong(node.mark, self._at(key), expected, found)


def _spelling(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) else ""


def _plain(data: Any) -> Any:
    """Text where numbers remember their spelling."""
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    return data if data is None or isinstance(data, bool) else str(data)
