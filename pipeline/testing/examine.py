"""One plugin examined, in a process of its own: `hookline plugin check` starts it and reads its findings, line by line.

A plugin may do here what it likes: print, leave threads, change the folder, never come back. The parent is not harmed,
and what was found until then is known.
"""

from __future__ import annotations

import os
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import OptionError
from pipeline.stages.faults import describe
from pipeline.stages.hookspecs import signature
from pipeline.stages.loading import GROUP, Catalogue, LoadError, Point, Source, installed_points, is_path
from pipeline.stages.options import Given, build
from pipeline.stages.parameters import NO_DEFAULT, Signature
from pipeline.stages.registry import Component, Registry
from pipeline.stages.typed import checked
from pipeline.stages.validate import Marked, hooks_of, marked_hooks
from pipeline.testing.behave import examine, fetches, store_contract
from pipeline.testing.findings import Doing, Finding, Found, Line, Order, Readme
from pipeline.testing.imports import SLOW, Watch
from pipeline.testing.pages import make_run
from pipeline.testing.readme import component_section, hooks_section

STORE_HOOKS = ("store_items", "commit", "abort")
NEEDED = {
    "parser": ("parse", "classify"),
    "filter": ("process_item", "admit"),
    "store": STORE_HOOKS,
    "seeds": ("seeds",),
    "fetcher": ("fetch",),
}


