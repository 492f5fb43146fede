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
    expected,
    keys_of,
    setting,
)

SOURCES = ("css", "xpath", "json", "jsonld", "value", "carry", "url", "first_of", "join")


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
        raise expected("a time zone such as Europe/Zurich") from None
    return value


def _steps(value: Any) -> Any:
    if not isinstance(value, list):
        raise expected("a list of steps such as [lower, {replace: ['-', ' ']}]")
    for step in value:
        if not isinstance(step, str) and not (isinstance(step, dict) and len(step) == 1):
            raise expected("steps, each a name or a mapping with one name")
    return value


class FieldRule(Model):
    """One value of an item: where it comes from (exactly one source) and what is made of it."""

    short_form: ClassVar[str] = "css"

    css: Some | None = setting(None, "CSS selector; may end in ::text, ::attr(NAME) or ::html.")
    xpath: Some | None = setting(None, "XPath 1.0 expression.")
    json_: Some | None = setting(None, "JMESPath into a JSON page or script[type$=json].", alias="json")
    jsonld: Some | None = setting(None, "Path into the page's JSON-LD, such as Product.brand.name.")
    value: Data = setting(None, "A constant.")
    carry: Some | None = setting(None, "Name of a value that the link to this page carried along.")
    url: Annotated[bool, BeforeValidator(_true)] | None = setting(None, "true: the URL of the page.")
    first_of: list[FieldRule] | None = setting(None, "Fields; the first that has a value counts.", min_length=1)
    join: list[FieldRule] | None = setting(None, "Fields whose values are joined to one text.", min_length=1)
    separator: Text | None = setting(None, "Text between the values of join (default: one space).")
    regex: Regex | None = setting(None, "Regular expression; the first group counts, else the whole match.")
    transform: Annotated[list[Data], BeforeValidator(_steps)] | None = setting(
        None, "Steps applied to the text, in order."
    )
    type: Literal["str", "int", "float", "decimal", "bool", "date", "datetime", "url", "html", "json"] = setting(
        "str", "What the text is turned into."
    )
    formats: list[Text] | None = setting(None, "Formats of a date, as in strptime, tried in order.")
    languages: list[Text] | None = setting(None, "Languages of month and day names.")
    timezone: Annotated[Text, BeforeValidator(_zone)] | None = setting(None, "Zone of datetimes that name none.")
    many: bool = setting(False, "true: a list of all values instead of the first.")
    default: Data = setting(None, "Value where there is none.")
    required: bool = setting(False, "true: an item without this value is dropped and counted.")
    on_missing: Literal["fail"] | None = setting(None, "fail: a page without this value fails.")

    @classmethod
    def arrange(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Exactly one source; constants are text where the type is text."""
        sources = [source for source in SOURCES if source in data]
        if len(sources) > 1:
            raise expected("one source of the value", f"found {' and '.join(sources)}")
        if not sources and set(data) <= set(keys_of(cls)):
            raise expected(f"one of {', '.join(SOURCES[:-1])} or {SOURCES[-1]}")
        if "separator" in data and "join" not in data:
            raise expected("'separator' together with 'join' only")
        if data.get("type", "str") == "str":
            for name in ("value", "default"):
                if name in data:
                    data[name] = _spelt(data[name])
        return data


class ItemRule(Model):
    """Items of one type that a page gives."""

    type: Name = setting("item", "Type of the items; stores and filters can be bound to it.")
    each: Some | None = setting(None, "CSS selector: one item for each match. Without it the whole page is one item.")
    key: OneOrMore[FieldName] = setting([], "Fields that identify an item; of items with one key the first counts.")
    fields_: dict[FieldName, FieldRule] = setting(
        ..., "Fields by name; a text is short for {css: text}.", alias="fields", min_length=1
    )


class FollowRule(Model):
    """Links that are followed from a page."""

    short_form: ClassVar[str] = "css"

    css: Some = setting(..., "CSS selector of the links; their href or src, or what ::attr(NAME) names.")
    each: Some | None = setting(None, "CSS selector: one link for each match, `css` is looked up within.")
    page: Name | None = setting(None, "Page rule of the link; else the first whose match fits.")
    priority: int = setting(0, "Larger is fetched earlier.", ge=-(2**31), lt=2**31)
    carry: dict[FieldName, FieldRule] = setting({}, "Values taken along to the linked page, as fields.")
    limit: int | None = setting(None, "At most so many links of this rule in a run.", ge=1)
    method: Method = setting("GET", "Method of the requests; POST where there is a body.")
    body: Text | None = setting(None, "Body of the requests.")
    headers: Headers = setting({}, "Headers of the requests.", repr=False)

    @classmethod
    def arrange(cls, data: dict[str, Any]) -> dict[str, Any]:
        """A body is posted unless something else is said."""
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
    return {"type": rule.type, "each": rule.each, "key": list(rule.key), "fields": fields}


def _dump_follow(rule: FollowRule) -> dict[str, Any]:
    plain: dict[str, Any] = {name: getattr(rule, name) for name in keys_of(FollowRule)}
    return plain | {"carry": {name: _given(field) for name, field in rule.carry.items()}, "headers": dict(rule.headers)}


def _given(field: BaseModel) -> dict[str, Any]:
    """The keys of a field that differ from their defaults."""
    result: dict[str, Any] = {}
    for name, attribute in keys_of(type(field)).items():
        value = getattr(field, attribute)
        if attribute in field.model_fields_set and value != type(field).model_fields[attribute].default:
            result[name] = (
                [_given(part) if isinstance(part, BaseModel) else part for part in value]
                if isinstance(value, list)
                else value
            )
    return result


def _spelt(value: Any) -> Any:
    if isinstance(value, list):
        return [_spelt(part) for part in value]
    return value.text if isinstance(value, (Int, Float)) else value
