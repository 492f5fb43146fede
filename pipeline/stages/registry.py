"""Components: things a YAML file can name in `parse`, `filter`, `store`, `seeds` and a page's `fetcher`.

A plugin's `register` hook gets a `Registry` and enters them. Entering is all that happens here: finding a component by
name, and building it, is `assemble`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pipeline.stages.loading import nearest

Factory = Callable[..., Any]

SECTIONS: Final = {"parse": "parser", "filter": "filter", "store": "store", "seeds": "seeds", "fetcher": "fetcher"}
"""Section of the config (of its page rules: `fetcher`) -> kind of component that it names."""

TO_COME: Final = frozenset({("fetcher", "browser")})
"""(kind, name) of components that configs may name before there is one; without effect until a plugin registers it."""


class Component(NamedTuple):
    """A named factory. `kind` is parser, filter, store, seeds or fetcher."""

    kind: str
    name: str
    factory: Factory


class Registry:
    """What `register(registry)` gets. The factory's typed parameters are the component's options.

    Each method raises ValueError or TypeError for a name or factory that cannot be one.
    """

    def __init__(self) -> None:
        self.components: dict[tuple[str, str], Component] = {}

    def parser(self, name: str, factory: Factory) -> None:
        """An object with `parse`, and perhaps `classify`."""
        self._enter("parser", name, factory)

    def filter(self, name: str, factory: Factory) -> None:
        """An object with `process_item` or `admit`."""
        self._enter("filter", name, factory)

    def store(self, name: str, factory: Factory) -> None:
        """An object with `store_items`, `commit` and `abort`."""
        self._enter("store", name, factory)

    def seeds(self, name: str, factory: Factory) -> None:
        """An object with `seeds`."""
        self._enter("seeds", name, factory)

    def fetcher(self, name: str, factory: Factory) -> None:
        """An object with `fetch`: another way to get the pages of a rule whose `fetcher:` names it."""
        self._enter("fetcher", name, factory)

    def __getattr__(self, name: str) -> Any:
        hint = nearest(name, SECTIONS.values())
        raise AttributeError(f"registry.{name} is not there; {hint or 'there are: ' + ', '.join(SECTIONS.values())}")

    def _enter(self, kind: str, name: str, factory: Factory) -> None:
        if not isinstance(name, str) or not name.strip():
            raise TypeError(f"registry.{kind}: the name must be a text, not {name!r}")
        if not callable(factory):
            raise TypeError(f"registry.{kind}({name!r}): the factory must be a class or a function, not {factory!r}")
        if (kind, name) in self.components:
            raise ValueError(f"registry.{kind}({name!r}) is called twice")
        self.components[kind, name] = Component(kind, name, factory)

    def __repr__(self) -> str:
        return f"Registry({', '.join(f'{kind} {name}' for kind, name in self.components)})"
