"""How much memory this process has, and how much it may have (spec, section 2, defaults of `limits`)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

SHARE = 0.8  # of the cgroup's memory that a run may take if the config says nothing
UNLIMITED = 1 << 60  # what cgroups v1 say, roughly, when there is no limit


def memory_limit(given: int | None, root: Path = Path("/")) -> int | None:
    """Bytes that the process may have: the config's, else a share of the smallest limit of its cgroups, else None."""
    if given is not None:
        return given
    limits = [limit for file in _limit_files(root) if (limit := _number(file)) is not None and limit < UNLIMITED]
    return int(min(limits) * SHARE) if limits else None


def resident(process: str = "self") -> int | None:
    """Bytes of memory that a process has now; None where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def _limit_files(root: Path) -> Iterable[Path]:
    """`memory.max` of the process's cgroup and all above it (v2), `memory.limit_in_bytes` (v1)."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        base, file = root / "sys/fs/cgroup", "memory.max"
        if controllers:
            if "memory" not in controllers.split(","):
                continue
            base, file = base / "memory", "memory.limit_in_bytes"
        folder = base / name.strip("/")
        while True:
            yield folder / file
            if folder == base or base not in folder.parents:
                break
            folder = folder.parent


def _number(file: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(file.read_text("ascii"))
    return None
