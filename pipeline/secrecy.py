"""What must not be told: secrets, as far as this process knows them, are taken out of what is said of plugins.

A plugin holds a secret in plain text, and may raise an exception or log a line that quotes it, as libraries do with
URLs and headers. What a plugin prints or puts into an item itself is its own affair.
"""

from __future__ import annotations

from typing import Final

MASK: Final = "**********"
SHORTEST: Final = 4  # characters: what is shorter would be found in any text

_known: list[str] = []


def keep_secret(value: str) -> None:
    """Have this value taken out from now on."""
    if len(value) >= SHORTEST and value not in _known:
        _known.append(value)
        _known.sort(key=len, reverse=True)  # one may be a part of another


def masked(text: str) -> str:
    """`text` without the secrets that are known."""
    for value in _known:
        if value in text:
            text = text.replace(value, MASK)
    return text
