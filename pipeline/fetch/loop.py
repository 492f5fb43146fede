"""One loop over one `selectors` selector: everything that waits in Hookline waits here.

Answers for: readiness callbacks, timers, callbacks queued for the next turn, wake-up from other threads, signals.
Must not know: sockets beyond "a file object", HTTP, or any other module of ours.

One turn, in this order:

    due timers -> callbacks that were queued when the step began -> `before_poll` -> poll -> dispatch of what is ready

`before_poll` is the pump: work that events cause is done there, batched once a turn, not inside each callback.
I/O comes before timers on purpose: when the process was held up (a long `before_poll`, a suspended machine), bytes that
had arrived meanwhile first move their connections' deadlines, so that nobody is blamed for our delay.

Timers. Deadlines nearly never fire but move all the time, so a `Timer` carries its deadline as an attribute and the
heap is lazy: moving a deadline *later* writes the attribute and leaves the heap alone; the old entry comes up early,
sees the attribute, and goes back in at the real time. Only a move to *earlier* than the queued entry pushes a new one;
the old one is recognised as stale when it comes up (its time is not the one that the timer says it is queued for). So
progress on a connection costs one store, and a request on a kept connection usually no heap operation.

Invariants
1. The loop has no `try`: an exception that reaches it is a bug of the layer above and leaves `run` with its traceback.
2. A callback queued during a step runs in the next turn at the earliest; a timer never runs before its time.
3. `now` is read before timers are judged and before `before_poll` and does not change within a callback.
4. With nothing to do the loop sleeps in the poll: it never spins. (`selectors` rounds the timeout of `poll` and `epoll`
   up to a whole millisecond, so a poll never ends before the timer that it waits for.)
5. Another thread may only call `call_soon_threadsafe`, which appends to a deque and writes one byte.
6. An object must be unregistered before it is closed: a closed one can no longer be taken out of `epoll`.
"""

from __future__ import annotations

import heapq
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

Callback = Callable[[], object]
ReadyCallback = Callable[[int], object]

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
NEVER = float("inf")
KINDS = ("epoll", "kqueue", "poll", "select")
_FEW = 64  # below so many heap entries, dead ones are not worth a clean-up


class Timer:
    """A deadline in seconds of the loop's clock and what to call then. It fires once a `move`."""

    __slots__ = ("_loop", "callback", "queued", "when")

    def __init__(self, loop: Loop, callback: Callback) -> None:
        self._loop = loop
        self.callback: Callback | None = callback
        self.when = NEVER
        self.queued = NEVER  # time of the one heap entry that counts; NEVER: none is in the heap

    def move(self, when: float) -> None:
        """Fire at `when` (NEVER: not at all) in place of the time set before."""
        self.when = when
        if when < self.queued:
            self._loop._push(self)

    def cancel(self) -> None:
        """Never fire again, and let go of the callback."""
        self.when = NEVER
        if self.callback is not None:
            self.callback = None
            if self.queued != NEVER:
                self._loop._bury()


