"""What an item may hold: what JSON, SQLite and msgpack can all carry, and nothing that changes behind one's back.

Allowed are None, bool, int, finite float, str (encodable), Decimal (finite), date, datetime, and lists, tuples and
mappings with str keys of these. `settled` is on the path of every item, so it looks at types alone where these are the
common ones, and builds nothing; `settled_rows` looks at many items together, a column at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import chain, islice
from math import isfinite
from typing import Any, Final

import msgspec

from pipeline.stages.faults import describe, short

MAX_DEPTH: Final = 20  # containers within one another; also what ends a container that holds itself
MAX_FIELDS: Final = 500
MAX_TEXT: Final = 1024 * 1024  # characters of all texts of an item
_DEAD: Final = 20_000  # characters of what a dead letter shows of an item that is no JSON
_LONG: Final = 1000  # characters from which a text counts towards that
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1  # of msgpack, in which results travel
_PLAIN: Final = frozenset({type(None), bool, date, datetime})  # any value of these will do
_TEXT_OR_NONE: Final = frozenset({str, type(None)})
_LIST_OR_NONE: Final = frozenset({list, type(None)})
_NUMBER_OR_NONE: Final = frozenset({int, float, type(None)})
_TIMES: Final = frozenset({date, datetime})  # what JSON has no word for
_TEXTS: Final[tuple[set[type], ...]] = ({str}, set())  # the kinds in a list of texts
_json: Final = msgspec.json.Encoder(decimal_format="number")


class UnfitError(ValueError):
    """A value that cannot be stored; the text says where and why."""


class TooLargeError(UnfitError):
    """An item of a size that no page gives by right."""


def settled(fields: dict[Any, Any]) -> dict[str, Any]:
    """`fields` as a plain dict of plain values. Subclasses (as bs4's strings) become their base. Raises UnfitError."""
    try:
        plain, size = dict(fields), 0
        for name, value in plain.items():
            if type(name) is not str or not name.isascii():
                return _bounded({name: _fit(value, name, 0) for name, value in _keys(plain).items()})
            kind = type(value)
            if kind is str:
                if not value.isascii():
                    _encodable(value, name)
                if len(value) > _LONG:
                    size += len(value)
            elif kind is float:
                if not isfinite(value):
                    _fit(value, name, 0)
            elif kind is list and set(map(type, value)) in _TEXTS:
                plain[name], more = _texts(value, name)
                size += more
            elif kind not in _PLAIN:
                plain[name] = _fit(value, name, 0)
                size += _size(plain[name])
        return plain if size <= MAX_TEXT and len(plain) <= MAX_FIELDS else _bounded(plain)
    except (UnfitError, KeyboardInterrupt):
        raise
    except BaseException as error:  # out of a method of a value, which is anybody's code
        raise UnfitError(f"its values cannot be read: {describe(error)}") from None


def settled_rows(columns: Mapping[str, Sequence[Any]]) -> tuple[list[dict[str, Any]], bool] | None:
    """What `settled` makes of each row of a table, and whether JSON and msgpack have words for all values in it.

    None where a value is not of the simplest: then each row has to be looked at by itself.
    """
    if len(columns) > MAX_FIELDS or not all(type(name) is str and name.isascii() for name in columns):
        return None
    texts: list[str] = []
    copies: list[Sequence[Any]] = []
    plain = True
    for column in columns.values():
        kinds = set(map(type, column))
        if kinds <= _TEXT_OR_NONE:
            texts += filter(None, column)
        elif kinds <= _LIST_OR_NONE:
            inner = [*chain.from_iterable(filter(None, column))]
            if set(map(type, inner)) not in _TEXTS:
                return None
            texts += inner
            copies.append([None if value is None else value.copy() for value in column])
            continue
        elif kinds <= _NUMBER_OR_NONE:
            if not all(_INT_MIN <= value <= _INT_MAX for value in column if value is not None):
                return None  # too large, or not finite
        elif kinds <= _PLAIN:
            plain = plain and not kinds & _TIMES
        else:
            return None
        copies.append(column)
    joined = "".join(texts)
    if len(joined) > MAX_TEXT or not (joined.isascii() or _is_encodable(joined)):
        return None
    return [dict(zip(columns, row, strict=True)) for row in zip(*copies, strict=True)], plain


def _bounded(plain: dict[str, Any]) -> dict[str, Any]:
    """`plain` itself. Raises TooLargeError."""
    if len(plain) > MAX_FIELDS:
        raise TooLargeError(f"it has {len(plain):,} fields; {MAX_FIELDS} are the most that an item may have")
    size = sum(map(_size, plain.values()))
    if size > MAX_TEXT:
        raise TooLargeError(f"it has {size:,} characters; {MAX_TEXT:,} are the most that an item may have")
    return plain


def _size(value: Any) -> int:
    """Characters of all texts in a plain value, names among them; other values count as one."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(name) + _size(one) for name, one in value.items())
    return sum(map(_size, value)) if isinstance(value, list) else 1


def _texts(texts: list[str], where: str) -> tuple[list[str], int]:
    """A copy of a list of texts, the most common container, without a look at each; and its characters."""
    joined = "".join(texts)
    return list(texts) if joined.isascii() else _container(texts, where, 0), len(joined)


def _keys(fields: dict[Any, Any]) -> dict[str, Any]:
    for name in fields:
        if not isinstance(name, str):
            raise UnfitError(f"the name {short(name)} is no text")
        _encodable(name, f"the name {short(name)}")
    return {str.__str__(name): value for name, value in fields.items()}


def _fit(value: Any, where: str, depth: int) -> Any:
    """`value` in plain types. `where` is the field and the way into it."""
    kind = type(value)
    if kind is str:
        return _encodable(value, where)
    if kind is float or kind is Decimal:
        if not isfinite(value):
            raise UnfitError(f"{where} is {value}, which JSON cannot say")
        return value
    if kind is int:
        if not _INT_MIN <= value <= _INT_MAX:
            raise UnfitError(f"{where} is a whole number beyond 64 bits; make it a Decimal or a text")
        return value
    if kind in _PLAIN:
        return value
    if isinstance(value, list | tuple | dict):
        return _container(value, where, depth)
    return _fit(_base(value, where), where, depth)


def _container(value: Any, where: str, depth: int) -> Any:
    if depth == MAX_DEPTH:
        raise TooLargeError(f"{where.partition('[')[0]} is nested more than {MAX_DEPTH} deep, or holds itself")
    if isinstance(value, dict):
        return {name: _fit(one, f"{where}[{name!r}]", depth + 1) for name, one in _keys(value).items()}
    return [_fit(one, f"{where}[{index}]", depth + 1) for index, one in enumerate(value)]


def _base(value: Any, where: str) -> Any:
    """A value of a subclass (an IntEnum, a string of bs4) as one of the base class."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, datetime):
        return datetime.combine(value.date(), value.timetz())
    if isinstance(value, date):
        return date(value.year, value.month, value.day)
    for base in (int, float, Decimal):
        if isinstance(value, base):
            return base(value)
    kind = type(value)
    raise UnfitError(f"{where} is a {kind.__module__}.{kind.__qualname__}, which cannot be stored: {short(value)}")


def _encodable(text: str, where: str) -> str:
    if not _is_encodable(text):
        raise UnfitError(f"{where} has a lone surrogate, which UTF-8 cannot carry")
    return text


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def snapshot(fields: dict[str, Any]) -> dict[str, Any]:
    """A copy that later changes in place cannot reach. Costs a dict copy where no field holds a container."""
    copy = dict(fields)
    for name, value in copy.items():
        if isinstance(value, list | dict | tuple | set):
            copy[name] = _copied(value, 0)
    return copy


def _copied(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        return value
    if isinstance(value, dict):
        return {name: _copied(one, depth + 1) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(one, depth + 1) for one in value]
    return set(value) if isinstance(value, set) else value


def as_json(fields: dict[str, Any]) -> str:
    """For a dead letter: JSON where that is possible, else repr."""
    try:
        return _json.encode(settled(fields)).decode()
    except TooLargeError:
        some = islice(fields.items(), MAX_FIELDS)
        return short({name: short(value, _LONG) for name, value in some}, _DEAD)
    except UnfitError:
        return short(fields, _DEAD)
