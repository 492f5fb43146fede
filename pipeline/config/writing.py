"""Plain data as YAML text that Hookline reads as the same data, and that people like to read."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import yaml

from pipeline.config.nodes import resolve

_BREAKS = re.compile("[\x85\u2028\u2029]")  # YAML 1.1 breaks lines at these, unless they are escaped
_LINE = 90  # characters of a collection that stands in one line


class Raw(str):
    """Text with `${NAME}` in it that is meant: other text has its dollar signs kept from being one."""

    __slots__ = ()


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
    if _BREAKS.search(text):
        style = '"'
    elif "\n" in text:
        style = '"' if re.search(r"[^\S\n]\n|^\s|[^\n]\n\n+\Z|\r", text) else "|"
    elif not isinstance(resolve(text), str):
        style = "'"
    elif "'" in text and '"' not in text and "\\" not in text and text.isprintable():
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Raw, _text)


def dump(data: Any) -> str:
    """Data as YAML in block style, short collections in one line."""
    result: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20)
    return result


class _FlowDumper(_Dumper):
    """Everything in one line, whatever its length."""

    def _short(self, value: Any) -> bool:
        return True


def dump_line(data: Any) -> str:
    """Data as YAML in one line, for a place within brackets."""
    text: str = yaml.dump(data, Dumper=_FlowDumper, sort_keys=False, allow_unicode=True, width=1 << 30)
    return text.removesuffix("\n").removesuffix("\n...")


def _number(dumper: yaml.SafeDumper, value: Decimal) -> yaml.Node:
    """With its digits: 12.50 stays 12.50. A whole one is an integer to YAML, which would else put a tag before it."""
    text = f"{value:f}"
    return dumper.represent_scalar(f"tag:yaml.org,2002:{'float' if '.' in text else 'int'}", text)


for _kind in (_Dumper, _FlowDumper):
    _kind.add_representer(Decimal, _number)
