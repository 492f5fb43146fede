"""Where only bundled plugins run, a worker has nothing to put back; where anybody else's does, it looks."""

from __future__ import annotations

import os
import sys
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


CLOSER = """
import os
from pipeline import Item, hookimpl


def leads_to(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return "nowhere"


@hookimpl
def parse(page):
    yield Item("seen", {"url": page.url, "leads": [leads_to(fd) for fd in range(3)]})
    print("told by", page.url)
    os.write(1, b"written by " + page.url.encode())
    os.closerange(0, 3)
    if page.url.endswith("b"):
        os.open("/dev/zero", os.O_RDONLY)  # it is number 0 now
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_standard_streams_that_a_plugin_closed_are_there_again(
    tmp_path: Path, fake_site: FakeSite, capfd: pytest.CaptureFixture[str]
) -> None:
    urls = [fake_site.page(f"/{name}", "<p>x</p>") for name in "abc"]
    config = {"name": "trust", "seeds": urls, "plugins": ["./closer.py"], "workers": 1, "store": [{"jsonl": "o.jsonl"}]}
    result = run_config(config, folder=tmp_path, files={"closer.py": CLOSER})
    result.assert_ok()
    first, *others = [item["leads"] for item in result.items]
    assert first[0] == "/dev/null" and first[1] == first[2]
    assert others == [first] * 2
    told = capfd.readouterr().err
    assert all(f"{word} by {url}" in told for word in ("told", "written") for url in urls)
