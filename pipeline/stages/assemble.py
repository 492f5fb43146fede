"""From the names in a config to plugin objects in call order, with every problem found on the way.

A name in `parse`, `filter`, `store` or `seeds` is: a component that a plugin listed in `plugins:` registers; else such
a plugin, by file stem or entry point, whose hooks then stand there; else an entry point, whose module is imported for
the component of that name. Order is `fields`, the four sections, then what `plugins:` lists and nobody placed.

Nothing is raised: problems are collected in `Problems`, and the caller raises them all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from pathlib import PureWindowsPath
from typing import Any, Final

import msgspec

from pipeline.errors import OptionError, Problem
from pipeline.stages.faults import describe, file_of
from pipeline.stages.hookspecs import signature
from pipeline.stages.limited import limited
from pipeline.stages.loading import Catalogue, LoadError, Source, is_path, nearest
from pipeline.stages.options import Given, build
from pipeline.stages.places import KeyPath, Problems
from pipeline.stages.registry import SECTIONS, TO_COME, Component, Registry
from pipeline.stages.runinfo import RunInfo
from pipeline.stages.validate import Marked, hooks_of, marked_hooks

NATIVE: Final[dict[str, tuple[str, ...]]] = {
    "parse": ("parse", "classify"),
    "filter": ("process_item", "admit"),
    "store": ("store_items", "commit", "abort"),
    "seeds": ("seeds",),
    "fetcher": ("fetch",),
}
"""Section -> the hooks that belong there. An object named in a section must have the first or, if any, the second."""


class Use(msgspec.Struct, frozen=True):
    """An entry of `plugins`, `parse`, `filter`, `store` or `seeds`.

    `options`: None, a mapping of options, or a value for the first one. `key` is the entry's key path in the config.
    `items` are the item types it is for (None: all). `write`, `only`, `meta` are of stores, `page` is of seeds; `keys`
    are the key fields by item type, for a store that merges.
    """

    name: str
    options: Any = None
    key: KeyPath = ()
    items: tuple[str, ...] | None = None
    write: str | None = None
    only: str | None = None
    meta: tuple[str, ...] = ()
    page: str | None = None
    keys: Mapping[str, Sequence[str]] | None = None

    @property
    def implied(self) -> dict[str, Any]:
        """Options that the rest of the config implies, for a component that has them and was not given them."""
        values = {"page": self.page, "key": None if self.keys is None else {k: list(v) for k, v in self.keys.items()}}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def host_values(self) -> dict[str, Any]:
        """The keys beside the options that are set."""
        values = {"write": self.write, "only": self.only, "meta": self.meta or None, "items": self.items}
        return {name: value for name, value in values.items() if value is not None}


class Placed(msgspec.Struct):
    """A plugin's hooks in their place. `make` builds the plugin object anew; None for modules."""

    name: str
    hooks: list[Marked]
    use: Use
    section: str
    target: Any
    source: Source
    make: Callable[[], Any] | None = None

    @property
    def file(self) -> str | None:
        """The source file of the object's class, else of the plugin."""
        return file_of(self.target) or self.source.file


class Listed(msgspec.Struct):
    """An entry of `plugins:`, imported. `places` are the entries of other sections that name it."""

    use: Use
    source: Source
    registry: Registry
    places: list[tuple[str, Use]] = []
    built: tuple[Any, list[Marked]] | None = None


