"""Regular expressions, selectors and date layouts of Go and Ruby as ours."""

from __future__ import annotations

import re

import pytest

from pipeline.importing.layouts import names_in, parts_of, strptime_format, without
from pipeline.importing.regexes import go_regex, go_replacement, ruby_regex, ruby_replacement
from pipeline.importing.selectors import css, jmespath, parts

GO = [
    (r"[0-9]{1,2}[\.-]{1}", r"[0-9]{1,2}[\.-]{1}"),
    (r"(?i)x", r"(?i)x"),
    (r".*(?i)(abgesagt).*", r".*(?i:(abgesagt).*)"),
    (r"(a(?i)b|c)d(?s).", r"(a(?i:b|c))d(?s:.)"),
    (r"a\(?i\)b", r"a\(?i\)b"),
    (r"\(?(?i)a[)]", r"\(?(?i:a[)])"),
    (r"\p{L}+\pN", r"[^\W\d_]+\d"),
    (r"[[:alpha:]_]", "[a-zA-Z_]"),
    (r"(?<year>\d+)(?P<x>y)", r"(?P<year>\d+)(?P<x>y)"),
    (r"(?<!a)b", r"(?<!a)b"),
    (r"\Qa.b\E+", r"a\.b+"),
    (r"\x{20AC}\z", r"\U000020ac\Z"),
    (r"[[]", r"[\[]"),
    (r"[\p{L} ]+", r"(?:[ ]|[^\W\d_])+"),
    (r"[\pL]", r"(?:[^\W\d_])"),
    (r"[^\p{L}\d]x", r"(?:(?![^\W\d_])[^\d])x"),
    (r"[^\p{L}]", r"(?:(?![^\W\d_])[\s\S])"),
    (r"[\p{N}.]", r"[\d.]"),
    (r"\PL\P{Nd}\p{^L}", r"[\W\d_]\D[\W\d_]"),
    (r"[\P{L}x]", r"[\W\d_x]"),
    (r"[[:^alpha:]]", "(?:[^a-zA-Z])"),
    (r"[a&&b]", r"[a&\&b]"),
    (r"[]a][^]b]", r"[]a][^]b]"),
]


@pytest.mark.parametrize(("pattern", "expected"), GO, ids=[pattern for pattern, _ in GO])
def test_go_regex(pattern: str, expected: str) -> None:
    assert go_regex(pattern) == expected
    re.compile(expected)


@pytest.mark.parametrize("pattern", [r"\p{Greek}", r"[\p{Lu}]", r"(?U)a", r"a**b**("])
def test_regexes_without_an_equal(pattern: str) -> None:
    with pytest.raises(ValueError, match="Python"):
        go_regex(pattern)


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        (r"^[\p{L}' -]+$", ["L'\u00c9t\u00e9 \u0434\u043e-x"], ["a1", "a_"]),
        (r"^[^\p{L}\s]+$", ["12-3", "\u2013_"], ["a", "1 2", "\u00e9"]),
        (r"^\PL+$", ["1_-"], ["1a"]),
        (r"^[[:^digit:]]+$", ["ab"], ["a1"]),
    ],
)
def test_classes_of_letters_find_letters(pattern: str, found: list[str], not_found: list[str]) -> None:
    compiled = re.compile(go_regex(pattern))
    assert all(compiled.search(text) for text in found)
    assert not any(compiled.search(text) for text in not_found)


def test_a_flag_in_the_middle_finds_the_same() -> None:
    pattern = go_regex(r"Live(?i)musik")
    assert re.search(pattern, "LiveMUSIK")
    assert not re.search(pattern, "LIVEmusik")


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("$1-${2}", "(a)(b)", r"\g<1>-\g<2>"),
        ("$1x", "(a)", ""),
        ("$$5", "a", "$5"),
        (r"a\b", "a", r"a\\b"),
        ("${n}", "(?P<n>a)", r"\g<n>"),
    ],
)
def test_go_replacement(text: str, pattern: str, expected: str) -> None:
    assert go_replacement(text, pattern) == expected


def test_ruby_regex_and_replacement() -> None:
    assert ruby_regex(r"(\d+)\.\s", "ix") == r"(?ix)(\d+)\.\s"
    assert re.findall(ruby_regex("^b"), "a\nb") == ["b"]  # ends of lines
    assert re.search(ruby_regex(r"\Ab\h+\z"), "bff")
    assert re.sub("(a)(?P<n>b)", ruby_replacement(r"\2\k<n>\0\\ $1 \q\7", "(a)(?P<n>b)"), "ab") == r"bbab\ $1 \q"


