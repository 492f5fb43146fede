"""How a run is told to a person: a live line on a terminal, silence off it when all is well, ten lines when not."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence

import click

from pipeline.checks.judge import Verdict
from pipeline.cli.faults import Fault
from pipeline.config.layers import SetMark
from pipeline.errors import LockedError
from pipeline.logs import printable
from pipeline.runner.summary import Summary

MOST_LINES = 10
LONGEST_PROBLEM = 1024  # characters of a line that says what is wrong with a config

MOST_DRIFT = 5  # of which a terminal is told

GOES_ON = (3, 5, 6, 75)  # what such a run has done is kept

MEANING = {
    1: "a check failed; nothing was published, the last good output is kept",
    2: "could not start; nothing was requested, nothing written",
    3: "stopped early; nothing was published",
    4: "the source is unavailable; nothing was published",
    5: "a store or the state failed",
    6: "a plugin failed; nothing was published",
    70: "internal error",
    75: "another run holds the lock; nothing was done",
}
OUTPUT_LOCKED = "another run holds an output; nothing was published"
PUBLISHED_ALL_THE_SAME = "a check failed; the result was published all the same (on_check_failure)"


def success_lines(summary: Summary) -> list[str]:
    """What a terminal shows of a good run: counts and where the items are."""
    items, fates = summary.items, summary.fates
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(items.by_type.items())) or "no items"
    unchanged = fates.get("not_modified", 0) + fates.get("not_due", 0)
    pages = f"{fates.get('fetched', 0)} pages" + (f" and {unchanged} unchanged ones" if unchanged else "")
    lines = [f"{summary.name}: {pages} in {summary.seconds:.1f} s, {kinds}"]
    dropped = sum(items.dropped.values())
    if dropped or items.dead_lettered:
        lines.append(f"  {dropped} dropped, {items.dead_lettered} dead-lettered")
    lines.extend(f"  -> {path}" for path in summary.outputs if summary.published)
    lines.extend(f"  {line}" for line in drift_lines(summary))
    return [printable(line) for line in lines]


def failure_lines(summary: Summary, *, config: str, report: str | None, command: str = "run") -> list[str]:
    """Verdict, top reasons, report path, the next command to type: at most ten lines, never wrapped or coloured.

    `command` is the one that goes on with such a run, `run` with its flags or `retry`; "" for a dry run, with which
    nothing goes on.
    """
    code = summary.exit_code
    why = f" ({summary.stopped})" if summary.stopped and code == 3 else ""
    meaning = PUBLISHED_ALL_THE_SAME if code == 1 and summary.published else MEANING.get(code, "failed")
    meaning = OUTPUT_LOCKED if code == LockedError.exit_code else meaning  # there was a crawl, so it is not the state
    head = f"{summary.name}: {meaning}{why} [exit {code}]"
    tail = [f"report: {report}"] if report else []
    tail.extend(_next(summary, config, command))
    told = [
        *summary.errors,
        *_done(summary),
        *failed_checks(summary.checks),
        *_unasked(summary),
        *_dropped(summary),
        *_fates(summary),
        *_plugins(summary),
    ]
    return _within(head, told, tail)


def fault_lines(fault: Fault, *, name: str, config: str, whole: bool) -> list[str]:
    """What there is to say where no run came about, or one broke: as `failure_lines`; `whole`: all that is known."""
    if not fault.lines:
        return []
    quoted = shlex.quote(config)
    head = f"{name}: {MEANING.get(fault.code, 'failed')} [exit {fault.code}]"
    if fault.code == 70:
        more = f"please report it with the lines above; next: hookline run {quoted} -v shows all of them"
        short = ["Traceback, innermost call last:", *fault.calls, *fault.lines]
        calls = fault.whole.splitlines() if whole else [printable(line, LONGEST_PROBLEM) for line in short]
        return [head, *(f"  {line}" for line in calls), f"  this is a bug of Hookline: {more}"]
    following = {2: f"hookline check {quoted}", 75: f"hookline runs {quoted}"}.get(fault.code, f"hookline run {quoted}")
    of_flags = bool(fault.problems) and all(isinstance(problem.mark, SetMark) for problem in fault.problems)
    tail = [] if of_flags else [f"next: {following}"]  # with --set the file itself may be fine
    lines = _within(head, fault.lines, tail, most=LONGEST_PROBLEM, all_of_them=whole)
    if not fault.problems:
        return lines
    return [line.strip() for line in lines[: len(lines) - len(tail)]] + lines[len(lines) - len(tail) :]  # for editors


def kept_back(config: str) -> str:
    """What a person must know of a run that ended well: that its result waits to be released."""
    how = f"hookline publish {shlex.quote(config)}"
    return f"the published result stays, since this run saw only a part; to publish what it found: {how}"


def _within(
    head: str, reasons: Sequence[str], tail: Sequence[str], *, most: int = 300, all_of_them: bool = False
) -> list[str]:
    """Head, reasons and tail in at most ten lines."""
    room = len(reasons) if all_of_them else MOST_LINES - 1 - len(tail)
    if len(reasons) > room:
        reasons = [*reasons[: room - 1], f"... and {len(reasons) - room + 1} more reasons"]
    return [printable(line, most) for line in [head, *(f"  {line}" for line in [*reasons, *tail])]]


def _next(summary: Summary, config: str, command: str) -> list[str]:
    """The last lines: what can be done."""
    quoted = shlex.quote(config)
    if summary.exit_code in GOES_ON and command:
        word, _, flags = command.partition(" ")
        return [
            " ".join(["next: the same command goes on with it: hookline", word, quoted, *([flags] if flags else [])])
        ]
    following = next_command(summary, config)
    lines = [f"next: {following}"]
    if summary.exit_code == 1 and command and "--explain" in following:
        lines.append(f"all that was found: hookline report {quoted}")
    if summary.exit_code == 1 and command and not summary.published:
        lines.append(f"to publish the result all the same: hookline publish {quoted} --force")
    return lines


def next_command(summary: Summary, config: str) -> str:
    """What to type next, by exit code."""
    quoted = shlex.quote(config)
    if summary.exit_code == 4 and summary.problems:
        first = summary.problems[0]
        by_us = first.fate in ("failed:plugin", "failed:parse")  # the site answered
        how = f"hookline try {quoted}" if by_us else "hookline fetch --head"
        return f"{how} {shlex.quote(first.url)}"
    shown = next((verdict for verdict in summary.checks if not verdict.passed and verdict.url), None)
    if summary.exit_code == 1 and shown is not None:
        return f"hookline try {quoted} {shlex.quote(shown.url)} --page {shlex.quote(shown.rule)} --explain"
    about_pages = any(verdict.check.startswith("pages") for verdict in summary.checks if not verdict.passed)
    if summary.exit_code == 1 and summary.problems and about_pages:
        return f"hookline try {quoted} {shlex.quote(summary.problems[0].url)}"
    if summary.exit_code == 1:
        return f"hookline report {quoted}"
    if summary.exit_code == 2:
        return f"hookline check {quoted}"
    return f"hookline run {quoted} --report report.json"


def failed_checks(checks: Iterable[Verdict]) -> list[str]:
    """The verdicts of checks that failed."""
    return [f"{verdict.check}: {verdict.message}" for verdict in checks if not verdict.passed]


def drift_lines(summary: Summary) -> list[str]:
    """What has moved since the last published runs though no check asks for it."""
    found = [f"drift: {one.message}" for one in summary.drift]
    return found if len(found) <= MOST_DRIFT else [*found[:MOST_DRIFT], f"... and {len(found) - MOST_DRIFT} more"]


def _done(summary: Summary) -> list[str]:
    """How far a run came that stopped early: whoever reads it must judge whether its limit is too tight."""
    if summary.exit_code != 3:
        return []
    ended, took = sum(summary.fates.values()), f"{summary.seconds:.1f} s"
    return [f"{ended} requests done, {summary.pending} waiting, after {took}"]


def _unasked(summary: Summary) -> list[str]:
    """Drift beside checks that failed: it often says why."""
    asked = [verdict.check for verdict in summary.checks if not verdict.passed]
    if not asked or summary.exit_code != 1:
        return []
    return [f"drift: {one.message}" for one in summary.drift if not any(one.figure in check for check in asked)]


def _dropped(summary: Summary) -> list[str]:
    """Why items are missing, where a check that failed may be about that."""
    if summary.exit_code != 1 or all(verdict.passed for verdict in summary.checks):
        return []
    dropped = {reason: count for reason, count in summary.items.dropped.items() if reason != "duplicate"}
    return [f"{count} x item dropped, {reason}" for reason, count in Counter(dropped).most_common(2)]


def _fates(summary: Summary) -> list[str]:
    examples = {problem.fate: problem for problem in reversed(summary.problems)}
    counts = Counter(summary.fates) + Counter(summary.sources.fates)
    bad = Counter({fate: count for fate, count in counts.items() if fate in examples})
    return [
        f"{count} x {fate}, as {examples[fate].url}: {examples[fate].detail or fate}"
        for fate, count in bad.most_common()
    ]


def _plugins(summary: Summary) -> list[str]:
    return [
        f"{count} x plugin {name}, {message}"
        for name, cost in summary.plugins.items()
        for message, count in Counter(cost.errors).most_common(2)
    ]


def say(lines: Sequence[str]) -> None:
    """Write lines to stderr as they are."""
    for line in lines:
        click.echo(line, err=True)
