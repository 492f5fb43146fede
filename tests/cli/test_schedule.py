"""`hookline schedule`: what is printed is what cron and systemd take, and it leaves time for a run to end."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.cli.emit import LONGEST_LINE, Job, crontab, duration, units
from pipeline.config.crontab import parse
from pipeline.config.units import seconds
from pipeline.errors import OptionError

CONFIG = "name: books\nseeds: [http://127.0.0.1:9/]\nstore: [{jsonl: out/books.jsonl}]\n"
ODD = [
    "plain",
    "with space",
    "100%",
    "it's",
    'say "hi"',
    "$HOME",
    "$$",
    "a;b",
    "tür",
    "%h-%n",
    "~",
    "#no",
    "-dash",
    "x=y",
]


def job(file: str = "/srv/books.yaml", schedule: str = "17 */6 * * *", **more: Any) -> Job:
    words = {"name": "books", "program": ["/opt/v/bin/hookline"], "arguments": [], "writable": [Path("/srv")], **more}
    return Job(file=Path(file), schedule=parse(schedule), **words)


def as_cron_runs(text: str) -> list[str]:
    """The words of the command, by Debian's cron and then the shell."""
    line = text.splitlines()[1].split(" ", 5)[5]
    head, _, _ = line.replace("\\%", "\0").partition("%")
    command = head.replace("\0", "%")
    command = command.partition("; ")[2] if command.startswith("sleep ") else command
    printing = "printf '%s\\n' " + command.removeprefix("exec ")
    done = subprocess.run(["sh", "-c", printing], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ODD)
def test_a_crontab_line_means_the_file(name: str) -> None:
    one = job(f"/srv/{name}/books.yaml")
    assert as_cron_runs(crontab(one, "machine")) == one.command


@pytest.mark.parametrize("name", ["back\\slash", "line\nfeed"])
def test_what_a_crontab_cannot_say_is_refused(name: str) -> None:
    with pytest.raises(OptionError):
        crontab(job(f"/srv/{name}.yaml"), "machine")
    with pytest.raises(OptionError, match=str(LONGEST_LINE)):
        crontab(job("/srv/" + "x" * 1000), "machine")


def test_the_start_of_a_job_is_its_own_and_always_the_same() -> None:
    lines = [crontab(job(f"/srv/{number}.yaml"), machine) for number in range(5) for machine in ("a", "b")]
    late = [int(line.partition("sleep ")[2].partition(";")[0] or 0) for line in lines]
    assert len(set(late)) >= 8 and max(late) <= 600
    assert lines == [crontab(job(f"/srv/{number}.yaml"), machine) for number in range(5) for machine in ("a", "b")]


LIMITS = [
    ("* * * * *", "45s", 0),
    ("*/5 * * * *", "4m", 15),
    ("0 * * * *", "51m", 180),
    ("17 */6 * * *", "5h", 600),
    ("17 3 * * *", "20h", 600),
    ("@monthly", "20h", 600),
]


@pytest.mark.parametrize(("schedule", "limit", "jitter"), LIMITS)
def test_a_run_is_over_before_the_next_begins(schedule: str, limit: str, jitter: int) -> None:
    one = job(schedule=schedule)
    assert (duration(one.limit), one.jitter) == (limit, jitter)
    assert one.jitter + seconds(limit) + 10 < one.schedule.shortest_gap()
    assert seconds(limit) + 10 < one.longest < one.schedule.shortest_gap() - one.jitter
    assert f"TimeoutStartSec={one.longest}s" in units(one)["hookline-books.service"].splitlines()


def test_a_unit_has_what_the_exit_codes_mean() -> None:
    service, timer = units(job(schedule="0 6 1 * mon", user="me")).values()
    for line in (
        *("Type=oneshot", "User=me", "WorkingDirectory=/srv", "SuccessExitStatus=3 10 75", "PrivateTmp=yes"),
        *("RestartPreventExitStatus=1 2 6 70", "ReadWritePaths=/srv", "EnvironmentFile=-/srv/books.env"),
        "ExecStart=/opt/v/bin/hookline run --time-limit 20h /srv/books.yaml",
    ):
        assert line in service.splitlines(), line
    assert [line for line in timer.splitlines() if line.startswith(("OnCal", "Rand"))] == [
        "OnCalendar=*-*-01 06:00:00", "OnCalendar=Mon *-*-* 06:00:00", "RandomizedDelaySec=600s"]  # fmt: skip


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_takes_the_units_and_reads_the_paths_as_they_are(tmp_path: Path) -> None:
    """One odd path with everything in it: what systemd says of a command that is not there shows how it was read."""
    odd = tmp_path / " ".join(ODD)
    program = tmp_path / " ".join(name for name in ODD if not set(name) & set("\"'")) / "hookline"
    for folder in (odd, program.parent):
        folder.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    words = {"program": [str(program)], "arguments": ["--set", "a=%h $x"], "writable": [odd]}
    one = job(str(odd / "b.yaml"), "0 6 1,15 * mon-fri", **words)
    for name, text in units(one).items():
        (tmp_path / name).write_text(text)
    verify = ["systemd-analyze", "verify", *(str(tmp_path / f"hookline-books.{kind}") for kind in ("service", "timer"))]
    done = subprocess.run(verify, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    program.unlink()
    done = subprocess.run(verify, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0 and f"Command {program} is not executable" in done.stderr
    with pytest.raises(OptionError, match="no program with a quote"):
        units(job(program=[f"{odd}/hookline"]))


def test_the_command_prints_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("books.yaml").write_text(CONFIG + "schedule: '@daily'\n")
    call = CliRunner().invoke
    line = call(main, ["schedule", "books.yaml", "--emit", "cron"]).stdout.splitlines()[1]
    words = shlex.split(line)
    assert words[:5] == ["0", "0", "*", "*", "*"] and words[-1] == f"{tmp_path}/books.yaml"
    assert Path(words[words.index("run") - 1]).is_absolute()
    printed = call(main, ["schedule", "books.yaml", "--emit", "systemd", "--set", "limits.pages=3"])
    assert "--set limits.pages=3" in printed.stdout and f"ReadWritePaths={tmp_path}\n" in printed.stdout
    done = call(main, ["schedule", "books.yaml", "--emit", "systemd", "-o", "."])
    assert done.stdout.split() == ["hookline-books.service", "hookline-books.timer"]
    assert Path("hookline-books.timer").read_text() in printed.stdout
    assert call(main, ["schedule", "books.yaml", "--emit", "cron", "-o", "."]).exit_code == 2


def test_without_a_schedule_there_is_nothing_to_emit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("books.yaml").write_text(CONFIG)
    done = CliRunner().invoke(main, ["schedule", "books.yaml", "--emit", "cron"])
    assert done.exit_code == 2 and "add `schedule:" in done.stderr
    assert (
        CliRunner().invoke(main, ["schedule", "books.yaml", "--emit", "cron", "--set", "schedule=5 5 * * *"]).exit_code
        == 0
    )
