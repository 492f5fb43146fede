"""A plugin's README section: its components, their options with types and defaults, and how they stand in a config."""

from __future__ import annotations

import typing
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pipeline.stages.hookspecs import HOOKS, signature
from pipeline.stages.parameters import NO_DEFAULT, Signature, purpose
from pipeline.stages.typed import Secret
from pipeline.stages.validate import marked_hooks

_WHERE: Final = {"parser": "parse", "filter": "filter", "store": "store", "seeds": "seeds", "plugin": "plugins"}
_WORDS: Final[dict[Any, str]] = {
    Any: "any",
    Path: "path",
    type(None): "null",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Secret: "secret text",
    Decimal: "number",
}


def component_section(kind: str, name: str, factory: Callable[..., Any]) -> str:
    """One component, as Markdown."""
    known = Signature(factory)
    lines = [f"### `{name}`" + ("" if kind == "plugin" else f" ({kind})"), "", *_said(purpose(factory))]
    rows = [
        f"| `{option}` | {type_text(known.types[option])} | {_default(known.parameters[option].default)} |"
        for option in known.options
    ]
    if hooks := marked_hooks(factory) if kind == "plugin" else ():
        lines += [f"Hooks: {', '.join(f'`{signature(hook)}`' for hook in hooks)}.", ""]
    if rows:
        lines += ["| option | type | default |", "|---|---|---|", *rows, ""]
    return "\n".join([*lines, "```yaml", *_example(kind, name, known), "```", ""])


def hooks_section(name: str, hooks: list[str], doc: str | None) -> str:
    """A plugin without components: the hooks it has."""
    lines = [f"### `{name}`", "", *_said((doc or "").strip().partition("\n")[0])]
    lines += ["Hooks: " + ", ".join(f"`{signature(hook)}`" for hook in HOOKS if hook in hooks) + ".", ""]
    return "\n".join([*lines, "```yaml", f"plugins: [{name}]", "```", ""])


def type_text(kind: Any) -> str:
    """A type as people write it."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if kind in _WORDS:
        return _WORDS[kind]
    if type(kind).__name__ in ("UnionType", "_UnionGenericAlias"):
        return " or ".join(map(type_text, arguments))
    origin = typing.get_origin(kind)
    if origin is dict:
        return f"mapping of {' to '.join(map(type_text, arguments))}"
    if origin is not None:
        return f"{getattr(origin, '__name__', origin)} of {', '.join(map(type_text, arguments))}"
    return str(getattr(kind, "__name__", kind))


def _said(text: str) -> list[str]:
    return [text, ""] if text else []


def _default(default: Any) -> str:
    return "required" if default is NO_DEFAULT else f"`{default}`"


def _example(kind: str, name: str, known: Signature) -> list[str]:
    needed = [option for option in known.options if known.parameters[option].default is NO_DEFAULT]
    inside = ", ".join(f"{option}: ..." for option in needed)
    given = f"{name}: {{{inside}}}" if inside else name
    if kind == "fetcher":
        return ["pages:", "  RULE:", f"    fetcher: {'{' + given + '}' if inside else name}"]
    return [f"{_WHERE[kind]}:", f"  - {given}"]
