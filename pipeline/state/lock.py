"""One at a time: a state folder, or an output path, belongs to one process while that lives.

The lock is `flock` on a file, so the kernel drops it however the process ends, and there is no stale lock to judge.
What the file says (who, since when, which run) is for messages only.

A lock file of a state folder stays for ever. One beside an output is unlinked on release, and there is the classic
race: a second process may have opened the file before and would then lock one that has no name any more, while a third
makes a new one. So whoever gets the lock compares its file with the one that has the name now, and tries again if they
differ; the holder unlinks while it still holds.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from pipeline.errors import ConfigError, LockedError, Problem, StateError, StorageError
from pipeline.failpoints import hit
from pipeline.state.database import make_folder

NAME: Final = "lock"
PATIENCE: Final = 1.0  # seconds that a holder has to write its note: it has the lock an instant before
PAUSE: Final = 0.01
WAITING_PAUSE: Final = 0.2  # between two tries of one who was told to wait
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


class Holder(msgspec.Struct, frozen=True):
    """What a lock file says. `since` is UTC, ISO 8601."""

    pid: int
    host: str
    since: str
    note: str = ""
    run: str = ""

    def text(self, now: datetime) -> str:
        """In words: `process 71 on db1 for 3 minutes (since 2026-01-31T04:00:00Z), run 20260131-040000`."""
        words = f"process {self.pid} on {self.host} for {age(self.since, now)} (since {self.since})"
        words += f", run {self.run}" if self.run else ""
        return f"{words}, {self.note}" if self.note else words


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Holder).decode


class Lock:
    """A lock that is held, from `take` or `beside` until `release` or the end of the process."""

    __slots__ = ("_fd", "_holder", "_passing", "path")

    def __init__(self, path: Path, fd: int, holder: Holder, *, passing: bool) -> None:
        """Use `take` or `beside`."""
        self.path = path
        self._fd = fd
        self._holder = holder
        self._passing = passing  # the file goes with the lock

    @classmethod
    def take(cls, folder: Path, note: str = "", *, wait: float = 0.0) -> Lock:
        """Lock a state folder, which is made if there is none. `note` is shown to those who want it meanwhile.

        Raises LockedError, at once or after `wait` seconds, if another process has it; StateError or ConfigError as
        `database.connect`.
        """
        make_folder(folder)
        return cls._taken(folder / NAME, f"state folder {folder}", note, passing=False, wait=wait)

    @classmethod
    def beside(cls, path: Path, note: str = "", *, wait: float = 0.0) -> Lock:
        """Lock an output path, by a file `.NAME.lock` in its folder, which is made if there is none.

        Raises LockedError if another process has it for more than `wait` seconds; StorageError, or
        ConfigError where permission is lacking.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(path, error) from error
        return cls._taken(path.with_name(f".{path.name}.{NAME}"), f"output {path}", note, passing=True, wait=wait)

    @classmethod
    def _taken(cls, path: Path, what: str, note: str, *, passing: bool, wait: float) -> Lock:
        give_up = time.monotonic() + PATIENCE
        waited_for = time.monotonic() + wait
        while True:
            fd = _open(path)
            try:
                if _locked(fd, path):
                    if not _same(fd, path):
                        continue  # somebody let it go and took its name away since we opened it
                    holder = Holder(os.getpid(), os.uname().nodename, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", note)
                    lock = cls(path, fd, holder, passing=passing)
                    lock._write()
                    _HELD.add(lock)
                    fd = -1  # the lock's from now on
                    return lock
                said = _read(fd)
            finally:
                if fd >= 0:
                    os.close(fd)
            now = time.monotonic()
            if now < waited_for:
                time.sleep(min(WAITING_PAUSE, waited_for - now))
                continue
            if (said and _alive(said)) or now > give_up:
                who = said.text(datetime.now(UTC)) if said else "a process that left no note"
                after = f" still, after a wait of {wait:g} s," if wait else ""
                raise LockedError(f"{what} is{after} locked by {who}; wait for it, or end it")
            time.sleep(PAUSE)

    def say(self, run: str) -> None:
        """Name the run in the note, for those who find the lock held. Raises StorageError."""
        self._holder = msgspec.structs.replace(self._holder, run=run)
        self._write()

    def release(self) -> None:
        """Give it back; more than once is fine."""
        fd, self._fd = self._fd, -1
        _HELD.discard(self)
        if fd < 0:
            return
        try:
            if self._passing and _same(fd, self.path):
                self.path.unlink(missing_ok=True)
            else:
                os.ftruncate(fd, 0)  # nobody shall read that we have it
        except OSError:
            pass  # the note is for messages, and a lock file left behind does no harm
        finally:
            with suppress(OSError):  # closing would not do while a child between fork and exec has a copy
                fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _write(self) -> None:
        """Empty first: a reader then sees nothing, never a mixture of two notes. A full disk only costs the note."""
        data = _encode(self._holder) + b"\n"
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, data, 0)
        except OSError as error:
            if error.errno not in _FULL:
                raise _refused(self.path, error) from error

    def _forked(self) -> None:
        """In a child made by fork: let go of the copy, so that the child cannot outlive us and keep the lock."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_HELD: Final[set[Lock]] = set()


def _after_fork() -> None:
    for lock in list(_HELD):
        lock._forked()
    _HELD.clear()


os.register_at_fork(after_in_child=_after_fork)  # after exec nothing is left of it anyway: O_CLOEXEC


def age(since: str, now: datetime) -> str:
    """The time since an ISO 8601 instant in words, in its largest unit: `3 minutes`. A clock set back gives 0."""
    try:
        passed = (now - datetime.fromisoformat(since)).total_seconds()
    except (ValueError, TypeError):
        return "an unknown time"
    seconds = max(0, int(passed))
    size, unit = next((one for one in _UNITS if seconds >= one[0]), _UNITS[-1])
    count = seconds // size
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _open(path: Path) -> int:
    """O_NOFOLLOW: in a folder that others may write to, a link could make us write into any file of ours."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> StorageError | ConfigError:
    kind = StateError if path.name == NAME else StorageError
    if error.errno == errno.ELOOP:
        return kind(f"{path}: is a symbolic link, so it cannot be a lock; remove it")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        message = f"{path} cannot be written: no permission, or a read-only file system"
        return ConfigError(
            [Problem(None, "", message, "a lock is kept there; give permission, or choose another place")]
        )
    return kind(f"{path}: cannot be locked: {error.strerror}")


def _locked(fd: int, path: Path) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hit("on_lock")
    except BlockingIOError:
        return False
    except OSError as error:
        raise _refused(path, error) from error
    return True


def _same(fd: int, path: Path) -> bool:
    """Whether this open file is still the one that has the name."""
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except OSError:
        return False


def _read(fd: int) -> Holder | None:
    """The note of the holder; None if it is not written yet."""
    try:
        return _decode(os.pread(fd, 4096, 0))
    except (OSError, msgspec.DecodeError):
        return None


def _alive(holder: Holder) -> bool:
    """Whether the note can be that of the present holder: an instant after a kill it is still that of the last one."""
    if holder.host == os.uname().nodename:
        try:
            os.kill(holder.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except OSError:
            return True  # there, and somebody else's
    return True
