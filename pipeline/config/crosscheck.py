"""What keys say about each other: page names, key fields, item types, and files that two stores would write.

It works on plain data that may be wrong in other ways, so every step looks before it takes; what is not there or not of
the right kind has been said by the models. Only what is certain is a problem.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.config.entries import StoreEntry
from pipeline.config.nodes import KeyPath, key_text
from pipeline.config.reach import Locate, list_of, mapping_of, page_references, unreached_rules, unreached_seeds
from pipeline.errors import Problem

WITH_TABLES = frozenset(("sqlite",))
PAGE_NUMBER = "page_number"  # what a follow by number carries where the URL does not say it
SEED_KEYS = frozenset(("url", "page", "method", "headers", "body", "json", "file", "sitemap", "feed", "since"))


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
        *unreached_seeds(data, locate),
        *unreached_rules(data, open_types, locate),
        *_key_fields(data, locate),
        *_routes(data, types, open_types, locate),
        *_one_type(stores, types, locate),
        *_only(stores, locate),
        *_merge_keys(stores, data, locate),
        *_same_file(stores, locate),
    ]


def _texts(value: Any) -> list[str] | None:
    """A text or list of texts as a list; None if there is none."""
    if value is None:
        return None
    return [str(part) for part in (value if isinstance(value, list) else [value])]


def _rules(data: dict[str, Any], what: str) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Every entry of `items` or `follow` of all page rules that is a mapping."""
    for page, rule in mapping_of(data.get("pages")).items():
        for index, entry in enumerate(list_of(mapping_of(rule).get(what))):
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
    import difflib  # noqa: PLC0415 - only where something is wrong

    near = difflib.get_close_matches(name, names, 1)
    more = ", ..." if len(names) > 8 else ""
    return f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names[:8])}{more}"


# --- page rules ------------------------------------------------------------------------------------------------------


def _page_names(data: dict[str, Any], locate: Locate) -> Iterator[Problem]:
    pages = mapping_of(data.get("pages"))
    for path, name in page_references(data):
        if pages and name is not None and not isinstance(name, (dict, list)) and str(name) not in pages:
            message = f"expected the name of a page rule, found {str(name)!r}"
            yield Problem(locate(path), key_text(path), message, _near(str(name), pages))


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


def carried_notes(data: dict[str, Any], locate: Locate) -> Iterator[Problem]:
    """Fields without a default that take a carried value which no link brings along: they stay empty. No mistake while
    a config grows, and plugins may bring any.
    """
    seeds = (name for seed in list_of(data.get("seeds")) for name in mapping_of(seed))
    if data.get("plugins") or data.get("parse") or any(name not in SEED_KEYS for name in seeds):
        return
    links = [rule for _, rule in _rules(data, "follow")]
    known = [str(name) for rule in links for name in mapping_of(rule.get("carry"))]
    known += [str(name) for test in list_of(data.get("tests")) for name in mapping_of(mapping_of(test).get("carry"))]
    known += [PAGE_NUMBER for rule in links if rule.get("number") is not None]
    fields = (
        ((*path, key), rule.get(key))
        for what, key in (("items", "fields"), ("follow", "carry"))
        for path, rule in _rules(data, what)
    )
    for path, specs in fields:
        for where, name in _takes(specs, path):
            if name not in known:
                hint = _near(name, known) if known else "no 'follow' has 'carry'"
                message = f"no link carries {name!r} along, so this is empty"
                yield Problem(locate(where), key_text(where), message, hint)


def _takes(specs: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Where which carried value is asked for, in fields however nested."""
    entries = specs.items() if isinstance(specs, dict) else enumerate(list_of(specs))
    for name, spec in entries:
        carry = mapping_of(spec).get("carry")
        if isinstance(carry, str) and "default" not in spec:
            yield (*path, name, "carry"), carry
        for inner in ("fields", "first_of", "join"):
            yield from _takes(mapping_of(spec).get(inner), (*path, name, inner))


# --- routing and stores ----------------------------------------------------------------------------------------------


def _stores(data: dict[str, Any]) -> Iterator[_Store]:
    for index, entry in enumerate(list_of(data.get("store"))):
        names = [name for name in mapping_of(entry) if name not in StoreEntry.extra_words]
        if len(names) != 1:
            continue
        value = entry[names[0]]
        options = mapping_of(value)
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
        for index, entry in enumerate(list_of(data.get(stage))):
            for path, value in _routing(entry, (stage, index)):
                for name in _texts(value) or []:
                    if name not in types:
                        message = f"expected a type of items of a page rule, found {name!r}"
                        yield Problem(locate(path), key_text(path), message, _near(name, types))


def _routing(entry: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    for name, value in mapping_of(entry).items():
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
