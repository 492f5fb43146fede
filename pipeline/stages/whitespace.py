"""White space in texts that are read off elements."""

from __future__ import annotations


def collapse(text: str) -> str:
    """White space runs (as `str.split` sees them) become one space, none at the ends."""
    # Only the plain space is both white space and printable: most texts are collapsed already.
    if text.isprintable() and "  " not in text:
        return text.strip(" ")
    return " ".join(text.split())


def collapsed(texts: list[str]) -> list[str]:
    """`collapse` of each, after one look at all of them together."""
    joined = f"|{'|'.join(texts)}|"
    done = joined.isprintable() and "  " not in joined and "| " not in joined and " |" not in joined
    return texts if done else list(map(collapse, texts))
