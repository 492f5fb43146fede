"""What a trial must leave behind: the same as an uninterrupted run, and nothing else.

Everything that is wrong comes out as a list of lines, so that a trial tells all of it at once and the checker itself
can be tested. Two outputs are appended to once a published run: after `n` published runs they hold the golden rows `n`
times. All others are those of the golden run, however many runs were published.
"""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.served import APPENDED, CONCURRENCY, NAME, OUTPUTS, Asked

UNCOMMITTED = CONCURRENCY + 500  # pages that a kill may cost (spec, section 3, contract 1)
FIRST_REQUEST = 3.0  # seconds from the start of a process to its first request
TABLE = frozenset({0, 1, 2, 3, 4, 5, 6, 10, 70, 75, 130, 143})
SAME = (
    "discovered",
    "pending",
    "fates",
    "hosts",
    "seeds",
    "items",
    "bad_links",
    "missing",
)  # of a report, whatever happened
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Outputs:
    """What stands in `out/`."""

    files: dict[str, bytes]
    tables: dict[str, Rows]  # "file.db/table" -> rows in order
    others: tuple[str, ...]  # names that no store of the config has


@dataclass(frozen=True)
class State:
    """What `state.db` says when nobody is at work. `sound` is the answer of integrity_check."""

    sound: str
    runs: tuple[tuple[str, str], ...]  # (id, status), oldest first

    @property
    def published(self) -> int:
        """How many runs were published."""
        return sum(status == "published" for _, status in self.runs)


@dataclass
class Golden:
    """An uninterrupted run."""

    outputs: Outputs
    report: dict[str, Any]
    asked: list[Asked]
    seconds: float
    largest: int = 0  # bytes of the largest file that it leaves

    @property
    def requests(self) -> int:
        """Requests for pages."""
        return sum(not each.robots for each in self.asked)

    @property
    def places(self) -> set[tuple[str, str]]:
        """What was asked for at all."""
        return {(each.host, each.path) for each in self.asked if not each.robots}


@dataclass
class Ended:
    """A trial that is over, as the oracle judges it."""

    folder: Path
    asked: list[Asked]
    kills: int  # processes that were killed, or failed for want of space
    starts: list[float] = field(default_factory=list)  # of each process
    codes: list[int] = field(default_factory=list)  # of those that ended by themselves
    after_publish: int = 0  # runs that were published before the last process started
    spare: int = 0  # requests that were given up in orderly stops
    allowed: frozenset[int] = frozenset({0})


def read_outputs(folder: Path) -> Outputs:
    """The outputs below `folder`; `_hookline*` are books of the store, not rows of the user's."""
    out = folder / "out"
    names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    files = {name: (out / name).read_bytes() for name in names if name.endswith((".jsonl", ".csv")) and name in OUTPUTS}
    tables = {
        f"{name}/{table}": rows
        for name in names
        if name.endswith(".db") and name in OUTPUTS
        for table, rows in _dump(out / name)
    }
    notes = {f".{name}.appended" for name in OUTPUTS}  # which rows of an appended file are whose: they stay
    return Outputs(files, tables, tuple(name for name in names if name not in OUTPUTS and name not in notes))


