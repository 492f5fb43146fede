"""The configs that a command is given, several or a folder of them: each read, or all that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.config import Loaded, WrongConfigError, check_names, load_many
from pipeline.errors import ConfigError, Problem


def read_all(paths: Iterable[Path], overrides: dict[str, str]) -> list[Loaded | ConfigError]:
    """Each config or its mistakes, in order; a mistake too where one has name and state folder of an earlier one."""
    found = load_many(paths, overrides=overrides)
    problems = check_names(each for each in found if isinstance(each, Loaded))
    clashes = {problem.mark.file: problem for problem in problems if problem.mark is not None}
    return [_whole(each, clashes) for each in found]


def _whole(found: Loaded | ConfigError, clashes: Mapping[str, Problem]) -> Loaded | ConfigError:
    if isinstance(found, Loaded) and str(found.file) in clashes:
        return ConfigError([clashes[str(found.file)]])
    if not isinstance(found, WrongConfigError):
        return found
    from pipeline.runner.mistakes import complete  # noqa: PLC0415 - needed where something is wrong only

    return complete(found)
