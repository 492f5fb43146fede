"""`hookline plugin check` and `new`: what is wrong is found, what is right passes, what is written passes at once."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline.cli.plugin import plugin
from pipeline.errors import ConfigError
from pipeline.testing.conformance import PluginReport, check_plugin
from pipeline.testing.scaffold import KINDS, new_plugin

HEAD = "from pathlib import Path\nfrom pipeline import Drop, Item, Request, hookimpl\n"


def report(folder: Path, text: str, **more: Any) -> PluginReport:
    path = folder / "mine.py"
    path.write_text(HEAD + textwrap.dedent(text), encoding="utf-8")
    return check_plugin(str(path), **more)


def wrong(found: PluginReport) -> str:
    return "\n".join(f"{one.about}: {one.message}" for one in found.findings if one.level in ("wrong", "unloadable"))


# One file has many faults, since each examination costs a process.
MODULE = """
    import os, signal, socket, threading
    print("hello")
    os.environ["MINE"] = "1"
    signal.signal(signal.SIGUSR1, lambda *_: None)
    threading.Thread(target=threading.Event().wait, daemon=True, name="mine").start()
    socket.socket().bind(("127.0.0.1", 0))
    open("/dev/null", "r").close()
    count = 0

    @hookimpl
    def parse(page):
        global count
        count += 1
        page.soup.append("x")
        page.body = b""
        yield Item("page", n=count)

    @hookimpl
    def process_item(item, page):
        return "yes"

    @hookimpl
    def prepare_request(request):
        return 5

    @hookimpl
    def seeds(run):
        return ["http://a.test/"]
"""


def test_a_module_with_many_faults(tmp_path: Path) -> None:
    found = report(tmp_path, MODULE)
    told = wrong(found)
    for words in (
        "it prints: 'hello'",
        "it changes environment variables: MINE",
        "it changes signal handlers: SIGUSR1",
        "it changes the running threads: mine",
        "it opens a listening socket",
        "something else the second time",
        "parse changes page.body",
        "answered 'yes'; expected None",
        "prepare_request: answered 5; expected a Request",
        "seeds: gave 'http://a.test/'; expected Requests",
    ):
        assert words in told, (words, told)
    assert found.exit_code == 1


COMPONENTS = """
    class Untyped:
        def __init__(self, limit, name: str = 3):
            pass
        @hookimpl
        def process_item(self, item):
            pass

    class NoParser:
        @hookimpl
        def process_item(self, item):
            pass

    class Unstorable:
        @hookimpl
        def parse(self, page):
            yield Item("x", value=object())

    class Raising:
        @hookimpl
        def classify(self, page):
            return {}["x"] if page.kind == "json" else None
        @hookimpl
        def admit(self, requests):
            requests[:] = requests[:1]

    class Misspelt:
        @hookimpl
        def proces_item(self, item):
            pass

    class Needs:
        def __init__(self, than: float) -> None:
            self.than = than
        @hookimpl
        def process_item(self, item):
            return Drop("dear") if item.get("price", 0) > self.than else None

    class Store:
        def __init__(self, path: Path) -> None:
            self.path = path
        @hookimpl
        def store_items(self, items):
            with self.path.open("a") as file:
                file.writelines(f"{item['id']}\\n" for item in items)
        @hookimpl
        def commit(self): pass
        @hookimpl
        def abort(self): pass

    @hookimpl
    def register(registry):
        registry.filter("untyped", Untyped)
        registry.parser("noparser", NoParser)
        registry.parser("unstorable", Unstorable)
        registry.parser("raising", Raising)
        registry.filter("misspelt", Misspelt)
        registry.filter("needs", Needs)
        registry.store("store", Store)
