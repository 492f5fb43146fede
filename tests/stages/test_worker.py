"""What a page worker is told, and what it makes of a page: the same as the process that told it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.config.nodes import resolve
from pipeline.errors import ConfigError, Mark
from pipeline.model import PackedPage, PageJob, PageResult, Request
from pipeline.packing import carrying, pack, unpack_items, unpack_job, unpack_links
from pipeline.stages import worker
from pipeline.stages.host import Host, Use
from pipeline.stages.jobs import RuleBook
from pipeline.stages.page import RunInfo
from pipeline.stages.worker import WorkerSetup, packed, start
from pipeline.workers import notes

RUN = RunInfo("r1", datetime(2026, 3, 4, 5, 6, tzinfo=UTC), "shop", logging.getLogger("hookline.plugin"))
RULES: dict[str, dict[str, Any]] = {
    "list": {
        "match": "/list/**",
        "parser": "auto",
        "items": [{"type": "row", "each": "li", "fields": {"name": {"css": "b"}, "n": {"value": resolve("007")}}}],
        "follow": [{"css": "a"}],
    },
    "rest": {"match": None, "parser": "soup", "items": [{"type": "page", "fields": {"title": {"css": "h1"}}}]},
}
HTML = b"<h1>T</h1><ul><li><b>one</b><li><b>two</b></ul><a href='/x?b=2&utm_a=1&a=3'>x</a><a href='/list/2'>y</a>"


def page(body: bytes = HTML, rule: str = "list") -> PageJob:
    return PageJob("http://shop.example/list/1", 200, [("Content-Type", "text/html")], body, rule, {"n": 1})


def ask(work: Callable[[Any], bytes], job: PageJob) -> PackedPage:
    """The answer of a worker's function, times apart."""
    answer = msgspec.msgpack.decode(work(memoryview(msgspec.msgpack.encode(job))), type=PackedPage)
    answer.seconds = {}
    return answer


def nowhere(key: tuple[str | int, ...]) -> Mark | None:
    return None


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """What `start` does to the process's logging is undone."""
    logger = logging.getLogger("hookline")
    before = (list(logger.handlers), logger.propagate, logger.level)
    yield
    logger.handlers[:], logger.propagate, _ = before
    logger.setLevel(before[2])


PLUGIN = """
from pathlib import Path
from pipeline import Item, hookimpl

class Plugin:
    def __init__(self, where: Path, code: str = "", rates: dict[str, float] = {}, files: list[Path] = [], n: int = 0):
        self.told = {"where": str(where), "code": code, "rates": rates, "files": [str(f) for f in files], "n": n}

    @hookimpl
    def parse(self, page):
        yield Item("told", self.told)
"""


def test_a_worker_makes_of_a_page_what_its_parent_would(tmp_path: Path) -> None:
    (tmp_path / "tell.py").write_text(PLUGIN)
    uses = [Use(str(tmp_path / "tell.py"), {"where": "x.txt", "code": resolve("0012")}, ("plugins", 0))]
    setup = WorkerSetup.of(
        plugins=uses, rules=RULES, locate=nowhere, run=RUN, strip_params=["utm_*"], sort_params=True
    ).encode()
    host = Host.load(plugins=uses, rules=RULES, locate=nowhere, run=RUN)
    from pipeline.crawl.scope import Normaliser

    book = RuleBook(RULES, Normaliser(strip_params=["utm_*"], sort_params=True))
    inline, work = packed(host.page_runner(book)), start(setup)
    for job in (page(), page(rule="rest"), page(b""), page(b"\x1f\x8b broken")):
        expected = inline(job)
        expected.seconds = {}
        assert ask(work, job) == expected
    result = ask(work, page())
    assert result.types == {"row": 2, "told": 1}
    assert [request.url for request in unpack_links(result.links)] == [
        "http://shop.example/x?a=3&b=2",
        "http://shop.example/list/2",
    ]
    told = [item.fields for item in unpack_items(result.items) if item.type == "told"]
    assert told[0]["code"] == "0012"


