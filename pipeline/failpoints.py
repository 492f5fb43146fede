"""Points where a test can make the process die, fail or wait: what crash tests stand on.

    HOOKLINE_FAILPOINT=before_promote:kill              die there (SIGKILL)
    HOOKLINE_FAILPOINT=after_rename:kill@2,before_commit:full@*
    HOOKLINE_FAILPOINT=count=hits.json                  only count, so that a test knows where it can strike

The variable is read once, at import. Without it `hit` is an empty function. With it `os.fsync`, `os.rename` and
`os.replace` of this process are wrapped too, so that every store is covered, whoever wrote it; what SQLite does in C is
not. A child process is armed if its environment has the variable.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline import ending

VARIABLE: Final = "HOOKLINE_FAILPOINT"

POINTS: Final = frozenset(
    (
        *("run_begin", "on_lock", "on_migrate", "on_drain"),
        *("recv_head", "recv_body", "before_parse", "after_parse"),
        *("before_write", "after_write", "before_commit", "after_commit", "before_checkpoint", "after_checkpoint"),
        *("before_stage", "mid_stage", "after_stage", "before_journal", "after_journal"),
        *("before_fsync", "after_fsync", "before_rename", "after_rename"),
        *("before_store_commit", "after_store_commit", "before_promote", "after_promote"),
    )
)
"""All there are. Those of fsync and rename are hit by the wrapped functions of `os`, the others by calls of `hit`."""

_WRAPPED: Final = {"fsync": "fsync", "rename": "rename", "replace": "rename"}  # function of `os` -> its points
_FORM: Final = "expected point:action[@n], with action kill, error, full, sleep=SECONDS or exit=N, or count=FILE"


class Order(NamedTuple):
    """What to do at the `turn`-th hit of a point; 0 means at every one."""

    action: Callable[[], None]
    turn: int


class Failpoints:
    """An armed set of points. Raises ValueError, which says what is right, for a text it does not understand."""

    def __init__(self, text: str) -> None:
        self.hits: Counter[str] = Counter()
        self._orders: dict[str, list[Order]] = {}
        self._file: Path | None = None
        self._lock = threading.Lock()  # the loop and the thread that writes the state both come by
        for part in text.split(","):
            self._read(part.strip())

    def hit(self, point: str) -> None:
        """Count the point, and do what was ordered for this turn."""
        if point not in POINTS:
            raise ValueError(f"there is no failpoint {point!r}; add it to POINTS")
        with self._lock:
            self.hits[point] += 1
            turn = self.hits[point]
        for order in self._orders.get(point, ()):
            if order.turn in (0, turn):
                order.action()

    def wrap(self) -> None:
        """Put the points of fsync and rename around the functions of `os`, for the rest of the process's life."""
        for name, point in _WRAPPED.items():
            setattr(os, name, self._around(getattr(os, name), point))

    def save(self) -> None:
        """Write the hits of every point, as JSON, to the file of `count=`, if there is one."""
        if self._file is not None:
            import json  # noqa: PLC0415 - 3 ms of every process, and only tests count

            hits = {point: self.hits[point] for point in sorted(POINTS)}
            self._file.write_text(json.dumps(hits, indent=1) + "\n", encoding="utf-8")

    def _around(self, function: Callable[..., Any], point: str) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            self.hit(f"before_{point}")
            answer = function(*arguments, **named)
            self.hit(f"after_{point}")
            return answer

        return wrapped

    # --- reading the variable ----------------------------------------------------------------------------------------

    def _read(self, part: str) -> None:
        if part.startswith("count="):
            if part == "count=":
                raise ValueError(f"{VARIABLE}: count= names no file; {_FORM}")
            self._file = Path(part.removeprefix("count=")).absolute()  # the working directory may change
            return
        point, colon, rest = part.partition(":")
        if not colon:
            raise ValueError(f"{VARIABLE}: {part!r} is not understood; {_FORM}")
        if point not in POINTS:
            from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

            near = get_close_matches(point, POINTS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(POINTS))}"
            raise ValueError(f"{VARIABLE}: there is no point {point!r}; {hint}")
        action, at, turn = rest.partition("@")
        self._orders.setdefault(point, []).append(Order(self._action(action), _turn(turn) if at else 1))

    def _action(self, text: str) -> Callable[[], None]:
        word, _, value = text.partition("=")
        if text in ("kill", "error", "full"):
            return {"kill": self._kill, "error": _error, "full": _full}[text]
        if word == "sleep" and (seconds := _number(value)) is not None:
            return lambda: time.sleep(seconds)
        if word == "exit" and value.isascii() and value.isdigit() and int(value) <= 255:
            return lambda: self._exit(int(value))
        raise ValueError(f"{VARIABLE}: {text!r} is no action; {_FORM}")

    def _kill(self) -> None:
        self.save()
        os.kill(os.getpid(), signal.SIGKILL)

    def _exit(self, code: int) -> None:
        self.save()
        os._exit(code)


def _error() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _turn(text: str) -> int:
    if text == "*":
        return 0
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise ValueError(f"{VARIABLE}: @{text} is no turn; expected a number from 1, or * for every time")


def _number(text: str) -> float | None:
    """Seconds from 0 to a day; None for anything else."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number <= 86_400 else None


def _nothing(point: str) -> None:
    """What `hit` is where no point is armed."""


def arm(environ: Mapping[str, str]) -> Callable[[str], None]:
    """The `hit` of a process with this environment. Where the variable is set, `os` is wrapped and hits are counted."""
    text = environ.get(VARIABLE, "")
    if not text:
        return _nothing
    points = Failpoints(text)
    points.wrap()
    ending.register(points.save)
    return points.hit


hit: Final = arm(os.environ)
"""`hit("before_commit")`: the process is at that point. Does nothing unless the environment says so."""
