"""A config's own `tests:`: saved pages, through the plugins as in a run, and whether they give what is expected.

Nothing is fetched and nothing stored. An item is what a store would get from a run over this page alone, filters that
see a whole result included. Knows neither terminals nor how a config is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from pipeline.config.loader import Loaded
from pipeline.config.nodes import KeyPath, key_text, plain
from pipeline.config.schema import TestCase
from pipeline.errors import Mark, Problem
from pipeline.model import Item, PageJob, PageResult
from pipeline.runner.build import normaliser
from pipeline.runner.outcome import page_fate
from pipeline.stages.host import Host
from pipeline.stages.jobs import PageRunner, RuleBook

_encoder = msgspec.json.Encoder(decimal_format="number")

SURPLUS: Final = 3  # items that nobody expects, of those that are shown
SUFFIXES = {
    **dict.fromkeys((".html", ".htm"), "text/html"),
    ".json": "application/json",
    ".xml": "application/xml",
    ".txt": "text/plain",
    ".xhtml": "application/xhtml+xml",
}


class Difference(NamedTuple):
    """One thing that is not as expected, and where that is expected."""

    mark: Mark
    text: str


class Trial(NamedTuple):
    """How a test went. `items` are what the page gave, by type, as plain data; None if it failed."""

    number: int
    name: str
    mark: Mark
    differences: list[Difference]
    items: dict[str, list[dict[str, Any]]] | None


def unfit_tests(loaded: Loaded) -> list[Problem]:
    """Tests that cannot be run: without their saved page, or with a URL that no page rule is for."""
    book = RuleBook(loaded.config.rules(), normaliser(loaded.config))
    found = []
    for number, test in enumerate(loaded.config.tests):
        path: KeyPath = ("tests", number, "fixture")
        file = loaded.resolve(path, test.fixture)
        if not file.is_file():
            found.append(Problem(loaded.locate(path), key_text(path), *_no_fixture(file)))
        if test.page is None and book.rule_for(book.target(test.url).url) is None:
            path = ("tests", number, "url")
            message = "expected a URL that some page rule matches, found one that none does"
            found.append(Problem(loaded.locate(path), key_text(path), message, "name one with 'page:'"))
    return found


def _no_fixture(file: Path) -> tuple[str, str]:
    """What is wrong with a fixture that is no file, and what to do."""
    if file.is_dir():
        return f"expected a file, found a folder at {file}", "name the saved page in it"
    from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

    files = file.parent.iterdir() if file.parent.is_dir() else ()
    there = {one.stem: one.name for one in files if _one_kind(file, one)}
    near = get_close_matches(file.stem, there, 1)  # endings would make any two names alike
    hint = f"did you mean {there[near[0]]!r}?" if near else "hookline try --save-fixture saves a page"
    return f"expected a file, found none at {file}", hint


def _one_kind(one: Path, two: Path) -> bool:
    """Whether two files may hold the same page: their endings say one thing."""
    ends = (one.suffix.lower(), two.suffix.lower())
    return ends[0] == ends[1] or (ends[0] in SUFFIXES and SUFFIXES[ends[0]] == SUFFIXES.get(ends[1]))


def run_trials(loaded: Loaded, host: Host) -> Iterator[Trial]:
    """Every test of the config, in order. `host` has its plugins; call within its `stdout_guard`."""
    book = RuleBook(loaded.config.rules(), normaliser(loaded.config))
    runner = host.page_runner(book, max_body=loaded.config.fetch.max_body)
    for number, test in enumerate(loaded.config.tests):
        yield _Case(loaded, host, runner, number, test).run(book)


class _Case:
    """One test at work."""

    def __init__(self, loaded: Loaded, host: Host, runner: PageRunner, number: int, test: TestCase) -> None:
        self._loaded = loaded
        self._host = host
        self._runner = runner
        self._number = number
        self._test = test

    def run(self, book: RuleBook) -> Trial:
        test = self._test
        file = self._loaded.resolve(("tests", self._number, "fixture"), test.fixture)
        rule = test.page or book.rule_for(book.target(test.url).url) or ""
        url = book.target(test.url).url
        kind = test.content_type or SUFFIXES.get(Path(file).suffix.lower(), "")
        headers = [("Content-Type", kind)] if kind else []
        job = PageJob(url, 200, headers, file.read_bytes(), rule=rule, carry=dict(test.carry))
        result = self._runner(job)
        name = test.name or f"{rule} {test.fixture}"
        fate, why = page_fate(result)[:2]
        if fate != "fetched":
            told = [self._at((), f"the page ends {fate}" + (f": {why}" if why else ""))]
            return Trial(self._number, name, self._mark(()), told, None)
        items = items_of(self._host, job, result)
        return Trial(self._number, name, self._mark(()), list(self._compare(items)), items)

    def _mark(self, path: KeyPath) -> Mark:
        return self._loaded.locate(("tests", self._number, *path))

    def _at(self, path: KeyPath, text: str) -> Difference:
        return Difference(self._mark(path), text)

    def _compare(self, items: Mapping[str, Sequence[dict[str, Any]]]) -> Iterator[Difference]:
        expect = self._test.expect
        if not expect and items:
            counts = ", ".join(f"{len(some)} of type {kind}" for kind, some in items.items())
            yield self._at((), f"no items are expected, found {counts}")
        for kind, wanted in expect.items():
            yield from self._compare_type(kind, wanted, items.get(kind, []))

    def _compare_type(
        self, kind: str, wanted: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]
    ) -> Iterator[Difference]:
        path: KeyPath = ("expect", kind)
        if len(wanted) != len(found):
            yield self._at(path, f"{kind}: expected {_items(len(wanted))}, found {len(found)}")
        for number, (want, got) in enumerate(zip(wanted, found, strict=False)):
            for name, value in want.items():
                where = f"{kind} {number + 1}: {name}: expected {shown(value)}"
                if name not in got:
                    yield self._at((*path, number, name), f"{where}, found no such field")
                elif not same(got[name], value):
                    yield self._at((*path, number, name), f"{where}, found {shown(got[name])}")
        for number, want in enumerate(wanted[len(found) :], len(found)):
            yield self._at((*path, number), f"{kind} {number + 1}: expected {shown(want)}, found nothing")
        surplus = found[len(wanted) :]
        for number, got in enumerate(surplus[:SURPLUS], len(wanted)):
            names = list(dict.fromkeys(name for want in wanted for name in want)) or list(got)
            yield self._at(path, f"{kind} {number + 1}: not expected: {shown({n: got.get(n) for n in names})}")
        if len(surplus) > SURPLUS:
            yield self._at(path, f"{kind} {len(wanted) + SURPLUS + 1} to {len(found)}: not expected")


def items_of(host: Host, job: PageJob, result: PageResult) -> dict[str, list[dict[str, Any]]]:
    """The items of a page by type, as plain data, after the filters that run at publish."""
    found: dict[str, list[dict[str, Any]]] = {}
    given = ((job, _item(record)) for record in result.items)
    for _, item in host.publish_chain(given):
        if isinstance(item, Item):
            fields = {name: msgspec.to_builtins(value, builtin_types=(Decimal,)) for name, value in item.items()}
            found.setdefault(item.type, []).append(fields)
    return found


def _item(record: Any) -> Item:
    item = Item(record.type, record.fields)
    item.rule = record.rule
    return item


def updated(test: TestCase, items: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """What `expect` becomes: the types that it had, and of them the fields that it compared; all where it had none."""
    kinds = list(test.expect) or list(items)
    expect: dict[str, Any] = {}
    for kind in kinds:
        names = list(dict.fromkeys(name for want in test.expect.get(kind, ()) for name in want))
        found = items.get(kind, [])
        expect[kind] = [{name: one[name] for name in names or one if name in one} for one in found]
    return expect


def same(got: Any, want: Any) -> bool:
    """Is a value what was expected? Numbers by value, text also where the YAML has a number spelt like it."""
    if isinstance(got, str):
        return not isinstance(want, bool | list | dict | None) and got == str(want)
    if isinstance(got, bool) or isinstance(want, bool) or got is None or want is None:
        return got is want
    if isinstance(got, list) and isinstance(want, list):
        return len(got) == len(want) and all(map(same, got, want))
    if isinstance(got, dict) and isinstance(want, dict):
        return got.keys() == want.keys() and all(same(got[key], want[key]) for key in got)
    numbers = isinstance(got, int | float | Decimal) and isinstance(want, int | float)
    return numbers and Decimal(str(got)) == Decimal(str(want))


def shown(value: Any) -> str:
    """A value in a message."""
    return repr(value) if isinstance(value, str) else _encoder.encode(plain(value)).decode()


def _items(number: int) -> str:
    return f"{number} item" + ("" if number == 1 else "s")
