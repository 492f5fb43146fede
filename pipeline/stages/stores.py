"""A store as publish sees it: its place in the config, and its three hooks with errors that say what to do.

The hooks may raise anything; out of here comes only `StorageError` (exit 5).

A store stages beside its target, in files `.NAME.RUN.stage`, or `.NAME.RUN-2.stage` where there are several. A process
that was killed leaves them there; `sweep` clears them away. Who calls it holds the lock of the target, so that whatever
has such a name is nobody's.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from pipeline.errors import StorageError
from pipeline.model import Item
from pipeline.stages.faults import describe

CHANGE: Final = "_change"
"""The field by which a store with `only: changed` tells new, changed and gone items apart."""

_ADVICE: Final = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room within the quota",
    errno.EACCES: "give this user the right to write there",
    errno.EPERM: "give this user the right to write there",
    errno.EROFS: "choose a path that is not read-only",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.EBUSY: "if that file itself is mounted, mount its folder instead",
    errno.EIO: "see what the system's log says of that disk",
}

RUN_ID: Final = r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}"
"""What the id of a run looks like. A name with anything else in that place is another file's stage, or no stage."""


class BoundStore:
    """One entry of `store:`. `path` is the component's own attribute of that name, if it has one."""

    def __init__(
        self,
        name: str,
        hooks: dict[str, Callable[..., Any]],
        *,
        items: tuple[str, ...] | None = None,
        write: str | None = None,
        only: str | None = None,
        meta: tuple[str, ...] = (),
        path: Path | None = None,
        file: str | None = None,
    ) -> None:
        self.name = name
        self.items = items
        self.write = write
        self.only = only
        self.meta = (*meta, CHANGE) if only == "changed" else meta
        self.path = path
        self._hooks = hooks
        self._file = file
        self.seconds = 0.0  # spent in its hooks
        self._idle = False  # nothing was staged since the last commit or abort
        self._failure: StorageError | None = None  # of a commit; its stage may be half done

    def note(self, wrap: Callable[[str, Callable[..., Any]], Callable[..., Any]]) -> None:
        """Put something around each of its hooks: `wrap(hook, call)` is called in its place."""
        self._hooks = {hook: wrap(hook, call) for hook, call in self._hooks.items()}

    def sweep(self, run_id: str) -> list[Path]:
        """Remove the stages that killed processes left beside its path; before it stages anything. See `sweep`."""
        if self.path is None:
            return []
        try:
            return sweep(self.path, run_id)
        except OSError as error:
            raise StorageError(self._message("clear away what an earlier run left", error)) from error

    def store_items(self, items: list[Item]) -> None:
        """Add a batch, in order, to the stage."""
        self._idle = False
        self._call("store_items", "take the items", items)

    def commit(self, summary: Any) -> None:
        """Make the stage visible. With nothing staged since the last time it does nothing: that would empty the target.

        After an error only `abort` is left; an fsync that failed says nothing of the truth when it is asked again.
        """
        if self._failure:
            raise self._failure
        if self._idle:
            return
        try:
            self._call("commit", "make its result visible", summary)
        except StorageError as error:
            self._failure = error
            raise
        self._idle = True

    def abort(self, reason: str) -> None:
        """Forget the stage, also one that could not be committed."""
        self._failure = None
        self._idle = True
        self._call("abort", "clear away its stage", reason)

    def _call(self, hook: str, doing: str, argument: Any) -> None:
        call = self._hooks.get(hook)
        if call is None:
            return
        start = perf_counter()
        try:
            call(argument)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise StorageError(self._message(doing, error)) from error
        finally:
            self.seconds += perf_counter() - start

    def _message(self, doing: str, error: BaseException) -> str:
        where = f" ({self.path})" if self.path is not None else ""
        advice = _ADVICE.get(error.errno or 0) if isinstance(error, OSError) else None
        what = describe(error, self._file)
        return f"store {self.name}{where} could not {doing}: {what}; {advice or 'remove the cause'}, then run it again"

    def __repr__(self) -> str:
        return f"<store {self.name} {self.path or ''}>"


def sweep(path: Path, run_id: str) -> list[Path]:
    """Remove the stages of any run beside the target `path`, those of `run_id` too; the files that are gone now.

    Regular files only: a folder or a link of such a name is nobody's stage. Where `path` is a link, the stages stand
    beside what it leads to. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    form = re.compile(rf"(?:{RUN_ID}|{re.escape(run_id)})(?:-[0-9]+)?\.stage(?:-journal|-wal|-shm)?")
    begins, gone = f".{target.name}.", []
    with suppress(FileNotFoundError), os.scandir(target.parent) as entries:
        for entry in entries:
            if not entry.name.startswith(begins) or not form.fullmatch(entry.name, len(begins)):
                continue
            if entry.is_file(follow_symlinks=False):
                Path(entry.path).unlink(missing_ok=True)
                gone.append(Path(entry.path))
    return sorted(gone)
