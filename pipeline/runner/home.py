"""The state folder of a config, held by this process from before its first request to after its last word.

A dry run has none: its state is a private temporary database that nobody else sees, so that there is one way to crawl.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pipeline.config.loader import Loaded
from pipeline.config.units import IfLocked, if_locked
from pipeline.state.lock import NAME as LOCK
from pipeline.state.lock import Lock
from pipeline.state.writer import Writer

if TYPE_CHECKING:
    from pipeline.runner.build import Options

FILE = "state.db"


def state_folder(loaded: Loaded) -> Path:
    """`.hookline/<name>/` beside the config, or below its `state_dir`."""
    return loaded.resolve(("state_dir",), loaded.config.state_dir) / loaded.config.name


class Home:
    """An open state: the lock of its folder and the writer of its database. `folder` is None for a dry run.

    Raises LockedError if another process has the folder for more than `wait` seconds.
    """

    def __init__(self, folder: Path | None, *, wait: float = 0.0) -> None:
        self.folder = folder
        self.fresh = False  # it was found that no run was ever in it
        self._unwanted = False
        self._wake: Callable[[], None] | None = None
        self._lock = Lock.take(folder, wait=wait) if folder is not None else None
        try:
            self.writer = Writer(folder / FILE if folder is not None else None, wake=self._answered)
        except BaseException:
            self._release()
            raise

    def wake_with(self, wake: Callable[[], None] | None) -> None:
        """Call this, from another thread, whenever the writer has an answer."""
        self._wake = wake

    def say(self, run: str) -> None:
        """Tell those who find the folder locked which run it is."""
        if self._lock is not None:
            self._lock.say(run)

    def close(self) -> None:
        """Close the database, then let go of the folder."""
        self._wake = None
        try:
            self.writer.close()
            if self._unwanted and self.folder is not None:
                self._remove(self.folder)
        finally:
            self._release()

    def unmake(self) -> None:
        """When it is closed, remove the state if it was made for nothing: no run was ever in it."""
        self._unwanted = self.fresh

    @staticmethod
    def _remove(folder: Path) -> None:
        """While the lock is held: a moment later the folder may be another process's."""
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm", LOCK):
            (folder / name).unlink(missing_ok=True)
        for empty in (folder, folder.parent):
            with suppress(OSError):  # something else is in it
                empty.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answered(self) -> None:
        if self._wake is not None:
            self._wake()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()


def is_file_target(path: Path | None) -> bool:
    """Whether a store's path is one that another run could write to as well: no device, no pipe."""
    return path is not None and (not os.path.lexists(path) or path.is_file())


def patience(loaded: Loaded, options: Options) -> IfLocked:
    """What to do while another run is under way, or has an output locked."""
    return if_locked(options.if_locked or loaded.config.if_locked)
