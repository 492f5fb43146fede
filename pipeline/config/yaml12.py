"""Reading one YAML file into a tree, safely.

Only libyaml's events are used (never its constructors), so nothing of a file can become code; nesting and size are
checked while the events arrive, which keeps alias bombs and towers of brackets from costing more than their text.
An alias shares the node of its anchor; the size it would have when expanded is added up instead of built.
It answers for syntax only: UTF-8, one document, a mapping at the top, no tags, no duplicate keys. Merge keys (`<<`) are
kept, because people use them; keys of the mapping itself win.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from pipeline.config.nodes import Entry, Mapping, Node, Scalar, Sequence, key_text, kind
from pipeline.config.syntax import line_of, lines_of, syntax_problem
from pipeline.errors import ConfigError, Mark, Problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 50
MAX_NODES = 50_000

_ODD_INDENT = re.compile("(?:- *)?[\xa0\u2000-\u200b\u202f\u3000]+")
_COMMENT = re.compile(r"[ \t]*#[^\s#]")

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Frame:
    """A collection that is not closed yet; in a mapping, `key` waits for its value."""

    __slots__ = ("anchor", "key", "key_mark", "merges", "merging", "node", "waiting")

    def __init__(self, node: Mapping | Sequence, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.waiting = False
        self.merging = False
        self.key = ""
        self.key_mark = node.mark
        self.merges: list[Node] = []


class _Builder:
    """Builds the tree from events; `problems` collects what does not hinder reading on."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.lines: list[str] = []
        self.problems: list[Problem] = []
        self.stack: list[_Frame] = []
        self.anchors: dict[str, Node] = {}
        self.count = 0
        self.root: Node | None = None

    def mark(self, event: Any) -> Mark:
        return Mark(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def refuse(self, mark: Mark, message: str, hint: str = "") -> NoReturn:
        raise ConfigError([*self.problems, Problem(mark, "", message, hint)])

    def note(self, mark: Mark, message: str, hint: str = "", *, last: str | None = None) -> None:
        """A problem at the place that is being read; `last` adds the last key of its path."""
        path: list[str | int] = [
            len(frame.node.items) if isinstance(frame.node, Sequence) else frame.key
            for frame in self.stack
            if isinstance(frame.node, Sequence) or frame.waiting
        ]
        if last is not None:
            path.append(last)
        self.problems.append(Problem(mark, key_text(tuple(path)), message, hint))

    def build(self, events: Iterator[Any]) -> Node | None:
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.refuse(self.mark(event), "expected one document, found a second one")
            elif isinstance(event, yaml.NodeEvent):
                self.node(event)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                self.close()
        return self.root

    def node(self, event: Any) -> None:
        if getattr(event, "tag", None) is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.note(self.mark(event), f"expected no tag, found {tag!r}", "remove it; text goes in quotes")
        if isinstance(event, yaml.AliasEvent):
            self.alias(event)
        elif isinstance(event, yaml.ScalarEvent):
            plain = event.style in (None, "") and getattr(event, "tag", None) is None
            commented = plain and not event.value and self.commented(event)
            node = Scalar(event.value, self.mark(event), plain=plain, lead=_lead(event), commented=commented)
            self.counted(node.mark, 1)
            self.name(event.anchor, node)
            self.place(node)
        else:
            self.open(event)

    def commented(self, event: Any) -> bool:
        """Whether more than a remark stands behind a key or dash without a value."""
        self.lines = self.lines or lines_of(self.text)
        return _COMMENT.match(line_of(self.lines, event.start_mark.line), event.start_mark.column) is not None

    def open(self, event: Any) -> None:
        make = Mapping if isinstance(event, yaml.MappingStartEvent) else Sequence
        node = make(self.mark(event), flow=bool(event.flow_style))
        self.counted(node.mark, 1)
        if len(self.stack) >= MAX_DEPTH:
            self.refuse(node.mark, f"expected at most {MAX_DEPTH} levels, found more")
        self.stack.append(_Frame(node, event.anchor))

    def close(self) -> None:
        frame = self.stack.pop()
        node = frame.node
        if isinstance(node, Mapping):
            self.merge(frame, node)
            children = [entry.node for entry in node.entries.values()]
        else:
            children = node.items
        node.height = 1 + max((child.height for child in children), default=0)
        node.size = 1 + sum(child.size for child in children)
        self.name(frame.anchor, node)
        self.place(node)

    def alias(self, event: Any) -> None:
        mark = self.mark(event)
        inside = any(frame.anchor == event.anchor for frame in self.stack)
        node = None if inside else self.anchors.get(event.anchor)
        if node is None:
            hint = "" if inside else f"if it is text, put it in quotes: '*{event.anchor}'"
            self.refuse(mark, f"alias *{event.anchor} " + ("stands inside itself" if inside else "has no anchor"), hint)
        self.counted(mark, node.size)
        if len(self.stack) + node.height > MAX_DEPTH:
            self.refuse(mark, f"expected at most {MAX_DEPTH} levels, found more behind alias *{event.anchor}")
        self.place(node, mark)

    def counted(self, mark: Mark, size: int) -> None:
        self.count += size
        if self.count > MAX_NODES:
            self.refuse(mark, f"expected at most {MAX_NODES} values with aliases expanded, found more")

    def name(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self.anchors[anchor] = node

    def place(self, node: Node, mark: Mark | None = None) -> None:
        """Hand a finished node to the collection that is open, or make it the root."""
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        if isinstance(frame.node, Sequence):
            frame.node.items.append(node)
        elif frame.waiting:
            frame.waiting = False
            self.put(frame, frame.node, node)
        else:
            frame.waiting = True
            self.take_key(frame, node, mark or node.mark)

    def take_key(self, frame: _Frame, node: Node, mark: Mark) -> None:
        if not isinstance(node, Scalar):
            self.refuse(
                mark, f"expected text as a key, found {kind(node)}", "a value that starts with '{' needs quotes"
            )
        if node.plain and _ODD_INDENT.match(node.text):
            self.refuse(mark, "expected spaces as indent, found others (no-break ones, perhaps)", "type them anew")
        frame.key = node.text
        frame.key_mark = mark
        frame.merging = node.plain and node.text == "<<"

    def put(self, frame: _Frame, mapping: Mapping, node: Node) -> None:
        if frame.merging:
            frame.merges.append(node)
            return
        first = mapping.entries.get(frame.key)
        if first is None:
            mapping.entries[frame.key] = Entry(frame.key_mark, node)
            return
        message = f"expected each key once, found {frame.key!r} again"
        self.note(frame.key_mark, message, f"the first is in line {first.key_mark.line}", last=frame.key)

    def merge(self, frame: _Frame, mapping: Mapping) -> None:
        """YAML 1.1 merge keys: `<<: *base` or `<<: [*one, *two]`; earlier ones win, own keys win over all."""
        for node in frame.merges:
            for source in node.items if isinstance(node, Sequence) else [node]:
                if not isinstance(source, Mapping):
                    message = f"expected a mapping or a list of mappings behind '<<', found {kind(source)}"
                    self.note(source.mark, message, last="<<")
                    continue
                for key, entry in source.entries.items():
                    mapping.entries.setdefault(key, entry)


def decode(data: bytes, file: str) -> str:
    """The text of a file; refuses what is too long or not UTF-8, with the place of the first bad byte."""
    if len(data) > MAX_BYTES:
        message = f"expected a file of at most 1 MiB, found {len(data)} bytes"
        raise ConfigError([Problem(Mark(file, 1, 1), "", message, "long lists of URLs go into a seed file")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        mark = Mark(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        message = f"expected UTF-8, found byte 0x{data[error.start]:02x}"
        raise ConfigError([Problem(mark, "", message, "save the file as UTF-8")]) from None


def read_tree(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    """The tree of a YAML text (None if it is empty) and what is wrong with it but does not hinder reading on.

    Raises ConfigError for all else.
    """
    builder = _Builder(file, text)
    try:
        root = builder.build(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        raise ConfigError([*builder.problems, syntax_problem(error, text, file, _LOADER)]) from None
    except yaml.reader.ReaderError as error:
        raise ConfigError([_bad_character(error, text, file)]) from None
    return root, builder.problems


def read(data: bytes, file: str) -> tuple[Mapping, list[Problem]]:
    """The tree of a config file and what is wrong with its YAML; raises ConfigError if it is no mapping."""
    root, problems = read_tree(decode(data, file), file)
    if not isinstance(root, Mapping):
        mark = root.mark if root else Mark(file, 1, 1)
        message = f"expected a mapping of keys such as name, seeds and pages, found {kind(root)}"
        raise ConfigError([*problems, Problem(mark, "", message)])
    return root, problems


def _lead(event: Any) -> int | None:
    """How far behind its mark, which an anchor is part of, a scalar's text begins; None where it is spelt otherwise."""
    quotes, begins, ends = int(event.style in ("'", '"')), event.start_mark, event.end_mark
    if begins.line != ends.line or event.style in ("|", ">"):
        return None
    lead: int = ends.column - quotes - len(event.value) - begins.column
    return lead if lead == quotes or (event.anchor is not None and not quotes) else None


def _bad_character(error: Any, text: str, file: str) -> Problem:
    position = next(
        (i for i, char in enumerate(text) if not char.isprintable() and char not in "\t\r\n\x85\u2028\u2029 "), 0
    )
    before = text[:position]
    mark = Mark(file, before.count("\n") + 1, position - before.rfind("\n"))
    return Problem(mark, "", f"expected printable text, found character {text[position : position + 1]!a}")
