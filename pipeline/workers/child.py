"""What runs in a worker process: take a job from the channel, do it, write the answer; until the channel ends.

Answers for: leaving nothing of the process's own in plugins' hands (the channel is a private descriptor that does not
outlive an exec or a fork), dying with the parent, keeping the terminal's signals out, plugins' prints on stderr. Must
not know plugins, pages or the config: the job is a dotted name, and what it takes and gives are bytes.

    parent -> child   frame: job number, payload. Number 0, which comes first, says what jobs are: {"job":
                      "module:function", "setup": bytes, ...}; one that comes later makes them something else,
                      and one that is `early` only has modules imported, and is not answered
    child -> parent   frame: job number, kind, payload. READY or FAILED answers number 0; ANSWER, LAST or RAISED a job

The parent starts it with `python -P -c`, so that neither the working directory nor anything else than the parent's own
`sys.path` decides what is imported. Before the first frame is read, nothing but this room has been imported.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, NoReturn

import msgspec

from pipeline import collector, remarks
from pipeline.errors import ConfigError, Problem
from pipeline.workers import guardian, notes
from pipeline.workers.framing import LONGEST, Frames, Piece, head
from pipeline.workers.guard import Guard, high_descriptor

READY, FAILED, ANSWER, LAST, RAISED = range(5)
NO_CHANNEL: Final = 117  # exit status of a worker that has lost its channel: the parent is gone, or a plugin closed it
NUMBER: Final = 4  # bytes of a job number
_PR_SET_PDEATHSIG: Final = 1
_READ: Final = 256 * 1024
# As they were before any plugin was imported, which may put others in their place.
_getpid, _readv, _write, _exit = os.getpid, os.readv, os.write, os._exit


class First(msgspec.Struct):
    """What jobs are. `path` is the parent's `sys.path`; `most` the bytes that an answer may have.

    `early`: they will come later, and only the module of `job` is to be imported, which may fail: nothing is answered.
    """

    job: str
    setup: bytes
    path: list[str]
    most: int
    early: bool = False


class Failed(msgspec.Struct):
    """Why a worker cannot begin: problems of the config, or else an exception in words and its traceback."""

    text: str
    trace: str = ""
    problems: list[Problem] = []


Run = Callable[[Any], bytes]


def main() -> NoReturn:
    """`python -c CODE ROOT CHANNEL NOTES PARENT`: the descriptors, and the parent's process id."""
    given, shared, parent = map(int, sys.argv[2:5])
    sys.argv[:] = ["hookline-worker"]
    die_with_parent(parent)
    guardian.watch(os.environ.get(guardian.MARK, ""))
    sys.stdout = sys.stderr
    _spare_the_parent()
    remarks.silence()
    collector.starting()
    channel = Channel(given)
    notes.open_in_child(shared)
    Guard()  # before anything of a plugin is imported: its signal handlers must be ours
    _serve(channel)
    _leave(0)


def _set_up(channel: Channel, setup: bytes) -> tuple[Run, Guard, int] | None:
    """What is to be done with jobs, how the process is to be between them, and how long an answer may be; None if that
    comes later.
    """
    first = msgspec.msgpack.decode(setup, type=First)
    sys.path[:] = first.path
    if first.early:
        with contextlib.suppress(Exception):  # it is tried again, and what is wrong is told then
            _load(first.job)(b"")
        return None
    try:
        run = _load(first.job)(first.setup)
    except BaseException as error:
        channel.write(0, FAILED, msgspec.msgpack.encode(_failed(error)))
        _leave(1)
    collector.relax()
    guard = Guard()  # what was set up is how it should be
    channel.write(0, READY, b"")
    return run, guard, first.most


def _serve(channel: Channel) -> None:
    here = notes.here()
    for number, payload in channel.jobs():
        if number == 0:
            if (made := _set_up(channel, bytes(payload))) is not None:
                run, guard, most = made
            continue
        try:
            kind, answer, error = ANSWER, run(payload), None
        except BaseException as raised:  # is no answer; the process may be in any state
            kind, answer, error = RAISED, b"", raised
        if _getpid() != channel.owner:  # a plugin forked, and its child came back here
            _exit(0)
        if not _is_as_it_was(guard) and kind == ANSWER:
            kind = LAST
        if error is not None:  # and where it arose stays noted: the parent looks when this process has ended
            answer = _told(error).encode("utf-8", "replace")
        else:
            here[:] = notes.NOWHERE
            if len(answer) > most:
                kind, answer = RAISED, f"its answer has {len(answer):,} bytes; at most {most:,} are taken".encode()
        channel.write(number, kind, answer)
        if kind != ANSWER:
            return


def _is_as_it_was(guard: Guard) -> bool:
    try:
        return guard.restore()
    except Exception:  # whatever a plugin put in the place of what a guard needs
        return False


class Channel:
    """The socket to the parent, private to this process: closed by exec and in forked children."""

    def __init__(self, given: int) -> None:
        self.owner = os.getpid()
        self._fd = fcntl.fcntl(given, fcntl.F_DUPFD_CLOEXEC, high_descriptor())
        os.close(given)
        self._frames = Frames(LONGEST)
        self._buffer = memoryview(bytearray(_READ))
        self._forker = 0
        os.register_at_fork(before=self._forking, after_in_child=self._forked)

    def jobs(self) -> Any:
        """(number, payload) until the parent closes its end. A payload is gone when the next is asked for."""
        while True:
            for frame in self._wait():
                view = memoryview(frame)
                yield int.from_bytes(view[:NUMBER], "big"), view[NUMBER:]

    def write(self, number: int, kind: int, payload: bytes) -> None:
        """Send a frame. Ends the process if the parent is gone."""
        size = NUMBER + 1 + len(payload)
        data = memoryview(b"".join((head(size), number.to_bytes(NUMBER, "big"), bytes((kind,)), payload)))
        try:
            while data:
                data = data[_write(self._fd, data) :]
        except OSError:
            _exit(NO_CHANNEL)

    def _wait(self) -> list[Piece]:
        """Frames, at least one. Ends the process at the end of input."""
        while True:
            try:
                size = _readv(self._fd, [self._buffer])
            except OSError:
                _exit(NO_CHANNEL)
            if not size:
                _leave(0)
            if frames := self._frames.feed(self._buffer[:size]):
                return frames

    def _forking(self) -> None:
        # Where a thread forks, its end would count as the parent's.
        in_main = threading.get_ident() == threading.main_thread().ident
        self._forker = os.getpid() if in_main and not guardian.is_starting() else 0

    def _forked(self) -> None:
        with contextlib.suppress(OSError):  # a fork of a fork
            os.close(self._fd)
        if self._forker:
            die_with_parent(self._forker)


def die_with_parent(parent: int) -> None:
    """Be killed when the process `parent` ends, however it ends (Linux). If it has ended already, end."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - 6 ms, on Linux only

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(NO_CHANNEL)


def _spare_the_parent() -> None:
    """Where memory runs out in the whole system, be what is killed; and leave no core files behind."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write("500")
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _load(name: str) -> Callable[[bytes], Run]:
    module, _, function = name.partition(":")
    made: Callable[[bytes], Run] = getattr(import_module(module), function)
    return made


def _failed(error: BaseException) -> Failed:
    if isinstance(error, ConfigError):
        return Failed(str(error), problems=list(error.problems))
    return Failed("".join(traceback.format_exception_only(error)).strip(), _told(error))


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _leave(status: int) -> NoReturn:
    """End without waiting for threads that plugins left; what they registered with `atexit` is run."""
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
    os._exit(status)
