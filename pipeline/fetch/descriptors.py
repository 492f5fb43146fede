"""How many connections this process may hold open: the limit of the system, and that of `select`.

Answers for: raising the soft limit of open files, and refusing at the start a concurrency that could never be reached.
Must not know: the loop, connections, the config (its keys appear as words that a user reads).

Two limits. Every socket is a file descriptor, and a process has so many of them (`ulimit -n`; the soft limit may be
raised up to the hard one by anybody). And `select` takes descriptors *numbered* below FD_SETSIZE only, compiled in
as 1024; the kernel gives out the lowest free number, so it is a limit on the count too.

The check at the start cannot see everything: plugins and the rest of the system open files as well. A connection that
gets no descriptor while running ends as ConnectError `no_socket`, a lookup as ResolveError `no_socket`. Neither says
anything about the site: whoever started the request should put it back without counting the attempt, start nothing
for a second, and have fewer connections from then on.
"""

from __future__ import annotations

import os
import resource
import sys

FD_SETSIZE = 1024
RESERVE = 32  # for outputs, state, workers' pipes, name servers, and what plugins open
_FOLDERS = ("/proc/self/fd", "/dev/fd")
_USUAL = 16  # taken as open where the system does not say
_MACOS_MAX = 10_240  # OPEN_MAX: with a hard limit of "unlimited" it still takes no more


class DescriptorLimitError(ValueError):
    """This concurrency does not fit. `key` is what to change, below `fetch`; `hint` what to do."""

    def __init__(self, message: str, *, key: str, hint: str) -> None:
        super().__init__(message)
        self.key = key
        self.hint = hint


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one; gives the limit in force (sys.maxsize: none)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, _MACOS_MAX):
        if _same_or_more(soft, wanted):
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):  # more than the kernel gives, whatever the hard limit says
            continue
        break
    return _limit()


def room_for(concurrency: int, selector_name: str) -> int:
    """How many kept connections fit beside `concurrency` running ones; raises DescriptorLimitError if these do not.

    `selector_name` is the one in use (`Loop.selector_name`). To be called after `raise_limit`.
    """
    used = open_descriptors() + RESERVE
    limit = _limit()
    spare = limit - used - concurrency
    if spare < 0:
        raise _beyond_system(concurrency, limit, used)
    if selector_name == "select":
        spare = min(spare, FD_SETSIZE - used - concurrency)
        if spare < 0:
            raise _beyond_select(concurrency, used)
    return spare


def open_descriptors() -> int:
    """Descriptors that this process has open now."""
    for folder in _FOLDERS:
        try:
            return len(os.listdir(folder)) - 1  # noqa: PTH208 - the one that lists is among them
        except OSError:
            continue
    return _USUAL


def _beyond_system(concurrency: int, limit: int, used: int) -> DescriptorLimitError:
    most = max(0, limit - used)
    return DescriptorLimitError(
        f"{concurrency} connections need {concurrency + used} open files, the limit is {limit}",
        key="concurrency",
        hint=f"set fetch.concurrency to {most} or less, or raise the hard limit (ulimit -Hn, LimitNOFILE= in a unit)",
    )


def _beyond_select(concurrency: int, used: int) -> DescriptorLimitError:
    most = max(0, FD_SETSIZE - used)
    return DescriptorLimitError(
        f"{concurrency} connections do not fit into select: it holds {FD_SETSIZE} files, of which {used} are taken",
        key="selector",
        hint=f"set fetch.selector to auto, or fetch.concurrency to {most} or less",
    )


def _limit() -> int:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def _same_or_more(soft: int, wanted: int) -> bool:
    if soft == resource.RLIM_INFINITY:
        return True
    return wanted != resource.RLIM_INFINITY and soft >= wanted
