"""Why a CSS selector matches nothing: how far it still matches, what fails then, and what is like it on the page.

A selector is taken apart into compounds (`p.price`) and those into simple selectors (`p`, `.price`); the beginnings are
asked for on the page one after another. Knows neither fields nor records: `ask` answers a selector where the rule
looks, `ask_page` on the whole page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from pipeline import Element

Ask = Callable[[str], Sequence[Element]]

_NEAR = 0.55  # as difflib counts: `prize_color` and `price_color` are 0.91, `title` and `titel` 0.8
_CLOSE = 0.8  # for a name of another kind: a tag that is spelt like a class
_SAME = 1.0
_FEW = 4
_TEXT = 80  # characters of a text that may be meant
_CONTAINS = re.compile(r""":(?:-soup-)?contains(?:-own)?\(\s*(["']?)(?P<text>.*?)\1\s*\)""", re.DOTALL)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_PLACES = {"": "within", ">": "directly within", "+": "right behind", "~": "behind"}
_ATTRIBUTE = re.compile(r"""\[\s*([-\w:]+)\s*(?:([~|^$*]?=)\s*["']?(.*?)["']?\s*[is]?\s*)?\]""", re.DOTALL)


class Compound(NamedTuple):
    """A compound selector and the combinator before it (empty for the first, a space for a descendant)."""

    combinator: str
    simples: list[str]

    @property
    def text(self) -> str:
        return "".join(self.simples)

    @property
    def joined(self) -> str:
        """The compound behind its combinator."""
        return f"{self.combinator.strip()} ".lstrip() + self.text if self.combinator else self.text


class _Looser(NamedTuple):
    """A combinator that reaches further than another: where, and what to write."""

    combinator: str
    place: str
    advice: str


_LOOSER = {
    ">": _Looser(" ", "not as a child, but further down", "leave out the `>`"),
    "+": _Looser(" ~ ", "not right behind, but further on", "write `~`"),
}


def misses(css: str, ask: Ask, ask_page: Ask) -> list[str]:
    """Lines for a person: where the selector stops matching, and what is near; several for a list of selectors."""
    lines = []
    for alternative in alternatives(css):
        lines += _Miss(alternative, ask, ask_page).lines()
    return lines


class _Miss:
    """One complex selector that matches nothing."""

    def __init__(self, compounds: list[Compound], ask: Ask, ask_page: Ask) -> None:
        self.compounds = compounds
        self.ask = ask
        self.ask_page = ask_page
        self.good = self._longest()
        self.failing = compounds[min(self.good, len(compounds) - 1)]
        self.prefix = text_of(compounds[: self.good])

    def _longest(self) -> int:
        """How many of the compounds still match."""
        good = 0
        for end in range(1, len(self.compounds) + 1):
            text = text_of(self.compounds[:end])
            if not self.ask(text) and not (end < len(self.compounds) and self.ask(f"{text} *")):
                break
            good = end
        return good

    def lines(self) -> list[str]:
        if self.good == len(self.compounds):
            return []
        failing = text_of(self.compounds[: self.good + 1])
        head = f"`{failing}` matches nothing"
        if self.good:
            number = len(self.ask(self.prefix))
            before = f"matches {number}" if number else "is there (the record, or around it)"
            head = f"`{self.prefix}` {before}, `{failing}` nothing"
        outside = self.ask_page(text_of(self.compounds))
        if outside:
            return [head, f"outside of the records it matches {len(outside)}:", snippet(outside[0])]
        return [head, *(list(self._combinator()) or list(self._elsewhere()) or self._inside())]

    def _combinator(self) -> Iterator[str]:
        """The failing compound is there, and a looser combinator would reach it."""
        looser = _LOOSER.get(self.failing.combinator.strip())
        if looser is None or not self.prefix:
            return
        found = self.ask(f"{self.prefix}{looser.combinator}{self.failing.text}")
        if found:
            yield f"{looser.place} it matches {len(found)}: {looser.advice}"
            yield snippet(found[0])

    def _elsewhere(self) -> Iterator[str]:
        """The failing compound is there, but in no place to which its combinator leads."""
        found = self.ask(self.failing.text) if self.prefix else []
        if found:
            where = _PLACES[self.failing.combinator.strip()]
            yield f"`{self.failing.text}` matches {len(found)}, but not {where} `{self.prefix}`:"
            yield snippet(found[0])

    def _under(self, simple: str) -> str:
        """The simple selector in the place of the failing compound."""
        before = f"{self.prefix}{self.failing.combinator}" if self.prefix else ""
        return f"{before}{simple}"

    def _inside(self) -> list[str]:
        simples = self.failing.simples
        culprits = [one for one in simples if not self._matches(one)]
        if not culprits:
            return list(self._together(simples))
        pool = self._pool()
        return [line for one in culprits for line in self._near(one, pool)]

    def _matches(self, simple: str) -> int:
        text = simple if simple[0] not in ":" else f"*{simple}"
        return len(self.ask(self._under(text)))

    def _together(self, simples: list[str]) -> Iterator[str]:
        """Each part matches, but not all of them on one element."""
        for one in simples:
            yield from self._without(one)

    def _without(self, simple: str) -> Iterator[str]:
        """What the failing compound matches if one of its parts is left out."""
        found = self._rest(simple)
        if found:
            yield f"without `{simple}` it matches {len(found)}:"
            yield snippet(found[0])

    def _rest(self, simple: str) -> Sequence[Element]:
        simples = list(self.failing.simples)
        simples.remove(simple)
        rest = "".join(simples)
        return self.ask(self._under(rest)) if rest and not rest.startswith("::") else []

    def _pool(self) -> Sequence[Element]:
        """What stands where the failing compound looks; anywhere where nothing does."""
        return self.ask(self._under("*")) or self.ask(f"{self.prefix} *" if self.prefix else "*") or self.ask_page("*")

    def _near(self, simple: str, pool: Sequence[Element]) -> Iterator[str]:
        if simple[0] == "[":
            yield from _near_attribute(simple, self._alike(pool))
            return
        if simple[0] == ":":
            yield from _near_text(simple, self._rest(simple)) or self._without(simple)
            return
        kind, name = (simple[0], simple[1:]) if simple[0] in ".#" else ("", simple)
        told = _near_name(kind, name, pool) or [*self._without(simple), *self._on_page(kind + name)]
        yield from told or [_known(kind, pool)]

    def _alike(self, pool: Sequence[Element]) -> Sequence[Element]:
        """Of the pool the elements with the tag that is asked for, if there are any."""
        tag = self.failing.simples[0]
        return [one for one in pool if one.tag == tag.lower()] or pool

    def _on_page(self, simple: str) -> Iterator[str]:
        found = self.ask_page(simple)
        if found:
            yield f"`{simple}` is on the page ({len(found)}), but not here:"
            yield snippet(found[0])


def _near_name(kind: str, name: str, pool: Sequence[Element]) -> list[str]:
    """The class, id or tag that is spelt like the one that is not there; one of another kind if only that is alike."""
    others = [other for other in ("", ".", "#") if other != kind]
    for one, least in [*((other, _SAME) for other in others), (kind, _NEAR), *((other, _CLOSE) for other in others)]:
        counts = names_of(pool, one)
        known = _like(name, {known: known for known in counts}, least)
        if known is None and one == kind:
            known = _like(name, {part: known for known in reversed(counts) for part in _words(known)}, _CLOSE)
        if known is not None:
            first = next(element for element in pool if known in own_names(element, one))
            return [f"did you mean `{one}{known}`? It matches {counts[known]} here:", snippet(first)]
    return []


def _like(name: str, known: Mapping[str, str], least: float) -> str | None:
    folded = {spelt.lower(): meant for spelt, meant in known.items()}
    near = get_close_matches(name.lower(), folded, 1, least)
    return folded[near[0]] if near else None


def _words(name: str) -> list[str]:
    """`product` and `price` of `product-price`, `product_price` and `productPrice`."""
    return [word for word in _WORD.findall(name) if len(word) > 2]


def _near_text(pseudo: str, pool: Sequence[Element]) -> list[str]:
    """Of `:-soup-contains("text")` the text that is most like it."""
    match = _CONTAINS.match(pseudo)
    if match is None:
        return []
    texts = {text.lower(): one for one in reversed(pool) if 0 < len(text := one.text) <= _TEXT}
    near = get_close_matches(match["text"].lower(), texts, 1, _NEAR)
    return [f'did you mean "{texts[near[0]].text}"?', snippet(texts[near[0]])] if near else []


def _known(kind: str, pool: Sequence[Element]) -> str:
    """What there is instead, commonest first."""
    what = {".": "classes", "#": "ids", "": "elements"}[kind]
    told = listed(f"{kind}{one} ({count})" for one, count in names_of(pool, kind).most_common(_FEW + 1))
    return f"{what} here: {told}" if told else f"there are no {what} here"


def _near_attribute(simple: str, pool: Sequence[Element]) -> Iterator[str]:
    match = _ATTRIBUTE.fullmatch(simple)
    if match is None:
        return
    name, sign, value = match[1].lower(), match[2], match[3]
    holders = [one for one in pool if one.attr(name) is not None]
    if not holders:
        yield from near_attributes(name, pool)
    elif sign:
        values = Counter(one.attr(name) or "" for one in holders)
        near = get_close_matches(value, values, 1, _NEAR)
        told = f"did you mean `{near[0]}`?" if near else f"there are {listed(map(cut, list(values)[: _FEW + 1]))}"
        yield f"`{name}` stands on {len(holders)}, but not so; {told}"
        yield snippet(next((one for one in holders if near and one.attr(name) == near[0]), holders[0]), name)


def near_attributes(name: str, pool: Sequence[Element]) -> list[str]:
    """What to say of an attribute that no element of the pool has, and the element that comes nearest."""
    known = Counter(attribute for one in pool for attribute in one.attributes)
    for near in get_close_matches(name, known, 1, _NEAR):
        told = f"no element here has `{name}`; did you mean `{near}`? {known[near]} have it"
        return [told, snippet(next(one for one in pool if one.attr(near) is not None), near)]
    told = f"no element here has `{name}`; they have " + (listed(a for a, _ in known.most_common(_FEW + 1)) or "none")
    return [told, *(snippet(one) for one in pool[:1])]


def own_names(element: Element, kind: str) -> list[str]:
    """The classes (`.`), the id (`#`) or the tag of an element."""
    if not kind:
        return [element.tag]
    return (element.attr("class") or "").split() if kind == "." else [found] if (found := element.attr("id")) else []


def names_of(pool: Sequence[Element], kind: str) -> Counter[str]:
    """How many of the elements have each class, id or tag."""
    return Counter(name for element in pool for name in dict.fromkeys(own_names(element, kind)))


def listed(names: Iterator[str] | map[str] | Sequence[str]) -> str:
    """A few names; that there are more is said."""
    told = list(names)
    return ", ".join(told[:_FEW]) + (", ..." if len(told) > _FEW else "")


def snippet(element: Element, also: str = "") -> str:
    """An element in short: its start tag and the beginning of its text. It stands as a line of its own.

    Of its attributes those are shown by which elements are chosen, and `also`.
    """
    names = dict.fromkeys(("id", "class", "itemprop", "href", also))
    wanted = [(name, element.attr(name) if name else "") for name in names]
    attributes = "".join(f' {name}="{cut(value, 40)}"' for name, value in wanted if value)
    return f"<{element.tag}{attributes}>{cut(element.text, 30)}"


def cut(text: str, most: int = 40) -> str:
    """The text, shortened, between words where it has some."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3].rsplit(" ", 1)[0].rstrip(" .") + "..."


# --- taking a selector apart -----------------------------------------------------------------------------------------


def text_of(compounds: Sequence[Compound]) -> str:
    """The compounds as a selector."""
    return "".join(f"{one.combinator}{one.text}" for one in compounds)


def alternatives(css: str) -> list[list[Compound]]:
    """The complex selectors of a list, each as its compounds."""
    found: list[list[Compound]] = [[]]
    combinator, simples = "", list[str]()

    def close() -> None:
        nonlocal combinator, simples
        if simples:
            found[-1].append(Compound(combinator, simples))
        combinator, simples = "", []

    for token in _tokens(css):
        if token.strip() == ",":
            close()
            found.append([])
        elif token.strip() in ("", ">", "+", "~"):
            close()
            combinator = f" {token.strip()} " if token.strip() else " "
            combinator = combinator if found[-1] else combinator.strip() and f"{combinator.strip()} "
        else:
            simples.append(token)
    close()
    return [one for one in found if one]


def _tokens(css: str) -> Iterator[str]:
    """Simple selectors, combinators (with the space around them) and commas."""
    position = 0
    while position < len(css):
        end = _end_of(css, position)
        yield css[position:end]
        position = end


_SEPARATOR = re.compile(r"\s*([>+~,])\s*|\s+")
_NAME = re.compile(r"(?:\\.|[-\w*|]|[^\x00-\x7f])*", re.DOTALL)
_QUOTED = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\\.""", re.DOTALL)


def _end_of(css: str, position: int) -> int:
    separator = _SEPARATOR.match(css, position)
    if separator is not None:
        return separator.end()
    if css[position] == "[":
        return _closed(css, position)
    start = position
    while start < len(css) and css[start] in ".#:":
        start += 1
    match = _NAME.match(css, start)
    end = max(match.end() if match else start, position + 1)
    return _closed(css, end) if css[end : end + 1] == "(" else end


def _closed(css: str, position: int) -> int:
    """Behind the bracket that closes the one at this position."""
    depth = 0
    while position < len(css):
        quoted = _QUOTED.match(css, position)
        if quoted is not None:
            position = quoted.end()
            continue
        depth += (css[position] in "([") - (css[position] in ")]")
        position += 1
        if depth == 0:
            break
    return position