def test_paths_are_relative_to_the_file_that_they_stand_in(tmp_path: Path) -> None:
    (tmp_path / "tell.py").write_text(PLUGIN)
    options = {"where": "{run.id}/x", "rates": {"a": 1, "b": resolve("2.50")}, "files": ["a", "b"], "n": resolve("7")}

    def locate(key: tuple[str | int, ...]) -> Mark:
        inside = key[-1] == "where" or "files" in key
        return Mark(str(tmp_path / ("base/common.yaml" if inside else "shop.yaml")), len(key), 1)

    uses = [Use("./tell.py", options, ("plugins", 0, "./tell.py"))]
    work = start(WorkerSetup.of(plugins=uses, rules={}, locate=locate, run=RUN).encode())
    (item,) = unpack_items(ask(work, page()).items)
    assert item.fields == {
        "where": str(tmp_path / "base" / "r1" / "x"),
        "code": "",
        "rates": {"a": 1.0, "b": 2.5},
        "files": [str(tmp_path / "base" / "a"), str(tmp_path / "base" / "b")],
        "n": 7,
    }


def test_paths_given_from_python_cross(tmp_path: Path) -> None:
    (tmp_path / "tell.py").write_text(PLUGIN)
    uses = [Use(str(tmp_path / "tell.py"), {"where": tmp_path / "deep"}, ("plugins", 0))]
    work = start(WorkerSetup.of(plugins=uses, rules={}, locate=nowhere, run=RUN).encode())
    assert unpack_items(ask(work, page()).items)[0].fields["where"] == str(tmp_path / "deep")


def test_errors_are_told_where_the_parent_would_tell_them(tmp_path: Path) -> None:
    (tmp_path / "tell.py").write_text(PLUGIN)

    def locate(key: tuple[str | int, ...]) -> Mark:
        return Mark(str(tmp_path / "shop.yaml"), 10 * len(key) + len(str(key[-1])), 3)

    rules = {"list": {"match": None, "items": [{"type": "x", "fields": {"a": {"css": "li >"}}}]}}
    uses = [Use("./tell.py", {"where": "x", "rates": {"a": "much"}, "nn": 1}, ("plugins", 0, "./tell.py"))]
    with pytest.raises(ConfigError) as parent:
        Host.load(plugins=uses, rules={}, locate=locate, run=RUN)
    with pytest.raises(ConfigError) as child:
        start(WorkerSetup.of(plugins=uses, rules={}, locate=locate, run=RUN).encode())
    assert str(child.value) == str(parent.value)
    with pytest.raises(ConfigError, match=r"shop\.yaml:\d+:3: pages\.list\.items\.0\.fields\.a\.css"):
        start(WorkerSetup.of(rules=rules, locate=locate, run=RUN).encode())


@pytest.mark.parametrize("value", [object(), len, {"deep": [1, object()]}, "\ud800", 2**70, b"bytes".decode])
def test_options_that_cannot_cross_are_told(value: Any) -> None:
    uses = [Use("tell", {"good": 1, "bad": value}, ("filter", 0, "tell"))]
    setup = WorkerSetup.of(filter=uses, rules={}, locate=lambda key: Mark("shop.yaml", 4, 2), run=RUN)
    with pytest.raises(ConfigError, match=r"shop\.yaml:4:2: filter\.0\.tell\.bad.*cannot be sent to a worker"):
        setup.encode()


def test_numbers_keep_their_spelling() -> None:
    options = {"a": resolve("1.50"), "b": resolve("007"), "c": 1.5, "d": True, "e": None, "f": [resolve(".inf")]}
    setup = WorkerSetup.of(filter=[Use("x", options, ("filter", 0))], rules={}, locate=nowhere, run=RUN)
    crossed = worker._decode(setup.encode()).filter[0].options
    assert crossed == options
    assert [str(crossed[name]) for name in "abcd"] == ["1.50", "007", "1.5", "True"]
    assert str(crossed["f"][0]) == ".inf"


