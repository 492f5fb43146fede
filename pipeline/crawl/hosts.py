"""What the frontier queues: requests with their rank, in one queue per host.

Rank. Within a host the request of the smallest rank is asked for first. It is one number of 64 bits, so that the state
can sort by it too: priority (larger is earlier), depth (nearer is earlier; in order `depth`, farther), then order of
discovery (earlier first; in order `depth`, later first). A rank changes only when a shorter path is found.

Memory. There may be very many hosts, each with one request in memory. Where there are, that request is *folded* into
bytes, a seventh of what the objects take, and is an entry again (another object) once it is looked at.
"""

from __future__ import annotations

from random import Random
from struct import Struct
from typing import Any, Final, NamedTuple, TypeAlias

from pipeline.model import Request
from pipeline.packing import pack_request, unpack_request

NOTHING: Final = -(2**63)  # horizon of a host of which nothing is in memory
ALL: Final = 2**63 - 1  # horizon of a host of which everything is
RETRYING: Final = 256  # requests of a host that wait for a retry before nothing else of it is asked

UNKNOWN: Final = object()  # nobody has asked yet what is known of a page

MAX_DEPTH: Final = 2**14 - 1  # deeper requests rank as if they were this deep
MAX_PRIORITY: Final = 2**15 - 1
MAX_ID: Final = 2**32 - 1

_FOLDED: Final = Struct(">qIIB16s")  # rank, id, attempts, whether `visit` is None, fingerprint; then the request


class Politeness(NamedTuple):
    """How one host may be asked: requests at a time, seconds between starts, jitter as a share of the delay."""

    concurrency: int
    delay: float
    jitter: float = 0.0


class Entry:
    """One request that waits, is handed out, or has just ended. `id` counts from 1 in order of discovery; `parent` and
    `target` are ids: whose page or redirect brought it, where it redirected to.

    `visit` is its user's: what is known of the page from before. `aside`: handed out, but its host is free already.
    """

    __slots__ = (
        *("aside", "attempts", "detail", "due", "fate", "fingerprint", "host", "id"),
        *("parent", "rank", "request", "status", "target", "turn", "visit"),
    )

    def __init__(self, number: int, request: Request, fingerprint: bytes, rank: int) -> None:
        self.id = number
        self.request = request
        self.fingerprint = fingerprint
        self.rank = rank
        self.host: HostQueue | None = None
        self.attempts = 0
        self.due = 0.0
        self.fate: str | None = None
        self.detail = ""  # why, in words, where the fate alone does not say it
        self.status: int | None = None
        self.parent: int | None = None
        self.target: int | None = None
        self.aside = False
        self.turn = (0.0, 0.0)  # when its host might be asked again before it was handed out, and since
        self.visit: Any = UNKNOWN

    def __repr__(self) -> str:
        return f"<Entry {self.id} {self.request.method} {self.request.url} {self.fate or 'open'}>"


Ready: TypeAlias = list[tuple[int, Entry]]
"""A heap of (rank, entry)."""


class Awaited:
    """A refill that was asked for and has not come. `fresh` are the requests met since that lie beyond the horizon."""

    __slots__ = ("ceiling", "fresh", "most", "overtaken", "void")

    def __init__(self, most: int) -> None:
        self.most = most
        self.fresh: list[Entry] = []
        self.ceiling = ALL  # of requests met since, those of this rank or more are on disk only
        self.overtaken: set[int] | None = None  # ids that ended or moved since: the answer may show them as they were
        self.void = False  # the horizon was drawn in since: the answer would leave a gap


