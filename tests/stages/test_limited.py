"""Hooks in this process come back in time, however they are stuck; whoever had an alarm before has it again."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.errors import PluginError
from pipeline.model import Request
from pipeline.stages.limited import TookTooLong, limited


def spin() -> None:
    while True:
        pass


def wait_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def backtrack() -> None:
    re.match(r"(a*)*b", "a" * 40)


def catch_everything_once() -> None:
    try:
        time.sleep(60)
    except BaseException:
        time.sleep(60)


@pytest.mark.parametrize("stuck", [spin, wait_for_a_lock, backtrack, lambda: time.sleep(60)])
def test_a_call_that_does_not_come_back_is_interrupted(stuck: Callable[[], None]) -> None:
    begin = time.monotonic()
    with pytest.raises(TookTooLong, match=r"^more than 0\.1 s$"):
        limited(stuck, 0.1)()
    assert time.monotonic() - begin < 5


def test_one_that_catches_it_is_interrupted_once_more() -> None:
    with pytest.raises(TookTooLong):
        limited(catch_everything_once, 0.05)()


def test_what_comes_back_is_as_without() -> None:
    before = signal.getsignal(signal.SIGALRM)
    assert limited(lambda one, two: one + two, 5)(1, 2) == 3
    with pytest.raises(ZeroDivisionError):
        limited(lambda: 1 / 0, 5)()
    assert signal.getsignal(signal.SIGALRM) is before


def test_each_step_of_a_generator_has_its_time() -> None:
    def numbers() -> Iterator[int]:
        for number in range(4):
            time.sleep(0.05)
            yield number
        time.sleep(60)

    steps = limited(numbers, 0.15)()
    assert [next(steps) for _ in range(4)] == [0, 1, 2, 3]
    time.sleep(0.3)  # between steps nothing is counted
    with pytest.raises(TookTooLong):
        next(steps)


def test_an_alarm_of_before_is_due_when_it_was() -> None:
    rung: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    left = signal.setitimer(signal.ITIMER_REAL, 0.3)
    begin = time.monotonic()
    try:
        limited(time.sleep, 5)(0.1)
        assert not rung
        assert 0.1 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.2
        limited(time.sleep, 5)(0.3)  # it was due meanwhile
        time.sleep(0.1)
        assert len(rung) == 1 and 0.3 <= rung[0] - begin < 0.5
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, max(left[0] - 1, 1) if left[0] else 0)


def test_another_thread_has_no_alarms() -> None:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(limited(lambda: "here", 0.1)()))
    thread.start()
    thread.join()
    assert answers == ["here"]


def test_a_host_charges_the_plugin(shop: Any) -> None:
    shop.write(
        "a.py",
        """
        import time
        @hookimpl
        def prepare_request(request):
            if "slow" in request.url:
                time.sleep(60)
        @hookimpl
        def run_start(): time.sleep(60)
        @hookimpl
        def seeds():
            yield Request("http://a/")
            time.sleep(60)
        """,
    )
    host = shop.load(plugins=["a.py"])
    host.limit(0.05)
    assert host.prepare_request(Request("http://a/")).url == "http://a/"
    with pytest.raises(
        PluginError, match=r"plugin a, hook prepare_request: TookTooLong: more than 0\.05 s \(.*a\.py:7\)"
    ):
        host.prepare_request(Request("http://a/slow"))
    with pytest.raises(PluginError, match=r"hook run_start: TookTooLong: more than 0\.5 s \(.*a\.py:9\)"):
        host.run_start(shop.run)
    seeds = host.seeds(shop.run)
    assert next(seeds).url == "http://a/"
    with pytest.raises(PluginError, match=r"hook seeds: TookTooLong: more than 0\.5 s \(.*a\.py:13\)"):
        next(seeds)
