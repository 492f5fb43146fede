"""A job as cron and systemd want to have it written: pure text, each with the quoting of its own world.

Both get a time limit below the interval, so that a run is over before the next begins, and some jitter, so that not all
jobs of a machine, or of the world, start in the same second. What an exit code means to systemd stands in `_SERVICE`.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.config.crontab import MACROS, Schedule
from pipeline.errors import OptionError

LONGEST_LIMIT: Final = 20 * 3600  # a run that began more than 24 hours ago is not gone on with
MOST_JITTER: Final = 600
LONGEST_LINE: Final = 998  # characters that Debian's cron takes
_UNSAID: Final = re.compile(r"[\0-\x1f\x7f\\]")


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run, with absolute paths. `writable` are the folders that it writes to, `user` whose job it is."""

    name: str
    file: Path
    program: Sequence[str]
    arguments: Sequence[str]
    schedule: Schedule
    writable: Sequence[Path]
    user: str = ""

    @property
    def jitter(self) -> int:
        """Seconds by which a start may be late."""
        gap = self.schedule.shortest_gap()
        return min(MOST_JITTER, gap // 20) if gap >= 300 else 0

    @property
    def limit(self) -> int:
        """Seconds that a run may crawl: a late start, its end and the publishing fit in before the next one."""
        gap = self.schedule.shortest_gap()
        return min(LONGEST_LIMIT, gap - self.jitter - max(15, gap // 10))

    @property
    def longest(self) -> int:
        """Seconds after which a run that does not stop by itself is ended from outside, before the next one begins."""
        return min(self.limit + max(60, self.limit // 10), self.schedule.shortest_gap() - self.jitter - 1)

    @property
    def command(self) -> list[str]:
        """The whole command."""
        return [*self.program, "run", "--time-limit", duration(self.limit), *self.arguments, str(self.file)]


def duration(seconds: int) -> str:
    """As the config has durations; large ones are rounded down."""
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds >= 3 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


# --- cron ------------------------------------------------------------------------------------------------------------


def crontab(job: Job, machine: str) -> str:
    """A line of a crontab. `machine` is its name: two machines with one config start at different moments.

    Raises OptionError for what a crontab cannot say.
    """
    late = int.from_bytes(hashlib.blake2b(f"{machine}:{job.file}".encode()).digest()[:4], "big") % (job.jitter + 1)
    command = (f"sleep {late}; " if late else "") + f"exec {shlex.join(job.command)}"
    if _UNSAID.search(command):
        raise OptionError("a crontab can say neither backslashes nor control characters", hint="rename the file")
    when = MACROS.get(job.schedule.text.strip().lower(), job.schedule.text)
    line = f"{' '.join(when.split())} {command}".replace("%", "\\%")  # a bare % ends the command
    if len(line) > LONGEST_LINE:
        raise OptionError(
            f"the line has {len(line)} characters, and cron takes {LONGEST_LINE}", hint="shorten the path"
        )
    told = f", {late} s late" if late else ""
    comment = f"# Hookline: {job.name}{told}; a run may take {duration(job.limit)}. Mail comes if one fails."
    return f"{comment}\n{line}\n"


# --- systemd ---------------------------------------------------------------------------------------------------------

_SERVICE: Final = """\
# {unit}.service
[Unit]
Description=Hookline: {name}
Wants=network-online.target
After=network-online.target
# 2 more starts after a failure that may pass, then the next one on schedule
StartLimitIntervalSec={window}
StartLimitBurst=3

[Service]
Type=oneshot
{user}WorkingDirectory={folder}
# variables of the config, as NAME=value; readable by its owner only
EnvironmentFile=-{environment}
ExecStart={command}
# the run stops itself in good order before that
TimeoutStartSec={longest}
KillMode=mixed
TimeoutStopSec=30
# no failure: stopped early and gone on with by the next start (3), data changed (10), another run is under way (75)
SuccessExitStatus=3 10 75
# the source was away, a store failed, the process was killed: once more; what no second try can mend: not
Restart=on-failure
RestartSec={pause}
RestartPreventExitStatus=1 2 6 70

# all that a run writes to
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
{temporary}NoNewPrivileges=yes
CapabilityBoundingSet=
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
"""

_TIMER: Final = """\
# {unit}.timer
[Unit]
Description=Hookline: {name}, {schedule}

[Timer]
{calendar}
RandomizedDelaySec={jitter}
AccuracySec=1s
# a start that was missed because the machine was off is made up for, once
Persistent=yes

[Install]
WantedBy=timers.target
"""


def units(job: Job) -> dict[str, str]:
    """File name to text: a service and its timer. Raises OptionError for what a unit cannot say."""
    gap = job.schedule.shortest_gap()
    if re.search("[\"']", job.program[0]):
        raise OptionError(
            f"systemd starts no program with a quote in its path: {job.program[0]}", hint="install elsewhere"
        )
    unit = f"hookline-{job.name}"
    shared = any(path.is_relative_to(folder) for path in job.writable for folder in ("/tmp", "/var/tmp"))
    service = _SERVICE.format(
        unit=unit,
        name=_plain(job.name),
        user=f"User={_plain(job.user)}\n" if job.user else "",
        folder=_plain(job.file.parent),
        environment=_plain(job.file.with_suffix(".env")),
        command=" ".join([_quoted(job.program[0]), *(_quoted(word, "$") for word in job.command[1:])]),
        window=f"{gap * 4 // 5}s",
        longest=f"{job.longest}s",
        pause=f"{min(600, max(5, gap // 20))}s",
        writable=" ".join(_quoted(str(path)) for path in job.writable),
        temporary="" if shared else "PrivateTmp=yes\n",
    )
    timer = _TIMER.format(
        unit=unit,
        name=_plain(job.name),
        schedule=_plain(job.schedule.text),
        calendar="\n".join(f"OnCalendar={when}" for when in job.schedule.on_calendar()),
        jitter=f"{job.jitter}s",
    )
    return {f"{unit}.service": service, f"{unit}.timer": timer}


def _quoted(word: str, doubled: str = "") -> str:
    """A word of a list in a unit: in quotes where it must, `%` doubled, and `$` where variables are put in."""
    text = _plain(word, allow="\\").replace("\\", "\\\\").replace('"', '\\"')
    for char in doubled:
        text = text.replace(char, char * 2)
    return text if re.fullmatch(r"[\w@%+=:,./$-]+", text, re.ASCII) else f'"{text}"'


def _plain(value: str | Path, allow: str = "") -> str:
    """A value that goes to the end of its line."""
    text = str(value)
    if any(char not in allow for char in _UNSAID.findall(text)):
        raise OptionError(
            "a unit cannot say backslashes at the end of a value, or control characters", hint="rename it"
        )
    return text.replace("%", "%%")
