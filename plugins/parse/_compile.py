"""From what a config says of a field to a `Field`: everything is compiled here, once, and what is wrong is collected.

A problem names the key that it is about by its path, so that `check` can point to the line and column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline import OptionError, Selector, SelectorError

from ._backtracking import slow_because
from ._composite import FirstOf, Join, Objects, each_within
from ._field import Chain, Field, Regex
from ._json import compile_json
from ._reading import Reading, Scopes
from ._sources import Constant, Css, Json, Meta, Path, Pick, Source, Structured, elements_of, where_to, whole_text
from ._transform import Step, StepError, compile_step
from ._types import DATES, converter

if TYPE_CHECKING:
    from pipeline import XPath

    from ._dates import Dates
    from ._languages import Language

KeyPath: TypeAlias = tuple[str | int, ...]
Problems: TypeAlias = list[OptionError]
Notes: TypeAlias = list[tuple[KeyPath, str]]
Spec: TypeAlias = Mapping[str, Any]

NOTHING = Constant(lambda reading: None)  # stands for a source that is wrong
LOOKING = ("css", "xpath", "json", "jsonld", "microdata")  # sources that name places to look in


class Compiler:
    """Compiles the parts of one page rule and collects what is wrong with them."""

    def __init__(self, parser: Any, problems: Problems, notes: Notes) -> None:
        self.parser = parser
        self.problems = problems
        self.notes = notes

    def refuse(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Note a problem."""
        self.problems.append(OptionError(message, path=path, hint=hint))

    def selector(self, text: Any, path: KeyPath) -> Selector | None:
        """The selector, or None after noting the problem."""
        if text is None:
            return None
        try:
            selector = Selector(str(text), self.parser)
        except SelectorError as error:
            self.refuse(path, str(error))
            return None
        if selector.engine == "soup" and self.parser == "auto":
            self.notes.append((path, f"selector {selector.text!r} is answered by BeautifulSoup: {selector.reason}"))
        return selector

    def xpath(self, text: Any, path: KeyPath) -> XPath | None:
        """The XPath, or None after noting the problem."""
        from pipeline import XPath  # noqa: PLC0415 - lxml is for configs that name one

        try:
            return XPath(str(text))
        except ValueError as error:
            self.refuse(path, str(error))
            return None

    def search(self, text: Any, path: KeyPath) -> Callable[[Any], Any] | None:
        """The JMESPath, or None after noting the problem."""
        try:
            return compile_json(str(text))
        except ValueError as error:
            self.refuse(path, f"JMESPath {text!r}: {error}")
            return None

    def regex(self, spec: Any, path: KeyPath) -> Regex | None:
        """The regular expression, or None after noting the problem."""
        if spec is None:
            return None
        parts: Spec = spec if isinstance(spec, Mapping) else {"pattern": spec}
        at = (*path, "pattern") if isinstance(spec, Mapping) else path
        try:
            pattern = re.compile(str(parts["pattern"]))
        except (re.error, OverflowError, RecursionError) as error:
            self.refuse(at, f"regex {parts['pattern']!r}: {error}")
            return None
        if why := slow_because(pattern):
            self.notes.append((at, f"regex {pattern.pattern!r} may take for ever on a text that does not match: {why}"))
        group = parts.get("group", 1 if pattern.groups else 0)
        group = int(group) if str(group).isdecimal() else group  # text, where the YAML has a number
        known = [*range(pattern.groups + 1), *pattern.groupindex]
        if group not in known:
            hint = f"there are {', '.join(map(str, known))}"
            near = get_close_matches(str(group), list(pattern.groupindex), 1)
            self.refuse((*path, "group"), f"regex has no group {group!r}", f"did you mean {near[0]}?" if near else hint)
            return None
        return Regex(pattern, group, parts.get("index") or 0)

    def steps(self, specs: Any, path: KeyPath) -> list[Step]:
        """The steps of a `transform`."""
        found = []
        for number, spec in enumerate(specs or ()):
            try:
                found.append(compile_step(spec))
            except StepError as error:
                self.refuse((*path, number), str(error), error.hint)
        return found

    def languages(self, names: Any, path: KeyPath) -> list[Language]:
        """The languages of dates, English if none is named."""
        from ._languages import LanguageError, language  # noqa: PLC0415 - dateparser's tables take 60 ms

        found = []
        for number, name in enumerate(names or ()):
            try:
                found.append(language(str(name)))
            except LanguageError as error:
                self.refuse((*path, number), str(error), error.hint)
        return found or [language("en")]

    def dates(self, spec: Spec, path: KeyPath) -> Dates | None:
        """How the dates of a field are read; None if it has none."""
        if spec.get("type") not in DATES:
            return None
        from ._dates import Dates, FormatError  # noqa: PLC0415 - few configs have dates

        options: dict[str, Any] = {
            "with_time": spec["type"] == "datetime",
            "languages": self.languages(spec.get("languages"), (*path, "languages")),
            "zone": spec.get("timezone"),
            "year": spec.get("missing_year") or "nearest",
        }
        right: list[str] = []
        for number, text in enumerate(spec.get("formats") or ()):
            try:
                Dates(**options, formats=[text])
                right.append(text)
            except FormatError as error:
                self.refuse((*path, "formats", number), str(error))
        return Dates(**options, formats=right)

    # --- fields ------------------------------------------------------------------------------------------------------

    def fields(self, specs: Any, path: KeyPath) -> list[Field]:
        """Fields by name."""
        return [self.field(name, spec, (*path, name)) for name, spec in (specs or {}).items()]

    def field(self, name: str, spec: Any, path: KeyPath, *, link: bool = False, many: bool | None = None) -> Field:
        """A field. With `link` elements stand for where they lead."""
        short = not isinstance(spec, Mapping)
        full: Spec = {"css": spec} if short else spec
        dates = self.dates(full, path)
        chain = Chain(
            self.regex(full.get("regex"), (*path, "regex")),
            tuple(self.steps(full.get("transform"), (*path, "transform"))),
            converter(full.get("type"), decimal=full.get("decimal"), dates=dates),
        )
        return Field(
            name,
            self._source(full, path, short, link) or NOTHING,
            chain,
            many=bool(full.get("many")) if many is None else many,
            index=full.get("index") or 0,
            separator=full.get("separator") if "join" not in full else None,
            page_wide=full.get("from") == "page",
            required=bool(full.get("required")),
            default=full.get("default"),
            fail=full.get("on_missing") == "fail",
            spec=full,
        )

    def _source(self, spec: Spec, path: KeyPath, short: bool, link: bool) -> Source | None:
        if "fields" in spec:
            places = self.places({name: spec[name] for name in LOOKING if name in spec}, path)
            return Objects(self.fields(spec["fields"], (*path, "fields")), places)
        for name in ("first_of", "join"):
            if name in spec:
                parts = [
                    self.field(f"{path[-1]}.{number}", part, (*path, name, number), link=link and name == "first_of")
                    for number, part in enumerate(spec[name])
                ]
                return FirstOf(parts) if name == "first_of" else Join(parts, spec.get("separator") or _space(spec))
        if "css" in spec:
            selector = self.selector(spec["css"], path if short else (*path, "css"))
            return None if selector is None else Css(selector, _picker(spec, link, selector))
        if "xpath" in spec:
            expression = self.xpath(spec["xpath"], (*path, "xpath"))
            return None if expression is None else Path(expression, _picker(spec, link, None))
        return self._data(spec, path) or _constant(spec)

    def _data(self, spec: Spec, path: KeyPath) -> Source | None:
        """Sources in JSON and in what a page says of itself."""
        alone = not any(spec.get(key) for key in ("many", "regex", "transform")) and "index" not in spec
        as_is = alone and spec.get("type") in (None, "json")
        if "json" in spec:
            search = self.search(spec["json"], (*path, "json"))
            return None if search is None else Json(search, as_is)
        for name in ("jsonld", "microdata"):
            if name in spec:
                return Structured(name, str(spec[name]).split("."), spec.get("type") == "json")
        for name in ("opengraph", "meta"):
            if name in spec:
                return Meta(str(spec[name]), name == "opengraph")
        return None

    # --- records -----------------------------------------------------------------------------------------------------

    def each(self, spec: Any, path: KeyPath) -> Callable[[Reading], Scopes] | None:
        """The records of a page that `each` names; None if it names none."""
        places = self.places({"css": spec} if isinstance(spec, str) else spec, path, short=isinstance(spec, str))
        return None if places is None else lambda reading: places(Scopes(reading))[0]

    def places(self, spec: Spec | None, path: KeyPath, short: bool = False) -> Callable[[Scopes], list[Scopes]] | None:
        """For each record the places in it that a source of `LOOKING` names."""
        if not spec:
            return None
        name, text = next(iter(spec.items()))
        at = path if short else (*path, name)
        if name == "css":
            selector = self.selector(text, at)
            return _nowhere if selector is None else _by_css(selector)
        if name == "xpath":
            expression = self.xpath(text, at)
            return _nowhere if expression is None else _by_xpath(expression)
        source: Source
        if name == "json":
            search = self.search(text, at)
            if search is None:
                return _nowhere
            source = Json(search, as_is=False)
        else:
            source = Structured(name, str(text).split("."), as_is=True)
        return lambda scopes: [Scopes(scopes.reading, data=list(found)) for found in source.find(scopes, False)]


