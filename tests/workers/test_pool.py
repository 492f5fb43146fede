"""InlinePool: the interface that every pool has."""

from __future__ import annotations

import pytest

from pipeline.model import PageJob, PageResult
from pipeline.workers.pool import InlinePool


def job(url: str) -> PageJob:
    return PageJob(url, 200, [], b"body", "rule", {}, 0)


def test_results_come_in_order_with_their_tokens() -> None:
    pool = InlinePool(lambda job: PageResult(extracted=len(job.url)))
    pool.submit("a", job("x"))
    pool.submit(7, job("xyz"))
    assert [(token, result.extracted) for token, result in pool.done] == [("a", 1), (7, 3)]
    assert (pool.waiting_bytes, pool.busy) == (0, 0)


def test_a_closed_pool_keeps_results_and_takes_no_jobs() -> None:
    pool = InlinePool(lambda job: PageResult())
    pool.submit(None, job("x"))
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(None, job("y"))
    assert len(pool.done) == 1


def test_a_bug_of_the_framework_is_not_hidden() -> None:
    def broken(job: PageJob) -> PageResult:
        raise AssertionError("a bug")

    pool = InlinePool(broken)
    with pytest.raises(AssertionError, match="a bug"):
        pool.submit(None, job("x"))
    assert not pool.done
