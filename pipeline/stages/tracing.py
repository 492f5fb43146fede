"""`run --trace-hooks`: each call of a hook as a line, with process, plugin, time taken and what it answered in short.

Several processes write to one file: each line is one write at its end. Knows hooks and answers, no crawl.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from pipeline.errors import HooklineError
from pipeline.model import Drop, Item, Links, Reply, Request, Rows
from pipeline.secrecy import masked
from pipeline.stages.faults import clean, describe, short
from pipeline.stages.hookspecs import GENERATORS
from pipeline.url import shown

STDERR: Final = "-"
_MOST: Final = 3  # values of a list that are told


class TraceError(HooklineError):
    """The file cannot be written."""

    exit_code = 2


class Tracer:
    """Writes to the end of the file `target`, or to stderr (`-`)."""

    def __init__(self, target: str) -> None:
        self.target = target
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.dup(2) if target == STDERR else os.open(Path(target), flags, 0o600)
        except OSError as error:
            raise TraceError(f"--trace-hooks: {target} cannot be written: {error.strerror}") from None
        self._process = os.getpid()

    def wrap(self, plugin: str, hook: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, telling of each call. What a generator gives is collected, so that its time counts and it is told."""

        def traced(*arguments: Any) -> Any:
            start = perf_counter()
            try:
                answer = call(*arguments)
                if hook in GENERATORS and isinstance(answer, Iterator):
                    answer = list(answer)
            except BaseException as error:
                self._write(plugin, hook, perf_counter() - start, arguments, f"raised {describe(error)}")
                raise
            self._write(plugin, hook, perf_counter() - start, arguments, told(answer))
            return answer

        return traced

    def _write(self, plugin: str, hook: str, spent: float, arguments: tuple[Any, ...], answer: str) -> None:
        now = datetime.now().astimezone().isoformat(timespec="milliseconds")
        where = next((shown(one.url) for one in reversed(arguments) if isinstance(getattr(one, "url", None), str)), "")
        line = f"{now} {self._process} {spent * 1000:9.3f} ms  {plugin}.{hook}  {where} -> {answer}"
        os.write(self._file, masked(clean(line)).encode("utf-8", "replace") + b"\n")


def told(answer: Any) -> str:
    """An answer in short; of requests only what anybody may see."""
    match answer:
        case Request():
            text = f"Request {answer.method} {shown(answer.url)}"
        case Links():
            text = f"Links to {len(answer)} URLs"
        case Rows():
            text = f"Rows: {len(answer)} of {answer.type}"
        case Reply():
            text = f"Reply {answer.status}, {len(answer.body)} bytes"
        case Drop():
            text = f"Drop {short(str(answer.reason))}"
        case Item():
            text = f"Item {answer.type} {short(dict(answer))}"
        case list() if answer:
            rest = f", and {len(answer) - _MOST} more" if len(answer) > _MOST else ""
            text = f"{len(answer)}: {', '.join(map(told, answer[:_MOST]))}{rest}"
        case list():
            text = "nothing"
        case _:
            text = short(answer)
    return text
