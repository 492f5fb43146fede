"""What a command must not import: cron starts it often, and nobody should pay for what is not used.

The lists are simple on purpose. What has to be in them is whatever is heavy and has no part in the command.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO

# `main` as the console script calls it, then the names of all that was imported.
PROGRAM = """
import sys
from pipeline.cli import main
try:
    main(prog_name="hookline")
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write(" ".join(sys.modules))
"""

HEAVY = {"rich", "lxml", "bs4", "soupsieve", "cronsim", "asyncio", "multiprocessing", "http.client", "urllib.request"}
OF_RUNS = {"pipeline.cli.emit", "pipeline.config.crontab"}
TABLE = {
    "--version": HEAVY
    | {"msgspec", "pydantic", "yaml", "sqlite3", "ssl", "pluggy", "selectolax", "httptools", "pycares"}
    | {"importlib.metadata", "email", "json"},
    "check": HEAVY | OF_RUNS,
    "run": HEAVY | OF_RUNS | {"pipeline.runner.metrics", "pipeline.cli.progress", "plugins.store.csv"},
}

CONFIG = """\
name: small
seeds: ["{url}/"]
pages: {{all: {{items: [{{fields: {{title: h1}}}}]}}}}
store: [{{jsonl: small.jsonl}}]
"""


@pytest.mark.parametrize("command", TABLE)
def test_nothing_is_imported_that_is_not_used(command: str, site: Any, installed: str, tmp_path: Path) -> None:
    assert installed
    site.page("/", "<h1>Home</h1>")
    (tmp_path / "small.yaml").write_text(CONFIG.format(url=site.url))
    words = [command] if command.startswith("-") else [command, "small.yaml"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stderr.split()) & TABLE[command] == set()


def test_the_lists_name_modules_that_there_are() -> None:
    ours = {name for names in TABLE.values() for name in names if name.startswith(("pipeline.", "plugins."))}
    assert [name for name in ours if not (REPO / f"{name.replace('.', '/')}.py").exists()] == []
