"""Does importing a plugin leave the process as it was? It shares that with the run and with all other plugins."""

from __future__ import annotations

import contextlib
import locale
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

SLOW: Final = 0.5  # seconds of an import, from which a cron job would notice
_EVENTS: Final = {
    "socket.connect": "opens a connection",
    "socket.bind": "opens a listening socket",
    "socket.getaddrinfo": "looks up a host name",
    "subprocess.Popen": "starts a process",
    "os.system": "starts a process",
    "os.fork": "starts a process",
    "os.remove": "removes a file",
    "os.rename": "renames a file",
}


class Watch:
    """What happens between `begin` and `end`, as sentences. An audit hook cannot be taken away, only switched off."""

    def __init__(self) -> None:
        self._on = False
        self._done: list[str] = []
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event in _EVENTS and not any("__pycache__" in str(one) for one in arguments):
            self._done.append(f"it {_EVENTS[event]} ({', '.join(str(one) for one in arguments[:2])[:80]})")
        elif event == "open" and isinstance(arguments[0], str) and _writes(arguments):
            self._done.append(f"it writes to {arguments[0]}")

    def during(self, work: Callable[[], Any]) -> tuple[Any, float, list[str]]:
        """What `work` gives, the seconds it took, and what it did beside."""
        before = _snapshot()
        self._done.clear()
        with _outputs() as printed:
            self._on, start = True, time.perf_counter()
            try:
                given = work()
            finally:
                self._on, spent = False, time.perf_counter() - start
        told = list(dict.fromkeys(self._done))
        if text := printed():
            told.append(f"it prints: {text[:80]!r}")
        after = _snapshot()
        changed = [name for name in before if before[name] != after[name]]
        return given, spent, [*told, *(f"it changes {name}: {_shown(before[name], after[name])}" for name in changed)]


def _writes(arguments: tuple[Any, ...]) -> bool:
    path, mode, flags = arguments
    if path.endswith((".pyc", os.devnull)) or ".pyc." in path:
        return False
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _snapshot() -> dict[str, Any]:
    """What belongs to the whole process."""
    return {
        "the running threads": sorted(thread.name for thread in threading.enumerate()),
        "signal handlers": {name.name: repr(signal.getsignal(name)) for name in signal.Signals if _catchable(name)},
        "the working directory": os.getcwd(),  # noqa: PTH109 - as text
        "environment variables": dict(os.environ),
        "sys.path": list(sys.path),
        "the standard streams": [id(sys.stdout), id(sys.stderr), id(sys.stdin)],
        "the root logger": [repr(handler) for handler in logging.getLogger().handlers],
        "sockets' default timeout": socket.getdefaulttimeout(),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the recursion limit": sys.getrecursionlimit(),
        "the umask": _umask(),
    }


def _umask() -> int:
    old = os.umask(0o022)
    os.umask(old)
    return old


def _catchable(number: signal.Signals) -> bool:
    return number not in (signal.SIGKILL, signal.SIGSTOP)


def _shown(before: Any, after: Any) -> str:
    if isinstance(before, dict):
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return ", ".join(names)
    if isinstance(before, list) and all(isinstance(one, str) for one in before):
        return ", ".join(one for one in after if one not in before) or "some are gone"
    return f"{before} to {after}" if not isinstance(before, list) else "they are others now"


@contextlib.contextmanager
def _outputs() -> Iterator[Callable[[], str]]:
    """Whatever goes to stdout or stderr meanwhile, of whatever origin."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as file:
        text = ""
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield lambda: text
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)
            file.seek(0)
            text = file.read(1000).decode("utf-8", "replace").strip()
