"""TERM, INT and HUP from the first moment of the command on, while there is no run to stop.

Before anything was requested there is nothing to save: the process ends at once, in the handler itself, since an
exception could come out of the middle of any import. A run has handlers of its own (`runner.signals`); what comes when
it is over, and before the next one, is noted, and a second one ends at once. Only for the command: a program that calls
`pipeline.run` has its own handlers.
"""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType
from typing import Any, Final

WANTED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPED = 3  # of the table of exit codes


def forced(signum: int) -> int:
    """The exit code of whoever is ended by a second signal."""
    return 130 if signum == signal.SIGINT else 143


_before: Final[dict[int, Any]] = {}


class _Now:
    """What a signal would meet."""

    code = STOPPED  # to end with
    about = ""  # which config it is about, if it is known
    under_way = False  # something was requested
    came: int | None = None


def install() -> None:
    """From now on they are ours."""
    for signum in WANTED:
        _before[signum] = signal.signal(signum, _on_signal)


def give_back() -> None:
    """For a command that has nothing to save: they are as they were, ignored ones (nohup) too."""
    while _before:
        signal.signal(*_before.popitem())


def starting(about: str, code: int = STOPPED) -> None:
    """A run is about to begin; `code` is what a signal ends with that comes before anything is requested."""
    _Now.about, _Now.code, _Now.under_way = about, code, False


def under_way() -> None:
    """The run has begun: what comes from now on is for its handlers, or must wait until it is told."""
    _Now.under_way = True


def is_under_way() -> bool:
    """Whether a run has begun since the last `starting`."""
    return _Now.under_way


def came() -> bool:
    """Whether there was a signal that waits to be heard of."""
    return _Now.came is not None


def _on_signal(signum: int, frame: FrameType | None) -> None:
    if _Now.under_way:
        if _Now.came is not None:
            os._exit(forced(signum))
        _Now.came = signum
        return
    about = f"{_Now.about}: " if _Now.about else ""
    line = f"{about}stopped by {signal.Signals(signum).name} before anything was requested\n"
    with contextlib.suppress(OSError):  # nobody listens: the exit code tells as much
        os.write(2, line.encode(errors="backslashreplace"))
    os._exit(_Now.code)
