"""The first signal is noted, the second one ends at once, and afterwards all is as it was."""

from __future__ import annotations

import signal
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.interrupts import WANTED
from pipeline.runner.signals import Forced, Signals


def signals() -> tuple[Signals, list[str]]:
    """With a loop that calls at once."""
    loop: Any = SimpleNamespace(call_soon_threadsafe=lambda call: call())
    return Signals(loop), []


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_one_stops_and_two_end(signum: signal.Signals, code: int) -> None:
    before = [signal.getsignal(one) for one in WANTED]
    held, stopped = signals()
    engine: Any = SimpleNamespace(stop=stopped.append)
    with held:
        held.give_to(engine)
        assert not held.came()
        signal.raise_signal(signum)
        assert held.came() and stopped == [f"signal {signum.name}"]
        with pytest.raises(Forced) as caught:
            signal.raise_signal(signum)
        assert caught.value.exit_code == code
    assert [signal.getsignal(one) for one in WANTED] == before


def test_one_that_came_before_the_engine_stops_it() -> None:
    held, stopped = signals()
    engine: Any = SimpleNamespace(stop=stopped.append)
    with held:
        signal.raise_signal(signal.SIGTERM)
        held.give_to(engine)
    assert stopped == ["signal SIGTERM"]


def test_in_another_thread_nothing_is_touched() -> None:
    before = [signal.getsignal(one) for one in WANTED]
    seen: list[Any] = []

    def work() -> None:
        with signals()[0] as held:
            seen.append((held.came(), [signal.getsignal(one) for one in WANTED]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert seen == [(False, before)]
