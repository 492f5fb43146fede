"""What `hookline plugin check` finds, as data that crosses from the process in which a plugin is examined."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["ok", "wrong", "note", "unloadable"]


class Finding(msgspec.Struct):
    """One thing that was looked at. `unloadable`: the plugin cannot be had at all."""

    level: Level
    about: str
    message: str


class Doing(msgspec.Struct, tag="doing"):
    """What is about to be looked at: told first, so that a plugin that never comes back is known by its place."""

    about: str


class Readme(msgspec.Struct, tag="readme"):
    """A section for the plugin's README, as Markdown."""

    text: str


class Found(msgspec.Struct, tag="found"):
    """A finding on its way."""

    finding: Finding


Line = Doing | Readme | Found


class Order(msgspec.Struct):
    """What to examine: a file, folder, entry point, module or distribution; options by component; pages beside ours.

    `urls` are what a fetcher is asked for.
    """

    target: str
    options: dict[str, dict[str, object]] = {}
    pages: list[str] = []
    urls: list[str] = []
