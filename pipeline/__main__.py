"""The `hookline` command as a process: `python -P -m pipeline`, and what the console script calls.

`pipeline.cli` is the command itself, which tests and other programs may call; here is what only a process of its own
may do: take the signals, see to the descriptors, and end when its work is done. Imports only what is cheap before the
signals are taken.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import sys
from typing import Any, NoReturn

from pipeline import ending, interrupts

PATIENCE = 5.0  # seconds for what plugins registered with `atexit`
STORAGE_FAILED = 5  # of the table of exit codes


class Lenient(io.FileIO):
    """A descriptor for messages. Where they cannot be written there is nobody to tell, and the exit code stands."""

    def write(self, data: Any, /) -> int:
        """Write, or let it go."""
        try:
            written = super().write(data)
        except OSError:
            written = None
        return len(data) if written is None else written


def command() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    interrupts.install()
    _open_descriptors()
    from pipeline.cli import main  # noqa: PLC0415 - after the signals

    code: object = 0
    try:
        main(prog_name="hookline")
    except SystemExit as end:
        code = end.code
    _leave(code if isinstance(code, int) else int(code is not None))


def _open_descriptors() -> None:
    """Descriptors 0 to 2 that are closed lead nowhere from now on: else a socket or a database would get their numbers,
    and what is said to people would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - a descriptor, open until the end
    before = sys.stderr
    encoding = "utf-8" if before is None else before.encoding
    raw = io.BufferedWriter(Lenient(2, "wb", closefd=False))
    sys.stderr = io.TextIOWrapper(raw, encoding, "backslashreplace", line_buffering=True, write_through=True)


def _leave(code: int) -> NoReturn:
    """End, and wait for no thread that a plugin left, nor for ever for what it registered with `atexit`."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):  # it is full, or closed
        code = code or STORAGE_FAILED
    with contextlib.suppress(Exception):
        ending.finish()
    _exit_functions()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def _exit_functions() -> None:
    """Call what else is registered with `atexit`, and go on without it if that takes too long."""
    import threading  # noqa: PLC0415 - after the signals

    def call() -> None:
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()

    thread = threading.Thread(target=call, daemon=True)
    with contextlib.suppress(RuntimeError):  # there is none to be had
        thread.start()
        thread.join(PATIENCE)


if __name__ == "__main__":
    command()
