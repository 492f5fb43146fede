"""Killed at every failpoint: at its first, middle and last hit, and then at two points in a row; failed by EIO, too.

    pytest tests/crash/test_failpoints_torture.py -m slow
    HOOKLINE_TORTURE_SECONDS=1200 HOOKLINE_SEED=7 pytest ... -m slow

An uninterrupted run counts the hits. What is most telling comes first, and what does not fit into the time is left out;
the summary says how much. All trials are made before the test fails.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.crash.killing import Trial, seed
from tests.crash.oracle import Golden
from tests.crash.served import Served

SECONDS = float(os.environ.get("HOOKLINE_TORTURE_SECONDS", "330"))
VARIABLE = "HOOKLINE_FAILPOINT"
ELSEWHERE = {"on_drain"}  # hit by signals only
IN_CHILDREN = {"before_parse", "after_parse"}  # a worker's death is no death of the run
Order: TypeAlias = tuple[str, ...]  # the variable's value for each process in a row

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 120)]


@pytest.fixture(scope="module")
def hits(small: Served, small_golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """How often a clean run hits each point; points that it never hits are there with 0."""
    with Trial.fresh(tmp_path_factory.mktemp("count") / "trial", small) as trial:
        trial.run(env={VARIABLE: "count=hits.json"})
        counted: Counter[str] = Counter()
        for path in trial.folder.glob("hits.json*"):  # one a process, if children count too
            counted.update(json.loads(path.read_text()))
        assert counted, f"{VARIABLE}=count=hits.json wrote no hits.json"
        assert trial.codes == [0] and small_golden.requests, trial.story
    return counted


def turns(count: int) -> list[tuple[int, int]]:
    """(how telling, turn): first, last, middle hit, as far as they differ."""
    return list(enumerate(dict.fromkeys((1, count, (count + 1) // 2))))


def plan(hits: Counter[str], dice: random.Random) -> list[Order]:
    """First hits, last hits, pairs, middle hits."""
    points = sorted(point for point, count in hits.items() if count)
    singles = [(rank + (rank > 1), point, turn) for point in points for rank, turn in turns(hits[point])]
    pairs = [(2, f"{point}:kill@{dice.randint(1, hits[point])}", f"{dice.choice(points)}:kill") for point in points]
    orders = [(rank, (f"{point}:kill@{turn}",)) for rank, point, turn in singles]
    orders += [(rank, (one, other)) for rank, one, other in pairs]
    return [order for _, order in sorted(orders, key=lambda each: each[0])]


def test_the_plan() -> None:
    hits = Counter({"a": 1, "b": 2, "c": 9, "d": 0})
    orders = plan(hits, random.Random(1))
    assert orders[:3] == [("a:kill@1",), ("b:kill@1",), ("c:kill@1",)]
    assert orders[3:5] == [("b:kill@2",), ("c:kill@9",)] and orders[8:] == [("c:kill@5",)]
    assert all(len(pair) == 2 for pair in orders[5:8])


def torture(trial: Trial, order: Sequence[str], golden: Golden) -> list[str]:
    """One trial: a process for each order, then to the end. What was wrong."""
    trial.allowed = frozenset({0, 5})
    for each in order:
        code = trial.run(env={VARIABLE: each}).popen.returncode
        if code == 0:
            break
    if not trial.codes or trial.codes[-1] != 0:
        trial.finish()
    wrong = trial.verdict(golden)
    first, _, turn = order[0].partition(":kill@")
    if not trial.kills and turn == "1" and first not in IN_CHILDREN:
        wrong.append("nothing was killed")
    return wrong


def test_a_clean_run_comes_by_every_point(hits: Counter[str]) -> None:
    never = {point for point, count in hits.items() if not count}
    assert never <= ELSEWHERE, f"no run was ever at {sorted(never - ELSEWHERE)}"


def test_killed_at_every_point(small: Served, small_golden: Golden, hits: Counter[str], tmp_path: Path) -> None:
    orders = plan(hits, random.Random(seed()))
    deadline = time.monotonic() + SECONDS
    failed, done = [], 0
    for number, order in enumerate(orders):
        if time.monotonic() > deadline:
            break
        with Trial.fresh(tmp_path / str(number), small) as trial:
            wrong = torture(trial, order, small_golden)
        done += 1
        if wrong:
            failed.append(f"{' then '.join(order)} in {trial.folder}: {'; '.join(wrong)} ({'; '.join(trial.story)})")
        else:
            shutil.rmtree(trial.folder)
    print(f"{done} of {len(orders)} trials, {len(failed)} failed")
    assert not failed, "\n".join(failed)
    assert done >= sum(count > 0 for count in hits.values()), f"no time even for first hits: {done} trials"


def test_killed_while_draining(small: Served, small_golden: Golden, tmp_path: Path) -> None:
    with Trial.fresh(tmp_path / "trial", small) as trial:
        small.tell("stall", seconds=30)
        process = trial.start(env={VARIABLE: "on_drain:kill"})
        small.wait_for_waiting(3)
        process.popen.send_signal(signal.SIGTERM)
        trial.note(process, process.end(9))
        assert trial.kills == 1, process.stderr
        small.tell("stall", seconds=None)
        trial.finish(most=1)
        trial.check(small_golden)


STORAGE = ("before_commit", "before_stage", "mid_stage", "before_journal", "before_fsync", "before_rename",
    "before_store_commit", "before_promote")  # fmt: skip


@pytest.mark.parametrize("action", ["error", "full"])
@pytest.mark.parametrize("point", STORAGE)
def test_a_storage_error_ends_with_5(
    small: Served, small_golden: Golden, hits: Counter[str], tmp_path: Path, point: str, action: str
) -> None:
    """EIO and ENOSPC at any step: nothing is tried twice, nothing committed is lost, and the next run finishes."""
    turn = (hits[point] + 1) // 2
    with Trial.fresh(tmp_path / "trial", small) as trial:
        process = trial.run(env={VARIABLE: f"{point}:{action}@{max(1, turn)}"})
        assert process.popen.returncode == 5, f"exit {process.popen.returncode}: {process.stderr}"
        assert len(process.stderr.splitlines()) <= 10, process.stderr
        trial.kills += 1  # costs what a kill costs
        trial.allowed = frozenset({0, 5})
        trial.finish(most=1)
        trial.check(small_golden)
