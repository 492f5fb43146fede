"""What tests of drafts share: a draft at work on its page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.loader import load
from pipeline.model import PageJob
from pipeline.runner.build import new_run
from pipeline.runner.plugging import load_host
from pipeline.runner.trials import items_of
from pipeline.testing import make_page

URL = "https://shop.example/list"


@pytest.fixture
def read() -> Callable[[str, Any, Path], list[dict[str, Any]]]:
    """`read(text of a draft, body of its page, folder)`: the items that it gives."""
    return _read


def _read(made: str, body: Any, folder: Path) -> list[dict[str, Any]]:
    """What the draft gives on its page."""
    file = folder / "draft.yaml"
    file.write_text(made, encoding="utf-8")
    loaded = load(file)
    assert not loaded.notes, "no key without effect"
    host = load_host(loaded, new_run("draft"))
    page = make_page(body, URL)
    job = PageJob(URL, 200, list(page.headers.items()), page.body, rule="page", carry={})
    return items_of(host, job, host.run_page(job)).get("item", [])
