"""Every exit code, end to end, and which one counts where several would (spec, section 1).

The table is in order of precedence. Each cause runs in one command with the cause that comes after it in the table, in
either order: the exit code must be its own, and both must have had their say, since a failing config does not stop the
others. Each says what there is to say in ten lines. 130 and 143 need signals and have tests of their own below.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from tests.crash.killing import Process
from tests.crash.served import Served

CONFIG = """\
name: {name}
seeds: ["{url}/{path}"]
pages: {{all: {{items: [{{fields: {{title: {title}}}}}], follow: [a]}}}}
fetch: {{robots: false{fetch}}}
store: [{{jsonl: "out/{name}.jsonl"}}{store}]
{more}
"""

PLUGINS = {
    "full": """
import errno
from pipeline import hookimpl
class Full:
    @hookimpl
    def store_items(self, items): raise OSError(errno.ENOSPC, "No space left on device")
    @hookimpl
    def commit(self, summary): pass
@hookimpl
def register(registry): registry.store("full", Full)
""",
    "raising": """
from pipeline import hookimpl
@hookimpl
def parse(page):
    if not page.url.endswith("/many"):  # the links of a page that fails do not count
        raise ValueError("not this page")
""",
    # A bug of ours, as far as anybody can see: the loop's own code raises.
    "bug": """
from pipeline import hookimpl
from pipeline.runner.engine import Engine
@hookimpl
def run_start(run):
    whole = Engine.tick
    def tick(self):
        Engine.tick = whole
        raise RuntimeError("out of order")
    Engine.tick = tick
