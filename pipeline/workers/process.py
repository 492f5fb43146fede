"""One worker process as its parent sees it: the channel's end in the loop, the jobs in it, and its death.

Answers for: a send that never blocks and waits for room only while something is unsent, no descriptor or process left
behind, and saying how a worker ended. Must not know: which worker gets which job, what becomes of jobs, plugins.

Each worker leads a process group of its own. So a terminal's signals do not reach it, and what plugins start is killed
with it; what leaves the group is the worker's `guardian`'s.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from pipeline.fetch.loop import READ, WRITE, Loop
from pipeline.model import PageJob, Request
from pipeline.packing import carrying
from pipeline.workers import guardian, notes
from pipeline.workers.child import NO_CHANNEL, NUMBER, First
from pipeline.workers.deaths import CLOSED
from pipeline.workers.framing import HEAD, Frames, frame, head
from pipeline.workers.notes import Told

NOT_NOW: Final = -1
_ROOT: Final = str(Path(__file__).resolve().parents[2])  # where `pipeline` lies: the child must have the same one
_CODE: Final = "import sys; sys.path.insert(0, sys.argv[1]); from pipeline.workers.child import main; main()"
_REAP: Final = 2.0  # seconds that the system may take to let go of a killed process
_encode_into: Final = msgspec.msgpack.Encoder().encode_into
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Task:
    """A job as a frame, kept until it is answered. `size` is the body's, in bytes."""

    __slots__ = ("frame", "number", "size", "token", "tried")

    def __init__(self, token: Any, number: int, job: PageJob | Request) -> None:
        self.token = token
        self.number = number
        self.size = len(job.body or b"")
        self.tried = False
        buffer = bytearray(HEAD + NUMBER)
        _encode_into(carrying(job), buffer, HEAD + NUMBER)  # right where it is sent from
        buffer[:HEAD] = head(len(buffer) - HEAD)
        buffer[HEAD : HEAD + NUMBER] = number.to_bytes(NUMBER, "big")
        self.frame = buffer


