"""Keys that exist but whose work is not built yet: one table. When a feature lands, its line goes.

`*` stands for one name or number. `field` stands for any field of an item, wherever it stands (fields, carry, first_of,
join). `=` names single values of a key that is otherwise built.
"""

from __future__ import annotations

import re

from pipeline.config.entries import StoreEntry
from pipeline.config.nodes import KeyPath, Mapping, Scalar, key_text, walk
from pipeline.config.places import locate
from pipeline.errors import Problem

WITHOUT_EFFECT = frozenset(
    (
        "notify",
        "archive",
    )
)

_FIELD = re.compile(r"pages\.\*\.(?:items\.\*\.fields|follow\.\*\.carry)\.\*(?:\.(?:first_of|join)\.\*)*")
_MESSAGE = "has no effect yet"


def without_effect(tree: Mapping) -> list[Problem]:
    """One note for each key that is set and does nothing yet; of nested ones the outermost."""
    notes: list[Problem] = []
    silent: KeyPath | None = None
    for path, node in walk(tree):
        inside = silent is not None and path[: len(silent)] == silent
        if inside or (isinstance(node, Scalar) and node.null):
            continue
        pattern = _pattern(path)
        value = node.text if isinstance(node, Scalar) else ""
        if pattern in WITHOUT_EFFECT or f"{pattern}={value}" in WITHOUT_EFFECT:
            silent = path
            message = _MESSAGE if pattern in WITHOUT_EFFECT else f"{value} {_MESSAGE}"
            notes.append(Problem(locate(tree, path, key=True), key_text(path), message))
    return notes


def _pattern(path: KeyPath) -> str:
    """The key path as the table has it."""
    parts = [
        "*" if isinstance(part, int) or _is_free(path[:index], str(part)) else str(part)
        for index, part in enumerate(path)
    ]
    return _FIELD.sub("field", ".".join(parts), count=1)


def _is_free(above: KeyPath, part: str) -> bool:
    """True if the keys below `above` are names that the user chose."""
    if above == ("pages",):
        return True
    if len(above) == 2:
        return above[0] == "store" and part not in StoreEntry.extra_words
    return (
        len(above) == 5 and above[0] == "pages" and (above[2], above[4]) in (("items", "fields"), ("follow", "carry"))
    )
