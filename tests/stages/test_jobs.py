"""The page job: what plugins give, what they break, and what becomes of links."""

from __future__ import annotations

import gzip
import json
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any

import msgspec
import pytest
from bs4 import BeautifulSoup

from pipeline.errors import ConfigError
from pipeline.model import PageJob, PageResult, Request
from pipeline.packing import pack, unpack_links
from pipeline.stages.links import RuleBook
from pipeline.stages.values import UnfitError, settled, snapshot
from pipeline.url import fingerprint

RULES: dict[str, dict[str, Any]] = {"product": {"match": "/p/**"}, "list": {"match": "/l/**"}}


def job(url: str = "http://x/l/a", body: bytes = b"<a href=1>x</a>", **more: Any) -> PageJob:
    fields: dict[str, Any] = {"headers": [("Content-Type", "text/html")], "rule": "list", "carry": {}}
    return PageJob(url=url, status=200, body=body, **{**fields, **more})


def run(shop: Any, *plugins: str, rules: Any = RULES, page: PageJob | None = None, **sections: Any) -> PageResult:
    """One page through plugins `p0.py`, `p1.py` ... of these sources."""
    names = []
    for number, source in enumerate(plugins):
        shop.write(f"p{number}.py", source)
        names.append(f"p{number}.py")
    host = shop.load(plugins=names, **sections)
    result = host.page_runner(RuleBook(rules))(page or job())
    return msgspec.msgpack.decode(msgspec.msgpack.encode(result), type=PageResult)  # it must be able to travel


def parse(body: str) -> str:
    return f"@hookimpl\ndef parse(page): {body}\n"


def process(body: str) -> str:
    return f"@hookimpl\ndef process_item(item, page): {body}\n"


THREE = parse("yield Item('book', n=1); yield Item('book', n=2); yield Item('film', n=3)")


# --- classify --------------------------------------------------------------------------------------------------------


def test_the_first_verdict_counts_and_only_ok_is_parsed(shop: Any) -> None:
    silent = "@hookimpl\ndef classify(page): return None\n"
    login = "@hookimpl\ndef classify(): return 'login'\n"
    never = "@hookimpl\ndef classify(): raise RuntimeError\n"
    result = run(shop, silent, login, never, THREE)
    assert (result.verdict, result.items, result.fault) == ("login", [], None)
    assert run(shop, silent, THREE).verdict == "ok"


@pytest.mark.parametrize("answer", ["'fine'", "1", "['ok']", "Drop('x')"])
def test_a_verdict_that_is_none(shop: Any, answer: str) -> None:
    fault = run(shop, f"@hookimpl\ndef classify(page): return {answer}\n", THREE).fault
    assert fault is not None
    assert (fault.plugin, fault.hook) == ("p0", "classify")
    assert "expected one of ok, blocked, soft_404, login, or None" in fault.message


