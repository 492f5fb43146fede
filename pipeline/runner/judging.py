"""`checks:` of a config over a result about to be published, beside the last published ones; drift as well."""

from __future__ import annotations

import msgspec

from pipeline.checks import judge
from pipeline.checks.drift import RUNS, drift
from pipeline.checks.figures import Fields, Figures
from pipeline.checks.grammar import Check, parse
from pipeline.config.schema import Config
from pipeline.runner.summary import Summary
from pipeline.state import runs
from pipeline.state.writer import Writer


class _Items(msgspec.Struct):
    by_type: dict[str, int] = {}


class _Told(msgspec.Struct):
    """What is read of the summary of a run of before."""

    items: _Items = msgspec.field(default_factory=_Items)
    fields: Fields = {}
    fates: dict[str, int] = {}


_told = msgspec.json.Decoder(_Told).decode


def checks_of(config: Config) -> tuple[list[Check], bool]:
    """The checks of a config and those that are always there; whether types of items may vanish."""
    expects_items = bool(config.parse or any(page.items for page in config.pages.values()))
    return judge.with_defaults([parse(text) for text in config.checks], expects_items=expects_items)


class Judge:
    """Writes the verdicts on a result, and what has drifted, into its summary."""

    def __init__(self, config: Config, writer: Writer) -> None:
        given = {rule.type for page in config.pages.values() for rule in page.items}
        self._writer = writer
        self._checks, self._may_vanish = checks_of(config)
        self._given = None if config.plugins or config.parse else given  # plugins may give any

    def __call__(self, summary: Summary) -> None:
        """Judge what has been staged."""
        now = Figures(summary.items.by_type, summary.fields, summary.fates)
        past = self._past()
        summary.checks = judge.judge(self._checks, now, past)
        if not self._may_vanish and past:
            there = past[0].items.keys()
            retired = there - self._given if self._given is not None else set[str]()
            summary.checks.extend(judge.judge_types(now, past, retired=retired))
        summary.drift = drift(now, past)

    def _past(self) -> list[Figures]:
        """Published runs, newest first."""
        most = max(RUNS, judge.runs_needed(self._checks))
        found = map(_told, self._writer.call(runs.published_summaries, most))
        return [Figures(told.items.by_type, told.fields, told.fates) for told in found]
