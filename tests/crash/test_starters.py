"""Many start together: one runs, the others say who does and leave everything alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.killing import Process, Trial, wait_until
from tests.crash.oracle import Golden
from tests.crash.served import Served


@pytest.mark.timeout(180)
@pytest.mark.parametrize("many", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_one_of_many_starters_runs(small: Served, small_golden: Golden, tmp_path: Path, many: int) -> None:
    with Trial.fresh(tmp_path / "trial", small) as trial:
        small.tell("hold")  # so the winner is at work until all have come
        starters = [trial.start() for _ in range(many)]
        wait_until(lambda: len(at_work(starters)) <= 1, "all but one end", 20 + 2 * many)
        assert at_work(starters), [starter.stderr for starter in starters]
        (winner,) = at_work(starters)
        for loser in starters:
            if loser is not winner:
                assert loser.popen.returncode == 75, loser.stderr
                assert str(winner.popen.pid) in loser.stderr and len(loser.stderr.splitlines()) <= 10, loser.stderr
                assert "Traceback" not in loser.stderr
        small.tell("release")
        trial.starts.clear()  # they were kept waiting
        trial.note(winner, winner.end())
        trial.look("the winner's run")
        trial.run()  # the next one finds the way free
        trial.check(small_golden)


def at_work(processes: list[Process]) -> list[Process]:
    """Those that have not ended."""
    return [process for process in processes if process.popen.poll() is None]
