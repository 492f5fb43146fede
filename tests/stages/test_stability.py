"""Old plugins go on working: arguments are opt-in, and what will go is told for a release before it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pipeline
from pipeline.model import PageJob
from pipeline.stages import chains
from pipeline.stages.hookspecs import HOOKS, HookSpecs
from pipeline.testing import RunResult


def test_the_hooks_have_a_version() -> None:
    major, minor = pipeline.HOOK_API
    assert (major, minor) >= (1, 0)


FROZEN = {  # version 1.0: hooks and arguments that plugins out there rely on; more may come, none may go
    "register": ("registry",), "run_start": ("run",), "seeds": ("run",), "prepare_request": ("request",),
    "fetch": ("request",), "classify": ("page",), "parse": ("page",), "process_item": ("item", "page"),
    "admit": ("requests", "page"), "store_items": ("items",), "commit": ("summary",), "abort": ("reason",),
    "run_finish": ("run", "summary"),
}  # fmt: skip


def test_nothing_of_version_one_is_gone() -> None:
    assert pipeline.HOOK_API[0] == 1, "a new first number has a table of its own here"
    assert {hook: HOOKS[hook][: len(arguments)] for hook, arguments in FROZEN.items()} == FROZEN


NAMES = {
    "ConfigError", "Drop", "Element", "HOOK_API", "Item", "OptionError", "Page", "ParseError", "Registry", "Reply",
    "Request", "RunInfo", "Secret", "Selector", "SelectorError", "__version__", "compiled", "hookimpl", "run", "values",
}  # fmt: skip


def test_no_public_name_is_gone() -> None:
    assert set(pipeline.__all__) >= NAMES
    assert all(hasattr(pipeline, name) for name in pipeline.__all__)


@pytest.mark.parametrize("named", [(), ("item",), ("page",), ("page", "item"), ("item", "page")])
def test_a_new_argument_does_not_break_old_plugins(named: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """process_item(item, page, history): what old plugins name is what they get, wherever the new one stands."""
    for offered in (("item", "page", "history"), ("history", "item", "page")):
        monkeypatch.setitem(HOOKS, "process_item", offered)
        space: dict[str, Any] = {}
        exec(f"def process_item({', '.join(named)}): return [{', '.join(named)}]", space)
        call = chains.adapt(space["process_item"], "process_item", named)
        assert call(*offered) == list(named)


def test_only_named_arguments_are_passed(shop: Any) -> None:
    shop.write(
        "p.py", "@hookimpl\ndef parse():\n    yield Item('x', n=1)\n@hookimpl\ndef process_item(page):\n    page.url\n"
    )
    result = shop.load(plugins=["./p.py"]).run_page(PageJob("http://a.test/", 200, [], b"", "", {}))
    assert [record.fields for record in result.items] == [{"n": 1}]


def test_what_will_go_is_told_with_plugin_and_place(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HookSpecs.classify.hookline_spec, "warn_on_impl", DeprecationWarning("use parse"))  # type: ignore[attr-defined]
    monkeypatch.setitem(HookSpecs.admit.hookline_spec, "warn_on_impl_args", {"page": DeprecationWarning("no page")})  # type: ignore[attr-defined]
    shop.write("p.py", "@hookimpl\ndef classify(page): ...\n@hookimpl\ndef admit(requests, page): ...\n")
    shop.write("q.py", "@hookimpl\ndef admit(requests): ...\n")
    told = sorted(
        (str(note) for note in shop.load(plugins=["./p.py", "./q.py"]).notes), key=lambda text: "admit" in text
    )
    assert len(told) == 2
    assert "config.yaml:1:3" in told[0] and "plugin p: classify(page) will be taken away: use parse" in told[0]
    assert (
        "plugin p: admit: its argument page will be taken away: no page" in told[1] and "p.py has to change" in told[1]
    )


def test_a_run_reports_it_and_goes_on(
    run_config: Callable[..., RunResult], fake_site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HookSpecs.classify.hookline_spec, "warn_on_impl", DeprecationWarning("use parse"))  # type: ignore[attr-defined]
    fake_site.page("/", "<h1>x</h1>")
    plugin = "from pipeline import hookimpl\n@hookimpl\ndef classify(page):\n    return 'ok'\n"
    config = {
        "seeds": [fake_site.url], "plugins": ["./p.py"], "pages": {"p": {"items": [{"fields": {"t": "h1"}}]}},
    }  # fmt: skip
    result = run_config(config, files={"p.py": plugin})
    result.assert_ok()
    assert any("plugin p: classify(page) will be taken away: use parse" in note for note in result.summary.notes)


def test_a_hook_of_a_later_version_may_be_optional(shop: Any) -> None:
    """`@hookimpl(optionalhook=True)`: a plugin for two versions of Hookline."""
    text = "@hookimpl(optionalhook=True)\ndef not_there_yet(page): ...\n@hookimpl\ndef classify(page): ...\n"
    shop.write("p.py", text)
    assert set(shop.load(plugins=["./p.py"]).describe()) == {"classify"}
