"""Where data on stdout finds no taker: a pipe that nobody reads any more, a disk that is full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.testing import FakeSite

COMMAND = [sys.executable, "-P", "-m", "pipeline"]
FULL = Path("/dev/full")


def test_a_reader_that_has_seen_enough_is_no_error_to_talk_about() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([*COMMAND, "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (5, "")


@pytest.mark.skipif(not FULL.is_char_device(), reason="no /dev/full")
def test_a_full_disk_is_told_in_one_line() -> None:
    with FULL.open("wb") as full:
        done = subprocess.run([*COMMAND, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (5, "the output cannot be written: No space left on device\n")


@pytest.mark.skipif(not FULL.is_char_device(), reason="no /dev/full")
def test_items_that_stdout_does_not_take_are_no_failure_of_the_state(
    hookline: Callable[..., Any], fake_site: FakeSite, tmp_path: Path
) -> None:
    fake_site.page("/", "<h1>A</h1>")
    (tmp_path / "x.yaml").write_text(
        f"name: x\nseeds: ['{fake_site.url}/']\npages: {{p: {{items: [{{fields: {{t: h1}}}}]}}}}\n"
    )
    assert hookline("run", "x.yaml").returncode == 0
    command = [*COMMAND, "items", "x.yaml"]
    with FULL.open("wb") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (5, "the output cannot be written: No space left on device\n")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(command, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (5, "")


PLUGIN = """
import os, subprocess, sys
from pipeline import hookimpl
def shout(word):
    os.write(1, f"{word} raw\\n".encode())
    subprocess.run([sys.executable, "-c", f"print('{word} child')"], check=True)
    print(word, "printed")
shout("import")
@hookimpl
def prepare_request(request): shout("prepare")
@hookimpl
def parse(page): shout("parse")
"""


@pytest.mark.parametrize("more", [("--workers", "0", "--dry-run"), ("--workers", "1")])
def test_stdout_is_for_data_whatever_plugins_write_there(
    more: tuple[str, ...], hookline: Callable[..., Any], fake_site: FakeSite, tmp_path: Path
) -> None:
    fake_site.page("/", "<h1>A</h1>")
    (tmp_path / "loud.py").write_text(PLUGIN)
    (tmp_path / "x.yaml").write_text(
        f"name: x\nseeds: ['{fake_site.url}/']\nplugins: [./loud.py]\n"
        "pages: {all: {items: [{fields: {title: h1}}]}}\n"
    )
    done = hookline("run", "x.yaml", "-o", "-", *more)
    assert (done.returncode, done.stdout) == (0, '{"title":"A"}\n')
    for word in ("import", "prepare", "parse"):
        for how in ("raw", "child", "printed"):
            assert f"{word} {how}\n" in done.stderr
    assert json.loads(hookline("check", "x.yaml", "--format", "json").stdout)[0]["ok"]
    assert json.loads(hookline("schema", "x.yaml").stdout)["title"] == "Hookline config"
