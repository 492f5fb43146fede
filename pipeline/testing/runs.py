"""Whole runs, and single pages, of a config that a test writes down: what `hookline run` and `hookline try` would do.

A config is a mapping (as the YAML has it; `name` may be left out) or a path. A mapping is written into a folder, where
its outputs and its state then are; plugin files may stand there too. Results carry their own assertions, whose messages
say what came instead.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config.loader import Loaded, load
from pipeline.errors import ConfigError, Problem
from pipeline.model import Item, PageJob, Request
from pipeline.packing import pack, unpack_links
from pipeline.runner.build import Options, normaliser
from pipeline.runner.home import FILE, state_folder
from pipeline.runner.outcome import page_fate
from pipeline.runner.plugging import load_host
from pipeline.runner.publish import StreamStore
from pipeline.runner.session import execute
from pipeline.runner.summary import Summary
from pipeline.stages.jobs import RuleBook
from pipeline.stages.page import Page
from pipeline.state.database import reading
from pipeline.state.look import fates
from pipeline.testing.pages import URL, make_page, make_run


@dataclass
class RunResult:
    """What a run came to. `folder` has its outputs; `fates` are by URL."""

    exit_code: int
    items: list[Item]
    summary: Summary
    folder: Path
    fates: dict[str, str] = field(default_factory=dict)

    def items_of(self, kind: str) -> list[Item]:
        """The items of one type."""
        return [item for item in self.items if item.type == kind]

    def read(self, name: str) -> str:
        """The text of an output, by its path in the folder."""
        return (self.folder / name).read_text(encoding="utf-8")

    def fate(self, url: str) -> str:
        """The fate of a URL; of a path, if only one host was asked. AssertionError if it was never met."""
        found = [fate for asked, fate in self.fates.items() if asked == url or (url[:1] == "/" and _path(asked) == url)]
        if not found:
            raise AssertionError(f"no request for {url}; there were:{_lines(sorted(self.fates))}")
        return found[0]

    def assert_ok(self) -> None:
        """The run ended with 0."""
        self.assert_exit(0)

    def assert_exit(self, code: int) -> None:
        """The run ended with this exit code."""
        if self.exit_code != code:
            raise AssertionError(f"the run ended with {self.exit_code}, expected {code};{self._reasons()}")

    def assert_fate(self, url: str, fate: str) -> None:
        """A URL came to this fate."""
        got = self.fate(url)
        if got != fate:
            detail = next((one.detail for one in self.summary.problems if one.url.endswith(url)), "")
            raise AssertionError(f"{url} came to {got}, expected {fate}{f'; {detail}' if detail else ''}")

    def assert_items(self, *expected: Mapping[str, Any], kind: str | None = None) -> None:
        """The published items are these, in output order; of one type only, if `kind` is given."""
        _same_items(self.items if kind is None else self.items_of(kind), expected, self._reasons())

    def _reasons(self) -> str:
        summary = self.summary
        faults = [f"plugin {name}, {text}" for name, cost in summary.plugins.items() for text in cost.errors]
        failed = [f"check {verdict.check}: {verdict.message}" for verdict in summary.checks if not verdict.passed]
        drops = [f"{count} dropped: {why}" for why, count in summary.items.dropped.items()]
        problems = [f"{one.fate} {one.url}: {one.detail}" for one in summary.problems[:5]]
        return _lines([*summary.errors, *failed, *faults, *drops, *problems])


@dataclass
class Parsed:
    """What became of one page. `fate` is fetched where all went well; `requests` have absolute URLs."""

    fate: str
    detail: str
    items: list[Item]
    requests: list[Request]
    dropped: dict[str, int]
    dead: list[str]

    @property
    def links(self) -> list[str]:
        """The URLs of the requests."""
        return [request.url for request in self.requests]

    def assert_items(self, *expected: Mapping[str, Any]) -> None:
        """The page gave these items, in this order."""
        wrong = [] if self.fate == "fetched" else [f"the page came to {self.fate}: {self.detail}"]
        drops = [f"{count} dropped: {why}" for why, count in self.dropped.items()]
        _same_items(self.items, expected, _lines([*wrong, *drops, *self.dead]))


def run_config(
    config: Mapping[str, Any] | str | Path,
    *,
    folder: Path | None = None,
    files: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
    **options: Any,
) -> RunResult:
    """Run a config, stores included. `files` (name to text) are put beside it first; without a `folder` a temporary one
    is made, which goes when the result does.

    `options` are `limit`, `time_limit`, `strict`, `fresh`, `workers`. Raises ConfigError as `run` does.
    """
    loaded, made = _loaded(config, folder, files, overrides)
    if isinstance(config, Mapping) and "workers" not in config:
        options.setdefault("workers", 0)  # a test looks into its own process, and starts no others
    items: list[Item] = []
    summary = execute(loaded, Options(**options), stores=[StreamStore("result", items.extend)])
    result = RunResult(summary.exit_code, items, summary, loaded.file.parent)
    if made:
        weakref.finalize(result, shutil.rmtree, loaded.file.parent, ignore_errors=True)
    state = state_folder(loaded) / FILE
    if state.exists():
        with reading(state) as database:
            result.fates = fates(database)
    return result


def parse_page(
    config: Mapping[str, Any] | str | Path,
    page: Page | str = "",
    *,
    url: str = URL,
    folder: Path | None = None,
    files: Mapping[str, str] | None = None,
) -> Parsed:
    """One page through classify, parse, the filters and admit of a config, without a network and without output.

    Filters that run at publish (`single`) are left out, as in `hookline try`.
    """
    page = page if isinstance(page, Page) else make_page(page, url, rule="")
    seed = {"url": page.url, "page": page.rule} if page.rule else page.url
    loaded, made = _loaded(config, folder, files, seed=seed)
    try:
        host = load_host(loaded, page.run or make_run(), dry_run=True)
        rules = RuleBook(loaded.config.rules(), normaliser(loaded.config))
        rule = page.rule if page.rule in loaded.config.rules() else rules.resolve(Request(page.url)).page
        if rule is None:
            raise ConfigError([Problem(None, page.url, "no page rule fits this URL", "name one: make_page(rule=...)")])
        headers = list(page.headers.raw)
        job = PageJob(page.url, page.status, headers, page.body, rule=rule, carry=dict(page.carry))
        with host.stdout_guard():
            result = host.page_runner(rules)(job)
    finally:
        if made:
            shutil.rmtree(loaded.file.parent, ignore_errors=True)
    fate, detail = page_fate(result)
    return Parsed(
        fate=fate,
        detail=detail,
        items=[Item(record.type, record.fields) for record in result.items],
        requests=unpack_links(pack(result).links),
        dropped=result.dropped,
        dead=[f"dead letter: {one.fault.plugin}.{one.fault.hook}: {one.fault.message}" for one in result.dead],
    )


def _loaded(
    config: Mapping[str, Any] | str | Path,
    folder: Path | None,
    files: Mapping[str, str] | None,
    overrides: Mapping[str, str] | None = None,
    seed: Any = URL,
) -> tuple[Loaded, bool]:
    """The config, and whether a temporary folder was made for it. `seed` is where it starts if it does not say."""
    if not isinstance(config, Mapping):
        return load(Path(config), overrides=dict(overrides or {})), False
    made = folder is None
    place = Path(tempfile.mkdtemp(prefix="hookline-test-")) if folder is None else folder
    try:
        for name, text in (files or {}).items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text, encoding="utf-8")
        whole = {"name": "test", "seeds": [seed], **config}
        path = place / f"{whole['name']}.yaml"
        path.write_text(json.dumps(whole, ensure_ascii=False, indent=1, default=str), encoding="utf-8")  # JSON is YAML
        return load(path, overrides=dict(overrides or {})), made
    except BaseException:
        if made:
            shutil.rmtree(place, ignore_errors=True)
        raise


def _same_items(items: Sequence[Item], expected: Sequence[Mapping[str, Any]], reasons: str) -> None:
    got = [dict(item) for item in items]
    for number, (one, wanted) in enumerate(zip(got, expected, strict=False)):
        if one != dict(wanted):
            fields = [
                f"{name}: {one.get(name, '(none)')!r}, expected {wanted.get(name, '(none)')!r}"
                for name in dict.fromkeys([*wanted, *one])
                if name not in one or name not in wanted or one[name] != wanted[name]
            ]
            raise AssertionError(f"item {number} is another:{_lines(fields)}\n{reasons}")
        if isinstance(wanted, Item) and wanted.type != items[number].type:
            raise AssertionError(f"item {number} is of type {items[number].type!r}, expected {wanted.type!r}")
    if len(got) != len(expected):
        rest = got[len(expected) :] or [dict(one) for one in expected[len(got) :]]
        word = "more than expected" if len(got) > len(expected) else "missing"
        raise AssertionError(
            f"{len(got)} items, expected {len(expected)}; {word}:{_lines([str(one) for one in rest[:5]])}\n{reasons}"
        )


def _lines(texts: Sequence[str]) -> str:
    return "".join(f"\n  {text}" for text in texts)


def _path(url: str) -> str:
    return "/" + url.partition("://")[2].partition("/")[2]
