"""Who may import whom: the picture of docs/architecture.md as data, checked over the source with `ast`.

Imports inside functions and under TYPE_CHECKING count like any others: a type that a lower room needs from a higher
one shows that it lives in the wrong room.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent

# Low to high. A module imports from lower levels and from its own package; the longest fitting prefix counts.
LEVELS: tuple[tuple[str, ...], ...] = (
    (
        "pipeline.errors",
        "pipeline.model",
        "pipeline.url",
        "pipeline.packing",
        "pipeline.failpoints",
        "pipeline.collector",
        "pipeline.remarks",
        "pipeline.logs",
        "pipeline.secrecy",
        "pipeline.ending",
    ),
    ("pipeline.fetch.http1", "pipeline.fetch.content", "pipeline.crawl", "pipeline.workers.framing", "pipeline.checks"),
    ("pipeline.fetch.loop", "pipeline.interrupts"),
    ("pipeline.fetch", "pipeline.workers"),
    ("pipeline.state",),
    ("pipeline.stages",),
    ("pipeline.config",),
    ("pipeline.importing", "pipeline.drafting"),
    ("pipeline.runner",),
    ("pipeline.testing",),
    ("pipeline.cli",),
    ("pipeline.__main__",),
)
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}

# Pure rooms get bytes and time as arguments, so that a whole run can be simulated.
# Failpoints are none: they make a process die where a test wants it, and do nothing else.
PURE = (*(room for level in LEVELS[:2] for room in level if room != "pipeline.failpoints"), "pipeline.importing")
IMPURE_MODULES = (
    *("asyncio", "http", "multiprocessing", "os", "select", "selectors", "signal", "socket", "sqlite3", "ssl"),
    *("subprocess", "threading", "time", "urllib.request"),
)

# module -> the only rooms of the framework that import it; an empty tuple means nobody.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "selectors": ("pipeline.fetch.loop",),
    "select": (),
    "asyncio": (),
    "pickle": (),
    "multiprocessing": (),
    "requests": (),
    "httptools": ("pipeline.fetch.http1",),
    "ssl": ("pipeline.fetch",),
    "socket": ("pipeline.fetch", "pipeline.workers", "pipeline.testing"),
    "sqlite3": ("pipeline.state", "pipeline.testing"),
    "pluggy": ("pipeline.stages",),
    "bs4": ("pipeline.stages",),
    "soupsieve": ("pipeline.stages",),
    "lxml": ("pipeline.stages",),
    "selectolax": ("pipeline.stages",),
    "pydantic": ("pipeline.stages", "pipeline.config", "pipeline.cli"),
    "yaml": ("pipeline.config", "pipeline.importing"),
    "click": ("pipeline.cli", "pipeline.__main__"),
    "rich": ("pipeline.cli",),
    "plugins": (),
}

MAX_FILE = 400
MAX_FUNCTION = 50


def within(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def room_of(module: str) -> str | None:
    """The longest entry of LEVELS that this module is or lies in."""
    fitting = [room for room in LEVEL if within(module, (room,))]
    return max(fitting, key=len, default=None)


def package_of(module: str) -> str:
    """The second name: `pipeline.fetch.http1` lives in `pipeline.fetch`."""
    return ".".join(module.split(".")[:2])


def imports(module: str, source: str, *, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """(line, module imported) for every import, wherever it stands; relative ones resolved.

    `from a import b` gives `a.b`: whether b is a module or a name of a, its prefix is the module that is meant.
    `import pipeline` gives what is taken from it.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name != "pipeline":
                    yield node.lineno, alias.name
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pipeline":
            yield node.lineno, f"pipeline.{node.attr}"
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + is_package]
                base = ".".join([*kept, base] if base else kept)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def wrong_in_pipeline(module: str, source: str, *, is_package: bool = False) -> Iterator[str]:
    """What a module of the framework imports and must not."""
    own = room_of(module)
    if own is None and module != "pipeline":
        yield f"{module}: has no place in LEVELS; give it one"
        return
    for line, name in imports(module, source, is_package=is_package):
        top = name.partition(".")[0]
        if top in ONLY_IN and not within(module, ONLY_IN[top]):
            yield f"{module}:{line}: imports {top}"
        if own in PURE and within(name, IMPURE_MODULES):
            yield f"{module}:{line}: a pure room imports {name}"
        if own is None or top != "pipeline" or name == "pipeline.__version__":
            continue
        target = room_of(name)
        if target is None:
            yield f"{module}:{line}: imports {name}, which is the face shown to plugins; import the module behind it"
        elif package_of(name) != package_of(module) and LEVEL[target] >= LEVEL[own] and LEVEL[own] > 0:
            yield f"{module}:{line}: imports {name}, which is not below it"
        elif LEVEL[target] > LEVEL[own]:
            yield f"{module}:{line}: imports {name}, which is above it"


def wrong_in_plugins(module: str, source: str, public: set[str], *, is_package: bool = False) -> Iterator[str]:
    """What a bundled plugin imports and must not: it has what anybody's plugin has, and no other plugin.

    One that is too long for a file keeps parts of itself beside it, in modules whose names begin with an underscore.
    """
    beside = module if is_package else module.rpartition(".")[0]
    for line, name in imports(module, source, is_package=is_package):
        top, _, rest = name.partition(".")
        if name.startswith(f"{beside}._"):
            continue
        if top == "plugins" or (top == "pipeline" and rest not in public):
            yield f"{module}:{line}: imports {name}"