""",
}


@dataclass(frozen=True)
class Cause:
    """A config that ends with `code` and says `told` on stderr; `written` says whether its output is there then."""

    name: str
    code: int
    told: str
    path: str = ""
    title: str = "h1"
    fetch: str = ""
    store: str = ""
    more: str = ""
    broken: str = ""
    locked: bool = False
    settled: bool = False  # it was run before
    written: bool = False

    def make(self, folder: Path, url: str) -> Path:
        """Write the config and its plugin."""
        text = CONFIG.format(url=url, **{key: getattr(self, key) for key in
            ("name", "path", "title", "fetch", "store", "more")}) + self.broken  # fmt: skip
        for name, source in PLUGINS.items():
            (folder / f"{name}.py").write_text(source)
        path = folder / f"{self.name}.yaml"
        path.write_text(text)
        return path


LATE = ", per_host: {concurrency: 1, delay: 30s}"
CAUSES = (
    Cause("bug", 70, "please report", more="plugins: [./bug.py]"),
    Cause("config", 2, "config.yaml:", broken="nonsense: 1\n"),
    Cause("storage", 5, "No space left on device", store=", full", more="plugins: [./full.py]"),
    Cause("plugin", 6, "raising", path="many", more="plugins: [./raising.py]"),
    Cause("source", 4, "every seed failed", path="missing"),
    Cause("check", 1, "items >= 1", title="h1.renamed"),
    Cause("time", 3, "stopped early", fetch=LATE, more="limits: {time: 300ms}"),
    Cause("locked", 75, "locked", locked=True),
    Cause("changed", 10, "", written=True),
    Cause("fine", 0, "", written=True, settled=True),
)


@pytest.fixture
def shop(site: Any) -> Any:
    """A page with a link, and one with twelve: enough for an error budget."""
    site.page("/", "<h1>Home</h1><a href=/b>b</a>")
    site.page("/b", "<h1>B</h1>")
    site.page("/many", "<h1>Many</h1>" + "".join(f"<a href=/many/{number}>x</a>" for number in range(12)))
    for number in range(12):
        site.page(f"/many/{number}", f"<h1>{number}</h1>")
    return site


def hold_lock(folder: Path, name: str) -> int:
    """What another run would hold: a descriptor to close."""
    state = folder / ".hookline" / name
    state.mkdir(parents=True)
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    note = {"pid": os.getpid(), "host": os.uname().nodename, "since": "2026-01-31T04:00:00Z"}  # else they wait for it
    os.write(descriptor, json.dumps(note).encode())
    return descriptor


PAIRS = [pytest.param(worse, milder, id=f"{worse.code} before {milder.code}")
    for worse, milder in pairwise(CAUSES)]  # fmt: skip


@pytest.mark.parametrize(("worse", "milder"), PAIRS)
def test_the_worse_of_two_causes_is_the_exit_code(
    shop: Any, hookline: Any, tmp_path: Path, worse: Cause, milder: Cause
) -> None:
    both = [worse, milder] if worse.code in (70, 6, 1, 75) else [milder, worse]
    paths = [cause.make(tmp_path, shop.url) for cause in both]
    locks = [hold_lock(tmp_path, cause.name) for cause in both if cause.locked]
    for path, cause in zip(paths, both, strict=True):
        assert not cause.settled or hookline("run", path.name).returncode == 0
    done = hookline("run", "--detailed-exit-code", *(path.name for path in paths))
    for descriptor in locks:
        os.close(descriptor)
    assert done.returncode == worse.code, done.stderr
    assert ("Traceback" in done.stderr) is (worse.code == 70)
    assert len(done.stderr.splitlines()) <= 10 * sum(cause.code not in (0, 10) for cause in both), done.stderr
    for cause in both:
        assert cause.told in done.stderr, f"{cause.name}: {done.stderr}"
        assert (tmp_path / f"out/{cause.name}.jsonl").exists() is cause.written, cause.name
        assert not list(tmp_path.glob("out/.*")), "something is left beside the outputs"


def test_data_that_did_not_change_is_no_10(shop: Any, inside: Any, tmp_path: Path) -> None:
    """New items, none, then one that is gone; the history has the same codes, and nothing is said of any."""
    config = Cause("x", 0, "", more="checks: [pages.failed <= 100%]").make(tmp_path, shop.url).name
    codes = [inside("run", config, "--detailed-exit-code").returncode for _ in range(2)]
    shop.page("/b", "", status=410)
    done = inside("run", config, "--detailed-exit-code")
    assert (*codes, done.returncode) == (10, 0, 10)
    assert inside("run", config).returncode == 0, "not without the flag"
    assert (done.stdout, done.stderr) == ("", "")
    history = json.loads(inside("runs", "--json", config).stdout)
    assert [run["exit_code"] for run in history] == [0, 10, 0, 10]


POLICIES = [
    # (flag, key, seconds until the lock is released, code)
    (None, None, None, 75),
    ("fail", "skip", None, 75),
    ("skip", None, None, 0),
    (None, "skip", None, 0),
    ("wait=300ms", None, None, 75),
    ("wait=1m", "fail", 0.6, 0),
    (None, "wait=1m", 0.6, 0),
]


@pytest.mark.parametrize(("flag", "key", "released", "code"), POLICIES)
def test_what_if_locked_means(
    shop: Any, inside: Any, tmp_path: Path, flag: str | None, key: str | None, released: float | None, code: int
) -> None:
    path = Cause("x", 0, "", more=f"if_locked: {key}" if key else "").make(tmp_path, shop.url)
    descriptor = hold_lock(tmp_path, "x")
    timer = Timer(released or 60, lambda: fcntl.flock(descriptor, fcntl.LOCK_UN))
    timer.start()
    try:
        done = inside("run", path.name, *(["--if-locked", flag] if flag else []))
    finally:
        timer.cancel()
        os.close(descriptor)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "out/x.jsonl").exists() is (released is not None)
    lines = done.stderr.splitlines()
    assert (lines == []) is (code == 0), lines
    assert code == 0 or (lines[0] == "x: another run holds the lock; nothing was done [exit 75]" and len(lines) == 3)
    if released is not None:
        (run,) = json.loads(inside("runs", "--json", path.name).stdout)
        assert (run["status"], run["exit_code"], run["pages"]["fetched"]) == ("published", 0, 2)


def test_a_policy_that_there_is_not_is_a_usage_error() -> None:
    done = CliRunner().invoke(main, ["run", "x.yaml", "--if-locked", "wait"])
    assert done.exit_code == 2 and "did you mean wait=10m?" in done.stderr


SEVERAL = [
    # (code, why, config): several causes in one run
    (6, "most pages fail by a plugin, and a check would too", Cause("x", 6, "", "many", title="h1.renamed",
        more="plugins: [./raising.py]")),
    (5, "a store fails, and so would a check", Cause("x", 5, "", "half", store=", full", more="plugins: [./full.py]")),
    (3, "no seed was reached, but there was no time for it", Cause("x", 3, "", "busy",
        fetch=", retry: {base: 30s}", more="limits: {time: 300ms}")),
    (4, "no seed was reached, so the checks are not judged", Cause("x", 4, "", "missing", title="h1.renamed")),
]  # fmt: skip


@pytest.mark.parametrize(("code", "why", "cause"), SEVERAL, ids=[str(code) for code, *_ in SEVERAL])
def test_several_causes_in_one_run(shop: Any, hookline: Any, tmp_path: Path, code: int, why: str, cause: Cause) -> None:
    shop.page("/half", "<h1>Half</h1><a href=/broken>x</a>")
    shop.page("/broken", "", status=501)
    shop.page("/busy", "", status=503)
    done = hookline("run", cause.make(tmp_path, shop.url).name, "--limit", "30")
    assert done.returncode == code, f"{why}: {done.stderr}"
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out/x.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("signals", "code"), [([signal.SIGTERM], 1), ([signal.SIGINT, signal.SIGINT], 130),
    ([signal.SIGTERM, signal.SIGTERM], 143)])  # fmt: skip
def test_a_signal_is_for_the_whole_command(
    shop: Any, small: Served, tmp_path: Path, signals: list[signal.Signals], code: int
) -> None:
    """Of three configs the first fails a check, the second is stopped, and the third is not begun any more."""
    small.tell("hold")
    slow = Cause("slow", 3, "", fetch=", private_networks: allow")
    shop.page("/third", "<h1>Third</h1>")
    names = [
        CAUSES[5].make(tmp_path, shop.url).name,
        slow.make(tmp_path, f"http://127.0.1.1:{small.port}").name,
        Cause("third", 0, "", "third").make(tmp_path, shop.url).name,
    ]
    process = Process(tmp_path, "run", *names)
    try:
        small.wait_for_waiting(1)
        for signum in signals:
            process.popen.send_signal(signum)
            time.sleep(0.3)  # two of one number that come together are one
        small.tell("release")
        assert process.end(9) == code, process.stderr
    finally:
        process.destroy()
        small.reset()
    assert "GET /third" not in shop.log, process.stderr
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
