"""What authors of plugins and configs are told beside their mistakes: what will be taken away, what is never called."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import Problem
from pipeline.stages.assemble import Placed
from pipeline.stages.hookspecs import deprecations, signature
from pipeline.stages.places import Problems
from pipeline.stages.validate import forgotten

_MARK = "did you forget @hookimpl? A function that is no hook is better called otherwise"


def deprecated(placed: Sequence[Placed], problems: Problems) -> list[Problem]:
    """What authors will have to change, for `check` and the report; told by us, with plugin and place."""
    return [
        problems.at(place.use.key, f"plugin {place.name}: {text}", f"{place.file or place.name} has to change")
        for place in placed
        for hook in place.hooks
        for text in deprecations(hook.hook, hook.arguments)
    ]


def remarks(placed: Sequence[Placed], problems: Problems, rules: str) -> list[Problem]:
    """Hooks that nobody marked; and what the parser of the page rules, so called, says of them: an attribute `notes` of
    (key path below it, text).
    """
    notes: list[Problem] = []
    for place in {id(place.target): place for place in placed}.values():
        for hook in forgotten(place.target):
            told = f"plugin {place.name}: {signature(hook)} is not marked, so it is never called"
            notes.append(problems.at(place.use.key, told, _MARK))
    for place in placed:
        for path, text in getattr(place.target, "notes", None) or () if place.name == rules else ():
            notes.append(problems.at((*place.use.key, *path), text))
    return notes
