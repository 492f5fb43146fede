"""Running hooks: one implementation at a time, in YAML order, timed, each exception charged to the plugin it came from.

pluggy is not asked at run time: it neither hands one answer to the next call nor goes on after an exception. A `Step`
is one implementation with its argument list worked out beforehand.

*The item chain* goes step by step over all items of a page, not item by item over all steps: each plugin sees the items
in the same order either way, and a step then costs one reading of the clock a page. A dead letter holds the item as it
was when it was extracted. Nothing is serialised for that until something breaks: a snapshot is a dict copy, and only
lists and mappings in it are copied too, since other values cannot change in place. Whether an item can be stored is
asked once, after the chain. If it cannot, and several filters had it, which one is to blame is found out from the next
page on, by asking after every step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec

from pipeline.errors import PluginError
from pipeline.model import DeadLetter, Drop, Fault, Item, ItemRecord, PageResult, Rows
from pipeline.secrecy import masked
from pipeline.stages.faults import clean, describe, fault, short
from pipeline.stages.hookspecs import HOOKS
from pipeline.stages.values import TooLargeError, UnfitError, as_json, settled, settled_rows, snapshot

SLOW: Final = 0.5  # seconds of one hook on one page that are told
NO_RULE: Final = -1  # the item rule of a plugin's own items; they sort before declared ones


class Step(msgspec.Struct):
    """One implementation of a hook. `call` takes all arguments of the hook and passes on those it names."""

    plugin: str
    hook: str
    call: Callable[..., Any]
    file: str | None = None
    items: frozenset[str] | None = None  # item types that it is for; None means all

    def charge(self, error: BaseException) -> Fault:
        """What the plugin did wrong, as a value."""
        return fault(self.plugin, self.hook, error, self.file)

    def blame(self, message: str) -> Fault:
        """A wrong answer of the plugin, as a value."""
        return Fault(self.plugin, self.hook, masked(clean(message)))


class PageFaultError(Exception):
    """A hook failed in a way that costs the page."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def adapt(function: Callable[..., Any], hook: str, arguments: Sequence[str]) -> Callable[..., Any]:
    """`function`, callable with all arguments of the hook in order. The common cases cost little or nothing."""
    offered = HOOKS[hook]
    arguments = tuple(arguments)
    if arguments == offered:
        return function
    if arguments == ():
        return lambda *_: function()
    if len(offered) == 2 and len(arguments) == 1:
        return (
            (lambda first, _: function(first)) if arguments[0] == offered[0] else (lambda _, second: function(second))
        )
    places = [offered.index(name) for name in arguments]
    return lambda *values: function(*[values[place] for place in places])


