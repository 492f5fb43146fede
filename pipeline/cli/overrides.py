"""`--set key=value`, as several commands take it."""

from __future__ import annotations

import click


def parse_overrides(pairs: tuple[str, ...]) -> dict[str, str]:
    """`key=value` texts by key; a usage error for anything else."""
    split = [pair.partition("=") for pair in pairs]
    for pair, (key, equals, _) in zip(pairs, split, strict=True):
        if not key or not equals:
            raise click.UsageError(f"--set wants KEY=VALUE, as --set limits.pages=20, found {pair!r}")
    return {key: value for key, _, value in split}
