"""What a page says about itself for machines: JSON-LD, microdata, OpenGraph and `meta`.

Both JSON-LD and microdata become plain objects with `@type`, `@id` and properties, and one path reads both:
`Product.brand.name` is, of the first node of that type that has it, the name of its brand. Lists are looked through,
`{"@id": ...}` stands for the node of that name, and the `name` of a text is the text itself, since schema.org allows
a text where a thing is expected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

from pipeline import Element, Page

# What is not closed goes on to the end: the text is broken then, and to look for each end anew takes long.
_STRING = r'"(?:\\.?|[^"\\])*+(?:"|\Z)'
_COMMENT = re.compile(rf"{_STRING}|<!--.*?(?:-->|\Z)|/\*.*?(?:\*/|\Z)|//[^\n]*|<!\[CDATA\[|\]\]>", re.DOTALL)
_FRAME = re.compile(rf"{_STRING}|<!--|-->|//\s*(?=<!--|-->|<!\[|\]\]>)|<!\[CDATA\[|\]\]>", re.DOTALL)
_TEXT_OF = {
    **dict.fromkeys(("audio", "embed", "iframe", "img", "source", "track", "video"), "src"),
    **dict.fromkeys(("a", "area", "link"), "href"),
    "meta": "content",
    "object": "data",
    "data": "value",
    "meter": "value",
}
_LINKS = frozenset(("audio", "embed", "iframe", "img", "source", "track", "video", "a", "area", "link", "object"))
MAX_DEPTH = 50


class Graph:
    """The nodes of a page, outer before inner, in document order."""

    def __init__(self, roots: Sequence[Any]) -> None:
        self.nodes = list(_walk(roots))
        self._by_id: dict[str, Any] = {}
        for node in self.nodes:
            name = node.get("@id")
            if isinstance(name, str) and len(node) > len(self._by_id.get(name, ())):
                self._by_id[name] = node

    def of_type(self, name: str) -> list[Any]:
        """The nodes of a type, by its bare name; `*` stands for any."""
        return self.nodes if name == "*" else [node for node in self.nodes if name in types_of(node)]

    def values(self, node: Any, steps: Sequence[str]) -> list[Any]:
        """What a path of properties leads to from a node."""
        found = [node]
        for step in steps:
            found = [value for one in found for value in self._step(one, step)]
        return found

    def _step(self, node: Any, step: str) -> Iterator[Any]:
        if isinstance(node, dict):
            if step not in node and set(node) == {"@id"}:
                node = self._by_id.get(node["@id"], node)
            yield from flat(node.get(step))
        elif step == "name" and node is not None:
            yield node


def types_of(node: Mapping[str, Any]) -> list[str]:
    """The bare names of a node's types: `https://schema.org/Product` is `Product`."""
    return [re.split(r"[/#:]", kind)[-1] for kind in flat(node.get("@type")) if isinstance(kind, str)]


def flat(value: Any) -> Iterator[Any]:
    """The values in a list, however nested, or the lone value; nothing for null."""
    if isinstance(value, list):
        for one in value:
            yield from flat(one)
    elif value is not None:
        yield value


def leaf(value: Any) -> Any:
    """What an object at the end of a path is as one value: its `@value`, `name`, `@id` or `url`."""
    if isinstance(value, str):
        return " ".join(value.split())
    if not isinstance(value, dict):
        return value
    return next((leaf(one) for key in ("@value", "name", "@id", "url") for one in flat(value.get(key))), None)


def _walk(value: Any, depth: int = 0) -> Iterator[Any]:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _walk(one, depth + 1)


# --- JSON-LD ---------------------------------------------------------------------------------------------------------


def read_jsonld(scripts: Sequence[Element]) -> list[Any]:
    """The objects in `script[type="application/ld+json"]`; what is broken is mended if that is plain, else left out."""
    found: list[Any] = []
    for script in scripts:
        if (script.attr("type") or "").split(";")[0].strip().lower() == "application/ld+json":
            found.extend(flat(_loads(script.node.text_lexbor())))
    return [one for one in found if isinstance(one, dict)]


