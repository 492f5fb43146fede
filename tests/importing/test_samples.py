# ruff: noqa: E501 - tables of cases stand in single lines
"""Small configs of our own, and exactly what becomes of them: files in `samples`, results in `samples/expected`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.check import _examine
from pipeline.config import load
from pipeline.config.writing import Raw
from pipeline.config.yaml12 import read
from pipeline.errors import ConfigError
from pipeline.importing import goskyr, html2rss
from pipeline.importing.document import Document, safe_name

SAMPLES = Path(__file__).parent / "samples"
TRANSLATORS: dict[str, Any] = {"goskyr": goskyr.translate, "html2rss": html2rss.translate}


def translated(kind: str, text: str) -> list[Document]:
    tree, problems = read(text.encode(), "there.yml")
    assert not problems
    documents: list[Document] = TRANSLATORS[kind](tree, "there.yml")
    return documents


@pytest.mark.parametrize("kind", TRANSLATORS)
def test_samples(kind: str, tmp_path: Path) -> None:
    tree, _ = read((SAMPLES / f"{kind}.yml").read_bytes(), f"samples/{kind}.yml")
    documents = TRANSLATORS[kind](tree, f"samples/{kind}.yml")
    expected = SAMPLES / "expected" / kind
    assert sorted(path.stem for path in expected.iterdir()) == sorted(document.name for document in documents)
    for document in documents:
        assert document.text == (expected / f"{document.name}.yaml").read_text(encoding="utf-8")
        target = tmp_path / f"{document.name}.yaml"
        target.write_text(document.text, encoding="utf-8")
        report = _examine(load(target))
        assert report["ok"], [problem["text"] for problem in report["problems"]]


# --- goskyr ----------------------------------------------------------------------------------------------------------


def field(lines: str) -> tuple[Any, list[str]]:
    """What becomes of one field `f` of goskyr's, and the notes."""
    body = "\n".join(f"      {line}" for line in lines.strip().splitlines())
    text = f"scrapers:\n- name: n\n  url: https://a.example/\n  item: li\n  fields:\n    - name: f\n{body}\n"
    (document,) = translated("goskyr", text)
    items = document.data["pages"]["list"].get("items") or [{"fields": {"f": None}}]
    return items[0]["fields"]["f"], document.notes


FIELDS: list[tuple[str, Any]] = [
    ("location: {selector: h3, can: x}", {"css": "h3", "child": 0, "required": True}),
    ("location: {selector: h3, entire_subtree: true}\ncan_be_empty: yes", "h3"),
    ("location: {selector: h3, node_index: 2, entire_subtree: true}\ncan_be_empty: true", {"css": "h3", "index": 2}),
    ("location: {selector: h3, child_index: -1}\ncan_be_empty: true", "h3::text"),
    ("location: {entire_subtree: true}\ncan_be_empty: true", {"xpath": "."}),
    ("location: {child_index: 1}\ncan_be_empty: true", {"xpath": "node()[2][self::text()]"}),
    ("location: {selector: 'a, b', attr: title}\ncan_be_empty: true", "a::attr(title), b::attr(title)"),
    ("location: {selector: s, json_selector: '/a/b/c[2]'}\ncan_be_empty: true", {"css": "s", "child": 0, "transform": [{"json": "a.b.c[1]"}]}),
    ("location: {selector: h3, max_length: 9, default: x}\ncan_be_empty: true", {"css": "h3", "child": 0, "transform": [{"shorten": 9}], "default": "x"}),
    ("location: {selector: h3, regex_extract: {exp: 'a(?i)b'}}\ncan_be_empty: true", {"css": "h3", "child": 0, "regex": "a(?i:b)"}),
    ("type: url\nlocation: {selector: a}\ncan_be_empty: true", {"css": "a::attr(href)", "type": "url"}),
    ("type: url\nlocation: {selector: a}\ncan_be_empty: true\ntransform: [{type: regex-replace, regex: ^h, replace: g}]",
     {"join": [{"css": "a::attr(href)", "type": "url"}], "transform": [{"sub": ["^h", "g"]}]}),
    ("value: 'no'\nlocation: {selector: h3}", {"value": "no"}),
    ("location: {selector: h3, default: 007}\ncan_be_empty: true", {"css": "h3", "child": 0, "default": "007"}),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "expected"), FIELDS, ids=[lines.partition("\n")[0] for lines, _ in FIELDS])
def test_a_field_of_goskyr(lines: str, expected: Any) -> None:
    assert field(lines)[0] == expected


def date(*components: str, more: str = "") -> dict[str, Any]:
    lines = "\n".join(f"  - {component}" for component in components)
    spec, _ = field(f"type: date\n{more}components:\n{lines}")
    assert isinstance(spec, dict)
    return spec


