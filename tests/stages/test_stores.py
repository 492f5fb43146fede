"""A bound store's own doings: commit counts once, and stages that nobody needs any more are cleared away."""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StorageError
from pipeline.model import Item
from pipeline.stages.stores import BoundStore, sweep

RUN = "20240501T100000Z-abc123"
OTHER = "20240430T100000Z-def456"


def stages(name: str) -> list[str]:
    return [f".{name}.{OTHER}.stage", f".{name}.{RUN}-2.stage", f".{name}.{RUN}.stage", f".{name}.{RUN}.stage-journal"]


@pytest.mark.parametrize("name", ["x.jsonl", "[a-z]*?.csv", "{x}", "x\\d+", "x y\n", ".x", "ä\udcff"])
def test_stages_of_all_runs_go(tmp_path: Path, name: str) -> None:
    kept = [name, f".{name}.appended", f".{name}.lock", f"{name}-wal", "other"]
    for file in (*kept, *stages(name)):
        (tmp_path / file).touch()
    assert sweep(tmp_path / name, RUN) == sorted(tmp_path / stage for stage in stages(name))
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(kept)
    assert sweep(tmp_path / name, RUN) == []


def test_an_id_of_another_form_counts_if_it_is_the_run(tmp_path: Path) -> None:
    for run in ("r.1", "rx1", "r2"):
        (tmp_path / f".x.{run}.stage").touch()
    assert sweep(tmp_path / "x", "r.1") == [tmp_path / ".x.r.1.stage"]


@pytest.mark.parametrize(
    "name",
    [
        f".xy.{RUN}.stage",
        f".x.y.{RUN}.stage",
        f"x.{RUN}.stage",
        f".x.{RUN}.stage.bak",
        f".x.{RUN}.stage-old",
        f".x.{RUN}-b.stage",
        f".x.{RUN}stage",
        f".X.{RUN}.stage",
        f".x.{RUN}.{RUN}.stage",
        ".x.production.stage",
        ".x..stage",
        ".x.20240501.stage",
        f".x.{RUN}.stage\n",
    ],
)
def test_nothing_else_goes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert sweep(tmp_path / "x", RUN) == []
    assert (tmp_path / name).exists()


def test_folders_and_links_of_such_a_name_stay(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / f".x.{RUN}.stage").symlink_to("precious")
    (tmp_path / f".x.{OTHER}.stage").mkdir()
    (tmp_path / f".x.{OTHER}.stage" / f".x.{RUN}.stage").touch()
    (tmp_path / f".x.{RUN}-2.stage").symlink_to(f".x.{OTHER}.stage")
    os.mkfifo(tmp_path / f".x.{RUN}-3.stage")
    assert sweep(tmp_path / "x", RUN) == []
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f".x.{OTHER}.stage",
        f".x.{RUN}-2.stage",
        f".x.{RUN}-3.stage",
        f".x.{RUN}.stage",
        "precious",
    ]


def test_where_the_target_is_a_link_its_stages_stand_beside_the_file(tmp_path: Path) -> None:
    far, near = tmp_path / "far", tmp_path / "near"
    far.mkdir()
    near.mkdir()
    (near / "x").symlink_to(far / "y")  # which need not be there
    for folder, name in ((near, "x"), (far, "x"), (far, "y")):
        (folder / f".{name}.{RUN}.stage").touch()
    assert sweep(near / "x", RUN) == [far / f".y.{RUN}.stage"]


def test_no_folder_no_stages(tmp_path: Path) -> None:
    assert sweep(tmp_path / "none" / "x", RUN) == []


def test_a_bound_store_sweeps_beside_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f".x.{OTHER}.stage").touch()
    assert BoundStore("memory", {}).sweep(RUN) == []
    assert BoundStore("jsonl", {}, path=tmp_path / "x").sweep(RUN) == [tmp_path / f".x.{OTHER}.stage"]

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (tmp_path / f".x.{OTHER}.stage").touch()
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StorageError, match=r"could not clear away what an earlier run left: .*give this user"):
        BoundStore("jsonl", {}, path=tmp_path / "x").sweep(RUN)


def note(calls: list[str], name: str, argument: Any) -> None:
    calls.append(name)


def test_commit_counts_once_until_something_is_staged_again() -> None:
    calls: list[str] = []
    store = BoundStore("s", {name: partial(note, calls, name) for name in ("store_items", "commit", "abort")})
    for _ in range(2):
        store.store_items([])
        store.commit(None)
        store.commit(None)
    store.abort("")
    store.commit(None)  # would make an empty target
    assert calls == ["store_items", "commit", "store_items", "commit", "abort"]


def test_a_commit_that_failed_is_not_tried_again() -> None:
    calls: list[str] = []

    def commit(summary: Any) -> None:
        calls.append("commit")
        if len(calls) == 1:
            raise OSError(errno.EIO, "Input/output error")

    store = BoundStore("s", {"store_items": lambda items: None, "commit": commit})
    store.store_items([Item(a=1)])
    for _ in range(2):
        with pytest.raises(StorageError, match=r"could not make its result visible.*system's log"):
            store.commit(None)
    store.abort("")
    store.store_items([])
    store.commit(None)
    assert calls == ["commit", "commit"]


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.EFBIG, "ulimit -f"), (errno.EBUSY, "mount its folder"), (errno.ENOSPC, "make room")]
)
def test_advice(number: int, advice: str) -> None:
    def fail(items: list[Item]) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(StorageError, match=advice):
        BoundStore("s", {"store_items": fail}).store_items([])