def too_long(module: str, source: str) -> Iterator[str]:
    """Files over 400 lines; functions over 50 without `# long: why` on their first line or on the line above."""
    lines = source.splitlines()
    if len(lines) > MAX_FILE:
        yield f"{module}: {len(lines)} lines"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION and not re.search(
                r"# long: \w", "\n".join(lines[max(0, node.lineno - 2) : node.lineno])
            ):
                yield f"{module}:{node.lineno}: {node.name} has {length} lines"


def sources(top: str) -> Iterator[tuple[str, str, bool]]:
    """(module, source, is it a package) for every file below a top-level package."""
    for path in sorted((REPO / top).rglob("*.py")):
        parts = path.relative_to(REPO).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        yield ".".join(parts[:-1] if is_package else parts), path.read_text(encoding="utf-8"), is_package


def public_names() -> set[str]:
    """`__all__` of the framework, read and not imported."""
    tree = ast.parse((REPO / "pipeline/__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
                return set(ast.literal_eval(node.value))
    raise AssertionError("pipeline/__init__.py has no __all__: the names that plugins may use")


def test_the_framework_imports_one_way() -> None:
    found = [
        wrong
        for name, text, package in sources("pipeline")
        for wrong in wrong_in_pipeline(name, text, is_package=package)
    ]
    assert not found, "\n".join(found)


def test_bundled_plugins_use_the_public_names_only() -> None:
    public = public_names()
    found = [
        wrong
        for name, text, package in sources("plugins")
        for wrong in wrong_in_plugins(name, text, public, is_package=package)
    ]
    assert not found, "\n".join(found)


def test_the_framework_never_names_a_bundled_plugins_module() -> None:
    """Not as a string either: they are found by entry point, the way anybody's are."""
    found = [
        f"{name}:{node.lineno}: {node.value!r}"
        for name, text, _ in sources("pipeline")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.match(r"plugins\.\w", node.value)
    ]
    assert not found, "\n".join(found)


def test_files_and_functions_are_short() -> None:
    found = [
        wrong for top in ("pipeline", "plugins") for name, text, _ in sources(top) for wrong in too_long(name, text)
    ]
    assert not found, "\n".join(found)


def test_every_level_names_rooms_once() -> None:
    rooms = [room for level in LEVELS for room in level]
    assert len(rooms) == len(set(rooms)) == len(LEVEL)


# --- the checker itself ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "source", "word"),
    [
        ("pipeline.fetch.connection", "import selectors", "imports selectors"),
        ("pipeline.runner.engine", "def f():\n    import sqlite3", "imports sqlite3"),
        ("pipeline.crawl.scope", "from time import monotonic", "pure room imports time"),
        ("pipeline.fetch.http1", "import socket", "pure room imports socket"),
        ("pipeline.fetch.http1", "from . import loop", "above it"),
        ("pipeline.fetch.loop", "from pipeline.crawl.frontier import Frontier", ""),
        ("pipeline.fetch.loop", "from pipeline.fetch.fetcher import Fetcher", "above it"),
        ("pipeline.fetch.pool", "from pipeline.workers.pool import InlinePool", "not below it"),
        ("pipeline.fetch.pool", "from pipeline.fetch.connection import Connection", ""),
        ("pipeline.crawl.scope", "from pipeline.workers.framing import frame", "not below it"),
        ("pipeline.stages.host", "from pipeline.config.schema import Config", "not below it"),
        ("pipeline.stages.host", "from pipeline import hookimpl", "the face shown to plugins"),
        ("pipeline.runner.engine", "from pipeline.config import loader", ""),
        ("pipeline.runner.engine", "import pipeline\n\nprint(pipeline.__version__)", ""),
        ("pipeline.runner.engine", "import pipeline\n\nprint(pipeline.Item)", "the face shown to plugins"),
        ("pipeline.runner.engine", "from ..cli import main", "not below it"),
        ("pipeline.model", "from pipeline.errors import FetchError", ""),
        (
            "pipeline.model",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pipeline.stages.page import Page",
            "above it",
        ),
        ("pipeline.stages.host", "import plugins.parse.fields", "imports plugins"),
        ("pipeline.novelty", "", "no place in LEVELS"),
    ],
)
def test_the_checker_sees(module: str, source: str, word: str) -> None:
    found = list(wrong_in_pipeline(module, source))
    assert bool(found) == bool(word)
    assert word in "\n".join(found)


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("from pipeline import Item, hookimpl\nimport csv", False),
        ("from pipeline.model import Item", True),
        ("import pipeline.model", True),
        ("from pipeline import Secret_inner", True),
        ("from plugins.store import jsonl", True),
        ("from . import jsonl", True),
        ("from plugins.store._cells import cell", False),
        ("from plugins.parse._field import Field", True),
        ("from pipeline import *", True),
    ],
)
def test_the_checker_sees_in_plugins(source: str, wrong: bool) -> None:
    assert bool(list(wrong_in_plugins("plugins.store.csv", source, {"Item", "hookimpl"}))) == wrong


def test_the_checker_sees_length() -> None:
    body = "\n".join("    x = 1" for _ in range(MAX_FUNCTION))
    assert list(too_long("m", f"def f():\n{body}")) == ["m:1: f has 51 lines"]
    assert not list(too_long("m", f"# long: a table reads best in one piece\ndef f():\n{body}"))
    assert not list(too_long("m", f"def f():  # long: a table\n{body}"))
    assert list(too_long("m", f"# long:\ndef f():\n{body}"))
    assert list(too_long("m", "x = 1\n" * 401)) == ["m: 401 lines"]
