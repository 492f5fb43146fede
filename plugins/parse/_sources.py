"""Where the values of a field come from. A source gives, for each record, the raw values that it finds there: texts, or
data of JSON. What becomes of them is the field's business."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from datetime import date
from math import isnan
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pipeline import Element, Selector

from ._reading import Reading, Scopes
from ._structured import Graph, leaf, meta_values, read_jsonld, read_microdata, read_opengraph

if TYPE_CHECKING:
    from pipeline import XPath

Raws = list[Any]
Pick = Callable[[Element], str | None]


class Source(Protocol):
    """`observed`: is it read from the page, and not a constant, a carried value or the URL?"""

    observed: bool

    def find(self, scopes: Scopes, first: bool) -> Sequence[Raws]:
        """For each record what is found; with `first` no more than the first is needed."""
        ...


def whole_text(element: Element) -> str:
    """What a field takes of an element unless it says otherwise."""
    return element.text


def where_to(element: Element) -> str | None:
    """What is followed of an element."""
    return element.link


class Css:
    """Elements by a selector, read by `pick`."""

    observed = True

    def __init__(self, selector: Selector, pick: Pick) -> None:
        self.selector = selector
        self.pick = pick

    def firsts(self, scopes: Scopes) -> Sequence[str | None]:
        """For each record what is read of the first element, None without one."""
        pick = self.pick
        if pick is whole_text:
            return scopes.first_texts(self.selector)
        return [pick(share[0]) if share else None for share in scopes.select(self.selector, True)]

    def find(self, scopes: Scopes, first: bool) -> Sequence[Raws]:
        if first:
            return [[] if value is None else [value] for value in self.firsts(scopes)]
        pick = self.pick
        if pick is whole_text:
            return scopes.texts(self.selector)
        if pick is where_to:
            return scopes.links(self.selector)
        return [[pick(element) for element in share] for share in scopes.select(self.selector, False)]


class Path:
    """Nodes, texts or a result by an XPath."""

    observed = True

    def __init__(self, path: XPath, pick: Pick) -> None:
        self.path = path
        self._pick = pick

    def find(self, scopes: Scopes, first: bool) -> Sequence[Raws]:
        return [[self._read(one) for one in share] for share in elements_of(self.path, scopes)]

    def _read(self, found: Any) -> str | None:
        if isinstance(found, bool):
            return "true" if found else "false"
        if isinstance(found, float):
            return None if isnan(found) else text_of(int(found) if found.is_integer() else found)
        return " ".join(found.split()) if isinstance(found, str) else self._pick(found)


def elements_of(path: XPath, scopes: Scopes) -> list[list[Any]]:
    """What an XPath finds for each record."""
    page = scopes.reading.page
    if scopes.data is not None:
        return [[] for _ in scopes.data]
    if scopes.elements is not None:
        return [page.xpath(path, element) for element in scopes.elements]
    found = page.xpath(path)
    scopes.seen |= bool(found)
    return [found]


class Json:
    """A JMESPath into a JSON page or record, or into the JSON scripts of the page or record."""

    observed = True

    def __init__(self, search: Callable[[Any], Any], as_is: bool) -> None:
        self._search = search
        self._as_is = as_is  # a list is one value

    def find(self, scopes: Scopes, first: bool) -> Sequence[Raws]:
        if scopes.data is not None:
            return [self._all([record], first) for record in scopes.data]
        if scopes.elements is not None:
            return [self._all(scopes.reading.scripts(element), first) for element in scopes.elements]
        found = self._all(scopes.reading.documents, first)
        scopes.seen |= bool(found)
        return [found]

    def _all(self, documents: Sequence[Any], first: bool) -> Raws:
        found: Raws = []
        for document in documents:
            value = self._search(document)
            if value is not None:
                found.extend(value if isinstance(value, list) and not self._as_is else [value])
                if first:
                    break
        return found


class Structured:
    """A path into JSON-LD or microdata: `Type.property.property`, in a record without the type."""

    observed = True

    def __init__(self, syntax: str, steps: Sequence[str], as_is: bool) -> None:
        self.syntax = syntax
        self.steps = steps
        self._as_is = as_is  # an object is a value

    def find(self, scopes: Scopes, first: bool) -> Sequence[Raws]:
        graph: Graph = getattr(scopes.reading, self.syntax)
        if scopes.data is not None:
            return [self._values(graph, [record], self.steps, first) for record in scopes.data]
        if scopes.elements is not None:
            parts = [within(self.syntax, element, scopes.reading) for element in scopes.elements]
            return [self._values(part, part.of_type(self.steps[0]), self.steps[1:], first) for part in parts]
        found = self._values(graph, graph.of_type(self.steps[0]), self.steps[1:], first)
        scopes.seen |= bool(found)
        return [found]

    def _values(self, graph: Graph, nodes: Sequence[Any], steps: Sequence[str], first: bool) -> Raws:
        found: Raws = []
        for node in nodes:
            values = graph.values(node, steps)
            found += values if self._as_is else [value for one in values if (value := leaf(one)) is not None]
            if first and found:
                break
        return found


def within(syntax: str, element: Element, reading: Reading) -> Graph:
    """The JSON-LD or microdata within an element."""
    if syntax == "jsonld":
        return Graph(read_jsonld([element, *element.select("script")]))
    scopes = [one for one in [element, *element.select("[itemscope]")] if one.attr("itemscope") is not None]
    return Graph(read_microdata(scopes, reading.page))


class Meta:
    """`meta` elements by name, or OpenGraph by property."""

    observed = True
    _metas: ClassVar[Selector] = Selector("meta", "auto")

    def __init__(self, name: str, opengraph: bool) -> None:
        self.name = name
        self.opengraph = opengraph

    def find(self, scopes: Scopes, first: bool) -> Sequence[Raws]:
        seen = scopes.seen  # every page has some `meta`
        found = [self._read(share) for share in scopes.select(self._metas, False)]
        scopes.seen = seen or (scopes.whole and any(found))
        return found

    def _read(self, metas: Sequence[Element]) -> Raws:
        if not self.opengraph:
            return [" ".join(text.split()) for text in meta_values(metas, self.name)]
        found = read_opengraph(metas)
        names = (f"og:{self.name}", self.name)
        return next((texts for name in names if (texts := [text for own, text in found if own == name])), [])


class Constant:
    """A value of the config, a carried value, or the URL: the same for every record."""

    observed = False

    def __init__(self, read: Callable[[Reading], Any]) -> None:
        self._read = read

    def find(self, scopes: Scopes, first: bool) -> Sequence[Raws]:
        value = self._read(scopes.reading)
        return [[own(value)] if value is not None else [] for _ in range(scopes.size)]


def own(value: Any) -> Any:
    """The value, copied if a later plugin could change it for other items."""
    return copy.deepcopy(value) if isinstance(value, (list, dict)) else value


def text_of(value: Any) -> str:
    """A raw value as text: numbers and truth values as in JSON, dates as in ISO 8601."""
    if isinstance(value, str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, default=str)
