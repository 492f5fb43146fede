"""From a fetch outcome to a decision: which fate, or what to do next. Pure.

One table of the spec (section 3) in one place, so that `run`, `fetch` and `try` can never disagree about what a status
means.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, auto
from typing import NamedTuple

from pipeline.crawl.redirect import REDIRECTS
from pipeline.crawl.throttle import Rng, backoff
from pipeline.errors import PolicyError
from pipeline.model import Failure, PackedPage, PageResult, Response


class Next(Enum):
    """What follows an attempt."""

    PARSE = auto()
    REDIRECT = auto()
    END = auto()


class Decision(NamedTuple):
    """`fate` is the request's if it ends here; `retry_word` is what `fetch.retry.on` must name for another attempt."""

    next: Next
    fate: str
    detail: str = ""
    retry_word: str | int | None = None


def decide(outcome: Response | Failure) -> Decision:
    """What an attempt's outcome means (spec, section 3: fates)."""
    if isinstance(outcome, Failure):
        error = outcome.error
        fate = error.rejected if isinstance(error, PolicyError) else error.fate
        return Decision(Next.END, fate, str(error), error.retry_word)
    status = outcome.status
    if 200 <= status < 300:
        return Decision(Next.PARSE, "fetched")
    if status in REDIRECTS and outcome.header("location"):
        return Decision(Next.REDIRECT, "redirected")
    if status in (404, 410):
        return Decision(Next.END, "gone", f"HTTP {status}")
    detail = f"HTTP {status} without a Location to go to" if status in REDIRECTS else f"HTTP {status}"
    return Decision(Next.END, f"failed:http_{status}", detail, status)


def page_fate(result: PackedPage | PageResult) -> tuple[str, str]:
    """(fate, detail) of a page that was fetched and parsed (spec, sections 3 and 4)."""
    if result.fault is not None:
        return result.fault.fate, str(result.fault)
    if result.verdict == "soft_404":
        return "gone", "soft 404"
    if result.verdict in ("blocked", "login"):
        return "failed:blocked", result.verdict
    return "fetched", ""


class RetryPolicy(NamedTuple):
    """`fetch.retry`: attempts in all, back-off `base * 2^n` up to `cap` seconds, and what it is for."""

    attempts: int = 3
    base: float = 1.0
    cap: float = 60.0
    on: Collection[str | int] = ()

    def wants(self, decision: Decision, attempts: int) -> bool:
        """True if another attempt is due after `attempts` of them."""
        return attempts < self.attempts and decision.retry_word in self.on

    def wait(self, attempts: int, rng: Rng) -> float:
        """Seconds to wait after the given number of attempts."""
        return backoff(attempts, rng, base=self.base, cap=self.cap)
