"""The project as a thing that people install: the command, the folder it is started in, versions, example configs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parent.parent
Command = Callable[..., subprocess.CompletedProcess[str]]

PAGE = "<title>Shop</title><div class=book><h2>Dune</h2></div><div class=book><h2>Emma</h2></div>"
CONFIG = """
name: shadow
seeds: ["{base}/"]
pages:
  list:
    items:
      - {{each: div.book, fields: {{title: h2}}}}
filter:
  - require: [title]
store:
  - jsonl: out.jsonl
"""


@pytest.fixture
def shadowed(tmp_path: Path) -> Path:
    """A folder with packages and modules that bear the names of ours, of our parts and of what we need."""
    for name in ("pipeline", "plugins", "pipeline/cli", "plugins/store", "plugins/filter", "selectolax"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong package')\n", encoding="utf-8")
    for name in ("pipeline/__main__", "plugins/store/jsonl", "pluggy", "yaml", "socket", "selectors"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong module')\n", encoding="utf-8")
    return tmp_path


def ways() -> Iterator[Any]:
    """The command as installed, and the package with the working directory kept out of the path."""
    script = Path(sys.executable).with_name("hookline")
    without = pytest.mark.skipif(not script.exists(), reason="no hookline command beside this Python")
    yield pytest.param([str(script)], id="command", marks=without)
    yield pytest.param([sys.executable, "-P", "-m", "pipeline"], id="module")


@pytest.mark.parametrize("way", list(ways()))
def test_works_in_a_folder_with_its_own_packages(
    way: list[str], shadowed: Path, installed: str, serve: Callable[..., Any]
) -> None:
    site = serve({"/": PAGE})
    (shadowed / "shadow.yaml").write_text(CONFIG.format(base=site.base), encoding="utf-8")
    before = {path for path in shadowed.rglob("*") if path.name != ".hookline"}
    done = subprocess.run(
        [*way, "run", "shadow.yaml"], cwd=shadowed, capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (shadowed / "out.jsonl").read_text(encoding="utf-8") == '{"title":"Dune"}\n{"title":"Emma"}\n'
    after = {path for path in shadowed.rglob("*") if ".hookline" not in path.parts}
    assert after - before == {shadowed / "out.jsonl"}, "nothing else is written, bytecode neither"
    assert installed


def test_a_local_plugin_may_bear_the_name_of_a_bundled_one(
    shadowed: Path, hookline: Command, serve: Callable[..., Any]
) -> None:
    site = serve({"/": PAGE})
    plugin = "from pipeline import hookimpl\n\n@hookimpl\ndef process_item(item, page):\n    item['title'] += '!'\n"
    (shadowed / "plugins/mine.py").write_text(plugin, encoding="utf-8")
    text = CONFIG.format(base=site.base) + "plugins: [./plugins/mine.py]\n"
    (shadowed / "shadow.yaml").write_text(text, encoding="utf-8")
    done = hookline("run", "shadow.yaml", cwd=shadowed)
    assert (done.returncode, done.stderr) == (0, "")
    assert (shadowed / "out.jsonl").read_text(encoding="utf-8") == '{"title":"Dune!"}\n{"title":"Emma!"}\n'
    assert not list(shadowed.rglob("__pycache__"))


# --- the README's lines ----------------------------------------------------------------------------------------------


def readme_line(which: str) -> str:
    done = subprocess.run(
        [sys.executable, REPO / ".ci/readme-line", which], capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout.strip()


def test_the_readme_has_both_lines() -> None:
    assert readme_line("run").startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert readme_line("tests").startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_the_readmes_first_command_leaves_items(tmp_path: Path, hookline: Command) -> None:
    """What stands behind the installation in the line, in a copy of the configs: less than a minute, exit 0."""
    command = readme_line("run").rpartition(" && ")[2].split()
    assert command[0] == ".venv/bin/hookline"
    shutil.copytree(REPO / "configs", tmp_path / "configs", ignore=shutil.ignore_patterns("out", ".hookline"))
    done = hookline(*command[1:], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    outputs = list((tmp_path / "configs/out").iterdir())
    assert outputs
    assert all(path.stat().st_size for path in outputs)


def test_nothing_names_this_machine() -> None:
    """What is committed must work in any folder: no absolute path of a home or a scratch folder."""
    text = "\n".join((REPO / name).read_text(encoding="utf-8") for name in (".ci/run", ".ci/readme-line", "README.md"))
    assert not re.findall(r"/(?:home|root|tmp|work|Users)/\S*", text)
    assert os.access(REPO / ".ci/run", os.X_OK)


# --- versions --------------------------------------------------------------------------------------------------------


def test_one_version_everywhere(installed: str, hookline: Command) -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == installed
    released = re.findall(r"^## \[(\d[^\]]*)\]", (REPO / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    assert released[0] == installed
    assert hookline("--version").stdout.strip() == f"hookline {installed}"


# --- example configs -------------------------------------------------------------------------------------------------


def examples() -> list[Path]:
    """What `hookline run configs/` takes: a name that begins with _ is a part of others."""
    return sorted((REPO / "configs").glob("[!_]*.yaml"))


@pytest.mark.parametrize("config", examples(), ids=lambda path: path.name)
def test_every_example_passes_check(config: Path, hookline: Command) -> None:
    done = hookline("check", config)
    assert done.returncode == 0, done.stderr


NO_SITE_FOR_IT = {"seeds[].body", "seeds[].json"}  # the demo site answers no POST; the smaller tests have one that does


def test_every_key_is_in_an_example_or_not_built_yet() -> None:
    """A key that works must be shown at work; docs/config.md says of the others that they have no effect yet."""
    texts = [path.read_text(encoding="utf-8") for path in (REPO / "configs").glob("*.yaml")]
    shown = {word for text in texts for word in words_in(yaml.load(text, Loader=yaml.BaseLoader))}  # `on` stays a word
    table = re.findall(r"^\| `([^`]+)` \|.*\| ([^|]+) \|$", (REPO / "docs/config.md").read_text(encoding="utf-8"), re.M)
    built = {key for key, effect in table if effect.strip() != "no"}
    last = {key: re.split(r"\.|\[\]", key)[-1] for key in built - NO_SITE_FOR_IT}
    assert not sorted(key for key, word in last.items() if word and not word.isupper() and word not in shown)


def words_in(node: Any) -> Iterator[str]:
    """All keys of a document, whatever their depth."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield str(key)
            yield from words_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from words_in(value)
