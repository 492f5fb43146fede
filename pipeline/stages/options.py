"""Options of a component: from what the YAML says to a call of its factory, checked against its typed signature.

A factory is a class (plain, dataclass or pydantic model) or a function. A mapping gives options by name, anything else
is for the first parameter; `run` gets the RunInfo. All problems of a component are found at once, as `OptionError`s
with a path; locating them in the config is the caller's.
"""

from __future__ import annotations

import re
import sys
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from pipeline.errors import OptionError
from pipeline.stages.faults import short
from pipeline.stages.loading import nearest
from pipeline.stages.parameters import NO_DEFAULT, Signature
from pipeline.stages.places import KeyPath
from pipeline.stages.runinfo import RunInfo

_UNSURE: Final = object()
_HOLE: Final = re.compile(r"\{run\.(\w*)\}")


class Given(msgspec.Struct, frozen=True):
    """What the config says for one use of a component. `folder(path)` is the folder of the config file that has it."""

    value: Any
    folder: Callable[[KeyPath], Path]
    run: RunInfo
    host: Mapping[str, Any]  # those of HOST_KEYS that are set
    implied: Mapping[str, Any] = {}  # for options of these names that are not given


def build(factory: Callable[..., Any], given: Given) -> Any:
    """Call `factory` with checked options.

    Raises an ExceptionGroup of OptionErrors, each with its path below the component's key.
    """
    try:
        signature = Signature(factory)
        arguments = _arguments(signature, given)
        result = factory(**arguments)
    except OptionError as error:
        raise ExceptionGroup("options", [error]) from None
    except ValueError as error:  # a pydantic model's own validators
        raise _told(factory, given.value, error) from None
    except ExceptionGroup as group:
        own, others = group.split(OptionError)
        if own is None or others is not None:
            raise
        raise own from None
    return result


def _arguments(signature: Signature, given: Given) -> dict[str, Any]:
    values, problems = _by_name(signature, given)
    arguments: dict[str, Any] = {}
    for name in signature.options:
        single = not isinstance(given.value, Mapping)  # the value stands right at the component's key
        path: KeyPath = () if single else (name,)
        try:
            if name in values:
                arguments[name] = _checked(signature.types[name], values[name], path)
            elif (default := signature.parameters[name].default) is NO_DEFAULT:
                known = ", ".join(signature.options)
                problems.append(OptionError(f"option {name!r} is missing", hint=f"options are: {known}"))
            elif _holds_path(default):
                arguments[name] = default
            if name in arguments:
                arguments[name] = _placed(arguments[name], given, path)
        except ExceptionGroup as group:
            problems.extend(error for error in group.exceptions if isinstance(error, OptionError))
        except OptionError as error:
            problems.append(_below(error, path))
    problems.extend(_add_host_values(signature, given, arguments))
    if problems:
        raise ExceptionGroup("options", problems)
    if signature.open:
        arguments.update({name: value for name, value in values.items() if name not in arguments})
    return arguments


def _below(error: OptionError, path: KeyPath) -> OptionError:
    error.path = error.path or path
    return error


def _checked(kind: Any, value: Any, path: KeyPath) -> Any:
    """`value` as `kind`. Raises an ExceptionGroup of OptionErrors."""
    found = _as_it_is(kind, value)
    if found is not _UNSURE:
        return found
    from pipeline.stages.typed import checked  # noqa: PLC0415 - pydantic: a third of a worker's start

    return checked(kind, value, path)


