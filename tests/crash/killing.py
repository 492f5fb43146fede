"""Processes that are started, killed and started again in one folder, until the work is done.

Every process is the leader of a session of its own and only it is killed: what it started must end by itself, which
is looked for among all processes of the machine. Every wait has an end.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.oracle import Ended, Golden, complaints, read_outputs, read_state
from tests.crash.served import NAME, Served, write_config

LONGEST = 60.0  # seconds that a process may take
ORPHANS = 1.0  # seconds after which nothing of a killed process may be there
RUN = ("run", f"{NAME}.yaml", "--report", "report.json")
MARK = "HOOKLINE_CRASH_TRIAL"


def seed() -> str:
    """What all random choices come from: HOOKLINE_SEED, or another one each time."""
    chosen = os.environ.setdefault("HOOKLINE_SEED", str(random.SystemRandom().randrange(10**9)))
    print(f"HOOKLINE_SEED={chosen}")
    return chosen


class Process:
    """`hookline run` in a folder, off a terminal."""

    def __init__(self, folder: Path, *arguments: str, env: Mapping[str, str] | None = None, **popen: Any) -> None:
        self.folder = folder
        self.mark = f"{folder}/{time.monotonic_ns()}"
        said = folder.with_name(f"{folder.name}.said")  # elsewhere: the folder may be full
        said.mkdir(exist_ok=True)
        self.stdout_path, self.stderr_path = said / f"{time.monotonic_ns()}.out", said / f"{time.monotonic_ns()}.err"
        with self.stderr_path.open("wb") as stderr, self.stdout_path.open("wb") as stdout:
            self.started = time.monotonic()
            self.popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "pipeline", *(arguments or RUN)],
                cwd=folder,
                env={**os.environ, **(env or {}), MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                **popen,
            )

    @property
    def stderr(self) -> str:
        """What it said."""
        return self.stderr_path.read_text(encoding="utf-8", errors="replace")

    def wait(self, seconds: float = LONGEST) -> int | None:
        """Its exit code; None if it is still at work after so many seconds."""
        try:
            return self.popen.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return None

    def end(self, seconds: float = LONGEST) -> int:
        """Its exit code. One that takes too long fails the test, and says where it stood."""
        code = self.wait(seconds)
        if code is None:
            self.destroy()
            raise AssertionError(f"still at work after {seconds:g} s in {self.folder}; stderr: {self.stderr[-2000:]}")
        return code

    def kill(self) -> list[str]:
        """SIGKILL, for this process alone; what is left of it a second later."""
        self.popen.kill()
        self.popen.wait(LONGEST)
        return self.orphans()

    def orphans(self) -> list[str]:
        """What it started and left, given a second to end."""
        deadline = time.monotonic() + ORPHANS
        while (left := list(relatives(self.popen.pid, self.mark))) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    def destroy(self) -> None:
        """End it and everything of its session, whatever state it is in."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(LONGEST)


