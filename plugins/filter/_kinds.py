"""Of which kinds the parts of a `where` are, and where two of them can never fit: such a comparison is always false.

A kind is certain or empty. Text fits dates, since dates compare with their ISO 8601 form; numbers fit truth values.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pipeline import KnownFields, OptionError

TEXT: Final = "text"
_KINDS: Final = {
    **dict.fromkeys(("str", "url", "html"), TEXT),
    **dict.fromkeys(("int", "float", "decimal"), "a number"),
    **dict.fromkeys(("date", "datetime"), "a date"),
    "bool": "true or false",
    "list": "a list",
    "object": "an object",
}
_GIVES: Final = {
    **dict.fromkeys(("lower", "upper"), TEXT),
    **dict.fromkeys(("len", "number"), "a number"),
    **dict.fromkeys(("matches", "contains", "starts", "ends", "exists"), "true or false"),
}
_TAKES: Final = {  # of their first value
    **dict.fromkeys(("lower", "upper", "starts", "ends"), (TEXT,)),
    **dict.fromkeys(("matches", "contains"), (TEXT, "a list")),
    "len": (TEXT, "a list", "an object"),
    "number": (TEXT, "a number"),
}
_FITTING: Final = ({TEXT, "a date"}, {"a number", "true or false"})


class Kinds:
    """Looks for parts of an expression that cannot fit the fields of items."""

    def __init__(self, fields: KnownFields, words: Mapping[str, str]) -> None:
        self._words = words  # kinds of the words that are no fields
        self._fields: dict[str, str] = {}
        for name in {name for own in fields.values() for name in own}:
            kinds = {_KINDS.get(own[name], "") for own in fields.values() if name in own}
            self._fields[name] = kinds.pop() if len(kinds) == 1 else ""

    def misfits(self, body: ast.expr) -> Iterator[OptionError]:
        """An error for each part that can only be false or null."""
        for node in ast.walk(body):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                for place, op in enumerate(node.ops):
                    yield from self._compared(sides[place], op, sides[place + 1])
            elif isinstance(node, ast.BinOp):
                yield from self._calculated(node)
            elif isinstance(node, ast.Call):
                yield from self._called(node)

    def of(self, node: ast.expr) -> str:
        """The kind of a part; empty if it is not certain."""
        if isinstance(node, ast.Name):
            return self._words.get(node.id) or self._fields.get(node.id, "")
        if isinstance(node, ast.Constant):
            return TEXT if isinstance(node.value, str) else "a number"
        if isinstance(node, ast.Call):
            name = _called_name(node)
            named = node.args[0] if name == "field" and len(node.args) == 1 else None
            return self._fields.get(str(named.value), "") if isinstance(named, ast.Constant) else _GIVES.get(name, "")
        if isinstance(node, ast.BinOp):
            kinds = {self.of(node.left), self.of(node.right)}
            return kinds.pop() if isinstance(node.op, ast.Add) and len(kinds) == 1 else _number_of(node.op)
        if isinstance(node, ast.UnaryOp):
            return "true or false" if isinstance(node.op, ast.Not) else "a number"
        return {ast.List: "a list", ast.Tuple: "a list", ast.Compare: "true or false"}.get(type(node), "")

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Iterator[OptionError]:
        if not isinstance(op, ast.In | ast.NotIn):
            yield from self._pair(left, right, ordered=not isinstance(op, ast.Eq | ast.NotEq))
            return
        whole = self.of(right)
        if isinstance(right, ast.List | ast.Tuple):
            wrong = [found for one in right.elts for found in self._pair(left, one)]
            yield from wrong[:1] if len(wrong) == len(right.elts) else ()
        elif whole and whole not in (TEXT, "a list", "an object"):
            yield OptionError(f"{_told(right)} is {whole}, and nothing is in one")
        elif whole == TEXT and self.of(left) not in ("", TEXT):
            yield OptionError(f"{_told(left)} is {self.of(left)}, and is looked for in text")

    def _pair(self, left: ast.expr, right: ast.expr, *, ordered: bool = False) -> Iterator[OptionError]:
        one, two = self.of(left), self.of(right)
        if not one or not two or {one, two} in _FITTING or (one == two and not (ordered and one == "an object")):
            return
        if isinstance(left, ast.Constant) or (two == TEXT and not isinstance(right, ast.Constant)):
            left, one, two = right, two, one  # the side that can be mended
        yield OptionError(f"{_told(left)} is {one}, and is compared with {two}", hint=_hint(left, one, two))

    def _calculated(self, node: ast.BinOp) -> Iterator[OptionError]:
        sides = (node.left, node.right)
        kinds = [self.of(side) for side in sides]
        if isinstance(node.op, ast.Add) and set(kinds) <= {TEXT, ""}:
            return
        for side, kind in zip(sides, kinds, strict=True):
            if kind not in ("", "a number"):
                hint = _hint(side, kind, "a number")
                yield OptionError(f"{_told(side)} is {kind}, and is calculated with", hint=hint)
                return

    def _called(self, node: ast.Call) -> Iterator[OptionError]:
        name = _called_name(node)
        kind = self.of(node.args[0]) if node.args else ""
        takes = _TAKES.get(name)
        if takes and kind and kind not in takes:
            yield OptionError(f"{_told(node.args[0])} is {kind}, and {name} takes {' or '.join(takes)}")
        elif name in ("contains", "starts", "ends") and kind == TEXT and len(node.args) == 2:
            part = self.of(node.args[1])
            if part not in ("", TEXT):
                yield OptionError(f"{_told(node.args[1])} is {part}, and is looked for in text")


def once(errors: Iterator[OptionError]) -> Sequence[OptionError]:
    """Each message once."""
    return list({str(error): error for error in errors}.values())


def _called_name(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _number_of(op: ast.operator) -> str:
    return "" if isinstance(op, ast.Add) else "a number"


def _told(node: ast.expr) -> str:
    return repr(node.id) if isinstance(node, ast.Name) else ast.unparse(node)


def _hint(node: ast.expr, kind: str, other: str) -> str:
    """What may have been meant."""
    if kind == TEXT and other == "a number":
        if isinstance(node, ast.Name):
            return f"give the field a type, as `type: decimal`, or write number({node.id})"
        return f"write number({ast.unparse(node)})"
    return "numbers are written without quotes" if kind == "a number" and other == TEXT else ""
