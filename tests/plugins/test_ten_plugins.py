"""Ten plugin files, right and wrong ones, each beside a config, as somebody writes them who has read the docs only."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pipeline.errors import ConfigError
from pipeline.testing import FakeSite, RunResult

Run = Callable[..., RunResult]
PAGE = (
    "<div><h2>Dune</h2><b>9.50</b></div><div><h2>Emma</h2><b>4.00</b></div><div><h2>Dune</h2><b>9.50</b></div>"
    "<a href=/more>more</a>"
)
MORE = "<div><h2>Ulysses</h2><b>12.00</b></div>"
HEAD = "from pipeline import Drop, Item, OptionError, ParseError, Reply, Request, RunInfo, Secret, hookimpl\n"
FIELDS = {"title": "h2", "price": {"css": "b", "type": "float"}}


@pytest.fixture
def shop(fake_site: FakeSite, run_config: Run) -> Callable[..., RunResult]:
    """`shop(plugin, **config)`: a run over two pages with the plugin file `mine.py`."""
    fake_site.page("/", PAGE)
    fake_site.page("/more", MORE)

    def go(plugin: str, items: bool = True, strict: bool = False, **more: Any) -> RunResult:
        rule = {"items": [{"type": "book", "each": "div", "fields": FIELDS}] if items else [], "follow": ["a"]}
        base = {"plugins": ["./mine.py"], "seeds": [fake_site.url + "/"], "pages": {"all": rule}}
        return run_config({**base, **more}, files={"mine.py": HEAD + plugin}, strict=strict)

    return go


def titles(result: RunResult) -> list[str]:
    return [item["title"] for item in result.items]


def test_1_a_parser_with_a_generator_and_links(shop: Run, fake_site: FakeSite) -> None:
    plugin = """
@hookimpl
def parse(page):
    for div in page.soup.select("div"):
        yield Item("soup", title=div.h2.get_text(), page=page.rule)
    if "third" not in page.url:
        yield Request("/third?x=1", carry={"from": page.url})
    yield {"title": page.carry.get("from", "start")}
"""
    fake_site.page("/third", "<p>")
    result = shop(plugin, items=False)
    result.assert_ok()
    assert [item["title"] for item in result.items_of("soup")] == ["Dune", "Emma", "Dune", "Ulysses"]
    assert {item["title"] for item in result.items_of("item")} == {
        "start",
        f"{fake_site.url}/",
        f"{fake_site.url}/more",
    }


def test_2_a_parser_that_fails_on_one_page(shop: Run) -> None:
    plugin = """
@hookimpl
def parse(page):
    yield Item("first", title="never seen")
    if page.url.endswith("/more"):
        raise ParseError("the layout is another")
    raise_here = {}["key"] if "Emma" not in page.text else None
"""
    result = shop(plugin, checks=["pages.failed <= 100%"])
    result.assert_fate("/more", "failed:parse")
    assert titles(result) == ["never seen", "Dune", "Emma", "Dune"] or "Ulysses" not in titles(result)
    assert not result.summary.plugins["mine"].errors


def test_3_a_filter_with_a_dataclass_of_options(shop: Run) -> None:
    plugin = """
from dataclasses import dataclass, field
from typing import Literal

@dataclass
class Convert:
    rate: float
    to: Literal["EUR", "CHF"] = "EUR"
    skip: list[str] = field(default_factory=list)

    @hookimpl
    def process_item(self, item):
        if item["title"] in self.skip:
            raise Drop("skipped")
        return Item(item.type, {**item, f"price_{self.to.lower()}": round(item["price"] * self.rate, 2)})

@hookimpl
def register(registry):
    registry.filter("convert", Convert)
"""
    result = shop(plugin, filter=[{"convert": {"rate": 2, "skip": ["Emma"]}}])
    assert [item.get("price_eur") for item in result.items] == [19.0, 19.0, 24.0]
    assert result.summary.items.dropped == {"convert: skipped": 1}
    with pytest.raises(ConfigError) as caught:
        shop(plugin, filter=[{"convert": {"rate": "much", "too": "EUR", "skip": [1]}}])
    told = [str(problem) for problem in caught.value.problems]
    assert all(f"test.yaml:{line}:" in text for text in told for line in [text.split(":")[1]])
    assert any("filter.0.convert.rate: convert: expected a number, found 'much'" in text for text in told)
    assert any("unknown option 'too'; did you mean 'to'?" in text for text in told)


def test_4_a_filter_that_is_a_pydantic_model_and_single(shop: Run) -> None:
    plugin = """
