"""What a check says: from `coverage.book.price >= 98%` to a `Check`, or to what is wrong with it and where.

    check      = figure comparison | figure drop
    figure     = "items" [ "." name ] | "coverage" "." name "." name | "pages" "." fate
    comparison = ( ">=" | "<=" | ">" | "<" | "==" ) ( number | percentage )
    drop       = "drop" "<=" percentage "vs" "median" "(" number ")"

A name is letters, digits, `_` and `-`, or anything in quotes; a fate is as in the report, or the first word of several
(`failed`). It knows neither config nor result: which types and fields there are is said elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

COMPARISONS: Final = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than", "==": "exactly"}
LEAST_RUNS: Final = 3  # published ones; a median of fewer says nothing
MOST_RUNS: Final = 100

SENT: Final = ("fetched", "not_modified", "redirected", "gone", "failed")  # fates of requests that were sent
FATES: Final = {  # what may follow `pages.`, and behind its colon
    **dict.fromkeys(("fetched", "not_modified", "redirected", "gone", "not_due"), ()),
    "rejected": ("scope", "robots", "depth", "limit", "trap", "private_network", "scheme", "type"),
    "failed": (
        *("dns", "connect", "tls", "timeout", "truncated", "protocol", "too_large", "decode"),
        *("blocked", "parse", "plugin", "http_NNN"),
    ),
    "deferred": ("retry_after", "host_down"),
}

_FIGURES: Final = ("items", "coverage", "pages")
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[^\W\d]\w*")
_NAME = re.compile(r"[\w-]+|\"[^\"]+\"|'[^']+'")
_FATE = re.compile(r"[\w-]+(?::[\w-]+)?")
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,15})?(?![\w.])", re.ASCII)
_SIGN = re.compile(r"[<>=!≥≤]+")
_STATUS = re.compile(r"http_[1-5]\d\d", re.ASCII)
_MEANT = {"=>": ">=", "=<": "<=", "=": "==", "===": "==", "≥": ">=", "≤": "<="}
_LONGEST = 40  # characters of what was found that are shown


class Name(NamedTuple):
    """A name in a check, and at which character (from 0) it stands."""

    text: str
    at: int


class Figure(NamedTuple):
    """What is measured: `kind` is items, coverage or pages; `names` are a type, a type and a field, or a fate."""

    kind: str
    names: tuple[Name, ...] = ()

    def __str__(self) -> str:
        return ".".join([self.kind, *(name.text for name in self.names)])


class Check(NamedTuple):
    """One check. A `bound` in per cent is a share: 98 % is 0.98.

    Without `median` it is `figure sign bound`; with it the figure must not be more than `bound` below the median of so
    many published runs.
    """

    text: str
    figure: Figure
    sign: str
    bound: Decimal
    percent: bool
    median: int | None = None


class CheckError(ValueError):
    """A text that is no check: what was expected and found, at which character (from 0), and what to do."""

    def __init__(self, message: str, at: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.hint = hint


def parse(text: str) -> Check:
    """The check that a text says. Raises CheckError."""
    reader = _Reader(text)
    figure = _figure(reader)
    if (word := reader.peek(_WORD)) is not None:
        check = _drop(reader, figure, word)
    else:
        sign = _sign(reader, tuple(COMPARISONS))
        check = Check(text, figure, sign, *_bound(reader, figure))
    if not reader.ended:
        raise reader.error("the end of the check", "write each check as an entry of its own")
    return check


def nearest(name: str, known: Iterable[str]) -> str:
    """The suggestion for a name that is not known."""
    names = list(known)
    import difflib  # noqa: PLC0415 - only where something is wrong

    near = difflib.get_close_matches(name, names, 1)
    more = ", ..." if len(names) > 8 else ""
    return f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names[:8])}{more}" if names else ""


# --- its parts --------------------------------------------------------------------------------------------------------


def _figure(reader: _Reader) -> Figure:
    place = reader.place()
    kind = reader.take(_WORD)
    if kind not in _FIGURES:
        hint = nearest(kind, _FIGURES) if kind else "as in: items >= 100"
        raise CheckError(f"expected items, coverage or pages, found {shown(kind or reader.rest())}", place, hint)
    names: list[Name] = []
    while reader.skip("."):
        names.append(_name(reader, _FATE if kind == "pages" else _NAME))
    if kind == "pages":
        return _pages(reader, names)
    if kind == "coverage" and len(names) != 2:
        raise reader.error("coverage.TYPE.FIELD", "a name with a dot or a space in it goes in quotes")
    if kind == "items" and len(names) > 1:
        message = f"expected items or items.TYPE, found a second name, {shown(names[1].text)}"
        hint = "a name with a dot in it goes in quotes; the share of items with a field is coverage.TYPE.FIELD"
        raise CheckError(message, names[1].at, hint)
    return Figure(kind, tuple(names))


def _name(reader: _Reader, form: re.Pattern[str]) -> Name:
    at = reader.at
    found = reader.take(form, spaces=False)
    if found is None:
        what = "a fate" if form is _FATE else "a name"
        raise reader.error(f"{what} behind the dot", "a name with other characters goes in quotes")
    return Name(found[1:-1], at + 1) if found[0] in "\"'" else Name(found, at)


def _pages(reader: _Reader, names: list[Name]) -> Figure:
    if len(names) != 1:
        raise reader.error("pages.FATE", nearest("failed", FATES) if not names else "")
    name, at = names[0]
    word, colon, reason = name.partition(":")
    if word not in FATES:
        raise CheckError(f"expected a fate of requests, found {shown(name)}", at, nearest(word, FATES))
    if colon and reason not in FATES[word] and not (word == "failed" and _STATUS.fullmatch(reason)):
        hint = nearest(reason, FATES[word]) if FATES[word] else f"did you mean 'pages.{word}'?"
        raise CheckError(f"expected a fate of requests, found {shown(name)}", at + len(word) + 1, hint)
    if reason == "http_NNN":
        raise CheckError("expected a status in place of NNN", at + len(word) + 1, "as in pages.failed:http_503")
    return Figure("pages", (names[0],))


def _sign(reader: _Reader, allowed: tuple[str, ...]) -> str:
    place = reader.place()
    found = reader.take(_SIGN)
    if found in allowed:
        return found
    what = f"{', '.join(allowed)} or drop" if len(allowed) > 1 else allowed[0]
    meant = _MEANT.get(found or "", "")
    hint = f"did you mean '{meant}'?" if meant in allowed else ""
    raise CheckError(f"expected {what}, found {shown(found or reader.rest())}", place, hint)


def _bound(reader: _Reader, figure: Figure) -> tuple[Decimal, bool]:
    place = reader.place()
    number, percent = reader.number()
    spelt = f"{number}{' %' if percent else ''}"
    if figure.kind == "items" and (percent or number % 1):
        hint = "for the share of items with a field write coverage.TYPE.FIELD" if percent else ""
        raise CheckError(f"expected a number of items, found {shown(spelt)}", place, hint)
    if figure.kind == "coverage" and not percent:
        meant = number * 100 if 0 < number < 1 else number
        hint = f"did you mean '{meant.normalize():f}%'?" if meant <= 100 else "for a count write items.TYPE"
        raise CheckError(f"expected a percentage such as 98%, found {shown(spelt)}", place, hint)
    if not percent and number % 1:
        hint = f"did you mean '{number}%', or '{(number * 100).normalize():f}%'?" if number < 1 else ""
        raise CheckError(f"expected a number of pages or a percentage, found {shown(spelt)}", place, hint)
    return _share(number, place) if percent else number, percent


def _drop(reader: _Reader, figure: Figure, word: str) -> Check:
    place = reader.place()
    if word != "drop":
        import difflib  # noqa: PLC0415 - only where something is wrong

        hint = "did you mean 'drop'?" if difflib.get_close_matches(word, ["drop"]) else "as in: items.book >= 100"
        raise CheckError(f"expected a comparison or drop, found {shown(word)}", place, hint)
    reader.take(_WORD)
    _sign(reader, ("<=",))
    place = reader.place()
    number, percent = reader.number()
    if not percent:
        raise CheckError(f"expected a percentage, found {shown(str(number))}", place, f"did you mean '{number}%'?")
    for part in ("vs", "median", "("):
        reader.expect(part, "'vs median(7)'")
    at = reader.place()
    runs, _ = reader.number()
    if runs % 1 or not LEAST_RUNS <= runs <= MOST_RUNS:
        message = f"expected a number of published runs from {LEAST_RUNS} to {MOST_RUNS}, found {shown(str(runs))}"
        raise CheckError(message, at)
    reader.expect(")", "')'")
    return Check(reader.text, figure, "<=", _share(number, place), True, int(runs))


def _share(number: Decimal, place: int) -> Decimal:
    if number > 100:
        raise CheckError(f"expected at most 100%, found {shown(f'{number}%')}", place)
    return number / 100


def shown(text: str) -> str:
    """What was found, in quotes and not too long."""
    if not text:
        return "nothing"
    return repr(text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "...")


class _Reader:
    """A text, and how far it has been read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    @property
    def ended(self) -> bool:
        """Whether nothing but space is left."""
        return self.place() == len(self.text)

    def place(self) -> int:
        """Where the next thing begins; space before it is passed over."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at

    def rest(self) -> str:
        """What is left."""
        return self.text[self.place() :].rstrip()

    def take(self, form: re.Pattern[str], *, spaces: bool = True) -> str | None:
        """The next thing if it has this form, and go on behind it."""
        found = form.match(self.text, self.place() if spaces else self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def peek(self, form: re.Pattern[str]) -> str | None:
        """The next thing if it has this form."""
        found = form.match(self.text, self.place())
        return found[0] if found else None

    def skip(self, sign: str) -> bool:
        """Whether this very sign comes next, without space; if so it is passed over."""
        there = self.text.startswith(sign, self.at)
        self.at += len(sign) * there
        return there

    def expect(self, word: str, example: str) -> None:
        """Pass over this word."""
        self.place()
        if not self.skip(word):
            raise self.error(example)

    def number(self) -> tuple[Decimal, bool]:
        """A number, and whether a percent sign stands behind it."""
        found = self.take(_NUMBER)
        if found is None:
            raise self.error("a number or a percentage such as 98%")
        return Decimal(found), self.take(re.compile("%")) is not None

    def error(self, what: str, hint: str = "") -> CheckError:
        """Something else stands here than what is expected."""
        at = self.place()
        return CheckError(f"expected {what}, found {shown(self.rest())}", at, hint)
