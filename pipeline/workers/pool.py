"""Pools that run page jobs. They know nothing of plugins or the loop: a job goes in, a result comes out of `done`.

`InlinePool` runs each job in the calling process, at once. A pool of processes has the same interface, so whoever
submits cannot tell them apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from pipeline.model import PageJob, PageResult


class InlinePool:
    """Run jobs in this process: `submit` returns when the job is done. For `workers: 0`, tests and debuggers.

    `waiting_bytes` (bodies submitted and not yet worked on) and `busy` (jobs under way) are always 0 between calls.
    An exception out of `run` is a bug of the framework, since plugins' end as `PageResult.fault`; it is let through.
    """

    def __init__(self, run: Callable[[PageJob], PageResult]) -> None:
        self._run = run
        self._closed = False
        self.done: deque[tuple[Any, PageResult]] = deque()
        self.waiting_bytes = 0
        self.busy = 0

    def submit(self, token: Any, job: PageJob) -> None:
        """Work on `job` and put (token, result) into `done`. Raises RuntimeError after `close`."""
        if self._closed:
            raise RuntimeError("the pool is closed")
        self.done.append((token, self._run(job)))

    def close(self) -> None:
        """Take no more jobs; results in `done` stay."""
        self._closed = True
