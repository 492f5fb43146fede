"""Helpers of the fetch tests: a clock that jumps, a resolver without threads, and a network in one loop."""

from __future__ import annotations

import selectors
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.fetch.fetcher import Fetcher, Timeouts
from pipeline.fetch.loop import KINDS, Loop
from pipeline.fetch.resolver import Address, Answer
from pipeline.model import Failure, Request, Response
from tests.badserver.server import BadServer, Script

HERE = [kind for kind in KINDS if hasattr(selectors, f"{kind.capitalize()}Selector")]
Outcome = Response | Failure


class FakeClock:
    """Seconds that pass only when a test, or a `JumpSelector`, says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class JumpSelector(selectors.BaseSelector):
    """A real selector whose idle time passes at once: where it would sleep, the clock jumps by that much.

    Bytes on loopback arrive within microseconds; `GRACE` seconds of real time are given to them before a jump. A sleep
    without end is an error: nothing would ever happen again.
    """

    GRACE = 0.003

    def __init__(self, kind: str, clock: FakeClock) -> None:
        self.real: selectors.BaseSelector = getattr(selectors, f"{kind.capitalize()}Selector")()
        self.clock = clock
        self.changes = 0  # register, modify and unregister calls

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        self.changes += 1
        return self.real.register(fileobj, events, data)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        self.changes += 1
        return self.real.modify(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        self.changes += 1
        return self.real.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self.real.select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            ready = self.real.select(5)
            assert ready, "the loop sleeps for ever"
            return ready
        ready = self.real.select(min(timeout, self.GRACE))
        if not ready:
            self.clock.now += timeout
        return ready

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self.real.get_map()

    def close(self) -> None:
        self.real.close()


class FakeResolver:
    """Answers from a table: an `Answer` at once, or (delay in seconds, answer) later; None never."""

    def __init__(self, loop: Loop, table: Mapping[str, Any] | None = None) -> None:
        self.loop = loop
        self.table = dict(table or {})
        self.asked: list[str] = []

    def resolve(self, host: str, callback: Callable[[Answer], object]) -> Answer | None:
        self.asked.append(host)
        answer = self.table.get(host, (Address(2, host),))
        if isinstance(answer, tuple) and answer and isinstance(answer[0], float):
            self.loop.call_later(answer[0], lambda: callback(answer[1]))
            return None
        return answer  # type: ignore[no-any-return]


class Net:
    """Servers and fetchers on one loop whose clock jumps."""

    def __init__(self, kind: str) -> None:
        self.clock = FakeClock()
        self.selector = JumpSelector(kind, self.clock)
        self.loop = Loop(self.selector, self.clock)
        self.resolver = FakeResolver(self.loop)
        self._open: list[BadServer | Fetcher] = []
        self.registered = self.count_registered()

    def serve(self, script: Script, **options: Any) -> BadServer:
        server = BadServer(self.loop, script, **options)
        self._open.append(server)
        return server

    def fetcher(self, **options: Any) -> Fetcher:
        options.setdefault("resolver", self.resolver)
        options.setdefault("timeouts", Timeouts())
        fetcher = Fetcher(self.loop, **options)
        self._open.append(fetcher)
        return fetcher

    def fetch(self, fetcher: Fetcher, *requests: Request) -> list[Outcome]:
        """Start these one after another as room allows; all outcomes, in order of arrival."""
        left, outcomes = list(requests), []

        def tick() -> None:
            while fetcher.done:
                outcomes.append(fetcher.done.popleft())
            while left and fetcher.room > 0:
                fetcher.start(left.pop(0))
            if len(outcomes) == len(requests):
                self.loop.stop()

        self.run(tick)
        return outcomes

    def get(self, fetcher: Fetcher, url: str, **options: Any) -> Outcome:
        """The outcome of one request."""
        return self.fetch(fetcher, Request(url, **options))[0]

    def run(self, tick: Callable[[], object], turns: int = 100_000) -> None:
        """Run until the tick stops the loop; not more than so many turns."""
        left = turns

        def bounded() -> None:
            nonlocal left
            left -= 1
            assert left, f"still running after {turns} turns"
            tick()

        self.loop.run(bounded)

    def settle(self, seconds: float = 0.0, turns: int = 20) -> None:
        """Let what is in flight arrive; then pass so many seconds."""
        for _ in range(turns):
            self.loop.call_soon(self.loop.stop)
            self.loop.run()
            self.loop._turn(None)
        if seconds:
            self.loop.call_later(seconds, self.loop.stop)
            self.loop.run()

    def count_registered(self) -> int:
        return len(self.selector.get_map())

    def close(self) -> None:
        for thing in reversed(self._open):
            thing.close()
        left = self.count_registered() - self.registered
        self.loop.close()
        assert left == 0, f"{left} sockets still registered"


def describe(outcome: Outcome) -> str:
    """`200 good` or `TruncatedError early_eof RECEIVING`: what tests compare."""
    if isinstance(outcome, Failure):
        return f"{type(outcome.error).__name__} {outcome.error.reason} {outcome.state}"
    return f"{outcome.status} {outcome.body[:40].decode('latin-1')}"
