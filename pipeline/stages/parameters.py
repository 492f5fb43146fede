"""What a factory takes: names, types and defaults of its parameters, which are a component's options.

A factory is a class (plain, dataclass or pydantic model) or a function. Of a pydantic model the names are those under
which it takes its fields: their aliases, which need not be Python names. Knows nothing of values and configs.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from pipeline.errors import OptionError

HOST_KEYS: Final = ("write", "only", "meta", "items")
"""Keys beside the options that the host itself reads; a factory that has such a parameter is told too."""

NO_DEFAULT: Final = inspect.Parameter.empty


class Parameter(NamedTuple):
    """A parameter: its annotation as written (NO_DEFAULT: none), and its default (NO_DEFAULT: none)."""

    annotation: Any
    default: Any


class Signature:
    """The parameters of a factory: names, types, defaults. Raises OptionError if an annotation means nothing.

    `options` are the names that a config may give; `open`: it may give others as well.
    """

    def __init__(self, factory: Callable[..., Any]) -> None:
        self.factory = factory
        self.parameters, self.open = _of_model(factory) if _is_model(factory) else _of_callable(factory)
        self.options = [name for name in self.parameters if name not in ("run", *HOST_KEYS)]
        self.types = {name: self.type_of(name) for name in self.options}

    def type_of(self, name: str) -> Any:
        """The type that a parameter is annotated with; Any without annotation."""
        annotation = self.parameters[name].annotation
        if annotation is NO_DEFAULT:
            return Any
        space = SimpleNamespace(__annotations__={name: annotation})
        try:
            return typing.get_type_hints(space, globalns=_globals(self.factory), include_extras=True)[name]
        except (NameError, AttributeError, SyntaxError, TypeError) as error:
            message = f"the type of parameter {name!r} ({annotation}) cannot be read: {error}"
            raise OptionError(message, hint="import the names of options' types at run time") from None

    @property
    def required(self) -> list[str]:
        """The options that have no default."""
        return [name for name in self.options if self.parameters[name].default is NO_DEFAULT]


def purpose(factory: Callable[..., Any]) -> str:
    """What a factory says of itself in its first paragraph; what Python says of every dataclass is nothing."""
    text = factory.__doc__ or ""
    if dataclasses.is_dataclass(factory) and text.startswith(f"{factory.__name__}("):
        return ""
    return " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())


def _of_callable(factory: Callable[..., Any]) -> tuple[dict[str, Parameter], bool]:
    found = _signature(factory).parameters
    gathers = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = {
        name: Parameter(parameter.annotation, _made(factory, name, parameter.default))
        for name, parameter in found.items()
        if parameter.kind not in gathers
    }
    return named, any(one.kind is inspect.Parameter.VAR_KEYWORD for one in found.values())


def _made(factory: Any, name: str, default: Any) -> Any:
    """A default; of one that a dataclass makes anew for each object, such a one."""
    fields = dataclasses.fields(factory) if dataclasses.is_dataclass(factory) else ()
    made = next((one.default_factory for one in fields if one.name == name), dataclasses.MISSING)
    return made() if callable(made) and type(default).__name__ == "_HAS_DEFAULT_FACTORY_CLASS" else default


def _is_model(factory: Any) -> bool:
    """True for a pydantic model whose constructor is pydantic's own; pydantic is not imported for the question."""
    if "pydantic" not in sys.modules or not inspect.isclass(factory):
        return False
    from pydantic import BaseModel  # noqa: PLC0415 - only where the plugin has imported it

    return issubclass(factory, BaseModel) and factory.__init__ is BaseModel.__init__


def _of_model(model: Any) -> tuple[dict[str, Parameter], bool]:
    named = {
        alias_of(name, field): Parameter(field.rebuild_annotation(), _default_of(field))
        for name, field in model.model_fields.items()
        if field.init is not False
    }
    return named, model.model_config.get("extra") == "allow"


def alias_of(name: str, field: Any) -> str:
    """The name under which a pydantic model takes a field."""
    given = field.validation_alias if field.validation_alias is not None else field.alias
    return given if isinstance(given, str) else name


def _default_of(field: Any) -> Any:
    if field.is_required():
        return NO_DEFAULT
    try:
        return field.get_default(call_default_factory=True)
    except TypeError:  # a factory that wants the other fields
        return None


def _signature(factory: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(factory)
    except ValueError as error:  # some built-in callables have none
        raise OptionError(f"the parameters of {factory!r} cannot be read: {error}") from None


def _globals(factory: Any) -> dict[str, Any]:
    """The names that a factory's annotations can mean."""
    if inspect.isclass(factory):
        constructor = inspect.unwrap(factory.__init__)
        if inspect.isfunction(constructor) and constructor.__globals__.get("__name__"):
            return constructor.__globals__
        return vars(sys.modules[factory.__module__]) if factory.__module__ in sys.modules else {}
    return dict(getattr(inspect.unwrap(factory), "__globals__", {}))
