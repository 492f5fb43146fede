"""Registered fetchers in a crawl: which requests are theirs, and their answers in the form of the fetch stage's."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping

import msgspec

from pipeline.model import Brought, Failure, PackedPage, Request, Response
from pipeline.runner.client import Fetched
from pipeline.runner.outcome import decide
from pipeline.stages.chains import Step
from pipeline.stages.fetchers import bringer, outcome
from pipeline.workers.inline import Pool


def fetch_by_hand(steps: Mapping[str, Step], request: Request, max_body: int) -> Fetched:
    """One request to the registered fetcher of its page rule, in this very process, for `hookline try`."""
    began = time.monotonic()
    came = outcome(request, bringer(steps, max_body)(request), time.monotonic() - began)
    decision = decide(came)
    if isinstance(came, Failure):
        return Fetched(request.url, request.url, decision.fate, error=decision.detail)
    body = came.body if decision.fate == "fetched" else None
    return Fetched(
        request.url, request.url, decision.fate, came.status, came.headers, body, decision.detail or None, came.elapsed
    )


class OwnFetchers:
    """The page rules that have a fetcher of their own, and the pool in which those run.

    `headers` are sent with every request that does not have them itself.
    """

    def __init__(self, rules: Collection[str], pool: Pool, headers: Mapping[str, str]) -> None:
        self._rules = frozenset(rules)
        self.pool = pool
        self._headers = dict(headers)

    def wants(self, request: Request) -> bool:
        """Whether this request is for a registered fetcher."""
        return request.page in self._rules

    def start(self, request: Request) -> None:
        """Have it fetched; its outcome comes out of `take`."""
        own = {name.lower() for name in request.headers}
        rest = {name: value for name, value in self._headers.items() if name.lower() not in own}
        whole = msgspec.structs.replace(request, headers={**rest, **request.headers})
        self.pool.submit((request, time.monotonic()), whole)

    def take(self) -> Iterator[tuple[Response | Failure, PackedPage]]:
        """What has come: the outcome, and what is to be charged to the plugin."""
        done = self.pool.done
        while done:
            (request, began), brought = done.popleft()
            assert isinstance(brought, Brought)
            charge = PackedPage(fault=brought.fault, seconds=brought.seconds)
            yield outcome(request, brought, time.monotonic() - began), charge
