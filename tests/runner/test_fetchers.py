"""Registered fetchers: their answers pass the same way as the fetch stage's, and what they do wrong harms nobody."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.testing import RunResult

HOST = "http://127.0.0.1:9"  # nothing listens there: whatever comes, comes from a fetcher
FETCHER = """
import os, time
from pipeline import OptionError, Reply, hookimpl

class Name(str): pass

class Shelf:
    def __init__(self, note: str, tries: int = 1):
        self.note = note

    @hookimpl
    def fetch(self, request):
        name = request.url.rpartition("/")[2]
        if name == "list":
            links = "".join(f"<a href=/{n}>x</a>" for n in ("ok", "gone", "long", "moved", "busy", "late", "refused",
                            "raises", "none", "big", "odd", "text", "headers", "name", "break",
                            "surrogate", "subtle"))
            return Reply(f"<h1>{self.note} {os.getpid()}</h1>{links}", headers={"Content-Type": "text/html"})
        if name in ("ok", "new"):
            body = f"<h1>{name} {request.headers.get('X-Key')}</h1>".encode()
            return Reply(body, headers=[("Content-Encoding", "gzip")])
        if name == "gone": return Reply(status=404)
        if name == "long": return Reply(b"x" * 5000, status=410)
        if name == "moved": return Reply(status=301, headers={"Location": "/new"})
        if name == "busy": return Reply(status=503)
        if name == "late": raise TimeoutError("no answer")
        if name == "refused": raise ConnectionRefusedError("not there")
        if name == "raises": return {}["key"]
        if name == "none": return None
        if name == "big": return Reply(b"x" * 5000)
        if name == "odd": return Reply(status="200")
        if name == "text": return Reply(body=3)
        if name == "headers": return Reply(headers={"A": 1})
        if name == "name": return Reply(headers={"a\\nb": "c"})
        if name == "break": return Reply(headers=[("A", "b"), ("Set-Cookie", "a=1\\nb=2")])
        if name == "surrogate": return Reply(headers={"A": "c\\ud800"})
        if name == "subtle": return Reply("<h1>subtle</h1>", headers={Name("Content-Type"): "text/html", "A": "€"})
        if name == "dies": os._exit(3)
        if name == "hangs": time.sleep(60)
        return Reply(f"<h1>{name}</h1>", headers={"Content-Type": "text/html"})

@hookimpl
def register(registry):
    registry.fetcher("shelf", Shelf)
