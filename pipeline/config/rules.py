"""Page rules: which URLs they are for, which items a page gives and which links are followed.

Models of `pages:` (spec, section 2). `dump` turns a rule into the plain long form that the stages take.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator

from pipeline.config.nodes import Float, Int
from pipeline.config.values import (
    Data,
    Duration,
    FieldName,
    Headers,
    Method,
    Model,
    Name,
    OneOrMore,
    PathPattern,
    Regex,
    Some,
    Text,
    as_text,
    expected,
    keys_of,
    setting,
)

LOOKING = ("css", "xpath", "json", "jsonld", "microdata")
SOURCES = (*LOOKING, "opengraph", "meta", "value", "carry", "url", "first_of", "join", "fields")
LINKS = (*LOOKING, "opengraph", "meta", "value", "first_of", "join", "number")
DATA = frozenset(("json", "jsonld", "microdata", "carry"))  # what they find may be no text
DATES = ("date", "datetime")
NUMBERS = ("int", "float", "decimal")
# Keys that say how a type is read: they mean nothing beside another type.
OF_TYPES = {
    "decimal": NUMBERS,
    "formats": DATES,
    "languages": DATES,
    "timezone": DATES,
    "missing_year": DATES,
}


def _true(value: Any) -> Any:
    if value is not True:
        raise expected("true")
    return value


def _zone(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    import zoneinfo  # noqa: PLC0415 - few configs name a time zone

    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        import difflib  # noqa: PLC0415 - only where something is wrong

        near = difflib.get_close_matches(value, zoneinfo.available_timezones(), 1)
        raise expected("a time zone such as Europe/Zurich", f"did you mean '{near[0]}'?" if near else "") from None
    return value


def _body(value: Any) -> Any:
    return value if isinstance(value, dict | list) or value is None else as_text(value)


def _steps(value: Any) -> Any:
    if not isinstance(value, list):
        raise expected("a list of steps such as [lower, {replace: ['-', ' ']}]")
    for step in value:
        if not isinstance(step, str) and not (isinstance(step, dict) and len(step) == 1):
            raise expected("steps, each a name or a mapping with one name")
    return value


class RegexRule(Model):
    """Which part of which match of a regular expression counts."""

    short_form: ClassVar[str] = "pattern"

    pattern: Regex = setting(..., "Regular expression.")
    group: int | Text | None = setting(None, "Number or name of the group; 0 is the whole match.")
    index: int | None = setting(None, "Which match: 0 is the first, -1 the last.")


class FieldRule(Model):
    """One value of an item: where it comes from (exactly one source) and what is made of it."""

    short_form: ClassVar[str] = "css"
    wanted: ClassVar[str] = "a CSS selector, or a mapping such as {xpath: ...}"

    css: Some | None = setting(None, "CSS selector; may end in ::text, ::attr(NAME) or ::html.")
    xpath: Some | None = setting(None, "XPath 1.0 expression.")
    json_: Some | None = setting(None, "JMESPath into a JSON page or script[type$=json].", alias="json")
    jsonld: Some | None = setting(None, "Path into the page's JSON-LD, such as Product.brand.name.")
    microdata: Some | None = setting(None, "Path into the page's microdata, such as Product.offers.price.")
    opengraph: Some | None = setting(None, "OpenGraph property, such as title or article:author.")
    meta: Some | None = setting(None, "Content of the meta element of this name, property, itemprop or http-equiv.")
    value: Data = setting(None, "A constant.")
    carry: Some | None = setting(None, "Name of a value that the link to this page carried along.")
    url: Annotated[bool, BeforeValidator(_true)] | None = setting(None, "true: the URL of the page.")
    first_of: list[FieldRule] | None = setting(None, "Fields; the first that has a value counts.", min_length=1)
    join: list[FieldRule] | None = setting(None, "Fields whose values are joined to one text.", min_length=1)
    fields_: dict[FieldName, FieldRule] | None = setting(
        None, "Fields of an object; css and the like beside it say within what.", alias="fields", min_length=1
    )
    separator: Text | None = setting(None, "Text between the values of join (default: one space), or of many.")
    index: int | None = setting(None, "Which of several matches: 0 is the first, -1 the last.")
    child: int | None = setting(None, "Only the text of this child node of the element, if it is text; 0 is the first.")
    from_: Literal["page"] | None = setting(None, "page: looked up on the whole page, not in the record.", alias="from")
    regex: RegexRule | None = setting(None, "Regular expression; the first group counts, else the whole match.")
    transform: Annotated[list[Data], BeforeValidator(_steps)] | None = setting(
        None, "Steps applied to the text, in order."
    )
    type: Literal["str", "int", "float", "decimal", "bool", "date", "datetime", "url", "html", "json"] | None = setting(
        None, "What the text is turned into; without it text stays text, and data of JSON stays what it is."
    )
    decimal: Literal[",", "."] | None = setting(None, "Decimal sign of numbers; other signs then divide thousands.")
    formats: list[Text] | None = setting(None, "Formats of a date, as in strptime, tried in order.")
    languages: list[Text] | None = setting(None, "Languages of month and day names.")
    timezone: Annotated[Text, BeforeValidator(_zone)] | None = setting(
        None, "Zone of datetimes that name none (default: UTC)."
    )
    missing_year: Literal["nearest", "future", "past", "current"] | None = setting(
        None, "Year of dates without one, by the start of the run (default: nearest)."
    )
    many: bool = setting(False, "true: a list of all values instead of the first.")
    default: Data = setting(None, "Value where there is none.")
    required: bool = setting(False, "true: an item without this value is dropped and counted.")
    on_missing: Literal["fail"] | None = setting(None, "fail: a page without this value fails.")

    @classmethod
    def arrange(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Exactly one source; constants are text where the type is text."""
        sources = [source for source in SOURCES if source in data]
        rest = [source for source in sources if source != "fields" or len(sources) == 1]
        if len(rest) > 1:
            raise expected("one source of the value", f"found {' and '.join(rest)}")
        if "fields" in data and rest[0] not in (*LOOKING, "fields"):
            raise expected(f"'fields' alone or beside one of {', '.join(LOOKING)}, found it beside {rest[0]!r}")
        if not sources and set(data) <= set(keys_of(cls)):
            raise expected(f"one of {', '.join(SOURCES[:-1])} or {SOURCES[-1]}")
        cls._fit_together(data)
        if data.get("type", "str") == "str":
            as_it_is = "type" not in data and not DATA.isdisjoint(data)
            for name in ("value",) if as_it_is else ("value", "default"):
                if name in data:
                    data[name] = _spelt(data[name])
        return data

    @classmethod
    def _fit_together(cls, data: dict[str, Any]) -> None:
        """Keys that mean nothing by themselves."""
        if "separator" in data and "join" not in data and data.get("many") is not True:
            raise expected("'separator' together with 'join' or 'many: true' only")
        if "index" in data and data.get("many") is True:
            raise expected("either 'index' or 'many: true'", "index takes one of several, many takes all")
        if "child" in data and not {"css", "xpath"} & set(data):
            raise expected("'child' together with 'css' or 'xpath' only")
        for name, types in OF_TYPES.items():
            if name in data and data.get("type") not in types:
                raise expected(f"'{name}' together with 'type: {types[0]}' or the like", f"one of {', '.join(types)}")


