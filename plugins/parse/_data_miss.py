"""Why an XPath, a JMESPath or a path of JSON-LD or microdata finds nothing: how far it still leads, what is near.

As `_css_miss`, for what is no CSS. `ask` answers an expression where the rule looks; data is plain JSON.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from pipeline import Element

from ._css_miss import cut, listed, near_attributes, snippet
from ._json import compile_json
from ._structured import Graph, flat, types_of

AskPath = Callable[[str], Sequence[Any]]

_NEAR = 0.55
_CALL = re.compile(r"\s*[a-z][-\w]*\((?P<inner>.*)\)\s*$", re.DOTALL)
_VALUE = re.compile(r"""@([-\w:]+)\s*(?:=|,)\s*["']([^"']*)["']""")
_JSON_TOKEN = re.compile(r"""\s*(?:\.?\s*(?:[A-Za-z_]\w*|"(?:\\.|[^"\\])*"|\*)|\[[^\[\]]*\])""")


def near(name: str, known: Iterable[str], what: str) -> str:
    """`did you mean ...?`, or what there is."""
    names = list(dict.fromkeys(known))
    found = get_close_matches(name, names, 1, _NEAR)
    if found:
        return f"did you mean `{found[0]}`?"
    return f"{what}: {listed([cut(one) for one in names])}" if names else f"{what}: none"


# --- XPath -----------------------------------------------------------------------------------------------------------


def xpath_misses(text: str, ask: AskPath) -> list[str]:
    """Where a location path stops leading somewhere. Of a function the path in its brackets is looked at."""
    while (call := _CALL.match(text)) and not text.lstrip().startswith("("):
        text = _first_argument(call["inner"])
    steps = xpath_steps(text)
    good = 0
    for end in range(1, len(steps) + 1):
        if not _elements(ask("".join(steps[:end]))):
            break
        good = end
    if not steps or good == len(steps):
        return []
    prefix, failing = "".join(steps[:good]), steps[good]
    head = f"`{prefix}` finds {len(ask(prefix))}, `{prefix}{failing}` nothing" if good else f"`{failing}` finds nothing"
    return [head, *_xpath_near(prefix, failing, ask)]


def _xpath_near(prefix: str, failing: str, ask: AskPath) -> Iterator[str]:
    bare = re.sub(r"\[.*\]", "", failing, flags=re.DOTALL)
    without = _elements(ask(prefix + bare)) if bare != failing else []
    if without:
        predicate = failing[len(bare) :]
        yield f"without `{predicate}` it finds {len(without)}"
        if isinstance(without[0], Element):
            yield snippet(without[0])
        for name, value in _VALUE.findall(predicate):
            values = [one.attr(name) or "" for one in without if isinstance(one, Element) and one.attr(name)]
            yield f"@{name}: " + near(value, values, "there are")
        return
    name = bare.rsplit("/", 1)[-1].rsplit("::", 1)[-1]
    around = [one for one in ask(prefix or "//*") if isinstance(one, Element)]
    if name.startswith("@"):
        yield from near_attributes(name[1:], around)
    elif re.fullmatch(r"[-\w]+", name):
        slashes = bare[: len(bare) - len(bare.lstrip("./"))] or "/"
        tags = Counter(one.tag for one in ask(f"{prefix}{slashes}*") if isinstance(one, Element))
        if prefix and slashes == "/" and (deeper := ask(f"{prefix}//{name}")):
            yield f"not as a child, but further down it finds {len(deeper)}: write `//{name}`"
        yield near(name, [tag for tag, _ in tags.most_common()], "elements here")


def _elements(found: Sequence[Any]) -> list[Any]:
    return [one for one in found if one not in ("", False)]


def _first_argument(inner: str) -> str:
    depth = 0
    for position, char in enumerate(inner):
        depth += (char in "([") - (char in ")]")
        if char == "," and depth == 0:
            return inner[:position]
    return inner


def xpath_steps(text: str) -> list[str]:
    """`//div[@id="a/b"]/p` as `//div[@id="a/b"]` and `/p`; a path that unites several is one step."""
    steps, start, depth, quote = [], 0, 0, ""
    for position, char in enumerate(text.strip()):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "|" and depth == 0:
            return [text.strip()]
        elif char == "/" and depth == 0 and position > start and text.strip()[position - 1] not in "/.":
            steps.append(text.strip()[start:position])
            start = position
        depth += 0 if quote else (char in "([") - (char in ")]")
    return [*steps, text.strip()[start:]]


# --- JSON ------------------------------------------------------------------------------------------------------------


def json_misses(text: str, documents: Sequence[Any]) -> list[str]:
    """Where a JMESPath stops leading somewhere."""
    if not documents:
        return ["there is no JSON to look in: neither is the page JSON nor has it script[type$=json]"]
    tokens = json_tokens(text)
    good, found = 0, list(documents)
    for end in range(1, len(tokens) + 1):
        inner = _search("".join(tokens[:end]), documents)
        if not inner:
            break
        good, found = end, inner
    if not tokens:
        return [f"`{text}` gives null; at the top there are {listed(_keys(documents)) or 'no keys'}"]
    if good == len(tokens):
        return []
    prefix, failing = "".join(tokens[:good]), tokens[good]
    told = f"`{prefix}{failing}`".replace("`.", "`")
    head = f"`{prefix}` gives {_kind(found)}, {told} null" if good else f"{told} gives null"
    if failing.startswith("["):
        return [head]
    return [head, near(failing.strip(' ."'), _keys(found), "keys here")]


def json_tokens(text: str) -> list[str]:
    """The steps of a plain path; none where it has more than keys and brackets."""
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = _JSON_TOKEN.match(text, position)
        if match is None:
            return tokens if text[position] in "|.[ " else []
        tokens.append(match[0])
        position = match.end()
    return tokens


def _search(text: str, documents: Sequence[Any]) -> list[Any]:
    try:
        search = compile_json(text)
    except ValueError:
        return []
    found = (search(document) for document in documents)
    return [one for one in found if one is not None and one != []]


def _keys(found: Sequence[Any]) -> list[str]:
    return [key for one in flat(list(found)) if isinstance(one, dict) for key in one]


def _kind(found: Sequence[Any]) -> str:
    one = found[0]
    return (
        f"a list of {len(one)}" if isinstance(one, list) else "an object" if isinstance(one, dict) else cut(repr(one))
    )


# --- what a page says of itself --------------------------------------------------------------------------------------


def graph_misses(syntax: str, steps: Sequence[str], graph: Graph) -> list[str]:
    """Where a path of JSON-LD or microdata stops leading somewhere."""
    kinds = [kind for node in graph.nodes for kind in types_of(node)]
    if not graph.nodes:
        return [f"there is no {syntax} here"]
    nodes = graph.of_type(steps[0])
    if not nodes:
        return [f"no {syntax} here is a {steps[0]}; {near(steps[0], kinds, 'types here')}"]
    done = [steps[0]]
    for step in steps[1:]:
        inner = [value for node in nodes for value in graph.values(node, [step])]
        if not inner:
            keys = [key for node in nodes if isinstance(node, dict) for key in node if not key.startswith("@")]
            return [f"`{'.'.join(done)}` is there ({len(nodes)}), but has no `{step}`; {near(step, keys, 'it has')}"]
        nodes = inner
        done.append(step)
    return []
