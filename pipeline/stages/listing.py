"""Every installed plugin, for `hookline plugin list`: the one place that imports what no config names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.stages.faults import describe
from pipeline.stages.loading import Catalogue, LoadError, Source, stdout_guard
from pipeline.stages.registry import Registry
from pipeline.stages.validate import marked_hooks


@dataclass(frozen=True, slots=True)
class PluginFacts:
    """An entry point: whose it is, what it names, and what that offers, or `error` if it cannot be had.

    `components` are texts such as `filter where`.
    """

    name: str
    distribution: str | None
    version: str | None
    module: str
    file: str | None = None
    hooks: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    error: str | None = None


def list_plugins(catalogue: Catalogue | None = None) -> list[PluginFacts]:
    """All entry points of group `hookline`, by name. One that fails to import is listed with its error."""
    catalogue = catalogue or Catalogue()
    with stdout_guard():
        return [_facts(catalogue, name) for name in sorted(catalogue.points)]


def _facts(catalogue: Catalogue, name: str) -> PluginFacts:
    point = catalogue.points[name][0]
    known: dict[str, Any] = {
        "name": name,
        "distribution": point.distribution,
        "version": point.version,
        "module": point.value,
    }
    try:
        source = catalogue.from_entry_point(name)
        hooks = marked_hooks(source.plugin_class or source.module)
        components = _components(source)
    except LoadError as error:
        return PluginFacts(**known, error=f"{error.message}; {error.hint}" if error.hint else error.message)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return PluginFacts(**known, error=describe(error))
    return PluginFacts(**known, file=source.file, hooks=hooks, components=components)


def _components(source: Source) -> tuple[str, ...]:
    """What a module's own `register` enters."""
    registry = Registry()
    register = getattr(source.module, "register", None)
    if "register" in marked_hooks(source.module) and callable(register):
        register(registry)
    return tuple(f"{kind} {name}" for kind, name in registry.components)
