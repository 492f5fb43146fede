"""The breakers, told the time."""

from __future__ import annotations

from pipeline.crawl.breaker import HostBreaker, HostRules, Outage, OutageRules, Verdict

RULES = HostRules(failures=3, pause=10.0, pauses=2)


def test_a_host_that_fails_in_a_row_is_left_alone_probed_and_given_up() -> None:
    breaker = HostBreaker(RULES)
    story = [
        (0.0, Verdict.COUNTS, False),
        (1.0, Verdict.COUNTS, False),
        (2.0, Verdict.COUNTS, True),  # the third opens it, until 12
        (3.0, Verdict.WAIT, True),  # was under way
        (12.0, Verdict.WAIT, True),  # the probe: until 22
        (21.0, Verdict.WAIT, True),
        (22.0, Verdict.GIVE_UP, True),
    ]
    for now, verdict, is_open in story:
        assert breaker.failed(now) is verdict, now
        assert breaker.open is is_open, now
    assert breaker.pauses == 2


def test_an_answer_begins_the_count_anew() -> None:
    breaker = HostBreaker(RULES)
    breaker.failed(0.0)
    breaker.failed(1.0)
    assert not breaker.answered()
    breaker.failed(2.0)
    breaker.failed(3.0)
    assert not breaker.open
    breaker.failed(4.0)
    assert breaker.open and breaker.answered() and not breaker.open
    assert breaker.pauses == 0


def test_many_hosts_within_a_short_time_are_an_outage() -> None:
    outage = Outage(OutageRules(hosts=3, within=30.0, probe=4.0, max=100.0))
    assert not outage.failed("a", 0.0) and not outage.failed("a", 1.0) and not outage.failed("b", 2.0)
    assert not outage.failed("c", 32.5), "the others are too long ago"
    assert not outage.failed("d", 33.0)
    outage.checked(34.0, well=True)
    assert not outage.failed("e", 35.0) and not outage.failed("f", 36.0)
    assert outage.failed("g", 37.0) and outage.since == 37.0


def test_an_outage_is_probed_ever_less_often_and_ends_with_an_answer() -> None:
    outage = Outage(OutageRules(probe=4.0, max=100.0))
    assert outage.checked(10.0, well=False), "a check that fails is enough"
    times = []
    now = 10.0
    for _ in range(5):
        due = outage.next_time()
        assert due is not None and not outage.may_probe(due - 0.1) and outage.may_probe(due)
        times.append(due - now)
        now = due
        outage.probed(now)
        assert not outage.checked(now, well=False), "it goes on"
    assert times == [1.0, 2.0, 4.0, 4.0, 4.0]
    assert not outage.is_lasting(110.0) and outage.is_lasting(110.1)
    assert outage.checked(now, well=True) and outage.since is None and outage.next_time() is None
    assert not outage.checked(now, well=True), "nothing ends that has not begun"