DAY = "{covers: {day: true, month: true}, location: {selector: .d}, layout: ['2.1.', 'Jan 2']}"
TIME = "{covers: {time: true}, location: {selector: .t}, layout: '15:04'}"
YEAR = "{covers: {year: true}, location: {selector: .y}, layout: ['2006']}"
ALL = "{covers: {day: true, month: true, year: true, time: true}, location: {selector: %s}, layout: ['%s']}"


def test_a_date_from_one_component() -> None:
    spec = date(ALL % ("time", "2006-01-02T15:04:05Z07:00"))
    wanted = {"css": "time", "child": 0, "type": "datetime", "formats": ["%Y-%m-%dT%H:%M:%S%z"], "required": True}
    assert spec == wanted


@pytest.mark.parametrize("code", ["zz_ZZ", "german", "de-!"])
def test_a_language_that_nobody_knows_is_told(code: str) -> None:
    scraped = f"type: date\ndate_language: {code}\ncomponents: [{DAY}, {TIME}]"
    spec, notes = field(scraped)
    assert spec["languages"] == ["de-DE"]
    assert notes == [f"scrapers.0.fields.f.date_language: {code!r} is no language whose names of months are known"]


def test_json_in_json_ld_by_a_path() -> None:
    lookup = "location: {selector: \"script[type='application/ld+json']\", json_selector: %s}\ncan_be_empty: true"
    assert field(lookup % "//location/name") == ({"jsonld": "*.location.name"}, [])
    assert field(lookup % "//startDate") == ({"jsonld": "*.startDate"}, [])


def test_what_cannot_be_said_of_a_date_is_told() -> None:
    twice = "{covers: {day: true}, location: {selector: .d}, layout: ['2.', '2. 2.', '002']}"
    rest = "{covers: {month: true, year: true, time: true}, location: {selector: .m}, layout: ['Jan 2006 15:04']}"
    spec, notes = field(f"type: date\ncomponents: [{twice}, {rest}]")
    assert spec["formats"] == ["%d. %b %Y %H:%M"]
    told = "2 of the ways to put the layouts together cannot be said: '%d. %d. %b %Y %H:%M': a part of a date stands twice in it"
    assert notes == [f"scrapers.0.fields.f: {told}"]


def test_layouts_that_are_no_dates_are_no_crash() -> None:
    odd = "{covers: {day: true}, location: {selector: .d}, layout: ['%d']}"
    lost = (
        "{covers: {month: true}, location: {selector: 'a['}, layout: [Jan], transform: {type: regex-replace, regex: a}}"
    )
    spec, notes = field(f"type: date\ncomponents: [{odd}, {lost}, {TIME}]")
    assert len(spec["join"]) == 2
    assert any("'a[' cannot be said" in note for note in notes)


def test_filters_and_hidden_fields_that_could_not_be_said() -> None:
    document = scraper("""
fields:
  - {name: title, location: {selector: h3}}
  - {name: lost, hide: true, location: {selector: 'a['}}
  - {name: far, hide: true, on_subpage: nowhere, location: {selector: p}}
filters: [{field: far, exp: x}, {field: lost, exp: y}]
paginator: {location: {selector: ''}}
""")
    assert document.data["filter"] == []
    assert {note.partition(": ")[0] for note in document.notes} >= {"scrapers.0.filters.0", "scrapers.0.filters.1"}
    assert any("names no link" in note for note in document.notes)


def test_the_feed_names_only_fields_that_are_there() -> None:
    document = feed("title: {selector: h2}\nkind: {selector: 'a['}\nguid: [kind]\ncategories: [kind, title]")
    assert document.data["store"][0]["feed"]["fields"] == {"categories": ["title"]}


def test_layouts_are_put_together_in_order() -> None:
    spec = date(DAY, TIME, more="date_language: fr_CH\ndate_location: CET\nguess_year: true\n")
    assert spec["join"] == [{"css": ".d", "child": 0}, {"css": ".t", "child": 0}]
    assert spec["formats"] == ["%d.%m. %H:%M", "%b %d %H:%M"]
    assert (spec["languages"], spec["timezone"], spec["missing_year"]) == (["fr-CH"], "CET", "nearest")


def test_without_guess_year_it_is_the_current_one_and_without_language_german() -> None:
    spec = date(DAY, TIME)
    assert (spec["missing_year"], spec["languages"], "timezone" in spec) == ("current", ["de-DE"], False)


