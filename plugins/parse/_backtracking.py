"""Regular expressions that can take for ever on a text that does not match: a remark for `check`, not a proof.

Python's `re` tries all ways to share a text among repeats. Where a repeat is all that another one repeats, as in
`(a+)+`, their number doubles with each character; where two that take the same stand side by side, as in `.*.*`, it
grows with the square of the length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants, _parser  # type: ignore[attr-defined]  # the parser of `re` itself; it has no public name
from typing import Any

_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)  # a possessive repeat gives nothing back
_MANY = 100  # repetitions that are as good as any number


def slow_because(pattern: re.Pattern[str]) -> str:
    """Why matching may take for ever, in words; empty if nothing speaks for it."""
    return _look(_parser.parse(pattern.pattern, pattern.flags))


def _look(sequence: Iterable[Any]) -> str:
    before: Any = None
    for token in _flat(sequence):
        repeated = _repeated(token)
        if repeated is not None and _is_one_repeat(repeated):
            return "a repeat is repeated"
        if repeated is not None and before is not None and repr(repeated) == repr(before):
            return "two repeats of the same stand side by side"
        before = repeated
        for inner in _inner(token):
            if why := _look(inner):
                return why
    return ""


def _flat(sequence: Iterable[Any]) -> list[Any]:
    """The parts of a sequence, groups opened."""
    found: list[Any] = []
    for operation, value in sequence:
        if operation is _constants.SUBPATTERN:
            found += _flat(value[3])
        else:
            found.append((operation, value))
    return found


def _repeated(token: Any) -> list[Any] | None:
    """What is repeated any number of times, or None."""
    operation, value = token
    return _flat(value[2]) if operation in _REPEATS and value[1] >= _MANY else None


def _is_one_repeat(parts: list[Any]) -> bool:
    """Is there nothing to be matched but one repeat?"""
    needed = [part for part in parts if not _may_be_empty(part)] or parts
    return len(needed) == 1 and _repeated(needed[0]) is not None


def _may_be_empty(token: Any) -> bool:
    operation, value = token
    return operation is _constants.AT or (operation in _REPEATS and value[0] == 0)


def _inner(token: Any) -> list[Iterable[Any]]:
    """The sequences within a token."""
    operation, value = token
    if operation in _REPEATS:
        return [value[2]]
    if operation is _constants.BRANCH:
        return list(value[1])
    return [value[1]] if operation in (_constants.ASSERT, _constants.ASSERT_NOT) else []
