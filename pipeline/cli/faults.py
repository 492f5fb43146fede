"""What an exception means at the end of a command: its message on stderr and its exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from pipeline import interrupts
from pipeline.errors import MORE_PROCESSES, ConfigError, HooklineError, Problem

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP}
)
_STORAGE_FAILED = 5  # of the table of exit codes
_CALLS = 3  # of a traceback that are told where there is room for ten lines only
_BUG = "internal error: this is a bug of Hookline; please report it with the lines above"


class Fault(NamedTuple):
    """What an exception came to: `whole` is the traceback of a bug of ours, `calls` the end of it."""

    code: int
    lines: Sequence[str]
    problems: Sequence[Problem] = ()
    calls: Sequence[str] = ()
    whole: str = ""


def fault_of(error: Exception) -> Fault:
    """Look at an exception. One of ours has message and exit code; anything else is our bug: 70.

    But for a full disk, and for files, folders and threads that the system refuses, which are the user's to change.
    """
    if isinstance(error, HooklineError):
        problems = error.problems if isinstance(error, ConfigError) else ()
        return Fault(error.exit_code, str(error).splitlines(), problems)
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EPIPE:  # as in `hookline fetch ... | head`: who reads has seen enough
        _drop_stdout()
        return Fault(_STORAGE_FAILED, ())
    if number in _DISK_FULL:
        _drop_stdout()
        return Fault(_STORAGE_FAILED, [f"the output cannot be written: {os.strerror(number or 0)}"])
    if isinstance(error, OSError) and number in _REFUSED and error.filename is not None:
        return Fault(ConfigError.exit_code, [f"{error.filename}: {os.strerror(number or 0)}"])
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":  # Python says it in words only
        code = interrupts.STOPPED if interrupts.is_under_way() else ConfigError.exit_code
        return Fault(code, [f"the system gives no more threads: {MORE_PROCESSES}"])
    frames = traceback.extract_tb(error.__traceback__)[-_CALLS:]
    calls = [f"{Path(frame.filename).name}:{frame.lineno}, in {frame.name}" for frame in frames]
    message = "".join(traceback.format_exception_only(error)).strip()
    whole = "".join(traceback.format_exception(error))
    return Fault(HooklineError.exit_code, [message], calls=calls, whole=whole)


def tell(error: Exception) -> int:
    """Say what happened, all of it; the exit code."""
    fault = fault_of(error)
    if fault.whole:
        click.echo(fault.whole + _BUG, err=True)
    else:
        for line in fault.lines:
            click.echo(line, err=True)
    return fault.code


def _drop_stdout() -> None:
    """What is left in the buffer goes nowhere, so that Python does not complain of it at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