def _loads(text: str) -> Any:
    """JSON with control characters, comments or trailing commas, as pages have it; None where nothing helps."""
    for junk in (None, _COMMENT, _FRAME):
        try:
            return json.loads(text if junk is None else _without(junk, text), strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def _without(junk: re.Pattern[str], text: str) -> str:
    text = junk.sub(lambda match: match[0] if match[0][0] == '"' else " ", text)
    return re.sub(rf"({_STRING})|,(?=\s*[}}\]])|;\s*$", r"\1", text)


# --- microdata (WHATWG HTML, section 5) ------------------------------------------------------------------------------


def read_microdata(scopes: Sequence[Element], page: Page) -> list[Any]:
    """The items of a page that are no property of another. `scopes` are the elements with `itemscope`."""
    return [_item(scope, page, frozenset()) for scope in scopes if scope.attr("itemprop") is None]


def _item(scope: Element, page: Page, above: frozenset[Element]) -> dict[str, Any]:
    item: dict[str, Any] = {}
    if kinds := (scope.attr("itemtype") or "").split():
        item["@type"] = kinds[0] if len(kinds) == 1 else kinds
    if name := scope.attr("itemid"):
        item["@id"] = _joined(page.base_url, name.strip())
    above |= {scope}
    for element in _properties(scope, page):
        value = _value(element, page, above)
        for name in (element.attr("itemprop") or "").split():
            item.setdefault(name, []).append(value)
    if not item.keys() - {"@type", "@id"} and (text := scope.text):
        item["@value"] = text
    return {name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in item.items()}


def _properties(scope: Element, page: Page) -> Iterator[Element]:
    """The elements with `itemprop` that belong to the scope: within it or what `itemref` names, not within another."""
    roots = [scope]
    for name in (scope.attr("itemref") or "").split():
        roots += page.select(f'[id="{name}"]')[:1] if '"' not in name and "\\" not in name else []
    for root in roots:
        for element in ([root] if root is not scope else []) + root.select("[itemprop]"):
            if element.attr("itemprop") is not None and _owner(element, root, scope) in (None, scope):
                yield element


def _owner(element: Element, root: Element, scope: Element) -> Element | None:
    """The nearest element with `itemscope` around an element, up to `root`; None if there is none."""
    while element != root:
        above = element.parent
        if above is None or (above == root and root != scope and root.attr("itemprop") is None):
            return None  # what `itemref` names lends its properties, even if it is an item of its own
        if above.attr("itemscope") is not None:
            return above
        element = above
    return None


def _value(element: Element, page: Page, above: frozenset[Element]) -> Any:
    if element.attr("itemscope") is not None:
        return None if element in above or len(above) > MAX_DEPTH else _item(element, page, above)
    name = _TEXT_OF.get(element.tag)
    if element.tag == "input":  # what an action asks for (schema.org, "Potential Actions")
        return {"valueRequired": element.attr("required") is not None, "valueName": element.attr("name")}
    if element.tag == "time" and element.attr("datetime") is not None:
        return element.attr("datetime")
    if name is None or (element.tag in ("data", "meter") and element.attr(name) is None):
        return element.attr("content") or element.text
    text = (element.attr(name) or "").strip()
    return _joined(page.base_url, text) if element.tag in _LINKS and text else text


def _joined(base: str, reference: str) -> str:
    """The absolute URL, its fragment kept: it tells nodes of a page apart."""
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference


# --- OpenGraph and meta ----------------------------------------------------------------------------------------------


def read_opengraph(metas: Sequence[Element]) -> list[tuple[str, str]]:
    """(property, content) of every `meta[property]` with a prefix, in document order."""
    found = ((one.attr("property") or "", one.attr("content")) for one in metas)
    return [(name.strip(), text) for name, text in found if text is not None and ":" in name]


def meta_values(metas: Sequence[Element], wanted: str) -> list[str]:
    """The content of `meta` elements by name, property, itemprop or http-equiv."""
    wanted = wanted.lower()
    return [
        element.attr("content") or ""
        for element in metas
        if any((element.attr(name) or "").strip().lower() == wanted for name in _NAMES)
    ]


_NAMES = ("name", "property", "itemprop", "http-equiv")
