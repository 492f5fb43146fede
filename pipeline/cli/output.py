"""Data on stdout: items as JSON Lines, exactly as the `jsonl` store writes them.

Written to the descriptor itself, because what plugins print to stdout is sent to stderr.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from pipeline.model import Item
from pipeline.stages.stdout import descriptor

_encoder = msgspec.json.Encoder(decimal_format="number")


def print_items(items: Iterable[Item]) -> None:
    """Write items to stdout, one JSON object per line."""
    data = b"".join(_encoder.encode(item) + b"\n" for item in items)
    while data:
        data = data[os.write(descriptor(), data) :]
