"""Told to stop: the first signal saves and ends with 3, the second one ends at once; then the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.crash.killing import Process, Trial, wait_until
from tests.crash.oracle import Golden, read_state
from tests.crash.served import CONCURRENCY, Served

DRAIN = 8.5  # seconds that a stop may take, whatever servers do
FORCED = 1.5  # seconds from the second signal to the end
SLOW = pytest.mark.slow
TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP

GATE = """
import time
from pathlib import Path
from pipeline import hookimpl

class Gate:
    def __init__(self, path: Path, when: str):
        self.path, self.when = path, when

    def wait(self, when):
        if when == self.when and not self.path.exists():
            self.path.with_suffix(".reached").touch()
            for _ in range(1000):
                if self.path.exists():
                    return
                time.sleep(0.01)

    @hookimpl
    def store_items(self, items):
        self.wait("stage")

    @hookimpl
    def commit(self, summary):
        self.wait("commit")

@hookimpl
def register(registry):
    registry.store("gate", Gate)
"""


def stalled(trial: Trial) -> Process:
    """A run in the middle of its pages: the quick ones are there, the slow ones do not come."""
    trial.site.tell("stall", seconds=30)
    process = trial.start()
    trial.site.wait_for_waiting(3)
    return process


def stopped(trial: Trial, process: Process, seconds: float) -> None:
    """It ends with 3 in so many seconds, and has saved what it did."""
    since = time.monotonic()
    code = process.wait(seconds)
    assert code is not None, f"still at work {seconds} s after the signal"
    trial.note(process, code)
    trial.story.append(f"{time.monotonic() - since:.2f} s after the signal")
    assert code == 3, process.stderr
    assert len(process.stderr.splitlines()) <= 10, process.stderr
    report = json.loads((trial.folder / "report.json").read_text())
    assert report["stopped"].startswith("signal SIG") and report["pending"] > 0 and report["exit_code"] == 3
    assert not (trial.folder / "out").exists() or not list((trial.folder / "out").iterdir())
    state = read_state(trial.folder)
    assert state is not None and state.sound == "ok" and state.published == 0, f"state: {state}"


def goes_on(trial: Trial, golden: Golden) -> None:
    """The same command finishes, and asks for little again."""
    trial.site.tell("stall", seconds=None)
    trial.allowed = frozenset({0, *trial.codes} - {1, 70})
    trial.finish(most=1)
    trial.check(golden)


@pytest.mark.parametrize(
    ("signum", "group"),
    [(TERM, False), (INT, True), pytest.param(INT, False, marks=SLOW), pytest.param(HUP, False, marks=SLOW)],
)
def test_the_first_signal_lets_pages_come_in(
    small: Served, small_golden: Golden, tmp_path: Path, signum: signal.Signals, group: bool
) -> None:
    """Ctrl-C goes to the whole group: what the run started must not die of it."""
    with Trial.fresh(tmp_path / "trial", small) as trial:
        process = stalled(trial)
        (os.killpg if group else os.kill)(process.popen.pid, signum)
        small.tell("stall", seconds=None)
        stopped(trial, process, 4)
        trial.spare = 8  # attempts at pages that fail, begun again
        goes_on(trial, small_golden)


@pytest.mark.slow
@pytest.mark.parametrize("signum", [TERM, INT, HUP])
def test_the_first_signal_waits_no_longer_than_it_must(
    small: Served, small_golden: Golden, tmp_path: Path, signum: signal.Signals
) -> None:
    with Trial.fresh(tmp_path / "trial", small) as trial:
        process = stalled(trial)
        process.popen.send_signal(signum)
        stopped(trial, process, DRAIN)
        trial.spare = CONCURRENCY
        goes_on(trial, small_golden)


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (INT, INT, 130),
        (TERM, TERM, 143),
        pytest.param(HUP, HUP, 143, marks=SLOW),
        pytest.param(TERM, INT, 130, marks=SLOW),
        pytest.param(INT, TERM, 143, marks=SLOW),
    ],
)
def test_the_second_signal_ends_at_once(
    small: Served, small_golden: Golden, tmp_path: Path, first: signal.Signals, second: signal.Signals, code: int
) -> None:
    with Trial.fresh(tmp_path / "trial", small) as trial:
        process = stalled(trial)
        process.popen.send_signal(first)
        time.sleep(0.3)  # two signals of one number that come together are one
        assert process.popen.poll() is None, f"ended by the first signal: {process.stderr}"
        process.popen.send_signal(second)
        assert process.wait(FORCED) == code, process.stderr
        trial.note(process, code)
        trial.kills += 1
        goes_on(trial, small_golden)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "signum"),
    [
        ("stage", TERM),
        ("commit", INT),
        pytest.param("stage", INT, marks=SLOW),
        pytest.param("commit", TERM, marks=SLOW),
    ],
)
def test_a_signal_during_publish(
    small: Served, small_golden: Golden, tmp_path: Path, when: str, signum: signal.Signals
) -> None:
    """It may be finished or left for the next run; each output is the old one or the whole new one."""
    gate = tmp_path / "trial" / "gate"
    stores = f"  - gate: {{path: {gate}, when: {when}}}\n"
    with Trial.fresh(tmp_path / "trial", small, stores=stores, more="plugins: [./gate.py]\n") as trial:
        (trial.folder / "gate.py").write_text(GATE)
        process = trial.start()
        wait_until(gate.with_suffix(".reached").exists, "publishing begins", 20)
        process.popen.send_signal(signum)
        time.sleep(0.2)
        gate.touch()
        code = process.end(DRAIN)
        trial.note(process, code)
        assert code in (0, 3), process.stderr
        if code == 3:
            trial.allowed = frozenset({0, 3})
            trial.finish(most=1)
        trial.check(small_golden)
