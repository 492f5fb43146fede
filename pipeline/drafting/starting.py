"""The files of a new project: a config, a saved page with a test of it, a plugin. Writes nothing over what is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Final

from pipeline.errors import ConfigError, Problem

_TEMPLATES: Final = Path(__file__).with_name("template")
PLUGIN: Final = "plugins/example.py"


def example_files(name: str) -> dict[str, bytes]:
    """The files of a project that is not about any page yet."""
    return {
        f"{name}.yaml": Template(_template("config.yaml")).substitute(name=name).encode(),
        "fixtures/quotes.html": _template("quotes.html").encode(),
        PLUGIN: _template("example.py").encode(),
    }


def plugin_file() -> dict[str, bytes]:
    """The plugin alone."""
    return {PLUGIN: _template("example.py").encode()}


def name_of(folder: Path) -> str:
    """A name for the config of a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._") or "example"


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write the files; their paths. Raises ConfigError, with nothing written, if one of them is there already."""
    there = [folder / name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        hint = "name another folder, or move it away: nothing was written"
        raise ConfigError([Problem(None, str(file), "is there already", hint) for file in there])
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def _template(file: str) -> str:
    return (_TEMPLATES / f"{file}.txt").read_text(encoding="utf-8")
