"""Killed at every failpoint with workers and stores in processes of their own, which is what users have.

    pytest tests/crash/test_torture_with_processes.py -m slow
    HOOKLINE_TORTURE_SECONDS=1200 HOOKLINE_SEED=7 pytest ... -m slow

Every process that comes by the point so often dies there: the one that runs the crawl, or the one that stages and
commits. The death of the latter alone is exit 5, and the next run delivers.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from pipeline.failpoints import POINTS
from tests.crash.killing import Trial, seed
from tests.crash.oracle import Golden
from tests.crash.served import Served
from tests.crash.test_failpoints_torture import VARIABLE, Order

SECONDS = float(os.environ.get("HOOKLINE_TORTURE_SECONDS", "240"))
TURNS = (1, 2, 4, 9)
PROCESSES = "workers: 2\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 120)]


def plan(dice: random.Random) -> list[Order]:
    """First hits, then pairs with any point, then later hits, each in an order of its own every time."""
    points = sorted(POINTS - {"on_drain"})
    dice.shuffle(points)
    first = [(f"{point}:kill@1",) for point in points]
    pairs = [(f"{one}:kill@{dice.choice(TURNS)}", f"{dice.choice(points)}:kill@{dice.choice(TURNS)}") for one in points]
    return [*first, *pairs, *((f"{point}:kill@{turn}",) for turn in TURNS[1:] for point in points)]


def trouble(trial: Trial, order: Order, golden: Golden) -> list[str]:
    """One trial: a process for each order, then to the end. What was wrong."""
    trial.allowed = frozenset({0, 5})
    for each in order:
        if trial.run(env={VARIABLE: each}).popen.returncode == 0:
            break
    trial.kills += trial.codes.count(5)  # costs what a kill costs
    if not trial.codes or trial.codes[-1] != 0:
        trial.finish(most=1)
    return trial.verdict(golden)


def test_killed_at_every_point(small: Served, small_golden: Golden, tmp_path: Path) -> None:
    orders, failed, done = plan(random.Random(seed())), [], 0
    deadline = time.monotonic() + SECONDS
    for number, order in enumerate(orders):
        if time.monotonic() > deadline:
            break
        with Trial.fresh(tmp_path / str(number), small, more=PROCESSES) as trial:
            wrong = trouble(trial, order, small_golden)
        done += 1
        if wrong:
            failed.append(f"{' then '.join(order)} in {trial.folder}: {'; '.join(wrong)} ({'; '.join(trial.story)})")
        else:
            shutil.rmtree(trial.folder)
    print(f"{done} of {len(orders)} trials, {len(failed)} failed")
    assert not failed, "\n".join(failed)
    assert done >= len(POINTS) - 1, f"no time even for first hits: {done} trials"
