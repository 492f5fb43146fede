"""One worker process that is called like a function: for work that is done when there is no loop to turn any more.

Answers for: an answer or an exception for each call, also where a plugin never comes back, and no process left behind.
The process is that of the pool: same start, same channel, same death with its parent. Must not know what it is asked.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from math import inf
from time import monotonic, sleep
from typing import Final

import msgspec

from pipeline.errors import HooklineError
from pipeline.workers import notes
from pipeline.workers.child import ANSWER, FAILED, LAST, NUMBER, Failed, First
from pipeline.workers.deaths import failing_line, no_process, start_error
from pipeline.workers.framing import LONGEST, Frames, frame
from pipeline.workers.process import Process, paths, signal_name, start_process

_BUFFER: Final = 256 * 1024
_END: Final = 2.0  # seconds that the process may take to end by itself
_HURRY: Final = 3.0  # seconds that a hook may take where nobody wants its answer any more
_LOOK: Final = 0.5  # seconds between two looks at where it is, while it does not answer
_TELL: Final = 1.0  # seconds that it may take to say where it is


class CallError(HooklineError):
    """The process died or raised. `plugin` and `hook` say where it was, if that is known."""

    def __init__(self, message: str, plugin: str = "", hook: str = "") -> None:
        super().__init__(message)
        self.plugin = plugin
        self.hook = hook


class TooLongError(CallError):
    """The process was killed, because a hook did not come back."""


class Caller:
    """Starts a process for `job` ("module:function", see `pipeline.workers.child`) and does not wait for it: the first
    call does. Both raise WorkersError if there can be no process, or it could not be set up, and what `call` raises.

    `process` is one that a pool has let go, to be set up anew instead. `most` says how many seconds a hook may take
    (`notes.timed`), and with "" how many may pass in which none is called; without it the process has all the time.
    """

    def __init__(
        self,
        job: str,
        setup: bytes,
        path: Sequence[str] | None = None,
        *,
        process: Process | None = None,
        most: Callable[[str], float] = lambda hook: inf,
    ) -> None:
        self._most = most
        self._frames = Frames(LONGEST)
        self._buffer = memoryview(bytearray(_BUFFER))
        self._number = 0
        self._owed = 0  # answers that are still to come
        try:
            self._process, self._sock, self._notes = process or start_process()
        except OSError as error:
            raise no_process(error) from error
        self._is_set_up = False
        self._sock.settimeout(_LOOK)
        self._send(0, msgspec.msgpack.encode(First(job, setup, paths(path), LONGEST)))

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._owed > 0

    def hurry(self) -> None:
        """Whoever called has lost interest: from now on a hook that does not come back is soon the end of it all."""
        self._most = lambda hook: _HURRY

    def call(self, payload: bytes) -> bytes:
        """The answer to one call. Raises CallError; the process is of no more use then."""
        while self._owed:  # to somebody who did not wait for it
            self.answer()
        self.ask(payload)
        return self.answer()

    def ask(self, payload: bytes) -> None:
        """Begin a call: `answer` gives what comes of it. The last one must have been answered, or both wait for ever:
        the process takes no call, and we no answer, while the other is writing.
        """
        assert not self._owed, "the last call has not been answered"
        if self._sock.fileno() < 0:
            raise CallError("has ended")
        if not self._is_set_up:
            self._is_set_up = True
            kind, answer = self._take()
            if kind == FAILED:
                self.close()
                raise start_error("", msgspec.msgpack.decode(answer, type=Failed))
        self._number += 1
        self._owed += 1
        self._send(self._number, payload)

    def answer(self) -> bytes:
        """The answer to the call that was begun. Raises CallError."""
        kind, answer = self._take()
        self._owed -= 1  # after it: who is interrupted by a signal has not got it
        if kind not in (ANSWER, LAST):
            raise CallError(answer.decode("utf-8", "replace").strip().splitlines()[-1])
        return answer

    def close(self) -> None:
        """End the process; more than once is fine."""
        if self._sock.fileno() < 0:
            return
        self._sock.close()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._notes)

    def _send(self, number: int, payload: bytes) -> None:
        begin, unsent = monotonic(), memoryview(frame(number.to_bytes(NUMBER, "big") + payload))
        try:
            while unsent:
                try:
                    unsent = unsent[self._sock.send(unsent) :]
                except TimeoutError:
                    self._look(begin)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it is gone, as `_take` will find

    def _take(self) -> tuple[int, bytes]:
        begin = monotonic()
        try:
            while True:
                try:
                    size = self._sock.recv_into(self._buffer)
                except TimeoutError:
                    self._look(begin)
                    continue
                if not size:
                    break
                for piece in self._frames.feed(self._buffer[:size]):
                    view = memoryview(piece)
                    return view[NUMBER], bytes(view[NUMBER + 1 :])
        except (BrokenPipeError, ConnectionResetError):
            pass
        raise self._died()

    def _look(self, begin: float) -> None:
        """Where the process is, which has been waited for since `begin`. Raises TooLongError."""
        told = notes.read(self._notes)
        since, hook = (told.since, told.hook) if told.since > 0 else (max(begin, -told.since), "")
        if monotonic() - since > self._most(hook):
            raise self._killed(self._most(hook), where=hook)

    def _killed(self, most: float, where: str) -> TooLongError:
        """End a process that does not come back, when it has said where it is."""
        notes.clear_trace(self._notes)
        with contextlib.suppress(OSError):
            os.kill(self._process.pid, notes.TELL)
        until = monotonic() + _TELL
        while not (told := notes.read(self._notes)).trace and monotonic() < until:
            sleep(_TELL / 20)
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        line = failing_line(told.trace)
        place = f"in plugin {told.plugin}, hook {told.hook}{f' ({line})' if line else ''}" if where else "to answer"
        return TooLongError(f"took more than {most:g} s {place}, and was killed", told.plugin, told.hook)

    def _died(self) -> CallError:
        told = notes.read(self._notes)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END)
        status = self._process.poll()
        how = "closed its channel" if status is None else f"ended with exit status {status}"
        if status is not None and status < 0:
            how = f"died with signal {signal_name(-status)}"
        where = f" in plugin {told.plugin}, hook {told.hook}" if told.plugin else ""
        return CallError(f"{how}{where}", told.plugin, told.hook)
