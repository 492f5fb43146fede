"""Plugins that do their worst: the other pages are as if they had not, and nothing is left behind."""

from __future__ import annotations

import contextlib
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).with_name("hostile.py")
PAGE_TIME = 1.5
MEMORY = 160 * 1024 * 1024


def _expected() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("hostile_for_its_table", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    expected: dict[str, str] = module.EXPECTED
    return expected


EXPECTED = _expected()
QUICK = (
    *(
        "raises",
        "raises_interrupt",
        "exits",
        "gives_nonsense",
        "gives_huge_item",
        "gives_huge_items",
        "gives_unsendable_link",
    ),
    *("sleeps", "leaks", "segfaults", "exits_hard", "closes_everything", "writes_everywhere", "prints"),
    *("changes_folder", "changes_signal_handlers", "forks_and_comes_back", "forks_often", "lowers_hard_limits"),
    *("leaves_threads", "patches_builtins", "starts_a_session", "leaves_a_shell"),
    *("replaces_functions", "changes_classes", "changes_its_surroundings"),
)


def check(crew: Callable[..., Any], job: Callable[[str], Any], same: Callable[..., bool], deeds: list[str], each: int):
    """Pages of which every `each`-th does a deed, in two workers: right fates, and the others as inline."""
    total = len(deeds) * each
    paths = [f"p{number}" for number in range(total)]
    for number, name in enumerate(deeds):
        paths[number * each + each // 2] = name
    one = crew(plugins=[FILE], page_time=PAGE_TIME, page_memory=MEMORY)
    results = one.run(map(job, paths))
    assert one.pool.error is None
    golden = one.inline(job(path) for path in paths if path not in EXPECTED)
    for path in paths:
        result = results[f"http://shop.example/{path}"]
        says = EXPECTED.get(path, "")
        if says == "*":
            continue
        if says:
            assert result.fault is not None, path
            assert says in result.fault.message, (path, result.fault)
            assert result.fault.fate == "failed:plugin"
            if result.fault.plugin != "":
                assert (result.fault.plugin, result.fault.hook) == ("hostile", "parse"), (path, result.fault)
            assert not result.items and not result.links
        elif path in EXPECTED:
            assert result.fault is None, (path, result.fault)
            assert result.types == {"row": 3, "page": 1}
        else:
            assert same(result, golden[f"http://shop.example/{path}"]), (path, result)
    assert len(results) == total
    assert one.pool.busy == one.pool.waiting_bytes == 0
    return one


def test_a_crawl_among_hostile_plugins(
    crew: Any, job: Any, same: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOOKLINE_TEST_MARK", str(tmp_path))
    here, stopped = Path.cwd(), time.monotonic()
    one = check(crew, job, same, list(QUICK), each=40)
    one.close()
    nothing_is_left(tmp_path)
    assert Path.cwd() == here
    assert time.monotonic() - stopped < 55
    told = capfd.readouterr()
    assert "a plugin prints" in told.err and "to the descriptor" in told.err and "from C" in told.err
    assert "to the" not in told.out and "from C" not in told.out
    assert one.pool.counts["killed: time"] == 2, one.pool.counts
    assert one.pool.counts["killed: memory"] == 2
    assert one.pool.counts["start failed"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("deed", EXPECTED)
def test_one_deed_on_one_page_in_a_hundred(
    deed: str, crew: Any, job: Any, same: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOOKLINE_TEST_MARK", str(tmp_path))  # what comes of this test has it, however far removed
    check(crew, job, same, [deed], each=100).close()
    nothing_is_left(tmp_path)


def nothing_is_left(folder: Path) -> None:
    """Of what a test with this mark started, a second later."""
    deadline = time.monotonic() + 1
    while (left := _marked(str(folder))) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left, "a process that a plugin started outlives its worker"


def _marked(mark: str) -> list[int]:
    """Processes that began with this mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"HOOKLINE_TEST_MARK={mark}\0".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found
