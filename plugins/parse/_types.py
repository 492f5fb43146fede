"""From a raw value to a value of a type. A text that is not clearly of the type is None, never a guess."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ._field import Convert
from ._json import read_json
from ._reading import Reading
from ._sources import text_of

if TYPE_CHECKING:
    from ._dates import Dates

NUMBERS = ("int", "float", "decimal")
DATES = ("date", "datetime")


def converter(kind: str | None, *, decimal: str | None = None, dates: Dates | None = None) -> Convert | None:
    """The function for a type; None where the value is taken as it is."""
    if kind in NUMBERS:
        return _number(kind, decimal)
    if kind == "bool":
        return _bool()
    if dates is not None:
        return lambda raw, reading: dates.read(text_of(raw).strip(), reading.start)
    return CONVERTERS.get(kind or "")


def _number(kind: str, decimal: str | None) -> Convert:
    from . import _values  # noqa: PLC0415 - its expressions take 3 ms to compile, and many configs keep texts alone

    read: Callable[[str, str | None], Any] = getattr(_values, f"read_{kind}")

    def convert(raw: Any, reading: Reading) -> Any:
        if isinstance(raw, int | float | Decimal) and not isinstance(raw, bool):
            return read(str(int(raw)) if raw == raw // 1 and kind == "int" else str(raw), None)  # JSON's own number
        return read(text_of(raw), decimal)

    return convert


def _bool() -> Convert:
    from ._values import read_bool  # noqa: PLC0415 - as above

    return lambda raw, reading: raw if isinstance(raw, bool) else read_bool(text_of(raw))


def _url(raw: Any, reading: Reading) -> str | None:
    return reading.page.url_join(text_of(raw))


def _json(raw: Any, reading: Reading) -> Any:
    return read_json(raw) if isinstance(raw, str) else raw


def _text(raw: Any, reading: Reading) -> str:
    return text_of(raw)


CONVERTERS: dict[str, Convert] = {"url": _url, "json": _json, "str": _text, "html": _text}
