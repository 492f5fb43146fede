"""`where`: keep the items for which an expression holds.

    filter:
      - where: "price > 0 and not matches(title, 'Used')"

An expression knows field names (`type` is the item's type), `now` (the start of the run), numbers, texts in quotes,
true, false, null, lists, `and`,
`or`, `not`, `== != < <= > >=` (chains too), `in`, `not in`, `+ - * / %` and the functions of `FUNCTIONS`. It is data,
not code: Python's parser reads it, and each node of the tree must be on a closed list, on which there is no attribute,
index, lambda or comprehension; what is on it becomes a closure.

No item makes an expression fail: comparing or calculating with null, or with values of different types, is not an
error but false, or null. Only `==`, `!=` and `not in` can be true of a null. Decimals compare exactly, so that
`price == 51.77` is what it looks like; dates compare with texts by their ISO 8601 form. A backslash in a text stands
for itself, as regular expressions need it.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from functools import singledispatch
from typing import Any, TypeAlias

from pipeline import Drop, Item, KnownFields, OptionError, Registry, RunInfo, hookimpl

from ._names import mistakes

MAX_LENGTH = 2000  # characters of an expression
MAX_DEPTH = 50  # nested parts of an expression; also keeps the closures far from Python's recursion limit
MAX_BITS = 4096  # of a whole number that `*` gives

Expression: TypeAlias = Callable[[Item], Any]


class Where:
    """Drop the items for which `expression` does not hold. `now` in it is the start of the run."""

    changes_fields = False

    def __init__(self, expression: str, run: RunInfo | None = None) -> None:
        self.expression = " ".join(expression.splitlines()).strip()
        self._holds = parse(self.expression, None if run is None else run.start)

    def check_fields(self, fields: KnownFields) -> Iterator[OptionError]:
        """Fields that no item has, and parts that can never fit: text beside a number, say."""
        words = {"true": "true or false", "false": "true or false", "null": "", NOW: "a date", "type": "text"}
        yield from mistakes(_tree(self.expression.replace("\\", "\\\\")), fields, words)

    @hookimpl
    def process_item(self, item: Item) -> Drop | None:
        """Drop the item, with the expression as the reason."""
        return None if self._holds(item) else Drop(f"where: {self.expression}")


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.filter("where", Where)


# --- from text to closures -------------------------------------------------------------------------------------------


class _Refused(Exception):  # noqa: N818 - carries a place to `parse`, which makes the error of it
    def __init__(self, node: ast.expr, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.node = node
        self.hint = hint


def parse(text: str, now: datetime | None = None) -> Expression:
    """A function from an item to the value of the expression; OptionError says at which column it is wrong."""
    if len(text) > MAX_LENGTH:
        raise OptionError(f"the expression has {len(text)} characters, {MAX_LENGTH} are allowed")
    source = text.replace("\\", "\\\\")
    try:
        body = _tree(source)
        _check_depth(body)
        return _build(body if now is None else _Now(now).visit(body))
    except SyntaxError as error:
        before = source[: error.offset - 1] if error.offset else source  # 0: something is missing at the end
        message, hint = f"not an expression ({error.msg})", ""
    except (ValueError, RecursionError, MemoryError):  # how Python's parser gives up, and what it says of a NUL
        before, message, hint = "", "too deeply nested, or with a NUL character", ""
    except _Refused as refused:
        before = source.encode()[: refused.node.col_offset].decode()  # Python counts UTF-8 bytes
        message, hint = str(refused), refused.hint
    column = len(before.replace("\\\\", "\\")) + 1
    raise OptionError(f"column {column}: {message}", hint=hint or ALLOWED)


def _tree(source: str) -> ast.expr:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `1and x` and the like are only warned of
        return ast.parse(source, mode="eval").body


def _check_depth(body: ast.expr) -> None:
    level: list[ast.expr] = [body]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    if level:
        raise _Refused(level[0], f"more than {MAX_DEPTH} parts are nested here")


class _Now(ast.NodeTransformer):
    """Puts the time in place of the word."""

    def __init__(self, now: datetime) -> None:
        self._now: Any = now

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.copy_location(ast.Constant(self._now), node) if node.id == NOW else node


@singledispatch
def _build(node: ast.AST) -> Expression:
    """The closure of a node. Kinds of nodes without an entry below are refused."""
    assert isinstance(node, ast.expr)
    raise _Refused(node, f"{REFUSED.get(type(node), type(node).__name__)} is not allowed here")


@_build.register
def _constant(node: ast.Constant) -> Expression:
    value: Any = node.value
    if (
        isinstance(value, str)
        and len(value.replace("\\", "\\\\").encode()) + 2 != (node.end_col_offset or 0) - node.col_offset
    ):
        raise _Refused(node, "a text is one pair of quotes, with nothing before or after it")  # r'', '''''', 'a' 'b'
    if isinstance(value, float):
        value = Decimal(repr(value))  # as written: 51.77 is then equal to a scraped 51.77
    if isinstance(value, bytes | complex | type(...)) or value == Decimal("Infinity"):
        raise _Refused(node, f"{node.value!r} is not a number or a text")
    return lambda item: value


@_build.register
def _name(node: ast.Name) -> Expression:
    if node.id in WORDS:
        value = WORDS[node.id]
        return lambda item: value
    return _field(node.id)


def _field(name: str) -> Expression:
    if name == "type":
        return lambda item: item.type
    return lambda item: item.get(name)


@_build.register
def _list(node: ast.List | ast.Tuple) -> Expression:
    parts = [_build(part) for part in node.elts]
    return lambda item: [part(item) for part in parts]


@_build.register
def _logic(node: ast.BoolOp) -> Expression:
    parts = [_build(part) for part in node.values]
    stop_at = isinstance(node.op, ast.Or)

    def run(item: Item) -> Any:
        value: Any = None
        for part in parts:
            value = part(item)
            if bool(value) is stop_at:
                break
        return value

    return run


@_build.register
def _unary(node: ast.UnaryOp) -> Expression:
    part = _build(node.operand)
    if isinstance(node.op, ast.Not):
        return lambda item: not part(item)
    if isinstance(node.op, ast.USub):
        return lambda item: _minus(0, part(item))
    raise _Refused(node, "only `not` and `-` can stand before a value")


@_build.register
def _arithmetic(node: ast.BinOp) -> Expression:
    calculate = ARITHMETIC.get(type(node.op))
    if calculate is None:
        raise _Refused(node, "this is not one of + - * / %")
    left, right = _build(node.left), _build(node.right)
    return lambda item: calculate(left(item), right(item))


@_build.register
def _compare(node: ast.Compare) -> Expression:
    tests = [COMPARISONS.get(type(op)) for op in node.ops]
    if None in tests:
        raise _Refused(node, "`is` is not a comparison here", hint="write == or !=")
    parts = [_build(part) for part in (node.left, *node.comparators)]

    def run(item: Item) -> bool:
        left = parts[0](item)
        for test, part in zip(tests, parts[1:], strict=True):
            right = part(item)
            if not (test and test(left, right)):
                return False
            left = right
        return True

    return run


@_build.register
def _call(node: ast.Call) -> Expression:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in FUNCTIONS:
        nearest = get_close_matches(name, FUNCTIONS, 1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"functions are {', '.join(FUNCTIONS)}"
        raise _Refused(node, f"{name} is not a function" if name else "only a function's name can be called", hint)
    count, function = FUNCTIONS[name]
    if node.keywords or len(node.args) != count:
        raise _Refused(node, f"{name} takes {count} value{'s' if count > 1 else ''}, without names")
    if name == "matches":
        return _matches(*node.args)
    if name in {"exists", "field"}:
        get = _named(node.args[0])
        return get if name == "field" else lambda item: get(item) not in (None, "", [], {})
    parts = [_build(part) for part in node.args]
    return lambda item: function(*(part(item) for part in parts))


def _named(node: ast.expr) -> Expression:
    """A field by its name, with or without quotes; in quotes even one called `type`."""
    if isinstance(node, ast.Name):
        return _field(node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        name = node.value
        return lambda item: item.get(name)
    raise _Refused(node, "a field's name must stand here")


def _matches(subject: ast.expr, pattern: ast.expr) -> Expression:
    if not (isinstance(pattern, ast.Constant) and isinstance(pattern.value, str)):
        raise _Refused(pattern, "a regular expression must be a text in quotes")
    try:
        search = re.compile(pattern.value).search
    except re.error as error:
        raise _Refused(pattern, f"not a regular expression: {error}", "see the syntax of Python's `re`") from None
    get = _build(subject)

    def run(item: Item) -> bool:
        value = get(item)
        texts = value if isinstance(value, list) else [value]
        return any(isinstance(text, str) and search(text) for text in texts)

    return run


# --- what values do --------------------------------------------------------------------------------------------------


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Both, made comparable: a float beside a Decimal as the digits it shows, a date beside a text as ISO 8601."""
    if isinstance(left, Decimal) and isinstance(right, float):
        return left, Decimal(repr(right))
    if type(left) is date and isinstance(right, datetime):
        return left, right.date()
    if isinstance(left, datetime) and type(right) is date:
        return left.date(), right
    if isinstance(left, date) and isinstance(right, str):
        return left.isoformat(), right
    if (isinstance(left, float) and isinstance(right, Decimal)) or (isinstance(left, str) and isinstance(right, date)):
        return _alike(right, left)[::-1]
    return left, right


