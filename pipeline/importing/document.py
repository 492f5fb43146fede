"""What an import gives: a config's data in order, and what could not be said; and its YAML text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from pipeline.config.nodes import printable, resolve

WIDTH = 120
_LINE = 90  # characters of a collection that stands in one line
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
        body = [_dump({key: value}) for key, value in self.data.items() if value not in ([], {}, None)]
        return "\n".join(head) + "\n\n" + "\n".join(_spaced(body))


class Raw(str):
    """Text with `${NAME}` in it that is meant: other text has its dollar signs kept from being one."""

    __slots__ = ()


def safe_name(text: str, taken: Iterable[str], fallback: str) -> str:
    """A name as configs have it, near to `text`, that is not among those taken, in whatever case."""
    name = _UNSAFE.sub("-", text).strip("-._")[:90] or fallback
    used = {other.lower() for other in taken}
    number, result = 1, name
    while result.lower() in used:
        number += 1
        result = f"{name}-{number}"
    return result


class _Dumper(yaml.SafeDumper):
    """Keys in order; text in quotes where Hookline would take it for something else."""

    _inside = False

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def represent_mapping(self, tag: Any, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        return super().represent_mapping(tag, mapping, flow_style=self._short(mapping))

    def represent_sequence(self, tag: Any, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        return super().represent_sequence(tag, sequence, flow_style=self._short(sequence))

    def _short(self, value: Any) -> bool:
        """Whether it reads well in one line; what stands at the top never does."""
        top, self._inside = not self._inside, True
        return not top and _depth(value) < 3 and len(str(value)) <= _LINE


def _depth(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, parts), default=0) if isinstance(value, (dict, list)) else 0


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    text = value if isinstance(value, Raw) else value.replace("${", "$${")
    style = None
    if "\n" in text:
        style = '"' if re.search(r"[^\S\n]\n|^\s|[^\n]\n\n+\Z|\r", text) else "|"
    elif not isinstance(resolve(text), str):
        style = "'"
    elif "'" in text and '"' not in text and "\\" not in text and text.isprintable():
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Raw, _text)


def _dump(data: dict[str, Any]) -> str:
    result: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20)
    return result


def _spaced(blocks: list[str]) -> Iterable[str]:
    """Blocks of several lines stand apart."""
    for index, block in enumerate(blocks):
        long = block.count("\n") > 1 or (index > 0 and blocks[index - 1].count("\n") > 1)
        yield ("\n" if index and long else "") + block.rstrip("\n")
    yield ""
