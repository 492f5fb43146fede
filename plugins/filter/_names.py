"""Which fields an expression of `where` names, and what in it cannot be meant."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from pipeline import KnownFields, OptionError, unknown_fields

from ._kinds import Kinds, once


def mistakes(body: ast.expr, fields: KnownFields, words: Mapping[str, str]) -> Iterator[OptionError]:
    """What cannot be meant: fields that no item has, and parts that can never fit. `words` have their kinds."""
    for error in unknown_fields([name for name in dict.fromkeys(_names(body, words)) if name != "type"], fields):
        yield OptionError(str(error), hint=error.hint)  # the place in a list means nothing in an expression
    yield from once(Kinds(fields, words).misfits(body))


def _names(node: ast.AST, words: Mapping[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Call):
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        for argument in node.args:
            if called in ("exists", "field") and isinstance(argument, ast.Constant):
                yield str(argument.value)
            else:
                yield from _names(argument, words)
    elif isinstance(node, ast.Name):
        if node.id not in words:
            yield node.id
    else:
        for child in ast.iter_child_nodes(node):
            yield from _names(child, words)
