"""Hookline from Python: `from pipeline import run; result = run("configs/books.yaml", limit=20)` (spec, section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from pipeline.config.loader import load
from pipeline.model import Item
from pipeline.runner.build import Options
from pipeline.runner.publish import StreamStore
from pipeline.runner.session import execute
from pipeline.runner.summary import Summary


class Result(msgspec.Struct):
    """What a run came to: the exit code, the published items in output order, and the whole summary."""

    exit_code: int
    items: list[Item]
    summary: Summary


def run(
    config: str | Path,
    *,
    limit: int | None = None,
    time_limit: float | None = None,
    dry_run: bool = False,
    strict: bool = False,
    overrides: Mapping[str, str] | None = None,
) -> Result:
    """Run the config file `config` as `hookline run` does, stores included, and return what it published.

    `limit` caps the pages, `time_limit` the seconds; `overrides` are `--set` pairs. Raises ConfigError before anything
    is requested; how the run itself ended is in `Result.exit_code`.
    """
    items: list[Item] = []
    loaded = load(Path(config), overrides=dict(overrides or {}))
    options = Options(limit=limit, time_limit=time_limit, dry_run=dry_run, strict=strict)
    tap = items.append if dry_run else None
    stores = [] if dry_run else [StreamStore("result", items.extend)]
    summary = execute(loaded, options, stores=stores, tap=tap)
    return Result(summary.exit_code, items, summary)
