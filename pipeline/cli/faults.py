"""What an exception means at the end of a command: its message on stderr and its exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback

import click

from pipeline.errors import HooklineError

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_STORAGE_FAILED = 5  # of the table of exit codes


def tell(error: Exception) -> int:
    """Say what happened; the exit code. An error of ours has both; anything else is our bug: a traceback and 70."""
    if isinstance(error, HooklineError):
        click.echo(str(error), err=True)
        return error.exit_code
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EPIPE:  # as in `hookline fetch ... | head`: who reads has seen enough
        _drop_stdout()
        return _STORAGE_FAILED
    if number in _DISK_FULL:
        _drop_stdout()
        click.echo(f"the output cannot be written: {os.strerror(number or 0)}", err=True)
        return _STORAGE_FAILED
    click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    click.echo("internal error: this is a bug of Hookline; please report it with the lines above", err=True)
    return HooklineError.exit_code


def _drop_stdout() -> None:
    """What is left in the buffer goes nowhere, so that Python does not complain of it at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
