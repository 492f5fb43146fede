"""A plugin of which every function does what no plugin should. The page's path names the deed; most pages name none.

The test reads `EXPECTED` out of this file by importing it, a worker loads it as the plugin `hostile`.
"""

from __future__ import annotations

import builtins
import ctypes
import decimal
import gc
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline import Item, Page, Request, hookimpl

EXPECTED: dict[str, str] = {}
"""Deed -> what the page's fault says; empty: the page is as if nothing had been done; `*`: anything may happen."""
_DEEDS: dict[str, Callable[[Page], Any]] = {}


def deed(says: str = "") -> Callable[[Callable[[Page], Any]], Callable[[Page], Any]]:
    """Enter a function by its name."""

    def enter(function: Callable[[Page], Any]) -> Callable[[Page], Any]:
        EXPECTED[function.__name__] = says
        _DEEDS[function.__name__] = function
        return function

    return enter


@hookimpl
def parse(page: Page) -> Iterator[Any]:
    """An item, a link, and the deed."""
    name = page.url.rpartition("/")[2]
    text = page.css("h1::text")
    here = [os.environ.get("PATH"), time.tzname[0], str(decimal.Decimal("1.25") * 1), bool(page)]
    if name in _DEEDS:
        yield from _DEEDS[name](page) or ()
    yield Item("page", {"title": text[0], "path": page.url, "size": len(page.body), "here": here})
    yield Request("/next")


# --- what Python can catch -------------------------------------------------------------------------------------------


@deed("ValueError: no")
def raises(page: Page) -> None:
    raise ValueError("no")


@deed("Stranger")
def raises_base(page: Page) -> None:
    class StrangerError(BaseException):
        pass

    raise StrangerError


@deed("KeyboardInterrupt")
def raises_interrupt(page: Page) -> None:
    raise KeyboardInterrupt


@deed("SystemExit")
def exits(page: Page) -> None:
    sys.exit(0)


@deed("its text cannot be had")
def raises_unspeakable(page: Page) -> None:
    class UnspeakableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    raise UnspeakableError


@deed("UnicodeError")
def raises_surrogates(page: Page) -> None:
    raise UnicodeError("\ud800" * 100_000)


@deed("MemoryError")
def asks_for_all_memory(page: Page) -> None:
    bytes(2**46)


@deed("RecursionError")
def recurses(page: Page) -> None:
    recurses(page)


@deed("gave 42")
def gives_nonsense(page: Page) -> list[int]:
    return [42]


@deed("SystemExit")
def gives_unspeakable(page: Page) -> list[object]:
    class Thing:
        def __repr__(self) -> str:
            raise SystemExit

        def __iter__(self) -> Iterator[object]:
            raise GeneratorExit

    return [Thing()]


@deed("too large")
def gives_huge_items(page: Page) -> Iterator[Item]:
    for _ in range(34):
        yield Item("page", {"text": "x" * 1_000_000})


@deed()
def gives_huge_item(page: Page) -> Iterator[Item]:
    yield Item("page", {"text": "x" * 34_000_000})
    yield Item("page", {f"f{number}": number for number in range(100_000)})


@deed("cannot be stored")
def gives_unsendable_link(page: Page) -> Iterator[Request]:
    yield Request("/x", headers={"X": "\ud800"})


# --- what ends a process, or must ------------------------------------------------------------------------------------


@deed("the page took more than")
def sleeps(page: Page) -> None:
    time.sleep(60)


@deed("the page took more than")
def loops(page: Page) -> None:
    while True:
        pass


@deed("the page took more than")
def backtracks(page: Page) -> None:
    re.match(r"(a+)+$", "a" * 5000 + "b")  # in C, without ever looking at signals


@deed("the page took more than")
def swallows_everything(page: Page) -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


@deed("the page took more than")
def deadlocks(page: Page) -> None:
    lock = threading.Lock()
    with lock:
        lock.acquire()


@deed("the page took more than")
def stops_itself(page: Page) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@deed("of memory, and was killed")
def leaks(page: Page) -> None:
    kept = [b"x" * 34_000_000 for _ in range(7)]
    time.sleep(60)
    kept.clear()


@deed("was killed")
def never_ends(page: Page) -> Iterator[Item]:
    number = 0
    while True:
        number += 1
        yield Item("page", {"number": number})


@deed("died with signal SEGV")
def segfaults(page: Page) -> None:
    ctypes.string_at(0)


@deed("died with signal ABRT")
def aborts(page: Page) -> None:
    os.abort()


@deed("died with signal SEGV")
def recurses_in_c(page: Page) -> None:
    nested: tuple[Any, ...] = ()
    for _ in range(300_000):
        nested = (nested,)
    hash(nested)


@deed("ended with exit status 3")
def exits_hard(page: Page) -> None:
    os._exit(3)


