"""One value from a YAML file against one Python type, by pydantic, with errors in our words.

Strict, as JSON is: `"5"` is no number and `no` no boolean, but a whole number may stand for a float, and text for a
path, a date, a decimal or a member of an enum. Numbers of the YAML loader remember their spelling (`str()` gives it);
where text is wanted, they give that.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import PydanticSchemaGenerationError, PydanticUserError, SecretStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from pipeline.errors import OptionError
from pipeline.secrecy import keep_secret
from pipeline.stages.faults import short
from pipeline.stages.loading import nearest
from pipeline.stages.places import KeyPath
from pipeline.stages.shapes import decimals, secret_values, secrets, strangers

Secret = SecretStr

UNKNOWN: Final = "unknown option"
_EXPECTED: Final = {
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "decimal_type": "expected a number",
    "string_type": "expected text",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "set_type": "expected a list",
    "dict_type": "expected a mapping",
    "mapping_type": "expected a mapping",
    "path_type": "expected a path",
    "dataclass_type": "expected a mapping",
    "model_type": "expected a mapping",
    "model_attributes_type": "expected a mapping",
    "none_required": "expected null",
    "missing": "this is missing",
}


def checked(kind: Any, value: Any, path: KeyPath) -> Any:
    """`value` as `kind`. Raises an ExceptionGroup of OptionErrors."""
    if kind is Any:
        return value
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
    except (PydanticSchemaGenerationError, PydanticUserError):
        if inspect.isclass(kind) and isinstance(value, kind):
            return value
        raise OptionError(f"a value of type {kind} cannot be written in YAML", hint="give it from Python") from None
    for secret in secret_values(kind, value):
        keep_secret(secret)
    try:
        result = _as_spelt(adapter, _spelt(value, decimals(kind, value)))
    except ValidationError as error:
        wrong = told(kind, value, error.errors(include_url=False, include_context=False), path)
        known = [one.path for one in wrong]
        more = [one for one in _unread(kind, value, path) if one.path not in known]
        raise ExceptionGroup("options", [*wrong, *more]) from None
    if unread := _unread(kind, value, path):
        raise ExceptionGroup("options", unread)
    return result


def _as_spelt(adapter: TypeAdapter[Any], value: Any) -> Any:
    """`value`, validated; a number gives its spelling where text is wanted. Raises ValidationError."""
    while True:
        try:
            return _validate(adapter, value)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False)
            spelt = _spelt(value, [_walk(value, one["loc"]) for one in wrong if one["type"] == "string_type"])
            if spelt is value:
                raise
            value = spelt


def _spelt(value: Any, places: Sequence[KeyPath]) -> Any:
    """A copy with the numbers at these places as they were written; `value` itself if there are none."""
    for place in places:
        if _is_spelt(_at(value, place)):
            value = _replaced(value, place, str(_at(value, place)))
    return value


def _unread(kind: Any, value: Any, path: KeyPath) -> list[OptionError]:
    """Keys below an option that pydantic would leave unread."""
    return [
        OptionError(f"unknown option {str(place[-1])!r}", path=(*path, *place), hint=_instead(str(place[-1]), known))
        for place, known in strangers(kind, value)
    ]


def _instead(name: str, known: Sequence[str]) -> str:
    return nearest(name, known) or f"there are: {', '.join(known)}"


def _validate(adapter: TypeAdapter[Any], value: Any) -> Any:
    """Strictly, first as the Python value it is, which leaves it alone, then as JSON, which allows paths and dates."""
    try:
        return adapter.validate_python(value, strict=True)
    except ValidationError:
        try:
            text = to_json(value, inf_nan_mode="constants")
        except PydanticSerializationError:  # a Python object, given from Python
            return adapter.validate_python(value)
        return adapter.validate_json(text, strict=True)


def told(kind: Any, value: Any, wrong: Sequence[ErrorDetails], path: KeyPath) -> list[OptionError]:
    """pydantic's errors in our words; where a type has alternatives, one error for the value as a whole."""
    found: dict[KeyPath, list[str]] = {}
    for one in wrong:
        text = _EXPECTED.get(one["type"], one["msg"].removeprefix("Input should be ").removeprefix("Value error, "))
        if text == one["msg"].removeprefix("Input should be ") and one["msg"].startswith("Input should be "):
            text = f"expected {text}"
        place = _walk(value, one["loc"])
        if one["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            text = UNKNOWN
        if one["type"] == "missing":
            text = f"{one['loc'][-1]!r} is missing"
        texts = found.setdefault(place, [])
        if text not in texts:
            texts.append(text)
    hidden = secrets(kind, value)
    told: list[OptionError] = []
    for place, texts in found.items():
        text = " or ".join([texts[0], *(text.removeprefix("expected ") for text in texts[1:])])
        shown = "" if place in hidden or text == UNKNOWN else _shown(_at(value, place))
        told.append(OptionError(text, path=(*path, *place), found=shown))
    return told


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, int | float) else short(value)


def _walk(value: Any, loc: Sequence[str | int]) -> KeyPath:
    """The part of a pydantic location that leads somewhere in `value`; names of union members are left out."""
    place: list[str | int] = []
    for step in loc:
        if _leads(value, step):
            value = value[step]
            place.append(step)
    return tuple(place)


def _leads(value: Any, step: str | int) -> bool:
    if isinstance(value, Mapping):
        return step in value
    return isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)


def _at(value: Any, place: KeyPath) -> Any:
    for step in place:
        value = value[step]
    return value


def _replaced(value: Any, place: KeyPath, new: Any) -> Any:
    """A copy of `value` with `new` at `place`."""
    if not place:
        return new
    copy: Any = dict(value) if isinstance(value, Mapping) else list(value)
    copy[place[0]] = _replaced(value[place[0]], place[1:], new)
    return copy


def _is_spelt(value: Any) -> bool:
    """True for a number of the YAML loader: its `str()` is how the user wrote it."""
    return isinstance(value, int | float) and type(value) not in (int, float, bool)
