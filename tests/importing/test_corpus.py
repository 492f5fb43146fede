"""Every config of the corpus: it imports, `check` passes, and every element of the source stands in the result.

The accounting knows nothing of the translators: it walks the source as plain text and looks each element up in the
result. What it does not find there must be among the notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli.check import _examine
from pipeline.config import load
from pipeline.config.yaml12 import read
from pipeline.importing import goskyr, html2rss
from pipeline.importing.document import Document

CORPUS = Path(__file__).resolve().parents[3] / "shared/corpus/open/configs"
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of configs is not here")


def files(kind: str) -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted((CORPUS / kind).glob("*.y*ml"))]


@cache
def imported(path: Path, translate: Any) -> list[Document]:
    tree, problems = read(path.read_bytes(), str(path))
    assert not problems
    documents: list[Document] = translate(tree, str(path))
    return documents


def plain(text: str) -> Any:
    """YAML with every scalar as it is spelt."""
    return yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))


def texts(node: Any) -> Iterator[str]:
    """Every scalar, and every key."""
    if isinstance(node, dict):
        yield from node
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    else:
        yield str(node)


def found(node: Any, key: str) -> list[Any]:
    """The values of a key, however deep."""
    if isinstance(node, dict):
        here = [node[key]] if key in node else []
        return here + [one for value in node.values() for one in found(value, key)]
    return [one for value in node for one in found(value, key)] if isinstance(node, list) else []


def check_passes(document: Document, folder: Path) -> None:
    path = folder / f"{document.name}.yaml"
    path.write_text(document.text, encoding="utf-8")
    report = _examine(load(path))
    assert report["ok"], [problem["text"] for problem in report["problems"]]


@pytest.mark.parametrize("path", files("goskyr"))
def test_goskyr_passes_check(path: Path, tmp_path: Path) -> None:
    for document in imported(path, goskyr.translate):
        check_passes(document, tmp_path)


@pytest.mark.parametrize("path", files("html2rss"))
def test_html2rss_passes_check(path: Path, tmp_path: Path) -> None:
    for document in imported(path, html2rss.translate):
        check_passes(document, tmp_path)


# --- goskyr ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", files("goskyr"))
def test_every_element_of_goskyr_stands_in_the_result(path: Path) -> None:
    scrapers = plain(path.read_text(encoding="utf-8"))["scrapers"]
    documents = imported(path, goskyr.translate)
    assert len(documents) == len(scrapers)
    assert len({document.name.lower() for document in documents}) == len(scrapers)
    for scraper, document in zip(scrapers, documents, strict=True):
        lost = list(lost_of_scraper(scraper, plain(document.text), " ".join(document.notes)))
        assert not lost, scraper["name"]


def lost_of_scraper(scraper: dict[str, Any], result: dict[str, Any], notes: str) -> Iterator[str]:
    pages = result["pages"]
    if result["seeds"] != [{"url": scraper["url"], "page": "list"}]:
        yield "url"
    if scraper["item"] not in found(pages["list"], "each"):
        yield "item"
    for field in scraper["fields"]:
        yield from lost_of_field(field, result, notes)
    yield from lost_filters(scraper, result)
    yield from lost_paginator(scraper, pages["list"])
    dynamic = scraper.get("fetcher", {}).get("type") == "dynamic"
    if dynamic != ("fetcher" in pages["list"]):
        yield "fetcher"
    wanted = [each for each in scraper.get("interaction", []) if dynamic]
    actions = found(pages["list"].get("fetcher", {}), "actions")
    if sum(map(len, actions)) != len(wanted) or any(
        each.get("selector") not in [None, *texts(actions)] for each in wanted
    ):
        yield "interaction"
    known = {"name", "url", "item", "fields", "filters", "paginator", "fetcher", "interaction"}
    yield from (key for key in scraper if key not in known and key not in notes)


def lost_filters(scraper: dict[str, Any], result: dict[str, Any]) -> Iterator[str]:
    terms = found(result.get("filter", []), "where")
    for each in scraper.get("filters", []):
        words = [each["field"], *each["exp"].replace("(?i)", "\0").split("\0")]
        words = [word.removesuffix(")").replace("> now", "now").replace("< now", "now") for word in words]
        negated = each.get("match") != "true"
        if not any(all(word in term for word in words) and term.startswith("not ") == negated for term in terms):
            yield f"filter {each}"
    hidden = [field["name"] for field in scraper["fields"] if "hide" in field]
    if hidden and [name for names in found(result["filter"], "omit") for name in names] != hidden:
        yield f"hide {hidden}"


def lost_paginator(scraper: dict[str, Any], rule: dict[str, Any]) -> Iterator[str]:
    paginator = scraper.get("paginator")
    if not paginator:
        return
    selector, most = paginator["location"]["selector"], paginator.get("max_pages")
    clicked = found(rule.get("fetcher", {}), "paginate")
    limit = {"limit": str(int(most) - 1)} if most else {}
    ways = [{"css": selector, "index": "0", "page": "list", **limit}]
    if not (clicked == [{"click": selector, **({"pages": most} if most else {})}] or ways[0] in rule.get("follow", [])):
        yield "paginator"


def lost_of_field(field: dict[str, Any], result: dict[str, Any], notes: str) -> Iterator[str]:
    name = field["name"]
    groups = [*found(result["pages"], "fields"), *found(result["pages"], "carry")]
    named = [(key, spec) for group in groups if isinstance(group, dict) for key, spec in group.items()]
    fields = [spec for key, spec in named if key in (name, f"{name} (list)")]
    if not fields:
        yield f"field {name}"
        return
    fields = [{"css": spec} if isinstance(spec, str) else spec for spec in fields]
    if "value" in field:
        if field["value"] not in found(fields, "value"):
            yield f"value of {name}"
        return
    location = field.get("location", [])
    for place in location if isinstance(location, list) else [location]:
        yield from (f"{name}: {lost}" for lost in lost_of_location(place, fields))
    if (
        len(location) > 1
        and isinstance(location, list)
        and not any(len(one) == len(location) for one in found(fields, "join"))
    ):
        yield f"locations of {name}"
    yield from (f"{name}: transform {each}" for each in field.get("transform", []) if not has_step(each, fields))
    if (field.get("can_be_empty") == "true" and field.get("type") != "date") == any(
        "required" in spec for spec in fields
    ):
        yield f"can_be_empty of {name}"
    if field.get("type") == "url" and "url" not in found(fields, "type"):
        yield f"type of {name}"
    if field.get("type") == "date":
        yield from lost_of_date(field, fields)
    if "on_subpage" in field and not any(rule.startswith("detail") for rule in result["pages"]):
        yield f"on_subpage of {name}"
    known = {"name", "type", "value", "location", "separator", "on_subpage", "can_be_empty", "components"}
    known |= {"date_location", "date_language", "hide", "guess_year", "transform"}
    yield from (f"{name}: {key}" for key in field if key not in known and key not in notes)


def lost_of_location(place: dict[str, Any], fields: list[Any]) -> Iterator[str]:
    """What a location says and no part of the field does."""
    selectors = [css for spec in fields for css in [*found(spec, "css"), *shorts(spec)]]
    selector, attr = place.get("selector", ""), place.get("attr")
    wanted = f"{selector}::attr({attr})" if attr else selector
    looked_up = "json_selector" in place and f"*.{place['json_selector'].strip('/')}" in found(fields, "jsonld")
    if (
        wanted
        and not looked_up
        and not any(css == wanted or css.startswith(f"{wanted}::") for css in listed(selectors))
    ):
        yield f"selector {wanted}"
    pattern = place.get("regex_extract", {}).get("exp")
    patterns = [one["pattern"] if isinstance(one, dict) else one for one in found(fields, "regex")]
    if pattern and pattern not in patterns:
        yield f"regex {pattern}"
    index = place.get("regex_extract", {}).get("index", "0")
    if index != "0" and {"pattern": pattern, "group": "0", "index": index} not in found(fields, "regex"):
        yield f"index {index}"
    if "default" in place and place["default"] not in found(fields, "default") + found(fields, "value"):
        yield f"default {place['default']}"
    child = place.get("child_index")
    if child and child not in found(fields, "child") and f"node()[{int(child) + 1}]" not in " ".join(texts(fields)):
        yield "child_index"
    if "all_nodes" in place and "true" not in found(fields, "many"):
        yield "all_nodes"
    if "separator" in place and place["separator"] not in found(fields, "separator"):
        yield f"separator {place['separator']!r}"
    if "max_length" in place and place["max_length"] not in found(fields, "shorten"):
        yield "max_length"
    known = {"selector", "attr", "regex_extract", "default", "child_index", "all_nodes", "separator", "max_length"}
    yield from (key for key in place if key not in known | {"json_selector", "entire_subtree"})


def shorts(spec: Any) -> list[str]:
    return [part for parts in found(spec, "join") + found(spec, "first_of") for part in parts if isinstance(part, str)]


def listed(selectors: list[str]) -> list[str]:
    """Selectors, and for lists of them those whose parts have the pseudo-element each."""
    return selectors + [re.sub(r"::attr\([\w-]+\)(?=, )", "", selector) for selector in selectors]


def has_step(transform: dict[str, Any], fields: list[Any]) -> bool:
    return [transform["regex"], transform["replace"]] in found(fields, "sub")


def lost_of_date(field: dict[str, Any], fields: list[Any]) -> Iterator[str]:
    components = field["components"]
    for component in components:
        yield from (f"date: {lost}" for lost in lost_of_location(component["location"], fields))
        yield from (f"date: transform {each}" for each in component.get("transform", []) if not has_step(each, fields))
    formats = [form for spec in fields for form in spec.get("formats", [])]
    ways, alone = 1, any(list(component["covers"]) == ["year"] for component in components)
    for component in components:
        ways *= len({re.sub(r"[+-]0[12]:00$", "ZONE", layout) for layout in component["layout"]})
    year = any("year" in component["covers"] for component in components) and not alone
    if len(set(formats)) not in (ways, 2 * ways if alone else ways):
        yield f"date: {formats} of {[component['layout'] for component in components]}"
    for part, letters in {"day": "d", "month": "mbB", "time": "HI", "year": "Yy"}.items():
        if (part != "year" or year) and not any(re.search(f"%[{letters}]", form) for form in formats):
            yield f"date: no {part} in {formats}"
    words = {
        word
        for component in components
        for layout in component["layout"]
        for word in re.findall(r"[^\W\d_]{3,}", layout)
    }
    words -= {"Monday", "Mon", "January", "Jan", "JAN", "May"}
    yield from (f"date: {word}" for word in words if not all_alternatives(word, formats))
    if field.get("date_location") != next(iter(found(fields, "timezone")), None):
        yield "date_location"
    language = field.get("date_language")
    if language and language.replace("_", "-") not in [one for each in found(fields, "languages") for one in each]:
        yield "date_language"
    if (
        not year
        and not alone
        and found(fields, "missing_year")[-1] != ("nearest" if "guess_year" in field else "current")
    ):
        yield "missing_year"


def all_alternatives(word: str, formats: list[str]) -> bool:
    return any(word in form for form in formats)


# --- html2rss --------------------------------------------------------------------------------------------------------

STEPS = {"gsub": "sub", "substring": "slice", "markdown_to_html": "markdown_to_html"}


@pytest.mark.parametrize("path", files("html2rss"))
def test_every_element_of_html2rss_stands_in_the_result(path: Path) -> None:
    feed = plain(path.read_text(encoding="utf-8"))
    (document,) = imported(path, html2rss.translate)
    assert not list(lost_of_feed(feed, plain(document.text), " ".join(document.notes)))


def lost_of_feed(feed: dict[str, Any], result: dict[str, Any], notes: str) -> Iterator[str]:
    channel, store = feed["channel"], result["store"][0]["feed"]
    url = re.sub(r"%<(\w+)>s", r"${\1}", channel["url"])
    if result["seeds"] != [{"url": url, "page": "list"}] or store["link"] != url:
        yield "url"
    for key in ("title", "language", "ttl", "description"):
        if key in channel and store.get(key) != re.sub(r"%<(\w+)>s", r"${\1}", channel[key]):
            yield key
    for name, parameter in feed.get("parameters", {}).items():
        if result["vars"][name] != parameter["default"]:
            yield f"parameter {name}"
    if (feed.get("strategy") == "browserless") != ("fetcher" in result["pages"]["list"]):
        yield "strategy"
    (rule,) = result["pages"]["list"]["items"]
    selectors = feed["selectors"]
    json = isinstance(rule["each"], dict)
    if not json and rule["each"] != selectors["items"]["selector"]:
        yield "items"
    enhanced = selectors["items"].get("enhance", feed.get("enhance")) != "false"
    if enhanced != ("enhance" in notes):
        yield "enhance"
    for name, selector in selectors.items():
        if isinstance(selector, list):
            if store["fields"][{"guid": "id"}.get(name, name)] != selector:
                yield name
        elif name != "items":
            yield from (
                f"{name}: {lost}"
                for lost in lost_of_selector(name, selector, rule["fields"].get(name), channel, json, notes)
            )


def lost_of_selector(
    name: str, selector: dict[str, Any], spec: Any, channel: dict[str, Any], json: bool, notes: str
) -> Iterator[str]:
    if spec is None:
        yield "field"
        return
    spec = {"css": spec} if isinstance(spec, str) else spec
    css = selector.get("selector", "")
    css = re.sub(r":(first|last)$", r":\1-of-type", css)
    ending = {"href": "::attr(href)", "html": "::html", "attribute": f"::attr({selector.get('attribute')})"}
    wanted = css + ending.get(selector.get("extractor", ""), "")
    if wanted.startswith(">"):
        wanted = f":scope {wanted}"
    if wanted and not json and wanted not in found(spec, "css"):
        yield f"selector {wanted}"
    if json and css and css.split()[-1] not in " ".join(found(spec, "json")):
        yield f"selector {css}"
    steps = selector.get("post_process", [])
    yield from (step["name"] for step in steps if not is_done(step, spec, channel, steps, notes))
    if name == "published_at" and spec.get("type") != "datetime":
        yield "type"


def is_done(step: dict[str, Any], spec: Any, channel: dict[str, Any], steps: list[Any], notes: str) -> bool:
    kind = step["name"]
    if kind == "parse_time":
        return bool(spec.get("type") == "datetime" and spec["timezone"] == channel["time_zone"])
    if kind == "parse_uri":
        return bool(spec.get("type") == "url")
    if kind == "template":
        literals = [text for text in re.split(r"%\{\w+\}", step["string"]) if text]
        return all(text in found(spec, "value") for text in literals)
    if "html_to_markdown" in [one["name"] for one in steps]:
        return "cannot be said" in notes
    return STEPS[kind] in set(texts(spec))