# --- parse -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "items", "links"),
    [
        ("return None", [], 0),
        ("return []", [], 0),
        ("return {'a': 1}", [("item", {"a": 1})], 0),
        ("return Item('book', a=1)", [("book", {"a": 1})], 0),
        ("return Request('/p/1')", [], 1),
        ("return Links(['/p/1', '/p/2', '/p/1'])", [], 2),
        ("yield Links([]); yield Links(['/p/1'], page='list'); yield Request('/p/1')", [], 2),
        ("return [Item(a=1), None, Request('/p/1')]", [("item", {"a": 1})], 1),
        ("yield {'a': 1}; yield Item('b'); yield Request('/p/1')", [("item", {"a": 1}), ("b", {})], 1),
        ("return ({'n': n} for n in range(2))", [("item", {"n": 0}), ("item", {"n": 1})], 0),
        ("return Rows('b', {'n': [0, None]})", [("b", {"n": 0}), ("b", {"n": None})], 0),
        ("yield {}; yield Rows('b', {'n': [2]}); yield {}", [("item", {}), ("b", {"n": 2}), ("item", {})], 0),
        ("yield Rows('b', {}); c = {'a': []}; yield Rows('b', c); c['a'].append(1)", [], 0),
    ],
)
def test_what_parse_may_give(shop: Any, body: str, items: list[Any], links: int) -> None:
    result = run(shop, parse(body))
    assert result.fault is None
    assert [(item.type, item.fields) for item in result.items] == items
    assert (result.extracted, len(result.links)) == (len(items), links)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 3", "answered 3; expected Items, dicts, Rows, Requests and Links, or None"),
        ("return 'text'", "answered 'text'"),
        ("yield {}; yield 3", "gave 3; expected Items, dicts, Rows, Requests and Links"),
        ("yield {}; 1 / 0", "ZeroDivisionError: division by zero ({folder}/p0.py:3)"),
        ("raise SystemExit('out')", "SystemExit: out"),
        ("yield {}; raise Drop('all of it')", "Drop: all of it"),
        ("return parse(page)", "RecursionError: maximum recursion depth exceeded"),
        ("raise ValueError('\\ud800')", "ValueError: ?"),
        ("i = Item(); i.type = []; yield i", "the type of an Item is [], not a text"),
        ("yield Request('/p/1', page='prodct')", "there is no page rule 'prodct'; did you mean 'product'?"),
        ("yield Request(None)", "the URL of a Request is None, not a text"),
        ("yield Links(['/p/1'], page='prodct')", "there is no page rule 'prodct'; did you mean 'product'?"),
        ("yield Links(['/p/1', 3])", "the URLs of a Links are ['/p/1', 3], not a list of texts"),
        ("yield Links('/p/1')", "the URLs of a Links are '/p/1', not a list of texts"),
        ("yield Rows('b', {'a': [1], 'b': []})", "expected lists with a value for each row"),
        ("yield Rows('b', {'a': 'xy'})", "the columns of a Rows are {'a': 'xy'}; expected lists"),
        ("yield Rows('b', ['a'])", "expected Rows(type, columns): a text, and lists by field"),
        ("yield Rows(None, {'a': [1]})", "expected Rows(type, columns): a text, and lists by field"),
        ("yield Request('/p/', body='x')", "the body is 'x', not bytes"),
        ("yield Request('/p/', carry={'x': object})", "carry: x is a builtins.type, which cannot be stored"),
        ("yield Request('/p/', method='GET /')", "the method is 'GET /'"),
        ("yield Request('/p/', headers={'A': 1})", "names and values of headers must be text"),
        ("yield Request('/p/', priority='high')", "the priority is 'high', not a whole number"),
        ("yield Request('/p/', priority=2**63)", "the priority is 9223372036854775808, not a whole number of 64 bits"),
    ],
)
def test_what_fails_the_page(shop: Any, body: str, said: str) -> None:
    result = run(shop, parse(body), THREE)
    assert result.fault is not None
    assert (result.fault.plugin, result.fault.hook, result.fault.fate) == ("p0", "parse", "failed:plugin")
    assert said.replace("{folder}", str(shop.folder)) in result.fault.message
    assert (result.items, result.links, result.dead, result.extracted) == ([], [], [], 0)
    assert "p0" in result.seconds


def test_a_traceback_tells_the_way(shop: Any) -> None:
    fault = run(shop, "def deep(): return {}['k']\n" + parse("return deep()")).fault
    assert fault is not None
    assert "p0.py:2)" in fault.message
    assert "in parse" in fault.traceback
    assert "return {}['k']" in fault.traceback


def test_keyboard_interrupt_gets_through(shop: Any) -> None:
    for source in (parse("raise KeyboardInterrupt"), THREE + process("raise KeyboardInterrupt")):
        with pytest.raises(KeyboardInterrupt):
            run(shop, source)


def test_a_parse_error_is_the_pages_fault(shop: Any) -> None:
    fault = run(shop, parse("raise ParseError('no price')")).fault
    assert fault is not None
    assert fault.fate == "failed:parse"


def test_several_parsers_are_put_together_in_order(shop: Any) -> None:
    result = run(shop, parse("yield {'n': 1}"), parse("yield {'n': 2}"))
    assert [(item.fields["n"], item.position, item.rule) for item in result.items] == [(1, 0, -1), (2, 1, -1)]


