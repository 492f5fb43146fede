"""What is left of a config when all that is wrong with it is taken away.

So that one look finds all mistakes: selectors, expressions and options are compiled by plugins, which need a config
that can be read. Places stay as they are. Of a list, what stands behind a wrong element goes too, since the places of
its elements are numbers.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import takewhile

from pipeline.config.nodes import Entry, Mapping, Node, Sequence
from pipeline.errors import Mark


def without(tree: Mapping, wrong: Collection[Mark]) -> Mapping:
    """The tree without the keys and values that stand at these places."""

    def stays(entry: Entry) -> bool:
        return entry.key_mark not in wrong and entry.node.mark not in wrong

    kept = {
        name: Entry(entry.key_mark, _pruned(entry.node, wrong)) for name, entry in tree.entries.items() if stays(entry)
    }
    return Mapping(tree.mark, flow=tree.flow, entries=kept)


def _pruned(node: Node, wrong: Collection[Mark]) -> Node:
    if isinstance(node, Mapping):
        return without(node, wrong)
    if isinstance(node, Sequence):
        items = takewhile(lambda item: item.mark not in wrong, node.items)
        return Sequence(node.mark, flow=node.flow, items=[_pruned(item, wrong) for item in items])
    return node
