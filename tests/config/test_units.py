# ruff: noqa: E501 - tables of cases stand in single lines
"""Durations, sizes, percentages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.config.nodes import Float, Int
from pipeline.config.units import IF_LOCKED as EXPECTED
from pipeline.config.units import duration, fraction, if_locked, octets, seconds

RIGHT: list[tuple[Callable[[Any], float], Any, float]] = [
    (seconds, "500ms", 0.5), (seconds, "5s", 5), (seconds, "10m", 600), (seconds, "2h", 7200), (seconds, "1d", 86400),
    (seconds, "1.5s", 1.5), (seconds, Int("0"), 0), (seconds, "0s", 0),
    (octets, "64KiB", 65536), (octets, "8MiB", 8 << 20), (octets, "2GiB", 2 << 30), (octets, Int("512"), 512), (octets, "512", 512),
    (octets, "1.5KiB", 1536), (octets, "7B", 7),
    (fraction, "10%", 0.1), (fraction, "0%", 0), (fraction, "100%", 1), (fraction, "2.5 %", 0.025),
]  # fmt: skip

WRONG: list[tuple[Callable[[Any], float], Any, str]] = [
    (seconds, Int("5"), "5s"), (seconds, "5", "5s"), (seconds, "5 minutes", "5m"), (seconds, "5S", "5s"), (seconds, "-5s", ""),
    (seconds, "1h30m", ""), (seconds, True, ""), (seconds, None, ""), (seconds, [5], ""), (seconds, "9" * 50 + "s", ""),
    (seconds, Float(".inf"), ""), (octets, "16MB", "16MiB"), (octets, "16k", "16KiB"), (octets, "x", ""), (octets, Int("-1"), ""),
    (fraction, Int("10"), "10%"), (fraction, Float("0.1"), ""), (fraction, "200%", ""), (fraction, "ten", ""),
]  # fmt: skip


@pytest.mark.parametrize(("read", "text", "value"), RIGHT)
def test_units(read: Callable[[Any], float], text: Any, value: float) -> None:
    assert read(text) == pytest.approx(value)


@pytest.mark.parametrize(("read", "text", "suggestion"), WRONG)
def test_what_is_no_unit_is_refused_with_a_suggestion(read: Callable[[Any], float], text: Any, suggestion: str) -> None:
    with pytest.raises(ValueError, match="such as") as caught:
        read(text)
    assert caught.value.args[1] == suggestion


IF_LOCKED = [
    ("fail", ("fail", 0.0)), ("skip", ("skip", 0.0)), ("wait=10m", ("wait", 600.0)), ("wait=0s", ("wait", 0.0)),
    ("wait", "wait=10m"), ("wait=", "wait=10m"), ("wait=5", "wait=5s"), ("wait=10min", "wait=10m"), ("skip=1", "skip"),
    ("Fail", "fail"), ("never", ""), ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "meaning"), IF_LOCKED)
def test_what_a_run_does_while_another_is_under_way(text: str, meaning: tuple[str, float] | str) -> None:
    if isinstance(meaning, tuple):
        assert if_locked(text) == meaning
        return
    with pytest.raises(ValueError) as caught:
        if_locked(text)
    assert caught.value.args == (EXPECTED, meaning)


@pytest.mark.parametrize("text", ["0s", "1s", "90s", "10m", "2h", "1d", "500ms", "1500ms"])
def test_durations_are_told_as_a_config_spells_them(text: str) -> None:
    assert duration(seconds(text)) == text
