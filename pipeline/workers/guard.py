"""What belongs to the whole process and not to one page: looked at after each page, put back where a plugin changed it.

Otherwise a page would be read differently because of the page before it. Only what is cheap to look at and likely to be
changed is watched; a look costs about 15 us. Signal handlers stay as a plugin leaves them: pages do not depend on them,
and what a worker that dies of a signal was doing is done by another. What cannot be put back ends the worker: the next
page gets a fresh one.

The names in a few modules and classes are watched too: those of `_MODULES`, and what the job says (`share`) that it
puts into plugins' hands. Where the job knows that no code of strangers runs (`trust`), there is nothing to look at.
"""

from __future__ import annotations

import builtins
import contextlib
import decimal
import fcntl
import gc
import json
import locale
import os
import re
import resource
import signal
import sys
import time
from types import ModuleType
from typing import Any, Final

KEPT_FROM_US: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
_LIMITS: Final = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)
_MODULES: Final = (os, time, json, re)
_HIGH: Final = 400

_shared: list[type] = []
_trusted: list[bool] = [False]
_copies: dict[tuple[int, tuple[int, int]], int] = {}  # (descriptor, its file) -> another one of the same


def trust(all_that_runs: bool) -> None:
    """Have the next guard look at nothing, or again at all that it knows."""
    _trusted[0] = all_that_runs


def share(*classes: type) -> None:
    """Have the attributes of these classes watched by the next guard."""
    _shared[:] = classes


def ignore(*_: object) -> None:
    """A handler that does nothing. SIG_IGN would be inherited by programs that a plugin starts."""


class Guard:
    """`restore` puts back what was there when the guard was made."""

    def __init__(self) -> None:
        for signum in KEPT_FROM_US:
            signal.signal(signum, ignore)
        self._trusts = _trusted[0]
        self._folder = _folder()
        self._depth = sys.getrecursionlimit()
        self._space: dict[str, Any] = vars(builtins)
        self._builtins = self._space.copy()
        owners: tuple[ModuleType | type, ...] = (*_MODULES, *_shared)
        self._names = [(owner, vars(owner), dict(vars(owner))) for owner in owners]
        self._variables = _variables().copy()
        self._decimals = decimal.getcontext().copy()
        self._locale = locale.setlocale(locale.LC_ALL)
        self._tracers = (sys.gettrace(), sys.getprofile())
        self._streams = (sys.stdin, sys.stdout, sys.stderr)
        self._collects = gc.isenabled()
        self._limits = [resource.getrlimit(limit) for limit in _LIMITS]
        self._files = [(fd, _keep(fd)) for fd in range(3)]

    def restore(self) -> bool:
        """False if something is not as it was and cannot be put back."""
        if self._trusts:
            return True
        if self._space != self._builtins:
            _put_back(self._space, self._builtins)  # first of all: from here on built-in names mean what they say
        for owner, now, then in self._names:
            if now != then and not _restore_names(owner, then):
                return False
        if (sys.gettrace(), sys.getprofile()) != self._tracers:
            sys.settrace(self._tracers[0])
            sys.setprofile(self._tracers[1])
        if sys.getrecursionlimit() != self._depth:
            sys.setrecursionlimit(self._depth)
        if gc.isenabled() != self._collects:
            (gc.enable if self._collects else gc.disable)()
        if (sys.stdin, sys.stdout, sys.stderr) != self._streams:
            sys.stdin, sys.stdout, sys.stderr = self._streams
        decimal.setcontext(self._decimals.copy())
        self._restore_surroundings()
        # The limits first: with a low one no descriptor could be made.
        return self._restore_folder() and self._restore_limits() and self._restore_files()

    def _restore_surroundings(self) -> None:
        """The environment and the locale."""
        if _variables() != self._variables:
            for name in _variables().keys() - self._variables.keys():
                del os.environb[name]
            os.environb.update(self._variables)
            time.tzset()
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)

    def _restore_folder(self) -> bool:
        if self._folder and _folder() != self._folder:
            try:
                os.chdir(self._folder)
            except OSError:
                return False
        return True

    def _restore_limits(self) -> bool:
        for limit, wanted in zip(_LIMITS, self._limits, strict=True):
            if resource.getrlimit(limit) != wanted:
                try:
                    resource.setrlimit(limit, wanted)
                except (ValueError, OSError):  # the hard limit is lower: nobody but root may raise it again
                    return False
        return True

    def _restore_files(self) -> bool:
        """Input, output and errors of the process: what a plugin closed, or led elsewhere, is led back."""
        for fd, then in self._files:
            if then is not None and _file(fd) != then:
                copy = _copies[fd, then]
                if _file(copy) != then:  # closed too, and its number may be another file's by now
                    return False
                os.dup2(copy, fd)
        return True


def _keep(fd: int) -> tuple[int, int] | None:
    """Which file a descriptor leads to, and see to it that there is a copy, which no program started here inherits."""
    file = _file(fd)
    if file is not None and (fd, file) not in _copies:
        _copies[fd, file] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, high_descriptor())
    return file


def _file(fd: int) -> tuple[int, int] | None:
    """The file that a descriptor leads to; None if it is closed."""
    try:
        facts = os.fstat(fd)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def high_descriptor() -> int:
    """The least number for a descriptor of ours, out of the way of loops that close "all" of them."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _HIGH if most == resource.RLIM_INFINITY else min(_HIGH, max(most - 16, 3))


def _folder() -> str:
    with contextlib.suppress(OSError):  # it may have been removed
        return os.getcwd()  # noqa: PTH109 - a Path costs four times as much
    return ""


def _put_back(now: dict[str, Any], then: dict[str, Any]) -> None:
    """Names that were added stay (`_` of an interpreter, a translator); what was changed or removed comes back."""
    then |= {name: value for name, value in now.items() if name not in then}
    now.update(then)


def _restore_names(owner: ModuleType | type, then: dict[str, Any]) -> bool:
    """Give a module or class its names back. What was added to a module stays, as submodules are; False if it fails."""
    now = dict(vars(owner))
    try:
        for name, value in then.items():
            if now.get(name, then) is not value:
                setattr(owner, name, value)
        for name in now.keys() - then.keys() if isinstance(owner, type) else ():
            delattr(owner, name)
    except (AttributeError, TypeError):
        return False
    return True


def _variables() -> dict[bytes, bytes]:
    """The environment as `os` keeps it, where a look costs nothing."""
    found: dict[bytes, bytes] = getattr(os.environ, "_data", {})
    return found
