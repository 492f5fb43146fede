"""Where a key path stands in a tree, and what is found there; whether it may be shown."""

from __future__ import annotations

from itertools import pairwise

from pipeline.config.nodes import USER_INFO, KeyPath, Mapping, Node, Scalar, Sequence, kind
from pipeline.errors import Mark

_SECRET_KEYS = frozenset(("auth", "proxy", "dsn", "notify"))
_SECRET_HEADERS = frozenset(("authorization", "proxy-authorization", "cookie"))
_LONGEST = 60


def steps(tree: Mapping, path: KeyPath) -> list[tuple[Mark, Node]]:
    """(place of the key, node) for the tree itself and for each part of the path, as far as it exists."""
    found: list[tuple[Mark, Node]] = [(tree.mark, tree)]
    for part in path:
        node = found[-1][1]
        if isinstance(node, Mapping) and part in node.entries:
            entry = node.entries[str(part)]
            found.append((entry.key_mark, entry.node))
        elif isinstance(node, Sequence) and isinstance(part, int) and 0 <= part < len(node.items):
            found.append((node.items[part].mark, node.items[part]))
        else:
            break
    return found


def locate(tree: Mapping, path: KeyPath, *, key: bool = False) -> Mark:
    """The place of the deepest known part of a path: of a scalar or flow collection itself, else of its key."""
    key_mark, node = steps(tree, path)[-1]
    if key or (isinstance(node, Scalar) and node.null) or (not isinstance(node, Scalar) and not node.flow):
        return key_mark
    return node.mark


def inside(written: Mapping, tree: Mapping, path: KeyPath, at: int) -> Mark:
    """The place of a character of a text, counted from 0; of the text itself where that cannot be told.

    `written` is the tree before substitution: what `${...}` has moved is not there any more.
    """
    (mark, node), (_, before) = steps(tree, path)[-1], steps(written, path)[-1]
    if not isinstance(node, Scalar):
        return mark
    if node is not before or node.lead is None:
        return node.mark
    return node.mark._replace(column=node.mark.column + node.lead + at)


def is_secret(path: KeyPath, node: Node) -> bool:
    """True if what stands there must not be shown: a secret key, or something from the environment."""
    if isinstance(node, Scalar) and node.secret:
        return True
    if any(part in _SECRET_KEYS for part in path):
        return True
    names = [str(part).lower() for part in path]
    return any(before == "headers" and name in _SECRET_HEADERS for before, name in pairwise(names))


def holds_secret(path: KeyPath, node: Node) -> bool:
    """True if what stands there, or anything in it, must not be shown."""
    if isinstance(node, Mapping):
        return any(holds_secret((*path, name), entry.node) for name, entry in node.entries.items())
    if isinstance(node, Sequence):
        return any(holds_secret((*path, index), one) for index, one in enumerate(node.items))
    return is_secret(path, node)


def found_text(path: KeyPath, node: Node | None) -> str:
    """What stands there, for an error message; secrets by kind only."""
    if not isinstance(node, Scalar):
        return kind(node)
    if node.null:
        return "nothing"
    if is_secret(path, node):
        return "a value that is not shown"
    if not isinstance(node.value, str):
        return node.text
    text = USER_INFO.sub("//...@", node.value)
    return repr(text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "...")
