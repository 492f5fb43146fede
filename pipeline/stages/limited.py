"""Calls in this process that must come back: what the parent calls itself of plugins, where no process can be killed.

An alarm interrupts what the main thread is doing, a sleep, a lock or a loop, by an exception out of it, as Ctrl-C does.
It does not reach code in C that neither returns nor asks for signals, nor another thread, which has no alarms.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any, Final

_AGAIN: Final = 1.0  # seconds after which a call is interrupted once more that has caught the first exception
_LEAST: Final = 0.001  # seconds: 0 would turn an alarm off


class TookTooLong(BaseException):
    """A hook was interrupted. No Exception, as KeyboardInterrupt is none: what a plugin catches goes on otherwise."""


def limited(call: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    """`call`, with so many seconds to come back; if it gives an iterator, as many for each step. Costs 5 us."""

    def called(*arguments: Any) -> Any:
        with _alarm(seconds):
            answer = call(*arguments)
        return _steps(answer, seconds) if isinstance(answer, Iterator) else answer

    return called


def _steps(answer: Iterator[Any], seconds: float) -> Iterator[Any]:
    while True:
        with _alarm(seconds):
            try:
                found = next(answer)
            except StopIteration:
                return
        yield found


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Whoever had an alarm before has it again afterwards, when it is due."""
    if threading.current_thread() is not threading.main_thread():
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
