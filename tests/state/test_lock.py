"""One at a time, whoever comes, however the holder ends."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import LockedError, StateError, StorageError
from pipeline.state import lock as module
from pipeline.state.lock import Holder, Lock, age

STARTERS = 20

# One process becomes twenty by fork, after the imports, so that they come at the same moment.
STARTER = """
import os, sys
from pathlib import Path
from pipeline.errors import LockedError
from pipeline.state.lock import Lock
gate, opener = os.pipe()
end, ender = os.pipe()
answers, answer = os.pipe()
children = []
for _ in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        os.close(opener), os.close(ender)
        os.read(gate, 1)
        try:
            lock = Lock.take(Path(sys.argv[1]), "trial")
            lock.say("20260101-000000")
            text = f"mine {os.getpid()}"
        except LockedError as error:
            text = f"{error.exit_code} {error}"
        os.write(answer, text.encode() + b"\\n")
        os.read(end, 1)
        os._exit(0)
    children.append(child)
os.close(opener)
lines = b""
while lines.count(b"\\n") < len(children):
    lines += os.read(answers, 65536)
os.close(ender)
for child in children:
    os.waitpid(child, 0)
sys.stdout.write(lines.decode())
"""

HOLDER = """
import subprocess, sys
from pathlib import Path
from pipeline.state.lock import Lock
lock = Lock.take(Path(sys.argv[1]), "hookline run books.yaml")
lock.say("20260131-040000")
heir = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
print(heir.pid, flush=True)
input()
"""


def test_twenty_at_once(tmp_path: Path, repo: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARTER, tmp_path / "books", str(STARTERS)],
        cwd=repo,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    lines = done.stdout.splitlines()
    winners = [line.removeprefix("mine ") for line in lines if line.startswith("mine ")]
    assert len(winners) == 1, lines
    losers = [line for line in lines if not line.startswith("mine ")]
    assert len(losers) == STARTERS - 1
    for line in losers:
        begin = f"75 state folder {tmp_path / 'books'} is locked by process {winners[0]} on {os.uname().nodename} for "
        assert line.startswith(begin), line
        assert " second" in line
    Lock.take(tmp_path / "books").release()


@contextmanager
def holder(folder: Path, repo: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds the lock, and its child, which was started by exec with every descriptor it could get."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder], cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    heir = int(process.stdout.readline())
    try:
        yield process, heir
    finally:
        process.kill()
        process.communicate()
        os.kill(heir, signal.SIGKILL)


def test_killed_it_is_free_at_once_though_a_child_lives(tmp_path: Path, repo: Path) -> None:
    with holder(tmp_path, repo) as (process, heir):
        with pytest.raises(LockedError) as caught:
            Lock.take(tmp_path)
        words = str(caught.value)
        assert f"process {process.pid} on " in words
        assert "run 20260131-040000, hookline run books.yaml; wait for it" in words
        process.kill()
        process.wait()
        os.kill(heir, 0)
        with Lock.take(tmp_path) as lock:
            assert lock.path == tmp_path / "lock"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_has_no_part_in_it(tmp_path: Path) -> None:
    lock = Lock.take(tmp_path)
    gate, opener = os.pipe()
    child = os.fork()
    if not child:  # it lives on, and even releases: what it lets go of is not the parent's
        lock.release()
        os.close(opener)
        os.read(gate, 1)
        os._exit(0)
    with pytest.raises(LockedError):
        Lock.take(tmp_path)
    lock.release()
    Lock.take(tmp_path).release()
    os.close(opener)
    assert os.waitpid(child, 0)[1] == 0
    os.close(gate)


def test_twice_in_one_process(tmp_path: Path) -> None:
    lock = Lock.take(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    with pytest.raises(LockedError, match=f"process {os.getpid()} "):
        Lock.take(tmp_path / "new")
    lock.release()
    lock.release()
    assert (tmp_path / "new" / "lock").read_bytes() == b""
    Lock.take(tmp_path / "new").release()


def test_the_note_of_the_dead_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a holder's lock and its note the file still has what one that was killed has left."""
    dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
    dead.wait()
    with Lock.take(tmp_path) as lock:
        real = lock._holder
        lock._holder = Holder(dead.pid, real.host, real.since)
        lock._write()
        naps: list[float] = []

        def sleep(seconds: float) -> None:
            naps.append(seconds)
            lock._holder = real
            lock._write()

        monkeypatch.setattr(module.time, "sleep", sleep)
        with pytest.raises(LockedError, match=f"process {os.getpid()} "):
            Lock.take(tmp_path)
        assert len(naps) == 1


