"""An option's value beside its type: where the type is a secret or a decimal, and which keys a mapping has too many.

pydantic answers whether a value fits. It says nothing of keys that a nested dataclass or model leaves unread, gives a
decimal the digits of the nearest float, and shows values without asking whose they are. So type and value are walked
here together, as far as a type has parts.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, TypeAlias

from pydantic import BaseModel, SecretBytes, SecretStr

from pipeline.stages.parameters import alias_of
from pipeline.stages.places import KeyPath

Fields: TypeAlias = dict[str, Any]
_DEEPEST = 20  # types may name themselves


class Part(NamedTuple):
    """A part of a value, and the type that it should be; `sure` unless it is one of several alternatives."""

    path: KeyPath
    kind: Any
    value: Any
    sure: bool = True


def parts(kind: Any, value: Any) -> Iterator[Part]:
    """The value and all that is in it, each beside its type."""
    yield from _walk(Part((), kind, value), 0)


def _walk(part: Part, depth: int) -> Iterator[Part]:
    if depth > _DEEPEST:
        return
    members = alternatives(part.kind)
    for kind in members:
        one = part._replace(kind=kind, sure=part.sure and len(members) == 1)
        yield one
        for below in _children(one):
            yield from _walk(below, depth + 1)


def alternatives(kind: Any) -> list[Any]:
    """The members of a union, without None; a type alone stands for itself, and without what is annotated."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return alternatives(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return [one for member in arguments if member is not type(None) for one in alternatives(member)]
    return [kind]


def _children(part: Part) -> Iterator[Part]:
    path, kind, value, sure = part
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(value, Mapping):
        fields = fields_of(kind)
        if fields is not None:
            for name, field in fields.items():
                if name in value:
                    yield Part((*path, name), field, value[name], sure)
        elif len(arguments) == 2 and inspect.isclass(origin) and issubclass(origin, Mapping):
            for name, one in value.items():
                yield Part((*path, name), arguments[1], one, sure)
    elif isinstance(value, list | tuple) and arguments and origin in (list, tuple, set, frozenset):
        several = origin is tuple and len(arguments) > 1 and arguments[1] is not Ellipsis
        for index, one in enumerate(value):
            yield Part((*path, index), arguments[min(index, len(arguments) - 1) if several else 0], one, sure)


def fields_of(kind: Any) -> Fields | None:
    """The fields of a dataclass, a model or a typed dictionary, with their types; None for any other type."""
    if not inspect.isclass(kind):
        return None
    if issubclass(kind, BaseModel):
        return {alias_of(name, field): field.rebuild_annotation() for name, field in kind.model_fields.items()}
    try:
        if dataclasses.is_dataclass(kind):
            hints = typing.get_type_hints(kind, include_extras=True)
            return {field.name: hints.get(field.name, Any) for field in dataclasses.fields(kind) if field.init}
        return typing.get_type_hints(kind, include_extras=True) if typing.is_typeddict(kind) else None
    except (NameError, TypeError):  # pydantic says so
        return None


def strangers(kind: Any, value: Any) -> Iterator[tuple[KeyPath, list[str]]]:
    """Keys that nobody reads, each by its path, and the keys that are known there."""
    for part in parts(kind, value):
        fields = fields_of(part.kind)
        if fields is None or not part.sure or not isinstance(part.value, Mapping) or _takes_more(part.kind):
            continue
        for name in part.value:
            if name not in fields:
                yield (*part.path, name), list(fields)


def _takes_more(kind: Any) -> bool:
    """Whether a model reads keys beyond its fields: it says so, knows fields by several names, or looks itself."""
    if not issubclass(kind, BaseModel):
        return False
    named = kind.model_config.get("populate_by_name") or kind.model_config.get("validate_by_name")
    aliased = any(field.validation_alias is not None or field.alias is not None for field in kind.model_fields.values())
    decorators = kind.__pydantic_decorators__.model_validators.values()
    looks = any(one.info.mode in ("before", "wrap") for one in decorators)
    return kind.model_config.get("extra") == "allow" or looks or bool(named and aliased)


def decimals(kind: Any, value: Any) -> list[KeyPath]:
    """Where decimals are wanted, whatever else may stand there."""
    return [part.path for part in parts(kind, value) if part.sure and part.kind is Decimal]


def holds_secret(kind: Any) -> bool:
    """Whether values of this type have a secret in them."""
    waiting, seen = [kind], []
    while waiting:
        for one in alternatives(waiting.pop()):
            if one in (SecretStr, SecretBytes):
                return True
            if one not in seen:  # types may name themselves
                seen.append(one)
                waiting += [*typing.get_args(one), *(fields_of(one) or {}).values()]
    return False


def secrets(kind: Any, value: Any) -> frozenset[KeyPath]:
    """Where nothing may be shown: secrets, and what should hold one."""
    return frozenset(part.path for part in parts(kind, value) if holds_secret(part.kind))


def secret_values(kind: Any, value: Any) -> list[str]:
    """The secrets in a value, as text."""
    found = (part.value for part in parts(kind, value) if part.kind in (SecretStr, SecretBytes))
    return [str(one) for one in found if isinstance(one, str | int | float)]
