"""`fields`: reads the items and links that a config's page rules describe.

The rules come from the `pages:` section, so that a config never names this parser:

    pages:
      list:
        items:
          - each: div.quote
            fields: {text: span.text, tags: {css: a.tag, many: true}}
        follow: [li.next a]

All selectors are compiled and checked when the config is loaded. On a page each selector is asked once, of all records
together. A record without a value for a `required` field is dropped by `process_item`, so that the host counts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline import Drop, Element, Item, Page, Registry, Request, Selector, hookimpl

from ._field import Compiler, Field, Notes, Path, Problems, link_of


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
    def parse(self, page: Page) -> Iterator[Item | Request]:
        """The items and the links of the page, by the rule that it was asked for under."""
        rule = self._rules.get(page.rule)
        if rule is None:
            return
        for items in rule.items:
            yield from items.read(page)
        for follow in rule.follow:
            yield from follow.read(page)

    @hookimpl
    def process_item(self, item: Item, page: Page) -> Drop | None:
        """Drop an item of a rule that lacks a required field."""
        rule = self._rules.get(page.rule)
        if rule is None or item.rule is None or item.rule >= len(rule.items):
            return None
        for name in rule.items[item.rule].required:
            if item.get(name) in (None, "", []):
                return Drop(f"missing {name}")
        return None


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
    """How items of one type are read: one for each match of `each`, or one for the page."""

    __slots__ = ("_each", "_fields", "_names", "_number", "_per_page", "_type", "required")

    def __init__(self, number: int, spec: Mapping[str, Any], path: Path, compiler: Compiler) -> None:
        self._number = number
        self._type = spec.get("type") or "item"
        self._per_page = spec.get("each") is None
        self._each = compiler.selector(spec.get("each"), (*path, "each"))
        self._fields = _compile_fields(spec.get("fields"), (*path, "fields"), compiler)
        self._names = [field.name for field in self._fields]
        self.required = tuple(field.name for field in self._fields if field.required)

    def read(self, page: Page) -> Iterator[Item]:
        """The items of the page, in document order."""
        if self._per_page:
            yield from self._read_page(page)
            return
        records = page.select(self._each) if self._each is not None else []
        columns = _columns(self._fields, records, page)
        for row in zip(*columns, strict=True) if columns else ([] for _ in records):
            yield self._item(row)

    def _read_page(self, page: Page) -> Iterator[Item]:
        """One item, unless nothing that is read from the page is there."""
        found = [None if field.selector is None else _on_page(field, page) for field in self._fields]
        values = [
            field.constant(page) if elements is None else field.column([elements], page)[0]
            for field, elements in zip(self._fields, found, strict=True)
        ]
        observed = [elements for elements in found if elements is not None]
        if any(observed) or not observed:
            yield self._item(values)

    def _item(self, values: Sequence[Any]) -> Item:
        item = Item(self._type, dict(zip(self._names, values, strict=True)))
        item.rule = self._number
        return item


class FollowRule:
    """Which links of a page are followed, and what their requests carry."""

    __slots__ = (
        "_body",
        "_carry",
        "_each",
        "_headers",
        "_limit",
        "_method",
        "_page",
        "_per_page",
        "_priority",
        "_selector",
    )

    def __init__(self, spec: Mapping[str, Any] | str, path: Path, compiler: Compiler) -> None:
        if isinstance(spec, str):
            self._selector = compiler.selector(spec, path)
            spec = {}
        else:
            self._selector = compiler.selector(spec.get("css"), (*path, "css"))
        self._per_page = spec.get("each") is None
        self._each = compiler.selector(spec.get("each"), (*path, "each"))
        self._page = spec.get("page")
        self._priority = spec.get("priority") or 0
        self._method = spec.get("method") or "GET"
        body = spec.get("body")
        self._body = body.encode() if isinstance(body, str) else body
        self._headers = dict(spec.get("headers") or {})
        self._carry = _compile_fields(spec.get("carry"), (*path, "carry"), compiler)
        limit = spec.get("limit")
        self._limit = None if limit is None else ("/".join(map(str, path)), int(limit))

    def read(self, page: Page) -> Iterator[Request]:
        """The requests of the page, in document order, as the references that stand there: the host resolves them."""
        selector = self._selector
        if selector is None:
            return iter(())
        return self._read_all(page, selector) if self._per_page else self._read_each(page, selector)

    def _read_all(self, page: Page, selector: Selector) -> Iterator[Request]:
        elements = page.select(selector)
        carry = self._carried([_page_value(field, page) for field in self._carry]) if elements else {}
        for element in elements:
            reference = _reference(element, selector)
            if reference is not None:
                yield self._request(reference, dict(carry))

    def _read_each(self, page: Page, selector: Selector) -> Iterator[Request]:
        records = page.select(self._each) if self._each is not None else []
        links = page.group(records).select(selector, first=True)
        columns = _columns(self._carry, records, page)
        rows = zip(*columns, strict=True) if columns else iter([()] * len(records))
        for found, row in zip(links, rows, strict=True):
            reference = _reference(found[0], selector) if found else None
            if reference is not None:
                yield self._request(reference, self._carried(row))

    def _carried(self, values: Sequence[Any]) -> dict[str, Any]:
        return {field.name: value for field, value in zip(self._carry, values, strict=True) if value is not None}

    def _request(self, reference: str, carry: dict[str, Any]) -> Request:
        request = Request(reference, page=self._page, carry=carry, priority=self._priority)
        if self._method != "GET" or self._body is not None:
            request.method, request.body = self._method, self._body
        if self._headers:
            request.headers = dict(self._headers)
        request.rule_limit = self._limit
        return request


def _compile_fields(specs: Mapping[str, Any] | None, path: Path, compiler: Compiler) -> list[Field]:
    return [Field(name, spec, (*path, name), compiler) for name, spec in (specs or {}).items()]


def _columns(fields: Sequence[Field], records: list[Element], page: Page) -> list[list[Any]]:
    """For each field its values, one for each record."""
    group = page.group(records)
    columns = []
    for field in fields:
        if field.selector is None:
            columns.append([field.constant(page) for _ in records])
        else:
            columns.append(field.column(group.select(field.selector, first=not field.many), page))
    return columns


def _page_value(field: Field, page: Page) -> Any:
    return field.constant(page) if field.selector is None else field.column([_on_page(field, page)], page)[0]


def _on_page(field: Field, page: Page) -> list[Element]:
    return [] if field.selector is None else page.select(field.selector)


def _reference(element: Element, selector: Selector) -> str | None:
    """The link that an element stands for: what the pseudo-element names, else `href` or `src`."""
    if selector.pseudo is None:
        return link_of(element)
    if selector.pseudo == "attr":
        return element.attr(selector.arg or "")
    return element.own_text if selector.pseudo == "text" else None


@hookimpl
def register(registry: Registry) -> None:
    """Let the host place it first among the parsers."""
    registry.parser("fields", Fields)
