"""What is different between two published results, item by item: found out at publish, kept, put together again.

A change has the fields of before and of after; None for those of an item that was not there. Of one that was there both
times only the fields that differ stand in it, and a field that is missing in one of the two was not there.

Kept is what each published run changed, so what lies between two runs is composed of the steps between them. It is
bounded: the first `MOST` changes of each kind, and `MOST_BYTES` of items on either side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from pipeline.packing import MARK, pack_values, unpack_each, unpack_values
from pipeline.runner.compare import PAIR, Moves
from pipeline.state import changes
from pipeline.state.changes import Published
from pipeline.state.writer import Writer

MOST: Final = 10_000  # changes of each kind that are kept of a run
MOST_BYTES: Final = 4 * 1024 * 1024  # of the items of either result

Fields = dict[str, Any]


class Change(NamedTuple):
    """One item that is not as it was. `key` has its key fields, and is empty where its type has none."""

    identity: bytes
    type: str
    key: Fields
    url: str
    before: Fields | None
    after: Fields | None

    @property
    def kind(self) -> str:
        """new, changed or gone."""
        return "new" if self.before is None else "gone" if self.after is None else "changed"


# --- at publish -------------------------------------------------------------------------------------------------------


def collect(
    writer: Writer, old: int, new: int, moves: Moves, keys: Mapping[str, Sequence[str]]
) -> tuple[list[Change], bool]:
    """The changes from one result to another, whose items stand in the state; and whether these are all.

    `keys` are the key fields by type.
    """
    there = _items_at(writer, old, [*moves.gone, *(one for one, _ in moves.changed)])
    here = _items_at(writer, new, [*moves.new, *(other for _, other in moves.changed)])
    found = [
        *(_changed(there[one], here[other], keys) for one, other in moves.changed if one in there and other in here),
        *(_whole(here[place], keys, new=True) for place in moves.new if place in here),
        *(_whole(there[place], keys, new=False) for place in moves.gone if place in there),
    ]
    return found, len(found) == len(moves.changed) + len(moves.new) + len(moves.gone)


def _changed(old: tuple[bytes, bytes], new: tuple[bytes, bytes], keys: Mapping[str, Sequence[str]]) -> Change:
    kind, after, url, *_ = unpack_values(new[1])
    before = unpack_values(old[1])[1]
    return Change(new[0], kind, _key(after, keys.get(kind, ())), url, *differing(before, after))


def _whole(item: tuple[bytes, bytes], keys: Mapping[str, Sequence[str]], *, new: bool) -> Change:
    kind, fields, url, *_ = unpack_values(item[1])
    sides = (None, fields) if new else (fields, None)
    return Change(item[0], kind, _key(fields, keys.get(kind, ())), url, *sides)


def _key(fields: Fields, names: Sequence[str]) -> Fields:
    return {name: fields.get(name) for name in names}


def _items_at(writer: Writer, run: int, places: Iterable[int]) -> dict[int, tuple[bytes, bytes]]:
    """(identity, packed item) by place in a result, of as many as there is room for."""
    wanted = iter(sorted(places))
    found: dict[int, tuple[bytes, bytes]] = {}
    place, start, room = next(wanted, None), 0, MOST_BYTES
    for seq, count in writer.call(changes.sizes, run):
        if place is not None and place < start + count:
            marks, packed = writer.call(changes.piece, run, seq)
            items = unpack_each(packed)
            while place is not None and place < start + count:
                at = place - start
                room -= len(items[at])
                if room < 0:
                    return found
                found[place] = (marks[at * PAIR : at * PAIR + MARK], items[at])
                place = next(wanted, None)
        start += count
    return found


def packed(found: Sequence[Change]) -> bytes:
    """Changes as they are kept."""
    return pack_values([list(change) for change in found])


# --- between two runs -------------------------------------------------------------------------------------------------


def between(steps: Iterable[Published]) -> Iterator[Change]:
    """What lies between a result and a later one, from what each run between changed; in the order of first mention."""
    found: dict[bytes, Change] = {}
    for step in steps:
        for change in (Change(*values) for values in unpack_values(step.changes or b"\x90")):
            known = found.get(change.identity)
            both = compose(known, change) if known else change
            if both is None:
                del found[change.identity]
            else:
                found[change.identity] = both
    yield from found.values()


def compose(first: Change, then: Change) -> Change | None:
    """Two changes of one item as one; None if they undo each other."""
    before, after = first.before, then.after
    if first.after is not None and then.before is not None:  # it was there between them: what one is silent on stays
        before = _patched(first, then.before, first.before)
        after = _patched(then, first.after, then.after)
    if before is None and after is None:
        return None
    if before is not None and after is not None:
        before, after = differing(before, after)
        if not before and not after:
            return None
    return then._replace(before=before, after=after)


def _patched(change: Change, fields: Fields, over: Fields | None) -> Fields | None:
    """`fields`, with those that a change is about as they stand in `over`."""
    if over is None:
        return None
    about = {*(change.before or ()), *(change.after or ())}
    return {**{name: value for name, value in fields.items() if name not in about}, **over}


def turned(change: Change) -> Change:
    """The change backwards."""
    return change._replace(before=change.after, after=change.before)


def differing(before: Fields, after: Fields) -> tuple[Fields, Fields]:
    """The fields that are not the same, value and type, in both."""
    names = [
        name
        for name in dict.fromkeys(chain(before, after))
        if name not in before or name not in after or not _same(before[name], after[name])
    ]
    return {name: before[name] for name in names if name in before}, {
        name: after[name] for name in names if name in after
    }


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and (one is other or pack_values(one) == pack_values(other))
