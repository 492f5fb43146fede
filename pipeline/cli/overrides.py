"""`--set key=value`, as several commands take it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def set_option(command: Command) -> Command:
    """The flag, as a decorator."""
    flag = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key; may be repeated."
    )
    return flag(command)


def parse_overrides(pairs: tuple[str, ...]) -> dict[str, str]:
    """`key=value` texts by key; a usage error for anything else."""
    split = [pair.partition("=") for pair in pairs]
    for pair, (key, equals, _) in zip(pairs, split, strict=True):
        if not key or not equals:
            raise click.UsageError(f"--set wants KEY=VALUE, as --set limits.pages=20, found {pair!r}")
    return {key: value for key, _, value in split}
