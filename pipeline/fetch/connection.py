"""One connection to one origin, from name lookup to close, carrying one exchange at a time.

Answers for: the state machine, the deadlines, the system calls on its socket. Must not know: the resolver, the pool and
the fetcher other than as the objects handed in, how exchanges are chosen, what becomes of an outcome.

The machine is the table `STATES`; in words:

  state        waits for      deadline           when ready                                       leaves to
  NEW          nothing        -                  `start`                                          RESOLVING
  RESOLVING    the resolver   dns                addresses are in hand                            CONNECTING
  CONNECTING   WRITE          connect, each      read SO_ERROR; on error the next address         SENDING, RECEIVING
               address
  HANDSHAKING  (TLS has its place here; plain HTTP goes on at once)
  SENDING      READ, WRITE    idle               send on; an answer that comes early is read      RECEIVING, IDLE
  RECEIVING    READ           first_byte for     one `recv_into` the shared buffer, feed the      IDLE
               the head,      then idle          reader
  IDLE         READ           keepalive          hang-up or stray bytes: close                    SENDING, RECEIVING
  CLOSED       nothing        -                  ignored

Every state may go to CLOSED. While an exchange is under way its `total` deadline holds too, whichever comes first.
A first send is tried at once, with READ already registered: a GET fits the socket buffer, so a request on an idle
connection goes straight to RECEIVING and costs no change at the selector. One read per readiness: polls are
level-triggered, what is left over is reported again, and other connections get their turn.

Invariants
1. Each exchange has exactly one end: a Response or Failure appended to `done`, a hand-back to the pool (once, below),
   or silence after `abort`.
2. `_enter` is the only writer of `state`. `_release` is the only place that unregisters and closes a socket, in that
   order; `_close` the only way into CLOSED.
3. Events, timers and lookups that reach a closed connection are ignored: the selector hands over the object that was
   registered, not a number that may have been given to another socket meanwhile.
4. What peers cause becomes a FetchError of this exchange. So does a fault of ours (reason `internal`, logged with its
   traceback): one page cannot end a run.
5. If a kept connection dies before the first byte of an answer to GET or HEAD, the server closed it as we wrote: the
   exchange is handed back once, for a fresh connection, and no attempt is counted (RFC 9112, 9.3.1).
6. A kept connection is used again only if nothing has come on it since its last response.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from pipeline.errors import ConnectError, FetchError, ResolveError, TruncatedError
from pipeline.fetch import faults
from pipeline.fetch.exchange import Exchange, Shared
from pipeline.fetch.loop import NEVER, READ, WRITE
from pipeline.fetch.resolver import Address, Answer
from pipeline.model import Failure, Response
from pipeline.url import Origin

_log = logging.getLogger(__name__)

NEW: Final = "NEW"
RESOLVING: Final = "RESOLVING"
CONNECTING: Final = "CONNECTING"
SENDING: Final = "SENDING"
RECEIVING: Final = "RECEIVING"
IDLE: Final = "IDLE"
CLOSED: Final = "CLOSED"

_REPLAYABLE = frozenset({"GET", "HEAD"})
_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})


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
        "_addresses",
        "_buffer",
        "_deadline_name",
        "_exchange",
        "_interest",
        "_ip",
        "_loop",
        "_pool",
        "_reader",
        "_ready",
        "_served",
        "_shared",
        "_sock",
        "_timeouts",
        "_timer",
        "_total_at",
        "_unsent",
        "origin",
        "state",
    )

    def __init__(self, shared: Shared, pool: Pool, origin: Origin) -> None:
        # given
        self._shared = shared
        self._loop = shared.loop
        self._timeouts = shared.timeouts
        self._buffer = shared.buffer
        self._pool = pool
        self.origin = origin
        # per connection
        self.state = NEW
        self._ready: Callable[[Connection, int], None] = STATES[NEW].ready
        self._sock: socket.socket | None = None
        self._interest = 0  # what the selector has; 0: not registered
        self._timer = shared.loop.timer(self._on_deadline)
        self._deadline_name = ""
        self._addresses: deque[Address] = deque()  # not tried yet
        self._ip = ""  # the one that is connected to
        self._reader = shared.make_reader()
        self._served = 0  # whole responses so far
        # per exchange
        self._exchange: Exchange | None = None
        self._total_at = NEVER
        self._unsent: bytes | memoryview = b""

    def __repr__(self) -> str:
        return f"<Connection {self.origin.host}:{self.origin.port} {self.state} served={self._served}>"

    def start(self, exchange: Exchange) -> None:
        """Carry this exchange; the connection is NEW or IDLE. One that turns out to be spoilt hands it back."""
        if self._sock is not None and self._has_input(self._sock):
            self._close()
            self._pool.dispatch(exchange, fresh=True)
            return
        self._exchange = exchange
        self._total_at = exchange.started + self._timeouts.total
        self._reader.begin(exchange.request.method)
        try:
            if self._sock is not None:
                self._begin_send()
            else:
                self._enter(RESOLVING)
                answer = self._shared.resolver.resolve(self.origin.host, self._on_answer)
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
        try:
            self._ready(self, mask)
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

    def _enter(self, name: str) -> None:
        state = STATES[name]
        self.state = name
        self._ready = state.ready
        if state.interest != self._interest:
            self._watch(state.interest)
        self._arm(state.deadline)

    def _watch(self, interest: int) -> None:
        if self._sock is None or interest == self._interest:
            return
        if self._interest and interest:
            self._loop.modify(self._sock, interest, self._on_ready)
        elif interest:
            self._loop.register(self._sock, interest, self._on_ready)
        else:
            self._loop.unregister(self._sock)
        self._interest = interest

    def _arm(self, name: str) -> None:
        """Run this deadline from now on, or the total one if that is earlier."""
        self._deadline_name = name
        when: float = self._loop.now + getattr(self._timeouts, name) if name else NEVER
        self._timer.move(when if when < self._total_at else self._total_at)

    def _release(self) -> None:
        """Give the socket up. Unregistered first: a closed socket can no longer be taken out of a selector."""
        if self._sock is not None:
            self._watch(0)
            self._sock.close()
            self._sock = None

    def _close(self) -> None:
        if self.state is CLOSED:
            return
        self._release()
        self._total_at = NEVER
        self._enter(CLOSED)
        self._timer.cancel()
        self._reader.close()
        self._pool.became_closed(self)

    # --- RESOLVING and CONNECTING

    def _take_answer(self, answer: Answer) -> None:
        if isinstance(answer, ResolveError):
            self._fail(answer)
            return
        self._addresses.extend(answer)
        self._try_next_address(ConnectError(f"{self.origin.host} has no address", reason="no_address"))

    def _try_next_address(self, failed: FetchError) -> None:
        """Connect to the next address; if none is left, that the last one `failed` is the outcome."""
        while self._addresses:
            self._release()
            try:
                code = self._connect(self._addresses.popleft())
            except OSError as error:  # such as: no IPv6 in this kernel, no descriptor left
                code = error.errno or 0
            else:
                if code == 0 or code in _UNDER_WAY:
                    self._enter(CONNECTING)
                    return
            failed = faults.connect_failed(self.origin, self._ip, code)
        self._fail(failed)

    def _connect(self, address: Address) -> int:
        self._ip = address.ip
        self._sock = sock = self._shared.make_socket(address.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock.connect_ex((address.ip, self.origin.port))

    def _ready_connecting(self, mask: int) -> None:
        assert self._sock is not None
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._try_next_address(faults.connect_failed(self.origin, self._ip, code))
        else:
            self._begin_send()

    # --- SENDING

    def _begin_send(self) -> None:
        assert self._exchange is not None
        self._unsent = self._exchange.payload
        self._send_on()

    def _ready_sending(self, mask: int) -> None:
        if mask & READ:
            self._ready_receiving(mask)
        if mask & WRITE and self.state is SENDING:
            self._send_on()

    def _send_on(self) -> None:
        assert self._sock is not None
        try:
            sent = self._sock.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            # The peer reads no more, but may have said why before: its answer or its hang-up is read next.
            self._enter(RECEIVING)
            return
        if sent == len(self._unsent):
            self._unsent = b""
            self._enter(RECEIVING)
        else:
            self._unsent = memoryview(self._unsent)[sent:]
            self._enter(SENDING)

    # --- RECEIVING

    def _ready_receiving(self, mask: int) -> None:
        assert self._sock is not None
        try:
            size = self._sock.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return  # readiness was a false alarm
        reader = self._reader
        if reader.feed(self._buffer[:size]) if size else reader.eof():
            self._succeed()
        elif reader.head_done or self.state is SENDING:
            self._arm("idle")

    def _succeed(self) -> None:
        exchange, reader = self._exchange, self._reader
        assert exchange is not None
        if reader.status in (206, 304):
            faults.refuse_unasked(exchange, reader.status)
        elapsed = self._loop.now - exchange.started
        response = Response(exchange.request, reader.status, reader.headers, reader.body, elapsed, reader.flags)
        self._exchange = None  # only now: had the body found no memory, the exchange would still need an end
        self._served += 1
        self._shared.done.append(response)
        if reader.reusable and not self._unsent:
            self._total_at = NEVER
            self._enter(IDLE)
            self._pool.became_idle(self)
        else:
            self._close()

    @staticmethod
    def _has_input(sock: socket.socket) -> bool:
        """Whether a kept connection holds a hang-up or bytes that no poll has reported yet.

        Bytes would be taken for the answer to the next request, so this look is worth its system call (RFC 9112, 9.2).
        """
        try:
            sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        return True

    def _ready_idle(self, mask: int) -> None:
        """Nothing was asked, so whatever comes ends the connection: a hang-up, an error, or stray bytes."""
        self._close()

    def _ignore(self, mask: int) -> None:
        """Nothing is registered in this state: an event of the batch in which the socket was given up."""

    # --- endings

    def _miss_deadline(self) -> None:
        if self._loop.now >= self._total_at:
            self._fail(faults.too_slow("total", self._timeouts))
        elif self.state is CONNECTING:
            self._try_next_address(faults.too_slow("connect", self._timeouts))
        else:
            self._fail(faults.too_slow(self._deadline_name, self._timeouts))

    def _explain(self, error: Exception) -> FetchError:
        explained = faults.from_exception(
            error, host=self.origin.host, connected=self.state in (SENDING, RECEIVING, IDLE)
        )
        if explained.reason == "internal":
            _log.error("fault of Hookline on %r", self, exc_info=error)
        return explained

    def _fail(self, error: FetchError) -> None:
        """Close, and end the exchange with this error or hand it back for a fresh connection."""
        exchange, state = self._exchange, self.state
        stale = self._served and not self._reader.touched and isinstance(error, TruncatedError)
        self._exchange = None
        self._close()
        if exchange is None:
            return
        if stale and not exchange.replayed and exchange.request.method in _REPLAYABLE:
            exchange.replayed = True
            self._pool.dispatch(exchange, fresh=True)
        else:
            self._shared.done.append(Failure(exchange.request, error, state, self._loop.now - exchange.started))


class State(NamedTuple):
    """A row of the table: what the selector watches, which deadline runs, who is called when ready."""

    interest: int
    deadline: str  # a field of Timeouts; empty: none of its own
    ready: Callable[[Connection, int], None]


STATES: Final[dict[str, State]] = {
    NEW: State(0, "", Connection._ignore),
    RESOLVING: State(0, "dns", Connection._ignore),
    CONNECTING: State(WRITE, "connect", Connection._ready_connecting),
    SENDING: State(READ | WRITE, "idle", Connection._ready_sending),
    RECEIVING: State(READ, "first_byte", Connection._ready_receiving),
    IDLE: State(READ, "keepalive", Connection._ready_idle),
    CLOSED: State(0, "", Connection._ignore),
}
