"""The robots gate and the copies of robots.txt that outlive a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.crawl.frontier import Entry, Frontier, Politeness
from pipeline.errors import ConnectError, PolicyError, ProtocolError
from pipeline.model import Failure, Request, Response
from pipeline.runner.outcome import RetryPolicy
from pipeline.runner.politeness import Advice
from pipeline.runner.robots_gate import MOST_AGE, Refusal, RobotsGate, RobotsRules, State
from pipeline.state.robots import Copy
from pipeline.url import identity

NOW = 2_000_000_000
DENY_X = b"User-agent: *\nDisallow: /x\n"


class Memory:
    """What the state does, at once."""

    def __init__(self, copy: Copy | None = None) -> None:
        self.copies = {} if copy is None else {"http://a/": copy}
        self.writes = 0

    def recall(self, origin: str, then: Callable[[Copy | None], None]) -> None:
        then(self.copies.get(origin))

    def keep_robots(self, origin: str, copy: Copy | None) -> None:
        self.writes += 1
        self.copies.pop(origin, None)
        if copy is not None:
            self.copies[origin] = copy


def judged(memory: Memory, *outcomes: Callable[[Request], Response | Failure]) -> tuple[str, RobotsGate, list[Request]]:
    """Which of /x and /y may be asked for after these outcomes, the gate, and the requests."""
    gate = RobotsGate(
        RobotsRules(), agent="bot", retry=RetryPolicy(1), rng=lambda: 0.5, wall=lambda: float(NOW), memory=memory
    )
    gate.hold(new_entry(), 0.0)
    asked = []
    for outcome in outcomes:
        robots = gate.next(0.0)
        assert robots is not None
        asked.append(robots)
        assert gate.take(outcome(robots), 0.0)
    allowed = [path for path in "xy" if gate.judge(f"http://a/{path}") is State.ALLOWED]
    return "".join(allowed), gate, asked


def new_entry() -> Entry:
    frontier = Frontier(refusal=lambda request: None, politeness=lambda host: Politeness(1, 0.0))
    request = Request("http://a/y", page="p")
    frontier.add(request, identity(request))
    entry = frontier.next(0.0)
    assert entry is not None
    return entry


def answer(status: int, body: bytes = b"", **headers: str) -> Callable[[Request], Response]:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return lambda request: Response(request, status, fields, body, 0.1)


def failure(error: Any) -> Callable[[Request], Failure]:
    return lambda request: Failure(request, error, "CONNECTING", 0.1)


def copy(age: int = 0, **more: Any) -> Copy:
    return Copy(NOW - age, more.get("etag"), more.get("last_modified"), more.get("text", DENY_X))


def test_a_good_one_is_kept_with_its_validators() -> None:
    memory = Memory()
    allowed, _, _ = judged(memory, answer(200, DENY_X, ETag='"1"', Last_Modified="then"))
    assert allowed == "y" and memory.copies == {"http://a/": Copy(NOW, '"1"', "then", DENY_X)}


def test_validators_of_another_url_are_not_kept() -> None:
    memory = Memory()
    allowed, _, asked = judged(
        memory, answer(302, Location="/other.txt"), answer(200, DENY_X, ETag='"1"', Last_Modified="then")
    )
    assert allowed == "y" and memory.copies["http://a/"].etag is None
    assert asked[1].url == "http://a/other.txt"


def test_304_makes_the_copy_young_again() -> None:
    memory = Memory(copy(2 * MOST_AGE, etag='"1"', last_modified="then"))
    allowed, gate, asked = judged(memory, answer(304))
    assert allowed == "y" and memory.copies["http://a/"].checked == NOW and not gate.notes
    assert asked[0].headers == {"If-None-Match": '"1"', "If-Modified-Since": "then"}


def test_validators_do_not_go_along_with_a_redirect() -> None:
    _, _, asked = judged(Memory(copy(etag='"1"')), answer(301, Location="/other.txt"), answer(200))
    assert asked[0].headers and not asked[1].headers


@pytest.mark.parametrize("status", [404, 403])
def test_who_has_none_any_more_allows_everything(status: int) -> None:
    memory = Memory(copy())
    assert judged(memory, answer(status))[0] == "xy"
    assert memory.copies == {}
    assert judged(memory, answer(status))[0] == "xy" and memory.writes == 1  # nothing to take away


def test_a_redirect_to_what_may_not_be_asked_for_opens_nothing() -> None:
    """Whoever answers for a site could else open it for us by sending us to where we may not look."""
    refused = failure(PolicyError("10.0.0.1 is not a public address", reason="private_network"))
    outcomes = answer(302, Location="http://10.0.0.1/robots.txt"), refused
    for memory, allowed in ((Memory(), ""), (Memory(copy()), "y")):
        found, gate, _ = judged(memory, *outcomes)
        assert found == allowed and gate.requests == 1, "the second was never sent"
        judgement = gate.judge("http://a/x")
        assert isinstance(judgement, Refusal) and judgement.fate == "rejected:robots"


LOST = [
    answer(503),
    answer(429),
    failure(ConnectError("refused", reason="refused")),
    failure(ProtocolError("no HTTP", reason="bad")),
]


@pytest.mark.parametrize("outcome", LOST)
@pytest.mark.parametrize(("age", "allowed"), [(0, "y"), (MOST_AGE, "y"), (MOST_AGE + 1, "")])
def test_while_a_server_gives_none_its_copy_counts_for_thirty_days(outcome: Any, age: int, allowed: str) -> None:
    memory = Memory(copy(age))
    found, gate, _ = judged(memory, outcome)
    assert found == allowed and memory.copies["http://a/"].checked == NOW - age
    assert len(gate.notes) == (1 if allowed else 0)
    assert isinstance(gate.judge("http://a/x"), Refusal)
    assert judged(Memory(), outcome)[0] == ""


@pytest.mark.parametrize(("advice", "requests"), [(Advice.ASK_AGAIN, 2), (Advice.DEFER, 1)])
def test_a_host_that_asks_for_quiet_is_asked_as_often_as_any_where_there_is_a_copy(
    advice: Advice, requests: int
) -> None:
    memory, asked = Memory(copy()), 0
    gate = RobotsGate(
        RobotsRules(),
        agent="bot",
        retry=RetryPolicy(2),
        rng=lambda: 0.5,
        wall=lambda: float(NOW),
        memory=memory,
        heard=lambda host, response, now: advice,
    )
    gate.hold(new_entry(), 0.0)
    while (request := gate.next(asked * 100.0)) is not None:
        asked += 1
        gate.take(answer(429)(request), 0.0)
    assert asked == requests
    assert isinstance(gate.judge("http://a/x"), Refusal) and gate.judge("http://a/y") is State.ALLOWED