from pydantic import BaseModel, Field, PrivateAttr

class Once(BaseModel):
    by: str = Field(min_length=1)
    _seen: set = PrivateAttr(default_factory=set)
    single = True if False else None

    @hookimpl
    def process_item(self, item, page):
        if item[self.by] in self._seen:
            return Drop("again")
        self._seen.add(item[self.by])

@hookimpl
def register(registry):
    Once.single = True
    registry.filter("once", Once)
""".replace("    single = True if False else None\n", "")
    assert titles(shop(plugin, filter=[{"once": "title"}])) == ["Dune", "Emma", "Ulysses"]
    with pytest.raises(ConfigError, match=r"filter\.0\.once.*at least 1 character"):
        shop(plugin, filter=[{"once": {"by": ""}}])


def test_5_a_filter_that_breaks_on_some_items(shop: Run) -> None:
    plugin = """
@hookimpl
def process_item(item, page):
    if item["price"] > 5: return "dear"
    1 / (item["price"] > 5)
"""
    result = shop(plugin, checks=["items >= 0"])
    assert result.items == [] and result.summary.items.dead_lettered == 4
    errors = " ".join(result.summary.plugins["mine"].errors)
    assert "answered 'dear'; expected None" in errors and "ZeroDivisionError" in errors


def test_6_a_store_that_appends_and_one_that_cannot_commit(shop: Run) -> None:
    plugin = """
from pathlib import Path
class Lines:
    def __init__(self, path: Path, broken: bool = False) -> None:
        self.path, self.broken, self.lines = path, broken, []
    @hookimpl
    def store_items(self, items): self.lines += [item["title"] for item in items]
    @hookimpl
    def commit(self, summary):
        if self.broken: raise OSError(28, "No space left on device")
        self.path.write_text(f"{self.lines} {summary.items.stored}")
    @hookimpl
    def abort(self, reason): self.path.with_suffix(".why").write_text(reason)

@hookimpl
def register(registry):
    registry.store("lines", Lines)
"""
    result = shop(plugin, store=[{"lines": "out.txt"}])
    result.assert_ok()
    assert result.read("out.txt") == "['Dune', 'Emma', 'Dune', 'Ulysses'] 4"
    result = shop(plugin, store=[{"lines": {"path": "two.txt", "broken": True}}])
    result.assert_exit(5)
    assert "make room on the disk" in result.summary.errors[0] and not (result.folder / "two.txt").exists()


def test_7_seeds_that_give_nonsense_and_seeds_that_refuse(shop: Run, fake_site: FakeSite) -> None:
    plugin = """
class Pages:
    def __init__(self, names: list[str]) -> None: self.names = names
    @hookimpl
    def seeds(self, run):
        for name in self.names:
            if name == "bad": raise OptionError("bad is no page", path=("names", self.names.index(name)))
            yield Request(name) if name != "text" else name

@hookimpl
def register(registry):
    registry.seeds("pages", Pages)
"""
    url = fake_site.url
    result = shop(plugin, seeds=[url + "/more", {"pages": [url + "/"]}])
    assert sorted(titles(result)) == ["Dune", "Dune", "Emma", "Ulysses"]
    with pytest.raises(ConfigError, match=r"test\.yaml:\d+:\d+: seeds\.0\.pages\.names\.1: pages: bad is no page"):
        shop(plugin, seeds=[{"pages": {"names": [url, "bad"]}}])
    with pytest.raises(Exception, match=r"plugin pages, hook seeds: .*gave 'text'; expected Requests"):
        shop(plugin, seeds=[{"pages": ["text"]}])


def test_8_a_fetcher(shop: Run) -> None:
    plugin = """
class Made:
    def __init__(self, token: Secret, pages: dict[str, str]) -> None: self.token, self.pages = token, pages
    @hookimpl
    def fetch(self, request):
        assert self.token.get_secret_value() == "s3cret"
        path = "/" + request.url.split("/", 3)[3]
        if path not in self.pages: return Reply(status=404)
        return Reply(self.pages[path], headers={"Content-Type": "text/html"})

@hookimpl
def register(registry):
    registry.fetcher("made", Made)
