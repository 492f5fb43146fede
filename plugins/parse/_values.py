"""From the text of a field to a value of its type. A text that is not clearly of the type is None, never a guess.

Numbers: an optional sign, digits of any script, perhaps one currency at an end: a sign, three capital letters, or an
abbreviation that shops use (`kr`, `US$`, `zł`). A dash in place of a fraction (`12,-`) is none. As an int,
`1,234` and `1 234 567` have thousands separators. As a float `1,234` may be either, so it is None; `1,5`, `1,234.5`,
`1.234,5`, `1,234,567` and `1.234.567` are clear. A single point is always the decimal point: `1.234` is a float and no
int. With `decimal`, the decimal sign is known, and all other signs between digits are thousands separators: with a
comma `1.234` is 1234.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import Final

_SPACES: Final = " \u00a0\u2009\u202f'\u2019"  # between thousands, besides comma and point
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})

_PLAIN_INT = re.compile(r"[+-]?[0-9]+")
_PLAIN_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# Thousands: groups of three, all divided by the same sign.
_GROUPED = re.compile(rf"([+-]?[0-9]{{1,3}})((?P<by>[,.{_SPACES}])[0-9]{{3}}(?:(?P=by)[0-9]{{3}})*)")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_KNOWN_SIGN = {  # decimal sign -> sign, digits in groups or not, fraction
    sign: re.compile(rf"([+-]?)([0-9]+|[0-9]{{1,3}}(?:[{other}{_SPACES}][0-9]{{3}})+)?(?:\{sign}([0-9]*))?")
    for sign, other in ((",", "."), (".", ","))
}
_NAMES = (  # as shops write them beside amounts; signs of their own (€, ₹) are known by their category
    r"(?:US|AU?|CA?|NZ|HK|NT|SG?|MX|R)\$|(?i:kr|fr|sfr|rs|rp|din|lei|ft|tl|kč|zł)\.?|R|RM|KM|kn|DM|"
    "(?i:\u0440(?:\u0443\u0431)?|\u0433\u0440\u043d|\u043b\u0432)\\.?"  # roubles, hryvnias, leva in Cyrillic
)
_CURRENCY = re.compile(
    rf"^([+-]?)(?:[A-Z]{{3}}|{_NAMES})\s*(?=[-+.,0-9])|(?<=[-.,0-9\u2013\u2014])\s*(?:[A-Z]{{3}}|{_NAMES})$"
)
_NO_FRACTION = re.compile(r"(?<=[0-9])[.,:][-\u2013\u2014]{1,2}$")
_SIGNS = {0x2212: "-", 0x066B: ".", 0x066C: ",", 0xFF0C: ",", 0xFF0E: "."}  # minus; Arabic and full-width signs
_FOREIGN = re.compile(r"[\u2212\u066b\u066c\uff0c\uff0e]|(?![0-9])\d")
_GROUPED_DECIMAL = re.compile(rf"([+-]?[0-9]{{1,3}}(?:([,.{_SPACES}])[0-9]{{3}})(?:\2[0-9]{{3}})*)([,.])([0-9]+)")


def read_int(text: str, decimal: str | None = None) -> int | None:
    """`12`, `-3`, `1,234`, `€ 1 234`; not `12.0` or `1.234`."""
    number = _bare(text)
    if decimal is not None:
        known = _known(number, decimal)
        return _int(known) if known is not None and "." not in known else None
    if _PLAIN_INT.fullmatch(number):
        return _int(number)
    grouped = _GROUPED.fullmatch(number)
    if grouped is None or (grouped["by"] == "." and number.count(".") == 1):
        return None
    return _int(_digits(number))


def read_float(text: str, decimal: str | None = None) -> float | None:
    """`1.5`, `1,5`, `1,234.5`, `1.234,5`, `£3`; not `1,234`. Never infinite, never NaN."""
    plain = _number(text, decimal)
    if plain is None:
        return None
    value = float(plain)
    return value if abs(value) != float("inf") else None


def read_decimal(text: str, decimal: str | None = None) -> Decimal | None:
    """As `read_float`, with the digits that stand there: `12.50` stays 12.50."""
    plain = _number(text, decimal)
    return None if plain is None else Decimal(plain)


def read_bool(text: str) -> bool | None:
    """true/yes/on/1 and false/no/off/0 in any case."""
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _number(text: str, decimal: str | None) -> str | None:
    number = _bare(text)
    return _plain_decimal(number) if decimal is None else _known(number, decimal)


def _known(number: str, decimal: str) -> str | None:
    """The number as Python writes it, where the decimal sign is known."""
    match = _KNOWN_SIGN[decimal].fullmatch(number)
    if match is None or not (match[2] or match[3]):
        return None
    whole = f"{match[1]}{_digits(match[2] or '0')}"
    return f"{whole}.{match[3]}" if match[3] else whole


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
    """Without white space, one currency at the ends and a dash for no fraction; digits and signs in ASCII."""
    number = _without_sign((_ascii(text) if _FOREIGN.search(text) else text).strip())
    if number[-1:].isdigit() and number[:1].isdigit():  # most are such
        return number
    return _NO_FRACTION.sub("", _CURRENCY.sub(r"\1", number, count=1))


def _ascii(text: str) -> str:
    return "".join(str(unicodedata.decimal(sign, sign)) for sign in text.translate(_SIGNS))


def _without_sign(number: str) -> str:
    """Without one currency sign at its ends."""
    if number and unicodedata.category(number[-1]) == "Sc":
        return number[:-1].rstrip()
    sign = number[:1] if number[:1] in ("-", "+") else ""
    rest = number[len(sign) :]
    return sign + rest[1:].lstrip() if rest and unicodedata.category(rest[0]) == "Sc" else number


def _digits(number: str) -> str:
    return re.sub(rf"[,.{_SPACES}]", "", number)


def _int(number: str) -> int | None:
    try:
        return int(number)
    except ValueError:  # more digits than Python converts (sys.set_int_max_str_digits)
        return None
