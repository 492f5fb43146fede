"""The books, the exit codes and what an outcome means: pure tables."""

from __future__ import annotations

import pytest

from pipeline.errors import ConnectError, PolicyError, ProtocolError, ResolveError
from pipeline.model import Failure, Request, Response
from pipeline.runner.outcome import Next, RetryPolicy, decide
from pipeline.runner.summary import EXIT_ORDER, ItemCounts, LinkCounts, Summary, worst


def summary(**more: object) -> Summary:
    return Summary("0", "x", "r", "2026-01-01T00:00:00Z", "x.yaml", **more)  # type: ignore[arg-type]


def test_balanced_books() -> None:
    good = summary(
        discovered=3,
        seeds=1,
        pending=1,
        fates={"fetched": 1, "gone": 1},
        links=LinkCounts(5, 2, 3),
        items=ItemCounts(extracted=4, earlier=2, stored=4, dropped={"duplicate": 1}, dead_lettered=1),
    )
    assert good.imbalance() == []


UNBALANCED = [
    ({"discovered": 2, "seeds": 2, "fates": {"fetched": 1}}, "2 requests discovered, but 1 fates and 0 pending"),
    ({"discovered": 1, "pending": 1}, "1 requests discovered, but 0 new ones met"),
    ({"discovered": 1, "pending": 1, "links": LinkCounts(3, 1, 1)}, "3 links found, but 1 new and 1 duplicate"),
    ({"redirects": LinkCounts(1, 0, 0)}, "1 redirects found, but 0 new and 0 duplicate"),
    ({"items": ItemCounts(extracted=2, stored=1)}, "2 items extracted, but 1 stored, dropped or dead-lettered"),
    (
        {"items": ItemCounts(extracted=2, earlier=3, stored=4)},
        "2 items extracted and 3 of before, but 4 stored, dropped or dead-lettered",
    ),
]


@pytest.mark.parametrize(("facts", "message"), UNBALANCED)
def test_unbalanced_books_are_told(facts: dict[str, object], message: str) -> None:
    assert summary(**facts).imbalance() == [message]


@pytest.mark.parametrize(
    ("codes", "code"),
    [([], 0), ([0, 10], 10), ([1, 3], 1), ([3, 0], 3), ([4, 1], 4), ([2, 70, 6], 70), ([143, 2], 143)],
)
def test_the_worst_exit_code_wins(codes: list[int], code: int) -> None:
    assert worst(codes) == code
    assert worst(codes[::-1]) == code


def test_every_exit_code_of_the_table_has_a_place() -> None:
    assert set(EXIT_ORDER) == {0, 1, 2, 3, 4, 5, 6, 10, 70, 75, 130, 143}


ANSWERS = [
    (200, None, Next.PARSE, "fetched"),
    (204, None, Next.PARSE, "fetched"),
    (301, "/x", Next.REDIRECT, "redirected"),
    (302, None, Next.END, "failed:http_302"),
    (304, None, Next.END, "failed:http_304"),
    (300, "/x", Next.END, "failed:http_300"),
    (404, None, Next.END, "gone"),
    (410, None, Next.END, "gone"),
    (403, None, Next.END, "failed:http_403"),
    (503, None, Next.END, "failed:http_503"),
]


@pytest.mark.parametrize(("status", "location", "following", "fate"), ANSWERS)
def test_what_a_status_means(status: int, location: str | None, following: Next, fate: str) -> None:
    headers = [("Location", location)] if location else []
    decision = decide(Response(Request("http://a/"), status, headers, b"", 0.1))
    assert (decision.next, decision.fate) == (following, fate)


FAILURES = [
    (ResolveError("no such host"), "failed:dns", "dns"),
    (ConnectError("refused"), "failed:connect", "connect"),
    (ProtocolError("garbage"), "failed:protocol", None),
    (PolicyError("not there", reason="private_network"), "rejected:private_network", None),
]


@pytest.mark.parametrize(("error", "fate", "word"), FAILURES)
def test_what_a_failure_means(error: ConnectError, fate: str, word: str | None) -> None:
    decision = decide(Failure(Request("http://a/"), error, "CONNECTING", 0.1))
    assert (decision.fate, decision.retry_word) == (fate, word)


def test_retries_are_bounded_in_count_and_time() -> None:
    policy = RetryPolicy(attempts=3, base=1.0, cap=3.0, on=["connect", 503])
    refused = decide(Failure(Request("http://a/"), ConnectError("refused"), "CONNECTING", 0.1))
    unavailable = decide(Response(Request("http://a/"), 503, [], b"", 0.1))
    garbage = decide(Failure(Request("http://a/"), ProtocolError("garbage"), "RECEIVING", 0.1))
    assert policy.wants(refused, 2) and not policy.wants(refused, 3)
    assert policy.wants(unavailable, 1)
    assert not policy.wants(garbage, 1)
    assert [policy.wait(attempts, lambda: 0.5) for attempts in (1, 2, 3, 9)] == [1.0, 2.0, 3.0, 3.0]
    assert policy.wait(1, lambda: 0.0) == 0.5
