"""What a run came to, as a text file for Prometheus (the textfile collector of node_exporter).

The names in `FAMILIES` and their labels are stable: dashboards and alerts hang on them. A series belongs to a config by
the path of its file, which is known even where the file is broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from pipeline.config.loader import Loaded
from pipeline.errors import ConfigError, StorageError
from pipeline.runner.release import state_file
from pipeline.runner.report import write_whole
from pipeline.runner.summary import Summary
from pipeline.state import runs
from pipeline.state.database import reading

FAMILIES: Final = {
    "hookline_exit_code": "What the last command ended with for this config.",
    "hookline_ended_timestamp_seconds": "When it ended.",
    "hookline_last_success_timestamp_seconds": "End of the last run that published and found nothing wrong.",
    "hookline_run_published": "1 if the result of the run is in place.",
    "hookline_run_duration_seconds": "Time that the run took, over all its processes.",
    "hookline_run_requests": "Requests by the fate that each of them had.",
    "hookline_run_pending_requests": "Requests that were not made yet when the run stopped.",
    "hookline_run_attempts": "Requests sent, retries included, those for robots.txt not.",
    "hookline_run_received_bytes": "Bytes of bodies received.",
    "hookline_run_items": "Items stored, by type.",
    "hookline_run_item_changes": "Items new, changed, unchanged and gone against the last published result.",
    "hookline_run_items_dropped": "Items dropped, by reason.",
    "hookline_run_items_dead_lettered": "Items on which a plugin broke.",
    "hookline_run_checks_failed": "Checks that did not pass.",
}


class Sample(msgspec.Struct, frozen=True):
    """How the command ended for one config. `summary` is None where no run came about."""

    file: Path
    exit_code: int
    ended: float  # seconds since 1970
    last_success: float | None = None
    summary: Summary | None = None


def last_success(loaded: Loaded) -> float | None:
    """When the last good run of a config ended, as its state has it; None if there was none, or it cannot be read."""
    with suppress(StorageError, ConfigError):
        path = state_file(loaded)
        if path is None:
            return None
        with reading(path, briefly=True) as db:
            ended = runs.last_good(db)
            return datetime.fromisoformat(ended).timestamp() if ended is not None else None
    return None


def write_metrics(path: Path, samples: Sequence[Sample]) -> None:
    """Write the file, whole or not at all. Raises StorageError."""
    write_whole(path, exposition(samples).encode(), "metrics")


def exposition(samples: Iterable[Sample]) -> str:
    """The text format 0.0.4: of each family its help, its type and all its series."""
    series: dict[str, list[str]] = {}
    for sample in samples:
        for name, labels, value in _series(sample):
            told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
            series.setdefault(name, []).append(f"{name}{{{told}}} {+value}")  # in full, and True as 1
    lines = []
    for name, meaning in FAMILIES.items():
        if name in series:
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge", *series[name]]
    return "".join(line + "\n" for line in lines)


def _series(sample: Sample) -> Iterator[tuple[str, dict[str, str], float]]:
    config = {"config": str(sample.file)}

    def by(label: str, counts: Mapping[str, int], name: str) -> Iterator[tuple[str, dict[str, str], float]]:
        return ((f"hookline_{name}", {**config, label: key}, count) for key, count in counts.items())

    yield "hookline_exit_code", config, sample.exit_code
    yield "hookline_ended_timestamp_seconds", config, sample.ended
    if sample.last_success is not None:
        yield "hookline_last_success_timestamp_seconds", config, sample.last_success
    if (summary := sample.summary) is None:
        return
    items = summary.items
    numbers = {
        "published": summary.published,
        "duration_seconds": summary.seconds,
        "pending_requests": summary.pending,
        "attempts": summary.requests,
        "received_bytes": summary.bytes,
        "items_dead_lettered": items.dead_lettered,
        "checks_failed": sum(not verdict.passed for verdict in summary.checks),
    }
    for name, value in numbers.items():
        yield f"hookline_run_{name}", config, value
    yield from by("fate", summary.fates, "run_requests")
    yield from by("type", items.by_type, "run_items")
    yield from by("kind", items.changes, "run_item_changes")
    yield from by("reason", items.dropped, "run_items_dropped")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
