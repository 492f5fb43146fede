"""Descriptor 1, which is for data: turned away to stderr while plugins may write to it, and where it is meanwhile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

_kept: list[int] = []  # the real one, while it is turned away


def descriptor() -> int:
    """Where data goes."""
    return _kept[0] if _kept else 1


@contextlib.contextmanager
def turned_away(stream: Any) -> Iterator[None]:
    """Whatever is written to descriptor 1 goes to stderr, if it is what `stream` (sys.stdout) writes to."""
    if _kept or not _is_ours(stream):
        yield
        return
    stream.flush()
    try:
        real = os.dup(1)
    except OSError:  # it is closed
        yield
        return
    _kept.append(real)
    try:
        with contextlib.suppress(OSError):  # no stderr: then it stays
            os.dup2(2, 1)
        yield
    finally:
        os.dup2(_kept.pop(), 1)
        os.close(real)


def _is_ours(stream: Any) -> bool:
    """False where somebody collects what is printed, as notebooks and test runners do."""
    try:
        return bool(stream.fileno() == 1)
    except (AttributeError, OSError, ValueError):
        return False
