"""What keys say about each other: page names, key fields, item types, and files that two stores would write.

It works on plain data that may be wrong in other ways, so every step looks before it takes; what is not there or not of
the right kind has been said by the models. Only what is certain is a problem.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pipeline.config.entries import StoreEntry
from pipeline.config.nodes import KeyPath, key_text
from pipeline.crawl.scope import Pattern
from pipeline.errors import Mark, Problem
from pipeline.url import normalise

WITH_TABLES = frozenset(("sqlite",))
MAX_URL = 2000


class Locate(Protocol):
    """Where a key path stands (the key itself with `key`)."""

    def __call__(self, key_path: KeyPath, key: bool = False) -> Mark: ...


class _Store(NamedTuple):
    """What matters here of a store entry."""

    path: KeyPath  # of its options
    name: str
    options: dict[str, Any]  # empty if there are none by name
    file: str | None
    items: list[str] | None
    words: dict[str, Any]


def cross_check(data: dict[str, Any], locate: Locate) -> list[Problem]:
    """All certain contradictions of a config's data."""
    types = _types(data)
    open_types = bool(data.get("plugins") or data.get("parse"))  # others may make items of types unknown here
    stores = list(_stores(data))
    return [
        *_page_names(data, locate),
        *_unreachable(data, locate),
        *_shadowed(data, open_types, locate),
        *_key_fields(data, locate),
        *_routes(data, types, open_types, locate),
        *_one_type(stores, types, locate),
        *_only(stores, locate),
        *_merge_keys(stores, data, locate),
        *_same_file(stores, locate),
    ]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: Any) -> list[str] | None:
    """A text or list of texts as a list; None if there is none."""
    if value is None:
        return None
    return [str(part) for part in (value if isinstance(value, list) else [value])]


def _rules(data: dict[str, Any], what: str) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Every entry of `items` or `follow` of all page rules that is a mapping."""
    for page, rule in _mapping(data.get("pages")).items():
        for index, entry in enumerate(_list(_mapping(rule).get(what))):
            if isinstance(entry, dict):
                yield ("pages", page, what, index), entry


def item_rules(data: dict[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Every item rule of all page rules."""
    return _rules(data, "items")


def _types(data: dict[str, Any]) -> dict[str, bool]:
    """Item types of the rules; whether all rules of a type have a key."""
    types: dict[str, bool] = {}
    for _, rule in item_rules(data):
        name = str(rule.get("type") or "item")
        types[name] = types.get(name, True) and bool(rule.get("key"))
    return types


def _near(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, 1)
    more = ", ..." if len(names) > 8 else ""
    return f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names[:8])}{more}"


# --- page rules ------------------------------------------------------------------------------------------------------


def _page_references(data: dict[str, Any]) -> Iterator[tuple[KeyPath, Any]]:
    for index, seed in enumerate(_list(data.get("seeds"))):
        for name, value in _mapping(seed).items():
            if name == "page":
                yield ("seeds", index, "page"), value
            elif "url" not in seed and isinstance(value, dict) and "page" in value:
                yield ("seeds", index, name, "page"), value["page"]
    for path, rule in _rules(data, "follow"):
        yield (*path, "page"), rule.get("page")
    for index, test in enumerate(_list(data.get("tests"))):
        yield ("tests", index, "page"), _mapping(test).get("page")


def _page_names(data: dict[str, Any], locate: Locate) -> Iterator[Problem]:
    pages = _mapping(data.get("pages"))
    for path, name in _page_references(data):
        if pages and name is not None and not isinstance(name, (dict, list)) and str(name) not in pages:
            message = f"expected the name of a page rule, found {str(name)!r}"
            yield Problem(locate(path), key_text(path), message, _near(str(name), pages))


def _unreachable(data: dict[str, Any], locate: Locate) -> Iterator[Problem]:
    """Seeds that no page rule is for: they would all be rejected."""
    rules = [_mapping(rule).get("match") for rule in _mapping(data.get("pages")).values()]
    globs = [match for match in rules if isinstance(match, str) and _is_simple(match)]
    if not rules or len(globs) < len(rules):
        return
    patterns = [Pattern(glob) for glob in globs]
    for index, seed in enumerate(_list(data.get("seeds"))):
        entry = seed if isinstance(seed, dict) else {"url": seed}
        url = normalise(entry["url"]) if isinstance(entry.get("url"), str) and len(entry["url"]) < MAX_URL else None
        judged = url and url.startswith(("http://", "https://")) and entry.get("page") is None
        if url and judged and not any(pattern.matches(url) for pattern in patterns):
            hint = "name one with 'page:', or widen a 'match'"
            message = "expected a URL that some page rule matches, found one that none does"
            yield Problem(locate(("seeds", index, "url")), key_text(("seeds", index)), message, hint)


def _shadowed(data: dict[str, Any], open_rules: bool, locate: Locate) -> Iterator[Problem]:
    """Page rules that no URL comes to: an earlier one takes all, and nothing names them. Plugins may name any."""
    named = {str(name) for _, name in _page_references(data) if name is not None}
    taken: dict[Any, str] = {}
    for name, rule in _mapping(data.get("pages")).items():
        match = _mapping(rule).get("match")
        before = taken.get(None) or (taken.get(match) if isinstance(match, str) else None)
        if before is not None and str(name) not in named and not open_rules:
            why = "fits all URLs" if None in taken else "has the same match"
            message = f"expected a page rule that some URL comes to, found one behind '{before}', which {why}"
            yield Problem(
                locate(("pages", name), True),
                key_text(("pages", name)),
                message,
                "put it before that one, or name it with 'page:' in a seed or follow",
            )
        if match is None or isinstance(match, str):
            taken.setdefault(match if match not in ("**", "/**") else None, str(name))


