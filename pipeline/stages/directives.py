"""What a page asks of robots: `X-Robots-Tag` headers, and `<meta name="robots">` or one with our own name.

What is said to all and what is said to us count together, and the stricter wins, as with Google. Known are `noindex`,
`nofollow`, `none` and `unavailable_after`; the rest is about search engines. `rel=nofollow` on a single link is no
directive: HTML has it for "not endorsed", and a selector can leave such links out (`a:not([rel~=nofollow])`).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.model import Headers
from pipeline.stages.dates import latest

if TYPE_CHECKING:
    from pipeline.stages.page import Page

HEAD: Final = 64 * 1024  # bytes of a page in which its head is looked for
SHORT: Final = 8 * 1024  # likewise, where no body begins within these
AROUND: Final = 256  # bytes around its name in which what it forbids must stand
OCCURRENCES: Final = 20

_WORDS: Final = (b"noindex", b"nofollow", b"none", b"unavailable_after")
_UNTIL: Final = re.compile(r"unavailable_after\s*:", re.IGNORECASE)  # two, since one for both takes time squared
_NEXT: Final = re.compile(r",\s*(?:no|all|index|follow|max-)", re.IGNORECASE)
_DATE: Final = 100  # characters that a date may have
_VALUED: Final = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")


class Asked(NamedTuple):
    """What a page asks for."""

    noindex: bool = False
    nofollow: bool = False


NOTHING: Final = Asked()


class Directives:
    """Reads them for one agent: `agent` is a User-Agent value, of which the product token counts."""

    def __init__(self, agent: str) -> None:
        self._token = re.split(r"[\s/;,(]", agent.strip(), maxsplit=1)[0].lower()
        spellings = {"robots", "ROBOTS", "Robots", self._token, self._token.capitalize()}
        self._names = [name.encode() for name in sorted(spellings) if name]

    def of(self, page: Page, headers: Headers, now: datetime | None) -> Asked:
        """What the page asks for at the time `now`."""
        told = [value for name, value in headers if len(name) == 12 and name.lower() == "x-robots-tag"]
        lines = [directives for value in told for directives in self._for_us(value)]
        if page.kind == "html" and self._may_have_meta(_head(page.body)):
            lines += self._metas(page)
        return _together(lines, now) if lines else NOTHING

    def _for_us(self, value: str) -> list[str]:
        """The parts of a header that are said to all or to us: `otherbot: noindex` is not."""
        parts, ours = [], True
        for part in value.split(","):
            name, colon, rest = part.partition(":")
            agent = name.strip().lower()
            if colon and agent not in _VALUED and re.fullmatch(r"[\w.*-]+", agent):
                ours = agent in (self._token, "*")
                part = rest  # noqa: PLW2901
            if ours:
                parts.append(part)
        return [",".join(parts)] if parts else []

    def _may_have_meta(self, head: bytes) -> bool:
        """Whether it is worth to ask the tree; most pages forbid nothing, and this costs them next to nothing."""
        for name in self._names:
            at = head.find(name)
            for _ in range(OCCURRENCES):
                if at < 0:
                    break
                near = head[max(0, at - AROUND) : at + AROUND].lower()
                if b"<meta" in near and any(word in near for word in _WORDS):
                    return True
                at = head.find(name, at + 1)
            else:
                return True
        return False

    def _metas(self, page: Page) -> list[str]:
        found = page.tree.select("meta[name][content]")
        names = ("robots", self._token)
        return [meta.attr("content") or "" for meta in found if (meta.attr("name") or "").strip().lower() in names]


def _head(body: bytes) -> bytes:
    """What stands before the body: the rest of a page would take ten times as long to search."""
    end = body.find(b"<body", 0, HEAD)
    if end < 0:
        end = body.find(b"<BODY", 0, SHORT)
    return body[: SHORT if end < 0 else end]


def _together(lines: list[str], now: datetime | None) -> Asked:
    words: set[str] = set()
    for line in lines:
        words.update(word.strip().lower() for word in line.split(","))
        date = _until(line)
        if date is not None and now is not None and date < now.timestamp():
            words.add("noindex")
    return Asked(bool(words & {"noindex", "none"}), bool(words & {"nofollow", "none"}))


def _until(line: str) -> float | None:
    """The date behind `unavailable_after`, in seconds since 1970: commas and all, up to the next directive."""
    found = _UNTIL.search(line)
    if found is None:
        return None
    rest = line[found.end() :].lstrip()[: 2 * _DATE]
    end = _NEXT.search(rest)
    return latest(rest[: end.start() if end else _DATE])
