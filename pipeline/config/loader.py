"""From the path of a config to a checked `Config`, or to all that is wrong with it.

The steps: read the file and what it extends, lay `--set` on top, substitute `${...}`, check against the models, check
what keys say about each other, note what has no effect yet. Nothing is requested and nothing written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Environment
from pathlib import Path

from pydantic import ValidationError

from pipeline.config import layers, messages, places
from pipeline.config.crosscheck import carried_notes, cross_check
from pipeline.config.effects import without_effect
from pipeline.config.expectations import expectation_problems
from pipeline.config.nodes import KeyPath, Mapping, printable, to_data
from pipeline.config.promises import check_problems
from pipeline.config.pruning import Renumbering, without
from pipeline.config.reach import out_of_scope
from pipeline.config.schema import Config
from pipeline.config.substitute import Substituter
from pipeline.errors import ConfigError, Mark, Problem


class WrongConfigError(ConfigError):
    """All that could be found wrong with a config. `rest` is the config without it, where that is one; problems of
    that are `renumbered`.
    """

    def __init__(self, problems: Sequence[Problem], rest: Loaded | None, renumbered: Renumbering | None) -> None:
        super().__init__(problems)
        self.rest = rest
        self.renumbered = renumbered


class Loaded:
    """A config that is right: `config`, the `file` it came from, the `tree` that it was read from, and `notes` on keys
    that have no effect.
    """

    __slots__ = ("config", "file", "notes", "tree")

    def __init__(self, config: Config, file: Path, tree: Mapping, notes: list[Problem]) -> None:
        self.config = config
        self.file = file
        self.notes = notes
        self.tree = tree

    def locate(self, key_path: KeyPath) -> Mark:
        """Where the value of a key stands; of the nearest known parent if the key itself is not there."""
        if len(places.steps(self.tree, key_path)) == 1:
            return Mark(str(self.file), 1, 1)
        return places.locate(self.tree, key_path)

    def hides(self, key_path: KeyPath) -> bool:
        """Whether what stands there must not be shown, or something in it."""
        return places.holds_secret(key_path, places.steps(self.tree, key_path)[-1][1])

    def resolve(self, key_path: KeyPath, name: str) -> Path:
        """A path given under a key: relative to the folder of the file that the value stands in."""
        return Path(self.locate(key_path).file).parent / name


def load(
    path: str | Path, overrides: Environment[str, str] | None = None, environ: Environment[str, str] | None = None
) -> Loaded:
    """Read and check one config; raises ConfigError with all its problems.

    `overrides` are dotted key paths and their values as on the command line (`--set`); `environ` is `os.environ`.
    """
    file = Path(path)
    environ = os.environ if environ is None else environ
    tree, problems = layers.read_layers(file, environ)
    problems += _override(tree, overrides or {})
    substituter = Substituter(tree, environ)
    result = substituter.tree(tree)
    assert isinstance(result, Mapping)  # a mapping stays one
    problems += [problem for problem in substituter.problems if problem not in problems]
    config = _validate(result, problems)
    data = to_data(result)

    def place(key_path: KeyPath, key: bool = False) -> Mark:
        return places.locate(result, key_path, key=key)

    problems += cross_check(data, place) + expectation_problems(data, place)

    def hidden(key_path: KeyPath) -> bool:
        return places.is_secret(key_path, places.steps(result, key_path)[-1][1])

    problems += check_problems(data, lambda key_path, at: places.inside(tree, result, key_path, at), hidden)
    if problems or config is None:
        rest = _rest(file, result, [problem.mark for problem in problems])
        told = [_clean(problem) for problem in sorted(problems, key=_place)]
        raise WrongConfigError(told, rest, Renumbering(result, rest.tree) if rest else None)
    notes = [*without_effect(result), *carried_notes(data, place), *out_of_scope(data, place), *messages.unread(result)]
    return Loaded(config, file, result, sorted(notes, key=_place))


def _rest(file: Path, tree: Mapping, wrong: Sequence[Mark | None]) -> Loaded | None:
    """The config without what is wrong; None if that cannot be had."""
    if None in wrong or tree.mark in wrong:
        return None
    left = without(tree, {mark for mark in wrong if mark is not None})
    config = _validate(left, [])
    return None if config is None else Loaded(config, file, left, [])


def _override(tree: Mapping, overrides: Environment[str, str]) -> list[Problem]:
    problems: list[Problem] = []
    for key, value in overrides.items():
        try:
            layers.override(tree, key, value)
        except ConfigError as error:
            problems += error.problems
    return problems


def _validate(tree: Mapping, problems: list[Problem]) -> Config | None:
    try:
        return Config.model_validate(to_data(tree))
    except ValidationError as error:
        problems += messages.problems(error, tree, Config)
        return None


def _place(problem: Problem) -> tuple[str, int, int, str]:
    mark = problem.mark or Mark("", 0, 0)
    return mark.file, mark.line, mark.column, problem.key


def _clean(problem: Problem) -> Problem:
    return problem._replace(message=printable(problem.message), hint=printable(problem.hint))


def expand(paths: Iterable[str | Path]) -> list[Path]:
    """Config files as given; a directory stands for every `*.yaml` in it whose name does not start with `_`, sorted."""
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            files.append(path)
            continue
        found = sorted(file for file in path.glob("*.yaml") if not file.name.startswith("_"))
        if not found:
            message = f"expected *.yaml files in {path}, found none"
            raise ConfigError([Problem(Mark(str(path), 1, 1), "", message)])
        files += found
    return files


def load_many(
    paths: Iterable[str | Path],
    overrides: Environment[str, str] | None = None,
    environ: Environment[str, str] | None = None,
) -> list[Loaded | ConfigError]:
    """Each config or its ConfigError, in order: one that is wrong must not stop the others."""
    results: list[Loaded | ConfigError] = []
    for path in expand(paths):
        try:
            results.append(load(path, overrides, environ))
        except ConfigError as error:
            results.append(error)
    return results


def check_names(loaded: Iterable[Loaded]) -> list[Problem]:
    """A problem for each config whose name another one in the same folder has: both would use one state folder."""
    first: dict[tuple[Path, str], Loaded] = {}
    problems = []
    for each in loaded:
        folder = each.resolve(("state_dir",), each.config.state_dir).resolve()
        other = first.setdefault((folder, each.config.name), each)
        if other is not each and other.file.resolve() != each.file.resolve():
            message = f"expected a name of its own, found {each.config.name!r}, the name of {other.file}"
            problems.append(Problem(each.locate(("name",)), "name", message))
    return problems
