"""`jsonl` on real files: what a line looks like, and that the target changes in one step or not at all."""

from __future__ import annotations

import json
import logging
import os
import resource
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Item, OptionError, RunInfo
from plugins.store.jsonl import JsonLines

RUN = RunInfo("r1", datetime(2024, 5, 1, tzinfo=UTC), "demo", logging.getLogger("test"))


def save(path: Path, *batches: list[Item], write: Literal["replace", "append"] = "replace") -> bytes:
    store = JsonLines(path, run=RUN, write=write)
    for batch in batches:
        store.store_items(batch)
    store.commit()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("value", "json_text"),
    [
        ("Zürich €", '"Zürich €"'),
        ("a\nb\u2028", '"a\\nb\u2028"'),
        (Decimal("51.70"), "51.70"),
        (Decimal("0.12345678901234567890"), "0.12345678901234567890"),
        (10**20, "100000000000000000000"),
        (True, "true"),
        (None, "null"),
        (date(2024, 5, 1), '"2024-05-01"'),
        (datetime(2024, 5, 1, 10, tzinfo=timezone(timedelta(hours=2))), '"2024-05-01T10:00:00+02:00"'),
        (["a", {"b": Decimal("1.0")}], '["a",{"b":1.0}]'),
    ],
)
def test_a_value_as_json(tmp_path: Path, value: Any, json_text: str) -> None:
    assert save(tmp_path / "x.jsonl", [Item(v=value)]).decode() == f'{{"v":{json_text}}}\n'


def test_order_of_rows_and_fields(tmp_path: Path) -> None:
    written = save(tmp_path / "x.jsonl", [Item(b=1, a=2), Item(a=3)], [], [Item(c=4)])
    assert written == b'{"b":1,"a":2}\n{"a":3}\n{"c":4}\n'


def test_nothing_is_visible_before_commit(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "x.jsonl"
    store = JsonLines(path, run=RUN)
    assert not path.parent.exists()  # `check` makes stores too, and writes nothing
    store.store_items([Item(a=1)])
    assert [file.name for file in path.parent.iterdir()] == [".x.jsonl.r1.stage"]
    store.commit()
    assert [file.name for file in path.parent.iterdir()] == ["x.jsonl"]


def test_abort_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("old")
    foreign = tmp_path / ".x.jsonl.r0.stage"
    foreign.write_text("of another run")
    store = JsonLines(path, run=RUN)
    store.store_items([Item(a=1)])
    store.abort()
    assert path.read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == [".x.jsonl.r0.stage", "x.jsonl"]
    JsonLines(path, run=RUN).abort()  # nothing staged, nothing to do


def test_no_items_make_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("old")
    assert save(path) == b""


def test_a_disk_without_room(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("old")
    before = path.read_bytes()
    store = JsonLines(path, run=RUN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # a write beyond it fails as on a full disk
    try:
        with pytest.raises(OSError):
            for _ in range(50):
                store.store_items([Item("x", a="z" * 10_000)])
            store.commit()
        store.abort()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.jsonl"]


@pytest.mark.parametrize(("old", "begins"), [("", ""), ('{"a":0}\n', '{"a":0}\n'), ('{"a":0}', '{"a":0}\n')])
def test_append_keeps_what_is_there(tmp_path: Path, old: str, begins: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(old)
    assert save(path, [Item(a=1)], write="append").decode() == begins + '{"a":1}\n'


def test_append_to_no_file(tmp_path: Path) -> None:
    assert save(tmp_path / "x.jsonl", [Item(a=1)], write="append") == b'{"a":1}\n'


def test_a_stage_of_this_run_from_before_a_crash_does_not_count(tmp_path: Path) -> None:
    (tmp_path / ".x.jsonl.r1.stage").write_text("half a li")
    assert save(tmp_path / "x.jsonl", [Item(a=1)]) == b'{"a":1}\n'


def test_permissions_of_the_old_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.touch(mode=0o600)
    save(path, [Item(a=1)])
    assert path.stat().st_mode & 0o777 == 0o600


def test_one_store_can_serve_two_publishes(tmp_path: Path) -> None:
    store = JsonLines(tmp_path / "x.jsonl", run=RUN)
    for number in (1, 2):
        store.store_items([Item(a=number)])
        store.commit()
    assert store.path.read_bytes() == b'{"a":2}\n'


def test_path_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is not a file"):
        JsonLines(tmp_path, run=RUN)


def test_a_parent_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="cannot be written"):
        JsonLines(tmp_path / "file" / "x.jsonl", run=RUN)


def test_no_permission_is_known_at_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda folder, mode: Path(folder) != tmp_path)  # root may write everywhere
    with pytest.raises(OptionError, match=f"no permission to write in {tmp_path}"):
        JsonLines(tmp_path / "new" / "x.jsonl", run=RUN)


def test_a_value_that_json_cannot_say(tmp_path: Path) -> None:
    store = JsonLines(tmp_path / "x.jsonl", run=RUN)
    with pytest.raises(TypeError, match="object is unsupported"):
        store.store_items([Item(a=object())])
    store.abort()
    assert list(tmp_path.iterdir()) == []


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=5))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    written = save(tmp_path_factory.getbasetemp() / "round.jsonl", [Item("x", row) for row in rows])
    assert [json.loads(line) for line in written.decode().split("\n")[:-1]] == rows