# --- process_item ----------------------------------------------------------------------------------------------------


def test_the_chain_keeps_replaces_and_drops(shop: Any) -> None:
    result = run(
        shop,
        THREE,
        process("item['page'] = page.url"),
        process("return Item('kept', item, extra=item['n']) if item['n'] == 1 else None"),
        process("return Drop('two') if item['n'] == 2 else None"),
        "@hookimpl\ndef process_item(item):\n    if item['n'] == 3: raise Drop('three')\n",
    )
    assert [(item.type, item.fields) for item in result.items] == [
        ("kept", {"n": 1, "page": "http://x/l/a", "extra": 1})
    ]
    assert result.dropped == {"p3: two": 1, "p4: three": 1}
    assert (result.extracted, result.dead) == (3, [])


FILTERS = """
class Tag:
    def __init__(self, word: str = "t"): self.word = word
    @hookimpl
    def process_item(self, item): item[self.word] = True
@hookimpl
def register(registry): registry.filter("tag", Tag)
"""


LARGE = [
    ("{'text': 'x' * 100_000_000}", "it has 100,000,000 characters; 1,048,576 are the most that an item may have"),
    ("{'texts': ['x' * 1000] * 1100}", "it has 1,100,000 characters"),
    ("{f'f{n}': 'x' * 999_999 for n in range(2)}", "it has 1,999,998 characters"),
    ("{'ünique': 'x' * 1_048_577}", "it has 1,048,577 characters"),
    ("{'map': {f'f{n}': 'x' * 100 for n in range(11_000)}}", "it has 1,"),
    ("{f'f{n}': n for n in range(100_000)}", "it has 100,000 fields; 500 are the most that an item may have"),
    ("{'deep': deep(10_000)}", "deep is nested more than 20 deep, or holds itself"),
]


@pytest.mark.parametrize(("fields", "said"), LARGE)
@pytest.mark.parametrize("filtered", [False, True])
def test_an_item_that_is_too_large_is_a_dead_letter_of_its_page(
    shop: Any, fields: str, said: str, filtered: bool
) -> None:
    """The page keeps its other items, and no plugin is charged for what a page gave."""
    shop.write(
        "p.py",
        "def deep(n):\n    inner = []\n    for _ in range(n): inner = [inner]\n    return inner\n"
        f"@hookimpl\ndef parse(page): return [Item('a', {{'n': 1}}), Item('b', {fields}), Item('a', {{'n': 2}})]\n",
    )
    shop.write("f.py", "@hookimpl\ndef process_item(item): pass\n")
    result = shop.load(plugins=["p.py", *(["f.py"] if filtered else [])]).run_page(job())
    assert [item.fields for item in result.items] == [{"n": 1}, {"n": 2}]
    (dead,) = result.dead
    assert dead.fault.message.startswith(said)
    assert (dead.fault.plugin, dead.fault.fate) == ("p", "failed:parse")
    assert len(dead.fields) < 21_000


@pytest.mark.parametrize(
    "fields",
    [
        "{'text': 'x' * 1_048_576}",
        "{f'f{n}': 'x' * 900 for n in range(500)}",
        "{'map': {'a': [{'b': ['c'] * 1000}] * 3}}",
    ],
)
def test_an_item_of_the_most_that_one_may_have(shop: Any, fields: str) -> None:
    shop.write("p.py", f"@hookimpl\ndef parse(page): return Item('b', {fields})\n")
    result = shop.load(plugins=["p.py"]).run_page(job())
    assert len(result.items) == 1 and not result.dead


HOSTILE = [
    ("class V(int):\n    def __str__(self): raise SystemExit", "V(3)", None),
    ("class V(str):\n    def isascii(self): 1 / 0\n    def encode(self, *_): raise MemoryError", "V('x')", None),
    ("class V(dict):\n    def items(self): raise SystemExit", "V(x=1)", "SystemExit"),
    ("class V(dict):\n    def __iter__(self): 1 / 0\n    keys = items = __iter__", "V(x=1)", "ZeroDivisionError"),
    ("class V(list):\n    def __iter__(self): raise GeneratorExit", "V('x')", "GeneratorExit"),
    ("class V:\n    def __repr__(self): raise SystemExit", "V()", "V"),
]


