"""A real cron runs jobs for four minutes: it mails for the failure only, nothing overlaps, the history is right.

The daemon is Debian's, in the foreground, in a mount namespace of its own: crontabs, mail program and everything else
that it looks at are the test's, and none of the machine's is touched. That needs root.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

CRON = shutil.which("cron", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
MOST = 330  # seconds

# What cron looks at, in a namespace that ends with it. Its mail is a file each.
NAMESPACE = """
set -e
mount -t tmpfs none /var/spool; mkdir -p /var/spool/cron; cp -r {here}/crontabs /var/spool/cron/
chown -R root:root /var/spool/cron; chmod 600 /var/spool/cron/crontabs/root
mount -t tmpfs none /run
for name in crontab cron.d; do if [ -e /etc/$name ]; then mount --bind {here}/$name /etc/$name; fi; done
mount --bind {here}/pam /etc/pam.d
mount --bind {here}/sbin /usr/sbin
exec /usr/sbin/cron -f
"""
MAIL = "#!/bin/sh\nexec cat >{here}/mail/$$\n"
PERMIT = "".join(f"{kind} required pam_permit.so\n" for kind in ("auth", "account", "session", "password"))

CONFIG = """\
name: {name}
seeds: ["{url}/"]
schedule: "* * * * *"
fetch: {{robots: false, retry: 1, timeout: {{first_byte: 100s, idle: 100s, total: 110s}}}}
pages: {{all: {{items: [{{fields: {{title: h1}}}}]}}}}
store: [{{jsonl: "{name}.jsonl"}}]
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(MOST + 20),
    pytest.mark.skipif(CRON is None, reason="there is no cron here"),
    pytest.mark.skipif(os.getuid() != 0, reason="cron wants root"),
    pytest.mark.skipif(
        bool(subprocess.call(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL))
        if sys.platform == "linux"
        else True,
        reason="a mount namespace cannot be had",
    ),
]


def prepare(here: Path, lines: str) -> None:
    """All that cron looks at."""
    for name in ("crontabs", "cron.d", "pam", "sbin", "mail"):
        (here / name).mkdir(parents=True)
    (here / "crontab").write_text("")
    for service in ("cron", "other", "common-auth", "common-account", "common-session-noninteractive"):
        (here / "pam" / service).write_text(PERMIT)
    assert CRON is not None
    shutil.copy(CRON, here / "sbin/cron")
    (here / "sbin/sendmail").write_text(MAIL.format(here=here))
    (here / "sbin/sendmail").chmod(0o755)
    (here / "crontabs/root").write_text(f"MAILTO=root\nPATH=/usr/bin:/bin\n{lines}")


@pytest.fixture
def cron(tmp_path: Path) -> Iterator[Any]:
    """`cron(lines)` starts the daemon with this crontab."""
    started: list[subprocess.Popen[bytes]] = []

    def start(lines: str) -> Path:
        here = tmp_path / "cron"
        prepare(here, lines)
        script = NAMESPACE.format(here=here)
        log = (tmp_path / "cron.log").open("wb")
        started.append(
            subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", script], stdout=log, stderr=log
            )
        )
        log.close()
        return here

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def history(hookline: Any, config: Path) -> list[dict[str, Any]]:
    """Its runs, oldest first."""
    found: list[dict[str, Any]] = json.loads(hookline("runs", "--json", config).stdout)
    return found[::-1]


def test_four_minutes_of_cron(cron: Any, serve: Any, hookline: Any, tmp_path: Path) -> None:
    fine, rough, release = serve({"/": "<h1>Fine</h1>"}), serve(), threading.Event()
    begun: list[float] = []

    def answer(headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        begun.append(time.time())
        if len(begun) == 2:
            return 501, {}, ""
        if len(begun) == 3:  # is still at it when the fourth minute begins
            release.wait(100)
        return 200, {"Content-Type": "text/html"}, f"<h1>Rough {len(begun)}</h1>"

    rough.pages["/"] = answer
    odd = tmp_path / "odd 100% it's"
    odd.mkdir()
    (odd / "fine.yaml").write_text(CONFIG.format(name="fine", url=fine.url))
    (tmp_path / "rough.yaml").write_text(CONFIG.format(name="rough", url=rough.url))
    line = hookline("schedule", odd / "fine.yaml", "--emit", "cron").stdout
    codes, command = tmp_path / "codes", Path(sys.executable).with_name("hookline")
    provoked = (
        f"{command} run --if-locked skip {tmp_path}/rough.yaml; code=$?; date +'\\%s '$code >>{codes}; exit $code"
    )
    here = cron(f"{line}* * * * * {provoked}\n")

    def ended() -> list[tuple[int, int]]:
        text = codes.read_text() if codes.exists() else ""
        return [(int(when), int(code)) for when, code in map(str.split, text.splitlines())]

    deadline = time.monotonic() + MOST
    while len(ended()) < 4:
        assert time.monotonic() < deadline, (ended(), begun, (tmp_path / "cron.log").read_text())
        if len(ended()) == 3 and len(begun) == 3:  # the fourth came and went while the third was under way
            release.set()
        time.sleep(0.5)

    assert [code for _, code in ended()] == [0, 4, 0, 0]
    assert len(begun) == 3, "the run that found another one under way asked for nothing"
    runs = history(hookline, tmp_path / "rough.yaml")
    assert [(run["status"], run["exit_code"]) for run in runs] == [("published", 0), ("failed", 4), ("published", 0)]
    assert all(earlier["ended"] <= later["started"] for earlier, later in pairwise(runs))
    assert runs[2]["seconds"] > ended()[2][0] - begun[2], "the third run lasted beyond the end of the fourth"
    assert json.loads((tmp_path / "rough.jsonl").read_text()) == {"title": "Rough 3"}

    assert {run["exit_code"] for run in history(hookline, odd / "fine.yaml") if run["ended"]} == {0}
    assert len(fine.log) >= 3, "the line that `schedule` wrote, with its odd path, was run each minute"
    (mail,) = (path.read_text() for path in (here / "mail").iterdir())
    body = mail.partition("\n\n")[2].strip().splitlines()
    assert body[0] == "rough: the source is unavailable; nothing was published [exit 4]" and len(body) <= 10
