"""What the engine asks of a host: run hooks, seeds, requests before they are sent, filters at publish, stores."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.errors import ConfigError, PluginError, StorageError
from pipeline.model import DeadLetter, Drop, Item, PageJob, Request
from pipeline.stages.host import Use
from pipeline.stages.loading import installed_points
from pipeline.stages.stores import BoundStore


class Facts(NamedTuple):
    """A page as the open run remembers it."""

    url: str = "http://x/"
    rule: str = "r"
    status: int = 200
    carry: dict[str, Any] = {}  # noqa: RUF012


# --- run_start, run_finish, seeds ------------------------------------------------------------------------------------


def test_run_hooks_are_called_in_order_and_get_what_they_name(shop: Any) -> None:
    log: list[Any] = []
    for name in ("b", "a"):
        shop.write(
            f"{name}.py",
            f"""
            log = []
            @hookimpl
            def run_start(run): run.log.calls.append(("{name}", run.id))
            @hookimpl
            def run_finish(summary, run): run.log.calls.append(("{name}", summary))
            """,
        )
    shop.run.log.calls = log
    host = shop.load(plugins=["b.py", "a.py"])
    host.run_start(shop.run)
    assert host.run_finish(shop.run, "sum") == []
    assert log == [("b", "r1"), ("a", "r1"), ("b", "sum"), ("a", "sum")]
    assert set(host.seconds) == {"a", "b"}


def test_only_ours_is_a_host_without_code_of_others(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write("a.py", "STARTED = True\n\n@hookimpl\ndef register(registry): pass\n")
    shop.write("shop_of_others.py", "@hookimpl\ndef process_item(item): pass\n")
    monkeypatch.syspath_prepend(shop.folder)
    shop.entry_point("others", "shop_of_others")
    shop.points.extend(installed_points())
    assert shop.load(rules={"list": {"follow": [{"css": "a"}]}}).only_ours
    assert not shop.load(plugins=["a.py"]).only_ours  # gives nothing, and has been imported
    assert not shop.load(filter=["others"]).only_ours


def test_a_failing_start_stops_a_failing_finish_does_not(shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    shop.write("a.py", "@hookimpl\ndef run_start(): 1 / 0\n@hookimpl\ndef run_finish(): raise SystemExit('bye')\n")
    shop.write("b.py", "@hookimpl\ndef run_finish(run): run.log.told = True\n")
    host = shop.load(plugins=["a.py", "b.py"])
    with pytest.raises(PluginError, match=r"plugin a, hook run_start: ZeroDivisionError: .*a\.py:3\)"):
        host.run_start(shop.run)
    (fault,) = host.run_finish(shop.run, None)
    assert (fault.plugin, fault.hook) == ("a", "run_finish")
    assert "SystemExit: bye" in caplog.text
    assert shop.run.log.told


def test_seeds_are_collected_from_lists_and_generators(shop: Any) -> None:
    shop.write("a.py", "@hookimpl\ndef seeds(run): return [Request('http://a/', page='own')]\n")
    shop.write("b.py", "@hookimpl\ndef seeds(): yield Request('http://b/')\n")
    shop.write("c.py", "@hookimpl\ndef seeds(): return None\n")
    shop.write(
        "d.py",
        """
        class P:
            @hookimpl
            def seeds(self): yield Request("http://d/")
        @hookimpl
        def register(registry): registry.seeds("d", P)
        """,
    )
    shop.write("e.py", "@hookimpl\ndef seeds(): return Request('http://e/')\n")
    host = shop.load(
        rules={"product": {}, "own": {}},
        plugins=["a.py", "b.py", "c.py", "d.py", "e.py"],
        seeds=[Use("d", None, ("seeds", 0, "d"), page="product")],
    )
    found = [(request.url, request.page) for request in host.seeds(shop.run)]
    assert found == [("http://d/", "product"), ("http://a/", "own"), ("http://b/", None), ("http://e/", None)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 'http://a/'", "answered 'http://a/'; expected Requests"),
        ("return 5", "answered 5; expected Requests"),
        ("yield Request('/a')", "gave a Request for '/a', which is no URL"),
        ("yield Request('http://a/', page='nope')", "there is no page rule 'nope'"),
        ("yield Request('http://a/', body='text')", "the body is 'text', not bytes"),
        ("yield Request('http://a/', carry={'a': object()})", "carry: a is a builtins.object"),
        ("yield Item()", r"gave Item\(\{\}, type='item'\); expected Requests"),
        ("yield Request('http://a/'); 1 / 0", "ZeroDivisionError"),
    ],
)
def test_seeds_that_fail(shop: Any, body: str, said: str) -> None:
    shop.write("a.py", f"@hookimpl\ndef seeds(run): {body}\n")
    with pytest.raises(PluginError, match=f"plugin a, hook seeds: .*{said}"):
        list(shop.load(plugins=["a.py"]).seeds(shop.run))


def test_an_option_that_turns_out_wrong_later_is_told_at_its_line(shop: Any) -> None:
    shop.write(
        "a.py", "@hookimpl\ndef seeds(run): raise OptionError('line 3 is no URL', path=('path',), hint='fix it')\n"
    )
    host = shop.load(plugins=["a.py"])
    with pytest.raises(
        ConfigError, match=r"config\.yaml:1:4: plugins\.0\.\"a\.py\"\.path: a: line 3 is no URL; fix it"
    ):
        list(host.seeds(shop.run))


# --- prepare_request -------------------------------------------------------------------------------------------------


def test_prepare_request_is_a_chain_over_a_copy(shop: Any) -> None:
    shop.write("a.py", "@hookimpl\ndef prepare_request(request): request.headers['A'] = '1'\n")
    shop.write(
        "b.py",
        """
        @hookimpl
        def prepare_request(request): return Request(request.url, headers={**request.headers, "B": "2"})
        """,
    )
    request = Request("http://x/", headers={"H": "0"})
    prepared = shop.load(plugins=["a.py", "b.py"]).prepare_request(request)
    assert prepared.headers == {"H": "0", "A": "1", "B": "2"}
    assert request.headers == {"H": "0"}
    assert shop.load().prepare_request(request) is not request


@pytest.mark.parametrize("body", ["raise ValueError('no')", "return 3", "return 'http://x/'"])
def test_prepare_request_that_fails(shop: Any, body: str) -> None:
    shop.write("a.py", f"@hookimpl\ndef prepare_request(request): {body}\n")
    with pytest.raises(PluginError, match="plugin a, hook prepare_request"):
        shop.load(plugins=["a.py"]).prepare_request(Request("http://x/"))


def test_a_slow_prepare_request_is_remembered(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write("a.py", "@hookimpl\ndef prepare_request(request): pass\n")
    host = shop.load(plugins=["a.py"])
    ticks = iter([0.0, 0.2, 1.0, 1.06])
    monkeypatch.setattr("pipeline.stages.host.perf_counter", lambda: next(ticks))
    host.prepare_request(Request("http://x/"))
    host.prepare_request(Request("http://x/"))
    assert host.slow == {"a": pytest.approx(0.2)}


# --- at publish ------------------------------------------------------------------------------------------------------

SINGLE = """
class Numbered:
    single = True
    def __init__(self): self.n = 0
    @hookimpl
    def process_item(self, item, page):
        self.n += 1
        item["n"] = self.n
        item["of"] = [page.url, page.rule, page.status, dict(page.carry)]
