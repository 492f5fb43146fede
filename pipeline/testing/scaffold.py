"""`hookline plugin new`: a package with a plugin, its tests and a README, that pass as they are.

The files are templates beside this module, with `$module`, `$name`, `$Class` and so on filled in; each kind has a
plugin, a test and the lines that a config needs. Writes nothing over what is there.
"""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import Final

import pipeline
from pipeline.errors import ConfigError, Problem
from pipeline.stages.hookspecs import HOOKS
from pipeline.stages.loading import Catalogue

KINDS: Final = ("parser", "filter", "store", "seeds", "fetcher")
_TEMPLATES: Final = Path(__file__).with_name("scaffold")


def new_plugin(name: str, kind: str, folder: Path) -> list[Path]:
    """Write the package `folder`; the files. Raises ConfigError for a name that cannot be one, or a folder in use."""
    words = _words(name)
    taken = Catalogue().points
    if (claims := taken.get(words["name"]) or taken.get(f"{kind}.{words['name']}")) is not None:
        whose = f"is the name of a plugin of {claims[0].distribution} already"
        raise ConfigError([Problem(None, name, whose, "choose another: configs could not tell them apart")])
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError([Problem(None, str(folder), "is there already", "name another folder, or remove it")])
    module = words["module"]
    texts = {
        "pyproject.toml": _filled("pyproject.toml", words),
        "README.md": _filled("README.md", {**words, "yaml": _filled(f"{kind}.yaml", words).rstrip(), "kind": kind}),
        f"{module}.py": _filled(f"{kind}.py", words),
        f"tests/test_{module}.py": _filled(f"test_{kind}.py", words),
    }
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return [folder / path for path in texts]


def distribution_of(name: str) -> str:
    """What the package is called: hookline-NAME."""
    return _words(name)["distribution"]


def _words(name: str) -> dict[str, str]:
    """Every form of a name that stands in the files."""
    short = re.sub(r"^hookline[-_]", "", name)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*", short):
        hint = "letters, digits and hyphens, as in currency or near-text"
        raise ConfigError([Problem(None, name, "cannot be the name of a plugin", hint)])
    component = short.lower().replace("-", "_")
    if component in HOOKS:
        raise ConfigError([Problem(None, name, "is the name of a hook", f"choose another, as {component}_plugin")])
    return {
        "name": component,
        "module": f"hookline_{component}",
        "distribution": f"hookline-{component.replace('_', '-')}",
        "Class": "".join(part.capitalize() for part in component.split("_")),
        "version": pipeline.__version__,
    }


def _filled(file: str, words: dict[str, str]) -> str:
    return Template((_TEMPLATES / f"{file}.txt").read_text(encoding="utf-8")).substitute(words)