def _nowhere(scopes: Scopes) -> list[Scopes]:
    return [Scopes(scopes.reading, []) for _ in range(scopes.size)]


def _by_css(selector: Selector) -> Callable[[Scopes], list[Scopes]]:
    return lambda scopes: each_within(scopes.select(selector, False), scopes.reading)


def _by_xpath(path: XPath) -> Callable[[Scopes], list[Scopes]]:
    def find(scopes: Scopes) -> list[Scopes]:
        found = elements_of(path, scopes)
        return each_within([[one for one in share if _is_element(one)] for share in found], scopes.reading)

    return find


def _is_element(found: Any) -> bool:
    return not isinstance(found, str | float | bool)


def _space(spec: Spec) -> str:
    return " " if spec.get("separator") is None else ""


def _picker(spec: Spec, link: bool, selector: Selector | None) -> Pick:
    """How the text of a field is read off an element."""
    pseudo = None if selector is None else selector.pseudo
    if pseudo == "attr" and selector is not None:
        name = selector.arg or ""
        return lambda element: element.attr(name)
    if pseudo == "text":
        return lambda element: element.own_text
    if pseudo == "html" or spec.get("type") == "html":
        return lambda element: element.html
    if "child" in spec:
        number = spec["child"]
        return lambda element: element.child_text(number)
    return _PICKS["link" if link else "url" if spec.get("type") == "url" else "text"]


_PICKS: Mapping[str, Pick] = {
    "link": where_to,
    "url": lambda element: element.link or element.text,
    "text": whole_text,
}


def _constant(spec: Spec) -> Source | None:
    if "value" in spec:
        value = spec["value"]
        return Constant(lambda reading: value)
    if "carry" in spec:
        name = spec["carry"]
        return Constant(lambda reading: reading.page.carry.get(name))
    return Constant(lambda reading: reading.page.url) if spec.get("url") else None
