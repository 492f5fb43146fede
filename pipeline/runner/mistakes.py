"""All that is wrong with a config, in one look: whatever is read, compiled or loaded of it is tried, failing or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from pipeline.config import Loaded, WrongConfigError
from pipeline.errors import ConfigError, Mark, Problem
from pipeline.model import Request
from pipeline.runner.advice import lack_of_seeds
from pipeline.runner.build import new_run, own_seeds
from pipeline.runner.fetching import network_for
from pipeline.runner.plugging import load_host
from pipeline.runner.trials import unfit_tests
from pipeline.stages.host import Host

Found = TypeVar("Found")


class Examined(NamedTuple):
    """What a config has: its own seeds, its plugins, and what is wrong with it; None for what cannot be had."""

    seeds: list[Request] | None
    host: Host | None
    problems: list[Problem]


def examine(loaded: Loaded, *, whole: bool = True) -> Examined:
    """Try all of a config, without network. Where it is not `whole`, nothing is said of what it lacks."""
    problems: list[Problem] = []
    seeds = _tried(lambda: own_seeds(loaded), problems)
    _tried(lambda: network_for(loaded).close(), problems)
    host = _tried(lambda: load_host(loaded, new_run(loaded.config.name), whole=whole), problems)
    if whole and seeds == [] and host is not None and not host.brings_seeds:
        problems.append(lack_of_seeds(loaded.locate))
    problems += unfit_tests(loaded)
    return Examined(seeds, host, problems)


def complete(error: ConfigError) -> ConfigError:
    """A config's mistakes together with those in what is left of it, in the order of the file."""
    if not isinstance(error, WrongConfigError) or error.rest is None or error.renumbered is None:
        return error
    more = map(error.renumbered, examine(error.rest, whole=False).problems)
    found = dict.fromkeys((*error.problems, *more))
    return ConfigError(sorted(found, key=lambda problem: problem.mark or Mark("", 0, 0)))


def _tried(look: Callable[[], Found], problems: list[Problem]) -> Found | None:
    try:
        return look()
    except ConfigError as error:
        problems += error.problems
        return None
