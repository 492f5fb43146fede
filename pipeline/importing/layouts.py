"""Date layouts of Go (`Mon 2 January 2006, 15:04`) as formats of `strptime`.

A layout is an example: the moment Monday, 2 January 2006, 15:04:05 in the zone -0700, as the text would show it.
"""

from __future__ import annotations

import re

_DIRECTIVES = {
    "January": "%B", "Jan": "%b", "Monday": "%A", "Mon": "%a", "MST": "%Z",
    "2006": "%Y", "06": "%y", "01": "%m", "1": "%m", "02": "%d", "_2": "%d", "2": "%d", "002": "%j", "__2": "%j",
    "15": "%H", "03": "%I", "3": "%I", "04": "%M", "4": "%M", "05": "%S", "5": "%S", "PM": "%p", "pm": "%p",
}  # fmt: skip
_ZONE = r"[Z-](?:070000|07:00:00|0700|07:00|07)"
# In upper case month names mean nothing to Go, but whoever wrote them meant the month: case never counts here.
_TOKEN = re.compile(
    rf"(?P<zone>{_ZONE})|(?P<sample>[+-]0\d:?00(?=\s*$))|(?P<fraction>[.,](?:0+|9+)(?!\d))"
    r"|(?P<name>(?i:January|Monday)|(?i:Jan|Mon)(?![a-z])|MST|PM|pm)"
    r"|(?P<number>2006|__2|002|_2(?!006)|0[1-6]|15|[1-5])|(?P<other>.)",
    re.DOTALL,
)


def strptime_format(layout: str) -> str:
    """The format for a layout, without spaces at its ends."""
    tokens = list(_TOKEN.finditer(layout.strip()))
    twelve = any(token[0] in ("PM", "pm") for token in tokens)
    return "".join(_directive(token, twelve) for token in tokens)


_KINDS = {"year": "Yy", "month": "mbB", "day": "d", "time": "HIMSfp"}
_SAME = {"b": "B", "a": "A", "I": "H"}
_SAYABLE = set("YymdBAHMSfpzZ")
_SPELT = {"Y": r"\d{4}", "y": r"\d{2}", "f": r"\d+", "p": r"[AaPp]\.?[Mm]\.?", "z": r"(?:Z|[+-]\d{2}:?\d{2})"}
_SPELT |= dict.fromkeys("bBaAZ", r"\w+\.?") | dict.fromkeys("mdHIMSj", r"\d{1,2}")


def parts_of(form: str) -> frozenset[str]:
    """Which of year, month, day and time a format has."""
    letters = set(_letters(form))
    return frozenset(kind for kind, known in _KINDS.items() if letters & set(known))


def unsayable(form: str) -> str:
    """Why a format is none of Hookline's; empty if it is one."""
    named = [_SAME.get(letter, letter) for letter in _letters(form) if letter != "%"]
    unknown = [letter for letter in named if letter not in _SAYABLE]
    if unknown:
        return f"there is no %{unknown[0]}"
    return "a part of a date stands twice in it" if len(set(named)) < len(named) else ""


def _letters(form: str) -> list[str]:
    return re.findall(r"%(.)", form, re.DOTALL)


def without(form: str, kind: str) -> tuple[str, str]:
    """The format without a part, and what to take out of the text for it, as a regular expression."""
    tokens = re.findall(r"%.|.", form, re.DOTALL)
    places = [index for index, token in enumerate(tokens) if len(token) == 2 and token[1] in _KINDS[kind]]
    start, end = places[0], places[-1] + 1
    while start > 0 and len(tokens[start - 1]) == 1 and tokens[start - 1] != " ":
        start -= 1  # a separator goes with what it leads to
    while kind == "time" and end < len(tokens) and tokens[end] in ("Z", "%z"):
        end += 1
    span = tokens[start:end]
    pattern = "".join(_SPELT.get(token[1], "") if len(token) == 2 else re.escape(token) for token in span)
    return "".join(tokens[:start] + tokens[end:]).strip(), pattern


def names_in(layouts: list[str]) -> bool:
    """Whether months or weekdays are spelt out, so that the language counts."""
    return any(token["name"] not in (None, "PM", "pm", "MST") for lay in layouts for token in _TOKEN.finditer(lay))


def _directive(token: re.Match[str], twelve: bool) -> str:
    text = token[0]
    if token["zone"] or token["sample"]:
        return "%z"
    if token["fraction"]:
        return text[0] + "%f"
    if token["name"]:
        return _DIRECTIVES.get(text) or _DIRECTIVES[text.capitalize()]
    if token["number"]:
        return "%I" if twelve and text == "15" else _DIRECTIVES[text]
    return "%%" if text == "%" else text
