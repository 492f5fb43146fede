"""The tree that a YAML file becomes: scalars, mappings and sequences that know where they stand.

It answers for the core scalars of YAML 1.2 as the spec (section 2) narrows them, and for turning a tree into plain
data. It knows neither files nor keys. Numbers become `Int` and `Float`, which remember their spelling: where text is
wanted, `007` is `007`, and `str()` of such a number is what the user wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from pipeline.errors import Mark

KeyPath: TypeAlias = tuple[str | int, ...]

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII
)
USER_INFO = re.compile(r"//[^/@\s]*@")
MAX_DIGITS = 1000  # longer runs of digits are text: int() is quadratic and refuses them in the end


class Int(int):
    """An integer that remembers its spelling."""

    text: str

    def __new__(cls, text: str) -> Int:
        self = super().__new__(cls, text)
        self.text = text
        return self

    def __str__(self) -> str:
        return self.text


class Float(float):
    """A float that remembers its spelling."""

    text: str

    def __new__(cls, text: str) -> Float:
        self = super().__new__(cls, text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        self.text = text
        return self

    def __str__(self) -> str:
        return self.text


def resolve(text: str) -> Any:
    """What a plain scalar means: None, bool, `Int`, `Float` or the text itself."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if len(text) <= MAX_DIGITS:
        if _INT.fullmatch(text):
            return Int(text)
        if _FLOAT.fullmatch(text):
            return Float(text)
    return text


class Scalar:
    """A leaf: `text` is its spelling, `value` its meaning. `secret` ones are never shown, `broken` ones not judged.

    Its characters stand in the file one after another, the first `lead` columns behind `mark`; None where they do not
    (several lines, escapes, values from elsewhere). `commented`: there is no value, but a comment that may have been
    meant as one, since its `#` is followed by text at once.
    """

    __slots__ = ("broken", "commented", "lead", "mark", "plain", "secret", "text", "value")
    height = 1
    size = 1

    def __init__(
        self,
        text: str,
        mark: Mark,
        *,
        plain: bool = False,
        secret: bool = False,
        broken: bool = False,
        lead: int | None = None,
        commented: bool = False,
    ) -> None:
        self.text = text
        self.mark = mark
        self.plain = plain
        self.secret = secret
        self.broken = broken
        self.lead = lead
        self.commented = commented
        self.value: Any = resolve(text) if plain else text

    @property
    def null(self) -> bool:
        """True for `null`, `~` and nothing at all."""
        return self.value is None


class Entry(NamedTuple):
    """A key's place and its value."""

    key_mark: Mark
    node: Node


class Mapping:
    """Keys in order. `height` and `size` (nodes with aliases expanded) are set when it is closed."""

    __slots__ = ("entries", "flow", "height", "mark", "size")

    def __init__(self, mark: Mark, *, flow: bool = False, entries: dict[str, Entry] | None = None) -> None:
        self.mark = mark
        self.flow = flow
        self.entries: dict[str, Entry] = {} if entries is None else entries
        self.height = 1
        self.size = 1

    def get(self, key: str) -> Node | None:
        """The value of a key, or None."""
        entry = self.entries.get(key)
        return entry.node if entry else None


class Sequence:
    """Values in order; `height` and `size` as with mappings."""

    __slots__ = ("flow", "height", "items", "mark", "size")

    def __init__(self, mark: Mark, *, flow: bool = False, items: list[Node] | None = None) -> None:
        self.mark = mark
        self.flow = flow
        self.items: list[Node] = [] if items is None else items
        self.height = 1
        self.size = 1


Node: TypeAlias = Scalar | Mapping | Sequence


def to_data(node: Node) -> Any:
    """Dicts, lists and values; every alias becomes its own copy."""
    if isinstance(node, Mapping):
        return {key: to_data(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [to_data(item) for item in node.items]
    return node.value


def plain(data: Any) -> Any:
    """The same data with ordinary ints and floats, as msgspec and other encoders want them."""
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [plain(value) for value in data]
    if isinstance(data, Int):
        return int(data)
    return float(data) if isinstance(data, Float) else data


def walk(node: Node, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Node]]:
    """Every node with its key path, parents first."""
    yield path, node
    if isinstance(node, Mapping):
        for key, entry in node.entries.items():
            yield from walk(entry.node, (*path, key))
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield from walk(item, (*path, index))


def key_text(path: KeyPath) -> str:
    """A key path as `--set` takes it: `seeds.0.url`, `fetch.hosts."*.example".delay`."""
    return ".".join(_key_part(str(part)) for part in path)


def _key_part(part: str) -> str:
    """Quoted where a dot would mislead, and never with characters that would move a terminal's cursor."""
    part = printable(part)
    return f'"{part}"' if "." in part or not part else part


def printable(text: str) -> str:
    """Text for a terminal: control characters escaped, user info of URLs left out."""
    text = USER_INFO.sub("//...@", text)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def kind(node: Node | None) -> str:
    """What a person calls a node whose value need not be shown."""
    if isinstance(node, Mapping):
        return "a mapping" if node.entries else "an empty mapping"
    if isinstance(node, Sequence):
        return "a list" if node.items else "an empty list"
    return "nothing" if node is None or node.null else "a value"
