"""A plugin package written from the docs alone, in a folder of its own, installed into a virtual environment of its
own: it passes `plugin check` and its tests, is listed, and works in a run by name.

pip installs it without dependencies, so that at most a setuptools comes from its index; what it depends on is lent to
the environment by a .pth file.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.testing import FakeSite

pytestmark = pytest.mark.slow

PACKAGE = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = "hookline-shelf"
version = "3.1"
dependencies = ["hookline"]

[project.entry-points.hookline]
cheaper = "hookline_shelf.filters"
shelf = "hookline_shelf.store"
""",
    "hookline_shelf/__init__.py": "",
    "hookline_shelf/filters.py": '''
"""Filters of the shelf."""
from dataclasses import dataclass

from pipeline import Drop, hookimpl


@dataclass
class Cheaper:
    """Keep items that cost less than `than`."""

    than: float = 10

    @hookimpl
    def process_item(self, item):
        return None if (item.get("price") or 0) < self.than else Drop("too dear")


@hookimpl
def register(registry):
    registry.filter("cheaper", Cheaper)
''',
    "hookline_shelf/store.py": '''
"""A store: titles in a text file."""
from pathlib import Path

from pipeline import RunInfo, hookimpl


class Shelf:
    """Write the titles into `path`."""

    def __init__(self, path: Path, *, run: RunInfo) -> None:
        self.path = path
        self.stage = path.with_name(f".{path.name}.{run.id}.stage")
        self.lines = []

    @hookimpl
    def store_items(self, items):
        self.lines += [f"{item['title']}\\n" for item in items]

    @hookimpl
    def commit(self, summary):
        self.stage.write_text("".join(self.lines), encoding="utf-8")
        self.stage.replace(self.path)

    @hookimpl
    def abort(self, reason):
        self.stage.unlink(missing_ok=True)


@hookimpl
def register(registry):
    registry.store("shelf", Shelf)
''',
    "tests/test_shelf.py": """
from hookline_shelf.filters import Cheaper
from hookline_shelf.store import Shelf
from pipeline import Drop, Item
from pipeline.testing import StoreContract


def test_cheaper(make_page):
    assert isinstance(Cheaper(5).process_item(Item(price=7)), Drop)
    assert Cheaper(5).process_item(Item(title="x")) is None


def test_a_run(fake_site, run_config):
    fake_site.page("/", "<div><h2>Dune</h2><b>9</b></div><div><h2>Emma</h2><b>4</b></div>")
    rule = {"items": [{"each": "div", "fields": {"title": "h2", "price": {"css": "b", "type": "float"}}}]}
    result = run_config({
        "seeds": [fake_site.url], "pages": {"all": rule}, "filter": [{"cheaper": 5}], "store": [{"shelf": "x.txt"}],
    })
    result.assert_ok()
    result.assert_items({"title": "Emma", "price": 4.0})
    assert result.read("x.txt") == "Emma\\n"


class TestShelf(StoreContract):
    def make_store(self, folder, run):
        return Shelf(folder / "x.txt", run=run)

    def read(self, folder):
        return (folder / "x.txt").read_text("utf-8").splitlines() if (folder / "x.txt").exists() else []
""",
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, installed: str) -> Path:
    """The interpreter of an environment that has the package installed."""
    assert installed
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not in this environment: it installs the package")
    folder = tmp_path_factory.mktemp("elsewhere")
    for name, text in PACKAGE.items():
        path = folder / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip(), encoding="utf-8")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv/bin/python"
    lent = [path for path in sys.path if path.endswith("site-packages")]
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    (site / "lent.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in lent))
    install = ["install", "-q", "--no-deps", "--disable-pip-version-check", *offline()]
    run(sys.executable, "-m", "pip", "--python", python, *install, folder / "package", cwd=folder)
    return python


def offline() -> list[str]:
    """Build with the setuptools that is here, if it can make a wheel; else pip gets one from its index."""
    try:
        major = int(importlib.metadata.version("setuptools").partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        major = 0
    can = major > 70 or (major and importlib.util.find_spec("wheel"))
    return ["--no-build-isolation", "--no-index"] if can else []


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
    return done


@pytest.mark.timeout(200)
def test_written_elsewhere(python: Path, tmp_path: Path, fake_site: FakeSite) -> None:
    package = python.parents[2] / "package"
    hookline: Callable[..., Any] = lambda *words: run(python, "-P", "-m", "pipeline", *words, cwd=tmp_path)  # noqa: E731

    tests = run(python, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=package)
    assert "12 passed" in tests.stdout

    listed = {row["name"]: row for row in json.loads(hookline("plugin", "list", "--json").stdout)}
    assert (listed["cheaper"]["distribution"], listed["cheaper"]["version"]) == ("hookline-shelf", "3.1")
    assert "site-packages" in listed["shelf"]["file"]

    done = hookline("plugin", "check", "hookline-shelf")
    assert "WRONG" not in done.stderr and "10 of 10 rules of stores kept" in done.stderr
    assert "| `than` | number | `10` |" in done.stdout

    fake_site.page("/", "<div><h2>Dune</h2><b>9</b></div><div><h2>Emma</h2><b>4</b></div>")
    rule = {"items": [{"each": "div", "fields": {"title": "h2", "price": {"css": "b", "type": "float"}}}]}
    config = {
        "name": "x", "seeds": [fake_site.url], "pages": {"all": rule}, "filter": [{"cheaper": {"than": 5}}],
        "store": [{"shelf": "out.txt"}], "workers": 1,
    }  # fmt: skip
    (tmp_path / "x.yaml").write_text(json.dumps(config))
    assert "process_item: cheaper" in hookline("check", "x.yaml").stdout
    hookline("run", "x.yaml")
    assert (tmp_path / "out.txt").read_text() == "Emma\n"
    assert '"cheaper"' in hookline("schema").stdout
