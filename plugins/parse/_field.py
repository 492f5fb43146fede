"""One field of a rule, compiled: where its text comes from, how it becomes a value, what happens without one."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from pipeline import Element, OptionError, Page, ParseError, Selector, SelectorError

from ._values import read_bool, read_float, read_int

Path: TypeAlias = tuple[str | int, ...]
Problems: TypeAlias = list[OptionError]
Notes: TypeAlias = list[tuple[Path, str]]

_NUMBERS: Final[Mapping[str, Callable[[str], Any]]] = {"int": read_int, "float": read_float, "bool": read_bool}


class Compiler:
    """Compiles selectors and regular expressions of a page rule and collects what is wrong with them."""

    def __init__(self, parser: Any, problems: Problems, notes: Notes) -> None:
        self.parser = parser
        self.problems = problems
        self.notes = notes

    def selector(self, text: Any, path: Path) -> Selector | None:
        """The selector, or None after noting the problem."""
        if text is None:
            return None
        try:
            selector = Selector(str(text), self.parser)
        except SelectorError as error:
            self.problems.append(OptionError(str(error), path=path))
            return None
        if selector.engine == "soup" and self.parser == "auto":
            self.notes.append((path, f"selector {selector.text!r} is answered by BeautifulSoup: {selector.reason}"))
        return selector

    def regex(self, text: Any, path: Path) -> re.Pattern[str] | None:
        """The regular expression, or None after noting the problem."""
        if text is None:
            return None
        try:
            return re.compile(str(text))
        except (re.error, OverflowError, RecursionError) as error:
            self.problems.append(OptionError(f"regex {text!r}: {error}", path=path))
            return None


class Field:
    """A compiled field. `selector` is None for fields that do not look at the page."""

    __slots__ = ("_convert", "_default", "_fail", "_pick", "_regex", "_spec", "many", "name", "required", "selector")

    def __init__(self, name: str, spec: Mapping[str, Any] | str, path: Path, compiler: Compiler) -> None:
        short = isinstance(spec, str)
        self._spec: Mapping[str, Any] = {"css": spec} if isinstance(spec, str) else spec
        self.name = name
        self.selector = compiler.selector(self._spec.get("css"), path if short else (*path, "css"))
        self.many = bool(self._spec.get("many"))
        self.required = bool(self._spec.get("required"))
        self._fail = self._spec.get("on_missing") == "fail"
        self._default = self._spec.get("default")
        self._regex = compiler.regex(self._spec.get("regex"), (*path, "regex"))
        kind = self._spec.get("type") or "str"
        self._pick = _picker(self.selector, kind)
        self._convert: Callable[[str, Page], Any] | None = _converter(kind)

    @property
    def observed(self) -> bool:
        """Is the value read from the page (and not a constant, carried value or the URL)?"""
        return self.selector is not None

    def column(self, shares: Sequence[Sequence[Element]], page: Page) -> list[Any]:
        """The field's value for each record, from the elements that its selector found there."""
        if self.many:
            return [self._many(elements, page) for elements in shares]
        if self._convert is None and self._regex is None:  # the common case, without a call per value
            pick = self._pick
            found = [pick(elements[0]) or None if elements else None for elements in shares]
            return found if None not in found else [self.missing() if value is None else value for value in found]
        return [self._one(elements, page) for elements in shares]

    def constant(self, page: Page) -> Any:
        """The value of a field without selector: `value`, `carry` or `url`; anything else is missing."""
        if "value" in self._spec:
            return _own(self._spec["value"])
        value = None
        if "carry" in self._spec:
            value = _own(page.carry.get(self._spec["carry"]))
        elif self._spec.get("url"):
            value = page.url
        if isinstance(value, str):
            value = self._read(value, page)
        return self.missing() if value is None else value

    def missing(self) -> Any:
        """What stands for no value: the default, else null (of `many` an empty list), or the page fails."""
        if self._default is not None:
            return _own(self._default)
        if self._fail:
            raise ParseError(f"field {self.name} has no value (on_missing: fail)")
        return [] if self.many else None

    def _one(self, elements: Sequence[Element], page: Page) -> Any:
        value = self._read(self._pick(elements[0]), page) if elements else None
        return self.missing() if value is None else value

    def _many(self, elements: Sequence[Element], page: Page) -> Any:
        pick = self._pick
        if self._convert is None and self._regex is None:
            found: list[Any] = [text for element in elements if (text := pick(element))]
        else:
            read = (self._read(pick(element), page) for element in elements)
            found = [value for value in read if value is not None]
        return found or self.missing()

    def _read(self, text: str | None, page: Page) -> Any:
        """The text through `regex` and `type`; empty and unreadable are missing."""
        if text and self._regex is not None:
            match = self._regex.search(text)
            text = None if match is None else match[1] if self._regex.groups else match[0]
        if not text:
            return None
        return text if self._convert is None else self._convert(text, page)


def _picker(selector: Selector | None, kind: str) -> Callable[[Element], str | None]:
    """How the text of a field is read off an element."""
    pseudo = selector.pseudo if selector is not None else None
    if pseudo == "attr" and selector is not None:
        name = selector.arg or ""
        return lambda element: element.attr(name)
    if pseudo == "text":
        return lambda element: element.own_text
    if pseudo == "html" or kind == "html":
        return lambda element: element.html
    if kind == "url":
        return lambda element: link_of(element) or element.text
    return lambda element: element.text


def _converter(kind: str) -> Callable[[str, Page], Any] | None:
    """From text to a value of the type, None where the text is the value."""
    if kind == "url":
        return lambda text, page: page.url_join(text)
    read = _NUMBERS.get(kind)
    return None if read is None else lambda text, page: read(text)


def link_of(element: Element) -> str | None:
    """Where an element leads: its `href`, else its `src`."""
    href = element.attr("href")
    return element.attr("src") if href is None else href


def _own(value: Any) -> Any:
    """The value, copied if a later plugin could change it for other items."""
    return copy.deepcopy(value) if isinstance(value, (list, dict)) else value
