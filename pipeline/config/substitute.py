"""`${NAME}` and `${NAME:-default}` in scalars: first `vars`, then the environment; `$${` is a literal `${`.

It runs after parsing, so a value can never become structure. What came from the environment is marked secret, because
error messages must not show it. Vars may use vars and the environment; a circle is an error. The produced text is
bounded, as vars that double each other would grow without end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as Environment
from typing import NamedTuple

from pipeline.config.nodes import Entry, KeyPath, Mapping, Node, Scalar, Sequence, key_text
from pipeline.errors import Problem

MAX_NESTING = 20
MAX_TEXT = 4 * 1024 * 1024  # characters that all substitutions of a file may produce

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"(?<!\$)\$\{[A-Za-z_]")


class _Text(NamedTuple):
    text: str
    secret: bool


class _SubstitutionError(Exception):
    """What is wrong with a text, for people; empty where it has been said already."""

    def __init__(self, message: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Substituter:
    """Substitutes in one tree; `problems` collects what went wrong, each at its scalar."""

    def __init__(self, tree: Mapping, environ: Environment[str, str]) -> None:
        found = tree.get("vars")
        self.vars = found if isinstance(found, Mapping) else Mapping(tree.mark)
        self.environ = environ
        self.problems: list[Problem] = []
        self._known: dict[str, _Text | None] = {}
        self._active: list[str] = []
        self._left = MAX_TEXT

    def tree(self, node: Node, path: KeyPath = ()) -> Node:
        """A copy of the tree with every scalar substituted; nodes without substitutions are shared."""
        if isinstance(node, Scalar):
            return self.scalar(node, path)
        if isinstance(node, Sequence):
            items = [self.tree(item, (*path, index)) for index, item in enumerate(node.items)]
            return Sequence(node.mark, flow=node.flow, items=items)
        entries: dict[str, Entry] = {}
        for key, entry in node.entries.items():
            if _KEY.search(key):
                message = "expected a key without substitution: ${...} works in values only"
                self.problems.append(Problem(entry.key_mark, key_text((*path, key)), message))
            entries[key] = Entry(entry.key_mark, self.tree(entry.node, (*path, key)))
        return Mapping(node.mark, flow=node.flow, entries=entries)

    def scalar(self, node: Scalar, path: KeyPath) -> Scalar:
        """The scalar after substitution, `broken` if that failed."""
        if "${" not in node.text:
            return node
        if len(path) == 2 and path[0] == "vars":
            return self._var_scalar(node, str(path[1]))
        try:
            result = self._expand(node.text)
        except _SubstitutionError as error:
            if error.message:
                self.problems.append(Problem(node.mark, key_text(path), error.message, error.hint))
            return Scalar("", node.mark, broken=True)
        single = node.plain and _is_single(node.text)
        return Scalar(result.text, node.mark, plain=single, secret=result.secret or node.secret)

    def _var_scalar(self, node: Scalar, name: str) -> Scalar:
        result = self._var(name)
        if result is None:
            return Scalar("", node.mark, broken=True)
        return Scalar(result.text, node.mark, plain=node.plain and _is_single(node.text), secret=result.secret)

    def _expand(self, text: str) -> _Text:
        secret = False
        pieces: list[str] = []
        for literal, name, default in _pieces(text):
            pieces.append(literal)
            if name:
                value = self._value(name, default)
                pieces.append(value.text)
                secret = secret or value.secret
        result = "".join(pieces)
        self._left -= len(result)
        if self._left < 0:
            raise _SubstitutionError(f"expected substitutions to give at most {MAX_TEXT} characters, found more")
        return _Text(result, secret)

    def _value(self, name: str, default: str | None) -> _Text:
        """As in a shell, `:-` also stands in for a value that is empty."""
        value: _Text | None = None
        if name in self.vars.entries:
            value = self._var(name)
            if value is None:
                raise _SubstitutionError
        elif name in self.environ:
            value = _Text(self.environ[name], True)
            if not value.text.isprintable() and not _is_unicode(value.text):
                raise _SubstitutionError(f"expected ${{{name}}} to be UTF-8, found other bytes in the environment")
        if default is not None and (value is None or not value.text):
            return self._expand(default)
        if value is None:
            raise _SubstitutionError(
                f"expected a value for ${{{name}}}, found none in vars or the environment", self._near(name)
            )
        return value

    def _near(self, name: str) -> str:
        import difflib  # noqa: PLC0415 - only where something is wrong

        near = difflib.get_close_matches(name, self.vars.entries, 1)
        return f"did you mean ${{{near[0]}}}?" if near else f"set it, or write ${{{name}:-default}}"

    def _var(self, name: str) -> _Text | None:
        """The value of a var, worked out once; None if it is broken (then its problem has been noted)."""
        if name in self._known:
            return self._known[name]
        entry = self.vars.entries[name]
        if not isinstance(entry.node, Scalar):
            return None  # the schema says that a var is text
        try:
            if name in self._active:
                circle = " -> ".join([*self._active[self._active.index(name) :], name])
                raise _SubstitutionError(f"expected vars without a circle, found {circle}")
            if len(self._active) >= MAX_NESTING:
                raise _SubstitutionError(f"expected vars at most {MAX_NESTING} deep, found more")
            self._active.append(name)
            try:
                result: _Text | None = self._expand(entry.node.text)
            finally:
                self._active.pop()
        except _SubstitutionError as error:
            result = None
            if error.message:
                self.problems.append(Problem(entry.node.mark, key_text(("vars", name)), error.message, error.hint))
        self._known[name] = result
        return result


def _is_single(text: str) -> bool:
    """True if the text is one substitution and nothing else."""
    try:
        pieces = list(_pieces(text))
    except _SubstitutionError:
        return False
    return len(pieces) == 1 and pieces[0][0] == "" and pieces[0][1] != ""


def _pieces(text: str) -> Iterator[tuple[str, str, str | None]]:
    """Triples (literal text, name that follows or empty, default or None)."""
    position, literal = 0, ""
    while (start := text.find("${", position)) >= 0:
        if start > position and text[start - 1] == "$":
            literal += text[position : start - 1] + "${"
            position = start + 2
            continue
        end = _closing(text, start + 2)
        name, colon, default = text[start + 2 : end].partition(":-")
        if not _NAME.fullmatch(name):
            raise _SubstitutionError(
                f"expected ${{NAME}} or ${{NAME:-default}}, found '{_short(text[start : end + 1])}'",
                "for a literal ${ write $${",
            )
        yield literal + text[position:start], name, default if colon else None
        position, literal = end + 1, ""
    if literal or position < len(text):
        yield literal + text[position:], "", None


def _closing(text: str, position: int) -> int:
    """The index of the brace that closes a substitution; defaults may hold substitutions."""
    depth = 1
    start = position
    while position < len(text):
        if text.startswith("${", position):
            depth += 1
            position += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return position
        if depth > MAX_NESTING:
            break
        position += 1
    raise _SubstitutionError(f"expected '}}' after '{_short(text[start - 2 :])}'", "for a literal ${ write $${")


def _is_unicode(text: str) -> bool:
    """False for text that stands for undecodable bytes (PEP 383)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
