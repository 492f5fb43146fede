"""What to say of fields that a filter or store asks for and that no item has. For plugins; knows no config."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from pipeline.errors import OptionError

KnownFields: TypeAlias = Mapping[str, Mapping[str, str]]
"""Item type -> field -> type of its values; empty where that is not certain."""

META = frozenset(("_run", "_url", "_fetched_at", "_type", "_noindex", "_change"))


def unknown_fields(names: Iterable[str], fields: KnownFields, *option: str) -> Iterator[OptionError]:
    """An error for each name that no item has, at its place in the list that is the component's first option.

    `option` is the name of the list where it is another one.
    """
    known = dict.fromkeys(one for own in fields.values() for one in own)
    for place, name in enumerate(names):
        if name not in known and name not in META:
            from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

            near = get_close_matches(name, known, 1)
            told = f"did you mean {near[0]}?" if near else f"there are: {', '.join(list(known)[:8])}"
            yield OptionError(f"no item has a field {name!r}", path=(*option, place), hint=told)