class Loop:
    """See the module's head. `selector` is a name of `KINDS`, "auto" or an instance; `clock` gives seconds."""

    def __init__(
        self, selector: str | selectors.BaseSelector = "auto", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._selector = _make_selector(selector) if isinstance(selector, str) else selector
        self._clock = clock
        self.now = clock()
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = count()  # settles ties, so that timers are never compared
        self._dead = 0
        self._soon: deque[Callback] = deque()
        self._running = False
        self._spare: Callable[[], float] | None = None
        self._signals: dict[int, Callback] = {}
        self._handlers: dict[int, Any] = {}  # what was there before us, put back by `close`
        self._old_wakeup_fd: int | None = None
        self._waker, self._wakee = socket.socketpair()
        self._waker.setblocking(False)
        self._wakee.setblocking(False)
        self._awake = False  # a wake-up byte is on its way
        self.register(self._wakee, READ, self._wake)

    @property
    def selector_name(self) -> str:
        """The kind of selector in use: epoll, kqueue, poll, select, or the class name of one handed in."""
        return type(self._selector).__name__.removesuffix("Selector").lower()

    # --- file objects

    def register(self, fileobj: Any, events: int, callback: ReadyCallback) -> None:
        """Call `callback(mask)` whenever `fileobj` is ready for `events` (READ | WRITE)."""
        self._selector.register(fileobj, events, callback)

    def modify(self, fileobj: Any, events: int, callback: ReadyCallback) -> None:
        """Change what a registered `fileobj` waits for."""
        self._selector.modify(fileobj, events, callback)

    def unregister(self, fileobj: Any) -> None:
        """Forget `fileobj`; to be called before it is closed."""
        self._selector.unregister(fileobj)

    # --- timers and queued callbacks

    def timer(self, callback: Callback) -> Timer:
        """A timer that is not set yet: `move` sets it."""
        return Timer(self, callback)

    def call_at(self, when: float, callback: Callback) -> Timer:
        """Call once, at `when` seconds of the loop's clock or as soon as possible after."""
        timer = Timer(self, callback)
        timer.move(when)
        return timer

    def call_later(self, delay: float, callback: Callback) -> Timer:
        """Call once, `delay` seconds from now."""
        return self.call_at(self.now + delay, callback)

    def call_soon(self, callback: Callback) -> None:
        """Call in the next turn."""
        self._soon.append(callback)

    def call_soon_threadsafe(self, callback: Callback) -> None:
        """`call_soon` from any thread; wakes the loop. After `close` it does nothing."""
        self._soon.append(callback)
        if not self._awake:  # one byte is enough, and leaves the pair room for signals
            self._awake = True
            try:
                self._waker.send(b"\0")
            except OSError:  # full: the loop is about to wake anyway; closed: nobody is left to wake
                return

    def on_signal(self, signum: int, callback: Callback) -> None:
        """Call in a turn of the loop when the signal arrives. Main thread only (ValueError elsewhere)."""
        if self._old_wakeup_fd is None:
            self._old_wakeup_fd = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        # The C handler writes the number to the pair only if a Python handler is there: this one does nothing.
        previous = signal.signal(signum, lambda *_: None)
        self._handlers.setdefault(signum, previous)
        self._signals[signum] = callback

    # --- running

    def run(self, before_poll: Callback | None = None) -> None:
        """Turn until `stop`; `before_poll` is called once a turn."""
        self._running = True
        while self._running:
            self._turn(before_poll)

    def rest_with(self, spare: Callable[[], float] | None) -> None:
        """Before each poll, do nothing for as many seconds as `spare` says: what gets ready is then taken in one turn.

        A turn has a price whatever it does. Where others are busy anyway, fewer turns leave more processor to them.
        """
        self._spare = spare

    def stop(self) -> None:
        """End `run` after this turn, without sleeping."""
        self._running = False

    def close(self) -> None:
        """Put signal handlers back and close the selector. What others registered they must have taken out."""
        if self._old_wakeup_fd is not None:
            signal.set_wakeup_fd(self._old_wakeup_fd)
            self._old_wakeup_fd = None
        for signum, previous in self._handlers.items():
            signal.signal(signum, previous)
        self._handlers.clear()
        if self._wakee.fileno() >= 0:
            self._selector.unregister(self._wakee)
            self._wakee.close()
            self._waker.close()
            self._selector.close()

    def _turn(self, before_poll: Callback | None) -> None:
        if self._heap:
            self._run_timers()
        for _ in range(len(self._soon)):
            self._soon.popleft()()
        if before_poll is not None:
            self.now = self._clock()
            before_poll()
        if self._spare is not None and self._running and (rest := self._spare()) > 0:
            time.sleep(rest)
        ready = self._selector.select(self._sleep())
        self.now = self._clock()
        for key, mask in ready:
            key.data(mask)

    def _sleep(self) -> float | None:
        """Seconds that the poll may take; None: until something is ready."""
        if self._soon or not self._running:
            return 0
        if not self._heap:
            return None
        return max(0.0, self._heap[0][0] - self._clock())

    def _run_timers(self) -> None:
        now, due = self.now, self._pop_due()
        for timer in due:
            if timer.when <= now and timer.callback is not None:
                timer.when = NEVER
                timer.callback()
            elif timer.when < timer.queued:  # moved later since it was queued
                self._push(timer)

    def _pop_due(self) -> list[Timer]:
        """Take due entries off the heap; all of them before any is run, so that a timer set to "now" waits a turn."""
        heap, now, due = self._heap, self.now, []
        while heap and heap[0][0] <= now:
            when, _, timer = heapq.heappop(heap)
            if timer.queued != when:
                continue  # stale: it was moved to an earlier time
            timer.queued = NEVER
            if timer.callback is None:
                self._dead -= 1
            else:
                due.append(timer)
        return due

    def _push(self, timer: Timer) -> None:
        timer.queued = timer.when
        heapq.heappush(self._heap, (timer.when, next(self._sequence), timer))

    def _bury(self) -> None:
        """Count a cancelled timer; when they are the greater part of the heap, leave them out."""
        self._dead += 1
        if self._dead > _FEW and self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].callback and entry[2].queued == entry[0]]
            heapq.heapify(self._heap)
            self._dead = 0

    def _wake(self, mask: int) -> None:
        data = self._wakee.recv(4096)
        self._awake = False  # before the queue is read: a thread that comes now writes again
        for signum in data:
            if signum in self._signals:
                self.call_soon(self._signals[signum])


def _make_selector(name: str) -> selectors.BaseSelector:
    if name == "auto":
        return selectors.DefaultSelector()
    kind = getattr(selectors, f"{name.capitalize()}Selector", None) if name in KINDS else None
    if kind is None:
        there = ", ".join(k for k in KINDS if hasattr(selectors, f"{k.capitalize()}Selector"))
        raise ValueError(f"no selector {name!r} on this system; there are auto, {there}")
    made: selectors.BaseSelector = kind()
    return made
