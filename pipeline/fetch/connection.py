"""One connection to one origin, from name lookup to close, carrying one exchange at a time.

Answers for: the state machine and the deadlines. Must not know: system calls (those are its `Wire`'s), the way to the
peer (its `Opening`'s), the resolver, the pool and the fetcher other than as the objects handed in, how exchanges are
chosen, what becomes of an outcome.

The machine is the table `STATES`; in words:

  state        waits for      deadline           when ready                                       leaves to
  NEW          nothing        -                  `start`                                          RESOLVING
  RESOLVING    the resolver   dns                addresses are in hand                            CONNECTING
  CONNECTING   WRITE          connect, each      read SO_ERROR; on error the next address         the next layer
               address; while others wait, their patience
  PROXYING     READ           connect            feed the prologue; with bytes unsent, send on    the next layer
  HANDSHAKING  READ or WRITE  tls                go on with the handshake                         the next layer
  SENDING      READ, WRITE    idle               send on; an answer that comes early is read      RECEIVING, IDLE
  RECEIVING    READ           first_byte for     one `recv_into` the shared buffer, feed the      IDLE
               the head,      then idle          reader
  IDLE         READ           keepalive          hang-up or stray bytes: close; ticket: stay      SENDING, RECEIVING
  CLOSED       nothing        -                  ignored

The next layer on top of TCP is PROXYING, HANDSHAKING (with a proxy or the origin), or none: SENDING, RECEIVING.
Every state may go to CLOSED. While an exchange is under way its `total` deadline holds too. A first send is tried at
once, with READ already registered: a GET fits the socket buffer, so a request on an idle connection goes straight to
RECEIVING and costs no change at the selector. One read per readiness: polls are level-triggered, what is left over is
reported again, and other connections get their turn. What TLS holds decrypted no poll reports: it is asked for that
after a read, and the rest is read in the next turn.

Invariants
1. Each exchange has exactly one end: a Response or Failure appended to `done`, a hand-back to the pool (once, below),
   or silence after `abort`.
2. `_enter` is the only writer of `state`; `_close` the only way into CLOSED.
3. Events, timers and lookups that reach a closed connection are ignored: the selector hands over the object that was
   registered, not a number that may have been given to another socket meanwhile.
4. What peers cause becomes a FetchError of this exchange, unless the head had said all (`faults.outcome`). So does a
   fault of ours (reason `internal`, logged with its traceback): one page cannot end a run.
5. If a kept connection dies before the first byte of an answer to GET or HEAD, or gives what is no answer, the exchange
   is handed back once, for a fresh connection, and no attempt is counted (RFC 9112, 9.3.1).
6. A kept connection is used again only if nothing has come on it since its last response.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, Protocol

from pipeline.errors import FetchError
from pipeline.fetch import faults
from pipeline.fetch.exchange import Exchange, Route, Shared
from pipeline.fetch.loop import NEVER, READ, WRITE
from pipeline.fetch.opening import Opening
from pipeline.fetch.proxy import Prologue
from pipeline.fetch.resolver import Answer
from pipeline.fetch.tls import Peer
from pipeline.fetch.wire import Wire
from pipeline.model import Response

_log = logging.getLogger("hookline.fetch")

NEW: Final = "NEW"
RESOLVING: Final = "RESOLVING"
CONNECTING: Final = "CONNECTING"
PROXYING: Final = "PROXYING"
HANDSHAKING: Final = "HANDSHAKING"
SENDING: Final = "SENDING"
RECEIVING: Final = "RECEIVING"
IDLE: Final = "IDLE"
CLOSED: Final = "CLOSED"

_REPLAYABLE = frozenset({"GET", "HEAD"})


class Pool(Protocol):
    """What a connection tells its pool."""

    def became_idle(self, connection: Connection) -> None:
        """It can take another exchange."""

    def became_closed(self, connection: Connection) -> None:
        """It is gone."""

    def dispatch(self, exchange: Exchange, *, fresh: bool = False) -> None:
        """Put this exchange on some connection."""


class Connection:
    """See the module's head. After `start`, everything it has to say goes to `done` and to the pool."""

    __slots__ = (
        "_buffer",
        "_deadline_name",
        "_exchange",
        "_loop",
        "_opening",
        "_pool",
        "_prologue",
        "_reader",
        "_ready",
        "_served",
        "_shared",
        "_timeouts",
        "_timer",
        "_total_at",
        "_wire",
        "route",
        "state",
    )

    def __init__(self, shared: Shared, pool: Pool, route: Route) -> None:
        self._shared = shared
        self._loop = shared.loop
        self._timeouts = shared.timeouts
        self._buffer = shared.buffer
        self._pool = pool
        self.route = route
        self.state = NEW
        self._ready: Callable[[Connection, Wire, int], None] = STATES[NEW].ready
        self._wire: Wire | None = None
        self._timer = shared.loop.timer(self._on_deadline)
        self._deadline_name = ""
        self._opening: Opening | None = Opening(shared, route)  # until it is open
        self._prologue: Prologue | None = None  # in PROXYING
        self._reader = shared.make_reader()
        self._served = 0  # whole responses so far
        self._exchange: Exchange | None = None
        self._total_at = NEVER

    def __repr__(self) -> str:
        return f"<Connection {self.route.origin.host}:{self.route.origin.port} {self.state} served={self._served}>"

    def start(self, exchange: Exchange) -> None:
        """Carry this exchange; the connection is NEW or IDLE. One that turns out to be spoilt hands it back."""
        if self._wire is not None and self._wire.is_spoilt():
            self._close()
            self._pool.dispatch(exchange, fresh=True)
            return
        self._exchange = exchange
        self._total_at = exchange.started + self._timeouts.total
        if exchange.request.method != "GET" or exchange.keep is not None:  # else the reader is ready since it is idle
            self._reader.begin(exchange.request.method, exchange.keep)
        try:
            if self._wire is not None:
                self._begin_send(self._wire)
            else:
                self._enter(RESOLVING)
                answer = self._opened().resolve(self._on_answer)
                if answer is not None:
                    self._take_answer(answer)
        except Exception as error:
            self._fail(self._explain(error))

    def abort(self) -> None:
        """Close; an exchange under way ends without an outcome."""
        self._exchange = None
        self._close()

    # --- called by the loop and the resolver

    def _on_ready(self, mask: int) -> None:
        if self._wire is None:
            return  # an event of the batch in which the socket was given up
        try:
            self._ready(self, self._wire, mask)
        except Exception as error:
            self._fail(self._explain(error))

    def _on_deadline(self) -> None:
        try:
            self._miss_deadline()
        except Exception as error:
            self._fail(self._explain(error))

    def _on_answer(self, answer: Answer) -> None:
        if self.state is not RESOLVING:
            return  # the deadline or an abort was faster
        try:
            self._take_answer(answer)
        except Exception as error:
            self._fail(self._explain(error))

    # --- state

    def _enter(self, name: str, most: float = NEVER) -> None:
        state = STATES[name]
        self.state = name
        self._ready = state.ready
        wire = self._wire
        if wire is not None and wire.interest != state.interest:
            wire.watch(state.interest)
        self._arm(state.deadline, most)

    def _drop_wire(self) -> None:
        if self._wire is not None:
            self._wire.close(goodbye=self.state is IDLE)
            self._wire = None

    def _arm(self, name: str, most: float = NEVER) -> None:
        """Run this deadline from now on, `most` seconds of it, or the total one if that is earlier."""
        self._deadline_name = name
        when: float = self._loop.now + min(getattr(self._timeouts, name), most) if name else NEVER
        self._timer.move(when if when < self._total_at else self._total_at)

    def _close(self) -> None:
        if self.state is CLOSED:
            return
        self._drop_wire()
        self._total_at = NEVER
        self._enter(CLOSED)
        self._timer.cancel()
        self._reader.close()
        self._pool.became_closed(self)

    # --- on the way to the peer

    def _opened(self) -> Opening:
        assert self._opening is not None
        return self._opening

    def _take_answer(self, answer: Answer) -> None:
        self._opened().take(answer)
        self._try_next_address()

    def _try_next_address(self, failed: FetchError | None = None) -> None:
        """Connect to the next address; if none is left, that the last one `failed` is the outcome."""
        self._drop_wire()
        sock = self._opened().connect_next(failed)
        self._wire = Wire(self._loop, sock, self._on_ready, self._buffer)
        self._enter(CONNECTING, self._opened().patience)

    def _ready_connecting(self, wire: Wire, mask: int) -> None:
        code = wire.error()
        if code:
            self._try_next_address(self._opened().failed(code))
        else:
            self._opened().check_peer(wire.peer_ip())
            self._begin_layer(wire)

    def _begin_layer(self, wire: Wire) -> None:
        layer = self._opened().next_layer()
        if layer is None:
            self._opening = self._prologue = None
            self._begin_send(wire)
        elif isinstance(layer, Peer):
            self._prologue = None
            wire.begin_tls(self._shared.tls, layer)
            self._enter(HANDSHAKING)
            self._ready_handshaking(wire, 0)
        else:
            self._prologue, wire.unsent = layer, layer.first
            self._enter(PROXYING)
            self._send_prologue(wire)

    def _ready_proxying(self, wire: Wire, mask: int) -> None:
        assert self._prologue is not None
        size = -1 if wire.unsent else wire.receive()
        if size == 0:
            raise self._prologue.eof()
        if size > 0:
            wire.unsent = self._prologue.feed(self._buffer[:size])
        if self._prologue.done:
            self._begin_layer(wire)
        else:
            self._send_prologue(wire)

    def _send_prologue(self, wire: Wire) -> None:
        wants = wire.send() if wire.unsent else READ
        wire.watch(wants if wire.unsent else READ)

    def _ready_handshaking(self, wire: Wire, mask: int) -> None:
        if wire.handshake():
            self._begin_layer(wire)

    # --- SENDING

    def _begin_send(self, wire: Wire) -> None:
        assert self._exchange is not None
        wire.unsent = self._exchange.payload
        self._send_on(wire)

    def _ready_sending(self, wire: Wire, mask: int) -> None:
        may_send = mask & WRITE or not wire.interest & WRITE  # the latter: TLS had to read first
        if mask & READ:
            self._ready_receiving(wire, mask)
        if may_send and self.state is SENDING:
            self._send_on(wire)

    def _send_on(self, wire: Wire) -> None:
        try:
            wants = wire.send()
        except OSError:
            # The peer reads no more, but may have said why before: its answer or its hang-up is read next.
            self._enter(RECEIVING)
            return
        if wire.unsent:
            self._enter(SENDING)
            wire.watch(wants)
        else:
            self._enter(RECEIVING)

    # --- RECEIVING

    def _ready_receiving(self, wire: Wire, mask: int) -> None:
        size = wire.receive()
        if size < 0:  # readiness was a false alarm
            return
        reader = self._reader
        if reader.feed(self._buffer[:size]) if size else reader.eof():
            self._succeed(wire)
            return
        if reader.head_done or self.state is SENDING:
            self._arm("idle")
        if wire.tls is not None:
            wire.watch(STATES[self.state].interest)
            if wire.holds_input():
                self._loop.call_soon(partial(self._on_ready, READ))

    def _succeed(self, wire: Wire) -> None:
        exchange, reader = self._exchange, self._reader
        assert exchange is not None
        if reader.status in faults.UNASKED:
            faults.refuse_unasked(exchange, reader.status)
        flags = (*reader.flags, "unclean_tls_eof") if wire.unclean else reader.flags
        elapsed = self._loop.now - exchange.started
        response = Response(exchange.request, reader.status, reader.headers, reader.body, elapsed, flags)
        self._exchange = None  # only now: had the body found no memory, the exchange would still need an end
        self._served += 1
        self._shared.done.append(response)
        if wire.tls is not None and wire.peer is not None and self._served == 1:
            self._shared.tls.remember(wire.peer, wire.tls)
        if reader.reusable and not wire.unsent and not wire.holds_input():
            self._total_at = NEVER
            reader.begin("GET")  # now, so that an idle connection holds no page
            self._enter(IDLE)
            self._pool.became_idle(self)
        else:
            self._close()

    def _ready_idle(self, wire: Wire, mask: int) -> None:
        """Nothing was asked, so whatever comes ends the connection: a hang-up, an error, stray bytes; but no ticket."""
        if wire.is_spoilt():
            self._close()

    def _ignore(self, wire: Wire, mask: int) -> None:
        """Nothing is registered in this state."""

    # --- endings

    def _miss_deadline(self) -> None:
        if self._loop.now >= self._total_at:
            self._fail(faults.too_slow("total", self._timeouts))
        elif self.state is CONNECTING:
            self._try_next_address(faults.too_slow("connect", self._timeouts))
        else:
            self._fail(faults.too_slow(self._deadline_name, self._timeouts))

    def _explain(self, error: Exception) -> FetchError:
        if self._prologue is not None and isinstance(error, OSError):
            return self._prologue.eof()
        explained = faults.from_exception(error, host=self.route.origin.host, connected=self._opening is None)
        if explained.reason == "internal":
            _log.critical("fault of Hookline on %r", self, exc_info=error)
        return explained

    def _fail(self, error: FetchError) -> None:
        """Close, and end the exchange with this error or hand it back for a fresh connection."""
        exchange, state = self._exchange, self.state
        stale = self._served and faults.is_stale(error, self._reader.touched)
        self._exchange = None
        self._close()
        if exchange is None:
            return
        if stale and not exchange.replayed and exchange.request.method in _REPLAYABLE:
            exchange.replayed = True
            self._pool.dispatch(exchange, fresh=True)
        else:
            self._shared.done.append(faults.outcome(exchange, error, state, self._loop.now, self._reader))


class State(NamedTuple):
    """A row of the table: what the selector watches, which deadline runs, who is called when ready."""

    interest: int
    deadline: str  # a field of Timeouts; empty: none of its own
    ready: Callable[[Connection, Wire, int], None]


STATES: Final[dict[str, State]] = {
    NEW: State(0, "", Connection._ignore),
    RESOLVING: State(0, "dns", Connection._ignore),
    CONNECTING: State(WRITE, "connect", Connection._ready_connecting),
    PROXYING: State(READ, "connect", Connection._ready_proxying),
    HANDSHAKING: State(READ, "tls", Connection._ready_handshaking),
    SENDING: State(READ | WRITE, "idle", Connection._ready_sending),
    RECEIVING: State(READ, "first_byte", Connection._ready_receiving),
    IDLE: State(READ, "keepalive", Connection._ready_idle),
    CLOSED: State(0, "", Connection._ignore),
}
