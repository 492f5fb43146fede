"""The loop: order of a turn, timers on a fake clock, wake-up, signals, no spinning."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.fetch.loop import NEVER, READ, WRITE, Loop, Timer
from tests.fetch.kit import HERE, FakeClock


class SleepingSelector(selectors.BaseSelector):
    """Nothing is ever ready; sleeping moves the clock and is written down."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.slept: list[float | None] = []
        self.keys: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self.keys[fileobj.fileno()] = selectors.SelectorKey(fileobj, fileobj.fileno(), events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self.keys.pop(fileobj.fileno())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.slept.append(timeout)
        assert timeout is not None, "sleeps for ever"
        self.clock.now += timeout
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self.keys


class Bench:
    """A loop on a fake clock without I/O."""

    def __init__(self) -> None:
        self.clock = FakeClock(0.0)
        self.selector = SleepingSelector(self.clock)
        self.loop = Loop(self.selector, self.clock)
        self.fired: list[tuple[float, str]] = []

    def note(self, name: str) -> Any:
        return lambda: self.fired.append((self.loop.now, name))

    def until(self, when: float) -> None:
        end = self.loop.call_at(when, self.loop.stop)
        self.loop.run()
        end.cancel()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.loop.close()


@pytest.fixture
def loop(kind: str) -> Iterator[Loop]:
    made = Loop(kind)
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    yield left, right
    left.close()
    right.close()


class TestSelector:
    def test_by_name(self, kind: str, loop: Loop) -> None:
        assert loop.selector_name == kind

    def test_auto_is_one_of_them(self) -> None:
        loop = Loop()
        assert loop.selector_name in HERE
        loop.close()

    def test_instance(self) -> None:
        loop = Loop(selectors.SelectSelector())
        assert loop.selector_name == "select"
        loop.close()

    @pytest.mark.parametrize("name", ["", "iocp", "Epoll", "default", "base"])
    def test_unknown_name_says_what_there_is(self, name: str) -> None:
        with pytest.raises(ValueError, match=r"auto, .*select"):
            Loop(name)


class TestTurn:
    def test_order(self, bench: Bench) -> None:
        order: list[str] = []
        bench.loop.call_at(0.0, lambda: order.append("timer"))
        bench.loop.call_soon(lambda: order.append("soon"))

        def before_poll() -> None:
            order.append("before_poll")
            bench.loop.stop()

        bench.loop.run(before_poll)
        assert order == ["timer", "soon", "before_poll"]

    def test_what_is_queued_meanwhile_waits_a_turn(self, bench: Bench) -> None:
        seen: list[str] = []
        turns = iter(range(9))
        bench.loop.call_soon(lambda: bench.loop.call_soon(lambda: seen.append("inner")))

        def before_poll() -> None:
            if next(turns) == 0:
                assert seen == []
            else:
                bench.loop.stop()

        bench.loop.run(before_poll)
        assert seen == ["inner"]
        assert bench.selector.slept == [0, 0]  # something waited; stopped

    def test_a_timer_set_to_now_by_a_timer_waits_a_turn(self, bench: Bench) -> None:
        count = 0

        def again() -> None:
            nonlocal count
            count += 1
            bench.loop.call_later(0, again)

        bench.loop.call_later(0, again)
        bench.loop.call_soon(bench.loop.stop)
        bench.loop.run()
        assert count == 1

    def test_stop_in_before_poll_does_not_sleep(self, bench: Bench) -> None:
        bench.loop.call_later(60, bench.note("late"))
        bench.loop.run(bench.loop.stop)
        assert bench.selector.slept == [0]

    def test_ready_objects(self, loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
        left, right = pair
        masks: list[int] = []

        def ready(mask: int) -> None:
            masks.append(mask)
            if mask & WRITE:
                right.send(b"x")
                loop.modify(left, READ, ready)
            else:
                loop.unregister(left)
                loop.stop()

        loop.register(left, READ | WRITE, ready)
        loop.run()
        assert masks == [WRITE, READ]

    @pytest.mark.parametrize("where", ["timer", "soon", "before_poll", "ready"])
    def test_an_exception_leaves_run(self, loop: Loop, pair: tuple[socket.socket, socket.socket], where: str) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError(where)

        if where == "timer":
            loop.call_later(0, broken)
        elif where == "soon":
            loop.call_soon(broken)
        elif where == "ready":
            loop.register(pair[0], WRITE, broken)
        with pytest.raises(ZeroDivisionError, match=where):
            loop.run(broken if where == "before_poll" else None)

    def test_late_bytes_beat_their_deadline(self, loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
        """When the process was held up past a deadline, what arrived meanwhile is seen first."""
        left, right = pair
        order: list[str] = []
        timer = loop.call_later(0.001, lambda: order.append("deadline"))

        def ready(mask: int) -> None:
            order.append("bytes")
            timer.move(NEVER)
            loop.unregister(left)
            loop.call_later(0.002, loop.stop)

        loop.register(left, READ, ready)
        right.send(b"x")
        held_up = iter([True])

        def before_poll() -> None:
            if next(held_up, False):
                end = time.monotonic() + 0.005
                while time.monotonic() < end:
                    pass

        loop.run(before_poll)
        assert order == ["bytes"]


class TestTimers:
    def test_in_order_of_time_then_of_setting(self, bench: Bench) -> None:
        for name, when in [("c", 3), ("a1", 1), ("b", 2), ("a2", 1)]:
            bench.loop.call_at(when, bench.note(name))
        bench.until(5)
        assert bench.fired == [(1, "a1"), (1, "a2"), (2, "b"), (3, "c")]

    def test_move_later_leaves_the_heap_alone(self, bench: Bench) -> None:
        timer = bench.loop.call_at(10, bench.note("t"))
        for when in range(11, 1000):
            timer.move(when)
        assert len(bench.loop._heap) == 1
        bench.until(2000)
        assert bench.fired == [(999, "t")]

    def test_move_earlier(self, bench: Bench) -> None:
        timer = bench.loop.call_at(60, bench.note("t"))
        timer.move(10)
        bench.until(100)
        assert bench.fired == [(10, "t")]

    def test_earlier_then_later_again(self, bench: Bench) -> None:
        timer = bench.loop.call_at(60, bench.note("t"))
        timer.move(10)
        timer.move(70)
        bench.until(100)
        assert bench.fired == [(70, "t")]

    def test_fires_once_and_can_be_set_again(self, bench: Bench) -> None:
        timer = bench.loop.call_at(1, bench.note("t"))
        bench.until(50)
        timer.move(60)
        bench.until(100)
        assert bench.fired == [(1, "t"), (60, "t")]

    def test_never(self, bench: Bench) -> None:
        timer = bench.loop.call_at(1, bench.note("t"))
        timer.move(NEVER)
        bench.until(100)
        assert bench.fired == []
        timer.move(101)
        bench.until(200)
        assert bench.fired == [(101, "t")]

    def test_cancelled_by_one_that_is_due_with_it(self, bench: Bench) -> None:
        victim: list[Timer] = []
        bench.loop.call_at(1, lambda: [v.cancel() for v in victim])
        victim.append(bench.loop.call_at(1, bench.note("victim")))
        bench.until(10)
        assert bench.fired == []

    def test_moved_by_one_that_is_due_with_it(self, bench: Bench) -> None:
        other: list[Timer] = []
        bench.loop.call_at(1, lambda: other[0].move(5))
        other.append(bench.loop.call_at(1, bench.note("t")))
        bench.until(10)
        assert bench.fired == [(5, "t")]

    def test_cancel_lets_go_of_callback_and_dead_entries(self, bench: Bench) -> None:
        timers = [bench.loop.call_at(1000 + n, bench.note("t")) for n in range(1000)]
        for timer in timers[10:]:
            timer.cancel()
            timer.cancel()
            assert timer.callback is None
        assert len(bench.loop._heap) < 150
        bench.until(5000)
        assert len(bench.fired) == 10

    def test_ten_thousand_due_at_once(self, bench: Bench) -> None:
        for n in range(10_000):
            bench.loop.call_at(5, bench.note(str(n)))
        start = time.perf_counter()
        bench.until(6)
        assert len(bench.fired) == 10_000
        assert time.perf_counter() - start < 5

    OPERATIONS = st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from(["move", "move", "move", "never", "cancel", "wait"]), st.integers(0, 20)
        ),
        max_size=60,
    )

    @settings(max_examples=300, deadline=None)
    @given(OPERATIONS)
    def test_law_fires_exactly_at_the_time_set_last(self, operations: list[tuple[int, str, int]]) -> None:
        bench = Bench()
        expected: list[tuple[float, str]] = []
        timers = [bench.loop.timer(bench.note(str(n))) for n in range(4)]
        due: dict[int, float] = {}
        for which, what, number in operations:
            if what == "wait":
                end = bench.clock.now + number + 0.5
                expected += sorted((when, str(n)) for n, when in due.items() if when <= end)
                due = {n: when for n, when in due.items() if when > end}
                bench.until(end)
                bench.loop.now = bench.clock.now
            elif what == "cancel":
                timers[which].cancel()
                due.pop(which, None)
            elif timers[which].callback is not None:
                when = NEVER if what == "never" else bench.clock.now + number + 1
                timers[which].move(when)
                due.pop(which, None)
                if when != NEVER:
                    due[which] = when
        assert sorted(bench.fired) == sorted(expected)
        assert [when for when, _ in bench.fired] == sorted(when for when, _ in bench.fired)
        bench.loop.close()


class TestSleep:
    @pytest.mark.parametrize("delay", [0.0001, 0.0007, 0.0101, 0.0234])
    def test_no_spinning_before_a_timer(self, kind: str, delay: float) -> None:
        """A poll that ended before its timer would be repeated with timeout 0 until the clock gets there."""
        loop = Loop(kind)
        turns = 0

        def count() -> None:
            nonlocal turns
            turns += 1

        start = loop.now
        loop.call_at(start + delay, loop.stop)
        loop.run(count)
        assert loop.now >= start + delay
        assert turns <= 3
        loop.close()

    def test_sleeps_for_ever_with_nothing_to_do(self, loop: Loop) -> None:
        assert loop._sleep() == 0  # not running
        loop._running = True
        assert loop._sleep() is None

    def test_cancelled_timers_cost_one_wake_up_each_at_most(self, bench: Bench) -> None:
        for n in range(5):
            bench.loop.call_at(n + 1, bench.note("t")).cancel()
        bench.until(100)
        assert len(bench.selector.slept) <= 8


class TestThreads:
    def test_wakes_a_sleeping_loop(self, loop: Loop) -> None:
        seen: list[str] = []

        def work() -> None:
            loop.call_soon_threadsafe(lambda: seen.append("called"))
            loop.call_soon_threadsafe(loop.stop)

        thread = threading.Thread(target=work)
        loop.call_soon(thread.start)
        loop.run()
        thread.join()
        assert seen == ["called"]

    def test_none_is_lost(self, loop: Loop) -> None:
        total, seen = 4 * 2000, []

        def work() -> None:
            for n in range(2000):
                loop.call_soon_threadsafe(lambda n=n: seen.append(n))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        loop.run(lambda: len(seen) == total and loop.stop())
        for thread in threads:
            thread.join()
        assert len(seen) == total

    def test_after_close(self, kind: str) -> None:
        loop = Loop(kind)
        loop.close()
        loop.close()
        loop.call_soon_threadsafe(loop.stop)
        assert not loop._running


class TestSignals:
    def test_callback_in_the_loop(self, kind: str) -> None:
        before = signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGUSR2)
        loop = Loop(kind)
        seen: list[str] = []
        loop.on_signal(signal.SIGUSR1, lambda: seen.append("usr1"))
        loop.on_signal(signal.SIGUSR2, lambda: seen.append("old"))
        loop.on_signal(signal.SIGUSR2, lambda: (seen.append("usr2"), loop.stop()))
        loop.call_soon(lambda: os.kill(os.getpid(), signal.SIGUSR1))
        loop.call_later(0.01, lambda: os.kill(os.getpid(), signal.SIGUSR2))
        loop.run()
        loop.close()
        assert seen == ["usr1", "usr2"]
        assert (signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGUSR2)) == before
        assert signal.set_wakeup_fd(-1) == -1

    def test_main_thread_only(self, loop: Loop) -> None:
        errors: list[Exception] = []

        def work() -> None:
            try:
                loop.on_signal(signal.SIGUSR1, loop.stop)
            except ValueError as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert len(errors) == 1


def test_rests_before_a_poll_as_long_as_somebody_says(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    rested: list[float] = []
    monkeypatch.setattr("pipeline.fetch.loop.time.sleep", rested.append)
    said = iter([0.002, 0.0, -1.0, 0.001])
    turns = 0

    def before_poll() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(lambda: None)
        if turns == 4:
            loop.rest_with(None)
        if turns == 6:
            loop.stop()

    loop.rest_with(lambda: next(said))
    loop.run(before_poll)
    assert (rested, turns) == ([0.002], 6), "not for no time, not when nobody says, not when it ends"
