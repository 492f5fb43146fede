"""From placed plugins to the steps of each hook in call order, by way of pluggy, which holds what is registered.

pluggy calls the last registered first, so plugins are registered in reverse. The calls are made in `chains` and `jobs`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import pluggy

from pipeline.stages.assemble import Placed
from pipeline.stages.chains import Step, adapt
from pipeline.stages.hookspecs import HOOKS, PROJECT, HookSpecs


class _Holder:
    """What is registered with pluggy: one place's hooks as attributes, and equal to nothing else.

    Plugin objects themselves may be equal to one another (dataclasses), which pluggy takes for the same plugin.
    """

    def __init__(self, place: Placed) -> None:
        self.place = place
        for hook in place.hooks:
            setattr(self, hook.attribute, hook.function)


def registered(placed: Sequence[Placed]) -> tuple[dict[str, list[Step]], dict[int, Placed]]:
    """Steps by hook in call order, and the place that each step (by id) belongs to."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # see `_deprecations`
        for number, place in reversed(list(enumerate(placed))):
            manager.register(_Holder(place), f"{number} {place.name}")
    manager.check_pending()
    steps: dict[str, list[Step]] = {}
    owners: dict[int, Placed] = {}
    for hook in HOOKS:
        steps[hook] = []
        for implementation in reversed(getattr(manager.hook, hook).get_hookimpls()):
            place = implementation.plugin.place
            arguments = next(one.arguments for one in place.hooks if one.function == implementation.function)
            items = None if place.use.items is None else frozenset(place.use.items)
            call = adapt(implementation.function, hook, arguments)
            step = Step(place.name, hook, call, place.file, items)
            steps[hook].append(step)
            owners[id(step)] = place
    return steps, owners