class EachRule(Model):
    """The records of a page: elements, or data."""

    short_form: ClassVar[str] = "css"

    css: Some | None = setting(None, "CSS selector: one record for each match.")
    xpath: Some | None = setting(None, "XPath 1.0: one record for each element.")
    json_: Some | None = setting(None, "JMESPath to a list: one record for each value.", alias="json")
    jsonld: Some | None = setting(None, "Type in the page's JSON-LD: one record for each node of it.")
    microdata: Some | None = setting(None, "Type in the page's microdata: one record for each item of it.")

    @classmethod
    def arrange(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Exactly one."""
        if set(data) <= set(LOOKING) and len(data) != 1:
            raise expected(f"one of {', '.join(LOOKING)}")
        return data


class ItemRule(Model):
    """Items of one type that a page gives."""

    type: Name = setting("item", "Type of the items; stores and filters can be bound to it.")
    each: EachRule | None = setting(None, "One item for each record; a text is CSS. Without it the page is one item.")
    key: OneOrMore[FieldName] = setting([], "Fields that identify an item; of items with one key the first counts.")
    fields_: dict[FieldName, FieldRule] = setting(
        ..., "Fields by name; a text is short for {css: text}.", alias="fields", min_length=1
    )


class NumberRule(Model):
    """Pages that are asked for by number."""

    short_form: ClassVar[str] = "start"

    start: int | None = setting(None, "Number of a page whose URL has none (default: 1).")
    step: int | None = setting(None, "What is added for the next page (default: 1).", ge=1)
    while_: Some | None = setting(
        None, "CSS selector: go on while it matches (default: while the page gave an item).", alias="while"
    )


class FollowRule(Model):
    """Links that are followed from a page."""

    short_form: ClassVar[str] = "css"
    wanted: ClassVar[str] = "a CSS selector of links, or a mapping such as {xpath: ...}"

    css: Some | None = setting(None, "CSS selector of the links; their href or src, or what ::attr(NAME) names.")
    xpath: Some | None = setting(None, "XPath 1.0 of the links.")
    json_: Some | None = setting(None, "JMESPath to links, or to the value for `param`, `url` or `body`.", alias="json")
    jsonld: Some | None = setting(None, "Path into the page's JSON-LD.")
    microdata: Some | None = setting(None, "Path into the page's microdata.")
    opengraph: Some | None = setting(None, "OpenGraph property.")
    meta: Some | None = setting(None, "Content of the meta element of this name, property, itemprop or http-equiv.")
    value: Data = setting(None, "A link as it stands.")
    first_of: list[FieldRule] | None = setting(None, "Fields; the first that has a value counts.", min_length=1)
    join: list[FieldRule] | None = setting(None, "Fields whose values are joined to one link.", min_length=1)
    number: NumberRule | None = setting(None, "The number of the next page, for `param`, `url` or `body`.")
    separator: Text | None = setting(None, "Text between the values of join.")
    index: int | None = setting(None, "Only this of several: 0 is the first, -1 the last.")
    regex: RegexRule | None = setting(None, "Regular expression; the first group counts, else the whole match.")
    transform: Annotated[list[Data], BeforeValidator(_steps)] | None = setting(None, "Steps applied to each link.")
    param: Some | None = setting(None, "The value is put into this query parameter of the page's own URL.")
    url: Some | None = setting(None, "URL with {value} where the value is put in.")
    each: EachRule | None = setting(None, "One link for each record, looked up within it; a text is CSS.")
    page: Name | None = setting(None, "Page rule of the link; else the first whose match fits.")
    priority: int = setting(0, "Larger is fetched earlier.", ge=-(2**31), lt=2**31)
    carry: dict[FieldName, FieldRule] = setting({}, "Values taken along to the linked page, as fields.")
    limit: int | None = setting(None, "At most so many links of this rule in a run.", ge=1)
    method: Method = setting("GET", "Method of the requests; POST where there is a body.")
    body: Annotated[Data, BeforeValidator(_body)] = setting(
        None, "Body of the requests: text, or data sent as JSON; {value} in it is filled in."
    )
    headers: Headers = setting({}, "Headers of the requests.", repr=False)

    @classmethod
    def arrange(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Exactly one source; a body is posted unless something else is said."""
        sources = [source for source in LINKS if source in data]
        if len(sources) > 1:
            raise expected("one source of the links", f"found {' and '.join(sources)}")
        if not sources and set(data) <= set(keys_of(cls)):
            raise expected(f"one of {', '.join(LINKS[:-1])} or {LINKS[-1]}")
        if "param" in data and "url" in data:
            raise expected("'param' or 'url', not both")
        if "url" in data and "{value}" not in str(data["url"]) and "{value}" not in str(data.get("body")):
            raise expected("a 'url' with {value} where the value is put in")
        if "number" in data and not ({"param", "url"} & set(data) or "{value}" in str(data.get("body"))):
            raise expected("'param', 'url' or a body with {value} beside 'number'", "as in {number: 1, param: page}")
        return {"method": "POST", **data} if "body" in data else data


def _component(value: Any) -> Any:
    """`selectors`, or a registered fetcher with options: `{browser: {...}}`."""
    if isinstance(value, dict) and len(value) != 1:
        raise expected("one name of a fetcher")
    return value if isinstance(value, (str, dict)) else _refuse_component()


def _refuse_component() -> None:
    raise expected("the name of a fetcher, or a mapping with its name and options")


class PageRule(Model):
    """What is done with the pages of some URLs."""

    match: PathPattern | None = setting(None, "Glob on the path or re:REGEX on the URL; without it the rule fits all.")
    parser: Literal["auto", "lexbor", "soup"] = setting(
        "auto", "Engine for CSS; auto: lexbor where it knows the selector."
    )
    fetcher: Annotated[str | dict[str, Any], BeforeValidator(_component)] = setting(
        "selectors", "Who fetches these pages."
    )
    revisit: Duration | None = setting(None, "Pages are not asked for again before this time has passed.")
    items: list[ItemRule] = setting([], "Items that a page gives.")
    follow: list[FollowRule] = setting([], "Links that are followed; a text is short for {css: text}.")

    def dump(self) -> dict[str, Any]:
        """The rule as plain data in long form: always match, parser, fetcher, items and follow."""
        return {
            "match": self.match,
            "parser": self.parser,
            "fetcher": self.fetcher,
            "items": [_dump_item(rule) for rule in self.items],
            "follow": [_dump_follow(rule) for rule in self.follow],
        }


def _dump_item(rule: ItemRule) -> dict[str, Any]:
    fields = {name: _given(field) for name, field in rule.fields_.items()}
    return {"type": rule.type, "each": _each(rule.each), "key": list(rule.key), "fields": fields}


def _dump_follow(rule: FollowRule) -> dict[str, Any]:
    always = {"page": rule.page, "priority": rule.priority, "limit": rule.limit, "method": rule.method}
    return (
        _given(rule)
        | always
        | {"each": _each(rule.each), "carry": {name: _given(field) for name, field in rule.carry.items()}}
        | {"body": rule.body, "headers": dict(rule.headers)}
    )


def _each(rule: EachRule | None) -> Any:
    """CSS as a text, other records as a mapping of one."""
    given = None if rule is None else _given(rule)
    return given["css"] if given is not None and "css" in given else given


def _given(model: BaseModel) -> dict[str, Any]:
    """The keys of a model that differ from their defaults, as plain data."""
    result: dict[str, Any] = {}
    for name, attribute in keys_of(type(model)).items():
        value = getattr(model, attribute)
        if attribute in model.model_fields_set and value != type(model).model_fields[attribute].default:
            result[name] = _plain(value)
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, RegexRule) and value.model_fields_set == {"pattern"}:
        return value.pattern
    if isinstance(value, BaseModel):
        return _given(value)
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return {name: _plain(part) for name, part in value.items()} if isinstance(value, dict) else value


def _spelt(value: Any) -> Any:
    if isinstance(value, list):
        return [_spelt(part) for part in value]
    return value.text if isinstance(value, (Int, Float)) else value
