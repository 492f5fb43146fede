"""Are a plugin's hooks written as the hooks are specified? Asked once, at load, of modules and plugin objects.

pluggy checks arguments too, but stops at the first mistake, ignores functions whose marker was forgotten, and knows
nothing of what this host refuses: wrappers, call order by marker, coroutines. Here every mistake becomes a message that
names plugin, hook, expected arguments and the nearest name.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final

import msgspec

from pipeline.stages.hookspecs import GENERATORS, HOOKS, PROJECT, signature
from pipeline.stages.loading import nearest

_MARK: Final = f"{PROJECT}_impl"
_REFUSED: Final = {
    "wrapper": "the host runs hooks one by one, so there is nothing to wrap; do the work in the hook itself",
    "hookwrapper": "the host runs hooks one by one, so there is nothing to wrap; do the work in the hook itself",
    "tryfirst": "the order of plugins in the YAML file is the order of calls",
    "trylast": "the order of plugins in the YAML file is the order of calls",
}


class Marked(msgspec.Struct, frozen=True):
    """A function or bound method marked with `hookimpl`: the hook it is for, and the arguments it names."""

    attribute: str
    hook: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]


class HookMistakeError(Exception):
    """One mistake: what is wrong, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def hooks_of(name: str, target: Any) -> tuple[list[Marked], list[HookMistakeError]]:
    """The hooks of a module or plugin object, and all mistakes in them. `name` is what the plugin is called."""
    marked, mistakes, unmarked = [], [], []
    for attribute, function in _routines(target):
        options = getattr(function, _MARK, None)
        if not isinstance(options, dict):
            unmarked.append((attribute, function))
            continue
        hook = options.get("specname") or attribute
        if hook not in HOOKS and options.get("optionalhook"):
            continue
        found = [*_mistakes(name, hook, function, options)]
        mistakes.extend(found)
        if not found:
            marked.append(Marked(attribute, hook, function, _parameters(function)))
    if not marked and not mistakes:
        mistakes.append(_nothing(name, target, unmarked))
    return marked, mistakes


def forgotten(target: Any) -> list[str]:
    """Functions that are called and written like a hook, and not marked, beside others that are."""
    own = getattr(target, "__name__", None) if isinstance(target, ModuleType) else None
    return [
        attribute
        for attribute, function in _routines(target)
        if attribute in HOOKS
        and not hasattr(function, _MARK)
        and _is_own(function, own)
        and (arguments := _parameters(function))
        and set(arguments) <= set(HOOKS[attribute])
    ]


def _routines(target: Any) -> Iterator[tuple[str, Any]]:
    """Functions and methods of a target; properties are not evaluated."""
    for attribute in dir(target):
        static = inspect.getattr_static(target, attribute, None)
        if attribute.startswith("__") or not (inspect.isroutine(static) or isinstance(static, staticmethod)):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # what pydantic says of some of its own attributes
            found = getattr(target, attribute)
        if isinstance(static, staticmethod | classmethod) and not hasattr(static.__func__, _MARK):
            _hand_on(static)
        yield attribute, found


def _hand_on(method: Any) -> None:
    """Marked outside `@staticmethod`, it is the wrapper that has the mark, where neither we nor pluggy look."""
    if (options := getattr(method, _MARK, None)) is not None:
        setattr(method.__func__, _MARK, options)


def _mistakes(name: str, hook: str, function: Any, options: dict[str, Any]) -> Iterator[HookMistakeError]:
    if hook not in HOOKS:
        close = nearest(hook, HOOKS)
        hint = f"{close} It is written {_expected(close)}" if close else f"hooks are: {', '.join(HOOKS)}"
        yield HookMistakeError(f"plugin {name}: {hook!r} is no hook", hint)
        return
    start, written = f"plugin {name}, hook {hook}", f"it is written {signature(hook)}, with any of these arguments"
    for option, reason in _REFUSED.items():
        if options.get(option):
            yield HookMistakeError(f"{start}: hookimpl({option}=True) is refused", reason)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        yield HookMistakeError(
            f"{start}: `async def` is refused, since no event loop runs hooks", "write a plain function"
        )
    elif inspect.isgeneratorfunction(function) and hook not in GENERATORS:
        yield HookMistakeError(f"{start}: it has a `yield`, so calling it runs nothing", "return the answer instead")
    for parameter in _signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY):
            yield HookMistakeError(f"{start}: argument {parameter} cannot be filled", written)
        elif parameter.name not in HOOKS[hook]:
            close = nearest(parameter.name, HOOKS[hook])
            hint = f"{close} {written[0].upper()}{written[1:]}" if close else written
            yield HookMistakeError(f"{start}: there is no argument {parameter.name!r}", hint)


def _expected(close: str) -> str:
    return signature(close.split("'")[1])


def _nothing(name: str, target: Any, unmarked: list[tuple[str, Any]]) -> HookMistakeError:
    """For a plugin without any hook."""
    own = getattr(target, "__name__", None) if isinstance(target, ModuleType) else None
    forgotten = [attribute for attribute, function in unmarked if attribute in HOOKS and _is_own(function, own)]
    if forgotten:
        wanted = ", ".join(map(signature, forgotten))
        return HookMistakeError(
            f"plugin {name}: {wanted} is not marked, so it is never called",
            "did you forget @hookimpl? (from pipeline import hookimpl)",
        )
    for attribute, function in unmarked:
        if _is_own(function, own) and (close := nearest(attribute, HOOKS)):
            return HookMistakeError(
                f"plugin {name} has no hook; it has {attribute!r}", f"{close} Mark it with @hookimpl"
            )
    return HookMistakeError(f"plugin {name} has no hook, so it would do nothing", f"hooks are: {', '.join(HOOKS)}")


def _is_own(function: Any, module: str | None) -> bool:
    """False for what a module merely imports."""
    return module is None or getattr(function, "__module__", None) == module


def _signature(function: Any) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:  # a built-in: nothing to check, and nothing to pass
        return inspect.Signature()


def _parameters(function: Any) -> tuple[str, ...]:
    return tuple(_signature(function).parameters)


def marked_hooks(target: Any) -> tuple[str, ...]:
    """The hooks that a module or class implements, unchecked, in the order of HOOKS."""
    marked = {
        options.get("specname") or attribute
        for attribute, function in _routines(target)
        if isinstance(options := getattr(function, _MARK, None), dict)
    }
    return tuple(hook for hook in HOOKS if hook in marked)
