"""Where only bundled plugins run, a worker has nothing to put back; where anybody else's does, it looks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.testing import FakeSite, run_config
from pipeline.workers import guard


@pytest.fixture
def _distrust() -> Iterator[None]:
    guard.trust(False)  # other tests start a worker's job in this process
    yield
    guard.trust(False)


@pytest.mark.usefixtures("_distrust")
def test_a_guard_that_trusts_leaves_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("LEFT", "before")
    wary = guard.Guard()
    guard.trust(True)
    trusting = guard.Guard()
    os.environ["LEFT"] = "after"
    assert trusting.restore()
    assert os.environ["LEFT"] == "after"
    assert wary.restore()
    assert os.environ["LEFT"] == "before"


MEDDLER = """
import os
from pipeline import Item, hookimpl


@hookimpl
def parse(page):
    yield Item("seen", {"url": page.url, "left": os.environ.get("LEFT", "nothing")})
    os.environ["LEFT"] = page.url
"""


@pytest.mark.parametrize("place", ["plugins", "parse"])
def test_a_strangers_plugin_is_looked_after(tmp_path: Path, fake_site: FakeSite, place: str) -> None:
    config = {
        "name": "trust",
        "seeds": [fake_site.page(f"/{name}", "<p>x</p>") for name in "abc"],
        "plugins": ["./meddler.py"],
        "workers": 1,
        "store": [{"jsonl": "out.jsonl"}],
    }
    if place == "parse":
        config["parse"] = ["meddler"]
    result = run_config(config, folder=tmp_path, files={"meddler.py": MEDDLER})
    result.assert_ok()
    assert [item["left"] for item in result.items] == ["nothing"] * 3
