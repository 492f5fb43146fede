"""The threat table as far as fetch alone can judge it: each row ends as it must, in time, and leaves nothing behind."""

from __future__ import annotations

import resource
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.fetch.exchange import Timeouts
from pipeline.model import Failure, Request, Response
from tests.badserver.rows import ROWS, early_script, script
from tests.fetch.kit import Net, describe

LIMITS = Timeouts()  # the defaults: the clock jumps


@dataclass
class Row:
    """What must come of a path: outcome, seconds at most on the loop's clock, flags of the response."""

    outcome: str
    seconds: float = 1.0
    ask: dict[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


FRAMING = Row("ProtocolError framing RECEIVING")
REPAIRED = Row("200 good", flags=("head_repaired",))

TABLE: dict[str, Row] = {
    "/T01a": Row("PhaseTimeoutError total RECEIVING", 120.1),
    "/T01b": Row("PhaseTimeoutError total RECEIVING", 120.1),
    "/T01c": Row("PhaseTimeoutError idle RECEIVING", 20.1),
    "/T02a": Row("TooLargeError head_too_large RECEIVING"),
    "/T02b": Row("PhaseTimeoutError first_byte RECEIVING", 30.1),
    "/T02c": Row("TooLargeError head_too_large RECEIVING"),
    "/T03a": Row("PhaseTimeoutError first_byte RECEIVING", 30.1),
    "/T04a": Row("TruncatedError reset RECEIVING", 1.1),
    "/T04b": Row("TruncatedError early_eof RECEIVING"),
    "/T04c": Row("TruncatedError early_eof RECEIVING"),
    "/T04d": Row("TruncatedError early_eof RECEIVING"),
    "/T05a": Row("200 good"),
    "/T05b": Row("200 good"),
    "/T06a": Row("200 ", ask={"method": "HEAD"}),
    "/T06b": Row("204 "),
    "/T06c": Row("ProtocolError unexpected_304 RECEIVING"),
    "/T06d": Row("TruncatedError early_eof RECEIVING"),
    "/T07a": Row("200 good", flags=("extra_data",)),
    "/T07b": Row("200 good"),
    "/T08a": Row("TooLargeError too_many_interim RECEIVING"),
    "/T08b": Row("200 good"),
    "/T09a": Row("ProtocolError unexpected_upgrade RECEIVING"),
    "/T09b": Row("ProtocolError bad_status_line RECEIVING"),
    "/T09c": Row("ProtocolError bad_version RECEIVING"),
    **{f"/T10{letter}": FRAMING for letter in "abcdefghij"},
    **{f"/T11{letter}": REPAIRED for letter in "abcdefghijk"},
    "/T11l": Row("ProtocolError header_syntax RECEIVING"),
    "/T12a": Row("TooLargeError head_too_large RECEIVING"),
    "/T12b": Row("TooLargeError too_many_headers RECEIVING"),
    "/T13a": Row("200 good"),
    "/T13b": Row("TooLargeError too_many_headers RECEIVING"),
    "/T14a": Row("TooLargeError chunk_overhead RECEIVING"),
    "/T14b": Row("TooLargeError chunk_overhead RECEIVING"),
    "/T15a": Row("TooLargeError body_too_large RECEIVING"),
    "/T15b": Row("TooLargeError body_too_large RECEIVING"),
    "/T15c": Row("TooLargeError body_too_large RECEIVING"),
    **{f"/T16{letter}": Row("ProtocolError bad_status_line RECEIVING") for letter in "abcde"},
    "/T17a": Row("200 good"),
    "/T19a": Row("413 early", ask={"method": "POST", "body": b"x" * 2**20}),
}


def test_every_row_of_the_server_has_its_outcome() -> None:
    assert set(TABLE) == set(ROWS) - {"/good"}


@pytest.mark.parametrize("path", TABLE)
def test_row(net: Net, path: str) -> None:
    row = TABLE[path]
    server = net.serve(script)
    fetcher = net.fetcher(timeouts=LIMITS, concurrency=4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (outcome,) = net.fetch(fetcher, Request(server.url + path, **row.ask))
    assert describe(outcome) == row.outcome
    assert outcome.elapsed <= row.seconds
    if isinstance(outcome, Response):
        assert outcome.flags == row.flags
        assert not any(name.lower() in ("set-cookie", "location") for name, _ in outcome.headers)
    else:
        assert not fetcher._pool._all
    # a good page afterwards, on the same fetcher
    net.settle(2)
    assert describe(net.get(fetcher, server.url + "/good")) == "200 good"
    assert fetcher.active == 0
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 64, f"{grown:.0f} MiB more"


def test_t19_the_answer_comes_before_the_body_is_sent(net: Net) -> None:
    server = net.serve(early_script)
    fetcher = net.fetcher(timeouts=LIMITS)
    outcome = net.get(fetcher, server.url + "/", method="POST", body=b"x" * (10 * 2**20))
    assert describe(outcome) == "413 early"
    assert outcome.elapsed <= 1


def test_bad_servers_beside_good_ones(net: Net) -> None:
    """All rows at once over one fetcher: good pages come, and every request ends.

    Without T07b: an answer that a server sends on its own, after the next request has gone out, cannot be told from
    the answer to it. Connections are kept by origin, so a server spoils nobody's answers but its own.
    """
    bad, good = net.serve(script), net.serve(script)
    fetcher = net.fetcher(timeouts=LIMITS, concurrency=16)
    requests = []
    for path, row in TABLE.items():
        if path != "/T07b":
            requests += [Request(bad.url + path, **row.ask), Request(good.url + "/good")]
    outcomes = net.fetch(fetcher, *requests)
    for outcome in outcomes:
        path = "/" + outcome.request.url.rpartition("/")[2]
        assert describe(outcome) == (TABLE[path].outcome if path in TABLE else "200 good"), path
    assert sum(isinstance(outcome, Failure) for outcome in outcomes) == sum(
        "Error" in r.outcome for r in TABLE.values()
    )