LAYOUTS = [
    ("Mon, 2. Jan 2006", "%a, %d. %b %Y"),
    ("Monday 2 January  2006 / 15:04", "%A %d %B  %Y / %H:%M"),
    ("02.01.06", "%d.%m.%y"),
    ("020106 15:04", "%d%m%y %H:%M"),
    ("20060102", "%Y%m%d"),
    ("JAN.", "%b."),
    ("Janvier", "Janvier"),
    ("15h04", "%Hh%M"),
    ("15pm", "%I%p"),
    ("3:04 PM", "%I:%M %p"),
    ("2006-01-02T15:04:05.000Z", "%Y-%m-%dT%H:%M:%S.%fZ"),
    ("2006-01-02T15:04:05-07:00", "%Y-%m-%dT%H:%M:%S%z"),
    ("2006-01-02T15:04:05Z07:00", "%Y-%m-%dT%H:%M:%S%z"),
    ("2006-01-02T15:04:00+01:00", "%Y-%m-%dT%H:%M:00%z"),
    ("15:04:05 -0700 MST", "%H:%M:%S %z %Z"),
    ("15.04 Uhr", "%H.%M Uhr"),
    ("2er January", "%der %B"),
    ("Türöffnung: 15:04", "Türöffnung: %H:%M"),
    ("_2/1/2006 100%", "%d/%m/%Y %m00%%"),
    ("002 2006", "%j %Y"),
    (" 2 ", "%d"),
]


@pytest.mark.parametrize(("layout", "expected"), LAYOUTS, ids=[layout for layout, _ in LAYOUTS])
def test_layouts(layout: str, expected: str) -> None:
    assert strptime_format(layout) == expected


def test_names_in_layouts() -> None:
    assert names_in(["2.1.", "2. Jan"])
    assert not names_in(["2006-01-02 3:04 pm MST"])


def test_taking_a_part_out_of_a_format() -> None:
    assert parts_of("%a %d.%m %H:%M") == {"day", "month", "time"}
    form, pattern = without("%Y-%m-%dT%H:%M:%S%z", "time")
    assert (form, re.sub(pattern, "", "2024-05-01T19:30:00+02:00")) == ("%Y-%m-%d", "2024-05-01")
    assert without("%A %d %B %Y", "year")[0] == "%A %d %B"


SELECTORS = [
    ("a:first", "a:first-of-type"),
    ("td:eq(2) > b:last", "td:nth-of-type(2) > b:last-of-type"),
    ("h3:contains(Live)", 'h3:-soup-contains("Live")'),
    ("h3:containsOwn('a b')", "h3:-soup-contains-own('a b')"),
    ("div:haschild(p)", "div:has(> p)"),
    ("a[rel!=next]", "a:not([rel=next])"),
    ("> p", ":scope > p"),
    (r"div.lg\:first > a[title=':first']", r"div.lg\:first > a[title=':first']"),
    ("li:first-child", "li:first-child"),
    ("td[2] > a[@href]", "td:nth-of-type(2) > a[href]"),
    ("a[@rel='next'][title='[2]']", "a[rel='next'][title='[2]']"),
    ("li:gt(2), li:lt(3)", "li:nth-of-type(n+3), li:nth-of-type(-n+2)"),
    ("li:even b:parent", "li:nth-of-type(even) b:not(:empty)"),
    ("form :input", "form :is(input, select, textarea, button)"),
    ("#12-ab > p", '[id="12-ab"] > p'),
    ("a[href='#12']", "a[href='#12']"),
    ("> a, > b", ":scope > a, :scope > b"),
    ("a:matches('x y')", 'a:-soup-contains("x y")'),
    ("a:matchesOwn(x)", 'a:-soup-contains-own("x")'),
]


@pytest.mark.parametrize(("selector", "expected"), SELECTORS, ids=[selector for selector, _ in SELECTORS])
def test_selectors(selector: str, expected: str) -> None:
    assert css(selector) == expected


def test_a_text_in_any_case() -> None:
    assert css("a:contains('Live it')", any_case=True) == "a:-soup-contains('Live it', 'live it', 'LIVE IT')"
    assert css("a:containsOwn(x1)", any_case=True) == 'a:-soup-contains-own("x1", "X1")'
    assert css("a:contains('it\\'s')", any_case=True) == "a:-soup-contains('it\\'s')"


def test_pseudo_elements_stand_at_each_part_of_a_list() -> None:
    assert css("a, b:is(c, d)", "::html") == "a::html, b:is(c, d)::html"
    assert css("", "::attr(x)") == "::attr(x)"
    assert parts("a, [x=','], :is(b, c)") == ["a", " [x=',']", " :is(b, c)"]


@pytest.mark.parametrize("selector", ["a[href#=x]", "a:matches('^x')", "li:gt(n)", "a >", ""])
def test_selectors_without_an_equal(selector: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        css(selector)


@pytest.mark.parametrize(
    ("selector", "many", "expected"),
    [
        ("array > object", True, ["[]"]),
        ("data > array > object", True, ["data[]"]),
        ("references > object > * > object:has(url)", True, ["references.* | [?url]"]),
        ("object > items", True, ["items[]"]),
        ("title", False, ["title"]),
        ("meta>object>og-title", False, ['meta."og-title"']),
        ("abstract text", False, ["abstract.text", "abstract[].text"]),
        ("list > array > object:first-child > name", False, ["list[] | [0].name"]),
    ],
)
def test_css_over_json(selector: str, many: bool, expected: list[str]) -> None:
    assert jmespath(selector, many=many) == expected


@pytest.mark.parametrize("selector", ["a, b", "a.b", "a + b", "a:not(b)"])
def test_css_over_json_without_an_equal(selector: str) -> None:
    with pytest.raises(ValueError, match="equal"):
        jmespath(selector)