def _is_simple(match: str) -> bool:
    """A glob on the path without a query, which `scope.normalize` may change."""
    return match.startswith(("/", "*")) and "?" not in match


def _key_fields(data: dict[str, Any], locate: Locate) -> Iterator[Problem]:
    for path, rule in item_rules(data):
        fields = rule.get("fields")
        if not isinstance(fields, dict):
            continue
        for index, name in enumerate(_texts(rule.get("key")) or []):
            if name not in fields:
                where: KeyPath = (*path, "key", index) if isinstance(rule["key"], list) else (*path, "key")
                yield Problem(
                    locate(where), key_text(where), f"expected a field of the item, found {name!r}", _near(name, fields)
                )


# --- routing and stores ----------------------------------------------------------------------------------------------


def _stores(data: dict[str, Any]) -> Iterator[_Store]:
    for index, entry in enumerate(_list(data.get("store"))):
        names = [name for name in _mapping(entry) if name not in StoreEntry.extra_words]
        if len(names) != 1:
            continue
        value = entry[names[0]]
        options = _mapping(value)
        words = {word: options.get(word, entry.get(word)) for word in StoreEntry.extra_words}
        file = options.get("path", value if isinstance(value, str) else None)
        text = file if isinstance(file, str) else None
        yield _Store(("store", index, names[0]), names[0], options, text, _texts(words["items"]), words)


def _word_path(store: _Store, word: str) -> KeyPath:
    return (*store.path, word) if word in store.options else (*store.path[:2], word)


def _routes(data: dict[str, Any], types: dict[str, bool], open_types: bool, locate: Locate) -> Iterator[Problem]:
    """`items:` that names a type which nothing makes; plugins may make any, filters hardly ever."""
    if open_types or not types:
        return
    for stage in ("filter", "store"):
        for index, entry in enumerate(_list(data.get(stage))):
            for path, value in _routing(entry, (stage, index)):
                for name in _texts(value) or []:
                    if name not in types:
                        message = f"expected a type of items of a page rule, found {name!r}"
                        yield Problem(locate(path), key_text(path), message, _near(name, types))


def _routing(entry: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    for name, value in _mapping(entry).items():
        if name == "items":
            yield (*path, name), value
        elif isinstance(value, dict) and "items" in value:
            yield (*path, name, "items"), value["items"]


def _one_type(stores: list[_Store], types: dict[str, bool], locate: Locate) -> Iterator[Problem]:
    for store in stores:
        got = list(dict.fromkeys(types if store.items is None else store.items))
        table = store.options.get("table")
        if len(got) > 1 and (store.name == "csv" or table is not None):
            what = "a CSV file" if store.name == "csv" else f"table {table}"
            message = f"expected one type of items for {what}, found {', '.join(got)}"
            yield Problem(
                locate(store.path), key_text(store.path), message, "add 'items: TYPE', and one entry for each type"
            )


def _only(stores: list[_Store], locate: Locate) -> Iterator[Problem]:
    """A part of the result is appended: written in any other way it would take the rest away."""
    for store in stores:
        write = store.words["write"]
        if store.words["only"] is None or write in (None, "append"):
            continue
        if write == "replace" and "{run.id}" in (store.file or ""):
            continue
        path = _word_path(store, "write")
        message = f"expected 'append', or a path with {{run.id}}, together with 'only', found {write!r}"
        yield Problem(locate(path), key_text(path), message, "each run would remove what the last one wrote")


def _merge_keys(stores: list[_Store], data: dict[str, Any], locate: Locate) -> Iterator[Problem]:
    types = _types(data)
    for store in stores:
        if store.words["write"] != "merge":
            continue
        without = [name for name in (types if store.items is None else store.items) if types.get(name) is False]
        if without:
            path = _word_path(store, "write")
            message = f"expected items with a 'key' to merge by, found none for {', '.join(without)}"
            yield Problem(locate(path), key_text(path), message, "add 'key: [...]' to the item rule")


def _same_file(stores: list[_Store], locate: Locate) -> Iterator[Problem]:
    for index, store in enumerate(stores):
        for other in stores[:index]:
            if (
                store.file
                and other.file
                and _absolute(store, locate) == _absolute(other, locate)
                and _clash(store, other)
            ):
                path = (*store.path, "path") if "path" in store.options else store.path
                message = f"expected a file that no other store writes, found {store.file!r} again"
                yield Problem(locate(path), key_text(path), message, f"{key_text(other.path)} writes it")
                break


def _absolute(store: _Store, locate: Locate) -> str:
    path: KeyPath = (*store.path, "path") if "path" in store.options else store.path
    return os.path.abspath(Path(locate(path).file).parent / str(store.file))  # noqa: PTH100 - links are kept, `..` goes


def _clash(one: _Store, two: _Store) -> bool:
    """False for two tables of one database."""
    tables = (one.options.get("table"), two.options.get("table"))
    if one.name != two.name:
        return True
    if tables[0] != tables[1]:
        return False
    if one.name in WITH_TABLES and tables == (None, None) and one.items and two.items:
        return not set(one.items).isdisjoint(two.items)
    return True