"""
Run = Callable[..., RunResult]


def config(fetcher: Any, *paths: str, **more: Any) -> dict[str, Any]:
    return {
        "plugins": ["./shelf.py"],
        "seeds": [f"{HOST}/{path}" for path in paths],
        "fetch": {"robots": {"obey": False}, "retry": {"attempts": 1}, "headers": {"X-Key": "k"}},
        "checks": ["pages.failed <= 100%"],
        "pages": {"all": {"fetcher": fetcher, "items": [{"type": "page", "fields": {"h": "h1"}}], "follow": ["a"]}},
        **more,
    }


FATES = {
    "ok": "fetched", "gone": "gone", "long": "gone", "moved": "redirected", "new": "fetched", "busy": "failed:http_503",
    "late": "failed:timeout", "refused": "failed:connect", "raises": "failed:plugin", "none": "failed:plugin",
    "big": "failed:too_large", "odd": "failed:plugin", "text": "failed:plugin", "headers": "failed:plugin",
    "name": "failed:plugin", "break": "failed:plugin", "surrogate": "failed:plugin", "subtle": "fetched",
}  # fmt: skip


@pytest.mark.parametrize("workers", [0, "auto"])
def test_every_answer_has_its_fate(workers: Any, run_config: Run) -> None:
    made = config({"shelf": {"note": "hello"}}, "list", workers=workers)
    made["fetch"]["max_body"] = "4KiB"
    made["limits"] = {"plugin_errors": "100%"}
    result = run_config(made, files={"shelf.py": FETCHER})
    assert {path: result.fate(f"/{path}") for path in FATES} == FATES
    titles = [item["h"] for item in result.items]
    note, _, pid = titles[0].rpartition(" ")
    assert note == "hello" and titles[1:] == ["new k", "ok k", "subtle"]
    assert (int(pid) == os.getpid()) == (workers == 0), "a fetcher runs in a process of its own"
    assert result.summary.plugins["shelf"].seconds > 0
    messages = " ".join(result.summary.plugins["shelf"].errors)
    for words in (
        *("KeyError", "answered None; expected a Reply", "status '200'", "not bytes or text", "pair of texts"),
        r"'a\nb' among the headers of the Reply is no name of a header",
        r"the header Set-Cookie of the Reply is 'a=1\nb=2'; line breaks",
        r"the header A of the Reply is 'c",
    ):
        assert words in messages
    assert not result.summary.imbalance()


def test_a_fetcher_that_dies_or_hangs_costs_its_page(run_config: Run) -> None:
    made = config({"shelf": "x"}, "dies", "hangs", "fine", workers="auto", limits={"page_time": "300ms"})
    result = run_config(made, files={"shelf.py": FETCHER})
    assert [result.fate(f"/{path}") for path in ("dies", "hangs", "fine")] == ["failed:plugin"] * 2 + ["fetched"]
    details = {problem.url.rpartition("/")[2]: problem.detail for problem in result.summary.problems}
    assert "exit status 3" in details["dies"] and "shelf.fetch" in details["dies"]
    assert "more than 0.3 s" in details["hangs"]


def test_a_failing_fetcher_uses_up_its_budget(run_config: Run) -> None:
    made = config({"shelf": "x"}, *["raises"], workers=0)
    result = run_config(made, files={"shelf.py": FETCHER}, strict=True)
    result.assert_exit(6)


def test_what_may_be_tried_again_is(run_config: Run) -> None:
    made = config({"shelf": "x"}, "late", workers=0)
    made["fetch"]["retry"] = {"attempts": 3, "base": "1ms"}
    result = run_config(made, files={"shelf.py": FETCHER})
    assert result.summary.requests == 3 and result.fate("/late") == "failed:timeout"


@pytest.mark.parametrize(
    ("fetcher", "words"),
    [
        ("shelv", r"test\.yaml:\d+:\d+: pages\.all\.fetcher: there is no fetcher 'shelv'; did you mean 'shelf'"),
        ("shelf", r"pages\.all\.fetcher: shelf: option 'note' is missing"),
        ({"shelf": {"note": "x", "trys": 2}}, r"test\.yaml:\d+:\d+: pages\.all\.fetcher\.shelf\.trys: .*'tries'"),
        ({"shelf": {"note": "x", "tries": "y"}}, r"fetcher\.shelf\.tries: .*expected a whole number"),
        ({"folder": {"path": "nowhere"}}, r"fetcher\.folder.*is no folder"),
        ("jsonl", r"there is no fetcher|registers no fetcher"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(fetcher: Any, words: str, run_config: Run) -> None:
    with pytest.raises(ConfigError, match=words):
        run_config(config(fetcher, "list"), files={"shelf.py": FETCHER})


def test_a_module_cannot_bear_the_hook_alone(run_config: Run) -> None:
    plugin = "from pipeline import Reply, hookimpl\n@hookimpl\ndef fetch(request):\n    return Reply()\n"
    with pytest.raises(
        ConfigError, match=r"plugin shelf has fetch, which only page rules can call for; .*registry.fetcher"
    ):
        run_config(config("selectors", "x"), files={"shelf.py": plugin})


def test_browser_is_known_and_without_effect(tmp_path: Path, hookline: Callable[..., Any]) -> None:
    made = config({"browser": {"actions": []}}, "x", name="b", plugins=[])
    (tmp_path / "b.yaml").write_text(json.dumps(made))
    done = hookline("check", "b.yaml")
    assert done.returncode == 0 and "pages.all.fetcher.browser: the fetcher browser has no effect yet" in done.stdout


# --- folder ----------------------------------------------------------------------------------------------------------


def test_pages_from_a_folder(run_config: Run, tmp_path: Path) -> None:
    files = {
        "mirror/index.html": "<h1>Start</h1>"
        + "".join(f"<a href='{to}'></a>" for to in ("a b.html", "deep/", "/none", "..%2f..%2fsecret")),
        "mirror/a b.html": "<h1>A</h1>",
        "mirror/deep/index.html": "<h1>Deep</h1>",
        "secret": "<h1>never</h1>",
    }
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/link.html").symlink_to(tmp_path / "secret")
    files["mirror/deep/index.html"] += "<a href=/link.html>"
    made = config({"folder": {"path": "mirror"}}, "", plugins=[])
    result = run_config(made, files=files)
    result.assert_ok()
    assert [item["h"] for item in result.items] == ["Start", "A", "Deep"]
    assert result.fate("/none") == result.fate("/link.html") == "gone"
    assert sorted(result.summary.fates.items()) == [("fetched", 3), ("gone", 3)]


def test_try_asks_the_fetcher_too(tmp_path: Path, hookline: Callable[..., Any]) -> None:
    (tmp_path / "shelf.py").write_text(FETCHER)
    (tmp_path / "x.yaml").write_text(json.dumps({**config({"shelf": "x"}, "ok"), "name": "x"}))
    done = hookline("try", "x.yaml", f"{HOST}/fine")
    assert (done.returncode, done.stdout) == (0, '{"h":"fine"}\n')
    for path, words in (("gone", "gone: HTTP 404"), ("raises", "failed:plugin: shelf.fetch: KeyError")):
        done = hookline("try", "x.yaml", f"{HOST}/{path}")
        assert done.returncode == 4 and words in done.stderr
