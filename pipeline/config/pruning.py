"""What is left of a config when all that is wrong with it is taken away.

So that one look finds all mistakes: selectors, expressions and options are compiled by plugins, which need a config
that can be read. Places stay as they are, but elements of a list move up: `Renumbering` gives them their numbers back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pipeline.config.nodes import Entry, KeyPath, Mapping, Node, Sequence, key_text
from pipeline.errors import Mark, Problem


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
        items = [_pruned(item, wrong) for item in node.items if item.mark not in wrong]
        return Sequence(node.mark, flow=node.flow, items=items)
    return node


class Renumbering:
    """From a problem found in a pruned tree to the same one in the tree that it was made of."""

    def __init__(self, whole: Mapping, pruned: Mapping) -> None:
        self._whole = dict(_paths(whole, ()))
        self._pruned = dict(_paths(pruned, ()))

    def __call__(self, problem: Problem) -> Problem:
        """The problem with the key that its place has in the whole tree."""
        if problem.mark not in self._pruned or problem.mark not in self._whole:
            return problem
        now, then = key_text(self._pruned[problem.mark]), key_text(self._whole[problem.mark])
        return problem._replace(key=then + problem.key[len(now) :]) if problem.key.startswith(now) else problem


def _paths(node: Node, path: KeyPath) -> Iterator[tuple[Mark, KeyPath]]:
    """The places in a tree, each with its key path; the deepest of those that share one comes last."""
    yield node.mark, path
    if isinstance(node, Mapping):
        for name, entry in node.entries.items():
            yield entry.key_mark, (*path, name)
            yield from _paths(entry.node, (*path, name))
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield from _paths(item, (*path, index))
