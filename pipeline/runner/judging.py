"""`checks:` of a config over a result about to be published, beside the last published ones; drift as well."""

from __future__ import annotations

import msgspec

from pipeline.checks import judge
from pipeline.checks.drift import RUNS, drift
from pipeline.checks.figures import Fields, Figures
from pipeline.checks.grammar import Check, Figure, parse
from pipeline.config.schema import Config
from pipeline.runner.examples import Lacks, example, without_field, without_items
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
    """Writes the verdicts on the result of a run (by its number), and what has drifted, into its summary."""

    def __init__(self, config: Config, writer: Writer, run: int) -> None:
        given = {rule.type for page in config.pages.values() for rule in page.items}
        self._config = config
        self._writer = writer
        self._run = run
        self._checks, self._may_vanish = checks_of(config)
        self._given = None if config.plugins or config.parse else given  # plugins may give any

    def __call__(self, summary: Summary) -> None:
        """Judge what has been staged."""
        now = Figures(summary.items.by_type, summary.fields, summary.fates)
        past = self._past()
        summary.checks = [
            self._exemplified(verdict, self._lacks(check.figure, now))
            for check, verdict in zip(self._checks, judge.judge(self._checks, now, past), strict=True)
        ]
        if not self._may_vanish and past:
            there = past[0].items.keys()
            retired = there - self._given if self._given is not None else set[str]()
            lost = sorted(kind for kind in there - retired if not now.items.get(kind))
            lacks = self._without_items(lost[0] if lost else None)
            summary.checks.extend(
                self._exemplified(verdict, lacks) for verdict in judge.judge_types(now, past, retired=retired)
            )
        summary.drift = drift(now, past)

    def _exemplified(self, verdict: judge.Verdict, lacks: Lacks | None) -> judge.Verdict:
        """A verdict with a page that shows why, if it needs one."""
        found = None if verdict.passed or lacks is None else example(self._writer, self._run, lacks)
        return msgspec.structs.replace(verdict, url=found.url, rule=found.rule) if found is not None else verdict

    def _lacks(self, figure: Figure, now: Figures) -> Lacks | None:
        """What is wrong with a page if a check on this figure fails; None where that is said by fates."""
        names = [name.text for name in figure.names]
        if figure.kind == "coverage" and now.items.get(names[0]):
            return without_field(*names)
        return self._without_items(names[0] if names else None) if figure.kind != "pages" else None

    def _without_items(self, kind: str | None) -> Lacks:
        pages = self._config.pages.items()
        return without_items(kind, {name for name, page in pages if any(kind in (None, it.type) for it in page.items)})

    def _past(self) -> list[Figures]:
        """Published runs, newest first."""
        most = max(RUNS, judge.runs_needed(self._checks))
        found = map(_told, self._writer.call(runs.published_summaries, most))
        return [Figures(told.items.by_type, told.fields, told.fates) for told in found]
