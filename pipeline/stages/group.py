"""Many elements of a page that the same selectors are asked of, as the records of a list are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, cast

from pipeline.stages.css import Selector
from pipeline.stages.tree import Element, Tree

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

FACTOR: Final = 8  # matches per element above which searching element by element is cheaper


class Group:
    """Elements of one page (records of a list, say) that the same selectors are asked of.

    Parsing a selector costs lexbor more than finding a few elements with it. So the whole page is asked once, and
    every match is given to the elements above it; `_known` remembers for nodes on the way whose they are.
    """

    __slots__ = ("_each", "_known", "_places", "_tree", "elements")

    def __init__(self, tree: Tree, elements: Sequence[Element]) -> None:
        self._tree = tree
        self.elements = list(elements)
        self._each = [(place,) for place in range(len(self.elements))]  # the owners where each has one match
        self._known: dict[int, tuple[int, ...]] = {}
        self._places: dict[int, tuple[int, ...]] = {}  # the elements themselves, by position

    def select(self, selector: Selector, *, first: bool = False) -> list[list[Element]]:
        """For each element what `element.select(selector)` gives; with `first` at most the first of it."""
        nodes = self._nodes(selector)
        if nodes is None:
            return self._one_by_one(selector, first)
        if first:
            return [[] if node is None else [Element(self._tree, node)] for node in self._firsts(nodes)]
        return [[Element(self._tree, node) for node in share] for share in self._shares(nodes)]

    def texts(self, selector: Selector) -> list[list[str]]:
        """As `select`, but the text of each match: what most fields want, without an object for every element."""
        nodes = self._nodes(selector)
        if nodes is None:
            return [[element.text for element in share] for share in self._one_by_one(selector, False)]
        shares = self._shares(nodes)
        texts = iter(self._tree.texts_of([*chain.from_iterable(shares)]))
        return [[*islice(texts, len(share))] for share in shares]

    def first_texts(self, selector: Selector) -> Sequence[str | None]:
        """For each element the text of the first match, None without one."""
        nodes = self._nodes(selector)
        if nodes is None:
            return [share[0].text if share else None for share in self._one_by_one(selector, True)]
        firsts = self._firsts(nodes)
        if None not in firsts:
            return self._tree.texts_of(cast("list[LexborNode]", firsts))
        texts = iter(self._tree.texts_of([node for node in firsts if node is not None]))
        return [None if node is None else next(texts) for node in firsts]

    def _nodes(self, selector: Selector) -> list[LexborNode] | None:
        """The matches on the whole page; None where asking the elements one by one is right, or cheaper."""
        if not self.elements:
            return []
        if not selector.css or selector.relative or len(self.elements) == 1:
            return None
        nodes = self._tree.nodes(selector)
        many = len(nodes) > FACTOR * len(self.elements) and selector.engine == "lexbor"
        return None if many else nodes

    def _one_by_one(self, selector: Selector, first: bool) -> list[list[Element]]:
        if first:
            found = (self._tree.first(selector, element) for element in self.elements)
            return [[] if element is None else [element] for element in found]
        return [self._tree.select(selector, element) for element in self.elements]

    def _shares(self, nodes: list[LexborNode]) -> list[list[LexborNode]]:
        """The nodes that are in each element."""
        answer: list[list[LexborNode]] = [[] for _ in self.elements]
        for owners, node in zip(self._owners_of(nodes), nodes, strict=True):
            for owner in owners:
                answer[owner].append(node)
        return answer

    def _firsts(self, nodes: list[LexborNode]) -> list[LexborNode | None]:
        """The first node that is in each element."""
        found = self._owners_of(nodes)
        if found == self._each:
            return [*nodes]
        answer: list[LexborNode | None] = [None] * len(self.elements)
        for owners, node in zip(found, nodes, strict=True):
            for owner in owners:
                if answer[owner] is None:
                    answer[owner] = node
        return answer

    def _owners_of(self, nodes: list[LexborNode]) -> list[tuple[int, ...]]:
        """For each node the elements that it is in, by position. Most stand one or two levels below theirs."""
        known = self._known or self._begin()
        found: list[tuple[int, ...]] = []
        for node in nodes:
            above = node.parent
            if above is None:
                found.append(())
            elif (key := above.mem_id) in known:
                found.append(known[key])
            elif (higher := above.parent) is not None and (beyond := higher.mem_id) in known:
                found.append(known[beyond])
            else:
                found.append(self._find_owners(above))
        return found

    def _begin(self) -> dict[int, tuple[int, ...]]:
        """Whose the elements themselves are: their own, and those around them."""
        for place, element in enumerate(self.elements):
            key = element.node.mem_id
            self._places[key] = (*self._places.get(key, ()), place)
        for element in self.elements:
            above = element.node.parent
            owners = () if above is None else self._known.get(above.mem_id)
            if owners is None:
                owners = self._find_owners(above)
            key = element.node.mem_id
            self._known[key] = owners + self._places[key]
        return self._known

    def _find_owners(self, node: LexborNode | None) -> tuple[int, ...]:
        """The elements that a node is in or is; remembered for it and all on the way."""
        known, path = self._known, []
        while node is not None and (key := node.mem_id) not in known:
            path.append(key)
            node = node.parent
        owners = () if node is None else known[key]
        for key in reversed(path):
            owners += self._places.get(key, ())
            known[key] = owners
        return owners