class HostQueue:
    """The requests of one host: `ready` by rank, `later` by due time.

    Of those in the state, `ready` has all up to rank `horizon`; `waiting` counts what waits, in memory or on disk only.
    """

    __slots__ = (
        *("_horizon", "_ready", "active", "awaited", "closed", "later", "name"),
        *("not_before", "politeness", "probing", "scheduled", "waiting"),
    )

    def __init__(self, name: str, politeness: Politeness) -> None:
        self.name = name
        self.politeness = politeness
        self.active = 0
        self.waiting = 0
        self.not_before = 0.0  # its delay and its pauses
        self.probing = False  # one at a time, whatever its politeness says
        self._ready: Ready | bytes = b""  # bytes: one that is folded, or none
        self.later: list[tuple[float, int, Entry]] | None = None  # None if empty: there may be very many hosts
        self.scheduled: float | None = None
        self.closed: tuple[str, str] | None = None  # (fate, why) of all that still comes
        self._horizon: int | None = ALL  # None: the rank of the one that is folded
        self.awaited: Awaited | None = None

    def __lt__(self, other: HostQueue) -> bool:
        """Of hosts that may be asked at the same moment one has to be first."""
        return self.name < other.name

    def may_start_at(self) -> float | None:
        """The first moment at which a request of this host may start; None if none may until one ends or is read."""
        if self.active >= self.politeness.concurrency or (self.probing and self.active):
            return None
        if self._ready and (self.later is None or len(self.later) < RETRYING):
            return self.not_before
        if self.later:
            return max(self.not_before, self.later[0][0])
        return None

    @property
    def horizon(self) -> int:
        """The rank up to which all is in memory."""
        if self._horizon is not None:
            return self._horizon
        assert isinstance(self._ready, bytes)
        rank: int = _FOLDED.unpack_from(self._ready)[0]
        return rank

    @horizon.setter
    def horizon(self, rank: int) -> None:
        self._horizon = rank

    @property
    def ready(self) -> Ready:
        """Those that may go as soon as the host may be asked."""
        if isinstance(self._ready, bytes):
            self._horizon = self.horizon
            self._ready = [self._unfolded(self._ready)] if self._ready else []
        return self._ready

    def fold(self) -> None:
        """Keep the request that waits as bytes, if there is one alone of which nothing is known from before."""
        ready = self._ready
        if not ready:
            self._ready = b""
        elif len(ready) == 1 and not isinstance(ready, bytes):
            rank, entry = ready[0]
            if entry.visit is UNKNOWN or entry.visit is None:
                head = _FOLDED.pack(rank, entry.id, entry.attempts, entry.visit is None, entry.fingerprint)
                self._ready = head + pack_request(entry.request)
                if self._horizon == rank:
                    self._horizon = None  # 32 bytes less

    def _unfolded(self, folded: bytes) -> tuple[int, Entry]:
        rank, number, attempts, is_new, fingerprint = _FOLDED.unpack_from(folded)
        entry = Entry(number, unpack_request(folded[_FOLDED.size :]), fingerprint, rank)
        entry.host, entry.attempts = self, attempts
        if is_new:
            entry.visit = None
        return rank, entry

    def start(self, entry: Entry, now: float, random: Random) -> None:
        """A request of this host is handed out: the next one has to wait for the delay."""
        _, delay, jitter = self.politeness
        before = self.not_before
        if delay:
            self.not_before = now + delay * (1 + jitter * (2 * random.random() - 1))
        entry.turn = before, self.not_before
        entry.attempts += 1
        self.active += 1

    def let_go(self, entry: Entry, *, asked: bool) -> None:
        """A request that was handed out wants nothing more of this host. If it was not `asked` it never did."""
        assert not entry.aside, f"{entry!r} is set aside a second time"
        entry.aside = True
        self.active -= 1
        if not asked:
            entry.attempts -= 1
            before, since = entry.turn
            if self.not_before == since:  # else another one was handed out meanwhile, or it was paused
                self.not_before = before

    def release(self, entry: Entry) -> None:
        """A request that was handed out has ended, or goes back."""
        if not entry.aside:
            self.active -= 1
        entry.aside = False

    def ahead(self, most: int) -> list[Entry]:
        """Some of those that wait in memory, mostly those that come next."""
        return [entry for _, entry in self.ready[:most]]

    @property
    def here(self) -> int:
        """How many wait in memory, but for those kept aside."""
        ready = self._ready
        return (bool(ready) if isinstance(ready, bytes) else len(ready)) + len(self.later or ())

    def held(self) -> list[Entry]:
        """All that wait in memory."""
        held = [entry for _, entry in self.ready]
        held += [entry for _, _, entry in self.later or ()]
        return held + self.awaited.fresh if self.awaited is not None else held

    def find(self, number: int) -> Entry | None:
        """The entry of this id if it waits in memory."""
        return next((entry for entry in self.held() if entry.id == number), None)


def rank_of(request: Request, number: int, *, deepest_first: bool) -> int:
    """The rank (64 bits, signed) of the request that was discovered as the `number`-th."""
    depth = min(request.depth, MAX_DEPTH)
    if deepest_first:
        depth, number = MAX_DEPTH - depth, MAX_ID - number
    priority = max(-MAX_PRIORITY, min(request.priority, MAX_PRIORITY))
    return (-priority << 48) + (depth << 32) + number