"""


def test_components_with_faults(tmp_path: Path) -> None:
    found = report(tmp_path, COMPONENTS, options={"needs": {"than": 5}})
    told = wrong(found)
    for words in (
        "untyped: options: option 'limit' has no type",
        "untyped: options: the default of 'name' does not fit its type",
        "noparser: hooks: it has no parse(page) or classify(page), so it is no parser",
        "unstorable: items: on",
        "raising: pages: on data.json: classify: KeyError: 'x'",
        "misspelt: hooks: plugin misspelt: 'proces_item' is no hook; did you mean 'process_item'?",
        "store: nothing is seen before commit: store_items changed the output before commit",
    ):
        assert words in told, (words, told)
    assert "needs: items: of 5 items of all kinds 3 stay, 2 are dropped" in "\n".join(
        f"{one.about}: {one.message}" for one in found.findings if one.level == "ok"
    )
    assert "not tried: limit has no default; give one with --set untyped.limit=VALUE" in str(found.findings)
    assert "| `than` | number | required |" in found.readme and "- needs: {than: ...}" in found.readme


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("import time\ntime.sleep(30)", 1, "it did not come back within 1.5 s"),
        ("import os\nos._exit(3)", 1, "mine.py: import: it ended the process (status 3)"),
        ("import nowhere", 2, "it needs nowhere, which is not installed"),
        ("x = 1", 1, "plugin mine has no hook"),
        ("@hookimpl\ndef register(registry):\n    1 / 0", 1, "register(registry): ZeroDivisionError"),
    ],
)
def test_what_cannot_be_examined(text: str, code: int, words: str, tmp_path: Path) -> None:
    found = report(tmp_path, text, most_time=1.5 if "sleep" in text else 30)
    assert words in wrong(found) and found.exit_code == code


RIGHT = """
    from dataclasses import dataclass, field
    from pydantic import BaseModel, Field
    from pipeline import Reply, Secret

    @dataclass
    class Cards:
        fields: dict[str, str] = field(default_factory=lambda: {"title": "h2"})
        key: Secret | None = None
        @hookimpl
        def parse(self, page): yield Item("card", {name: len(page.css(css)) for name, css in self.fields.items()})

    class Model(BaseModel):
        names: list[str] = Field(default_factory=list)
        least: int = Field(1, ge=0)
        @hookimpl
        def process_item(self, item): pass

    class Fetch:
        def __init__(self, answer: str = "<p>") -> None: self.answer = answer
        @hookimpl
        def fetch(self, request):
            if request.url.endswith("/late"): raise TimeoutError
            return Reply(self.answer) if self.answer else 5

    class Half:
        def __init__(self, path: Path) -> None: pass
        @hookimpl
        def store_items(self, items): pass
        @hookimpl
        def commit(self): pass

    @hookimpl
    def register(registry):
        registry.parser("cards", Cards)
        registry.filter("model", Model)
        registry.fetcher("fetch", Fetch)
        registry.store("half", Half)