class Before:
    @hookimpl
    def process_item(self, item): item["before"] = True
class After:
    @hookimpl
    def process_item(self, item, page):
        if item["n"] == 2: return Drop("second")
        if item["n"] == 3: page.soup
        return Item("other", item) if item["n"] == 4 else None
@hookimpl
def register(registry):
    for kind in (Numbered, Before, After):
        registry.filter(kind.__name__.lower(), kind)
@hookimpl
def process_item(item): item["last"] = True
"""


def test_a_single_filter_and_all_after_it_run_at_publish(shop: Any) -> None:
    shop.write("s.py", SINGLE)
    host = shop.load(plugins=["s.py"], filter=["before", "numbered", "after"])
    assert [(entry["plugin"], entry["at"]) for entry in host.describe()["process_item"]] == [
        ("before", ""),
        ("numbered", "publish"),
        ("after", "publish"),
        ("s", "publish"),
    ]
    items = [Item("book", {"title": name}) for name in "abcd"]
    items[3].rule = 2
    facts = Facts(carry={"x": 1})
    first, second, third, fourth = [answer for _, answer in host.publish_chain((facts, item) for item in items)]
    assert first == {"title": "a", "n": 1, "of": ["http://x/", "r", 200, {"x": 1}], "last": True}
    assert isinstance(second, Drop)
    assert second.reason == "after: second"
    assert isinstance(third, DeadLetter)
    assert "page.soup is not there at publish: this filter says `single = True`" in third.fault.message
    assert (third.fault.plugin, third.fields) == ("after", '{"title":"c"}')
    assert isinstance(fourth, Item)
    assert (fourth.type, fourth.rule, fourth["n"]) == ("other", 2, 4)


def test_each_publish_begins_anew(shop: Any) -> None:
    shop.write("s.py", SINGLE)
    host = shop.load(plugins=["s.py"], filter=["numbered"])
    for _ in range(3):
        chain = host.single_chain()
        answer = chain(Item("book"), Facts())
        assert isinstance(answer, Item)
        assert answer["n"] == 1


def test_without_single_filters_nothing_runs_at_publish(shop: Any) -> None:
    shop.write("s.py", SINGLE)
    host = shop.load(plugins=["s.py"], filter=["before"])
    assert host.single_chain() is None
    item = Item("book")
    assert list(host.publish_chain([(Facts(), item)])) == [(Facts(), item)]


# --- stores ----------------------------------------------------------------------------------------------------------


def test_stores_are_bound_with_their_entry(shop: Any) -> None:
    shop.write(
        "st.py",
        """
        from pathlib import Path
        class Memory:
            def __init__(self, path: Path, run, write: str = "replace"):
                self.path, self.log, self.write = path, run.log, write
            @hookimpl
            def store_items(self, items): self.log.calls.append(list(items))
            @hookimpl
            def commit(self): self.log.calls.append("commit")
            @hookimpl
            def abort(self, reason): self.log.calls.append(reason)
        @hookimpl
        def register(registry): registry.store("memory", Memory)
        """,
    )
    entry = {"memory": {"path": "out/{run.id}.jsonl", "write": "append", "items": "book", "only": "new"}}
    (store,) = shop.load(plugins=["st.py"], store=[entry]).stores
    assert (store.name, store.items, store.write, store.only, store.meta) == ("memory", ("book",), "append", "new", ())
    assert store.path == shop.folder / "out/r1.jsonl"
    calls = shop.run.log.calls = []
    store.store_items([Item("book", n=1)])
    store.commit("summary")
    store.abort("because")
    assert calls == [[{"n": 1}], "commit", "because"]


def test_what_a_store_raises_says_what_to_do() -> None:
    def full(items: list[Item]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def broken(summary: Any) -> None:
        raise SystemExit(1)

    store = BoundStore("jsonl", {"store_items": full, "commit": broken}, path=Path("out/x.jsonl"))
    with pytest.raises(
        StorageError, match=r"store jsonl \(out/x\.jsonl\) could not take the items: OSError.*make room"
    ):
        store.store_items([])
    with pytest.raises(StorageError, match="could not make its result visible: SystemExit"):
        store.commit(None)
    store.abort("no hook of that name, nothing to do")


def test_write_is_refused_where_a_store_has_no_choice(shop: Any) -> None:
    shop.write(
        "st.py",
        """
        class S:
            @hookimpl
            def store_items(self): pass
        @hookimpl
        def register(registry): registry.store("s", S)
        """,
    )
    (problem,) = shop.problems(plugins=["st.py"], store=[{"s": {"write": "merge"}}])
    assert "store.0.s.write: s: cannot be told how to write (merge)" in problem


# --- prints, imports -------------------------------------------------------------------------------------------------


def test_prints_go_to_stderr(shop: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write("p.py", "print('loading')\n@hookimpl\ndef parse(page): print('parsing')\n")
    host = shop.load(plugins=["p.py"])
    with host.stdout_guard() as stdout:
        host.run_page(PageJob("http://x/", 200, [], b"", "r", {}))
        print("data", file=stdout)
    assert capsys.readouterr() == ("data\n", "loading\nparsing\n")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, pipeline; assert pipeline.__version__ and 'hookimpl' in dir(pipeline);"
        "heavy = {'pluggy', 'pydantic', 'bs4', 'lxml', 'selectolax', 'msgspec', 'yaml', 'click'} & set(sys.modules);"
        "assert not heavy, heavy;"
        "from pipeline import Item, hookimpl, Registry, OptionError, Drop, Request;"
        "assert not {'bs4', 'lxml', 'selectolax', 'pydantic'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""


def test_every_public_name_is_there() -> None:
    import pipeline

    assert [name for name in pipeline.__all__ if getattr(pipeline, name, None) is None] == []
    with pytest.raises(AttributeError, match="nonsense"):
        pipeline.nonsense  # noqa: B018