@pytest.mark.parametrize(("code", "value", "said"), HOSTILE)
@pytest.mark.parametrize("filtered", [False, True])
def test_a_value_that_does_not_let_itself_be_read_costs_its_item_alone(
    shop: Any, code: str, value: str, said: str | None, filtered: bool
) -> None:
    shop.write(
        "p.py", f"{code}\n@hookimpl\ndef parse(page): return [Item('a', {{'n': 1}}), Item('b', {{'v': {value}}})]\n"
    )
    shop.write("f.py", "@hookimpl\ndef process_item(item): pass\n")
    result = shop.load(plugins=["p.py", *(["f.py"] if filtered else [])]).run_page(job())
    assert result.fault is None and result.items[0].fields == {"n": 1}
    if said is None:  # it can be read as what it is a kind of
        assert type(result.items[1].fields["v"]) in (int, str) and not result.dead
    else:
        (dead,) = result.dead
        assert said in dead.fault.message and dead.fault.fate == "failed:plugin" and dead.fault.plugin == "p"


def test_a_verdict_is_a_plain_text(shop: Any) -> None:
    shop.write(
        "p.py",
        "class Any(str):\n    __hash__ = str.__hash__\n    def __eq__(self, other): return True\n"
        "@hookimpl\ndef classify(page): return Any(page.body.decode())\n",
    )
    host = shop.load(plugins=["p.py"])
    good, bad = host.run_page(job(body=b"soft_404")), host.run_page(job(body=b"anything"))
    assert (good.verdict, type(good.verdict)) == ("soft_404", str)
    assert bad.fault is not None and "answered 'anything'; expected one of ok" in bad.fault.message


def test_items_route_by_type_as_they_are_then(shop: Any) -> None:
    shop.write("f.py", FILTERS)
    shop.write("r.py", "@hookimpl\ndef process_item(item): return Item('film', item) if item['n'] == 1 else None\n")
    shop.write("p.py", THREE)
    filters = [{"tag": {"word": "early", "items": "film"}}, "r", {"tag": {"word": "late", "items": "film"}}]
    host = shop.load(plugins=["f.py", "r.py", "p.py"], filter=filters)
    found = [(item.fields["n"], "early" in item.fields, "late" in item.fields) for item in host.run_page(job()).items]
    assert found == [(1, False, True), (2, False, False), (3, True, True)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return {'n': 2}", "answered {'n': 2}; expected None (the item, changed in place or not), an Item or a Drop"),
        ("return True", "answered True"),
        ("return Drop", "answered <class 'pipeline.model.Drop'>"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(1)", "SystemExit: 1"),
        ("item['x'] = {1, 2}", "x is a builtins.set, which cannot be stored: {1, 2}"),
        ("item['x'] = float('nan')", "x is nan, which JSON cannot say"),
        ("item['x'] = '\\ud800'", "x has a lone surrogate"),
        ("item['x'] = [item]", "x is nested more than 20 deep, or holds itself"),
        ("item['x'] = {'a': [b'']}", "x['a'][0] is a builtins.bytes"),
        ("item[3] = 1", "the name 3 is no text"),
        ("item['x'] = 2 ** 70", "x is a whole number beyond 64 bits"),
        ("item.type = None", "the item's type is None, not a text"),
    ],
)
def test_an_item_that_breaks_is_kept_as_it_was_and_the_next_go_on(shop: Any, body: str, said: str) -> None:
    change = process("item['n'] += 10; item['tags'].append('new')")
    guarded = f"@hookimpl\ndef process_item(item):\n    if item['n'] == 12:\n        {body}\n"
    two = parse("yield Item('book', n=2, tags=['old']); yield Item('book', n=3, tags=[])")
    result = run(shop, two, change, guarded)
    assert result.fault is None
    assert [item.fields["n"] for item in result.items] == [13]
    (letter,) = result.dead
    assert said in letter.fault.message
    assert (letter.fault.plugin, letter.fault.hook) == ("p2", "process_item")
    assert (letter.type, json.loads(letter.fields)) == ("book", {"n": 2, "tags": ["old"]})


