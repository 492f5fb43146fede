"""What stores that write files share: is there a place for one, and does it survive a power loss."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline import OptionError


def writable(path: Path) -> Path:
    """`path`, if a file can be put there: better known before the crawl than after it."""
    if path.exists() and not path.is_file():
        raise OptionError(f"{path} is not a file", hint="name a file to write to")
    folder = next(folder for folder in path.parents if folder.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise OptionError(f"{path} cannot be written: no permission to write in {folder}, or it is not a folder")
    return path


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
