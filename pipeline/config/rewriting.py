"""Changing a config's `tests:` in its text: only what is replaced is touched, comments elsewhere stay.

The text is edited by the positions of its nodes. What was written is read again, and must be the old tree but for what
was asked for; else nothing is changed and the caller is told.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from pipeline.config.nodes import plain, to_data
from pipeline.config.writing import dump, dump_line
from pipeline.config.yaml12 import read_tree
from pipeline.errors import ConfigError

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CannotRewriteError(Exception):
    """Why a text is left as it is."""


def with_expectations(text: str, changes: Mapping[int, Mapping[str, Any]]) -> str:
    """The text with the `expect` of these tests (by number) replaced. Raises CannotRewriteError."""
    edits = [_edit(text, test, changes[number]) for number, test in enumerate(_tests(text)) if number in changes]
    if len(edits) < len(changes):
        raise CannotRewriteError("the tests do not stand in this file")
    new = _edited(text, edits)
    wanted = _data(text)
    for number, expect in changes.items():
        wanted["tests"][number]["expect"] = _read_back(expect)
    return _verified(new, wanted)


def with_test(text: str, test: Mapping[str, Any]) -> str:
    """The text with one test more at the end of `tests:`. Raises CannotRewriteError."""
    wanted = _data(text)
    wanted["tests"] = [*(wanted.get("tests") or []), _read_back(test)]
    root = yaml.compose(text, Loader=_LOADER)
    entry = _entry(root, "tests") if isinstance(root, yaml.MappingNode) and not root.flow_style else None
    if entry is None:
        lead = "" if text.endswith("\n") or not text else "\n"
        return _verified(_edited(text, [(len(text), len(text), f"{lead}\ntests:\n{_item(test, 2)}\n")]), wanted)
    key, value = entry
    if wanted["tests"] == [wanted["tests"][-1]]:  # the key is there, but nothing under it
        start, end = _behind(text, key, value)
        return _verified(_edited(text, [(start, end, f":\n{_item(test, key.start_mark.column + 2)}")]), wanted)
    if not isinstance(value, yaml.SequenceNode) or value.flow_style or not value.value:
        raise CannotRewriteError("`tests` is not a list with one test a line")
    at = _line_end(text, _end(value.value[-1]))
    return _verified(_edited(text, [(at, at, f"\n{_item(test, value.start_mark.column)}")]), wanted)


Edit = tuple[int, int, str]


def _edit(text: str, test: yaml.Node, expect: Mapping[str, Any]) -> Edit:
    if not isinstance(test, yaml.MappingNode):
        raise CannotRewriteError("a test is not a mapping")
    entry = _entry(test, "expect")
    if test.flow_style:
        return _edit_in_line(text, test, entry, dump_line(_plain(expect)))
    if entry is None:
        at = _line_end(text, _end(test.value[-1][1]))
        margin = test.value[0][0].start_mark.column
        return at, at, f"\n{' ' * margin}expect:\n{_block(expect, margin + 2)}"
    key, value = entry
    margin = key.start_mark.column + 2
    if isinstance(value, yaml.CollectionNode) and not value.flow_style:
        margin = value.start_mark.column
        start, end = value.start_mark.index, _end(value)
        return start, _known(text, start, end), _block(expect, margin).lstrip(" ")
    start, end = _behind(text, key, value)
    return start, _known(text, start, end), f":\n{_block(expect, margin)}" if expect else ": {}"


def _behind(text: str, key: yaml.Node, value: yaml.Node) -> tuple[int, int]:
    """From the end of a key to that of its value, which may be nothing."""
    at: int = key.end_mark.index
    return at, max(_end(value), text.index(":", at) + 1)


def _edit_in_line(text: str, test: yaml.MappingNode, entry: Any, line: str) -> Edit:
    if entry is None:
        at = _end(test.value[-1][1])
        return at, at, f", expect: {line}"
    start, end = entry[0].end_mark.index, _end(entry[1])
    return start, _known(text, start, end), f": {line}"


def _known(text: str, start: int, end: int) -> int:
    """`end`, unless something between is more than data."""
    if re.search(r"(?<!\$)\$\{", text[start:end]):
        raise CannotRewriteError("it holds a substitution")
    event: Any
    for event in yaml.parse(text, Loader=_LOADER):
        if start <= event.start_mark.index < end and getattr(event, "anchor", None) is not None:
            raise CannotRewriteError(
                "it holds an alias" if isinstance(event, yaml.AliasEvent) else "it holds an anchor"
            )
    return end


def _tests(text: str) -> Iterable[yaml.Node]:
    root = yaml.compose(text, Loader=_LOADER)
    entry = _entry(root, "tests") if isinstance(root, yaml.MappingNode) else None
    return entry[1].value if entry is not None and isinstance(entry[1], yaml.SequenceNode) else ()


def _entry(node: yaml.MappingNode, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    return next((pair for pair in node.value if pair[0].value == name), None)


def _end(node: yaml.Node) -> int:
    """Behind the last character of a node; libyaml has block collections end where the next thing begins."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _end(node.value[-1])
    end: int = node.end_mark.index
    return end


def _line_end(text: str, at: int) -> int:
    """The end of the line, so that a comment behind the place stays with it."""
    if at and text[at - 1] == "\n":
        return at - 1
    found = text.find("\n", at)
    return len(text) if found < 0 else found


def _block(data: Mapping[str, Any], margin: int) -> str:
    return textwrap.indent(dump(_plain(data)).rstrip("\n"), " " * margin)


def _item(test: Mapping[str, Any], margin: int) -> str:
    lines = _block(test, margin + 2)
    return f"{' ' * margin}- {lines.lstrip(' ')}"


def _edited(text: str, edits: Iterable[Edit]) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new.replace("\n", newline) + text[end:]
    return text


def _plain(data: Any) -> Any:
    """Nested dicts and lists of plain values. Raises CannotRewriteError for a key that no config may have."""
    if isinstance(data, Mapping):
        if any("${" in str(key) for key in data):
            raise CannotRewriteError("a key has `${` in it, which stands in values only")
        return {str(key): _plain(value) for key, value in data.items()}
    return [_plain(value) for value in data] if isinstance(data, list) else data


def _read_back(data: Any) -> Any:
    """As it is once it has been written and read."""
    return _data(dump(_plain(data)))


def _data(text: str) -> Any:
    """What a text says. Raises ConfigError, also for what does not hinder reading on but is no good config."""
    tree, problems = read_tree(text, "")
    if problems:
        raise ConfigError(problems)
    return plain(to_data(tree)) if tree is not None else {}


def _verified(text: str, wanted: Any) -> str:
    try:
        same = _data(text) == wanted
    except ConfigError:
        same = False
    if not same:
        raise CannotRewriteError("the text is written in a way that cannot be changed without risk")
    return text
