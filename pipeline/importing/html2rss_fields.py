"""Selectors of html2rss: an extractor, then a chain of post processors, each of which may take other selectors in.

An extractor takes the text, or the HTML, of all elements that a selector finds, one after another; of an attribute the
first. Over JSON, which html2rss makes XML of, selectors become JMESPath.
"""

from __future__ import annotations

import re
from typing import Any

from pipeline.importing import selectors
from pipeline.importing.fields import Spec, document_fields, field_name, first_of, joined, then
from pipeline.importing.regexes import ruby_regex, ruby_replacement
from pipeline.importing.source import Part

TOOL = "html2rss"
_LISTS = ("guid", "categories")
_TAGS = ("title", "url", "link", "description", "author", "comments", "published_at", "updated", "pubDate", "enclosure")
_DATES = ("published_at", "updated", "pubDate")
_LINKS = ("url", "link", "enclosure", "comments")
_VALUE = re.compile(r"%(?:<(\w+)>s|\{(\w+)\})|%%")


class Fields:
    """The fields of a feed's items."""

    def __init__(self, part: Part, zone: str, language: str | None, json: bool) -> None:
        self._part = part
        self._zone = zone
        self._language = language
        self._json = json
        self._lists: dict[str, list[str]] = {}
        self._html: set[str] = set()
        self._fields: dict[str, Spec] = {}
        self._mime: str | None = None
        self._read()

    def written(self) -> dict[str, Any]:
        """As they are written."""
        return document_fields(self._fields)

    def mapping(self) -> Spec:
        """What the feed store has to be told of them."""
        given = {name: [field_name(one) for one in names] for name, names in self._lists.items()}
        given = {name: [one for one in names if one in self._fields] for name, names in given.items()}
        fields = {{"guid": "id"}.get(name, name): names for name, names in given.items() if names}
        store: Spec = {"html": True} if self._html & {"description"} else {}
        if self._mime:
            store["enclosure_type"] = self._mime
        return store | ({"fields": fields} if fields else {})

    def _read(self) -> None:
        names = [name for name in self._part.names if name not in ("items", *_LISTS)]
        for name in _LISTS:
            if name in self._part:
                self._lists[name] = [one for one in self._part.texts(name) if self._is_field(name, one, names)]
        several = set(self._lists.get("categories", ()))
        for name in names:
            if spec := self._field(name, several):
                self._fields[field_name(name)] = spec
        if "url" in self._fields and "link" in self._fields:
            self._part.note("html2rss wants one of url and link; the feed takes url", "link")
        for name in ("url", "link"):
            if name in self._fields:
                self._fields[name] = {**self._fields[name], "required": True}

    def _is_field(self, key: str, name: str, names: list[str]) -> bool:
        if name not in names:
            self._part.note(f"names {name!r}, which is no selector", key)
        return name in names

    def _field(self, name: str, several: set[str]) -> Spec:
        part = self._part.part(name)
        spec = self._value(name, part, (name,))
        if name == "enclosure":
            self._mime = part.text("content_type")
        part.done(tool=TOOL)
        if not spec:
            return spec
        if name in _DATES and spec.get("type") != "datetime":
            spec = self._dated(spec)
        if name in _LINKS and spec.get("type") != "url" and "value" not in spec:
            spec = then(spec, "type", "url")
        if name in several and list(spec)[:1] == ["css"] and spec.get("many") and spec.get("separator") == "":
            del spec["separator"]  # each of them is a category
        return spec

    # --- extractor --------------------------------------------------------------------------------------------------

    def _value(self, name: str, part: Part, path: tuple[str, ...]) -> Spec:
        """What a selector gives, post processors included; `path` are the selectors that led here."""
        steps = part.parts("post_process", lone=True)
        own = self._extracted(name, part, steps)
        kinds = [step.text("name") for step in steps]
        for number, step in enumerate(steps):
            if kinds[number - 1 : number + 1] == ["html_to_markdown", "markdown_to_html"]:
                step.done(tool=TOOL)  # there and back: what stays is the HTML
                self._html.add(name)
                continue
            own = self._processed(name, step, own, path)
        return own

    def _extracted(self, name: str, part: Part, steps: list[Part]) -> Spec:
        extractor, selector = part.text("extractor") or "text", part.text("selector") or ""
        attribute, static = part.text("attribute"), part.text("static")
        if extractor == "static" or (static is not None and "extractor" not in part):
            return {"value": static or ""}
        if extractor not in ("text", "html", "href", "attribute"):
            part.note(f"{extractor!r} cannot be said; the field is left out", "extractor")
            return {}
        if extractor == "html":
            self._html.add(name)
        if not selector and extractor == "text" and steps and steps[0].text("name") == "template":
            return {}  # made of other selectors
        try:
            if self._json:
                return _from_json(selector)
            return _from_html(selector, extractor, attribute)
        except ValueError as error:
            part.note(f"{selector!r} cannot be said: {error}", "selector")
            return {}

    # --- post processors --------------------------------------------------------------------------------------------

    def _processed(self, name: str, step: Part, spec: Spec, path: tuple[str, ...]) -> Spec:
        kind = step.text("name", needed=True) or ""
        if kind == "template":
            spec = self._template(step, spec, path)
        elif not spec:
            step.note("has nothing to work on")
        elif kind == "parse_time":
            spec = self._dated(spec)
        elif kind == "parse_uri":
            spec = spec if spec.get("type") == "url" else then(spec, "type", "url")
        else:
            spec = then(spec, "transform", self._transform(name, kind, step))
        step.done(tool=TOOL)
        return spec

    def _dated(self, spec: Spec) -> Spec:
        if not spec:
            return spec
        languages = [self._language] if self._language else []
        if not (self._language or "").startswith("en"):
            languages.append("en")
        return {**then(spec, "type", "datetime"), "languages": languages, "timezone": self._zone}

    def _transform(self, name: str, kind: str, step: Part) -> list[Any]:
        if kind == "gsub":
            return self._replaced(step)
        if kind == "substring":
            start, end = step.number("start") or 0, step.number("end")
            return [{"slice": [start] if end in (None, -1) else [start, end + 1]}]
        if kind == "markdown_to_html":
            self._html.add(name)
            return ["markdown_to_html"]
        if kind == "sanitize_html":
            step.note("HTML is taken as it is on the page, with whatever it has in it; a plugin can clean it")
        elif kind == "html_to_markdown":
            step.note("cannot be said; the HTML stays")
        else:
            step.note(f"html2rss knows no post processor {kind!r}")
        return []

    def _replaced(self, step: Part) -> list[Any]:
        pattern = step.text("pattern", needed=True) or ""
        replacement = step.data("replacement")
        bare = pattern[1:-1] if len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/") else pattern
        try:
            if isinstance(replacement, dict):
                return [{"sub": [ruby_regex(re.escape(old)), _literal(new)]} for old, new in replacement.items()]
            pattern = ruby_regex(bare, "ix")
            return [{"sub": [pattern, ruby_replacement(str(replacement or ""), pattern)]}]
        except ValueError as error:
            step.note(f"{pattern!r} cannot be said: {error}", "pattern")
            return []

    def _template(self, step: Part, own: Spec, path: tuple[str, ...]) -> Spec:
        """Text with other selectors' values in it. What a template names is written out."""
        text, parts, end = step.text("string", needed=True) or "", [], 0
        for match in _VALUE.finditer(text):
            if before := text[end : match.start()]:
                parts.append({"value": before})
            end = match.end()
            name = match[1] or match[2]
            other = {"value": "%"} if name is None else own if name == "self" else self._other(step, name, path)
            if other:
                parts.append(other)
        if rest := text[end:]:
            parts.append({"value": rest})
        if all(list(part) == ["value"] for part in parts):
            return {"value": "".join(str(part["value"]) for part in parts)}
        return joined([{"value": ""}, *parts] if len(parts) == 1 else parts, "")

    def _other(self, step: Part, name: str, path: tuple[str, ...]) -> Spec:
        if name in path:
            step.note(f"%{{{name}}} leads back to itself", "string")
            return {}
        if name not in self._part or name in _LISTS:
            step.note(f"%{{{name}}} is no selector", "string")
            return {}
        return self._value(name, self._part.part(name), (*path, name))


def _literal(text: object) -> str:
    return str(text).replace("\\", r"\\")


def _from_html(selector: str, extractor: str, attribute: str | None) -> Spec:
    ending = {"html": "::html", "href": "::attr(href)", "attribute": f"::attr({attribute})"}.get(extractor, "")
    if not selector and not ending:
        return {"xpath": "."}
    css = {"css": selectors.css(selector, ending)}
    if extractor == "href":
        return {**css, "type": "url"}
    return css if extractor == "attribute" or not selector else {**css, "many": True, "separator": ""}


def _from_json(selector: str) -> Spec:
    if not selector:
        return {}
    one, *lists = selectors.jmespath(selector)
    return first_of([{"json": one}, *({"json": path, "many": True, "separator": ""} for path in lists)])