"""
    rule = {
        "fetcher": {
            "made": {"token": "s3cret", "pages": {"/": "<h2>A</h2><a href=/b><a href=/c>", "/b": "<h2>B</h2>"}}
        },
        "items": [{"fields": {"title": "h2"}}],
        "follow": ["a"],
    }
    made = {"seeds": ["http://127.0.0.1:9/"], "fetch": {"robots": {"obey": False}}, "pages": {"p": rule}}
    result = shop(plugin, **made)
    result.assert_ok()
    assert titles(result) == ["A", "B"] and result.fate("/c") == "gone"
    rule["fetcher"] = {"made": {"token": 5, "pages": {"/": 1}, "x": 2}}
    with pytest.raises(ConfigError) as caught:
        shop(plugin, **made)
    assert "s3cret" not in str(caught.value) and "pages.p.fetcher.made.x: made: unknown option 'x'" in str(caught.value)


WRONG = [
    ("@hookimpl\ndef proces_item(item): pass", "'proces_item' is no hook; did you mean 'process_item'?"),
    ("@hookimpl\ndef process_item(item, pge): pass", "there is no argument 'pge'; did you mean 'page'?"),
    (
        "def process_item(item, page): pass",
        "process_item(item, page) is not marked, so it is never called; did you forget",
    ),
    ("@hookimpl\nasync def parse(page): pass", "`async def` is refused"),
    ("@hookimpl\ndef process_item(item): yield item", "it has a `yield`, so calling it runs nothing"),
    ("@hookimpl(tryfirst=True)\ndef parse(page): pass", "the order of plugins in the YAML file is the order of calls"),
    ("import nowhere_at_all", "it needs nowhere_at_all, which is not installed"),
    ("def broken(:", "SyntaxError"),
    ("x = 1", "plugin mine has no hook, so it would do nothing"),
    ("@hookimpl\ndef fetch(request): pass", "only page rules can call for"),
]


@pytest.mark.parametrize(("plugin", "words"), WRONG)
def test_9_plugins_that_are_refused_before_anything_is_requested(
    plugin: str, words: str, shop: Run, fake_site: FakeSite
) -> None:
    with pytest.raises(ConfigError) as caught:
        shop(plugin)
    assert words in str(caught.value) and "test.yaml:" in str(caught.value)
    assert not fake_site.requests


def test_10_a_class_with_all_it_may_have(shop: Run, fake_site: FakeSite) -> None:
    plugin = """
class Plugin:
    def __init__(self, key: str, run: RunInfo) -> None: self.key, self.run, self.seen = key, run, 0
    @hookimpl
    def prepare_request(self, request): request.headers["X-Key"] = self.key
    @hookimpl
    def classify(self, page): return "soft_404" if page.url.endswith("/more") else None
    @hookimpl
    def admit(self, requests, page): return sorted(requests, key=lambda one: one.url)
    @hookimpl
    def process_item(self, item, page): item["run"] = self.run.name
    @hookimpl
    def run_finish(self, run, summary): print("finished", summary.exit_code)
"""
    result = shop(plugin, plugins=[{"./mine.py": {"key": "k"}}])
    result.assert_ok()
    assert [item["run"] for item in result.items] == ["test"] * 3 and result.fate("/more") == "gone"
    fake_site.assert_asked("/", headers={"X-Key": "k"})


# --- several plugins, several processes ------------------------------------------------------------------------------

EVERYWHERE = """
class Base:
    @hookimpl
    def parse(self, page): yield Item("from", who=type(self).__name__)
    @hookimpl
    def process_item(self, item): item["seen"] = [*item.get("seen", []), type(self).__name__]
class Parser(Base): pass
class Filter(Base): pass
class Single(Base): single = True
class Seeds(Base):
    @hookimpl
    def seeds(self, run): return Request(SITE + "/more")
class Store(Base):
    @hookimpl
    def store_items(self, items): pass
class Fetcher(Base):
    @hookimpl
    def fetch(self, request): return Reply("<p>")
@hookimpl
def register(registry):
    registry.parser("a_parser", Parser); registry.filter("a_filter", Filter); registry.filter("a_single", Single)
    registry.seeds("some_seeds", Seeds); registry.store("a_store", Store); registry.fetcher("a_fetcher", Fetcher)
