"""With plugins in processes of their own: the same outputs, whatever their number, and nothing left after a kill."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.killing import Trial, kill_loop, seed
from tests.crash.oracle import Golden
from tests.crash.served import Served


@pytest.mark.parametrize(
    "number", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(4, marks=pytest.mark.slow)]
)
def test_outputs_are_those_without_workers(small: Served, small_golden: Golden, tmp_path: Path, number: int) -> None:
    with Trial.fresh(tmp_path / "trial", small, more=f"workers: {number}\n") as trial:
        trial.run()
        trial.check(small_golden)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", range(6))
def test_kills_with_workers(big: Served, big_golden: Golden, tmp_path: Path, number: int) -> None:
    with Trial.fresh(tmp_path / "trial", big, more="workers: 2\n") as trial:
        kill_loop(trial, big_golden, random.Random(f"{seed()}/workers/{number}"), kills=1 + number % 3)
        trial.check(big_golden)
