"""Waiting: back-off, Retry-After, host pauses and autothrottle, by tables and by their laws."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.throttle import (
    FIRST_PAUSE,
    MAX_DELAY,
    AutoThrottle,
    HostPause,
    asks_for_quiet,
    backoff,
    jittered,
    retry_after,
)

WALL = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples
RANDOM = st.floats(0, 1, exclude_max=True)


def middle() -> float:
    return 0.5


@pytest.mark.parametrize(("attempt", "seconds"), [(0, 1), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (10_000, 60)])
def test_backoff_doubles_up_to_the_cap(attempt: int, seconds: float) -> None:
    assert backoff(attempt, middle) == seconds


@given(st.integers(-5, 10_000), RANDOM, st.floats(0, 1e3), st.floats(0, 1e4))
def test_backoff_stays_in_its_bounds(attempt: int, random: float, base: float, cap: float) -> None:
    wait = backoff(attempt, lambda: random, base=base, cap=cap)
    assert min(cap, base * 0.5) <= wait <= cap
    assert wait <= backoff(attempt + 1, lambda: random, base=base, cap=cap)


@given(st.floats(0, 1e4), st.floats(0, 1), RANDOM)
def test_jitter_stays_in_its_bounds(delay: float, jitter: float, random: float) -> None:
    assert delay * (1 - jitter) * 0.999 <= jittered(delay, jitter, lambda: random) <= delay * (1 + jitter) * 1.001


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("1.5", 1.5),
        ("Sun, 06 Nov 1994 08:51:37 GMT", 120),
        ("Sunday, 06-Nov-94 08:51:37 GMT", 120),
        ("Sun Nov  6 08:51:37 1994", 120),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
        ("9" * 400, float("inf")),
        (None, None),
        ("", None),
        ("-5", None),
        ("1e3", None),
        ("soon", None),
        ("nan", None),
        ("\u0661", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, WALL) == seconds


@given(st.text(max_size=40))
def test_retry_after_never_raises(value: str) -> None:
    seconds = retry_after(value, WALL)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("status", "asked", "quiet"),
    [(429, None, True), (429, 5.0, True), (503, 5.0, True), (503, 0.0, True), (503, None, False), (500, 5.0, False)],
)
def test_what_pauses_a_host(status: int, asked: float | None, quiet: bool) -> None:
    assert asks_for_quiet(status, asked) is quiet


def test_a_pause_lasts_as_long_as_asked_and_adds_up_to_the_limit() -> None:
    pause = HostPause(600)
    assert pause.refuse(1000, 300, middle)
    assert pause.until == 1300
    assert pause.refuse(1300, 300, middle)
    assert (pause.until, pause.waited) == (1600, 600)
    assert not pause.refuse(1600, 1, middle)
    assert pause.deferred


def test_one_wait_beyond_the_limit_is_deferred_at_once() -> None:
    pause = HostPause(600)
    assert not pause.refuse(0, 3600, middle)
    assert pause.deferred
    assert pause.until == 3600
    assert not HostPause(600).refuse(0, float("inf"), middle)


def test_answers_that_were_under_way_count_once() -> None:
    pause = HostPause(600)
    for _ in range(16):
        assert pause.refuse(10, None, middle)
    assert (pause.until, pause.waited) == (10 + FIRST_PAUSE, FIRST_PAUSE)
    assert pause.refuse(20, 60, middle)
    assert (pause.until, pause.waited) == (80, 70)


def test_without_a_number_pauses_double_until_an_answer() -> None:
    pause = HostPause(10_000)
    waits = []
    now = 0.0
    for _ in range(8):
        pause.refuse(now, None, middle)
        waits.append(pause.until - now)
        now = pause.until
    assert waits == [30, 60, 120, 240, 480, 960, 1800, 1800]
    pause.answered()
    assert (pause.waited, pause.until) == (0, now)
    pause.refuse(now, None, middle)
    assert pause.until == now + 30


@pytest.mark.parametrize("asked", [0.0, 0.001])
def test_waits_of_nothing_add_up_too(asked: float) -> None:
    """A host that says 429 with Retry-After 0 for ever is neither hammered nor asked for ever."""
    pause = HostPause(600)
    waits, now = [], 0.0
    while pause.refuse(now, asked, middle):
        waits.append(pause.until - now)
        now = pause.until
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256] and pause.deferred


@given(st.lists(st.tuples(st.floats(0, 500), st.none() | st.floats(0, 1e6), st.booleans()), max_size=30), st.integers())
def test_a_pause_never_shrinks_and_never_hides_a_wait(steps: list[tuple[float, float | None, bool]], seed: int) -> None:
    pause, now, rng = HostPause(600), 0.0, Random(seed).random
    for passed, asked, good in steps:
        now += passed
        if good:
            pause.answered()
            assert not pause.deferred
            continue
        before, waited = pause.until, pause.waited
        waits = pause.refuse(now, asked, rng)
        assert pause.until >= max(before, now)
        assert asked is None or pause.until >= now + asked
        assert pause.waited >= waited
        assert waits is (pause.waited <= 600) is (not pause.deferred)


def test_autothrottle_follows_a_slow_host_and_comes_back() -> None:
    pace = AutoThrottle(1.0)
    assert [pace.observe(5.0, True) for _ in range(3)] == [3.0, 4.0, 4.5]
    assert pace.observe(0.01, False) == 4.5  # errors come fast
    assert pace.observe(9.5, False) == 7.0  # and slow ones count
    for _ in range(20):
        pace.observe(0.1, True)
    assert pace.delay == 1.0


def test_autothrottle_is_off_without_a_delay() -> None:
    pace = AutoThrottle(0.0)
    assert pace.observe(30.0, True) == 0.0


@given(st.floats(0.001, 200), st.lists(st.tuples(st.floats(0, 1e6), st.booleans()), max_size=40))
def test_autothrottle_stays_between_delay_and_a_minute(delay: float, answers: list[tuple[float, bool]]) -> None:
    pace = AutoThrottle(delay)
    for latency, ok in answers:
        before = pace.delay
        after = pace.observe(latency, ok)
        assert delay <= after <= max(MAX_DELAY, delay)
        assert ok or after >= before
