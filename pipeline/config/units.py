"""Durations, sizes and percentages as people write them; plain functions that raise ValueError with what they expect.

The message of the ValueError is the expectation alone ("a duration such as ..."); its second argument, if there is one,
is a suggestion. The value itself is never part of it, since it may be secret.
"""

from __future__ import annotations

import math
import re
from typing import Any, Literal, NamedTuple, cast

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s?(ms|s|m|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s?(B|KiB|MiB|GiB|TiB)", re.ASCII)
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s?%", re.ASCII)
_LOOSE = re.compile(r"(\d+(?:\.\d+)?)\s?([A-Za-z]*)", re.ASCII)
_UNIT_WORDS = {
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("msec", "millis"), "ms"),
}
_MAX_TEXT = 40

DURATION = "a duration such as 500ms, 5s, 10m, 2h or 1d"
SIZE = "a size such as 64KiB, 8MiB or 2GiB, or a number of bytes"
PERCENT = "a percentage such as 10%"
IF_LOCKED = "fail, skip or wait=DURATION such as wait=10m"


def seconds(value: Any) -> float:
    """`500ms 5s 10m 2h 1d` as seconds; a bare 0 needs no unit."""
    text = _text(value)
    found = _DURATION.fullmatch(text)
    if found:
        return float(found[1]) * _SECONDS[found[2]]
    if not isinstance(value, (bool, str)) and value == 0:
        return 0.0
    raise ValueError(DURATION, _loose_duration(text))


def duration(value: float) -> str:
    """Seconds as a config spells them, in the largest unit that fits: 600 is `10m`."""
    thousandths = round(value * 1000)
    fitting = (unit for unit in ("d", "h", "m", "s") if thousandths and thousandths % (_SECONDS[unit] * 1000) == 0)
    unit = next(fitting, "ms" if thousandths % 1000 else "s")
    return f"{thousandths / round(_SECONDS[unit] * 1000):g}{unit}"


class IfLocked(NamedTuple):
    """What a run does while another one holds the lock; `wait` in seconds, for `wait` only."""

    word: Literal["fail", "skip", "wait"] = "fail"
    wait: float = 0.0


def if_locked(text: str) -> IfLocked:
    """`fail`, `skip` or `wait=10m`."""
    word, sign, wait = text.partition("=")
    if word in ("fail", "skip") and not sign:
        return IfLocked(cast("Literal['fail', 'skip']", word))
    near = {"w": "wait=10m", "s": "skip", "f": "fail"}.get(text[:1].lower(), "")
    if word == "wait" and sign:
        try:
            return IfLocked("wait", seconds(wait))
        except ValueError as error:
            near = f"wait={error.args[1] or '10m'}"
    raise ValueError(IF_LOCKED, near)


def octets(value: Any) -> int:
    """`64KiB 8MiB 2GiB` or plain bytes as a number of bytes."""
    text = _text(value)
    if text.isascii() and text.isdecimal():
        return int(text)
    found = _SIZE.fullmatch(text)
    if found:
        return int(float(found[1]) * _BYTES[found[2]])
    raise ValueError(SIZE, _loose_size(text))


def fraction(value: Any) -> float:
    """`10%` as 0.1; at most 100%."""
    text = _text(value)
    found = _PERCENT.fullmatch(text)
    if found and float(found[1]) <= 100:
        return float(found[1]) / 100
    loose = _LOOSE.fullmatch(text)
    raise ValueError(PERCENT, f"{loose[1]}%" if loose and not loose[2] and float(loose[1]) >= 1 else "")


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    text = str(value)
    return text if len(text) <= _MAX_TEXT else ""


def _loose_duration(text: str) -> str:
    found = _LOOSE.fullmatch(text)
    if not found:
        return ""
    unit = found[2].lower()
    unit = _UNIT_WORDS.get(unit, unit or "s")
    return f"{found[1]}{unit}" if unit in _SECONDS else ""


def _loose_size(text: str) -> str:
    found = _LOOSE.fullmatch(text)
    letter = found[2][:1].upper() if found else ""
    return f"{found[1]}{letter}iB" if found and letter and letter in "KMGT" else ""