def test_a_year_of_its_own_may_be_missing() -> None:
    spec = date(DAY.replace(", 'Jan 2'", ""), TIME, YEAR)
    assert spec["formats"] == ["%d.%m. %H:%M %Y", "%d.%m. %H:%M"]
    assert spec["missing_year"] == "current"


def test_components_that_cover_the_same_are_alternatives() -> None:
    spec = date(ALL % (".a", "2.1.2006 15:04"), ALL % (".b", "Jan 2 2006 3pm"))
    assert spec["first_of"] == [{"css": ".a", "child": 0}, {"css": ".b", "child": 0}]
    assert spec["formats"] == ["%d.%m.%Y %H:%M", "%b %d %Y %I%p"]


def test_what_a_layout_has_beyond_its_parts_is_taken_out() -> None:
    day = "{covers: {day: true, month: true, year: true}, location: {selector: t, attr: d}, layout: ['2006-01-02T15:04:05Z']}"
    spec = date(day, TIME)
    assert spec["join"][0] == {"css": "t::attr(d)", "transform": [{"sub": [r"T\d{1,2}:\d{1,2}:\d{1,2}Z", ""]}]}
    assert spec["formats"] == ["%Y-%m-%d %H:%M"]


def scraper(lines: str) -> Document:
    text = "scrapers:\n- name: n\n  url: https://a.example/\n  item: li\n" + "\n".join(
        f"  {line}" for line in lines.strip().splitlines()
    )
    (document,) = translated("goskyr", text)
    return document


TITLE = "fields: [{name: title, location: {selector: h3}}, {name: my type, value: x}]"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("[{field: title, exp: a}]", ["not matches(title, 'a')"]),
        ("[{field: title, regex: a, match: true}, {field: my type, exp: b, match: true}]", ["matches(title, 'a') or matches(field('my type'), 'b')"]),
        ("[{field: title, exp: \"it's\"}]", ['not matches(title, "it\'s")']),
        ("[{field: title, exp: \"it's \\\"x\\\"\"}]", ["not matches(title, 'it\\x27s \"x\"')"]),
        ("[{field: title, exp: 'a*', match: true}]", ["(not exists('title') or matches(title, 'a*'))"]),
        ("[{field: other, exp: a}]", []),
        ("[{field: title, exp: '\\p{Greek}'}]", []),
    ],
)  # fmt: skip
def test_filters(filters: str, expected: list[str]) -> None:
    document = scraper(f"{TITLE}\nfilters: {filters}")
    assert [each["where"] for each in document.data["filter"]] == expected
    assert bool(document.notes) == (not expected)


def test_several_subpages_are_a_chain() -> None:
    document = scraper("""
fields:
  - {name: a, type: url, location: {selector: a.one}}
  - {name: b, type: url, location: {selector: a.two}}
  - {name: x, on_subpage: a, location: {selector: p}}
  - {name: y, on_subpage: b, location: {selector: p}}
  - {name: z, on_subpage: nowhere, location: {selector: p}}
""")
    pages = document.data["pages"]
    assert list(pages) == ["list", "detail-a", "detail-b"]
    assert pages["list"]["follow"][0]["page"] == "detail-a"
    (link,) = pages["detail-a"]["follow"]
    assert (link["first_of"], link["page"]) == ([{"carry": "b"}], "detail-b")
    assert link["carry"] == {"a": {"carry": "a"}, "b": {"carry": "b"}, "x": {"css": "p", "child": 0}}
    assert list(pages["detail-b"]["items"][0]["fields"]) == ["a", "b", "x", "y"]
    assert document.notes == ["scrapers.0: on_subpage: no field 'nowhere' with the URL, so these cannot be found: z"]


def test_old_spellings_of_goskyr() -> None:
    document = scraper("""
renderJs: true
page_load_wait_sec: 3
exclude_with_selector: [.gone]
fields:
  static: [{name: city, value: Bern}]
  dynamic: [{name: title, location: {selector: h3}}]
""")
    rule = document.data["pages"]["list"]
    assert rule["fetcher"] == {"browser": {"wait": "3s"}}
    assert rule["items"][0]["each"] == "li:not(.gone, :has(.gone))"
    assert list(rule["items"][0]["fields"]) == ["city", "title"]
    assert not document.notes


