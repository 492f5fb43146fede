"""What to say of a worker's death: to a page whose fault it was, and to a run that can have no workers.

Pure words. The fate of such a page is `failed:plugin` (spec, section 4).
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Final

from pipeline.errors import MORE_PROCESSES, PluginLoadError, Problem, WorkersError
from pipeline.model import Fault
from pipeline.workers.child import Failed
from pipeline.workers.notes import Told

TIME, MEMORY, GARBLED, CLOSED = "killed: time", "killed: memory", "garbled its channel", "closed its channel"
_LINE: Final = re.compile(r'^ *File "(.+)", line (\d+)', re.MULTILINE)
_FRAMEWORK: Final = str(Path(__file__).resolve().parents[1]) + os.sep  # bundled plugins lie elsewhere
_LIBRARY: Final = str(Path(os.__file__).parent) + os.sep  # below which installed packages lie, too
_INLINE: Final = "workers: 0 runs plugins in the main process, where that can be looked at"
_SIZES: Final = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))


def page_fault(how: str, raised: str, told: Told, *, page_time: float, page_memory: int) -> Fault:
    """The result of a page at which two workers ended. `how` is why it was killed, else how it ended by itself."""
    if raised:
        # Not from a hook, since those are guarded: the framework itself, in a process that a plugin may have damaged.
        return Fault(told.plugin, told.hook, f"{raised.strip().splitlines()[-1][:500]}, twice", raised[-8000:])
    words = {
        TIME: f"the page took more than {page_time:g} s, and its worker was killed",
        MEMORY: f"its worker had more than {size_text(page_memory)} of memory, and was killed",
        GARBLED: "something wrote into its worker's channel, and the worker was killed",
        CLOSED: "something closed its worker's channel, and the worker was killed",
    }.get(how, f"its worker {how}")
    if how in (GARBLED, CLOSED):  # found out when the plugin that did it may have been left already
        return Fault("", "", f"{words}, twice")
    line = failing_line(told.trace)
    return Fault(told.plugin, told.hook, f"{words}, twice{f' ({line})' if line else ''}", told.trace, deadly=True)


def failing_line(trace: str) -> str:
    """`file:line` of where a stack that `faulthandler` wrote ends in the plugin; "" if there is none.

    The plugin's file is the one that the framework called, and of it the innermost line counts: what that calls in turn
    (an item's constructor, the standard library, C code) was asked to do it. Without a plugin it is the innermost line.
    """
    calls = _LINE.findall(trace)  # the innermost first
    file = next((file for file, _ in reversed(calls) if _may_be_a_plugins(file)), None)
    return next((f"{name}:{line}" for name, line in calls if file in (None, name)), "")


def _may_be_a_plugins(file: str) -> bool:
    return not file.startswith((_FRAMEWORK, "<")) and (not file.startswith(_LIBRARY) or "-packages" in file)


def no_process(error: OSError) -> WorkersError:
    """Why there is none: the system said so."""
    text = f"worker processes cannot be set up: the system starts no process: {error.strerror or error}"
    return WorkersError([Problem(None, "", text, MORE_PROCESSES if error.errno == errno.EAGAIN else _INLINE)])


def start_error(how: str, failed: Failed | None) -> WorkersError:
    """Why a run can have no workers. A mistake in the config would have been found by the parent, which loads all that
    a worker does: what is wrong now has come about since.
    """
    if failed is not None and failed.problems:
        return PluginLoadError(failed.problems)
    text = f"worker processes cannot be set up: {failed.text if failed else how}"
    return WorkersError([Problem(None, "", text, _INLINE)])


def size_text(size: int) -> str:
    """Bytes as people say them."""
    for unit, name in _SIZES:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"