@deed("died with signal KILL")
def kills_itself(page: Page) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@deed("died with signal KILL")
def kills_its_group(page: Page) -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


@deed("closed its worker's channel")
def closes_everything(page: Page) -> None:
    os.closerange(3, 4096)


@deed("wrote into its worker's channel")
def writes_everywhere(page: Page) -> None:
    for descriptor in range(3, 1000):
        try:
            os.write(descriptor, b"\0\0\0\0\0\0\0\7garbage" * 3)
        except OSError:
            continue
    time.sleep(60)


@deed("closed its worker's channel")
def becomes_another_program(page: Page) -> None:
    os.execv("/bin/sleep", ["sleep", "60"])


# --- what changes the process for those who come after ---------------------------------------------------------------


@deed()
def prints(page: Page) -> None:
    print("a plugin prints")
    sys.__stdout__.write("to the real stdout\n")  # type: ignore[union-attr]
    os.write(1, b"to the descriptor\n")
    ctypes.CDLL(None).puts(b"from C")


@deed()
def closes_stdio(page: Page) -> None:
    for descriptor in (0, 1, 2):
        os.close(descriptor)


@deed()
def replaces_stdout(page: Page) -> None:
    sys.stdout = sys.stderr = None  # type: ignore[assignment]


@deed()
def changes_folder(page: Page) -> None:
    os.chdir("/")


@deed()
def removes_its_folder(page: Page) -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    Path(folder).rmdir()


@deed()
def changes_signal_handlers(page: Page) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(signum, signal.SIG_DFL)


@deed()
def ignores_signals(page: Page) -> None:
    for signum in range(1, signal.SIGRTMAX + 1):
        try:
            signal.signal(signum, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))


@deed()
def leaves_an_alarm(page: Page) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.02)  # kills whatever page comes next


@deed()
def leaves_threads(page: Page) -> None:
    for daemon in (False, True):
        threading.Thread(target=time.sleep, args=(60,), daemon=daemon).start()


@deed()
def forks_and_comes_back(page: Page) -> None:
    os.fork()


@deed()
def forks_in_c(page: Page) -> None:
    if ctypes.CDLL(None).fork() == 0:
        time.sleep(60)


@deed()
def forks_often(page: Page) -> None:
    for _ in range(20):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)


@deed()
def becomes_a_daemon(page: Page) -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(60)
        os._exit(0)


@deed()
def starts_a_program(page: Page) -> None:
    os.spawnl(os.P_NOWAIT, "/bin/sleep", "sleep", "60")


@deed()
def starts_a_session(page: Page) -> None:
    subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)


@deed()
def spawns_a_session(page: Page) -> None:
    os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ, setsid=True)


@deed()
def leaves_a_shell(page: Page) -> None:
    os.system("sleep 60 &")


@deed()
def waits_for_all_its_children(page: Page) -> None:
    os.posix_spawn("/bin/true", ["true"], os.environ)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        return


@deed()
def lowers_soft_limits(page: Page) -> None:
    for limit, soft in ((resource.RLIMIT_NOFILE, 3), (resource.RLIMIT_AS, 1_000_000)):
        resource.setrlimit(limit, (soft, resource.getrlimit(limit)[1]))


@deed()
def lowers_hard_limits(page: Page) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (5, 5))


@deed()
def turns_the_collector_off(page: Page) -> None:
    gc.disable()


@deed()
def replaces_functions(page: Page) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("replaced")

    for module, names in ((os, "write readv getpid getcwd _exit"), (time, "time monotonic"), (json, "loads dumps")):
        for name in names.split():
            setattr(module, name, broken)


@deed("*")
def changes_classes(page: Page) -> None:
    Page.css = lambda self, selector: []  # type: ignore[assignment, method-assign]
    Page.text = "<h1>another page"  # type: ignore[assignment, method-assign]
    Page.__bool__ = lambda self: False  # type: ignore[attr-defined]
    Request.__post_init__ = lambda self: self.carry.update(spoilt=1)  # type: ignore[attr-defined]
    Item.type = property(lambda self: "spoilt")  # type: ignore[assignment]


@deed()
def changes_its_surroundings(page: Page) -> None:
    os.environ.clear()
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    decimal.getcontext().prec = 1
    decimal.getcontext().traps[decimal.InvalidOperation] = False
    sys.setprofile(lambda *_: None)


@deed("*")
def limits_recursion(page: Page) -> None:
    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]
    sys.setrecursionlimit(depth + 10)


@deed("*")
def patches_builtins(page: Page) -> None:
    builtins.len = lambda thing: 7  # type: ignore[assignment]
    builtins.isinstance = lambda thing, kind: False  # type: ignore[assignment]
    del builtins.dict


@deed("*")
def changes_its_page(page: Page) -> None:
    page.url = "http://elsewhere.example/"
    page.body = b""
    page.rule = "other"
