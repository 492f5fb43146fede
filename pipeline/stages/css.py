"""What a selector means, before any page: its pseudo-element cut off, its syntax checked, its engine chosen.

Two engines answer selectors over the one tree: lexbor (fast) and soupsieve over BeautifulSoup (knows more). They must
never differ, so `auto` gives lexbor only what it answers as soupsieve and browsers do; `lexbor_differs` says what that
leaves out and why. Knows no tree: `Selector` is compiled once and used on many pages.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from pipeline.errors import SelectorError

if TYPE_CHECKING:
    from soupsieve import SoupSieve

Parser: TypeAlias = Literal["auto", "lexbor", "soup"]
Engine: TypeAlias = Literal["lexbor", "soup"]

PARSERS: Final = ("auto", "lexbor", "soup")
PSEUDO_ELEMENTS: Final = ("text", "attr", "html")

# Strings and escapes become underscores, comments spaces, so that what is searched in the rest is syntax.
_OPAQUE = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|/\*.*?\*/|\\(?:[0-9a-fA-F]{1,6}[ \t\n]?|.|$)""", re.DOTALL)
_PSEUDO_ELEMENT = re.compile(r"::([-\w]+)(?:\(\s*([^()]*?)\s*\))?\s*$")
_PSEUDO_CLASS = re.compile(r"(?<!:):([-\w]+)")
_ATTRIBUTE_NAME = re.compile(r"[^\s\"'<>/=\x00-\x1f]+")
_OPEN_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\$")
_BRACKETS = re.compile(r"\[[^\]]*\]")
_TOKEN = re.compile(
    r"(?i)(?P<function>:(?:has|is|not|where)\(\s*)|(?P<open>\(\s*)|(?P<close>\s*\))|\s*(?P<sign>[>+~,])\s*|\s+"
)
_CLASS_OR_ID = re.compile(r"([.#])([^\x00-,./:-@\[-^`{-\x7f]+)")  # no range up to U+10FFFF: compiling that takes 2 ms


class PseudoSplit(NamedTuple):
    """A selector in its parts; `css` is empty where the pseudo-element stands alone (the element itself is meant)."""

    css: str
    pseudo: str | None
    arg: str | None


class Selector:
    """A compiled selector: `Selector("h1 a::attr(href)")`. Raises `SelectorError`.

    `engine` says who answers it, `reason` why not lexbor (None if it is lexbor). An empty `css` means the element
    that is searched in itself, as in `::attr(href)`.
    """

    __slots__ = ("_quirks", "arg", "css", "engine", "pattern", "pseudo", "reason", "relative", "text")

    def __init__(self, text: str, parser: Parser = "auto") -> None:
        self.text = text
        self.css, self.pseudo, self.arg = split_pseudo(text)
        if not self.css and self.pseudo is None:
            raise SelectorError(text, "it is empty")
        choice = _choose(self.css, parser) if self.css else _Choice("lexbor", None, None)
        self.engine: Engine = choice.engine
        self.reason = choice.reason
        self.pattern = choice.pattern
        # With `:scope` or `&` the answer for an element cannot be read off the answer for the whole page.
        self.relative = choice.pattern is not None and bool(re.search(r":scope\b|&", _mask(self.css)))
        self._quirks: SoupSieve | None = None

    @property
    def quirks_pattern(self) -> SoupSieve:
        """`pattern` for documents in quirks mode: classes and ids match without regard to case, as in lexbor."""
        if self._quirks is None:
            self._quirks = _sieve(_caseless(self.css))
        return self._quirks

    def __repr__(self) -> str:
        return f"Selector({self.text!r}, engine={self.engine})"


class _Choice(NamedTuple):
    engine: Engine
    pattern: SoupSieve | None
    reason: str | None


def check_selector(selector: str, parser: Parser = "auto") -> Engine:
    """Who answers this selector (pseudo-element allowed); raises `SelectorError` if nobody may."""
    return Selector(selector, parser).engine


@lru_cache(maxsize=2048)
def compiled(text: str, parser: Parser) -> Selector:
    """`Selector(text, parser)`, remembered: plugins pass texts, page after page."""
    return Selector(text, parser)


