"""The live line on a terminal: four times a second, on stderr, gone when the run ends."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from pipeline.runner.engine import Engine

INTERVAL = 0.25


class LiveProgress:
    """Shows an engine's counters while it runs; a context manager."""

    def __init__(self, name: str) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4)
        self._name = name
        self._task = self._progress.add_task(name)

    def watch(self, engine: Engine) -> None:
        """Start showing `engine`; a timer on its loop keeps the line fresh."""
        self._progress.start()
        self._tick(engine)

    def _tick(self, engine: Engine) -> None:
        frontier, fates = engine.frontier, engine.frontier.fates
        failed = sum(count for fate, count in fates.items() if fate.startswith("failed:"))
        text = f"{self._name}  {fates['fetched']} pages  {engine.books.kept} items  {frontier.pending} waiting"
        text += f"  {frontier.active} running" + (f"  [red]{failed} failed[/red]" if failed else "")
        self._progress.update(
            self._task, description=text + (f"  stopping: {engine.stopped}" if engine.stopped else "")
        )
        engine.loop.call_later(INTERVAL, lambda: self._tick(engine))

    def close(self) -> None:
        """Take the line away."""
        self._progress.stop()