"""


@pytest.mark.parametrize("single", [False, True])
def test_page_hooks_are_called_wherever_their_plugin_is_named(
    single: bool, fake_site: FakeSite, run_config: Run
) -> None:
    config = {
        "plugins": ["./mine.py"],
        "seeds": [fake_site.url + "/", "some_seeds"],
        "pages": {"all": {"fetcher": "a_fetcher"}},
        "fetch": {"robots": {"obey": False}, "private_networks": "allow"},
        "parse": ["a_parser"],
        "filter": ["a_filter", *(["a_single"] if single else [])],
        "store": ["a_store"],
    }
    files = {"mine.py": f"{HEAD}SITE = {fake_site.url!r}\n{EVERYWHERE}"}
    results = [run_config(config, files=files, workers=workers, fresh=True) for workers in (0, 1)]
    names = ["Parser", "Filter", *(["Single"] if single else []), "Store", "Seeds", "Fetcher"]
    for result in results:
        result.assert_ok()
        assert [item["seen"] for item in result.items] == [names] * (2 * len(names))
        assert [item["who"] for item in result.items] == names * 2


def test_an_installed_module_of_hooks_stands_where_it_is_named(
    fake_site: FakeSite, run_config: Run, monkeypatch: Any
) -> None:
    """As with a component: its name under `filter:` is enough."""
    from pipeline.stages import loading

    points = [*loading.installed_points(), loading.Point("stamp", "stamp_of_the_test")]
    monkeypatch.setattr(loading, "installed_points", lambda: points)
    module = types.ModuleType("stamp_of_the_test")
    exec(HEAD + "@hookimpl\ndef process_item(item): item['stamped'] = item['price'] > 5", module.__dict__)
    monkeypatch.setitem(sys.modules, "stamp_of_the_test", module)
    fake_site.page("/", PAGE)
    rule = {"items": [{"each": "div", "fields": FIELDS}]}
    where = {"where": "price > 5"}
    base = {"seeds": [fake_site.url + "/"], "pages": {"all": rule}}
    result = run_config({**base, "filter": [where, "stamp", {"where": "stamped"}]})
    assert [item["stamped"] for item in result.items] == [True, True]
    with pytest.raises(ConfigError, match=r"parse\.0.*registers no parser"):
        run_config({**base, "parse": ["stamp"]})


def test_errors_outside_pages_are_charged_too(shop: Run) -> None:
    plugin = """
@hookimpl
def prepare_request(request):
    if request.url.endswith("/more"): 1 / 0
@hookimpl
def run_finish(run): {}["nothing"]
"""
    result = shop(plugin, checks=["pages.failed <= 100%"])
    result.assert_ok()
    result.assert_fate("/more", "failed:plugin")
    assert sorted(text.partition(":")[0] for text in result.summary.plugins["mine"].errors) == [
        "prepare_request",
        "run_finish",
    ]
    assert any("hook run_finish: KeyError" in note for note in result.summary.notes)


def test_the_first_broken_request_ends_a_strict_run(shop: Run) -> None:
    shop("@hookimpl\ndef prepare_request(request): 1 / 0", strict=True).assert_exit(6)


def test_a_secret_is_never_told(shop: Run, caplog: pytest.LogCaptureFixture) -> None:
    plugin = """
class Plugin:
    def __init__(self, token: Secret, run: RunInfo) -> None:
        self.token = token.get_secret_value()
    @hookimpl
    def prepare_request(self, request):
        if request.url.endswith("/more"): raise ValueError(f"{request.url}?key={self.token}")
    @hookimpl
    def process_item(self, item):
        if item["title"] == "Emma": return Drop(f"no {self.token}")
        raise ValueError(f"refused: {self.token}")
"""
    given = {"plugins": [{"./mine.py": {"token": "very-s3cr3t"}}], "checks": ["pages.failed <= 100%", "items >= 0"]}
    result = shop(plugin, **given)
    told = msgspec.json.encode(result.summary).decode()
    assert "refused: **********" in told and "key=**********" in told and "no **********" in told
    state = (result.folder / ".hookline/test/state.db").read_bytes()
    assert b"very-s3cr3t" not in state and "very-s3cr3t" not in told


def test_what_comes_from_the_environment_is_not_shown(shop: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_RATE", "from-outside")
    plugin = """
class Plugin:
    def __init__(self, rate: float) -> None: pass
    @hookimpl
    def process_item(self, item): pass
"""
    for given in ({"rate": "${SHOP_RATE}"}, "${SHOP_RATE}", {"rate": ["${SHOP_RATE}"]}):
        with pytest.raises(ConfigError, match="expected a number") as caught:
            shop(plugin, plugins=[{"./mine.py": given}])
        assert "from-outside" not in str(caught.value)
