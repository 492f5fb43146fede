"""A page of memory that a worker shares with its parent: what it is doing, readable when it is dead or hangs.

Three parts of one anonymous file. The *label* is 256 bytes that are overwritten before each call into a plugin, which
costs 0.1 us: "plugin NUL hook". The *time* is when that call began or ended, where calls are timed (in the store
process: of a page the parent knows when it was sent). The *trace* is what `faulthandler` writes behind them: the stack
of a crash, or of a worker that is asked for it before it is killed. Nothing is ever locked: the reader looks when the
writer has stopped, or at eight bytes that are written at once.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal
import struct
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, NamedTuple

LABEL: Final = 256  # bytes
_TIME: Final = LABEL  # where the time stands: eight bytes, a double
_TRACE: Final = 4096  # where the trace begins
_MOST: Final = 8000  # bytes of it that are read
TELL: Final = getattr(signal, "SIGRTMAX", signal.SIGUSR2) - 3  # asks a worker for its stack

_scratch = memoryview(bytearray(LABEL))  # where labels go in a process that is no worker
_clock = memoryview(bytearray(8)).cast("d")


class Told(NamedTuple):
    """What a worker left: the plugin and hook that it was in (empty: in none), and its stack if it could be had.

    `since`: when that hook began, in seconds of `time.monotonic`, which is one clock for all processes; negative: when
    it was left again; 0: calls are not timed.
    """

    plugin: str
    hook: str
    trace: str
    since: float = 0.0


def create() -> int:
    """A descriptor of empty notes, for parent and child."""
    if hasattr(os, "memfd_create"):
        notes = os.memfd_create("hookline-worker")
    else:
        import tempfile  # noqa: PLC0415 - 7 ms, where it is needed at all

        with tempfile.TemporaryFile() as file:
            notes = os.dup(file.fileno())
    os.ftruncate(notes, _TRACE)
    os.lseek(notes, _TRACE, os.SEEK_SET)
    return notes


def clear_trace(notes: int) -> None:
    """Let the next trace be the only one. The position in the file is the child's too."""
    os.ftruncate(notes, _TRACE)
    os.lseek(notes, _TRACE, os.SEEK_SET)


def read(notes: int) -> Told:
    """What stands there now."""
    plugin, hook = label_parts(os.pread(notes, LABEL, 0))
    (since,) = struct.unpack("=d", os.pread(notes, 8, _TIME))
    return Told(plugin, hook, os.pread(notes, _MOST, _TRACE).decode("utf-8", "replace").strip(), since)


# --- in the child ----------------------------------------------------------------------------------------------------


def label(plugin: str, hook: str) -> bytes:
    """What `here()[:]` is to be set to while a hook runs."""
    return f"{plugin}\0{hook}\0".encode("utf-8", "replace")[:LABEL].ljust(LABEL, b"\0")


NOWHERE: Final = label("", "")


def label_parts(data: bytes) -> tuple[str, str]:
    """(plugin, hook) of a label."""
    plugin, _, rest = data.decode("utf-8", "replace").partition("\0")
    return plugin, rest.partition("\0")[0]


def here() -> memoryview:
    """Where labels are to be written in this process."""
    return _scratch


def noted(call: Callable[..., Any], label: bytes) -> Callable[..., Any]:
    """`call`, noting first where this process is going."""
    place = _scratch

    def called(*arguments: Any) -> Any:
        place[:] = label
        return call(*arguments)

    return called


def timed(call: Callable[..., Any], label: bytes) -> Callable[..., Any]:
    """`call`, noting where this process goes and since when, and that it is back."""
    place, clock = _scratch, _clock

    def called(*arguments: Any) -> Any:
        place[:] = label
        clock[0] = monotonic()
        try:
            return call(*arguments)
        finally:
            clock[0] = -monotonic()

    return called


def now() -> tuple[str, str]:
    """The plugin and hook that this process said last that it is in."""
    return label_parts(bytes(_scratch))


def open_in_child(notes: int) -> None:
    """Make the shared page this process's own, and let crashes be told in it."""
    global _scratch, _clock
    shared = memoryview(mmap.mmap(notes, _TRACE))
    _scratch, _clock = shared[:LABEL], shared[_TIME : _TIME + 8].cast("d")
    faulthandler.enable(notes, all_threads=False)
    faulthandler.register(TELL, notes, all_threads=False)