class Process(NamedTuple):
    """A process that waits to be told what to do, our end of its channel, and the notes that it shares with us."""

    popen: subprocess.Popen[bytes]
    sock: socket.socket
    notes: int

    def end(self) -> None:
        """There was nothing to be done."""
        self.sock.close()
        with contextlib.suppress(OSError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(_REAP)
        os.close(self.notes)


def start_process(job: str = "") -> Process:
    """A new one, which imports what it takes for a `job` while it waits. Raises OSError."""
    process = _started()
    if job:
        first = First(job, b"", paths(), 0, early=True)
        process.sock.sendall(frame(bytes(NUMBER) + msgspec.msgpack.encode(first)))
    return process


def paths(given: Iterable[object] | None = None) -> list[str]:
    """Where a child finds modules: where we do."""
    return [path for path in (sys.path if given is None else given) if isinstance(path, str)]


def _started() -> Process:
    ours, theirs = socket.socketpair()
    shared = notes.create()
    try:
        return Process(_spawn(theirs.fileno(), shared), ours, shared)
    except BaseException:
        ours.close()
        os.close(shared)
        raise
    finally:
        theirs.close()


class Worker:
    """A process and what it has been given. `flight` are its jobs in the order in which it answers them.

    Raises OSError if the process cannot be started.
    """

    __slots__ = (
        "_interest",
        "_loop",
        "_notes",
        "_on_ready",
        "_process",
        "_sock",
        "_status",
        "_unsent",
        "alone",
        "asked",
        "began",
        "failed",
        "flight",
        "frames",
        "hung_up",
        "leaving",
        "lost",
        "marked",
        "raised",
        "ready",
        "reason",
        "retiring",
        "told",
    )

    def __init__(
        self,
        loop: Loop,
        first: First,
        on_ready: Callable[[Worker, int], object],
        most: int,
        process: Process | None = None,
    ) -> None:
        self.flight: deque[Task] = deque()
        self.frames = Frames(most)
        self.ready = False  # has said that it is set up
        self.alone = False  # is there for one page that went wrong elsewhere, and gets no other until that is done
        self.retiring = False  # gets no more jobs
        self.began = loop.now  # when its present job, its start or its retreat began
        self.marked = 0  # bytes of memory over which it is replaced
        self.leaving = False  # its end is agreed
        self.hung_up = False  # its channel is closed, and it is waited for its end
        self.lost = False  # it was found dead
        self.told = Told("", "", "")  # what it was doing when it ended
        self.reason = ""  # why it was killed
        self.asked = False  # whether its stack has been asked for
        self.failed = b""  # why it could not be set up, as it said
        self.raised = ""  # what a job raised
        self._status: int | None = None
        self._loop = loop
        self._on_ready = lambda mask: on_ready(self, mask)
        self._interest = 0
        self._unsent: deque[bytearray | bytes | memoryview] = deque()
        self._process, self._sock, self._notes = process or start_process()
        self._sock.setblocking(False)
        self._watch(READ)
        self._send(frame(bytes(NUMBER) + msgspec.msgpack.encode(first)))

    # --- the channel -------------------------------------------------------------------------------------------------

    def give(self, task: Task) -> None:
        """Put a job into its channel."""
        if not self.flight:
            self.began = self._loop.now
        self.flight.append(task)
        self._send(task.frame)

    def flush(self) -> None:
        """Send what is left, now that there is room."""
        while self._unsent:
            data = self._unsent[0]
            sent = self._try(data)
            if sent < len(data):
                self._unsent[0] = memoryview(data)[sent:]
                return
            self._unsent.popleft()
        self._watch(READ)

    def receive(self, buffer: memoryview) -> int:
        """Bytes read into `buffer`; 0 when the worker's end is closed, `NOT_NOW` if there are none."""
        try:
            return self._sock.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return NOT_NOW
        except OSError:  # it ended with jobs unread
            return 0

    @property
    def is_free(self) -> bool:
        """Whether it is set up and has nothing to do, nor ever will have if its pool gives it nothing."""
        busy = self.flight or self._unsent or self.frames.partial
        return self.ready and not (busy or self.alone or self.retiring)

    def let_go(self) -> Process:
        """The process of a worker that is free, for whoever has other work for it."""
        self._watch(0)
        self._sock.setblocking(True)
        self._status = 0  # as far as the pool is concerned
        return Process(self._process, self._sock, self._notes)

    def hang_up(self) -> None:
        """Its end of the channel is closed: give it nothing more, and hear nothing."""
        self.retiring = self.hung_up = True
        self._watch(0)

    def _send(self, data: bytes | bytearray) -> None:
        if self._unsent:
            self._unsent.append(data)
        elif (sent := self._try(data)) < len(data):
            self._unsent.append(memoryview(data)[sent:])
            self._watch(READ | WRITE)

    def _try(self, data: bytes | bytearray | memoryview) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:  # it is gone: reading will say so, and whatever is in flight is given to another
            return len(data)

    def _watch(self, interest: int) -> None:
        if interest == self._interest:
            return
        if self._interest and interest:
            self._loop.modify(self._sock, interest, self._on_ready)
        elif interest:
            self._loop.register(self._sock, interest, self._on_ready)
        else:
            self._loop.unregister(self._sock)
        self._interest = interest

    # --- the process -------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def memory(self) -> int:
        """Bytes of resident memory; 0 if that is not known here."""
        try:
            with open(f"/proc/{self._process.pid}/statm", "rb") as file:  # noqa: PTH123 - twice as fast as a Path
                return int(file.read().split()[1]) * _PAGE
        except (OSError, IndexError, ValueError):
            return 0

    def ended(self) -> bool:
        """Whether the process has ended, though somebody may still hold its end of the channel."""
        if sys.platform != "linux":
            return self._process.poll() is not None
        # Without reaping it: until then nobody else can have its process id, nor that of its group.
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def ask(self) -> None:
        """Have it write down where it is."""
        self.asked = True
        notes.clear_trace(self._notes)
        with contextlib.suppress(OSError):
            os.kill(self._process.pid, notes.TELL)

    def kill(self, reason: str = "") -> None:
        """End it and everything that it started. The channel's end tells when that is done."""
        self.reason = self.reason or reason
        if self._process.returncode is None:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(OSError):
                    kill(self._process.pid, signal.SIGKILL)

    def dismiss(self) -> None:
        """Let it end: it has answered all its jobs, and finds the end of its input."""
        self.retiring = self.leaving = True
        self.began = self._loop.now
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def bury(self) -> bool:
        """Take it off the loop, kill what is left of it, reap it. False if the system still keeps it."""
        if self._status is not None:
            return True
        if self._sock.fileno() >= 0:
            self._watch(0)
            self._sock.close()
            if not (self.leaving or self.reason or self.ended()):
                self.reason = CLOSED
        self.kill()
        try:
            self._status = self._process.wait(_REAP)
        except subprocess.TimeoutExpired:
            return False
        self.told = notes.read(self._notes)
        os.close(self._notes)
        return True

    def end(self) -> str:
        """How it ended, after `bury`: `died with signal SEGV`, `ended with exit status 3`."""
        if self._status is None:
            return "cannot be killed"
        if self._status == NO_CHANNEL:
            return CLOSED
        if self._status < 0:
            return f"died with signal {signal_name(-self._status)}"
        return f"ended with exit status {self._status}"


def _spawn(channel: int, shared: int) -> subprocess.Popen[bytes]:
    flags = ["-I"] if sys.flags.isolated else ["-s"] * sys.flags.no_user_site + ["-E"] * sys.flags.ignore_environment
    return subprocess.Popen(
        [sys.executable, *flags, "-P", "-c", _CODE, _ROOT, str(channel), str(shared), str(os.getpid())],
        pass_fds=(channel, shared),
        stdin=subprocess.DEVNULL,
        stdout=_stderr(),
        process_group=0,
        env={**os.environ, guardian.MARK: f"{os.getpid()}.{time.monotonic_ns()}"},
    )


def _stderr() -> int:
    """Where plugins' prints go."""
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)
