"""What stores that write files share: a stage beside the target, and the one step that makes it the target.

A stage is `.NAME.RUN.stage` in the folder of the target, so that it is on the same file system and a rename can put it
in place. Where the target is a symbolic link, the file that it leads to is meant: the link stays. What a killed process
left behind has that form of name too, and is cleared away by whoever publishes next.

Appending once. An append is a rename as well: the stage begins as a copy of the target. A process that is killed right
after the rename is told to publish again, with the same items and the same run. So before the rename a note is made
durable beside the target, `.NAME.appended`: for each config its last run, from where to where in the target that run's
rows will stand, and their hash. They are there already if the note says so and the target has them at that place,
whatever has been appended behind them since.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

from pipeline import OptionError, RunInfo

_PART = 1 << 20

_claimed: set[Path] = set()  # stages of this process: several stores may write to one database, or by links to one file


def writable(path: Path) -> Path:
    """`path`, if a file can be put there: better known before the crawl than after it."""
    file = real(path)
    if file.is_symlink():
        raise OptionError(f"{path} is a symbolic link that leads back to itself", hint="remove it, or name a file")
    if file.exists() and not file.is_file():
        raise OptionError(f"{path} is not a file", hint="name a file to write to")
    folder = next(folder for folder in file.parents if folder.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise OptionError(f"{path} cannot be written: no permission to write in {folder}, or it is not a folder")
    return path


def real(path: Path) -> Path:
    """The file that a path means: where it is a symbolic link, what that leads to, be it there or not."""
    return Path(os.path.realpath(path))


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; they survive a power loss as well as what is put into them."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        sync_folder(one.parent)


def claim(file: Path, run: str) -> Path:
    """A name for a stage beside `file` that is free in this process; `release` gives it back.

    What an earlier process of the same run left there is removed.
    """
    make_folder(file.parent)
    number, stage = 1, file.with_name(f".{file.name}.{run}.stage")
    while stage in _claimed:
        number += 1
        stage = file.with_name(f".{file.name}.{run}-{number}.stage")
    stage.unlink(missing_ok=True)
    _claimed.add(stage)
    return stage


def release(stage: Path) -> None:
    """Remove a stage, if it is still there, and give its name back."""
    stage.unlink(missing_ok=True)
    _claimed.discard(stage)


def nameless(path: Path, run: str) -> BinaryIO:
    """A file without a name on the file system of the target, for what has to wait; it goes away when it is closed."""
    stage = claim(real(path), run)
    try:
        return _create(stage, 0o600)
    finally:
        release(stage)


class Stage:
    """A file in the making beside its target, with the target's permissions. `commit` or `abort` ends it."""

    def __init__(self, path: Path, run: RunInfo) -> None:
        self._target = real(path)
        self._run = run
        self._start: int | None = None  # where this run's rows begin; None: they replace what there is
        self._path = claim(self._target, run.id)
        try:
            self.file = self._open()
        except BaseException:
            release(self._path)
            raise

    def copy_target(self, ending: bytes) -> None:
        """Begin with what the target has, its last line ended; `commit` then appends, once a run."""
        with suppress(FileNotFoundError), self._target.open("rb") as old:
            shutil.copyfileobj(old, self.file, _PART)
        if self.file.tell():
            self.file.seek(-1, os.SEEK_END)
            if self.file.read(1) != b"\n":
                self.file.write(ending)
        self._start = self.file.tell()

    def start_anew(self) -> None:
        """Begin with nothing, but count as an append: where the target has no rows yet."""
        self._start = 0

    def commit(self) -> None:
        """Make the stage durable, and make it the target. After an error there is still `abort`."""
        if self._start is not None:
            if self._is_appended():
                self.abort()
                return
            self._make_note()
        _sync(self.file)
        self.file.close()
        self._path.replace(self._target)
        release(self._path)
        sync_folder(self._target.parent)

    def abort(self) -> None:
        """Remove the stage; the target stays as it is."""
        release(self._path)
        with suppress(OSError):  # a full disk refuses what is still in the buffer
            self.file.close()

    def _open(self) -> BinaryIO:
        try:
            old = self._target.stat()
        except FileNotFoundError:
            return _create(self._path, 0o666)
        file = _create(self._path, 0o600)
        with suppress(OSError):  # only root may give a file away; anybody may to a group of theirs
            os.fchown(file.fileno(), old.st_uid if os.geteuid() == 0 else -1, old.st_gid)
        os.fchmod(file.fileno(), old.st_mode & 0o7777)
        return file

    # --- once a run --------------------------------------------------------------------------------------------------

    def _is_appended(self) -> bool:
        """Whether the target has this run's rows: the process may have been killed after the rename."""
        note = self._notes().get(self._run.name)
        if not isinstance(note, dict) or note.get("run") != self._run.id:
            return False
        with suppress(FileNotFoundError, KeyError, TypeError), self._target.open("rb") as target:
            return bool(_hash(target, note["start"], note["end"]) == note["blake2b"])
        return False

    def _make_note(self) -> None:
        """Say what this run is about to append, durably, before it does."""
        start, end = self._start or 0, self.file.seek(0, os.SEEK_END)
        note = {"run": self._run.id, "start": start, "end": end, "blake2b": _hash(self.file, start, end)}
        stage = claim(self._target, self._run.id)
        try:
            with _create(stage, 0o666) as file:
                file.write(json.dumps({**self._notes(), self._run.name: note}, indent=1).encode() + b"\n")
                _sync(file)
            stage.replace(self._note_path)
        finally:
            release(stage)
        sync_folder(self._target.parent)

    @property
    def _note_path(self) -> Path:
        return self._target.with_name(f".{self._target.name}.appended")

    def _notes(self) -> dict[str, Any]:
        """What is noted, by name of the config: several may append to one file."""
        try:
            notes = json.loads(self._note_path.read_bytes())
        except (FileNotFoundError, ValueError):  # none yet, or somebody else's file
            return {}
        return notes if isinstance(notes, dict) else {}


def _create(path: Path, mode: int) -> BinaryIO:
    """A new file to write and read; never one that somebody put there, or that a link leads to."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode), "w+b")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _hash(file: BinaryIO, start: int, end: int) -> str | None:
    """Of the bytes from `start` to `end`; None if there are fewer."""
    file.seek(start)
    digest, left = blake2b(digest_size=16), end - start
    while left > 0:
        part = file.read(min(left, _PART))
        if not part:
            return None
        digest.update(part)
        left -= len(part)
    return digest.hexdigest()