def test_who_made_what_cannot_be_stored(shop: Any) -> None:
    bad = parse("yield Item('book', x=object()); yield Item('book', x=1)")
    keep = process("pass")
    (letter,) = run(shop, bad, keep, keep).dead
    assert (letter.fault.plugin, letter.fault.hook) == ("p0", "parse")
    assert letter.fields.startswith("{'x': <object object at")
    replaced = run(shop, THREE, process("item['y'] = 1"), process("return Item('b', x=set())"), process("return None"))
    assert {letter.fault.plugin for letter in replaced.dead} == {"p3"}  # the first page can only guess, and says so
    assert "put there by one of: p2, p3" in replaced.dead[0].fault.message


def test_from_the_second_page_on_the_right_one_is_charged(shop: Any) -> None:
    shop.write("a.py", THREE)
    shop.write("b.py", process("item['x'] = set()"))
    shop.write("c.py", process("pass"))
    runner = shop.load(plugins=["a.py", "b.py", "c.py"]).page_runner(RuleBook(RULES))
    assert {letter.fault.plugin for letter in runner(job()).dead} == {"c"}
    assert {letter.fault.plugin for letter in runner(job()).dead} == {"b"}


def test_missing_values_are_counted(shop: Any) -> None:
    result = run(shop, parse("yield Item('b', a=None, c=0); yield Item('b', a=None); yield Item('f', a=1)"))
    assert result.missing == {"b.a": 2}


def test_every_extracted_item_is_accounted_for(shop: Any) -> None:
    body = "\n".join(
        [
            "@hookimpl",
            "def process_item(item):",
            "    if item['n'] % 3 == 0: return Drop('x')",
            "    if item['n'] % 5 == 0: raise ValueError",
        ]
    )
    result = run(shop, parse("return [Item(n=n) for n in range(100)]"), body)
    assert result.extracted == 100 == len(result.items) + sum(result.dropped.values()) + len(result.dead)


# --- links -----------------------------------------------------------------------------------------------------------


def links(result: PageResult) -> list[tuple[str, str | None]]:
    assert result.fault is None
    return [(request.url, request.page) for request in requests_of(result)]


def requests_of(result: PageResult) -> list[Request]:
    return unpack_links(pack(result).links)


def test_links_are_resolved_against_the_page_and_get_a_rule(shop: Any) -> None:
    source = parse(
        "return [Request(url) for url in ('b', '../p/1#top', '/p/2', 'http://Y:80/l/', 'mailto:a@b', '?q=1', '//z/')]"
    )
    expected = [
        ("http://x/l/b", "list"),
        ("http://x/p/1", "product"),
        ("http://x/p/2", "product"),
        ("http://y/l/", "list"),
        ("mailto:a@b", None),
        ("http://x/l/a?q=1", "list"),
        ("http://z/", None),
    ]
    assert links(run(shop, source)) == expected
    based = run(shop, parse("yield Request('b')"), page=job(body=b"<base href='/p/'>"))
    assert links(based) == [("http://x/p/b", "product")]


def test_references_mean_on_each_page_what_they_mean_there(shop: Any) -> None:
    shop.write("a.py", parse("return [Request(u) for u in ('/p/1', 'q', '//h/p/', '?x', 'http://x/p/', 'https:r')]"))
    runner = shop.load(plugins=["a.py"]).page_runner(RuleBook(RULES))
    found = [
        [url for url, _ in links(runner(job(url)))]
        for url in ("http://a/l/", "https://a/l/m/", "http://b:8080/", "http://a/l/", "http://u@a/z")
    ]
    assert found == [
        ["http://a/p/1", "http://a/l/q", "http://h/p/", "http://a/l/?x", "http://x/p/", "https://r/"],
        ["https://a/p/1", "https://a/l/m/q", "https://h/p/", "https://a/l/m/?x", "http://x/p/", "https://a/l/m/r"],
        ["http://b:8080/p/1", "http://b:8080/q", "http://h/p/", "http://b:8080/?x", "http://x/p/", "https://r/"],
        ["http://a/p/1", "http://a/l/q", "http://h/p/", "http://a/l/?x", "http://x/p/", "https://r/"],
        ["http://u@a/p/1", "http://u@a/q", "http://h/p/", "http://u@a/z?x", "http://x/p/", "https://r/"],
    ]


