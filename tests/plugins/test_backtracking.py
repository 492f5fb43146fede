"""Regular expressions that may take for ever are told by `check`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from plugins.parse._backtracking import slow_because


@pytest.mark.parametrize(
    "pattern", [r"(a+)+$", r"(?:a*)*b", r"([a-z]+)*", r"(\s?\w+)*!", r"x(?:(a+?)){2,}y", r"(?=(a+)+b)", r"a|(b+)+"]
)
def test_a_repeat_of_a_repeat(pattern: str) -> None:
    assert slow_because(re.compile(pattern)) == "a repeat is repeated"


@pytest.mark.parametrize("pattern", [r".*.*x", r"\s*\s+x", r"(\d+)(\d*)x"])
def test_two_of_the_same(pattern: str) -> None:
    assert slow_because(re.compile(pattern)) == "two repeats of the same stand side by side"


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"(\d+) available", r"/([^/]+)/index", r"(\d+,)*\d+", r"(?:\s*,\s*\d+)+", r"^\s*(.+?)\s*$", r"(ab)+"),
        *(r"(a{1,3})+", r"", r"(a++)+b", r"[^>]*>[^<]*<", r"(\w+)@(\w+)\.com"),
    ],
)
def test_others_are_left_alone(pattern: str) -> None:
    assert slow_because(re.compile(pattern)) == ""


def test_check_tells(inside: Any, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(
        "name: shop\nseeds: [http://127.0.0.1:1/]\npages:\n  all:\n    items:\n      - fields:\n"
        "          a: {css: h1, regex: '(a+)+$'}\n          b: {css: h1, regex: '(b+)$'}\n"
    )
    done = inside("check", "shop.yaml")
    assert done.returncode == 0
    told = [line for line in (done.stdout + done.stderr).splitlines() if "may take for ever" in line]
    assert len(told) == 1 and "shop.yaml:7:" in told[0] and "a repeat is repeated" in told[0]