def test_what_a_worker_must_not_take(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        """
from pipeline import Item, Request, hookimpl

@hookimpl
def parse(page):
    word = page.body.decode()
    if word == "interrupt":
        raise KeyboardInterrupt
    if word == "huge":
        yield from (Item("x", {"text": "x" * 1_000_000}) for _ in range(40))
    if word == "link":
        yield Request("/x", headers={"X": chr(0xd800)})
"""
    )
    uses = [Use(str(tmp_path / "bad.py"), None, ("plugins", 0))]
    work = start(WorkerSetup.of(plugins=uses, rules={}, locate=nowhere, run=RUN, max_body=1000).encode())
    words = {word: ask(work, page(word.encode())).fault for word in ("interrupt", "huge", "link", "x" * 1001)}
    assert (words["interrupt"].plugin, words["interrupt"].hook) == ("bad", "parse")
    assert words["interrupt"].message.startswith("KeyboardInterrupt")
    assert words["huge"].message == (
        "too large: the page gives 38 MiB of items and links; 32 MiB are the most that one page may give"
    )
    assert "cannot be stored: UnicodeEncodeError" in words["link"].message
    assert {fault.fate for fault in (words["interrupt"], words["huge"], words["link"])} == {"failed:plugin"}
    assert ask(work, page(b"fine")).fault is None


def test_the_running_plugin_is_noted(tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(
        """
from pipeline import Item, Request, hookimpl
from pipeline.workers import notes

@hookimpl
def parse(page):
    yield Item("x", {"now": list(notes.now())})
    yield Request("/a")

@hookimpl
def process_item(item, page):
    item["then"] = list(notes.now())

@hookimpl
def admit(requests, page):
    requests[0].carry = {"now": list(notes.now())}
"""
    )
    uses = [Use(str(tmp_path / "look.py"), None, ("plugins", 0))]
    work = start(WorkerSetup.of(plugins=uses, rules={"list": {"match": None}}, locate=nowhere, run=RUN).encode())
    result = ask(work, page())
    assert unpack_items(result.items)[0].fields == {"now": ["look", "parse"], "then": ["look", "process_item"]}
    assert unpack_links(result.links)[0].carry == {"now": ["look", "admit"]}


@pytest.mark.parametrize("plugin", ["fields", "a" * 400, "währung" * 60, ""])
def test_labels_have_one_size(plugin: str) -> None:
    label = notes.label(plugin, "parse")
    assert len(label) == notes.LABEL
    told, hook = notes.label_parts(label)
    assert plugin.startswith(told.rstrip("\ufffd"))
    assert hook == ("parse" if len(plugin) < 100 else "")


def test_a_worker_logs_at_its_parents_level() -> None:
    logging.getLogger("hookline").setLevel(logging.INFO)
    setup = WorkerSetup.of(rules={}, locate=nowhere, run=RUN).encode()
    logging.getLogger("hookline").setLevel(logging.CRITICAL)
    start(setup)
    assert logging.getLogger("hookline.plugin").isEnabledFor(logging.INFO)


def test_carried_values_keep_their_types_on_the_way_to_a_worker_and_back() -> None:
    carry = {
        "price": Decimal("12.50"),
        "when": datetime(2026, 1, 2, 18, 30, tzinfo=timezone(timedelta(hours=1))),
        "day": date(2026, 1, 2),
        "tags": ["a", Decimal(1)],
    }
    request = Request("http://x.example/", carry=carry)
    (sent,) = unpack_links(pack(PageResult(links=[request], marks=[bytes(16)])).links)
    assert repr(sent.carry) == repr(carry)
    job = PageJob("http://x.example/", 200, [], b"", rule="", carry=carry)
    assert repr(unpack_job(msgspec.msgpack.encode(carrying(job))).carry) == repr(carry)
    plain = Request("http://x.example/", carry={"a": "b"})
    assert carrying(plain) is plain
