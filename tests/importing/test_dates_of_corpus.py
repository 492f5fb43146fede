"""Every date rule of the corpus, as it is imported: three moments as its site would write them, in language and zone.

The texts are made from the source's layouts, by a table of Go's of its own; they are put where the selectors would have
found them, and go through the regular expressions, transforms, formats, language, zone and year of the result.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
import yaml

from pipeline import Page, RunInfo
from pipeline.config.yaml12 import read
from pipeline.importing import goskyr
from plugins.parse._languages import language
from plugins.parse.fields import Fields

CONFIGS = Path(__file__).resolve().parents[3] / "shared/corpus/open/configs/goskyr"
START = datetime(2026, 11, 29, 12, tzinfo=UTC)
MOMENTS = [datetime(2026, 10, 13, 20, 15), datetime(2027, 4, 21, 19, 30), datetime(2027, 1, 10, 21, 45)]
WAYS = 4  # of putting a rule's layouts together, tried at each moment
TOKEN = re.compile(
    r"January|Monday|(?i:jan)|Mon|MST|PM|pm|-07:00|-0700|\+0[012]:00|\.000|2006|15|0[1-6]|[1-5](?=\D|$)", re.DOTALL
)
PLACES = ("css", "xpath", "jsonld", "child", "index", "many", "separator")


class Rule(NamedTuple):
    """A date field of the source, and what has become of it."""

    name: str
    source: dict[str, Any]
    spec: dict[str, Any]


def rules() -> Iterator[Rule]:
    for file in sorted(CONFIGS.glob("*.y*ml")):
        tree, _ = read(file.read_bytes(), file.name)
        scrapers = yaml.load(file.read_text(), yaml.BaseLoader)["scrapers"]
        for scraper, document in zip(scrapers, goskyr.translate(tree, file.name), strict=True):
            specs = fields_of(document.data["pages"])
            for field in scraper["fields"]:
                if field.get("type") == "date":
                    yield Rule(f"{file.stem}: {scraper['name']}", field, specs[field["name"]])


def fields_of(pages: dict[str, Any]) -> dict[str, Any]:
    """The fields where they are read, in items or on the way to them."""
    found: dict[str, Any] = {}
    for rule in pages.values():
        homes = [one["fields"] for one in rule.get("items", ())] + [
            one.get("carry", {}) for one in rule.get("follow", ())
        ]
        for home in homes:
            found |= {name: spec for name, spec in home.items() if "carry" not in spec}
    return found


def written(layout: str, moment: datetime, code: str) -> str:
    """The moment as a page of that layout has it."""
    names = language(code)
    months = [name for name, number in names.months.items() if number == moment.month]
    days = [name for name, number in names.days.items() if number == moment.weekday()]
    hour = moment.hour % 12 if "pm" in layout.lower() else moment.hour

    def part(match: re.Match[str]) -> str:
        text = match[0]
        table = {"January": max(months, key=len), "Monday": max(days, key=len), "Mon": min(days, key=len)}
        table |= {
            "2006": f"{moment:%Y}",
            "06": f"{moment:%y}",
            "01": f"{moment:%m}",
            "02": f"{moment:%d}",
            ".000": ".000",
        }
        table |= {"1": str(moment.month), "2": str(moment.day), "15": f"{hour:02}", "03": f"{hour:02}", "3": str(hour)}
        table |= {"04": f"{moment:%M}", "4": str(moment.minute), "05": "00", "5": "0", "PM": "PM", "pm": "pm"}
        return table[text] if text in table else min(months, key=len) if text.lower() == "jan" else "+00:00"

    return TOKEN.sub(part, layout)


def placed(spec: Any, parts: Iterator[dict[str, Any]], texts: dict[int, str]) -> Any:
    """The spec with each place where it would look replaced by the text of its component."""
    spec = {"css": spec} if isinstance(spec, str) else dict(spec)
    for inner in ("first_of", "join"):
        if inner in spec:
            return {**spec, inner: [placed(one, parts, texts) for one in spec[inner]]}
    component = id(next(parts))
    if "value" in spec:
        return spec
    spec = {name: value for name, value in spec.items() if name not in PLACES}
    pattern = spec.get("regex")
    if isinstance(pattern, dict):  # which of several: here there is one
        pattern = spec["regex"] = {**pattern, "index": 0}
    wanted = pattern["pattern"] if isinstance(pattern, dict) else pattern
    if wanted and component in texts and not re.search(wanted, texts[component]):
        del spec["regex"]  # it looks for more than the layout has
    return {"json": f'"{component}"', **spec}


def ways(rule: Rule, moment: datetime, first: int) -> Iterator[tuple[Any, dict[int, str], str]]:
    """The spec, the texts and the layouts of some ways to put the rule's layouts together."""
    groups: dict[frozenset[str], list[Any]] = {}
    for component in rule.source["components"]:
        covers = frozenset(name for name, value in component["covers"].items() if value == "true")
        groups.setdefault(covers, []).append(component)
    leads = [group[0] for group in groups.values()]
    every = list(itertools.product(*(one["layout"] for one in leads)))
    for layouts in every[first % len(every) :: WAYS]:
        code = rule.source.get("date_language", "de_DE").replace("_", "-")
        texts = {
            id(one): written(layout, moment, code)
            for one, layout in zip(leads, layouts, strict=True)
            if set(one["location"]) != {"default"}
        }
        components = iter([one for group in groups.values() for one in group])
        yield placed(rule.spec, components, texts), texts, " ".join(layouts)


def read_date(spec: Any, texts: dict[int, str]) -> Any:
    spec = {name: value for name, value in spec.items() if name != "required"}
    body = json.dumps({str(key): text for key, text in texts.items()}).encode()
    run = RunInfo("r", START, "c", logging.getLogger("hookline.plugin"))
    page = Page("http://x.example/", 200, [("Content-Type", "application/json")], body, rule="r", run=run)
    found: list[Any] = list(Fields({"r": {"items": [{"fields": {"d": spec}}]}}).parse(page))
    return found[0]["d"] if found else None


@pytest.mark.skipif(not CONFIGS.is_dir(), reason="the corpus of configs is not here")
def test_every_date_rule_gives_the_moment_that_its_site_writes() -> None:
    tried: dict[int, int] = {}
    for number, rule in enumerate(rules()):
        zone = ZoneInfo(rule.source.get("date_location", "UTC"))
        defaults = any("default" in one["location"] for one in rule.source["components"])
        for first, moment in enumerate(MOMENTS):
            for spec, texts, layouts in ways(rule, moment, first):
                found = read_date(spec, texts)
                assert isinstance(found, datetime), (rule.name, layouts, list(texts.values()))
                expected = (
                    moment
                    if "06" in layouts or rule.spec.get("missing_year") == "nearest"
                    else moment.replace(year=2026)
                )
                aware = expected.replace(tzinfo=UTC if re.search(r"[-+]0[0127]:?00", layouts) else zone)
                if not defaults:
                    assert found.date() == aware.astimezone(found.tzinfo).date(), (rule.name, layouts, found)
                if "04" in layouts and not defaults:
                    assert found == aware, (rule.name, layouts, found)
                tried[number] = tried.get(number, 0) + 1
    assert len(tried) >= 136 and min(tried.values()) >= len(MOMENTS)
