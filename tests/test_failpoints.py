"""Failpoints: what the variable may say, what happens at a point, and that they cost nothing where it is not set."""

from __future__ import annotations

import ast
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import failpoints
from pipeline.failpoints import POINTS, VARIABLE, Failpoints, arm, hit

REPO = Path(__file__).resolve().parent.parent


def python(code: str, variable: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own with the variable set."""
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=cwd,
        env={**os.environ, VARIABLE: variable, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


# --- unarmed ---------------------------------------------------------------------------------------------------------


def test_without_the_variable_nothing_is_touched() -> None:
    assert VARIABLE not in os.environ
    assert hit is failpoints._nothing
    assert arm({}) is arm({VARIABLE: ""}) is failpoints._nothing
    assert [function.__module__ for function in (os.fsync, os.rename, os.replace)] == ["posix"] * 3
    hit("a name that is checked only where points are armed")


def points_in_the_sources() -> Iterator[tuple[str, str]]:
    for path in sorted((REPO / "pipeline").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hit" and node.args:
                name = node.args[0]
                assert isinstance(name, ast.Constant), f"{path}:{node.lineno}: a point is named by a literal"
                yield f"{path}:{node.lineno}", str(name.value)


def test_every_point_that_is_hit_is_known() -> None:
    assert [(place, name) for place, name in points_in_the_sources() if name not in POINTS] == []


# --- what the variable may say ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("before_commit", "'before_commit' is not understood; expected point:action"),
        ("before_comit:kill", "there is no point 'before_comit'; did you mean 'before_commit'"),
        ("zzz:kill", "there is no point 'zzz'; there are after_checkpoint, after_commit,"),
        ("before_commit:die", "'die' is no action; expected point:action"),
        ("before_commit:", "'' is no action"),
        ("before_commit:kill=9", "'kill=9' is no action"),
        ("before_commit:sleep", "'sleep' is no action"),
        ("before_commit:sleep=-1", "'sleep=-1' is no action"),
        ("before_commit:sleep=nan", "'sleep=nan' is no action"),
        ("before_commit:exit=256", "'exit=256' is no action"),
        ("before_commit:exit=x", "'exit=x' is no action"),
        ("before_commit:kill@", "@ is no turn; expected a number from 1"),
        ("before_commit:kill@0", "@0 is no turn"),
        ("before_commit:kill@²", "@² is no turn"),
        ("before_commit:kill,", "'' is not understood"),
        ("count=", "count= names no file"),
    ],
)
def test_a_wrong_spelling_says_what_is_right(text: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        Failpoints(text)
    assert str(caught.value).startswith(f"{VARIABLE}: ")
    assert says in str(caught.value)


def test_a_wrong_spelling_is_told_at_import(tmp_path: Path) -> None:
    done = python("import pipeline.failpoints", "nowhere:kill", tmp_path)
    assert done.returncode == 1
    assert f"ValueError: {VARIABLE}: there is no point 'nowhere'" in done.stderr


# --- what happens at a point -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "number"), [("error", errno.EIO), ("full", errno.ENOSPC)])
def test_errors(action: str, number: int) -> None:
    points = Failpoints(f"before_commit:{action}")
    points.hit("after_commit")
    with pytest.raises(OSError) as caught:
        points.hit("before_commit")
    assert caught.value.errno == number


@pytest.mark.parametrize(
    ("turn", "raised"),
    [("", [True, False, False]), ("@2", [False, True, False]), ("@*", [True, True, True]), ("@4", [False] * 3)],
)
def test_turns(turn: str, raised: list[bool]) -> None:
    points = Failpoints(f"on_lock:error{turn}")
    found = []
    for _ in raised:
        try:
            points.hit("on_lock")
        except OSError:
            found.append(True)
        else:
            found.append(False)
    assert found == raised


def test_several_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    points = Failpoints("on_lock:sleep=0.5, on_lock:sleep=2@3 ,on_lock:full@3,run_begin:sleep=7")
    for _ in range(2):
        points.hit("on_lock")
    with pytest.raises(OSError):
        points.hit("on_lock")
    assert slept == [0.5, 2]
    assert points.hits == {"on_lock": 3}


def test_an_unknown_point_is_an_error_where_points_are_armed() -> None:
    with pytest.raises(ValueError, match="there is no failpoint 'novelty'"):
        Failpoints("on_lock:kill").hit("novelty")


# --- in a process of its own -----------------------------------------------------------------------------------------

WORK = """
from pipeline.failpoints import hit
import os
from pathlib import Path
os.chdir("/")
here = Path(os.environ["HERE"])
for number in range(3):
    hit("before_stage")
    with (here / "new").open("w") as file:
        os.fsync(file.fileno())
    (here / "new").replace(here / "a")
    os.rename(here / "a", here / "b")
    os.replace(src=here / "b", dst=here / f"c{number}")
"""


@pytest.mark.parametrize(
    ("order", "code", "files", "hits"),
    [
        ("", 0, ["c0", "c1", "c2"], {"before_stage": 3, "before_fsync": 3, "before_rename": 9, "after_rename": 9}),
        (",before_fsync:kill@2", -signal.SIGKILL, ["c0", "new"], {"before_fsync": 2, "after_fsync": 1}),
        (",after_fsync:exit=7", 7, ["new"], {"before_fsync": 1, "after_fsync": 1, "before_rename": 0}),
        (",before_rename:kill@5", -signal.SIGKILL, ["a", "c0"], {"before_rename": 5, "after_rename": 4}),
        (",after_rename:error@6", 1, ["c0", "c1"], {"before_rename": 6, "after_rename": 6}),
    ],
)
def test_fsync_and_rename_are_wrapped_and_hits_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, code: int, files: list[str], hits: dict[str, int]
) -> None:
    monkeypatch.setenv("HERE", str(tmp_path))
    done = python(WORK, f"count=hits.json{order}", tmp_path)
    assert done.returncode == code, done.stderr
    counted = json.loads((tmp_path / "hits.json").read_text())
    assert counted.keys() == POINTS
    assert {point: counted[point] for point in hits} == hits
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*files, "hits.json"])