def call_each(steps: Sequence[Step], seconds: dict[str, float], *arguments: Any) -> None:
    """A notify hook. Raises PluginError at the first exception."""
    for step in steps:
        start = perf_counter()
        try:
            step.call(*arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError(step.plugin, step.hook, step.charge(error).message) from error
        finally:
            add(seconds, step.plugin, perf_counter() - start)


def add(seconds: dict[str, float], plugin: str, spent: float) -> None:
    """Enter time spent."""
    seconds[plugin] = seconds.get(plugin, 0.0) + spent


def clock(step: Step, spent: float, result: PageResult) -> None:
    """Enter the time that a step took for a page. Called ten times a page and more, so it calls nothing."""
    seconds, plugin = result.seconds, step.plugin
    seconds[plugin] = seconds.get(plugin, 0.0) + spent
    if spent >= SLOW:
        result.slow[f"{step.plugin}.{step.hook}"] = round(spent, 3)


# --- items -----------------------------------------------------------------------------------------------------------


class Entry:
    """An item on its way through the chain: what it was, where it came from, what it has become."""

    __slots__ = ("item", "kind", "maker", "original", "page", "position", "replaced", "rule")

    def __init__(self, item: Item, page: Any, maker: Step | None, position: int) -> None:
        self.item = item
        self.page = page
        self.maker = maker
        self.position = position
        self.kind = item.type
        self.rule = item.rule
        self.original: dict[str, Any] = item
        self.replaced: Step | None = None  # the last step that put another item in its place


class Batch(NamedTuple):
    """Items that came together, and stay so where no step looks at them."""

    rows: Rows
    page: Any
    maker: Step
    position: int

    def entries(self) -> list[Entry]:
        """Each by itself."""
        return [Entry(item, self.page, self.maker, self.position + n) for n, item in enumerate(self.rows)]


class ItemChain:
    """The `process_item` implementations, in call order."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = list(steps)
        self._careful = False

    def run(self, given: Sequence[Entry | Batch], result: PageResult) -> list[ItemRecord]:
        """What is left of the items, plain and storable; the rest is entered in `result` as dropped or dead."""
        found = self._filtered(given, result) if self.steps else given
        result.plain = True
        records: list[ItemRecord] = []
        for one in found:
            if isinstance(one, Batch):
                records += self._together(one, result)
            elif (record := self._record(one, result)) is not None:
                result.plain = False
                records.append(record)
        return records

    def _filtered(self, given: Sequence[Entry | Batch], result: PageResult) -> list[Entry]:
        """What the steps leave, each by itself: every item is shown to them."""
        each = [entry for one in given for entry in (one.entries() if isinstance(one, Batch) else (one,))]
        entries = [entry for entry in each if self._remembered(entry, result)]
        for step in self.steps:
            if entries:
                start = perf_counter()
                entries = self._step(step, entries, result)
                clock(step, perf_counter() - start, result)
        return entries

    def _together(self, batch: Batch, result: PageResult) -> list[ItemRecord]:
        """As `_record` of each row, looking at the values by column."""
        rows = batch.rows
        found = settled_rows(rows.columns)
        if found is None or not _is_kind(rows.type):
            result.plain = False
            each = [self._record(entry, result) for entry in batch.entries()]
            return [record for record in each if record is not None]
        fields, plain = found
        result.plain = result.plain and plain
        for name, column in rows.columns.items():
            if missing := column.count(None):
                count(result.missing, f"{rows.type}.{name}", missing)
        rule = NO_RULE if rows.rule is None else rows.rule
        return [ItemRecord(rows.type, one, rule, batch.position + n) for n, one in enumerate(fields)]

    def _remembered(self, entry: Entry, result: PageResult) -> bool:
        """Keep the item as it is now; False if it does not let itself be copied."""
        try:
            entry.original = snapshot(entry.item)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # out of a method of a value
            bury(entry, self._blame(entry, UnfitError(f"its values cannot be read: {describe(error)}")), result)
            return False
        return True

    def _step(self, step: Step, entries: list[Entry], result: PageResult) -> list[Entry]:
        call, types = step.call, step.items
        lost: set[Entry] = set()
        for entry in entries:
            item = entry.item
            try:
                if types is not None and item.type not in types:
                    continue
                answer = call(item, entry.page)
            except KeyboardInterrupt:
                raise
            except Drop as drop:
                answer = drop
            except BaseException as error:
                bury(entry, step.charge(error), result)
                lost.add(entry)
                continue
            if (answer is not None or self._careful) and not self._take(step, entry, answer, result):
                lost.add(entry)
        return [entry for entry in entries if entry not in lost] if lost else entries

    def _take(self, step: Step, entry: Entry, answer: Any, result: PageResult) -> bool:
        """Act on an answer; True if the item stays."""
        if isinstance(answer, Drop):
            count(result.dropped, drop_reason(step.plugin, answer))
            return False
        if isinstance(answer, Item):
            entry.item, entry.replaced = answer, step
        elif answer is not None:
            expected = "expected None (the item, changed in place or not), an Item or a Drop"
            bury(entry, step.blame(f"answered {short(answer)}; {expected}"), result)
            return False
        if self._careful:
            try:
                settled(entry.item)
            except UnfitError as error:
                bury(entry, _blamed(step, error), result)
                return False
        return True

    def _record(self, entry: Entry, result: PageResult) -> ItemRecord | None:
        """The item as it goes on, or None if it cannot be stored."""
        item = entry.item
        try:
            fields, kind = settled(item), _kind(item)
        except UnfitError as error:
            bury(entry, self._blame(entry, error), result)
            return None
        if None in fields.values():
            for name, value in fields.items():
                if value is None:
                    count(result.missing, f"{kind}.{name}")
        return ItemRecord(kind, fields, NO_RULE if entry.rule is None else entry.rule, entry.position)

    def _blame(self, entry: Entry, error: UnfitError) -> Fault:
        """Whose fault it is that an item cannot be stored, as far as that can be told."""
        saw = [step for step in self.steps if step.items is None or entry.kind in step.items]
        if entry.maker is not None and (not saw or not _fits(entry.original)):
            return _blamed(entry.maker, error)
        if entry.replaced is not None:
            saw = saw[saw.index(entry.replaced) :] if entry.replaced in saw else [entry.replaced]
        if not saw:
            return Fault("?", "process_item", str(error), fate=_fate(error))
        if len(saw) > 1:
            self._careful = True
            among = f"{error} (put there by one of: {', '.join(step.plugin for step in saw)})"
            return _blamed(saw[-1], type(error)(among))
        return _blamed(saw[-1], error)


def _blamed(step: Step, error: UnfitError) -> Fault:
    """An item that cannot be stored, charged to a plugin; one that is only too large is what its page gave."""
    fault = step.blame(str(error))
    fault.fate = _fate(error)
    return fault


def _fate(error: UnfitError) -> str:
    return "failed:parse" if isinstance(error, TooLargeError) else "failed:plugin"


def _kind(item: Item) -> str:
    kind = getattr(item, "type", None)
    if _is_kind(kind):
        return str(kind)
    if not isinstance(kind, str) or not kind or clean(kind) != kind:
        raise UnfitError(f"the item's type is {short(kind)}, not a text")
    return kind


def _is_kind(kind: object) -> bool:
    """Whether it is a name of a type as nearly all are; of others `_kind` says more."""
    return type(kind) is str and kind != "" and kind.isascii()


def _fits(fields: dict[str, Any]) -> bool:
    try:
        settled(fields)
    except UnfitError:
        return False
    return True


def bury(entry: Entry, charge: Fault, result: PageResult) -> None:
    """Make a dead letter of an item, as it was when it was extracted."""
    result.dead.append(DeadLetter(clean(entry.kind), as_json(entry.original), charge))


def drop_reason(plugin: str, drop: Drop) -> str:
    """`PLUGIN: why`, under which a dropped item is counted."""
    reason = masked(clean(str(drop.reason)))[:200]
    return reason if reason.startswith(f"{plugin}: ") else f"{plugin}: {reason}"


def count(counts: dict[str, int], name: str, number: int = 1) -> None:
    """Add one, or more."""
    counts[name] = counts.get(name, 0) + number


# --- at publish ------------------------------------------------------------------------------------------------------


class PageFacts(Protocol):
    """What is still known of a page at publish."""

    @property
    def url(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def carry(self) -> Mapping[str, Any]: ...


class PublishedPage:
    """`page` of a filter that runs at publish: `url`, `rule`, `status`, `carry`; a clear error for anything else."""

    __slots__ = ("carry", "rule", "status", "url")

    def __init__(self, facts: PageFacts) -> None:
        self.url = facts.url
        self.rule = facts.rule
        self.status = facts.status
        self.carry = facts.carry

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"page.{name} is not there at publish: this filter says `single = True` or stands after one that does, so "
            "it runs when the crawl is over; page has only url, rule, status and carry then"
        )


SingleChain: TypeAlias = Callable[[Item, PageFacts], Item | Drop | DeadLetter]


def single_chain(steps: Sequence[Step], seconds: dict[str, float]) -> SingleChain:
    """The same chain for one item at a time, at publish. A Drop's reason names the plugin."""
    chain = ItemChain(steps)

    def run(item: Item, facts: PageFacts) -> Item | Drop | DeadLetter:
        result = PageResult(seconds=seconds)
        records = chain.run([Entry(item, PublishedPage(facts), None, 0)], result)
        if records:
            left = Item(records[0].type, records[0].fields)
            left.rule = item.rule
            return left
        return result.dead[0] if result.dead else Drop(next(iter(result.dropped)))

    return run