def test_what_a_new_request_knows(shop: Any) -> None:
    source = parse(
        "yield Request('/p/1', page='list', method='post', body=b'x', carry={'r': 5}, priority=7, depth=99,"
        " seed=True, hops=('a',), rule_limit=('f', 3))"
    )
    result = run(shop, source)
    (request,) = requests_of(result)
    assert (request.page, request.method, request.priority, request.rule_limit) == ("list", "POST", 7, ("f", 3))
    assert (request.depth, request.parent, request.seed, request.hops) == (0, None, False, ()), "the run's, not its own"
    assert result.marks[0] == fingerprint("POST", "http://x/p/1", b"x", "list", {"r": 5})


def test_equal_links_come_once_and_are_counted(shop: Any) -> None:
    source = parse(
        "return [Request(u) for u in ('/p/1', '../p/1', '/p/1#x', 'http://[', '/p/2')]"
        " + [Request('/p/1', page='list'), Request('/p/1', page='product'), Request('/p/1', carry={'a': 1})]"
    )
    result = run(shop, source)
    assert links(result) == [
        ("http://x/p/1", "product"),
        ("http://x/p/2", "product"),
        ("http://x/p/1", "list"),
        ("http://x/p/1", "product"),
    ]
    assert (result.links_found, result.bad_links) == (7, 1)
    assert len(set(result.marks)) == 4


def test_the_fingerprint_is_that_of_the_request(shop: Any) -> None:
    source = parse("return [Request(u) for u in ('/p/1', 'b', 'ftp://x/')] + [Request('/p/9', page='list')]")
    result = run(shop, source)
    for request, mark in zip(requests_of(result), result.marks, strict=True):
        assert mark == fingerprint(request.method, request.url, request.body, request.page, request.carry)


def test_a_plugin_may_use_a_request_again(shop: Any) -> None:
    shop.write("a.py", "AGAIN = Request('x')\n" + parse("return AGAIN"))
    runner = shop.load(plugins=["a.py"]).page_runner(RuleBook(RULES))
    first, second = runner(job("http://a/l/")), runner(job("http://b/p/"))
    assert links(first) + links(second) == [("http://a/l/x", "list"), ("http://b/p/x", "product")]


def test_urls_are_normalised_by_the_rules_given(shop: Any) -> None:
    shop.write("a.py", parse("return [Request('/p/1?utm=3'), Request('/p/1')]"))
    book = RuleBook(RULES, lambda url: url.partition("?")[0])
    assert links(shop.load(plugins=["a.py"]).page_runner(book)(job())) == [("http://x/p/1", "product")]


# --- admit -----------------------------------------------------------------------------------------------------------

FOUR = parse("return [Request(u) for u in ('/p/1', 'http://[', 'b', '/p/1')]")


def test_admit_edits_the_list(shop: Any) -> None:
    edit = (
        "@hookimpl\ndef admit(requests, page):\n    assert all(r.url.startswith('http://x/') for r in requests)\n"
        "    requests[:] = [r for r in requests if not r.url.endswith('b')]\n    requests.append(Request('added'))\n"
    )
    replace = "@hookimpl\ndef admit(requests): return requests[::-1]\n"
    result = run(shop, FOUR, edit, replace)
    assert links(result) == [("http://x/l/added", "list"), ("http://x/p/1", "product")]
    assert (result.links_found, result.bad_links) == (3, 1)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 3", "answered 3; expected a list of Requests"),
        ("return iter(requests)", "expected a list of Requests, or None"),
        ("requests.append('http://y/')", "left 'http://y/' in the list; expected Requests"),
        ("requests[0].page = 'nope'", "there is no page rule 'nope'"),
        ("raise ValueError('x')", "ValueError: x"),
    ],
)
def test_admit_that_fails_the_page(shop: Any, body: str, said: str) -> None:
    result = run(shop, FOUR + "", f"@hookimpl\ndef admit(requests, page): {body}\n", THREE)
    assert result.fault is not None
    assert (result.fault.plugin, result.fault.hook) == ("p1", "admit")
    assert said in result.fault.message
    assert (result.items, result.links) == ([], [])