def split_pseudo(selector: str) -> PseudoSplit:
    """Cut `::text`, `::attr(NAME)` or `::html` off: `h1::attr(src)` -> `("h1", "attr", "src")`.

    Of a list, either no part or every part has the same pseudo-element: `a::text, b::text`. Raises `SelectorError`.
    """
    masked = _mask(selector)
    if "::" not in masked:
        return PseudoSplit(selector.strip(), None, None)
    splits = [_split_one(selector, masked, start, end) for start, end in _parts(masked)]
    if len({split[1:] for split in splits}) > 1:
        raise SelectorError(selector, "the parts of a list must all end in the same pseudo-element, or none")
    if len(splits) > 1 and not all(split.css for split in splits):
        raise SelectorError(selector, "a pseudo-element without a selector stands alone, not in a list")
    return PseudoSplit(", ".join(split.css for split in splits), splits[0].pseudo, splits[0].arg)


def _split_one(selector: str, masked: str, start: int, end: int) -> PseudoSplit:
    match = _PSEUDO_ELEMENT.search(masked[start:end])
    css_end = start + match.start() if match else end
    if (stray := masked.find("::", start, css_end)) >= 0:
        raise SelectorError(selector, "a pseudo-element stands at the end of a selector", stray)
    css = selector[start:css_end].strip()
    if match is None:
        return PseudoSplit(css, None, None)
    name = match[1].lower()
    arg = None if match[2] is None else selector[start + match.start(2) : start + match.end(2)].strip("\"'")
    if name not in PSEUDO_ELEMENTS:
        raise SelectorError(selector, f"there is no ::{name}; known are ::text, ::attr(NAME), ::html", css_end)
    if name == "attr" and not (arg and _ATTRIBUTE_NAME.fullmatch(arg)):
        raise SelectorError(selector, "::attr needs the name of an attribute, as in ::attr(href)", css_end)
    if name != "attr" and arg is not None:
        raise SelectorError(selector, f"::{name} takes no argument", css_end)
    return PseudoSplit(css, name, arg)


def _parts(masked: str) -> list[tuple[int, int]]:
    """Start and end of each part of a selector list; commas within brackets do not divide."""
    depth, start, found = 0, 0, []
    for position, char in enumerate(masked):
        if char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "," and depth == 0:
            found.append((start, position))
            start = position + 1
    return [*found, (start, len(masked))]


def _mask(selector: str) -> str:
    return _OPAQUE.sub(lambda match: (" " if match[0][:2] == "/*" else "_") * len(match[0]), selector)


# --- which engine ----------------------------------------------------------------------------------------------------

_LEXBOR_ONLY = re.compile(r":lexbor-contains\(", re.IGNORECASE)

# Pseudo-classes that both engines answer alike (tests/stages/test_selection.py compares them); others go to soupsieve.
_ALIKE: Final = frozenset(
    {
        *("first-child", "last-child", "only-child", "first-of-type", "last-of-type", "only-of-type"),
        *("nth-child", "nth-last-child", "nth-of-type", "nth-last-of-type"),
        *("has", "is", "not", "root", "where"),
    }
)

# Pseudo-classes that lexbor parses and answers in another way, with the reason where it is more than "other elements".
_DIFFERENT_PSEUDO: Final = {
    "any-link": "lexbor counts link elements among :any-link",
    "blank": "only lexbor knows :blank",
    "current": "lexbor matches :current() like :is(); no page is being spoken",
    "empty": "for lexbor white space is content, for Selectors 4 an element with nothing else is :empty",
    "enabled": "lexbor counts elements that cannot be disabled among :enabled",
    "link": "lexbor counts link elements among :link",
    "placeholder-shown": "lexbor ignores the type and content that :placeholder-shown asks for",
    "read-only": "lexbor counts only form controls among :read-only",
}

# Syntax that lexbor accepts and answers in its own way: (pattern over the shape of the selector, reason).
_DIFFERENT_SYNTAX: Final = (
    (re.compile(r"\|(?!=)"), "lexbor ignores namespace prefixes"),
    (re.compile(r"(?i):nth-(?:last-)?child\([^()]*\sof\s"), "lexbor answers :nth-child(... of S) in its own way"),
    (
        # More than one compound, a list or a selector within: lexbor misses elements.
        re.compile(r"(?i):has\((?!\s*[>+~]?\s*(?:[^\s>+~,():]|:[-\w]+|\([-+\w\s]*\))+\s*\))"),
        "lexbor misses elements where :has() holds more than one compound",
    ),
)
# `svg|a`: a prefix that stands for a namespace would have to be declared somewhere. `*|a` and `|a` need no declaration.
_PREFIX = re.compile(r"[-\w]+\|(?![|=])")


