"""The records of a JSON page: its largest list of objects, and the fields that these share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

MAX_DEPTH = 6
MOST = 15


def find_list(data: Any) -> tuple[str, list[str]] | None:
    """(JMESPath of the list, JMESPaths of fields in a record) of the list with most to say; None without one."""
    best = max(_lists(data, ""), key=lambda found: _worth(found[1]), default=None)
    if best is None:
        return None
    path, records = best
    counts = Counter(field for record in records[:50] for field in _fields(record, ""))
    fields = [field for field, number in counts.items() if number >= 0.5 * len(records[:50])]
    return path or "[*]", fields[:MOST]


def _worth(records: Sequence[dict[str, Any]]) -> float:
    return min(len(records), 50) * sum(map(len, records[:10])) / max(len(records[:10]), 1)


def _lists(data: Any, path: str, depth: int = 0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    if depth > MAX_DEPTH:
        return
    if isinstance(data, list):
        records = [one for one in data if isinstance(one, dict) and one]
        if records and len(records) == len(data):
            yield path, records
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _lists(value, f"{path}.{_key(key)}".lstrip("."), depth + 1)


def _fields(record: dict[str, Any], path: str, depth: int = 0) -> Iterator[str]:
    for key, value in record.items():
        here = f"{path}.{_key(key)}".lstrip(".")
        if isinstance(value, dict) and depth < 2:
            yield from _fields(value, here, depth + 1)
        elif value is not None and not isinstance(value, dict | list):
            yield here


def _key(key: str) -> str:
    return (
        key
        if re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII)
        else '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )
