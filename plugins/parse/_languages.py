"""Names of months and days by language: Unicode CLDR's, as dateparser brings them along."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from typing import NamedTuple

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class LanguageError(ValueError):
    """A code that names no known language; `hint` says what may be meant."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Language(NamedTuple):
    """A language: `code` as dateparser has it, `locale` if a country was named, and its names of months and days."""

    code: str
    locale: str | None
    months: dict[str, int]
    days: dict[str, int]
    morning: Sequence[str]
    afternoon: Sequence[str]


@lru_cache(maxsize=64)
def language(name: str) -> Language:
    """The language of a code such as `de`, `en-GB` or `de_DE`. Raises `LanguageError`."""
    from dateparser.data.languages_info import language_locale_dict, language_order  # noqa: PLC0415 - 60 ms

    parts = name.strip().replace("_", "-").split("-")
    code = "-".join([parts[0].lower(), *(part for part in parts[1:] if len(part) == 4)])
    code = _ALIASES.get(code, code)
    if code not in language_order:
        near = get_close_matches(code, language_order, 1)
        hint = f"did you mean {near[0]}?" if near else "two letters as in de, or with a country as in en-GB"
        raise LanguageError(f"there is no language {name!r}", hint)
    locale = "-".join([code, *(part.upper() for part in parts[1:] if len(part) != 4)])
    known = language_locale_dict.get(code, [])
    info = import_module(f"dateparser.data.date_translation_data.{code}").info
    own = info.get("locale_specific", {}).get(locale, {})
    return Language(
        code,
        locale if locale in known else None,
        {name: number for number, month in enumerate(MONTHS, 1) for name in _spelt(month, info, own)},
        {name: number for number, day in enumerate(DAYS) for name in _spelt(day, info, own)},
        [*info.get("am", ()), *own.get("am", ())],
        [*info.get("pm", ()), *own.get("pm", ())],
    )


def _spelt(key: str, *tables: dict[str, list[str]]) -> list[str]:
    return [name for table in tables for name in table.get(key, ()) if any(map(str.isalpha, name))]


_ALIASES = {"no": "nb", "iw": "he", "in": "id", "tl": "fil"}
