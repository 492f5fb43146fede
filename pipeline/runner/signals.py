"""TERM, INT and HUP: the first one ends a run in good order, a second one at once.

While the loop turns they arrive as its callbacks; while a result is published, when there is no loop to turn, they are
noted and asked for between two steps.
"""

from __future__ import annotations

import signal
import threading
from functools import partial
from types import FrameType, TracebackType
from typing import Any, Self

from pipeline import interrupts
from pipeline.fetch.loop import Loop
from pipeline.runner.engine import Engine


class Forced(KeyboardInterrupt):
    """A second signal: end at once, out of a plugin too, whose guards let it through as they do its base.

    `exit_code` is 130 for SIGINT, 143 for the others.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = interrupts.forced(signum)


class Signals:
    """What came since the block was entered. Only a main thread can have signals; in others nothing ever comes."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._first: int | None = None
        self._before: dict[int, Any] = {}
        self._engine: Engine | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for signum in interrupts.WANTED:
                self._before[signum] = signal.signal(signum, self._on_signal)
            interrupts.under_way()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, before in self._before.items():
            signal.signal(signum, before)

    def give_to(self, engine: Engine) -> None:
        """From now on the first signal stops this engine."""
        self._engine = engine
        if self._first is not None:
            self._stop(self._first)

    def came(self) -> bool:
        """Whether there was one."""
        return self._first is not None

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._first is not None:
            raise Forced(signum)
        self._first = signum
        if self._engine is not None:
            self._loop.call_soon_threadsafe(partial(self._stop, signum))

    def _stop(self, signum: int) -> None:
        if self._engine is not None:
            self._engine.stop(f"signal {signal.Signals(signum).name}")
