"""No space: exit 5 and one clear line; what was committed is kept, and the same command finishes once there is space.

pytest tests/crash/test_disk.py            one size, and a small file system if one may be mounted
pytest tests/crash/test_disk.py -m slow    the other sizes
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.killing import Process, Trial
from tests.crash.oracle import Golden, read_state
from tests.crash.served import Served

STEPS = 20
SMALLEST = 4096  # bytes; its stderr must fit too
QUICK = {10}
WHY = re.compile(r"space|too large|full|I/O|input/output|quota", re.IGNORECASE)
LIMITED = ("run", "crash.yaml")
QUIET = {"PYTHONDONTWRITEBYTECODE": "1"}  # else the limit is met where nobody looks


def clear_line(process: Process) -> None:
    """Few lines, and one of them names a file and the reason."""
    lines = process.stderr.splitlines()
    assert len(lines) <= 10 and "Traceback" not in process.stderr, process.stderr
    telling = [line for line in lines if WHY.search(line) and ("state.db" in line or "out/" in line)]
    assert telling, f"no line names the file and the reason: {process.stderr}"


def steps() -> Iterator[object]:
    """Numbers of sizes; one is enough for every day."""
    for step in range(STEPS):
        yield pytest.param(step, marks=() if step in QUICK else pytest.mark.slow)


@pytest.mark.parametrize("step", list(steps()))
def test_a_limit_on_file_size(small: Served, small_golden: Golden, tmp_path: Path, step: int) -> None:
    """From tiny to nearly enough for the largest file of a good run."""
    nearly = small_golden.largest * 0.97
    size = int(SMALLEST * (nearly / SMALLEST) ** (step / (STEPS - 1)))
    with Trial.fresh(tmp_path / "trial", small) as trial:
        process = trial.run(
            *LIMITED, env=QUIET, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        )
        assert process.popen.returncode == 5, f"limit {size}: exit {process.popen.returncode}; {process.stderr}"
        clear_line(process)
        recovers(trial, small_golden)


def recovers(trial: Trial, golden: Golden) -> None:
    """With space again the same command finishes. The failed process may have cost what a kill costs."""
    trial.kills += 1
    trial.allowed = frozenset({0, 5})
    trial.finish(most=1)
    trial.check(golden)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB, or skip."""
    folder = tmp_path / "trial"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {mount.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=20)


@pytest.mark.parametrize(
    "free", [40, pytest.param(0, marks=pytest.mark.slow), pytest.param(200, marks=pytest.mark.slow)]
)
@pytest.mark.skipif(os.name != "posix", reason="needs mount")
def test_a_full_disk(small: Served, small_golden: Golden, tiny_disk: Path, free: int) -> None:
    """So many KiB are free when the run starts."""
    with Trial.fresh(tiny_disk, small) as trial:
        fill(tiny_disk / "ballast", free * 1024)
        process = trial.run(*LIMITED, env=QUIET)
        assert process.popen.returncode == 5, process.stderr
        clear_line(process)
        state = read_state(trial.folder)
        assert state is None or state.published == 0
        (tiny_disk / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(tiny_disk)], check=True, timeout=20)
        recovers_in_place(trial, small_golden)


def fill(path: Path, free: int) -> None:
    """Take all space but so many bytes."""
    room = os.statvfs(path.parent)
    path.write_bytes(b"\0" * max(0, room.f_bavail * room.f_frsize - free))


def recovers_in_place(trial: Trial, golden: Golden) -> None:
    """As `recovers`; the folder is a mount point and stays."""
    trial.kills += 1
    trial.allowed = frozenset({0, 5})
    trial.finish(most=1)
    wrong = trial.verdict(golden)
    assert not wrong, "\n".join(wrong)
