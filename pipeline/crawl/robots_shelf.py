"""The robots.txt of very many origins in little memory: packed, but for those that were looked at last.

Packed is what a file says to our agent alone: a few hundred bytes where the parsed rules take as many times ten. To
read it again takes a tenth of a millisecond, and files that say the same are read once.

Origins stand by scheme and port, and then by host: of the many that a crawl meets nearly all differ in the host alone,
and its name is a string that the frontier has in any case.
"""

from __future__ import annotations

import zlib
from sys import intern
from typing import Final, TypeAlias

from pipeline.crawl.robots import Robots
from pipeline.crawl.scope import Refusal
from pipeline.url import Origin

TEXT: Final = 128 * 1024  # bytes of text of which the rules are kept parsed: those take ten times as much
LEAST: Final = 64  # files that are kept parsed, however long they are: as many hosts as are asked at once

_WINDOW: Final = -13  # 8 KiB: most files are shorter, and a larger one takes longer to set up; no head, no checksum

# What many files begin with or say: the packed form does not repeat it. The most frequent comes last.
_COMMON: Final = (
    b"\nDisallow: /search\nDisallow: /*?\nAllow: /wp-admin/admin-ajax.php\nDisallow: /wp-admin/\nAllow: /"
    b"\nDisallow: /\nUser-agent: *\nDisallow: /"
)

Said: TypeAlias = Robots | Refusal | None
"""What an origin says of its pages: rules, no to all of them, or nothing."""


class Shelf:
    """What is known of origins. `agent` is the one that the rules are for."""

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._said: dict[tuple[str, int], dict[str, bytes | Refusal | None]] = {}
        self._ready: dict[bytes, tuple[Robots, int]] = {}  # with the size of the text; those used last at the end
        self._size = 0

    def put(self, origin: Origin, said: Said) -> None:
        """Keep what an origin says; `origin.host` is kept as it is, without a copy."""
        hosts = self._said.setdefault((intern(origin.scheme), origin.port), {})
        hosts[origin.host] = self._packed(said) if isinstance(said, Robots) else said

    def __contains__(self, origin: Origin) -> bool:
        return origin.host in self._said.get((origin.scheme, origin.port), ())

    def __getitem__(self, origin: Origin) -> Said:
        said = self._said[origin.scheme, origin.port][origin.host]
        return self._rules(said) if isinstance(said, bytes) else said

    def _packed(self, rules: Robots) -> bytes | None:
        text = rules.condensed(self._agent)
        if not text:
            return None
        packer = zlib.compressobj(wbits=_WINDOW, memLevel=6, zdict=_COMMON)
        return packer.compress(text) + packer.flush()

    def _rules(self, packed: bytes) -> Robots:
        found = self._ready.pop(packed, None)
        if found is None:
            text = zlib.decompressobj(_WINDOW, _COMMON).decompress(packed)
            found = Robots(text), len(text)
            self._size += len(text)
        self._ready[packed] = found
        while self._size > TEXT and len(self._ready) > LEAST:
            self._size -= self._ready.pop(next(iter(self._ready)))[1]
        return found[0]
