"""Killed at any time, one to five times, and run again: in the end all is as if nothing had happened.

    pytest tests/crash/test_kill_loop.py                          one short trial
    pytest tests/crash/test_kill_loop.py -m slow                  20 trials on 2,000 pages
    HOOKLINE_TRIALS=200 HOOKLINE_SEED=7 pytest ... -m slow        more of them, and the same again

A trial that fails tells its seed and keeps its folder; those that went well are removed.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.crash.killing import Trial, kill_loop, seed
from tests.crash.oracle import Golden
from tests.crash.served import Served

TRIALS = int(os.environ.get("HOOKLINE_TRIALS", "20"))


def test_two_kills_on_a_small_site(small: Served, small_golden: Golden, tmp_path: Path) -> None:
    with Trial.fresh(tmp_path / "trial", small) as trial:
        kill_loop(trial, small_golden, random.Random(seed()), kills=2)
        trial.check(small_golden)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", range(TRIALS))
def test_one_to_five_kills(big: Served, big_golden: Golden, tmp_path: Path, number: int) -> None:
    with Trial.fresh(tmp_path / "trial", big) as trial:
        kill_loop(trial, big_golden, random.Random(f"{seed()}/{number}"), kills=1 + number % 5)
        trial.check(big_golden)
