"""A config file with plugin files beside it, loaded by the host as the runner would."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError, Mark
from pipeline.stages.host import Host, Use
from pipeline.stages.loading import Catalogue, Point
from pipeline.stages.page import RunInfo

SECTIONS = ("plugins", "parse", "filter", "store", "seeds")


class Workshop:
    """`write` plugin files, then `load` sections given as lists of names or one-key mappings, or `problems` of them.

    Marks are config.yaml:LINE where LINE counts entries over all sections, so that a test can tell which one is meant.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = RunInfo("r1", datetime(2026, 3, 4, 5, 6, tzinfo=UTC), "shop", logging.getLogger("hookline.plugin"))
        self.points: list[Point] = []
        self._lines: dict[tuple[str, int], int] = {}

    def write(self, name: str, text: str) -> Path:
        """A plugin file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("from pipeline import *\n" + textwrap.dedent(text), encoding="utf-8")
        return path

    def entry_point(self, name: str, value: str) -> None:
        """An installed plugin."""
        self.points.append(Point(name, value))

    def locate(self, key: tuple[str | int, ...]) -> Mark:
        """A mark for the entry that a key path begins with; the column is the length of the path."""
        line = self._lines.get((str(key[0]), int(key[1]) if len(key) > 1 and isinstance(key[1], int) else 0), 1)
        return Mark(str(self.folder / "config.yaml"), line, len(key))

    def load(self, rules: dict[str, Any] | None = None, **sections: Iterable[Any]) -> Host:
        """The host, or ConfigError."""
        uses: dict[str, list[Use]] = {section: [] for section in SECTIONS}
        self._lines.clear()
        for section in SECTIONS:
            for index, entry in enumerate(sections.get(section, ())):
                self._lines[section, index] = len(self._lines) + 1
                uses[section].append(use(section, index, entry))
        catalogue = Catalogue(self.points)
        return Host.load(**uses, rules=rules, locate=self.locate, run=self.run, catalogue=catalogue)

    def problems(self, **sections: Any) -> list[str]:
        """What is wrong, as a user reads it, without the folder."""
        with pytest.raises(ConfigError) as caught:
            self.load(**sections)
        return [str(problem).replace(f"{self.folder}/", "") for problem in caught.value.problems]


def use(section: str, index: int, entry: Any) -> Use:
    """An entry as YAML has it: a name, a mapping of name to options, or a Use."""
    if isinstance(entry, Use):
        return entry
    name, options = (entry, None) if isinstance(entry, str) else next(iter(entry.items()))
    words: dict[str, Any] = {}
    if isinstance(options, dict):
        options = dict(options)
        words = {word: options.pop(word) for word in ("write", "only", "items") if word in options}
        if isinstance(words.get("items"), str):
            words["items"] = (words["items"],)
    return Use(name, options, (section, index, name), **words)


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    """A folder with a config in it."""
    return Workshop(tmp_path)


@pytest.fixture
def installed_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """`installed_module(name, source)`: a module that `import` finds."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def add(name: str, text: str) -> None:
        path = folder / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("from pipeline import *\n" + textwrap.dedent(text), encoding="utf-8")

    return add
