"""Is the result good enough to publish? The two checks that are always there (spec, section 3, Checks).

Pure: figures in, verdicts out. Each default steps aside when the config has a check of its own on the same figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

FAILED_SHARE = 0.10
SENT = ("fetched", "not_modified", "redirected", "gone")


class Verdict(msgspec.Struct, frozen=True):
    """How one check came out; `message` says what was expected and what came."""

    check: str
    passed: bool
    message: str


def judge(
    *, own: Sequence[str], expects_items: bool, items: Mapping[str, int], fates: Mapping[str, int]
) -> list[Verdict]:
    """The verdicts over a result about to be published.

    `own` are the config's checks, `items` the counts by type in the result, `fates` those of this run's requests;
    `expects_items` says that some page rule or parser is there to give items.
    """
    verdicts = []
    if expects_items and not any(check.strip().startswith("items") for check in own):
        total = sum(items.values())
        verdicts.append(Verdict("items >= 1", total >= 1, f"expected at least 1 item, got {total}"))
    if not any(check.strip().startswith("pages.failed") for check in own):
        verdicts.append(_failed_pages(fates))
    return verdicts


def _failed_pages(fates: Mapping[str, int]) -> Verdict:
    failed = sum(count for fate, count in fates.items() if fate.startswith("failed:"))
    sent = failed + sum(fates.get(fate, 0) for fate in SENT)
    passed = failed <= FAILED_SHARE * sent
    share = f"{failed / sent:.1%}" if sent else "0 %"
    return Verdict(
        "pages.failed <= 10%", passed, f"expected at most 10 % failed requests, got {share} ({failed} of {sent})"
    )
