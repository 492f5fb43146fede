"""From the text of a field to a value of its type. A text that is not clearly of the type is None, never a guess.

Numbers: an optional sign, digits, perhaps one currency sign around them. As an int, `1,234` and `1 234 567` have
thousands separators. As a float `1,234` may be either, so it is None; `1,5`, `1,234.5`, `1.234,5`, `1,234,567` and
`1.234.567` are clear. A single point is always the decimal point: `1.234` is a float and no int.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SPACES: Final = " \u00a0\u2009\u202f'\u2019"  # between thousands, besides comma and point
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})

_PLAIN_INT = re.compile(r"[+-]?[0-9]+")
_PLAIN_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# Thousands: groups of three, all divided by the same sign.
_GROUPED = re.compile(rf"([+-]?[0-9]{{1,3}})((?P<by>[,.{_SPACES}])[0-9]{{3}}(?:(?P=by)[0-9]{{3}})*)")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_GROUPED_DECIMAL = re.compile(rf"([+-]?[0-9]{{1,3}}(?:([,.{_SPACES}])[0-9]{{3}})(?:\2[0-9]{{3}})*)([,.])([0-9]+)")


def read_int(text: str) -> int | None:
    """`12`, `-3`, `1,234`, `€ 1 234`; not `12.0` or `1.234`."""
    number = _bare(text)
    if _PLAIN_INT.fullmatch(number):
        return _int(number)
    grouped = _GROUPED.fullmatch(number)
    if grouped is None or (grouped["by"] == "." and number.count(".") == 1):
        return None
    return _int(_digits(number))


def read_float(text: str) -> float | None:
    """`1.5`, `1,5`, `1,234.5`, `1.234,5`, `£3`; not `1,234`. Never infinite, never NaN."""
    number = _bare(text)
    plain = _plain_decimal(number)
    if plain is None:
        return None
    value = float(plain)
    return value if abs(value) != float("inf") else None


def read_bool(text: str) -> bool | None:
    """true/yes/on/1 and false/no/off/0 in any case."""
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _plain_decimal(number: str) -> str | None:
    """The number as Python writes it, or None where the separators can be read in two ways."""
    if _PLAIN_FLOAT.fullmatch(number):
        return number
    if mixed := _GROUPED_DECIMAL.fullmatch(number):
        return f"{_digits(mixed[1])}.{mixed[4]}" if mixed[2] != mixed[3] else _repeated(number)
    if grouped := _GROUPED.fullmatch(number):
        return None if grouped["by"] == "," and number.count(",") == 1 else _digits(number)
    return number.replace(",", ".") if _DECIMAL_COMMA.fullmatch(number) else None


def _repeated(number: str) -> str | None:
    return _digits(number) if _GROUPED.fullmatch(number) else None


def _bare(text: str) -> str:
    """Without white space and one currency sign at the ends, the minus sign as ASCII."""
    number = text.strip().replace("\u2212", "-")
    if number and unicodedata.category(number[-1]) == "Sc":
        return number[:-1].rstrip()
    sign = number[:1] if number[:1] in ("-", "+") else ""
    rest = number[len(sign) :]
    if rest and unicodedata.category(rest[0]) == "Sc":
        rest = rest[1:].lstrip()
        return rest if sign == "" else sign + rest
    return number


def _digits(number: str) -> str:
    return re.sub(rf"[,.{_SPACES}]", "", number)


def _int(number: str) -> int | None:
    try:
        return int(number)
    except ValueError:  # more digits than Python converts (sys.set_int_max_str_digits)
        return None
