"""Which fields an expression of `where` names, and where it compares text with numbers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pipeline import KnownFields, OptionError, unknown_fields

_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def mistakes(body: ast.expr, fields: KnownFields, words: frozenset[str]) -> Iterator[OptionError]:
    """What cannot be meant: fields that no item has, and texts that are compared with a number by size."""
    for error in unknown_fields([name for name in dict.fromkeys(_names(body, words)) if name != "type"], fields):
        yield OptionError(str(error), hint=error.hint)  # the place in a list means nothing in an expression
    for name in dict.fromkeys(_measured(body)):
        kinds = {own[name] for own in fields.values() if name in own}
        if kinds == {"str"}:
            yield OptionError(
                f"{name!r} is text, and is compared with a number",
                hint=f"give the field a type, as `type: decimal`, or write number({name})",
            )


def _names(node: ast.AST, words: frozenset[str]) -> Iterator[str]:
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


def _measured(body: ast.AST) -> Iterator[str]:
    """Names that stand beside a number in a comparison by size."""
    for node in ast.walk(body):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for place, op in enumerate(node.ops):
                pair = sides[place : place + 2]
                if isinstance(op, _ORDER) and any(map(_is_number, pair)):
                    yield from (side.id for side in pair if isinstance(side, ast.Name))


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)