class Assembly:
    """One config's plugins. Call `assemble` once, then read `placed`, `fetchers` and `problems`."""

    def __init__(self, *, catalogue: Catalogue, problems: Problems, run: RunInfo) -> None:
        self.problems = problems
        self.placed: list[Placed] = []
        self.notes: list[Problem] = []
        self._catalogue = catalogue
        self._run = run
        self._listed: list[Listed] = []
        self._components: dict[tuple[str, str], tuple[Component, Source]] = {}
        self._registries: dict[int, Registry] = {}  # id of a module -> what its register entered
        self._failed: set[str] = set()  # names of listed plugins that could not be loaded: no second complaint

    def assemble(self, plugins: Sequence[Use], sections: Mapping[str, Sequence[Use]]) -> None:
        """Load, resolve, build and place everything. `sections` in the order of NATIVE, `fields` first in parse."""
        for use in plugins:
            limited(self._list, inf)(use)  # back to the folder to which the next one's paths are relative
        for section, uses in sections.items():
            for use in uses:
                limited(self._resolve, inf)(section, use)
        self._place_listed()

    @property
    def components(self) -> dict[tuple[str, str], tuple[Component, Source]]:
        """(kind, name) -> component, of listed plugins."""
        return self._components

    # --- plugins: ----------------------------------------------------------------------------------------------------

    def _list(self, use: Use) -> None:
        stem = PureWindowsPath(use.name).stem if is_path(use.name) else use.name
        try:
            source = self._catalogue.load(use.name, self.problems.folder(use.key))
        except LoadError as error:
            self._failed.add(stem)
            self.problems.add(use.key, error.message, error.hint)
            return
        for other in self._listed:
            if other.source is source:
                self.problems.add(use.key, f"the plugin {use.name} is listed twice", "remove one of the two")
                return
            if other.source.name == source.name:
                message = f"two plugins are called {source.name}: {other.source.file} and {source.file}"
                self.problems.add(use.key, message, "rename one of the files")
                return
        listed = Listed(use, source, self._register(source, use.key))
        if source.plugin_class is not None and callable(getattr(source.plugin_class, "register", None)):
            listed.registry = self._register_from_object(listed)
        self._listed.append(listed)
        for key, component in listed.registry.components.items():
            if key in self._components:
                first = self._components[key][1]
                message = f"plugin {source.name} registers the {key[0]} {key[1]!r}, and so does plugin {first.name}"
                self.problems.add(use.key, message, "list only one of them")
            else:
                self._components[key] = (component, source)

    def _register(self, source: Source, key: KeyPath) -> Registry:
        """What the module registers; its `register` is called once, whoever names it."""
        known = self._registries.get(id(source.module))
        if known is None:
            known = self._registries[id(source.module)] = Registry()
            call = getattr(source.module, "register", None)
            marked = getattr(call, "hookline_impl", None)
            if callable(call) and marked is not None:
                self._call_register(source, call, known, key)
        return known

    def _call_register(self, source: Source, call: Callable[..., Any], registry: Registry, key: KeyPath) -> None:
        hooks, mistakes = hooks_of(source.name, source.module)
        self._complain(key, mistakes if source.plugin_class is None else [])
        if not any(hook.hook == "register" for hook in hooks):
            return
        try:
            call(registry)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            told = describe(error, source.file)
            self.problems.add(
                key, f"plugin {source.name}, hook register(registry): {told}", "nothing of it can be used"
            )

    def _register_from_object(self, listed: Listed) -> Registry:
        registry = Registry()
        built = self._build_listed(listed, listed.use)
        if built is not None:
            marked = next((hook for hook in built[1] if hook.hook == "register"), None)
            if marked is not None:
                self._call_object(listed, marked, registry)
        return registry

    def _call_object(self, listed: Listed, marked: Marked, registry: Registry) -> None:
        try:
            marked.function(*([registry] if marked.arguments else []))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            told = describe(error, listed.source.file)
            message = f"plugin {listed.source.name}, hook register(registry): {told}"
            self.problems.add(listed.use.key, message, "nothing of it can be used")

    # --- the sections ------------------------------------------------------------------------------------------------

    def _resolve(self, section: str, use: Use) -> None:
        kind = SECTIONS[section]
        if (kind, use.name) in self._components:
            self._place_component(section, use, *self._components[kind, use.name])
            return
        listed = next((one for one in self._listed if use.name in (one.source.name, one.source.entry_point)), None)
        if listed is not None and section != "fetcher":  # one object a page rule: a component makes them
            self._place_plugin(section, use, listed)
        elif use.name in self._failed:
            return
        elif self._catalogue.names(kind, use.name) and not is_path(use.name):
            self._place_entry_point(section, use, kind)
        elif (kind, use.name) in TO_COME:
            self.notes.append(self.problems.at(use.key, f"the {kind} {use.name} has no effect yet", _TO_COME))
        else:
            self._unknown(section, use, kind)

    def _place_plugin(self, section: str, use: Use, listed: Listed) -> None:
        if section in [place for place, _ in listed.places]:
            self.problems.add(use.key, f"plugin {use.name} stands in {section} already", "remove one of the two")
            return
        if use.options is not None and (listed.use.options is not None or any(u.options for _, u in listed.places)):
            self.problems.add(use.key, f"plugin {use.name} is given options in two places", "give them in one")
        listed.places.append((section, use))
        self.placed.append(Placed(listed.source.name, [], use, section, None, listed.source))

    def _place_entry_point(self, section: str, use: Use, kind: str) -> None:
        try:
            source = self._catalogue.load(self._catalogue.names(kind, use.name), self.problems.folder(use.key))
        except LoadError as error:
            self.problems.add(use.key, error.message, error.hint)
            return
        registry = self._register(source, use.key)
        component = registry.components.get((kind, use.name))
        if component is None and source.plugin_class is not None:
            component = Component(kind, use.name, source.plugin_class)
        if component is not None:
            self._place_component(section, use, component, source)
        elif section != "fetcher" and set(marked_hooks(source.module)) & set(NATIVE[section]):
            # A module of hooks, placed here and nowhere else.
            listed = Listed(msgspec.structs.replace(use, options=None), source, registry)
            self._listed.append(listed)
            self._place_plugin(section, use, listed)
        else:
            told = ", ".join(f"{kind} {name!r}" for kind, name in registry.components) or "nothing"
            message = f"plugin {use.name} registers no {kind} of that name"
            self.problems.add(use.key, message, f"it registers {told}")

    def _unknown(self, section: str, use: Use, kind: str) -> None:
        known = [name for one, name in self._components if one == kind]
        listed = [one.source.name for one in self._listed] if section != "fetcher" else []
        known += listed + self._catalogue.known(kind)
        hint = nearest(use.name, known) or _HOW_NAMED.get(kind, f"a {kind} is named by what {_CALLED}")
        other = next((section for section, one in SECTIONS.items() if (one, use.name) in self._components), "")
        if other:
            hint = f"{use.name} is a {SECTIONS[other]}: name it in `{other}:`"
        elif is_path(use.name):
            stem = PureWindowsPath(use.name).stem
            hint = f"list {use.name} under `plugins:` and name it here by its stem, {stem}"
        self.problems.add(use.key, f"there is no {kind} {use.name!r}", hint)

    def _place_component(self, section: str, use: Use, component: Component, source: Source) -> None:
        def make() -> Any:
            return self._build(component.factory, use)

        built = self._checked(use.name, use, make)
        if built is not None and self._has_a_job(section, use, built[1]):
            self.placed.append(Placed(use.name, built[1], use, section, built[0], source, make))

    def _has_a_job(self, section: str, use: Use, hooks: list[Marked]) -> bool:
        wanted = NATIVE[section][:2] if section in ("parse", "filter") else NATIVE[section][:1]
        if any(hook.hook in wanted for hook in hooks):
            return True
        told = " or ".join(map(signature, wanted))
        have = ", ".join(hook.hook for hook in hooks)
        self.problems.add(
            use.key, f"plugin {use.name} has no {told}, so it is no {SECTIONS[section]}", f"it has {have}"
        )
        return False

    # --- the objects of listed plugins -------------------------------------------------------------------------------

    def _place_listed(self) -> None:
        for listed in self._listed:
            options = next((use for _, use in listed.places if use.options is not None), listed.use)
            built = listed.built or self._build_listed(listed, options)
            if built is None:
                continue
            rest = self._split_hooks(listed, *built)
            if any(hook.hook == "fetch" for hook in rest):
                message = f"plugin {listed.source.name} has fetch, which only page rules can call for"
                hint = "name the component: registry.fetcher(NAME, ...) in register, fetcher: NAME in the page rule"
                self.problems.add(listed.use.key, message, hint)
            if rest:
                make = self._maker(listed, options)
                self.placed.append(
                    Placed(listed.source.name, rest, listed.use, "plugins", built[0], listed.source, make)
                )
        self.placed = [placed for placed in self.placed if placed.hooks]

    def _split_hooks(self, listed: Listed, target: Any, hooks: list[Marked]) -> list[Marked]:
        """Give each place its hooks: those at home there, and the first place all that have no home of their own."""
        rest = hooks
        for section, use in listed.places:
            place = next(one for one in self.placed if one.use is use)
            homes = [NATIVE[other] for other, _ in listed.places if other != section]
            elsewhere = {hook for home in homes for hook in home}
            first = use is listed.places[0][1]
            place.hooks = [
                hook for hook in hooks if hook.hook in NATIVE[section] or (first and hook.hook not in elsewhere)
            ]
            place.target, place.make = target, self._maker(listed, use)
            self._has_a_job(section, use, place.hooks)
            rest = []
        return rest

    def _maker(self, listed: Listed, options: Use) -> Callable[[], Any] | None:
        factory = listed.source.plugin_class
        return None if factory is None else lambda: self._build(factory, options)

    def _build_listed(self, listed: Listed, options: Use) -> tuple[Any, list[Marked]] | None:
        """The plugin's object with its hooks: the module, or an instance of its class."""
        source = listed.source
        factory = source.plugin_class
        if factory is not None:
            listed.built = self._checked(source.name, options, lambda: self._build(factory, options))
            self._refuse_two_kinds(listed)
            return listed.built
        if options.options is not None:
            message = f"plugin {source.name} is a module of functions, so it takes no options"
            hint = "make it a class named Plugin whose constructor takes them"
            if source.entry_point is None and source.name in self._catalogue.points:
                hint = f"it stands in for the installed {source.name}: rename the file if that is meant"
            self.problems.add(options.key, message, hint)
        hooks, mistakes = hooks_of(source.name, source.module)
        self._complain(listed.use.key, mistakes)
        return (source.module, hooks) if not mistakes else None

    def _refuse_two_kinds(self, listed: Listed) -> None:
        if listed.source.entry_point is None or listed.source.plugin_class is getattr(
            listed.source.module, "Plugin", None
        ):
            stray = [name for name in vars(listed.source.module) if _is_stray(listed.source, name)]
            if stray:
                message = f"plugin {listed.source.name} has a class Plugin and hooks beside it: {', '.join(stray)}"
                self.problems.add(listed.use.key, message, "make them methods of the class")

    def _checked(self, name: str, use: Use, make: Callable[[], Any]) -> tuple[Any, list[Marked]] | None:
        """A new plugin object and its hooks, or None after entering what is wrong."""
        try:
            target = make()
        except KeyboardInterrupt:
            raise
        except ExceptionGroup as group:
            for error in _leaves(group):
                if isinstance(error, OptionError):
                    self.problems.add_option(use.key, name, error)
                else:
                    self.problems.add(use.key, f"{name} could not be built: {describe(error)}")
            return None
        except BaseException as error:
            self.problems.add(use.key, f"{name} could not be built: {describe(error)}", "see the line named")
            return None
        hooks, mistakes = hooks_of(name, target)
        self._complain(use.key, mistakes)
        return (target, hooks) if not mistakes else None

    def _build(self, factory: Callable[..., Any], use: Use) -> Any:
        def folder(path: KeyPath) -> Any:
            return self.problems.folder((*use.key, *path))

        return build(factory, Given(use.options, folder, self._run, use.host_values, use.implied))

    def _complain(self, key: KeyPath, mistakes: Sequence[Any]) -> None:
        for mistake in mistakes:
            self.problems.add(key, mistake.message, mistake.hint)


_CALLED: Final = "a listed plugin or an entry point calls it"
_HOW_NAMED: Final = {
    "seeds": f"a URL begins with http:// or https://, and seeds of a plugin are named by what {_CALLED}"
}
_TO_COME: Final = "selectors bring these pages; a plugin may register one of that name"


def _is_stray(source: Source, name: str) -> bool:
    value = vars(source.module)[name]
    return name != "register" and not isinstance(value, type) and hasattr(value, "hookline_impl")


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