def test_admit_is_not_called_without_links(shop: Any) -> None:
    assert run(shop, THREE, "@hookimpl\ndef admit(requests): 1 / 0\n").fault is None


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_body_is_decoded_for_the_page(shop: Any) -> None:
    headers = [("Content-Type", "text/html"), ("Content-Encoding", "gzip")]
    source = parse("return {'title': page.css('h1')[0].text, 'carry': dict(page.carry), 'run': page.run.id}")
    page = job(body=gzip.compress(b"<h1>Hi</h1>"), headers=headers, carry={"r": 1})
    assert run(shop, source, page=page).items[0].fields == {"title": "Hi", "carry": {"r": 1}, "run": "r1"}
    broken = run(shop, source, page=job(body=gzip.compress(b"<h1>Hi</h1>" * 99)[:-9], headers=headers)).fault
    assert broken is not None
    assert (broken.fate, broken.plugin) == ("failed:decode", "")
    runner = shop.load(plugins=["p0.py"]).page_runner(RuleBook(RULES), max_body=10)
    large = runner(job(body=b"x" * 11)).fault
    assert large is not None
    assert large.fate == "failed:too_large"


def test_start_requests_are_resolved(shop: Any) -> None:
    book = RuleBook({**RULES, "rest": {"match": None}})
    resolved = book.resolve(Request("HTTP://X:80/p/1#a", method="post", seed=True))
    assert (resolved.url, resolved.page, resolved.method, resolved.seed) == ("http://x/p/1", "product", "POST", True)
    assert book.resolve(Request("http://x/", page="list")).page == "list"
    assert book.resolve(Request("http://x/")).page == "rest"
    for request, said in ((Request("x"), "is no URL"), (Request("http://x/", page="lst"), "did you mean 'list'?")):
        with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
            book.resolve(request)


# --- values ----------------------------------------------------------------------------------------------------------


class Size(IntEnum):
    BIG = 3


class OwnDate(datetime):
    pass


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (BeautifulSoup("<b>x</b>", "html.parser").b.string, "x"),  # type: ignore[union-attr]
        (Size.BIG, 3),
        (OwnDate(2026, 1, 2), datetime(2026, 1, 2)),
        ((1, 2), [1, 2]),
        ({"a": (True, None)}, {"a": [True, None]}),
        (Decimal("1.50"), Decimal("1.50")),
        (date(2026, 1, 2), date(2026, 1, 2)),
        ("héllo", "héllo"),
        (-(2**63), -(2**63)),
    ],
)
def test_values_become_plain(value: Any, plain: Any) -> None:
    found = settled({"x": value})["x"]
    assert (found, type(found)) == (plain, type(plain))
    assert msgspec.json.encode(found)


@pytest.mark.parametrize("value", [Decimal("NaN"), float("inf"), 2**64, object(), b"", {1: 2}, {"\ud800": 1}, [[b""]]])
def test_values_that_cannot_be_stored(value: Any) -> None:
    with pytest.raises(UnfitError):
        settled({"é": value})


def test_a_snapshot_is_out_of_reach() -> None:
    item = {"a": [1, {"b": {2}}], "c": "x", "d": (1, [2])}
    kept = snapshot(item)
    item["a"][1]["b"].add(3)  # type: ignore[index]
    item["d"][1].append(3)  # type: ignore[union-attr, index]
    item["c"] = "y"
    assert kept == {"a": [1, {"b": {2}}], "c": "x", "d": [1, [2]]}