def relatives(session: int, mark: str) -> list[str]:
    """The processes of a session, or with this mark in their environment; zombies are no more."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            state, *numbers = (folder / "stat").read_text().rpartition(") ")[2].split()
            ours = int(numbers[2]) == session or f"{MARK}={mark}".encode() in (folder / "environ").read_bytes()
            if ours and state not in "ZX":
                found.append(f"{folder.name}: {command(folder)}")
    return found


@dataclass
class Trial:
    """One folder and what was done in it. `troubles` collects what was wrong on the way."""

    folder: Path
    site: Served
    starts: list[float] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    kills: int = 0
    after_publish: int = 0
    allowed: frozenset[int] = frozenset({0})
    troubles: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    spare: int = 0

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.destroy()

    @classmethod
    def fresh(cls, folder: Path, site: Served, **words: str) -> Trial:
        """A folder with nothing but the config, and a site that has seen nothing."""
        write_config(folder, site, **words)
        site.reset()
        return cls(folder, site)

    def start(self, *arguments: str, env: Mapping[str, str] | None = None, **popen: Any) -> Process:
        """Start the command once more."""
        (self.folder / "report.json").unlink(missing_ok=True)
        process = Process(self.folder, *arguments, env=env, **popen)
        self.starts.append(process.started)
        self.processes.append(process)
        return process

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, **popen: Any) -> Process:
        """Start it and let it end. SIGKILL from within counts as a kill."""
        process = self.start(*arguments, env=env, **popen)
        self.note(process, process.end())
        return process

    def note(self, process: Process, code: int) -> None:
        """A process is over."""
        self.story.append(f"exit {code} after {time.monotonic() - process.started:.2f} s")
        if code == -signal.SIGKILL:
            self.killed()
        else:
            self.codes.append(code)
            if code != 0:
                self.look(f"exit {code}")
            if "Traceback" in process.stderr:
                self.troubles.append(f"a traceback: {process.stderr[-1500:]}")
        self.troubles.extend(f"left behind: {each}" for each in process.orphans())

    def kill_after(self, seconds: float) -> bool:
        """Start it and kill it after so many seconds; False if it came to its end before."""
        process = self.start()
        code = process.wait(seconds)
        if code is not None:
            self.note(process, code)
            return False
        self.story.append(f"killed after {seconds:.2f} s")
        self.troubles.extend(f"left behind: {each}" for each in process.kill())
        self.killed()
        return True

    def killed(self) -> None:
        """A process was killed."""
        self.kills += 1
        self.look(f"kill {self.kills}")

    def look(self, after: str) -> None:
        """Look at what was left: the state must be sound each time, and may be published already."""
        state = read_state(self.folder)
        if state is None:
            return
        if state.sound != "ok":
            self.troubles.append(f"after {after}, integrity_check says: {state.sound}")
        self.after_publish = state.published

    def finish(self, most: int = 3) -> None:
        """Run until exit 0. Without a cause once is enough; more are for those that are killed from within."""
        for _ in range(most):
            if self.run().popen.returncode == 0:
                return
        self.troubles.append(f"no exit 0 in {most} runs")

    def verdict(self, golden: Golden) -> list[str]:
        """Everything that was wrong, on the way and at the end."""
        return [*self.troubles, *complaints(golden, self.ended())]

    def ended(self) -> Ended:
        """The trial as the oracle judges it."""
        return Ended(
            self.folder,
            self.site.take(),
            self.kills,
            starts=self.starts,
            codes=self.codes,
            after_publish=self.after_publish,
            spare=self.spare,
            allowed=self.allowed,
        )

    def check(self, golden: Golden) -> None:
        """Fail with all of it, and where to look."""
        wrong = self.verdict(golden)
        story = "; ".join(self.story)
        assert not wrong, "\n".join([f"in {self.folder} ({story}; HOOKLINE_SEED={seed()}):", *wrong])
        shutil.rmtree(self.folder)  # only what failed is kept


def make_golden(folder: Path, site: Served) -> Golden:
    """An uninterrupted run; what does not look like one is an error of the harness."""
    trial = Trial.fresh(folder, site)
    process = trial.run()
    seconds = time.monotonic() - process.started
    assert trial.codes == [0] and not trial.troubles, (trial.codes, trial.troubles, process.stderr)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    largest = max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Golden(read_outputs(folder), report, site.take(), seconds, largest)


def kill_loop(trial: Trial, golden: Golden, dice: random.Random, kills: int) -> None:
    """So many kills, each at any time in the length of an uninterrupted run; then to the end."""
    for _ in range(kills):
        if not trial.kill_after(dice.uniform(0, golden.seconds)) and trial.codes[-1] == 0:
            return
    trial.finish()


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Until something holds; a test that waits in vain says for what."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)


def command(folder: Path) -> str:
    """The command line of a process, by its folder in /proc."""
    return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
