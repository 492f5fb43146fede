"""Entries that name a component: seeds, plugins, parse, filter and store.

`- jsonl: out.jsonl`, `- require: [title]` and `- dedupe` all mean: one component, by name, perhaps with options. Beside
or among the options stand a few words of ours (`items`, `write`, `only`, `meta`; for seeds `page`). Which components
there are, and what their options mean, is the stages' business.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final, Literal, TypeAlias

from pipeline.config.nodes import KeyPath
from pipeline.config.values import (
    Data,
    Headers,
    Method,
    Model,
    Name,
    OneOrMore,
    Some,
    Text,
    Url,
    expected,
    setting,
)

_WORD: Final = re.compile(r"[A-Za-z_]\w*(-\w+)*", re.ASCII)

MetaName: TypeAlias = Literal["_run", "_url", "_fetched_at", "_type", "_noindex"]


class StageEntry(Model):
    """A component of a stage. `options`: None (none given), a mapping (by name), else the first parameter's value."""

    extra_words: ClassVar[tuple[str, ...]] = ()

    short_form: ClassVar[str] = "name"
    wanted: ClassVar[str] = "the name of a component, perhaps with options"

    name: Some = setting(..., "Name of the component, or path of a Python file.")
    options: Any = setting(None, "Options of the component.", repr=False)

    @classmethod
    def arrange(cls, data: dict[str, Any]) -> dict[str, Any]:
        """`{NAME: OPTIONS}` with our words beside or among the options."""
        return split_entry(data, cls.extra_words)

    @classmethod
    def lone(cls, value: Any) -> dict[str, Any]:
        """A name without options."""
        return {"name": value}

    def key_path(self, stage: str, index: int) -> KeyPath:
        """Where the entry stands in the config: (stage, number, name)."""
        return (stage, index, self.name)


class PluginEntry(StageEntry):
    """A plugin: the path of a Python file, or the name of an installed one; perhaps with options."""


class ParseEntry(StageEntry):
    """A parser plugin."""


class FilterEntry(StageEntry):
    """A filter; `items` binds it to some types."""

    extra_words: ClassVar[tuple[str, ...]] = ("items",)

    items: OneOrMore[Name] | None = setting(None, "Types of items that it gets; default all.")


class StoreEntry(StageEntry):
    """A store: what it gets and how it writes."""

    extra_words: ClassVar[tuple[str, ...]] = ("items", "write", "only", "meta")

    items: OneOrMore[Name] | None = setting(None, "Types of items that it gets; default all.")
    write: Literal["replace", "merge", "append"] | None = setting(
        None, "How it writes; default replace, with only: append."
    )
    only: Literal["new", "changed"] | None = setting(
        None, "new: items not seen before; changed: new, changed and gone ones."
    )
    meta: list[MetaName] = setting([], "Columns about the run that are added.")


def split_entry(data: dict[str, Any], words: tuple[str, ...]) -> dict[str, Any]:
    """One component's name, its options, and our words, which may stand beside the name or among the options."""
    names = [name for name in data if name not in words]
    if len(names) != 1:
        raise expected("one component name", f"found {_names(names)}" if names else "")
    name = names[0]
    options = data[name]
    beside = {word: data[word] for word in words if word in data}
    among: dict[str, Any] = {}
    if isinstance(options, dict):
        among = {word: options[word] for word in words if options.get(word) is not None}
        options = {option: value for option, value in options.items() if option not in words}
    for word in beside:
        if word in among:
            raise expected(f"'{word}' once", "it stands beside and among the options")
    return {"name": name, "options": options, **beside, **among}


class SeedEntry(Model):
    """Where a crawl starts: a URL, or a component that brings URLs (file, sitemap, feed or a plugin's)."""

    short_form: ClassVar[str] = "url"
    wanted: ClassVar[str] = "a url, or one component such as file, sitemap or feed"

    url: Url | None = setting(None, "The URL.")
    page: Name | None = setting(None, "Page rule of the pages; else the first whose match fits.")
    method: Method = setting("GET", "Method of the request; POST where there is a body.")
    body: Text | None = setting(None, "Body of the request.")
    json_: Data = setting(None, "Body of the request as data, sent as JSON.", alias="json")
    headers: Headers = setting({}, "Headers of the request.", repr=False)
    name: Some | None = setting(None, "Name of the component that brings URLs.")
    options: Any = setting(None, "Options of that component.", repr=False)

    @classmethod
    def lone(cls, value: Any) -> dict[str, Any]:
        """A URL, `-`, or the name of a component without options: no URL is one word."""
        if isinstance(value, str) and _WORD.fullmatch(value):
            return {"name": value}
        return cls.arrange({"url": value})

    @classmethod
    def arrange(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Split a component's entry; of a URL's entry check what goes together."""
        if data.get("url") == "-":
            data = {"file": "-", **{word: value for word, value in data.items() if word != "url"}}
        if "url" not in data:
            return _component_seed(data)
        if "body" in data and "json" in data:
            raise expected("body or json", "found both")
        for word in ("name", "options"):
            if word in data:
                raise expected(f"a seed without '{word}'")
        return {"method": "POST", **data} if "body" in data or "json" in data else data

    def key_path(self, index: int) -> KeyPath:
        """Where the seed stands in the config."""
        return ("seeds", index, self.name) if self.name else ("seeds", index)


def _component_seed(data: dict[str, Any]) -> dict[str, Any]:
    """`{file: urls.txt, page: product}`; words beside the name other than `page` are options of the component."""
    ours = [word for word in data if word in ("method", "body", "json", "headers")]
    names = [word for word in data if word not in ("page", "since", *ours)]
    if len(names) != 1 or ours:
        raise expected("a url, or one component such as file, sitemap or feed", _seed_hint(names))
    name, options = names[0], data[names[0]]
    if isinstance(options, str) and options.startswith(("http://", "https://")) and _like_url(name):
        raise expected("a url, or one component such as file, sitemap or feed", "did you mean 'url'?")
    page = data.get("page")
    if isinstance(options, dict):
        page = options.get("page", page)
        options = {option: value for option, value in options.items() if option != "page"}
    if "since" in data:
        options = (
            {**options, "since": data["since"]}
            if isinstance(options, dict)
            else {"url": options, "since": data["since"]}
        )
    seed = {"name": name, "options": options}
    return seed if page is None else {**seed, "page": page}


def _names(names: list[str]) -> str:
    return " and ".join(names) if len(names) <= 3 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _seed_hint(names: list[str]) -> str:
    near = next((name for name in names if _like_url(name)), None)
    return f"did you mean 'url' instead of '{near}'?" if near else ""


def _like_url(name: str) -> bool:
    return name.lower() in ("ur", "ulr", "rul", "urls", "uri", "link", "href", "urll")
