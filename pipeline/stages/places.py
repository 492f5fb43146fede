"""Where things stand in a config: problems located at their YAML line, paths resolved against their file's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec

from pipeline.errors import Mark, OptionError, Problem

KeyPath: TypeAlias = tuple[str | int, ...]
Locate: TypeAlias = Callable[[KeyPath], Mark | None]


def key_text(path: KeyPath) -> str:
    """A key path as users read it: `store.0.jsonl.path`, with quotes around a part that has dots."""
    return ".".join(f'"{part}"' if isinstance(part, str) and "." in part else str(part) for part in path)


class Problems(msgspec.Struct):
    """The problems of a config found so far, each at its place."""

    locate: Locate
    found: list[Problem] = []
    hides: Callable[[KeyPath], bool] = lambda key: False  # whether what stands there must not be shown

    def add(self, key: KeyPath, message: str, hint: str = "") -> None:
        """Enter a problem with what stands at `key`."""
        problem = self.at(key, message, hint)
        if problem not in self.found:
            self.found.append(problem)

    def add_option(self, key: KeyPath, name: str, error: OptionError) -> None:
        """Enter what is wrong with an option of the component `name`, whose options stand at `key`."""
        problem = self.of_option(key, name, error)
        if problem not in self.found:
            self.found.append(problem)

    def of_option(self, key: KeyPath, name: str, error: OptionError) -> Problem:
        """The same as a problem, not entered."""
        place = (*key, *error.path)
        return self.at(place, f"{name}: {error.message if self.hides(place) else error}", error.hint)

    def at(self, key: KeyPath, message: str, hint: str = "") -> Problem:
        """A problem, located and not entered."""
        return Problem(self.locate(key), key_text(key), message, hint)

    def folder(self, key: KeyPath) -> Path:
        """The folder of the file that `key` stands in; the working directory for what stands in no file."""
        mark = self.locate(key)
        return Path(mark.file).absolute().parent if mark is not None else Path.cwd()

    def in_order(self) -> list[Problem]:
        """By file and line; those without a place last."""
        return sorted(self.found, key=lambda problem: (problem.mark is None, problem.mark or ()))