def _safe(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    def run(left: Any, right: Any) -> bool:
        try:
            return bool(compare(*_alike(left, right)))
        except (TypeError, ArithmeticError):  # different types, null, NaN
            return False

    return run


def _calculation(calculate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def run(left: Any, right: Any) -> Any:
        left, right = _alike(left, right)
        if calculate is operator.add and isinstance(left, str) and isinstance(right, str):
            return left + right
        if not (_is_number(left) and _is_number(right)):  # `'a' * 10**9` and `'%999999d' % 1` end here
            return None
        try:
            return calculate(left, right)
        except (TypeError, ArithmeticError):
            return None

    return run


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _times(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MAX_BITS:
        return None
    return left * right


_equal = _safe(operator.eq)
_minus = _calculation(operator.sub)


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(whole, str):
        return isinstance(part, str) and part in whole
    return isinstance(whole, list | tuple | dict) and any(_equal(part, one) for one in whole)


def _number(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)\s*", value, re.ASCII):
        return Decimal(value.strip())
    return value if _is_number(value) else None


def _text(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of str as a function that gives null, which is false, where there is no text."""
    return lambda *values: method(*values) if all(isinstance(value, str) for value in values) else None


def _length(value: Any) -> int | None:
    if value is None:
        return 0
    return len(value) if isinstance(value, str | list | tuple | dict) else None


REFUSED: dict[type[ast.AST], str] = {
    ast.Attribute: "a dot after a value",
    ast.Subscript: "an index",
    ast.JoinedStr: "an f-string",
    ast.IfExp: "if ... else",
    ast.NamedExpr: ":=",
    ast.ListComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
}  # all other nodes are refused too, by the name that Python has for them

NOW = "now"
WORDS = {"true": True, "false": False, "null": None}

ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: _calculation(operator.add),
    ast.Sub: _minus,
    ast.Mult: _calculation(_times),
    ast.Div: _calculation(operator.truediv),
    ast.Mod: _calculation(operator.mod),
}

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: _equal,
    ast.NotEq: lambda left, right: not _equal(left, right),
    ast.Lt: _safe(operator.lt),
    ast.LtE: _safe(operator.le),
    ast.Gt: _safe(operator.gt),
    ast.GtE: _safe(operator.ge),
    ast.In: lambda left, right: _contains(right, left),
    ast.NotIn: lambda left, right: not _contains(right, left),
}

FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "matches": (2, _matches),  # (text or list of texts, regex): found anywhere in it
    "contains": (2, _contains),  # (text, part) or (list, value)
    "starts": (2, _text(str.startswith)),
    "ends": (2, _text(str.endswith)),
    "len": (1, _length),  # of a text or list; 0 for null
    "lower": (1, _text(str.lower)),
    "upper": (1, _text(str.upper)),
    "number": (1, _number),  # a text of digits as a number, else null
    "exists": (1, _field),  # (field): has a value; empty texts and lists are none
    "field": (1, _field),  # ('name'): a field whose name is not a word, or is a word of the language
}

ALLOWED = (
    "allowed are field names, numbers, texts in quotes, true, false, null, [lists], and, or, not, "
    f"== != < <= > >= in, + - * / % and the functions {', '.join(FUNCTIONS)}"
)