def _as_it_is(kind: Any, value: Any) -> Any:
    """What strict validation would give where that is plain to see: most options are text for `str` or `Path`."""
    if kind is Any or (kind in (str, int, float, bool) and type(value) is kind):
        return value
    if kind is Path and type(value) is str:
        return Path(value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal and type(value) is str and value in arguments:
        return value
    if origin is list and type(value) is list:
        found = [_as_it_is(arguments[0], one) for one in value]
        return _UNSURE if _UNSURE in found else found
    if origin is dict and type(value) is dict and arguments[0] is str and all(type(name) is str for name in value):
        named = {name: _as_it_is(arguments[1], one) for name, one in value.items()}
        return _UNSURE if _UNSURE in named.values() else named
    return _UNSURE


def _told(factory: Callable[..., Any], value: Any, error: ValueError) -> Exception:
    """The errors of a pydantic model in our words; any other ValueError is what it is."""
    if "pydantic" not in sys.modules:
        return error
    from pydantic import ValidationError  # noqa: PLC0415 - as above

    from pipeline.stages.typed import told  # noqa: PLC0415

    if not isinstance(error, ValidationError):
        return error
    return ExceptionGroup("options", told(factory, value, error.errors(), ()))


def _by_name(signature: Signature, given: Given) -> tuple[dict[str, Any], list[OptionError]]:
    """Options by name, and what is wrong with the names. Anything but a mapping is for the first parameter."""
    value, known = given.value, signature.options
    extra = {name: option for name, option in given.implied.items() if name in known}
    if value is None:
        return extra, []
    if not isinstance(value, Mapping):
        if known:
            return {**extra, known[0]: value}, []
        return {}, [OptionError("takes no options", found=short(value), hint="remove the value")]
    value = {**extra, **value}
    unknown = [] if signature.open else [name for name in value if name not in known]
    listed = f"options are: {', '.join(known)}" if known else "there are no options"
    problems = [
        OptionError(f"unknown option {str(name)!r}", path=(name,), hint=nearest(str(name), known) or listed)
        for name in unknown
    ]
    return {str(name): option for name, option in value.items() if name not in unknown}, problems


def _add_host_values(signature: Signature, given: Given, arguments: dict[str, Any]) -> list[OptionError]:
    """Give `run` and host keys to a factory that names them; `write` must be wanted, since it asks for something."""
    if "run" in signature.parameters:
        arguments["run"] = given.run
    for name, value in given.host.items():
        if name in signature.parameters:
            arguments[name] = value
        elif name == "write":
            return [OptionError(f"cannot be told how to write ({value})", path=("write",), hint="remove `write`")]
    write = signature.parameters.get("write")
    if write is not None and "only" in given.host:
        arguments.setdefault("write", "append")  # a part of the result, put in place of what is there, would be all
    if "write" in arguments and write is not None:
        choices = [choice for choice in typing.get_args(signature.type_of("write")) if isinstance(choice, str)]
        if choices and arguments["write"] not in choices:
            message = f"write: {arguments['write']} is not possible here"
            return [OptionError(message, path=("write",), hint=f"choose from: {', '.join(choices)}")]
    return []


def _placed(value: Any, given: Given, path: KeyPath) -> Any:
    """Paths in `value` with `{run.id}`, `{run.date}` and `{run.name}` filled in, against the folder of their config."""
    if isinstance(value, Path):
        text = _HOLE.sub(lambda hole: _filled(hole, given.run), str(value))
        return given.folder(path) / text
    if isinstance(value, list | tuple):
        return type(value)(_placed(one, given, path) for one in value) if _holds_path(value) else value
    if isinstance(value, dict) and _holds_path(value):
        return {name: _placed(one, given, path) for name, one in value.items()}
    return value


def _holds_path(value: Any) -> bool:
    if isinstance(value, dict):
        return any(isinstance(one, Path) for one in value.values())
    if type(value) in (list, tuple):
        return any(isinstance(one, Path) for one in value)
    return isinstance(value, Path)


def _filled(hole: re.Match[str], run: RunInfo) -> str:
    known = {"id": run.id, "date": run.start.date().isoformat(), "name": run.name}
    if hole[1] not in known:
        raise OptionError(f"{hole[0]} means nothing", hint="there are {run.id}, {run.date} and {run.name}")
    return known[hole[1]]
