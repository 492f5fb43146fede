"""Records in data: the largest list of objects in JSON, nodes of one type in JSON-LD, like elements of an XML page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.stages.tree import Element

MAX_DEPTH = 6
MOST = 15
FEWEST = 3  # of anything that stands twice nobody can say that it repeats
_TAG = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
_DATES = ("pubDate", "published", "updated", "lastmod", "lastBuildDate")


class Listed(NamedTuple):
    """Records: what the config says of them, of their fields by name, and how many there are."""

    each: Any
    fields: dict[str, Any]
    number: int


def json_records(documents: Sequence[Any]) -> Listed | None:
    """The list of objects with most to say in any of these."""
    found = [one for document in documents if (one := find_list(document)) is not None]
    best = max(found, key=lambda one: _worth(one[2]), default=None)
    if best is None:
        return None
    path, fields, records = best
    return Listed({"json": path}, {name: {"json": field} for name, field in named(fields).items()}, len(records))


def jsonld_records(documents: Sequence[Any]) -> Listed | None:
    """The nodes of the commonest type in JSON-LD."""
    nodes = [node for document in documents for node in _nodes(document)]
    kinds = Counter(node["@type"] for node in nodes if len(node) > 2)
    if not kinds or kinds.most_common(1)[0][1] < FEWEST:
        return None
    kind, number = kinds.most_common(1)[0]
    counts = Counter(field for node in nodes if node["@type"] == kind for field in _fields(node, ""))
    fields = [field for field, times in counts.items() if times >= number / 2 and "@" not in field][:MOST]
    return Listed({"jsonld": kind}, {name: {"jsonld": field} for name, field in named(fields).items()}, number)


def _nodes(data: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Objects that are of one type and no parts of others of a type, but for those in lists of items."""
    if depth > MAX_DEPTH:
        return
    if isinstance(data, list):
        for one in data:
            yield from _nodes(one, depth + 1)
    elif isinstance(data, dict):
        if isinstance(data.get("@type"), str) and not data["@type"].endswith("List") and "item" not in data:
            yield data
        else:
            for name in ("@graph", "itemListElement", "item"):
                yield from _nodes(data.get(name), depth + 1)


def named(paths: Sequence[str]) -> dict[str, str]:
    """Paths by a name for each: its last part; all of it where two would get one name."""
    last = Counter(path.rpartition(".")[2] for path in paths)
    names = {path: name if last[name := path.rpartition(".")[2]] == 1 else path for path in paths}
    return {re.sub(r"\W+", "_", name).strip("_") or "field": path for path, name in names.items()}


def next_page(document: Any) -> str | None:
    """The JMESPath of an address of the next page."""
    links = document.get("links") if isinstance(document, dict) else None
    for path, inside in (("", document), ("links.", links)):
        for name in ("next", "next_url", "nextUrl", "next_page", "nextPage", "nextPageUrl"):
            value = inside.get(name) if isinstance(inside, dict) else None
            if isinstance(value, str) and re.match(r"https?://|[/?]", value):
                return path + name
    return None


def xml_records(elements: Sequence[Element]) -> Listed | None:
    """The elements of one name in one place that repeat and have most in them."""
    groups: dict[str, list[Element]] = {}
    for element in elements:
        parent = element.parent
        if parent is not None and _TAG.fullmatch(element.tag) and _TAG.fullmatch(parent.tag):
            groups.setdefault(f"{parent.tag} > {element.tag}", []).append(element)
    made = [(each, some, _xml_fields(some)) for each, some in groups.items() if len(some) >= FEWEST]
    best = max(made, key=lambda one: min(len(one[1]), 50) * len(one[2]), default=None)
    return Listed(best[0], best[2], len(best[1])) if best is not None and best[2] else None


def _xml_fields(records: Sequence[Element]) -> dict[str, Any]:
    """Attributes, and elements with text or an address, that half of the records have."""
    counts: Counter[str] = Counter()
    for record in records[:50]:
        parts = [one for one in record.select("*") if one.parent == record and _TAG.fullmatch(one.tag)]
        found = [f"::attr({name})" for name in record.attributes if _TAG.fullmatch(name)]
        found += [one.tag for one in parts if one.text and not one.select("*")]
        found += [f"{one.tag}::attr(href)" for one in parts if not one.text and one.attr("href")]
        counts.update(list(dict.fromkeys(found)))
    common = [one for one, number in counts.items() if 2 * number >= len(records[:50])][:MOST]
    return {re.sub(r"^::attr\(|::.*|\)$", "", one): _xml_spec(one) for one in common}


def _xml_spec(selector: str) -> Any:
    if selector in _DATES:
        return {"css": selector, "type": "datetime"}
    return {"css": selector, "type": "url"} if selector in ("link", "link::attr(href)", "loc") else selector


def find_list(data: Any) -> tuple[str, list[str], list[dict[str, Any]]] | None:
    """(JMESPath of the list, JMESPaths of fields in a record, records) of the list with most to say; None without."""
    best = max(_lists(data, ""), key=lambda found: _worth(found[1]), default=None)
    if best is None:
        return None
    path, records = best
    counts = Counter(field for record in records[:50] for field in _fields(record, ""))
    fields = [field for field, number in counts.items() if number >= 0.5 * len(records[:50])]
    return path or "[*]", fields[:MOST], records


def _worth(records: Sequence[dict[str, Any]]) -> float:
    return min(len(records), 50) * sum(map(len, records[:10])) / max(len(records[:10]), 1)


def _lists(data: Any, path: str, depth: int = 0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    if depth > MAX_DEPTH:
        return
    if isinstance(data, list):
        records = [one for one in data if isinstance(one, dict) and one]
        if records and len(records) == len(data):
            yield path, records
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _lists(value, f"{path}.{_key(key)}".lstrip("."), depth + 1)


def _fields(record: dict[str, Any], path: str, depth: int = 0) -> Iterator[str]:
    for key, value in record.items():
        here = f"{path}.{_key(key)}".lstrip(".")
        if isinstance(value, dict) and depth < 2:
            yield from _fields(value, here, depth + 1)
        elif value is not None and not isinstance(value, dict | list):
            yield here


def _key(key: str) -> str:
    return (
        key
        if re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII)
        else '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )
