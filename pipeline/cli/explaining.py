"""What `hookline try --explain` shows: how each item rule, field and follow fared on a page.

On a terminal lines are as wide as it is, and wrapped between words; off one they are neither wrapped nor coloured.
Knows nothing of selectors: what there is to say comes from the parsers.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from pipeline.logs import printable
from pipeline.model import Explained

NARROW = 30  # columns below which nothing gets any shorter
LONGEST = 500  # characters of a line off a terminal
VALUE = 60  # characters of one value
NAME, WIDEST = 16, 28  # columns for the names of fields: at least, at most; longer ones move the rest of their line


class Line(NamedTuple):
    """A line before it is wrapped: `hang` columns are left free below its beginning.

    `tail` follows the text in the same line if there is room for it, else it begins a line of its own.
    """

    indent: int
    text: str
    style: str = ""
    hang: int = 2
    tail: str = ""


class Link(NamedTuple):
    """A link of the page: where it leads, its page rule, and why it is not followed (empty: it is)."""

    url: str
    rule: str
    refusal: str


class Head(NamedTuple):
    """The page: its URL, status and Content-Type, the bytes of its body, its page rule."""

    url: str
    status: int | None
    kind: str
    size: int
    rule: str


def explanation(head: Head, told: Sequence[Explained], links: Sequence[Link], notes: Iterable[str]) -> Iterator[Line]:
    """The whole screen, as lines."""
    yield Line(0, f"{head.url}:", "bold", 2, f"{head.status}, {head.kind}, {head.size:,} bytes, page rule {head.rule}")
    for note in notes:
        yield Line(0, note, "note")
    for one in told:
        yield Line(0, "")
        yield from _rule(one)
    if links:
        yield Line(0, "")
        yield from _links(links)


def _rule(one: Explained) -> Iterator[Line]:
    if one.kind == "items":
        by = f", by {one.asked}" if one.asked else ""
        yield Line(0, f"items {one.name}: {_count(one.hits, 'item')} of {_count(one.records, 'record')}{by}", "bold")
    else:
        to = f" -> {one.name}" if one.name else ""
        yield Line(0, f"follow{to}: {_count(one.hits, 'link')}, by {one.asked}", "bold")
    yield from _details(one, 2)
    if one.kind == "follow" and one.values:
        yield from (Line(2, str(url), "link", 4) for url in one.values)
        if one.hits > len(one.values):
            yield Line(2, f"... and {one.hits - len(one.values)} more", "dim")
    width = min(max([NAME, *(_width(part) for part in one.parts)]), WIDEST)
    for part in one.parts:
        yield from _field(part, 2, width)


def _width(one: Explained) -> int:
    """The columns that the name of a field and those of its parts take."""
    return max([len(one.name), *(_width(part) + 4 for part in one.parts)])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _field(one: Explained, indent: int, width: int) -> Iterator[Line]:
    mark = "ok" if one.hits == one.records else "some" if one.hits else "none"
    share = f"{one.hits}/{one.records}"
    more = f" ({one.found} matches)" if one.found > max(one.hits, 1) else ""
    yield Line(indent, f"{mark:<4} {one.name:<{width}} {share:>7}", mark, 5, f"{one.asked}{more}")
    if one.values:
        yield Line(indent + 5, _values(one.values), "values")
    yield from _details(one, indent + 5)
    for part in one.parts:
        yield from _field(part, indent + 4, width - 4)


def _details(one: Explained, indent: int) -> Iterator[Line]:
    for step in one.steps:
        yield Line(indent, step, "dim", 4)
    for miss in one.misses:
        is_element = miss.startswith("<")
        yield Line(indent + 4 * is_element, miss, "element" if is_element else "miss", 4)


def _values(values: Sequence[Any]) -> str:
    return " | ".join(_value(value) for value in values)


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode().strip('"')
    text = printable(" ".join(text.split()), 10_000)
    return text if len(text) <= VALUE else text[: VALUE - 3].rsplit(" ", 1)[0].rstrip() + "..."


def _links(links: Sequence[Link]) -> Iterator[Line]:
    refused = [link for link in links if link.refusal]
    yield Line(0, f"links: {len(links) - len(refused)} would be asked for, {len(refused)} would not", "bold")
    by_reason: dict[str, list[Link]] = {}
    for link in refused:
        by_reason.setdefault(link.refusal, []).append(link)
    for reason, some in by_reason.items():
        more = f" and {len(some) - 1} more" if len(some) > 1 else ""
        yield Line(2, f"{reason}: {some[0].url}{more}", "refused", 4)


# --- on the screen ---------------------------------------------------------------------------------------------------


def show(lines: Iterable[Line]) -> None:
    """Print the lines to stdout."""
    from rich.console import Console  # noqa: PLC0415 - 40 ms that other commands need not pay
    from rich.text import Text  # noqa: PLC0415 - as above

    console = Console(highlight=False)
    for line in lines:
        if not console.is_terminal:
            console.print(Text(" " * line.indent + printable(_in_one(line), LONGEST)), soft_wrap=True)
            continue
        for number, text in enumerate(wrapped(line, max(console.width, NARROW))):
            shown = Text(text, _WHOLE.get(line.style, ""))
            if number == 0 and line.style in _MARK:
                shown.stylize(_MARK[line.style], line.indent, line.indent + 4)
            if line.style == "miss":
                shown.highlight_regex(r"`[^`]+`", "bold cyan")
            console.print(shown, soft_wrap=True)


def _in_one(line: Line) -> str:
    gap = "  " if line.style in _MARK else " "
    return f"{line.text}{gap}{line.tail}" if line.tail else line.text


_MARK = {"ok": "bold green", "some": "bold yellow", "none": "bold red"}
_WHOLE = {"bold": "bold", "dim": "dim", "element": "dim", "note": "yellow", "link": "green", "refused": "red"}
_SELECTOR = re.compile(r"`[^`]{1,50}`")
_HELD = "\x00"  # stands for a space at which no line is broken


def wrapped(line: Line, width: int) -> list[str]:
    """The line in pieces that fit the width; words are never cut, a value of many words ends with an ellipsis."""
    room = width - line.indent
    if line.tail and len(whole := _in_one(line)) > room:
        below = Line(line.indent + line.hang, line.tail, hang=4)
        return [*wrapped(line._replace(tail=""), width), *wrapped(below, width)]
    text = printable(whole if line.tail else line.text, 10_000)
    if line.style == "values":
        return [" " * line.indent + _fitting(text.split(" | "), room)]
    if line.style == "element":
        return [" " * line.indent + (text if len(text) <= room else text[: room - 3].rsplit(" ", 1)[0] + "...")]
    text = _SELECTOR.sub(lambda match: match[0].replace(" ", _HELD), text)
    pieces = textwrap.wrap(
        text,
        width,
        initial_indent=" " * line.indent,
        subsequent_indent=" " * (line.indent + line.hang),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [piece.replace(_HELD, " ") for piece in pieces] or [""]


def _fitting(values: Sequence[str], room: int) -> str:
    """As many of the values as fit in one line; the first in any case, up to a word's end."""
    if len(values[0]) > room:
        return textwrap.shorten(values[0], room, placeholder="...") if " " in values[0] else values[0]
    text = values[0]
    for value in values[1:]:
        if len(text) + 3 + len(value) > room:
            return text + " | ..." if len(text) + 6 <= room else text
        text += f" | {value}"
    return text
