"""`fields`: reads the items and links that a config's page rules describe.

The rules come from the `pages:` section, so that a config never names this parser:

    pages:
      list:
        items:
          - each: div.quote
            fields: {text: span.text, tags: {css: a.tag, many: true}}
        follow: [li.next a]

All selectors, expressions, formats and steps are compiled and checked when the config is loaded. On a page each
selector is asked once, of all records together. A record without a value for a `required` field is dropped, and the
host counts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline import Drop, Explained, Item, Links, Page, Registry, Request, Rows, hookimpl

from ._compile import Compiler, KeyPath, Notes, Problems
from ._composite import EMPTY
from ._follow import FollowRule
from ._reading import Reading, Scopes

_FEW: Final = 3  # records for which an Item each costs less than to look at them by column


class Fields:
    """The page rules, compiled. `notes` holds (key path, remark) for selectors that BeautifulSoup answers.

    Raises an `ExceptionGroup` of `OptionError` with everything that is wrong in the rules.
    """

    def __init__(self, rules: dict[str, dict[str, Any]]) -> None:
        problems: Problems = []
        self.notes: Notes = []
        self._rules = {
            name: PageRule(name, rule, Compiler(rule.get("parser") or "auto", problems, self.notes))
            for name, rule in rules.items()
        }
        if problems:
            raise ExceptionGroup("the page rules are wrong", problems)

    @hookimpl
    def parse(self, page: Page) -> Iterator[Item | Rows | Request | Links | Drop]:
        """The items and the links of the page, by the rule that it was asked for under."""
        rule = self._rules.get(page.rule)
        if rule is None:
            return
        reading = Reading(page)
        for items in rule.items:
            for item in items.read(reading):
                reading.gave += len(item) if isinstance(item, Rows) else 1
                yield item
        for follow in rule.follow:
            yield from follow.read(reading)

    def explain(self, page: Page) -> list[Explained]:
        """How each item rule and each follow fared on the page: `hookline try --explain`."""
        from ._explain import explain_follow, explain_items  # noqa: PLC0415 - no crawl needs it

        rule = self._rules.get(page.rule)
        if rule is None:
            return []
        reading = Reading(page)
        told = [explain_items(items, reading) for items in rule.items]
        reading.gave = sum(one.hits for one in told)
        return told + [explain_follow(follow, reading) for follow in rule.follow]


class PageRule:
    """The items and follows of one page rule."""

    __slots__ = ("follow", "items")

    def __init__(self, name: str, rule: Mapping[str, Any], compiler: Compiler) -> None:
        self.items = [
            ItemRule(number, spec, (name, "items", number), compiler)
            for number, spec in enumerate(rule.get("items") or ())
        ]
        self.follow = [
            FollowRule(spec, (name, "follow", number), compiler) for number, spec in enumerate(rule.get("follow") or ())
        ]


class ItemRule:
    """How items of one type are read: one for each record of `each`, or one for the page."""

    __slots__ = ("_names", "_number", "_required", "each", "fields", "spec", "type")

    def __init__(self, number: int, spec: Mapping[str, Any], path: KeyPath, compiler: Compiler) -> None:
        self.spec = spec
        self._number = number
        self.type = spec.get("type") or "item"
        self.each = compiler.each(spec.get("each"), (*path, "each"))
        self.fields = compiler.fields(spec.get("fields"), (*path, "fields"))
        self._names = [field.name for field in self.fields]
        self._required = tuple(field.name for field in self.fields if field.required)

    def read(self, reading: Reading) -> Iterator[Item | Rows | Drop]:
        """The items of the page, in document order; a Drop for each record that lacks a required value."""
        scopes = Scopes(reading) if self.each is None else self.each(reading)
        if not scopes.size:
            return
        columns = {field.name: field.column(scopes) for field in self.fields}
        if self.each is None and not scopes.seen and any(field.observed for field in self.fields):
            return  # nothing that is read from the page is there
        lacks = any(value in EMPTY for name in self._required for value in columns[name])
        if scopes.size > _FEW and columns and not lacks:
            yield Rows(self.type, columns, self._number)
            return
        for row in zip(*columns.values(), strict=True) if columns else ([] for _ in range(scopes.size)):
            yield self._item(row)

    def _item(self, values: Sequence[Any]) -> Item | Drop:
        item = Item(self.type, dict(zip(self._names, values, strict=True)))
        for name in self._required:
            if item[name] in EMPTY:
                return Drop(f"missing {name}")
        item.rule = self._number
        return item


@hookimpl
def register(registry: Registry) -> None:
    """Let the host place it first among the parsers."""
    registry.parser("fields", Fields)