"""


def test_options_made_anew_and_fetchers_and_half_a_store(tmp_path: Path) -> None:
    urls = ["http://a.test/", "http://a.test/late"]
    found = report(tmp_path, RIGHT, urls=urls)
    assert wrong(found) == "half: hooks: it has no abort(reason): a store stages, commits and aborts"
    told = {one.about: one.message for one in found.findings}
    assert told["fetch: fetch http://a.test/"].startswith("status 200, 3 bytes")
    assert "TimeoutError" in told["fetch: fetch http://a.test/late"]
    for row in (
        "| `fields` | mapping of text to text | `{'title': 'h2'}` |",
        "| `key` | secret text or null | `None` |",
        "| `names` | list of text | `[]` |",
        "| `least` | whole number | `1` |",
        "### `cards` (parser)\n\n| option",
    ):
        assert row in found.readme, found.readme
    found = report(tmp_path, RIGHT, options={"fetch": {"answer": ""}}, urls=urls[:1])
    assert "fetch: fetch http://a.test/: answered 5; expected a Reply" in wrong(found)
    assert "not tried: this fetcher" in str(report(tmp_path, RIGHT).findings)


def test_one_fault_on_many_pages_is_told_once(tmp_path: Path) -> None:
    found = report(tmp_path, "@hookimpl\ndef parse(page): yield {'o': object()}")
    assert [one.about for one in found.findings if one.level == "wrong"] == ["mine: items"]
    assert " and 6 more: o is a builtins.object" in wrong(found)
    found = report(tmp_path, "@hookimpl\ndef run_start(run): 1 / 0\n@hookimpl\ndef run_finish(run): pass")
    assert (wrong(found), "not tried: run_start, run_finish" in str(found.findings)) == ("", True)


def test_a_folder_is_examined_by_the_names_of_its_entry_points(tmp_path: Path) -> None:
    """Before it is installed; a class among them."""
    (tmp_path / "pyproject.toml").write_text(
        "[project.entry-points.hookline]\nmarks = 'of_a_folder:Marks'\nstamp = 'stamp_of_a_folder'\n"
    )
    (tmp_path / "src").mkdir()
    (tmp_path / "src/of_a_folder.py").write_text(
        f"{HEAD}class Marks:\n    def __init__(self, last: int) -> None: self.last = last\n"
        "    @hookimpl\n    def seeds(self): return [Request('http://a.test/')] * self.last\n"
    )
    (tmp_path / "src/stamp_of_a_folder.py").write_text(f"{HEAD}@hookimpl\ndef process_item(item): item['x'] = 1\n")
    found = check_plugin(str(tmp_path), options={"marks": {"last": 2}})
    assert (wrong(found), found.exit_code) == ("", 0)
    assert "marks: seeds" in {one.about for one in found.findings}
    assert "| `last` | whole number | required |" in found.readme
    assert "plugins:\n  - marks: {last: ...}" in found.readme and "plugins: [stamp]" in found.readme


def test_what_does_not_exist(tmp_path: Path) -> None:
    assert check_plugin("nowhere-at-all").exit_code == 2
    assert check_plugin(str(tmp_path)).exit_code == 2


def test_all_bundled_plugins_pass(installed: str, repo: Path) -> None:
    """By the name of a distribution: all of its plugins, in one go."""
    assert installed
    given: dict[str, dict[str, Any]] = {
        "require": {"fields": ["title"]}, "where": {"expression": "price > 1"}, "dedupe": {"by": ["title"]},
        "rename": {"fields": {"title": "name"}}, "near_duplicate": {"field": "title", "shortest": 1},
        "schema": {"schema": {"required": ["title"]}}, "folder": {"path": str(repo / "configs")},
        "file": {"path": str(repo / "configs/urls.txt")}, "fields": {"rules": {"page": {"follow": [], "items": []}}},
    }  # fmt: skip
    found = check_plugin("hookline", options=given)
    assert (wrong(found), found.exit_code) == ("", 0)
    kept = [one.about for one in found.findings if one.message == "10 of 10 rules of stores kept"]
    assert {"jsonl: store", "csv: store", "sqlite: store"} <= set(kept)
    tried = {one.about.partition(":")[0] for one in found.findings if one.about.endswith((": items", ": pages"))}
    assert {"links", "metadata", "feed", "table", "where", "schema", "near_duplicate", "dedupe"} <= tried


# --- the commands ----------------------------------------------------------------------------------------------------


def test_the_face_of_check(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(HEAD + "@hookimpl\ndef process_item(item, page):\n    item['n'] = 1\n", encoding="utf-8")
    done = CliRunner().invoke(plugin, ["check", str(path)])
    assert done.exit_code == 0
    assert "ok     mine: items: of 5 items of all kinds 5 stay" in done.stderr
    assert done.stdout.startswith("### `mine`") and "plugins: [mine]" in done.stdout
    told = json.loads(CliRunner().invoke(plugin, ["check", "--json", str(path)]).stdout)
    assert {one["level"] for one in told["findings"]} == {"ok"}
    assert CliRunner().invoke(plugin, ["check", str(path), "--set", "x=1"]).exit_code == 2
    assert CliRunner().invoke(plugin, ["check", str(path), "--set", "x.y=text", "--set", "x.z=[1]"]).exit_code == 0
    assert CliRunner().invoke(plugin, ["check", str(tmp_path / "none.py")]).exit_code == 2


@pytest.mark.parametrize("name", ["", "a b", "../x", "parse", "1x", "hookline-", "where", "near-duplicate"])
def test_names_that_cannot_be(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        new_plugin(name, "filter", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ConfigError, match="is there already"):
        new_plugin("currency", "filter", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in ("filter", "fetcher") else pytest.mark.slow) for kind in KINDS]
)
def test_a_new_plugin_passes_at_once(kind: str, tmp_path: Path, installed: str) -> None:
    """Its own tests, in a pytest of their own, and the check, from its folder alone: nothing is installed."""
    assert installed
    folder = tmp_path / "hookline-near-text"
    done = CliRunner().invoke(plugin, ["new", "near-text", str(folder), "--kind", kind])
    assert done.exit_code == 0 and str(folder / "hookline_near_text.py") in done.stdout
    tests = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"],
        cwd=folder, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert tests.returncode == 0, tests.stdout
    found = check_plugin(str(folder))
    assert (wrong(found), found.exit_code) == ("", 0)
    assert "near_text" in found.readme
    assert "$" not in "".join(path.read_text() for path in folder.rglob("*") if path.suffix in (".py", ".toml", ".md"))
