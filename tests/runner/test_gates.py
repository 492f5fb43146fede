"""The gates of a crawl with time passed in: robots, manners, credentials, redirects."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import pytest
from msgspec.structs import replace

from pipeline.crawl.cookies import CookieJar
from pipeline.crawl.frontier import Entry, Frontier, Politeness
from pipeline.crawl.scope import Scope
from pipeline.errors import ConnectError, PolicyError, ProtocolError
from pipeline.model import Failure, Request, Response
from pipeline.runner.credentials import Credentials
from pipeline.runner.engine import Engine
from pipeline.runner.outcome import RetryPolicy
from pipeline.runner.politeness import Advice, HostManners
from pipeline.runner.redirects import Redirector
from pipeline.runner.robots_gate import Refusal, RobotsGate, RobotsRules, State
from pipeline.runner.summary import LinkCounts
from pipeline.url import Origin, identity

RETRY = RetryPolicy(attempts=2, base=1.0, cap=60.0, on=frozenset({"connect", "truncated", 503}))


def half() -> float:
    return 0.5


def new_frontier(delay: float = 0.0) -> Frontier:
    return Frontier(refusal=lambda request: None, politeness=lambda host: Politeness(4, delay))


def started(frontier: Frontier, url: str, now: float = 0.0, *, seed: bool = False) -> Entry:
    request = Request(url, page="p", seed=seed)
    frontier.add(request, identity(request))
    entry = frontier.next(now)
    assert entry is not None
    return entry


def answer(request: Request, status: int = 200, body: bytes = b"", *, elapsed: float = 0.1, **fields: str) -> Response:
    return Response(request, status, [(name.replace("_", "-"), value) for name, value in fields.items()], body, elapsed)


# --- robots ----------------------------------------------------------------------------------------------------------


def gate(treat: HostManners | None = None, *, obey: bool = True, most: float | None = 60.0) -> RobotsGate:
    told = {} if treat is None else {"free_at": treat.free_at, "heard": treat.answered_beside}
    return RobotsGate(RobotsRules(obey, most), agent="hookline/1", retry=RETRY, rng=half, **cast(Any, told))


def test_one_robots_txt_for_all_pages_of_an_origin() -> None:
    robots, frontier = gate(), new_frontier()
    entries = [started(frontier, f"http://a/{number}") for number in range(3)]
    for entry in entries:
        assert robots.judge(entry.request.url) is State.UNKNOWN
        robots.hold(entry, 0.0)
    request = robots.next(0.0)
    assert request is not None and request.url == "http://a/robots.txt"
    assert robots.next(0.0) is None
    assert not robots.take(answer(entries[0].request), 0.0), "a page's answer is not taken"
    assert robots.take(answer(request, body=b"User-agent: *\nDisallow: /1"), 0.0)
    assert list(robots.released) == entries
    assert robots.judge("http://a/0") is State.ALLOWED
    refused = robots.judge("http://a/1")
    assert isinstance(refused, Refusal) and refused.fate == "rejected:robots" and "line 2" in refused.detail
    assert robots.judge("https://a/1") is State.UNKNOWN, "another origin has its own"


def settle(robots: RobotsGate, outcome: Callable[[Request], Response | Failure]) -> None:
    robots.hold(started(new_frontier(), "http://a/x"), 0.0)
    settle_waiting(robots, outcome)


def settle_waiting(robots: RobotsGate, outcome: Callable[[Request], Response | Failure]) -> list[float]:
    """Answer until all is settled; when each was asked."""
    now, times = 0.0, []
    while (due := robots.next_time()) is not None:
        now = max(now, due)
        if (request := robots.next(now)) is not None:  # else it is not its host's turn yet
            times.append(now)
            assert robots.take(outcome(request), now)
    return times


OUTCOMES = [
    (lambda request: answer(request, 404), State.ALLOWED, 1),
    (lambda request: answer(request, 401), State.ALLOWED, 1),
    (lambda request: answer(request, 304), State.ALLOWED, 1),
    (lambda request: answer(request, 500), "rejected:robots", 2),
    (lambda request: answer(request, 429), "rejected:robots", 2),
    (lambda request: answer(request, 302, Location="/x"), State.ALLOWED, 6),
    (lambda request: Failure(request, ConnectError("refused"), "CONNECTING", 0.1), "failed:connect", 2),
    (lambda request: Failure(request, ProtocolError("garbage"), "RECEIVING", 0.1), "rejected:robots", 1),
    (lambda request: Failure(request, PolicyError("no", reason="private_network"), "NEW", 0.0), State.ALLOWED, 0),
    (lambda request: answer(request, 302), "rejected:robots", 1),
    (lambda request: answer(request, 302, Location="http://["), "rejected:robots", 1),
]


@pytest.mark.parametrize(("outcome", "expected", "requests"), OUTCOMES)
def test_what_an_outcome_of_robots_txt_means(
    outcome: Callable[[Request], Response | Failure], expected: State | str, requests: int
) -> None:
    robots = gate()
    settle(robots, outcome)
    judged = robots.judge("http://a/x")
    assert (judged.fate if isinstance(judged, Refusal) else judged) == expected
    assert robots.requests == requests
    assert len(robots.released) == 1


def test_a_retry_of_robots_txt_waits() -> None:
    robots = gate()
    robots.hold(started(new_frontier(), "http://a/x"), 10.0)
    request = robots.next(10.0)
    assert request is not None
    robots.take(answer(request, 503), 10.0)
    assert robots.next(10.5) is None and robots.next_time() == 11.0
    assert robots.busy and not robots.released
    assert robots.next(11.0) is not None


def test_only_the_first_robots_txt_has_a_turn_others_wait_for_that_of_their_host() -> None:
    free = {"a": 12.5, "b": 20.0}
    robots = RobotsGate(RobotsRules(), agent="hookline/1", retry=RETRY, rng=half, free_at=free.__getitem__)
    robots.hold(started(new_frontier(), "http://a/x"), 10.0)
    request = robots.next(10.0)
    assert request is not None, "the first one takes the turn of the page"
    robots.take(answer(request, 503), 10.0)
    assert (robots.next(11.0), robots.next_time()) == (None, 12.5)
    request = robots.next(12.5)
    assert request is not None
    robots.take(answer(request, 301, Location="http://b/robots.txt"), 12.6)
    assert (robots.next(12.6), robots.next_time(), robots.requests) == (None, 20.0, 2)
    assert robots.next(20.0) is not None


def test_robots_txt_too_is_asked_for_only_where_there_is_room() -> None:
    robots = gate()
    for host in "abcde":
        robots.hold(started(new_frontier(), f"http://{host}/x"), 0.0)
    asked: list[str] = []
    fetcher = SimpleNamespace(room=3)

    def start(request: Request, keep: int) -> None:
        asked.append(request.url)
        fetcher.room -= 1

    fetcher.start = start
    engine = Engine.__new__(Engine)
    engine.robots, engine.stopped, engine.loop = robots, None, cast(Any, SimpleNamespace(now=0.0))
    engine.fetcher, engine._manners, engine._breakers = cast(Any, fetcher), MagicMock(), MagicMock()
    engine._ask_robots()
    assert asked == [f"http://{host}/robots.txt" for host in "abc"]
    fetcher.room += 1  # one of them has ended
    engine._ask_robots()
    assert asked[3:] == ["http://d/robots.txt"]


def test_who_asks_for_quiet_at_robots_txt_is_asked_for_no_page_either() -> None:
    frontier = new_frontier()
    told: list[tuple[str, str]] = []
    treat = manners(frontier, tell=lambda host, words: told.append((host, words)))
    robots = gate(treat)
    entry = started(frontier, "http://a/x")
    robots.hold(entry, 0.0)
    request = robots.next(0.0)
    assert request is not None
    robots.take(answer(request, 429, Retry_After="90"), 0.0)
    assert treat.free_at("a") == 90.0
    assert told == [("a", "HTTP 429 with Retry-After 90 s for robots.txt: paused")]


@pytest.mark.parametrize("status", [429, 503])
def test_waits_for_robots_txt_use_no_attempt_and_end_with_the_host(status: int) -> None:
    frontier = new_frontier()
    treat = manners(frontier, max_wait=600.0)
    robots = gate(treat)
    robots.hold(started(frontier, "http://a/x"), 0.0)
    times = settle_waiting(robots, lambda request: answer(request, status, Retry_After="150"))
    assert times == [0.0, 150.0, 300.0, 450.0, 600.0], "two attempts there are"
    frontier.put_back(robots.released.popleft(), 600.0)
    frontier.add(Request("http://a/y", page="p"), b"y" * 16)
    assert +frontier.fates == {"deferred:retry_after": 2} and frontier.pending == 0


def test_a_good_robots_txt_ends_the_row_of_waits() -> None:
    frontier = new_frontier()
    treat = manners(frontier, max_wait=100.0)
    robots = gate(treat)
    entry = started(frontier, "http://a/x")
    robots.hold(entry, 0.0)
    answers = iter([answer(entry.request, 429, Retry_After="90"), answer(entry.request)])
    settle_waiting(robots, lambda request: replace(next(answers), request=request))
    assert robots.judge("http://a/x") is State.ALLOWED
    assert treat.answered(entry, answer(entry.request, 429, Retry_After="90"), 99.0) is Advice.ASK_AGAIN


def test_a_host_of_robots_txt_alone_that_asks_for_too_much_defers_who_sent_us_there() -> None:
    frontier = new_frontier()
    robots = gate(manners(frontier, max_wait=100.0))
    robots.hold(started(frontier, "http://a/x"), 0.0)
    answers = {
        "http://a/robots.txt": (301, {"Location": "http://b/robots.txt"}),
        "http://b/robots.txt": (429, {"Retry_After": "101"}),
    }

    def outcome(request: Request) -> Response:
        status, fields = answers[request.url]
        return answer(request, status, **fields)

    settle_waiting(robots, outcome)
    judged = robots.judge("http://a/x")
    assert isinstance(judged, Refusal) and judged.fate == "deferred:retry_after" and not judged.by_rule
    assert "http://a/robots.txt answered HTTP 429" in judged.detail


def test_who_does_not_obey_retry_after_uses_attempts_at_robots_txt_too() -> None:
    frontier = new_frontier()
    robots = gate(manners(frontier, max_wait=None))
    robots.hold(started(frontier, "http://a/x"), 0.0)
    assert settle_waiting(robots, lambda request: answer(request, 429, Retry_After="5000")) == [0.0, 1.0]
    judged = robots.judge("http://a/x")
    assert isinstance(judged, Refusal) and judged.fate == "rejected:robots"


@pytest.mark.parametrize(("delay", "most", "told"), [("5", 60.0, [("a", 5.0)]), ("5", None, []), ("61", 60.0, [])])
def test_crawl_delay(delay: str, most: float | None, told: list[tuple[str, float]]) -> None:
    robots = gate(most=most)
    settle(robots, lambda request: answer(request, body=f"User-agent: *\nCrawl-delay: {delay}".encode()))
    assert list(robots.delays) == told
    assert isinstance(robots.judge("http://a/x"), Refusal) is (delay == "61")


def test_robots_not_obeyed_asks_for_nothing() -> None:
    assert gate(obey=False).judge("http://a/x") is State.ALLOWED


def test_the_text_of_robots_txt_is_cut_and_decoded_as_far_as_it_goes() -> None:
    import gzip

    robots = gate()
    long = b"User-agent: *\nDisallow: /x\n" + b"#" * 600 * 1024 + b"\nDisallow: /"
    packed = gzip.compress(long)
    settle(robots, lambda request: answer(request, body=packed[:-9], Content_Encoding="gzip"))
    assert isinstance(robots.judge("http://a/x"), Refusal)
    assert robots.judge("http://a/y") is State.ALLOWED


# --- manners ---------------------------------------------------------------------------------------------------------


def manners(frontier: Frontier, *, max_wait: float | None = 600.0, throttled: bool = True, **more: Any) -> HostManners:
    return HostManners(
        frontier, max_wait=max_wait, throttled=lambda host: throttled, wall=lambda: 0.0, rng=half, **more
    )


def test_retry_after_pauses_the_host_and_then_defers() -> None:
    frontier = new_frontier()
    entry = started(frontier, "http://a/1")
    treat = manners(frontier)
    assert treat.answered(entry, answer(entry.request, 429, Retry_After="400"), 0.0) is Advice.ASK_AGAIN
    frontier.put_back(entry, 0.0)
    assert frontier.next_time() == 400.0 and entry.attempts == 0
    assert frontier.next(400.0) is entry
    assert treat.answered(entry, answer(entry.request, 503, Retry_After="400"), 400.0) is Advice.DEFER


OTHERS: list[tuple[int, dict[str, str], float | None]] = [
    (503, {}, 600.0),
    (200, {"Retry_After": "9"}, 600.0),
    (429, {}, None),
]


@pytest.mark.parametrize(("status", "fields", "most"), OTHERS)
def test_other_answers_go_on(status: int, fields: dict[str, str], most: float | None) -> None:
    frontier = new_frontier()
    entry = started(frontier, "http://a/1")
    assert (
        manners(frontier, max_wait=most).answered(entry, answer(entry.request, status, **fields), 0.0) is Advice.GO_ON
    )


def test_the_delay_follows_the_host_and_never_falls_below_what_was_asked() -> None:
    frontier = new_frontier(delay=1.0)
    entry = started(frontier, "http://a/1")
    treat = manners(frontier)
    host = frontier.hosts["a"]
    treat.answered(entry, answer(entry.request, elapsed=9.0), 0.0)
    assert host.politeness.delay == 5.0
    for _ in range(50):
        treat.answered(entry, answer(entry.request, elapsed=0.01), 0.0)
    assert host.politeness.delay == pytest.approx(1.0)
    treat.slow_down("a", 3.0)
    for _ in range(50):
        treat.answered(entry, answer(entry.request, elapsed=0.01), 0.0)
    assert host.politeness.delay == pytest.approx(3.0)


def test_no_delay_stays_no_delay() -> None:
    frontier = new_frontier(delay=0.0)
    entry = started(frontier, "http://a/1")
    manners(frontier).answered(entry, answer(entry.request, elapsed=9.0), 0.0)
    assert frontier.hosts["a"].politeness.delay == 0.0


def test_a_host_that_was_ended_takes_nothing_more() -> None:
    frontier = new_frontier()
    running = started(frontier, "http://a/1")
    frontier.add(Request("http://a/2", page="p"), b"2" * 16)
    frontier.end_host("a", "deferred:retry_after", "too long")
    frontier.add(Request("http://a/3", page="p"), b"3" * 16)
    frontier.retry(running, 5.0)
    assert frontier.next(99.0) is None
    assert frontier.fates == {"deferred:retry_after": 3} and frontier.pending == frontier.active == 0


# --- credentials -----------------------------------------------------------------------------------------------------


def test_cookies_and_auth_go_where_they_belong() -> None:
    jar = CookieJar()
    held = Credentials(jar=jar, auth={Origin("http", "a", 80): "Basic x"}, wall=lambda: 0.0)
    held.take(answer(Request("http://a/"), Set_Cookie="k=v; Path=/"))
    table = [
        ("http://a/", {}, {"Authorization": "Basic x", "Cookie": "k=v"}),
        ("http://a:81/", {}, {"Cookie": "k=v"}),
        ("http://b/", {}, {}),
        ("http://a/", {"cookie": "own", "AUTHORIZATION": "own"}, {"cookie": "own", "AUTHORIZATION": "own"}),
    ]
    for url, given, expected in table:
        request = Request(url, headers=dict(given))
        held.put_on(request)
        assert request.headers == expected, url
    assert held.signature("http://a/") != held.signature("http://b/")


def test_secret_headers_go_to_the_origins_that_the_user_wrote_down() -> None:
    held = Credentials(jar=None, auth={}, wall=lambda: 0.0, secret_headers={"Authorization": "Bearer t"})
    held.origins.add(Origin("http", "a", 80))
    for url, expected in (("http://a/x", {"Authorization": "Bearer t"}), ("http://b/", {}), ("https://a/", {})):
        request = Request(url)
        held.put_on(request)
        assert request.headers == expected, url


def test_without_a_jar_nothing_is_kept() -> None:
    held = Credentials(jar=None, auth={}, wall=lambda: 0.0)
    held.take(answer(Request("http://a/"), Set_Cookie="k=v"))
    request = Request("http://a/")
    held.put_on(request)
    assert request.headers == {} and held.signature("http://a/") == b""


# --- redirects -------------------------------------------------------------------------------------------------------


class Chain:
    """A frontier with a redirector whose cookies the test sets."""

    def __init__(self, most: int = 10) -> None:
        self.cookies = b""
        self.frontier = new_frontier()
        self.scope = Scope(seed_hosts=["a"])
        self.counts = LinkCounts()
        self.adopted: list[str] = []
        self.redirector = Redirector(
            self.frontier,
            self.scope,
            lambda url: self.cookies,
            most=most,
            counts=self.counts,
            sources=LinkCounts(),
            adopted=self.adopted,
        )

    def redirect(self, entry: Entry, location: str, *, sent: bytes = b"") -> Entry | None:
        self.redirector.follow(entry, 302, location, sent, 0.0)
        return self.frontier.next(0.0)


def next_of(chain: Chain) -> Entry:
    entry = chain.frontier.next(0.0)
    assert entry is not None
    return entry


def test_a_target_is_a_request_with_the_same_rule_and_depth() -> None:
    chain = Chain()
    first = started(chain.frontier, "http://a/1", seed=True)
    target = chain.redirect(first, "http://b/2#x")
    assert target is not None and first.fate == "redirected"
    assert (target.request.url, target.request.page, target.request.depth) == ("http://b/2", "p", 0)
    assert not target.request.seed and target.request.hops == ("http://a/1",)
    assert chain.scope.refusal("http://b/3") is None, "the first hop of a seed joins"
    further = chain.redirect(target, "http://c/")
    assert further is not None and (no := chain.scope.refusal("http://c/3")) and no.fate == "rejected:scope"
    assert chain.adopted == ["b"], "a run that goes on has to know"
    assert (first.target, target.target) == (target.id, further.id)


def test_hops_on_the_host_of_a_seed_are_not_its_first_off_it() -> None:
    chain = Chain()
    entry: Entry | None = started(chain.frontier, "http://a/1", seed=True)
    for location in ("/2", "http://www.a/3", "https://a:8443/4", "http://b/", "http://b/2", "http://c/"):
        assert entry is not None
        assert not chain.adopted or location.startswith(("http://b/2", "http://c/"))
        entry = chain.redirect(entry, location)
    assert chain.adopted == ["b"]
    entry = chain.redirect(started(chain.frontier, "http://a/link"), "http://d/")
    assert chain.adopted == ["b"], "only seeds bring hosts in"


def test_a_seed_that_leads_to_the_host_of_another_has_left_its_own() -> None:
    chain = Chain()
    chain.scope.adopt("b")
    second = chain.redirect(started(chain.frontier, "http://a/1", seed=True), "http://b/")
    assert second is not None and chain.redirect(second, "http://c/") is not None and chain.adopted == []


def test_a_loop_fails_once_it_closes() -> None:
    chain = Chain()
    first = started(chain.frontier, "http://a/1")
    second = chain.redirect(first, "/2")
    assert second is not None
    assert chain.redirect(second, "/1") is None
    assert (first.fate, second.fate) == ("redirected", "failed:http_302")


def test_a_loop_is_seen_by_a_process_that_has_only_the_last_hop() -> None:
    """Where it has been goes with the request: `trail` comes back from the state as it was."""
    chain = Chain()
    second = chain.redirect(started(chain.frontier, "http://a/1"), "/2")
    assert second is not None
    later = Chain()
    later.frontier.add(Request("http://a/1", page="p"), identity(Request("http://a/1", page="p")))
    later.frontier.finish(next_of(later), "redirected")
    later.frontier.add(second.request, second.fingerprint)
    assert later.redirect(next_of(later), "/1") is None
    assert +later.frontier.fates == {"redirected": 1, "failed:http_302": 1}


def test_a_redirect_to_a_page_of_another_chain_is_a_duplicate() -> None:
    chain = Chain()
    other = started(chain.frontier, "http://a/2")
    chain.frontier.finish(other, "fetched")
    first = started(chain.frontier, "http://a/1")
    assert chain.redirect(first, "/2") is None
    assert first.fate == "redirected" and chain.counts.duplicate == 1


@pytest.mark.parametrize("over", [False, True])
def test_changed_cookies_open_the_wall(over: bool) -> None:
    chain = Chain()
    first = started(chain.frontier, "http://a/1")
    entry: Entry | None = first
    if over:
        entry = chain.redirect(first, "/set")
    assert entry is not None
    chain.cookies = b"changed"
    again = chain.redirect(entry, "/1")
    assert again is not None and again.id == first.id
    chain.frontier.finish(again, "fetched")
    assert +chain.frontier.fates == ({"fetched": 1, "redirected": 1} if over else {"fetched": 1})
    assert chain.frontier.discovered == 1 + over


def test_a_wall_that_changes_its_cookie_each_time_ends_at_the_cap() -> None:
    chain = Chain(most=5)
    entry: Entry | None = started(chain.frontier, "http://a/1")
    for turn in range(5):
        assert entry is not None
        before, chain.cookies = chain.cookies, str(turn).encode()
        entry = chain.redirect(entry, "/1", sent=before)
    assert entry is not None
    assert chain.redirect(entry, "/1", sent=chain.cookies) is None
    assert entry.fate == "failed:http_302" and "more than 5" in entry.detail


def test_what_is_no_target_is_told() -> None:
    chain = Chain()
    first = started(chain.frontier, "http://a/1")
    assert chain.redirect(first, "http://[") is None
    assert (first.fate, first.detail) == ("failed:http_302", "redirect to something that is no URL")