def lexbor_differs(css: str) -> str | None:
    """Why lexbor must not answer a selector that it parses; None if it answers as soupsieve and browsers do."""
    shape = _BRACKETS.sub(_blank, _mask(css))
    for match in _PSEUDO_CLASS.finditer(shape):
        name = match[1].lower()
        if name not in _ALIKE:
            return _DIFFERENT_PSEUDO.get(name, f"lexbor answers :{name} in its own way")
    for pattern, reason in _DIFFERENT_SYNTAX:
        if pattern.search(shape):
            return reason
    return (
        "lexbor gives up too early where :is(), :not(), :where() or :has() stands left of a space or ~"
        if (_backtracks(shape.strip()))
        else None
    )


def _backtracks(shape: str) -> bool:
    """Does a compound with a selector in brackets stand left of a combinator for which many elements may be tried?"""
    holds = [False]  # for each open bracket: has the complex selector so far such a compound?
    for token in _TOKEN.finditer(shape):
        if token["function"]:
            holds[-1] = True
            holds.append(False)
        elif token["open"]:
            holds.append(False)
        elif token["close"]:
            holds = holds[:-1] or [False]
        elif token["sign"] == ",":
            holds[-1] = False
        elif holds[-1] and token["sign"] in (None, "~"):
            return True
    return False


def _blank(match: re.Match[str]) -> str:
    """The same length of underscores, which are no syntax."""
    return "_" * len(match[0])


_NAME = r"-?[A-Za-z_][\w-]*"
_ATTRIBUTE = rf"""\[\s*{_NAME}\s*(?:[~|^$*]?=\s*(?:{_NAME}|"[^"\\]*"|'[^'\\]*')\s*)?\]"""
_COMPOUND = re.compile(rf"(?:{_NAME}|\*)?(?:[.#]{_NAME}|{_ATTRIBUTE})*", re.ASCII)
_BETWEEN = re.compile(r"\s*[>+~,]\s*|\s+")


def _is_plain(css: str) -> bool:
    """Types, classes, ids, attributes and combinators, well formed: no second opinion of soupsieve is needed."""
    compound = _COMPOUND.match(css)
    while compound and compound[0]:
        if compound.end() == len(css):
            return True
        between = _BETWEEN.match(css, compound.end())
        compound = between and _COMPOUND.match(css, between.end())
    return False


def _choose(css: str, parser: Parser) -> _Choice:
    if parser not in PARSERS:
        raise ValueError(f"parser is {parser!r}; known are {', '.join(PARSERS)}")
    if parser != "soup" and _LEXBOR_ONLY.search(_mask(css)):
        return _lexbor_only(css)
    if prefix := _PREFIX.search(_mask(css)):
        raise SelectorError(css, "namespace prefixes cannot be declared; leave it out", prefix.start())
    if parser != "soup" and _is_plain(css) and _lexbor_parses(css) and lexbor_differs(css) is None:
        return _Choice("lexbor", None, None)
    pattern = _sieve(css)
    if parser == "soup":
        return _Choice("soup", pattern, "parser: soup")
    reason = lexbor_differs(css) if _lexbor_parses(css) else "lexbor does not know it"
    if reason is None:
        return _Choice("lexbor", None, None)
    if parser == "lexbor":
        raise SelectorError(css, f"{reason}; use parser: auto or soup")
    return _Choice("soup", pattern, reason)


def _lexbor_only(css: str) -> _Choice:
    if not _lexbor_parses(css):
        raise SelectorError(css, "lexbor cannot parse it")
    rest = re.sub(r"(?i):lexbor-contains(?=\()", ":is", _mask(css))
    if (reason := lexbor_differs(rest)) is not None:
        raise SelectorError(css, f"{reason}, and only lexbor knows :lexbor-contains(); use :-soup-contains()")
    return _Choice("lexbor", None, None)


def _caseless(css: str) -> str:
    """`.a` as `[class~=a i]`, `#b` as `[id=b i]`. Two spaces, because an escape at the end of the name takes one."""
    masked = _BRACKETS.sub(lambda match: " " * len(match[0]), _mask(css))
    text = css
    for match in reversed(list(_CLASS_OR_ID.finditer(masked))):
        test = "class~" if match[1] == "." else "id"
        name = text[match.start(2) : match.end()]
        if _OPEN_ESCAPE.search(name):
            name = name[:-1] + "\ufffd"  # CSS Syntax, 4.3.7: a backslash at the very end
        text = f"{text[: match.start()]}[{test}={name}  i]{text[match.end() :]}"
    return text


def _lexbor_parses(css: str) -> bool:
    try:
        LexborHTMLParser("").css(css)
    except SelectolaxError:
        return False
    return True


def _sieve(css: str) -> SoupSieve:
    from pipeline.stages.sieve import compile_sieve  # noqa: PLC0415 - 100 ms that most runs need not pay

    return compile_sieve(css)