def test_what_a_static_fetcher_does_not_do() -> None:
    document = scraper(
        TITLE + "\ninteraction: [{type: click, selector: b}]\npaginator: {location: {selector: a}, max_pages: 1}"
    )
    assert set(document.data["pages"]["list"]) == {"items"}
    assert len(document.notes) == 2
    assert "'click': 'b'" in document.notes[0]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1", "1:1", "expected a list of scrapers, found nothing"),
        ("scrapers: {}", "1:11", "expected a list, found an empty mapping"),
        ("scrapers:\n- name: x\n  item: li", "2:3", "expected text, found nothing"),
        ("scrapers:\n- {url: 'ftp://x/', item: li}", "2:3", "expected an http or https URL, found 'ftp://x/'"),
        ("scrapers:\n- {url: 'http://x/', item: [li]}", "2:28", "expected text, found a list"),
        ("scrapers:\n- {url: 'http://x/', item: li, fields: [{name: a, hide: maybe, value: x}]}", "2:57", "expected true or false, found 'maybe'"),
        ("scrapers:\n- {url: 'http://x/', item: li, paginator: {max_pages: many}}", "2:55", "expected a whole number, found 'many'"),
        ("scrapers:\n- {url: 'http://x/', item: li, fields: [x]}", "2:41", "expected a mapping, found a value"),
    ],
)  # fmt: skip
def test_what_is_no_config_of_goskyr(text: str, place: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        translated("goskyr", text)
    assert any(str(problem).startswith(f"there.yml:{place}: ") and message in str(problem) for problem in caught.value.problems), str(caught.value)  # fmt: skip


# --- html2rss --------------------------------------------------------------------------------------------------------


def feed(selectors: str, channel: str = "", more: str = "") -> Document:
    body = "\n".join(f"  {line}" for line in selectors.strip().splitlines())
    text = f"channel: {{url: https://a.example/, title: t{channel}}}\n{more}\nselectors:\n  items: {{selector: li, enhance: false}}\n{body}"
    (document,) = translated("html2rss", text)
    return document


def fields_of(document: Document) -> Any:
    return document.data["pages"]["list"]["items"][0]["fields"]


SELECTORS: list[tuple[str, Any]] = [
    ("x: {selector: p}", {"css": "p", "many": True, "separator": ""}),
    ("x: {selector: p, extractor: html}", {"css": "p::html", "many": True, "separator": ""}),
    ("x: {selector: a, extractor: href}", {"css": "a::attr(href)", "type": "url"}),
    ("x: {extractor: href}", {"css": "::attr(href)", "type": "url"}),
    ("x: {extractor: text}", {"xpath": "."}),
    ("x: {extractor: static, static: s}", {"value": "s"}),
    ("x: {selector: 'a:contains(b)', extractor: attribute, attribute: id}", 'a:-soup-contains("b")::attr(id)'),
    ("published_at: {selector: time}", {"css": "time", "many": True, "separator": "", "type": "datetime", "languages": ["en"], "timezone": "UTC"}),
    ("x: {selector: p, post_process: [{name: substring, start: 2, end: -1}]}", {"css": "p", "many": True, "separator": "", "transform": [{"slice": [2]}]}),
    ("x: {selector: p, post_process: {name: gsub, pattern: a+, replacement: {a: b}}}", {"css": "p", "many": True, "separator": "", "transform": [{"sub": ["a", "b"]}]}),
    ("x: {post_process: [{name: template, string: 'no%%'}]}", {"value": "no%"}),
    ("x: {selector: p, post_process: [{name: parse_uri}, {name: gsub, pattern: a, replacement: b}]}",
     {"join": [{"css": "p", "many": True, "separator": "", "type": "url"}], "transform": [{"sub": ["(?ix)a", "b"]}]}),
]  # fmt: skip


@pytest.mark.parametrize(("selector", "expected"), SELECTORS, ids=[selector for selector, _ in SELECTORS])
def test_a_selector_of_html2rss(selector: str, expected: Any) -> None:
    document = feed(selector)
    assert next(iter(fields_of(document).values())) == expected
    assert not document.notes


def test_an_extractor_that_is_not_known() -> None:
    document = feed("title: {selector: h2}\npublished_at: {extractor: current_time}")
    assert list(fields_of(document)) == ["title"]
    assert document.notes == ["selectors.published_at.extractor: 'current_time' cannot be said; the field is left out"]


def test_templates_that_lead_to_themselves_or_nowhere() -> None:
    document = feed("""
a: {selector: p, post_process: [{name: template, string: "%{b}%<self>s%{c}"}]}
b: {selector: q, post_process: [{name: template, string: "%{a}!"}]}
""")
    assert "selectors.b.post_process.0.string: %{a} leads back to itself" in document.notes
    assert "selectors.a.post_process.0.string: %{c} is no selector" in document.notes


PAGINATIONS: list[tuple[str, Any]] = [
    ("5", {"css": 'link[rel~="next"], a[rel~="next"]', "index": 0, "page": "list", "limit": 4}),
    ("1", None),
    ("{max_pages: 3}", {"css": 'link[rel~="next"], a[rel~="next"]', "index": 0, "page": "list", "limit": 2}),
    ("{strategy: custom_selector, selector: 'a::text'}", {"css": "a::text", "index": 0, "page": "list"}),
    ("{strategy: custom_selector, selector: //a}", {"xpath": "//a", "index": 0, "page": "list"}),
    ("{strategy: url_template, start_page: 0}", {"number": {"start": 0, "step": 1}, "param": "page", "page": "list"}),
    ("{strategy: offset, param: o}", {"number": {"start": 0, "step": 20}, "param": "o", "page": "list"}),
    ("{strategy: json_cursor, next_url_path: a.b}", {"json": "a.b", "page": "list"}),
    ("{strategy: json_cursor, cursor_path: c}", {"json": "c", "param": "cursor", "page": "list"}),
]


@pytest.mark.parametrize(("pagination", "expected"), PAGINATIONS, ids=[name for name, _ in PAGINATIONS])
def test_paginations(pagination: str, expected: Any) -> None:
    text = f"channel: {{url: https://a.example/, title: t}}\nselectors: {{items: {{selector: li, enhance: false, pagination: {pagination}}}, title: {{selector: h2}}}}"
    (document,) = translated("html2rss", text)
    assert document.data["pages"]["list"].get("follow") == (expected and [expected])
    assert not document.notes


def test_a_page_number_in_the_address() -> None:
    text = "channel: {url: 'https://a.example/%<x>s/{page}', title: t}\nparameters: {x: {default: y}}\nselectors: {items: {selector: li, enhance: false, pagination: {strategy: url_template, start_page: 2}}, title: {selector: h2}}"
    (document,) = translated("html2rss", text)
    assert document.data["seeds"][0]["url"] == "https://a.example/${x}/2"
    assert document.data["pages"]["list"]["follow"][0]["url"] == "https://a.example/${x}/{value}"
    assert "url: https://a.example/${x}/{value}" in document.text


def test_parameters_without_a_default_are_told() -> None:
    text = "channel: {url: 'https://a.example/%<x>s', title: '100%% %{y}'}\nparameters: {x: {type: string}}\nselectors: {items: {selector: li, enhance: false}}"
    (document,) = translated("html2rss", text)
    assert document.data["vars"] == {"x": "", "y": ""}
    assert document.data["store"][0]["feed"]["title"] == "100% ${y}"
    assert len(document.notes) == 2


def test_several_feeds_share_what_stands_beside_them() -> None:
    text = "strategy: browserless\nheaders: {A: b, C: d}\nfeeds:\n  x: {channel: {url: https://a.example/, title: t}, headers: {C: e}, strategy: faraday, selectors: {items: {selector: li}}}\n  X: {channel: {url: https://b.example/}, auto_source: {}}"
    first, second = translated("html2rss", text.replace("}, auto", ", title: t}, auto"))
    assert (first.name, second.name) == ("x", "X-2")
    assert first.data["fetch"]["headers"] == {"A": "b", "C": "e"}
    assert "fetcher" not in first.data["pages"]["list"]
    assert second.data["pages"]["list"]["fetcher"] == "browser"


# --- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["no", "12", "1.0", "~", "a: b", "# x", "'", '"', "x\ny", " x ", "\t", "é", "a\nb\n", "${x}", "$${x}", "- a", "1e3", "", "a \n b", "it's", "\u2028", "{a}"])  # fmt: skip
def test_texts_come_back_as_they_were(text: str) -> None:
    document = Document(
        "n", "o", {"name": "n", "vars": {"q": "r"}, "pages": {"p": {"items": [{"fields": {"f": {"value": text}}}]}}}
    )
    tree, problems = read(document.text.encode(), "x")
    assert not problems
    from pipeline.config.nodes import to_data
    from pipeline.config.substitute import Substituter

    data: Any = to_data(Substituter(tree, {}).tree(tree))
    assert data["pages"]["p"]["items"][0]["fields"]["f"]["value"] == text


def test_what_is_meant_as_a_variable_stays_one() -> None:
    assert "a: ${x}" in Document("n", "o", {"a": Raw("${x}")}).text
    assert "a: $${x}" in Document("n", "o", {"a": "${x}"}).text


@pytest.mark.parametrize(
    ("text", "name"),
    [("Bleu Lézard", "Bleu-L-zard"), ("../x", "x"), ("_x", "x"), ("", "scraper"), ("TAKEN", "TAKEN-2"), ("é", "scraper"), ("x" * 200, "x" * 90)],
)  # fmt: skip
def test_names(text: str, name: str) -> None:
    assert safe_name(text, ["taken"], "scraper") == name