def main() -> None:
    """`python -P -c CODE`: the order on stdin, findings as JSON lines on a descriptor of its own."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    out = os.dup(1)
    os.dup2(2, 1)  # what plugins print is no finding
    with os.fdopen(out, "wb") as file:
        for line in Exam(order).run():
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
    os._exit(0)  # whatever threads a plugin has left


class Exam:
    """What is found of one target."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._watch = Watch()
        self._catalogue = Catalogue()

    def run(self) -> Iterator[Line]:
        """All findings; first what is about to be looked at."""
        try:
            names = self._names()
        except LoadError as error:
            yield Found(Finding("unloadable", self._order.target, f"{error.message}; {error.hint}".rstrip("; ")))
            return
        for name in names:
            yield from self._plugin(name)

    def _names(self) -> list[str]:
        """The plugins that a target means: those of a folder with a pyproject, of a distribution, or itself."""
        target = self._order.target
        folder = Path(target)
        if folder.is_dir():
            return self._of_folder(folder)
        if is_path(target) or target in self._catalogue.points:
            return [target]
        try:
            points = distribution(target).entry_points.select(group=GROUP)
        except (PackageNotFoundError, ValueError):
            return [target]
        return [point.name for point in points] or [target]

    def _of_folder(self, folder: Path) -> list[str]:
        project = folder / "pyproject.toml"
        try:
            data = tomllib.loads(project.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LoadError(f"{project} cannot be read: {error}", "name a folder with a pyproject.toml") from None
        points = data.get("project", {}).get("entry-points", {}).get(GROUP, {})
        if not points:
            raise LoadError(
                f"{project} has no entry point", f'add a table [project.entry-points.{GROUP}]: name = "module"'
            )
        sys.path[:0] = [str(path.absolute()) for path in (folder / "src", folder) if path.is_dir()]
        own = [Point(name, str(value)) for name, value in points.items()]
        self._catalogue = Catalogue([*(one for one in installed_points() if one.name not in points), *own])
        return list(points)

    # --- one plugin --------------------------------------------------------------------------------------------------

    def _plugin(self, name: str) -> Iterator[Line]:
        yield Doing(f"{name}: import")
        try:
            source, seconds, told = self._watch.during(lambda: self._catalogue.load(name, Path()))
        except LoadError as error:
            yield Found(Finding("unloadable", name, f"{error.message}; {error.hint}".rstrip("; ")))
            return
        for text in told:
            yield Found(Finding("wrong", f"{name}: import", text))
        if not told:
            level = "note" if seconds > SLOW else "ok"
            text = f"{seconds * 1000:.0f} ms, and the process is as it was"
            yield Found(Finding("note" if level == "note" else "ok", f"{name}: import", text))
        yield Doing(f"{name}: hooks")
        yield from self._hooks(source)
        for component in self._components(source):
            yield Doing(f"{component.name}: options")
            yield from self._component(component)

    def _hooks(self, source: Source) -> Iterator[Line]:
        chosen = source.plugin_class
        hooks, mistakes = hooks_of(source.name, source.module if chosen is None else _unbound(chosen))
        for mistake in mistakes:
            yield Found(Finding("wrong", f"{source.name}: hooks", f"{mistake.message}; {mistake.hint}"))
        if hooks and not mistakes:
            text = ", ".join(signature(hook.hook) for hook in hooks)
            yield Found(Finding("ok", f"{source.name}: hooks", text))
        if source.plugin_class is not None:
            yield from self._component(Component("plugin", source.name, source.plugin_class))
        elif not mistakes and {hook.hook for hook in hooks} - {"register"}:
            yield Doing(f"{source.name}: pages and items")
            yield from map(Found, examine(source.name, lambda: (source.module, hooks), self._order.pages))
            names = [hook.hook for hook in hooks if hook.hook != "register"]
            yield Readme(hooks_section(source.name, names, source.module.__doc__))

    def _components(self, source: Source) -> list[Component]:
        registry = Registry()
        register = getattr(source.module, "register", None)
        if "register" in marked_hooks(source.module) and callable(register):
            try:
                register(registry)
            except Exception as error:
                failed = f"register(registry): {describe(error, source.file)}"
                return [Component("failed", failed, Registry)]
        return list(registry.components.values())

    # --- one component -----------------------------------------------------------------------------------------------

    def _component(self, component: Component) -> Iterator[Line]:
        kind, name, factory = component
        if kind == "failed":
            yield Found(Finding("wrong", "register", name))
            return
        try:
            known = Signature(factory)
        except OptionError as error:
            yield Found(Finding("wrong", f"{name}: options", f"{error}; {error.hint}".rstrip("; ")))
            return
        wrong = list(_options(name, known))
        yield from map(Found, wrong)
        if not wrong:
            told = ", ".join(known.options) or "none"
            yield Found(Finding("ok", f"{name}: options", f"{told}; each with a type"))
        yield from self._object(kind, name, factory, known)
        yield Readme(component_section(kind, name, factory))

    def _object(self, kind: str, name: str, factory: Callable[..., Any], known: Signature) -> Iterator[Line]:
        given = self._order.options.get(name, {})
        values = {**_filled(known), **given}
        missing = [
            option
            for option in known.options
            if option not in values and known.parameters[option].default is NO_DEFAULT
        ]
        if missing:
            text = f"not tried: {', '.join(missing)} has no default; give one with --set {name}.{missing[0]}=VALUE"
            yield Found(Finding("note", name, text))
            return

        def make(path: Path | None = None, run: Any = None) -> Any:
            words = {**values, **({"path": str(path)} if path is not None and "path" in known.options else {})}
            return build(factory, Given(words or None, lambda _: Path(), run or make_run(), host={}))

        try:
            target = make()
        except Exception as error:
            for one in _leaves(error):
                yield Found(Finding("wrong", f"{name}: options", f"it cannot be built: {describe(one)}"))
            return
        hooks, mistakes = hooks_of(name, target)
        for mistake in mistakes:
            yield Found(Finding("wrong", f"{name}: hooks", f"{mistake.message}; {mistake.hint}"))
        if not mistakes and (told := _lacks(kind, {hook.hook for hook in hooks})):
            yield Found(Finding("wrong", f"{name}: hooks", told))
        elif not mistakes:
            yield from self._behaviour(kind, name, known, make)

    def _behaviour(self, kind: str, name: str, known: Signature, make: Callable[..., Any]) -> Iterator[Line]:
        if kind == "store" and "path" in known.options:
            yield Doing(f"{name}: rules of stores")
            yield from map(Found, store_contract(name, make))
            return
        if kind == "fetcher" and self._order.urls:
            yield Doing(f"{name}: fetch")
            yield from map(Found, fetches(name, lambda: hooks_of(name, make())[0], self._order.urls))
            return
        if kind in ("store", "fetcher"):
            how = "; name a page for it with --url URL" if kind == "fetcher" else ""
            yield Found(Finding("note", name, f"not tried: this {kind} works on something that only you know{how}"))
            return

        def made() -> tuple[Any, list[Marked]]:
            target = make()
            return target, hooks_of(name, target)[0]

        yield Doing(f"{name}: pages and items")
        yield from map(Found, examine(name, made, self._order.pages))


def _lacks(kind: str, have: set[str]) -> str:
    """What an object needs to be of its kind, and has not: one of the hooks, a store all of them; else empty."""
    wanted = NEEDED.get(kind, ())
    missing = [hook for hook in wanted if hook not in have]
    if kind == "store" and missing:
        return f"it has no {' and no '.join(map(signature, missing))}: a store stages, commits and aborts"
    if wanted and len(missing) == len(wanted):
        return f"it has no {' or '.join(map(signature, missing))}, so it is no {kind}"
    return ""


def _options(name: str, known: Signature) -> Iterator[Finding]:
    """Options that no config can be checked against."""
    for option in known.options:
        parameter = known.parameters[option]
        if parameter.annotation is NO_DEFAULT:
            yield Finding("wrong", f"{name}: options", f"option {option!r} has no type, so anything would be taken")
        elif parameter.default is not NO_DEFAULT and parameter.default is not None:
            try:
                checked(known.types[option], parameter.default, ())
            except Exception as error:
                for one in _leaves(error):
                    yield Finding(
                        "wrong", f"{name}: options", f"the default of {option!r} does not fit its type: {one}"
                    )


def _filled(known: Signature) -> dict[str, Any]:
    """Values for required paths: somewhere that harms nobody."""
    place = Path(tempfile.gettempdir()) / f"hookline-check-{os.getpid()}" / "output"
    return {
        option: str(place)
        for option in known.options
        if known.types[option] is Path and known.parameters[option].default is NO_DEFAULT
    }


def _unbound(target: type[Any]) -> Any:
    """A class's hooks as its objects have them, without making one: its constructor may want options."""
    return object.__new__(target)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
