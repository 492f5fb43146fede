"""Several sources, one tree: `extends` (mappings merge, everything else is replaced, null removes) and `--set`.

Every value keeps the mark of the file it stands in, so that a relative path in it can be resolved against that file's
folder; a value from the command line has a mark whose folder is the working directory. It knows no key but `extends`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Environment
from pathlib import Path
from typing import NamedTuple

from pipeline.config.nodes import Entry, Mapping, Node, Scalar, Sequence, kind, printable
from pipeline.config.substitute import Substituter
from pipeline.config.yaml12 import MAX_BYTES, MAX_DEPTH, read, read_tree
from pipeline.errors import ConfigError, Mark, Problem

MAX_CHAIN = 20
_SEGMENT = re.compile(r'"([^"]*)"|([^."]+)')


class SetMark(Mark):
    """The place of a value from the command line: `key` as given; `file` lies in the working directory."""

    key: str

    @classmethod
    def of(cls, key: str) -> SetMark:
        """The mark of `--set key=...`."""
        mark = cls(str(Path.cwd() / "--set"), 1, 1)
        mark.key = key
        return mark

    def __str__(self) -> str:
        return f"--set {printable(self.key)}"


def read_layers(path: Path, environ: Environment[str, str]) -> tuple[Mapping, list[Problem]]:
    """The tree of a config with all that it extends merged in; raises ConfigError where a file cannot be read."""
    tree, problems = read(_bytes(path, str(path), None), str(path))
    seen = [path.resolve()]
    here = tree
    while (base := _base(here, environ, problems)) is not None:
        try:
            data = _bytes(base.path, base.shown, base.mark)
            _refuse_circle(base, seen)
            here, more = read(data, str(base.path))
        except ConfigError as error:
            raise ConfigError([*problems, *error.problems]) from None
        seen.append(base.path.resolve())
        problems += more
        tree = merge(here, tree)
    return tree, problems


def merge(base: Mapping, over: Mapping) -> Mapping:
    """`over` laid upon `base`; a null in `over` removes the key of `base`."""
    entries = dict(base.entries)
    for key, entry in over.entries.items():
        below = base.entries.get(key)
        if below is None:
            entries[key] = entry
        elif isinstance(entry.node, Scalar) and entry.node.null:
            del entries[key]
        elif isinstance(entry.node, Mapping) and isinstance(below.node, Mapping):
            entries[key] = Entry(entry.key_mark, merge(below.node, entry.node))
        else:
            entries[key] = entry
    return Mapping(over.mark, flow=over.flow, entries=entries)


class _Base(NamedTuple):
    """A file that is extended: where it is, how it may be called in messages, and the place that names it."""

    path: Path
    shown: str
    mark: Mark


def _base(tree: Mapping, environ: Environment[str, str], problems: list[Problem]) -> _Base | None:
    """The file that a tree extends; its name may use the vars of the same file and the environment."""
    node = tree.get("extends")
    if not isinstance(node, Scalar) or node.null:
        return None  # nothing to extend, or the schema says that it is no text
    substituter = Substituter(tree, environ)
    name = substituter.scalar(node, ("extends",))
    if name.broken:
        problems.extend(substituter.problems)
        return None
    path = Path(node.mark.file).parent / name.text
    return _Base(path, node.text if name.secret else str(path), node.mark)


def _refuse_circle(base: _Base, seen: list[Path]) -> None:
    if base.path.resolve() in seen:
        message = f"expected a file that is not extended yet, found {base.shown!r} again"
        raise ConfigError([Problem(base.mark, "extends", message)])
    if len(seen) > MAX_CHAIN:
        raise ConfigError([Problem(base.mark, "extends", f"expected at most {MAX_CHAIN} files in a row, found more")])


def _bytes(path: Path, shown: str, mark: Mark | None) -> bytes:
    """At most one byte more than a config may have; `mark` is the place that named the file."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no such file name"
        where, key = (mark, "extends") if mark else (Mark(str(path), 1, 1), "")
        message = f"expected a file that can be read, found {shown!r}: {reason}"
        raise ConfigError([Problem(where, key, message)]) from None


# --- --set -----------------------------------------------------------------------------------------------------------


