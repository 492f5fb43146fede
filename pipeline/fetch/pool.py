"""Connections by route: which one carries the next exchange, and which one makes room.

Answers for: reuse (the most recently used idle connection of the route first: it is the least likely to have been
closed by the server), and the number of sockets. Must not know: sockets, HTTP, who starts exchanges and why.

Every decision is bookkeeping only and answers with what is to be done; opening, starting and closing come after it, so
that nothing which calls back in meets a half-made decision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pipeline.fetch.connection import Connection
from pipeline.fetch.exchange import Exchange, Route


class Choice(NamedTuple):
    """What to do for an exchange: use this connection (None: open one), close that one first (None: none)."""

    connection: Connection | None
    surplus: Connection | None


class Pool:
    """Keeps up to `max_idle` connections for reuse. `open_connection` makes a new one; it is not limited here."""

    def __init__(self, open_connection: Callable[[Route], Connection], *, max_idle: int) -> None:
        self._open = open_connection
        self._max_idle = max_idle
        self._all: set[Connection] = set()
        # Both in order of falling idle: the last of a route is taken first, the first of all is closed first.
        self._idle: dict[Connection, None] = {}
        self._idle_of: dict[Route, dict[Connection, None]] = {}

    @property
    def busy(self) -> int:
        """Connections that carry an exchange."""
        return len(self._all) - len(self._idle)

    @property
    def idle(self) -> int:
        """Connections that wait for one."""
        return len(self._idle)

    def dispatch(self, exchange: Exchange, *, fresh: bool = False) -> None:
        """Put an exchange on an idle connection of its route, or on a new one (always so if `fresh`)."""
        connection, surplus = self._choose(exchange.route, fresh)
        if surplus is not None:
            surplus.abort()
        if connection is None:
            connection = self._open(exchange.route)
            self._all.add(connection)
        connection.start(exchange)

    def became_idle(self, connection: Connection) -> None:
        """Take a connection back."""
        self._idle[connection] = None
        self._idle_of.setdefault(connection.route, {})[connection] = None

    def became_closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._all.discard(connection)
        if connection in self._idle:
            self._leave_idle(connection)

    def abort(self) -> None:
        """Close all; exchanges under way end without an outcome."""
        for connection in list(self._all):
            connection.abort()

    def _choose(self, route: Route, fresh: bool) -> Choice:
        mates = None if fresh else self._idle_of.get(route)
        if mates:
            connection = next(reversed(mates))
            self._leave_idle(connection)
            return Choice(connection, None)
        surplus = next(iter(self._idle)) if len(self._idle) >= self._max_idle > 0 else None
        return Choice(None, surplus)

    def _leave_idle(self, connection: Connection) -> None:
        del self._idle[connection]
        mates = self._idle_of[connection.route]
        del mates[connection]
        if not mates:
            del self._idle_of[connection.route]
