"""What the last run means for the next command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.runner.build import Options
from pipeline.runner.past import LONG_AGO, TOO_OLD, Past, why_not
from pipeline.state.runs import RunRow

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def past(ago: timedelta = timedelta(hours=1), *, fingerprint: bytes = b"same") -> Past:
    row = RunRow(
        number=1,
        id="20260102T020405Z-abcdef",
        started=(NOW - ago).isoformat(),
        status="open",
        fingerprint=fingerprint,
        narrowed=False,
        made_by="0.1.0",
        ended=None,
        exit_code=None,
        counts={},
        summary=None,
    )
    return Past(row, NOW)


TABLE = [
    (past(), Options(), None),
    (past(timedelta(0)), Options(), None),
    (past(TOO_OLD), Options(), None),
    (past(-timedelta(minutes=5)), Options(), None),
    (past(), Options(fresh=True), "--fresh"),
    (past(TOO_OLD + timedelta(seconds=1)), Options(), "24 hours"),
    (past(-timedelta(minutes=6)), Options(), "clock"),
    (past(fingerprint=b"other"), Options(), "changed since"),
]


@pytest.mark.parametrize(("run", "options", "reason"), TABLE)
def test_whether_a_run_is_gone_on_with(run: Past, options: Options, reason: str | None) -> None:
    job: Any = SimpleNamespace(fingerprint=b"same")
    found = why_not(run, job, options)
    assert found is None if reason is None else found is not None and reason in found


@pytest.mark.parametrize(("ago", "long"), [(timedelta(0), False), (LONG_AGO, False), (2 * LONG_AGO, True)])
def test_a_publish_of_long_ago_is_not_all_that_run_does(ago: timedelta, long: bool) -> None:
    assert past(ago).is_long_ago() is long


def test_a_run_that_goes_on_is_the_same_run() -> None:
    run = past()
    assert (run.info("x").id, run.info("x").start, run.info("x").name) == (run.row.id, NOW - timedelta(hours=1), "x")
    assert run.age().startswith("1 h")