@pytest.mark.parametrize("said", [b"", b"4711\n", b'{"pid": "x"}', b"\xff" * 5000])
def test_a_holder_that_says_nothing_sensible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.02)
    with (tmp_path / "lock").open("wb") as file:
        file.write(said)
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match="locked by a process that left no note"):
            Lock.take(tmp_path)


# --- beside an output -------------------------------------------------------------------------------------------------


def test_beside_an_output(tmp_path: Path) -> None:
    path = tmp_path / "out" / "books.jsonl"
    with Lock.beside(path, "hookline publish") as lock:
        assert [one.name for one in path.parent.iterdir()] == [".books.jsonl.lock"]
        assert lock.path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(
            LockedError, match=rf"output {path} is locked by process {os.getpid()} .*, hookline publish;"
        ):
            Lock.beside(path)
        Lock.beside(tmp_path / "out" / "other.jsonl").release()
    assert not list(path.parent.iterdir())


def test_a_file_that_lost_its_name_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """We open the file, the holder unlinks it and lets go: what we then lock nobody else would ever see."""
    first = Lock.beside(tmp_path / "a")
    real = module._open
    opened: list[int] = []

    def slow(path: Path) -> int:
        fd = real(path)
        opened.append(os.fstat(fd).st_ino)
        first.release()
        return fd

    monkeypatch.setattr(module, "_open", slow)
    second = Lock.beside(tmp_path / "a")
    assert len(opened) == 2
    assert second.path.stat().st_ino == opened[1]
    with pytest.raises(LockedError):
        Lock.beside(tmp_path / "a")
    second.release()


def test_many_take_turns(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []
    taken = [0]

    def work(number: int) -> None:
        while taken[0] < 200:
            try:
                lock = Lock.beside(tmp_path / "a")
            except LockedError:
                continue
            inside.append(number)
            most.append(len(inside))
            taken[0] += 1
            inside.pop()
            lock.release()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert not list(tmp_path.iterdir())


# --- what cannot be locked --------------------------------------------------------------------------------------------


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("all I have", encoding="utf-8")
    (tmp_path / "lock").symlink_to(precious)
    (tmp_path / ".a.lock").symlink_to(precious)
    with pytest.raises(StateError, match="lock: is a symbolic link"):
        Lock.take(tmp_path)
    with pytest.raises(StorageError, match="lock: is a symbolic link"):
        Lock.beside(tmp_path / "a")
    assert precious.read_text(encoding="utf-8") == "all I have"


def test_things_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "lock").mkdir(parents=True)
    with pytest.raises(StateError, match="file: cannot be a folder"):
        Lock.take(tmp_path / "file")
    with pytest.raises(StateError, match="lock: cannot be locked: Is a directory"):
        Lock.take(tmp_path / "folder")
    with pytest.raises(StorageError, match="cannot be locked: Not a directory"):
        Lock.beside(tmp_path / "file" / "deeper" / "a")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "pwrite", full)
    held = Lock.take(tmp_path)  # the note is for people; what does not fit says the state, a moment later
    with pytest.raises(LockedError, match="a process that left no note"):
        Lock.take(tmp_path)
    held.release()
    monkeypatch.undo()
    Lock.take(tmp_path).release()


NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(hours=-1), "0 seconds"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=59), "59 seconds"),
        (timedelta(minutes=3, seconds=50), "3 minutes"),
        (timedelta(hours=1, minutes=59), "1 hour"),
        (timedelta(days=400), "400 days"),
    ],
)
def test_ages(passed: timedelta, words: str) -> None:
    assert age((NOW - passed).isoformat(), NOW) == words


@pytest.mark.parametrize("since", ["", "yesterday", "2026-01-31T12:00:00"])
def test_an_age_nobody_knows(since: str) -> None:
    assert age(since, NOW) == "an unknown time"


def test_who_waits_gets_it_when_it_is_free(tmp_path: Path) -> None:
    held = Lock.take(tmp_path / "books")
    timer = threading.Timer(0.3, held.release)
    timer.start()
    begun = time.monotonic()
    with Lock.take(tmp_path / "books", wait=30):
        assert 0.2 < time.monotonic() - begun < 10
        with pytest.raises(LockedError, match=r"is still, after a wait of 0\.3 s, locked by process"):
            Lock.take(tmp_path / "books", wait=0.3)
    timer.join()
