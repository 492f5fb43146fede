"""How the command ends: whatever its stderr is, whatever plugins leave behind, whenever it is told to stop."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-P", "-m", "pipeline"]
FULL = Path("/dev/full")
CONFIG = """
name: {name}
seeds: ["{url}/"]
{more}
pages: {{p: {{items: [{{fields: {{title: h1}}}}]}}}}
store: [{{jsonl: {name}.jsonl}}]
"""


@pytest.fixture
def config(site: Any, tmp_path: Path) -> Callable[..., Path]:
    """`config(name, more)`: of a site with one page."""
    site.page("/", "<h1>Home</h1>")

    def write(name: str = "x", more: str = "") -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(CONFIG.format(name=name, url=site.url, more=more))
        return path

    return write


# --- stderr ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not FULL.is_char_device(), reason="no /dev/full")
@pytest.mark.parametrize(("words", "code"), [(["run", "x.yaml"], 4), (["check", "no.yaml"], 2), (["run"], 2)])
def test_the_exit_code_survives_a_stderr_that_cannot_be_written(
    words: list[str], code: int, config: Any, site: Any, tmp_path: Path
) -> None:
    config()
    del site.pages["/"]
    with FULL.open("wb") as full:
        done = subprocess.run([*COMMAND, *words], cwd=tmp_path, stderr=full, stdout=subprocess.PIPE, check=False)
    assert done.returncode == code


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&- <&-"])
def test_a_run_works_without_descriptors(closed: str, config: Any, tmp_path: Path) -> None:
    config()
    shell = f'"{sys.executable}" -P -m pipeline run x.yaml {closed}'
    assert subprocess.run(["/bin/sh", "-c", shell], cwd=tmp_path, check=False, timeout=30).returncode == 0
    assert (tmp_path / "x.jsonl").read_text() == '{"title":"Home"}\n'


# --- what plugins leave ----------------------------------------------------------------------------------------------

THREAD = "threading.Thread(target=time.sleep, args=(1000,)).start()"
HANDLER = "atexit.register(time.sleep, 1000)"


@pytest.mark.parametrize("left", [THREAD, HANDLER, "atexit.register(open, 'ended', 'w')"])
def test_the_command_ends_when_its_work_is_done(left: str, config: Any, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(
        f"import atexit, threading, time\nfrom pipeline import hookimpl\n\n@hookimpl\ndef run_start(run):\n    {left}\n"
    )
    config(more="plugins: [./p.py]")
    done = subprocess.run([*COMMAND, "run", "x.yaml"], cwd=tmp_path, capture_output=True, timeout=25, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "x.jsonl").exists()
    assert (tmp_path / "ended").exists() == ("ended" in left)


# --- limits of the system --------------------------------------------------------------------------------------------


def test_a_limit_of_open_files_that_fits_nothing_is_named(config: Any, tmp_path: Path) -> None:
    config()
    shell = f'ulimit -n 34; exec "{sys.executable}" -P -m pipeline run x.yaml'
    done = subprocess.run(["/bin/sh", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    told = re.search(
        r"limit of open files is 34, .* at least (\d+), or (\d+) for fetch.concurrency 64; raise it \(ulimit",
        done.stderr,
    )
    assert told and 34 < int(told[1]) == int(told[2]) - 63, done.stderr


@pytest.mark.parametrize(
    "refusing",
    ["threading._start_new_thread = refuse", "import subprocess; subprocess._fork_exec = refuse_process"],
)
def test_no_more_threads_or_processes_is_no_bug_of_ours(refusing: str, config: Any, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(
        "import errno, os, threading\nfrom pipeline import hookimpl\n\n@hookimpl\ndef parse(page): pass\n\n"
        'def refuse(*given): raise RuntimeError("can\'t start new thread")\n'
        "def refuse_process(*given): raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))\n"
        f"{refusing}\n"
    )
    config(more="plugins: [./p.py]\nlimits: {page_time: 5s}")
    workers = "0" if "thread" in refusing else "1"
    done = subprocess.run(
        [*COMMAND, "run", "x.yaml", "--workers", workers], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode in (2, 3) and "Traceback" not in done.stderr
    told = " ".join(done.stderr.split())
    assert "raise the limit of threads and processes (ulimit -u, TasksMax= in a unit, pids of a container)" in told
    assert not (tmp_path / "x.jsonl").exists()


# --- told to stop before there is a run ------------------------------------------------------------------------------

WAITS = """
import pathlib, time
if not pathlib.Path("waits").exists():
    pathlib.Path("waits").touch()
    time.sleep(30)
"""


def stopped(signum: int, *words: str, folder: Path, **env: str) -> tuple[int, str]:
    """Exit code and stderr of a command that gets a signal while it waits."""
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=folder, stderr=subprocess.PIPE, text=True, env={**os.environ, **env}
    )
    deadline = time.monotonic() + 20
    while not (folder / "waits").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signum)
    _, said = process.communicate(timeout=20)
    return process.returncode, said


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("module", ["click", "pipeline_plugin"])
def test_a_signal_before_anything_was_requested_ends_the_command_in_one_line(
    module: str, name: str, config: Any, site: Any, tmp_path: Path
) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / f"{module}.py").write_text(WAITS)  # instead of the real one
    config(more="" if module == "click" else "plugins: [pipeline_plugin]")
    code, said = stopped(getattr(signal, name), "run", "x.yaml", folder=tmp_path, PYTHONPATH=str(tmp_path / "modules"))
    about = "" if module == "click" else "x: "
    assert (code, said) == (3, f"{about}stopped by {name} before anything was requested\n")
    assert not site.log and not (tmp_path / "x.jsonl").exists()


def test_what_the_runs_before_came_to_counts(config: Any, site: Any, tmp_path: Path) -> None:
    first = config("first")
    first.write_text(first.read_text().replace('/"]', '/missing"]'))
    (tmp_path / "slow.py").write_text(WAITS)
    config("second", more="plugins: [./slow.py]")
    code, said = stopped(signal.SIGTERM, "run", "first.yaml", "second.yaml", folder=tmp_path)
    assert code == 4 and "first: the source is unavailable" in said
    assert said.endswith("\nsecond: stopped by SIGTERM before anything was requested\n")


def test_commands_without_a_run_end_as_commands_do(config: Any, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(WAITS)
    config(more="plugins: [./slow.py]")
    assert stopped(signal.SIGTERM, "check", "x.yaml", folder=tmp_path) == (-signal.SIGTERM, "")
    (tmp_path / "waits").unlink()
    (tmp_path / "slow.py").write_text(WAITS.replace("30", "1"))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        code, said = stopped(signal.SIGHUP, "check", "x.yaml", folder=tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert code == 2 and "no hook" in said, "it went on to its end"
