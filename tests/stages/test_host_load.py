"""Finding, naming and checking plugins: what is loaded, what is refused, and what the error says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.stages.hookspecs import HOOKS
from pipeline.stages.host import Host
from pipeline.stages.listing import list_plugins
from pipeline.stages.loading import Catalogue

NOTHING = "@hookimpl\ndef run_start(run): pass\n"
FILTER = """
class Mark:
    def __init__(self, text: str = "x"):
        self.text = text
    @hookimpl
    def process_item(self, item):
        item["mark"] = item.get("mark", "") + self.text

@hookimpl
def register(registry):
    registry.filter("mark", Mark)
"""


def order(host: Host, hook: str) -> list[str]:
    return [entry["plugin"] for entry in host.describe().get(hook, [])]


# --- finding ---------------------------------------------------------------------------------------------------------


def test_a_file_is_found_relative_to_the_config_and_leaves_no_trace(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    before = list(sys.path)
    path = shop.write("plugins/currency.py", "@hookimpl\ndef process_item(item): item['x'] = __file__\n")
    host = shop.load(plugins=["./plugins/currency.py"])
    (entry,) = host.describe()["process_item"]
    assert (entry["plugin"], entry["file"], entry["version"]) == ("currency", str(path), None)
    assert sys.path == before
    assert [found.name for found in shop.folder.rglob("*.pyc")] == []
    assert "currency" not in sys.modules


def test_a_file_without_a_slash_is_a_file(shop: Any) -> None:
    shop.write("near.py", NOTHING)
    assert order(shop.load(plugins=["near.py"]), "run_start") == ["near"]


def test_types_of_a_file_resolve_though_its_module_has_a_private_name(shop: Any) -> None:
    shop.write(
        "typed.py",
        """
        from dataclasses import dataclass
        @dataclass
        class Plugin:
            limit: int | None = None
            @hookimpl
            def process_item(self, item): item["limit"] = self.limit
        """,
    )
    text = (shop.folder / "typed.py").read_text()
    (shop.folder / "typed.py").write_text("from __future__ import annotations\n" + text)
    assert order(shop.load(plugins=[{"typed.py": {"limit": 3}}]), "process_item") == ["typed"]
    assert shop.problems(plugins=[{"typed.py": {"limit": "three"}}]) == [
        "config.yaml:1:4: plugins.0.\"typed.py\".limit: typed: expected a whole number, found 'three'"
    ]


def test_modules_and_entry_points(shop: Any, installed_module: Callable[[str, str], None]) -> None:
    installed_module("shop_tools", NOTHING)
    installed_module("shop_marks", FILTER)
    shop.entry_point("mark", "shop_marks")
    host = shop.load(plugins=["shop_tools"], filter=["mark", {"mark": "y"}])
    assert order(host, "run_start") == ["shop_tools"]
    assert order(host, "process_item") == ["mark", "mark"]


def test_only_what_the_config_names_is_imported(shop: Any, installed_module: Callable[[str, str], None]) -> None:
    installed_module("shop_never", "raise RuntimeError('imported')")
    shop.entry_point("never", "shop_never")
    shop.write("x.py", NOTHING)
    shop.load(plugins=["x.py"])
    assert "shop_never" not in sys.modules


def test_a_folder_with_its_own_plugins_and_pipeline_disturbs_nothing(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("plugins", "pipeline"):
        shop.write(f"{package}/__init__.py", "raise RuntimeError('the wrong one')")
    shop.write("plugins/own.py", NOTHING)
    monkeypatch.chdir(shop.folder)
    monkeypatch.syspath_prepend(str(shop.folder))
    for name in [name for name in sys.modules if name == "plugins" or name.startswith("plugins.")]:
        monkeypatch.delitem(sys.modules, name)
    host = Host.load(
        plugins=[_use("plugins", "./plugins/own.py")],
        filter=[_use("filter", "require", ["a"])],
        locate=shop.locate,
        run=shop.run,
    )
    assert order(host, "process_item") == ["require"]
    assert order(host, "run_start") == ["own"]
    assert "plugins" not in sys.modules


def _use(section: str, name: str, options: Any = None) -> Any:
    from pipeline.stages.host import Use

    return Use(name, options, (section, 0, name))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./curency.py", "there is no file curency.py; did you mean currency.py?"),
        ("nowhere/x.py", "there is no file nowhere/x.py; paths are relative to the config file that names them"),
        ("curency", "there is no plugin or module 'curency'; did you mean 'currency'?"),
        ("no-such", "there is no plugin 'no-such'; a plugin is named by entry point"),
        ("json.nothing", "there is no plugin or module 'json.nothing'"),
        ("./needs.py", "importing ./needs.py failed: ModuleNotFoundError: No module named 'not_there' (needs.py:3)"),
        ("./needs.py", "the plugin is there, but it needs not_there, which is not installed"),
        ("./syntax.py", "importing ./syntax.py failed: SyntaxError: "),
        ("./syntax.py", "(syntax.py:2)"),
        ("./exits.py", "importing ./exits.py failed: SystemExit: 3 (exits.py:2)"),
        ("inner_fail", "importing inner_fail failed: ModuleNotFoundError: No module named 'inner_fail_dep'"),
        ("inner_fail", "site/inner_fail.py:3)"),
    ],
)
def test_not_there_is_told_apart_from_there_but_broken(
    shop: Any, installed_module: Callable[[str, str], None], name: str, said: str
) -> None:
    installed_module("inner_fail", "\nimport inner_fail_dep\n")
    shop.entry_point("currency", "whatever")
    shop.write("currency.py", NOTHING)
    shop.write("needs.py", "\nimport not_there\n")
    shop.write("syntax.py", "def (:\n")
    shop.write("exits.py", "raise SystemExit(3)")
    (problem,) = shop.problems(plugins=[name])
    assert problem.startswith("config.yaml:1:3: plugins.0.")
    assert said in problem


def test_all_problems_come_at_once_in_the_order_of_the_file(shop: Any) -> None:
    shop.write("bad.py", "@hookimpl\ndef proces_item(item): pass\n")
    found = shop.problems(plugins=["a.py", "bad.py"], filter=["nope"], store=["nada"])
    assert [problem.split(":")[1] for problem in found] == ["1", "2", "3", "4"]


# --- names in sections -----------------------------------------------------------------------------------------------


def test_a_listed_plugins_component_comes_before_an_entry_point(
    shop: Any, installed_module: Callable[[str, str], None]
) -> None:
    installed_module("shop_never2", "raise RuntimeError('imported')")
    shop.entry_point("mark", "shop_never2")
    shop.write("own.py", FILTER)
    assert order(shop.load(plugins=["own.py"], filter=["mark"]), "process_item") == ["mark"]


def test_naming_a_listed_plugin_places_its_hooks(shop: Any) -> None:
    shop.write("a.py", "@hookimpl\ndef process_item(item): pass\n@hookimpl\ndef parse(page): pass\n")
    shop.write("b.py", "@hookimpl\ndef process_item(item): pass\n")
    shop.write("own.py", FILTER)
    plugins = ["a.py", "b.py", "own.py"]
    assert order(shop.load(plugins=plugins, filter=["mark"]), "process_item") == ["mark", "a", "b"]
    assert order(shop.load(plugins=plugins, filter=["b", "mark"]), "process_item") == ["b", "mark", "a"]
    both = shop.load(plugins=plugins, parse=["a"], filter=["mark", "a"])
    assert (order(both, "parse"), order(both, "process_item")) == (["a"], ["mark", "a", "b"])


def test_a_class_is_placed_with_its_options(shop: Any) -> None:
    shop.write(
        "c.py",
        "class Plugin:\n    def __init__(self, n: int): pass\n    @hookimpl\n    def process_item(self, item): pass\n",
    )
    assert order(shop.load(plugins=["c.py"], filter=[{"c": {"n": 1}}]), "process_item") == ["c"]
    assert order(shop.load(plugins=[{"c.py": 1}], filter=["c"]), "process_item") == ["c"]
    (twice,) = shop.problems(plugins=[{"c.py": {"n": 1}}], filter=[{"c": {"n": 1}}])
    assert "given options in two places" in twice


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"filter": ["marc"]}, "there is no filter 'marc'; did you mean 'mark'?"),
        ({"store": ["mark"]}, "there is no store 'mark'"),
        ({"filter": ["own.py"]}, "list own.py under `plugins:` and name it here by its stem, own"),
        ({"filter": ["tool"]}, "plugin tool registers no filter of that name; it registers store 'tool'"),
        ({"parse": ["own"]}, "plugin own has no parse(page) or classify(page), so it is no parser; it has register"),
        ({"parse": ["fields"]}, "fields reads the page rules and always comes first; remove it"),
        ({"filter": ["own", "own"]}, "plugin own stands in filter already"),
    ],
)
def test_names_that_mean_nothing(
    shop: Any, installed_module: Callable[[str, str], None], sections: dict[str, Any], said: str
) -> None:
    installed_module("shop_tool", "@hookimpl\ndef register(registry): registry.store('tool', dict)\n")
    shop.entry_point("tool", "shop_tool")
    shop.write("own.py", FILTER)
    assert any(said in problem for problem in shop.problems(plugins=["own.py"], **sections))


def test_two_plugins_of_one_name(shop: Any) -> None:
    shop.write("a.py", FILTER)
    shop.write("b.py", FILTER)
    shop.write("sub/a.py", NOTHING)
    (problem,) = shop.problems(plugins=["a.py", "b.py"])
    assert problem.startswith("config.yaml:2:")
    assert "plugin b registers the filter 'mark', and so does plugin a" in problem
    assert "two plugins are called a" in shop.problems(plugins=["a.py", "sub/a.py"])[0]
    assert "listed twice" in shop.problems(plugins=["a.py", "./a.py"])[0]


def test_an_entry_point_may_name_a_class(shop: Any, installed_module: Callable[[str, str], None]) -> None:
    installed_module(
        "shop_class",
        "class Cut:\n    def __init__(self, n: int): pass\n    @hookimpl\n    def process_item(self, item): pass\n",
    )
    shop.entry_point("cut", "shop_class:Cut")
    shop.entry_point("gone", "shop_class:Gone")
    assert order(shop.load(filter=[{"cut": 3}]), "process_item") == ["cut"]
    assert order(shop.load(plugins=[{"cut": {"n": 3}}]), "process_item") == ["cut"]
    assert "Gone is no class of that module" in shop.problems(plugins=["gone"])[0]


def test_register_that_fails_and_register_that_lies(shop: Any) -> None:
    shop.write("a.py", "@hookimpl\ndef register(registry):\n    registry.filter('x', 3)\n")
    shop.write("b.py", "@hookimpl\ndef register(registry):\n    1 / 0\n")
    found = shop.problems(plugins=["a.py", "b.py"])
    assert "registry.filter('x'): the factory must be a class or a function, not 3 (a.py:4)" in found[0]
    assert "ZeroDivisionError: division by zero (b.py:4)" in found[1]


def test_a_class_may_register_too(shop: Any) -> None:
    shop.write(
        "c.py",
        """
        class Never:
            @hookimpl
            def process_item(self, item): return Drop("never")
        class Plugin:
            def __init__(self, word: str): self.word = word
            @hookimpl
            def register(self, registry): registry.filter(self.word, Never)
        """,
    )
    assert order(shop.load(plugins=[{"c.py": "never"}], filter=["never"]), "process_item") == ["never"]


# --- checks of hooks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "@hookimpl\ndef proces_item(item): pass",
            "'proces_item' is no hook; did you mean 'process_item'? It is written process_item(item, page)",
        ),
        ("@hookimpl\ndef xyz(): pass", "'xyz' is no hook; hooks are: register, run_start"),
        (
            "@hookimpl\ndef process_item(itm, page): pass",
            "hook process_item: there is no argument 'itm'; did you mean 'item'? It is written process_item(item",
        ),
        ("@hookimpl\ndef parse(page, *rest): pass", "hook parse: argument *rest cannot be filled"),
        ("@hookimpl\ndef parse(*, page): pass", "hook parse: argument page cannot be filled"),
        ("def parse(page): pass", "parse(page) is not marked, so it is never called; did you forget @hookimpl?"),
        ("def parze(page): pass", "has no hook; it has 'parze'; did you mean 'parse'? Mark it with @hookimpl"),
        ("x = 1", "has no hook, so it would do nothing"),
        ("@hookimpl(wrapper=True)\ndef parse(page): yield", "hookimpl(wrapper=True) is refused"),
        ("@hookimpl(hookwrapper=True)\ndef parse(page): yield", "hookimpl(hookwrapper=True) is refused"),
        ("@hookimpl(tryfirst=True)\ndef parse(page): pass", "hookimpl(tryfirst=True) is refused; the order of plugins"),
        ("@hookimpl(trylast=True)\ndef parse(page): pass", "hookimpl(trylast=True) is refused"),
        ("@hookimpl\nasync def parse(page): pass", "`async def` is refused, since no event loop runs hooks"),
        ("@hookimpl\nasync def parse(page): yield", "`async def` is refused"),
        ("@hookimpl\ndef process_item(item): yield", "it has a `yield`, so calling it runs nothing"),
        ("class Plugin:\n    def process_item(self, item): pass", "process_item(item, page) is not marked"),
        (
            "class Plugin:\n    @hookimpl\n    def process_item(self, pge): pass",
            "there is no argument 'pge'; did you mean 'page'?",
        ),
        (
            "class Plugin:\n    @hookimpl\n    def parse(self): pass\n@hookimpl\ndef admit(): pass",
            "has a class Plugin and hooks beside it: admit",
        ),
    ],
)
def test_mistakes_in_hooks(shop: Any, source: str, said: str) -> None:
    shop.write("p.py", source)
    (problem,) = shop.problems(plugins=["p.py"])
    assert said in problem
    assert "plugin p" in problem
    assert problem.startswith("config.yaml:1:")


@pytest.mark.parametrize(
    "source",
    [
        "@hookimpl(specname='parse')\ndef my_parser(page): pass",
        "@hookimpl(optionalhook=True)\ndef of_tomorrow(x): pass\n" + NOTHING,
        "def parse(text): return text\n" + NOTHING,  # a helper beside a marked hook
        "@hookimpl\ndef parse(page): yield {}",
        "@hookimpl\ndef process_item(page, item): pass",
        "class Plugin:\n    @staticmethod\n    @hookimpl\n    def process_item(item): pass",
        "class Plugin:\n    @classmethod\n    @hookimpl\n    def process_item(cls, item): pass",
        "class Plugin:\n    @hookimpl\n    @staticmethod\n    def process_item(item): pass",
        "class Plugin:\n    @hookimpl\n    @classmethod\n    def process_item(cls, item): pass",
        "class Plugin:\n    @property\n    def boom(self): 1 / 0\n    @hookimpl\n    def parse(self): pass",
    ],
)
def test_hooks_that_are_fine(shop: Any, source: str) -> None:
    shop.write("p.py", source)
    assert shop.load(plugins=["p.py"]).describe()


def test_a_mark_that_was_forgotten_beside_others_is_told(shop: Any) -> None:
    shop.write("p.py", "@hookimpl\ndef parse(page): pass\ndef process_item(item, page): pass\ndef commit(text): pass")
    (note,) = shop.load(plugins=["p.py"]).notes
    assert "plugin p: process_item(item, page) is not marked, so it is never called; did you forget" in str(note)
    shop.write("q.py", "@hookimpl\ndef parse(page): pass\ndef commit(text): pass\nfrom shutil import copy as abort")
    assert shop.load(plugins=["q.py"]).notes == []


@pytest.mark.parametrize("line", ["from . import helper", "from .helper import x", "import helper", "import folder.x"])
def test_what_lies_beside_a_plugin_file_cannot_be_imported(shop: Any, line: str) -> None:
    shop.write("helper.py", "x = 1")
    (shop.folder / "folder").mkdir()
    shop.write("p.py", f"{line}\n@hookimpl\ndef parse(page): pass")
    (problem,) = shop.problems(plugins=["./p.py"])
    assert "a plugin file is loaded alone: put what it shares into a package that is installed" in problem


def test_a_file_that_is_named_like_a_module(shop: Any) -> None:
    shop.write("my_filter_file.py", NOTHING)
    (problem,) = shop.problems(plugins=["my_filter_file"])
    assert "there is no plugin or module 'my_filter_file'; did you mean './my_filter_file.py'?" in problem


def test_a_component_in_the_wrong_section(shop: Any) -> None:
    shop.write("own.py", FILTER)
    (problem,) = shop.problems(plugins=["own.py"], parse=["mark"])
    assert "there is no parser 'mark'; mark is a filter: name it in `filter:`" in problem


def test_a_kind_of_component_that_there_is_not(shop: Any) -> None:
    shop.write("p.py", "@hookimpl\ndef register(registry): registry.filtr('x', int)")
    (problem,) = shop.problems(plugins=["p.py"])
    assert "registry.filtr is not there; did you mean 'filter'?" in problem


def test_a_component_is_checked_like_a_plugin(shop: Any) -> None:
    shop.write(
        "own.py",
        FILTER.replace("@hookimpl\n    def process_item(self, item)", "@hookimpl\n    def process_item(self, it)"),
    )
    (problem,) = shop.problems(plugins=["own.py"], filter=["mark"])
    assert problem.startswith(
        "config.yaml:2:3: filter.0.mark: plugin mark, hook process_item: there is no argument 'it'"
    )


def test_equal_plugin_objects_are_different_plugins(shop: Any) -> None:
    shop.write(
        "own.py",
        """
        from dataclasses import dataclass
        @dataclass
        class Same:
            n: int = 1
            @hookimpl
            def process_item(self, item): item["n"] = item.get("n", 0) + self.n
        @hookimpl
        def register(registry): registry.filter("same", Same)
        """,
    )
    assert order(shop.load(plugins=["own.py"], filter=["same", "same"]), "process_item") == ["same", "same"]


# --- order -----------------------------------------------------------------------------------------------------------


def test_fields_first_then_sections_then_plugins(shop: Any) -> None:
    for name in ("a", "b", "z"):
        shop.write(f"{name}.py", "@hookimpl\ndef parse(page): pass\n@hookimpl\ndef admit(requests): pass\n")
    shop.points = list(Catalogue().points["fields"])
    host = shop.load(
        plugins=["z.py", "a.py", "b.py"],
        parse=["b"],
        rules={"r": {"match": None, "items": [{"type": "x", "each": None, "fields": {"t": {"css": "h1"}}}]}},
    )
    assert order(host, "parse") == ["fields", "b", "z", "a"]
    assert order(host, "admit") == ["b", "z", "a"]


def test_problems_and_notes_of_page_rules_stand_at_their_key(shop: Any) -> None:
    shop.points = list(Catalogue().points["fields"])

    def rules(css: str) -> dict[str, Any]:
        return {"r": {"match": None, "items": [{"type": "x", "each": None, "fields": {"t": {"css": css}}}]}}

    with pytest.raises(ConfigError) as caught:
        shop.load(rules=rules("h1["))
    assert str(caught.value.problems[0].key).startswith("pages.r.items.0.fields.t")
    notes = shop.load(rules=rules("a:-soup-contains('x')")).notes
    assert all(note.key.startswith("pages.r.items.0.fields.t") for note in notes)
    assert len(notes) <= 1


# --- listing ---------------------------------------------------------------------------------------------------------


def test_every_entry_point_is_listed_also_one_that_is_broken(
    shop: Any, installed_module: Callable[[str, str], None]
) -> None:
    installed_module("shop_marks2", FILTER)
    installed_module("shop_broken", "import not_there")
    shop.entry_point("mark", "shop_marks2")
    shop.entry_point("broken", "shop_broken")
    broken, mark = list_plugins(Catalogue(shop.points))
    assert (mark.hooks, mark.components, mark.error) == (("register",), ("filter mark",), None)
    assert broken.error is not None
    assert "No module named 'not_there'" in broken.error


def test_the_bundled_plugins_are_listed_and_import_cleanly() -> None:
    facts = {fact.name: fact for fact in list_plugins()}
    assert {"fields", "where", "require", "dedupe", "jsonl"} <= set(facts)
    assert [fact.error for fact in facts.values() if fact.error] == []
    assert Path(facts["where"].file or "").name == "where.py"


def test_every_hook_has_a_contract() -> None:
    from pipeline.stages.hookspecs import HookSpecs

    assert set(HOOKS) == {
        *("register", "run_start", "run_finish", "seeds", "prepare_request", "admit", "fetch", "classify", "parse"),
        *("process_item", "store_items", "commit", "abort"),
    }
    assert all(len(getattr(HookSpecs, hook).__doc__) > 60 for hook in HOOKS)