def override(tree: Mapping, key: str, value: str) -> None:
    """Set one value by its dotted path; raises ConfigError that names `--set` and the path, never the value."""
    mark = SetMark.of(key)
    path = _split(key, mark)
    if path[0] == "extends":
        raise ConfigError([Problem(mark, "extends", "expected a key other than extends", "it is read before --set")])
    node = _parse(value, mark)
    here: Node = tree
    for depth, part in enumerate(path[:-1]):
        here = _step(here, part, ".".join(path[:depth]) or "the config", mark)
    _put(here, path[-1], node, ".".join(path[:-1]), mark)


def _split(key: str, mark: SetMark) -> list[str]:
    parts: list[str] = []
    position = 0
    while found := _SEGMENT.match(key, position):
        parts.append(found[1] if found[1] is not None else found[2])
        position = found.end()
        if position == len(key) and len(parts) <= MAX_DEPTH:
            return parts
        if key[position] != ".":
            break
        position += 1
    message = 'expected a dotted path such as limits.pages or hosts."*.example".delay'
    raise ConfigError([Problem(mark, "", message)])


def _parse(value: str, mark: SetMark) -> Node:
    """Flow collections and quoted text are YAML; everything else is a plain scalar, whatever characters it has."""
    if not value.startswith(("[", "{", '"', "'")):
        return Scalar(value, mark, plain=True)
    try:
        node, problems = read_tree(value, mark.file)
    except ConfigError as error:
        node, problems = None, list(error.problems)
    if problems:
        message = f"the value is not YAML: {problems[0].message}"
        raise ConfigError([Problem(mark, "", message, "quote it, or close what it opens")])
    return _remark(node, mark) if node else Scalar("", mark, plain=True)


def _remark(node: Node, mark: SetMark) -> Node:
    if isinstance(node, Mapping):
        entries = {key: Entry(mark, _remark(entry.node, mark)) for key, entry in node.entries.items()}
        return Mapping(mark, flow=True, entries=entries)
    if isinstance(node, Sequence):
        return Sequence(mark, flow=True, items=[_remark(item, mark) for item in node.items])
    return Scalar(node.text, mark, plain=node.plain)


def _step(here: Node, part: str, name: str, mark: SetMark) -> Node:
    """The node below; a mapping that is not there yet is made."""
    if isinstance(here, Mapping):
        entry = here.entries.get(part)
        if entry is None or (isinstance(entry.node, Scalar) and entry.node.null):
            entry = here.entries[part] = Entry(mark, Mapping(mark, flow=True))
        else:
            entry = here.entries[part] = Entry(entry.key_mark, _own(entry.node))
        return entry.node
    if isinstance(here, Sequence):
        index = _index(here, part, name, mark)
        here.items[index] = _own(here.items[index])
        return here.items[index]
    raise ConfigError([Problem(mark, "", f"expected {name} to be a mapping or a list, found {kind(here)}")])


def _own(node: Node) -> Node:
    """A shallow copy: an alias elsewhere must not change with this place."""
    if isinstance(node, Mapping):
        return Mapping(node.mark, flow=node.flow, entries=dict(node.entries))
    return Sequence(node.mark, flow=node.flow, items=list(node.items)) if isinstance(node, Sequence) else node


def _put(here: Node, part: str, node: Node, name: str, mark: SetMark) -> None:
    if isinstance(here, Mapping):
        if isinstance(node, Scalar) and node.null and part in here.entries:
            del here.entries[part]
        else:
            here.entries[part] = Entry(mark, node)
    elif isinstance(here, Sequence):
        here.items[_index(here, part, name, mark)] = node
    else:
        raise ConfigError([Problem(mark, "", f"expected {name} to be a mapping or a list, found {kind(here)}")])


def _index(here: Sequence, part: str, name: str, mark: SetMark) -> int:
    if part.isascii() and part.isdecimal() and len(part) < 7 and int(part) < len(here.items):
        return int(part)
    found = f"expected a number from 0 to {len(here.items) - 1} after {name}, found {part!r}"
    if not here.items:
        found = f"expected {name} to have entries, found an empty list"
    raise ConfigError([Problem(mark, "", found)])
