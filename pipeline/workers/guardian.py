"""What plugins start ends with their worker: a process that waits for the worker's end, and then ends what it left.

Whoever kills a worker kills its process group. That does not reach a program in a session of its own, and nobody does
it when the worker dies because its parent was killed. So the first time that a worker is about to start a process, it
starts a *guardian* before: no child of its own, since plugins may wait for all of these, in a session of its own, and
with no file but the one whose lock tells of the end. All that comes of a worker has its *mark* in the environment.

A worker that starts nothing has no guardian, and pays a comparison for each event that Python reports to auditors.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from pipeline.workers import notes

MARK: Final = "HOOKLINE_WORKER"  # the environment variable
_STARTS: Final = frozenset(
    ("os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn", "subprocess.Popen")
)
_STARTS_IN_C: Final = frozenset(("fork", "vfork", "system", "posix_spawn", "posix_spawnp", "popen"))
_HIGH: Final = 300  # the lock's descriptor is at least this, out of the way of those that plugins close
_ROUNDS: Final = 50  # looks for what is left; it may be starting more meanwhile

_mark = b""
_begun = False  # whether this worker has its guardian
_starting = False


def watch(mark: str) -> None:
    """Have a guardian for this process, a worker with this mark, as soon as it starts a process."""
    global _mark  # noqa: PLW0603
    _mark = mark.encode()
    sys.addaudithook(_heard)


def is_starting() -> bool:
    """Whether the fork under way is that of a guardian, which is to outlive this process."""
    return _starting


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    global _begun  # noqa: PLW0603 - one process, one guardian
    if _begun or not (event in _STARTS or (event == "ctypes.dlsym" and arguments[1] in _STARTS_IN_C)):
        return
    _begun = True
    try:
        _begin()
    except OSError:  # no process or file to be had now: the plugin will hardly get one either
        _begun = False


def _begin() -> None:
    global _starting  # noqa: PLW0603
    made = notes.create()
    lock = fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.close(made)
    # Whose end a lock of this kind tells is a process: forks do not have it, and it is gone with its owner.
    fcntl.lockf(lock, fcntl.LOCK_EX)
    _starting = True
    try:
        between = os.fork()
        if not between:
            _fork_on(os.getppid(), lock)
        with contextlib.suppress(ChildProcessError):  # a plugin may have said that it cares for no child
            os.waitpid(between, 0)
    finally:
        _starting = False


def _fork_on(worker: int, lock: int) -> None:
    """In the child: be no child of the worker."""
    try:
        if not os.fork():
            _guard(worker, lock)
    finally:
        os._exit(0)


def _guard(worker: int, lock: int) -> None:
    os.setsid()
    os.closerange(0, lock)
    os.closerange(lock + 1, os.sysconf("SC_OPEN_MAX"))
    fcntl.lockf(lock, fcntl.LOCK_EX)
    _sweep(worker)


def _sweep(group: int) -> None:
    """End the process group, and all that have the mark."""
    for _ in range(_ROUNDS):
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
        found = list(_marked())
        for process in found:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        if not found:
            return
        time.sleep(0.01)


def _marked() -> Iterator[int]:
    """Processes with the mark in their environment, except this one. Those that have ended have none any more."""
    entry = b"\0%s=%s\0" % (MARK.encode(), _mark)
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is wanted
            if name.isdecimal() and int(name) != os.getpid():
                with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123
                    if entry in b"\0" + file.read():
                        yield int(name)
