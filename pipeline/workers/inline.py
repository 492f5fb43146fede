"""What a pool of page jobs is to those who submit, and the simplest one: each job in the calling process, at once.

A job goes in, a result comes out of `done`; whoever submits cannot tell it from `WorkerPool`.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import HooklineError
from pipeline.model import PageJob, Request

if TYPE_CHECKING:
    from pipeline.workers.process import Process


class Pool(Protocol):
    """What both pools are to those who submit."""

    done: deque[tuple[Any, Any]]
    waiting_bytes: int
    busy: int
    error: HooklineError | None
    counts: Counter[str]

    def start(self, *, at_once: bool = True) -> None: ...
    def submit(self, token: Any, job: PageJob | Request) -> None: ...
    def memory(self) -> int: ...
    def release(self) -> Process | None: ...
    def close(self) -> None: ...


class InlinePool:
    """Run jobs in this process: `submit` returns when the job is done. For `workers: 0`, tests and debuggers.

    An exception out of `run` is a bug of the framework, since plugins' end as `PackedPage.fault`; it is let through.
    Of what a plugin changes in the process only the working folder is put back.
    """

    def __init__(self, run: Callable[[Any], Any]) -> None:
        self._run = run
        self._folder = _folder()
        self._closed = False
        # `waiting_bytes` and `busy` are always 0 between calls.
        self.done: deque[tuple[Any, Any]] = deque()
        self.waiting_bytes = 0
        self.busy = 0
        self.error: HooklineError | None = None
        self.counts: Counter[str] = Counter()

    def start(self, *, at_once: bool = True) -> None:
        """Nothing is to be started."""

    def submit(self, token: Any, job: PageJob | Request) -> None:
        """Work on `job` and put (token, result) into `done`. Raises RuntimeError after `close`."""
        if self._closed:
            raise RuntimeError("the pool is closed")
        try:
            self.done.append((token, self._run(job)))
        finally:
            if self._folder and _folder() != self._folder:
                os.chdir(self._folder)

    def memory(self) -> int:
        """Bytes of other processes: none."""
        return 0

    def release(self) -> Process | None:
        """A process for other work: there is none."""
        return None

    def close(self) -> None:
        """Take no more jobs; results in `done` stay."""
        self._closed = True


def _folder() -> str:
    with contextlib.suppress(OSError):  # it may have been removed
        return os.getcwd()  # noqa: PTH109 - a Path costs four times as much
    return ""
