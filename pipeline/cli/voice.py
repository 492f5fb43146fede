"""How runs speak on stderr: to people, or in JSON to programs (`--log-format`). What they say is `terminal`'s."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipeline import logs
from pipeline.cli import terminal
from pipeline.cli.faults import Fault
from pipeline.runner.summary import Summary


class Voice:
    """Speaks to people. `config` is the name of the config that is run."""

    def __init__(self, *, verbose: int = 0, quiet: bool = False) -> None:
        self.verbose = verbose
        self.quiet = quiet
        self.config = ""
        level = logging.CRITICAL if quiet or not verbose else logging.INFO if verbose == 1 else logging.DEBUG
        logs.set_up(sys.stderr, level, self._formatter())

    @property
    def is_live(self) -> bool:
        """Whether a live line may be shown."""
        return sys.stderr.isatty() and not self.quiet

    def about(self, config: str) -> None:
        """From now on it is about this one."""
        self.config = config

    def note(self, line: str) -> None:
        """Something that a person should know, though nothing is wrong."""
        if not self.quiet:
            self._say([f"{self.config}: {line}"], level="warning", event="note")

    def went_well(self, summary: Summary) -> None:
        """The end of a run that leaves nothing to be wished; off a terminal worth a word with -v only."""
        if not self.quiet and (self.is_live or self.verbose):
            self._say(terminal.success_lines(summary), level="info", event="finished", **_facts(summary))

    def went_wrong(self, summary: Summary, lines: Sequence[str], *, report: Path | None) -> None:
        """The end of a run that does not."""
        told = str(report) if report is not None else ""
        self._say(lines, level="error", event="finished", report=told, **_facts(summary))

    def failed(self, fault: Fault, config: str) -> None:
        """There was no run, or it broke; or there was nothing to do, which is no failure."""
        if not fault.code:
            for line in fault.lines:
                self.note(line)
            return
        lines = terminal.fault_lines(fault, name=self.config, config=config, whole=bool(self.verbose))
        self._say(lines, level="error", event="error", exit_code=fault.code, traceback=fault.whole)

    def forced(self) -> None:
        """A second signal came."""
        line = f"{self.config}: ended at once by a second signal; what was committed is kept"
        self._say([line], level="error", event="error")

    def tell(self, line: str) -> None:
        """What is about no config in particular."""
        self._say([line], level="error", event="error")

    def _say(self, lines: Sequence[str], *, level: str, event: str, **fields: Any) -> None:
        terminal.say(lines)

    def _formatter(self) -> logging.Formatter:
        return logs.TextFormatter()


class JsonVoice(Voice):
    """Writes one JSON object a line, those of the loggers among them, and never a live line."""

    @property
    def is_live(self) -> bool:
        """Never."""
        return False

    def about(self, config: str) -> None:
        """The records of loggers are about it too."""
        super().about(config)
        self._json.context = {"config": config}

    def failed(self, fault: Fault, config: str) -> None:
        """What is wrong with a config, problem by problem, then the verdict."""
        for problem in fault.problems:
            place = problem.mark._asdict() if problem.mark is not None else {}
            self._say([str(problem)], level="error", event="problem", key=problem.key, **place)
        super().failed(fault, config)

    def _say(self, lines: Sequence[str], *, level: str, event: str, **fields: Any) -> None:
        if not lines:
            return
        message, *details = [line.strip().removeprefix(f"{self.config}: ") for line in lines]
        click.echo(logs.json_line(level, event, message, details=details, config=self.config, **fields), err=True)

    def _formatter(self) -> logging.Formatter:
        self._json = logs.JsonFormatter()
        return self._json


def _facts(summary: Summary) -> dict[str, Any]:
    return {
        "run": summary.run,
        "exit_code": summary.exit_code,
        "verdict": summary.verdict,
        "published": summary.published,
        "seconds": summary.seconds,
        "fates": summary.fates,
        "items": {"stored": summary.items.stored, **summary.items.changes},
    }
