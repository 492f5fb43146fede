"""Calls of plugins in the parent, where no process can be killed: they come back in time, and to the same folder.

An alarm interrupts what the main thread is doing, a sleep, a lock or a loop, by an exception out of it, as Ctrl-C does.
It does not reach code in C that neither returns nor asks for signals, nor another thread, which has no alarms.

Paths on the command line, and of configs named on it, are relative to the working folder; a plugin that goes elsewhere
would take outputs and state along.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from time import monotonic
from types import FrameType
from typing import Any, Final

_AGAIN: Final = 1.0  # seconds after which a call is interrupted once more that has caught the first exception
_LEAST: Final = 0.001  # seconds: 0 would turn an alarm off


class TookTooLong(BaseException):
    """A hook was interrupted. No Exception, as KeyboardInterrupt is none: what a plugin catches goes on otherwise."""


def limited(call: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    """`call`, with so many seconds to come back (`inf`: any number) to the folder that is the working one now.

    If it gives an iterator, each step has as many. Costs 5 us.
    """
    home = os.getcwd()  # noqa: PTH109 - 10 us less

    def called(*arguments: Any) -> Any:
        with _back_in(home), _alarm(seconds):
            answer = call(*arguments)
        return _steps(answer, seconds, home) if isinstance(answer, Iterator) else answer

    return called


@contextmanager
def _back_in(home: str) -> Iterator[None]:
    """Whatever is done in the block, the working folder is this one afterwards."""
    try:
        yield
    finally:
        with suppress(OSError):  # it has been removed: nothing relative to it is there any more
            os.chdir(home)


def _steps(answer: Iterator[Any], seconds: float, home: str) -> Iterator[Any]:
    while True:
        with _back_in(home), _alarm(seconds):
            try:
                found = next(answer)
            except StopIteration:
                return
        yield found


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Whoever had an alarm before has it again afterwards, when it is due."""
    if seconds == inf or threading.current_thread() is not threading.main_thread():
        yield
        return
    armed = True

    def ring(signum: int, frame: FrameType | None) -> None:
        if armed:
            raise TookTooLong(f"more than {seconds:g} s")

    begin = monotonic()
    before = signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        try:
            yield
        finally:
            armed = False  # first: the alarm may ring while it is being turned off
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (monotonic() - begin), _LEAST), interval)