def _dump(path: Path) -> Iterator[tuple[str, Rows]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
        for name in names:
            if not name.startswith(("_hookline", "sqlite_")):
                columns = database.execute(f'SELECT name, type FROM pragma_table_info("{name}")').fetchall()
                yield name, [tuple(columns), *database.execute(f'SELECT * FROM "{name}" ORDER BY rowid')]


def read_state(folder: Path) -> State | None:
    """The state, read from a copy: opening a database after a kill repairs it, which is not the harness's to do."""
    state = folder / ".hookline" / NAME
    if not (state / "state.db").exists():
        return None
    with tempfile.TemporaryDirectory() as copy:
        for name in ("state.db", "state.db-wal", "state.db-journal"):
            if (state / name).exists():
                shutil.copy(state / name, copy)
        return _look(Path(copy) / "state.db")


def _look(path: Path) -> State:
    try:
        with closing(sqlite3.connect(path)) as database:
            sound = "; ".join(str(row[0]) for row in database.execute("PRAGMA integrity_check(5)"))
            there = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'run'").fetchone()
            runs = database.execute("SELECT id, status FROM run ORDER BY number").fetchall() if there else []
    except sqlite3.Error as error:
        return State(f"{type(error).__name__}: {error}", ())
    return State(sound, tuple(runs))


# --- judging ---------------------------------------------------------------------------------------------------------


def complaints(golden: Golden, ended: Ended) -> list[str]:
    """Everything that is wrong with a trial that came to its end."""
    state = read_state(ended.folder)
    published = state.published if state is not None else 1
    return [
        *wrong_state(state, published, ended.after_publish),
        *wrong_outputs(golden.outputs, read_outputs(ended.folder), published),
        *wrong_requests(golden, ended, published),
        *wrong_report(golden.report, ended.folder / "report.json"),
        *wrong_ends(ended),
    ]


def wrong_state(state: State | None, published: int, after_publish: int) -> Iterator[str]:
    """The database is sound, and the last process published one run."""
    if state is None:
        yield "there is no state.db"
        return
    if state.sound != "ok":
        yield f"integrity_check of state.db: {state.sound}"
    if published != 1 + after_publish:
        yield f"{published} runs were published, {1 + after_publish} expected: {state.runs}"


def wrong_outputs(golden: Outputs, found: Outputs, published: int = 1) -> Iterator[str]:
    """Equal bytes, equal rows, nothing left beside them."""
    if found.others:
        yield f"left beside the outputs: {', '.join(found.others)}"
    for name, data in golden.files.items():
        times = published if name in APPENDED else 1
        yield from _wrong_file(name, data * times, found.files.get(name))
    for name, rows in golden.tables.items():
        times = published if name.partition("/")[0] in APPENDED else 1
        yield from _wrong_table(name, [rows[0], *rows[1:] * times], found.tables.get(name))
    yield from (f"a table too many: {name}" for name in found.tables.keys() - golden.tables.keys())


def _wrong_file(name: str, expected: bytes, found: bytes | None) -> Iterator[str]:
    if found is None:
        yield f"{name} is missing"
        return
    yield from _torn(name, found)
    if found != expected:
        where = next((n for n, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), "the end")
        yield f"{name} differs: {len(found)} bytes for {len(expected)}, from byte {where} on"


def _torn(name: str, data: bytes) -> Iterator[str]:
    if data and not data.endswith(b"\n"):
        yield f"{name}: the last line is torn"
    if name.endswith(".csv"):
        lengths = Counter(len(row) for row in csv.reader(data.decode("utf-8", "replace").splitlines(keepends=True)))
        if len(lengths) > 1:
            yield f"{name}: rows of {sorted(lengths)} cells"
        return
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            json.loads(line)
        except ValueError:
            yield f"{name}:{number}: this is not JSON: {line[:80]!r}"
            return


def _wrong_table(name: str, expected: Rows, found: Rows | None) -> Iterator[str]:
    if found is None:
        yield f"table {name} is missing"
    elif found != expected:
        lacking, extra = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
        told = [*lacking.elements()][:1] + [*extra.elements()][:1]
        counts = f"{lacking.total()} rows lacking, {extra.total()} too many, or another order"
        yield f"table {name} differs: {counts}, as {told}"


def wrong_requests(golden: Golden, ended: Ended, published: int = 1) -> Iterator[str]:
    """Everything was asked for, nothing else, and not much twice. A kill never costs more than everything."""
    pages = [each for each in ended.asked if not each.robots]
    most = golden.requests * max(1, published) + ended.kills * min(UNCOMMITTED, golden.requests) + ended.spare
    if len(pages) > most:
        yield f"{len(pages)} requests, at most {most} allowed (golden {golden.requests}, {ended.kills} kills)"
    places = {(each.host, each.path) for each in pages}
    for what, some in (
        ("never asked for", golden.places - places),
        ("asked for, and not by golden", places - golden.places),
    ):
        if some:
            yield f"{len(some)} URLs were {what}, as {min(some)}"


def wrong_report(golden: dict[str, Any], path: Path) -> Iterator[str]:
    """The books of the last process balance, and are those of the whole run."""
    if not path.exists():
        yield "there is no report"
        return
    report = json.loads(path.read_text(encoding="utf-8"))
    items = report["items"]
    if sum(report["fates"].values()) + report["pending"] != report["discovered"]:
        yield f"the books do not balance: {report['discovered']} discovered, {report['fates']}"
    if items["extracted"] != items["stored"] + sum(items["dropped"].values()) + items["dead_lettered"]:
        yield f"the books of items do not balance: {items}"
    if report["exit_code"] != 0 or not report["published"]:
        yield f"the report says exit {report['exit_code']}, published {report['published']}: {report['errors']}"
    if differing := items["changed"] or items["gone"]:
        yield f"{differing} items changed or gone on a site that stays the same: {items}"
    if items["new"] + items["unchanged"] != items["stored"]:
        yield f"new and unchanged items are not all: {items}"
    report["items"] = items | {"new": items["stored"], "unchanged": 0}  # golden is the first run of its folder
    for key in SAME:
        if report[key] != golden[key]:
            yield f"report.{key}: {_short(report[key])}, golden {_short(golden[key])}"
    if report["links"]["found"] != golden["links"]["found"]:
        yield f"report.links.found: {report['links']['found']}, golden {golden['links']['found']}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 300 else f"{text[:300]} ..."


def wrong_ends(ended: Ended) -> Iterator[str]:
    """Exit codes of the table, and no restart that dawdles."""
    for code in ended.codes:
        if code not in ended.allowed:
            yield f"exit code {code}, allowed are {sorted(ended.allowed)}"
    if not ended.codes or ended.codes[-1] != 0:
        yield f"the last process did not end with 0: {ended.codes}"
    yield from _dawdling(ended.starts, [each.when for each in ended.asked])


def _dawdling(starts: Sequence[float], asked: Sequence[float]) -> Iterator[str]:
    for number, start in enumerate(starts):
        end = starts[number + 1] if number + 1 < len(starts) else float("inf")
        first = min((when for when in asked if start <= when < end), default=start)
        if first - start > FIRST_REQUEST:
            yield f"start {number + 1}: the first request came after {first - start:.1f} s"
