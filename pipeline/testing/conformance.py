"""`check_plugin`: a plugin examined in a process of its own, and what was found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from pipeline.testing.findings import Doing, Finding, Found, Line, Order, Readme

MOST_TIME: Final = 60.0  # seconds, from which a plugin is taken to hang
_CODE: Final = "import sys; sys.path.insert(0, sys.argv[1]); from pipeline.testing.examine import main; main()"
_ROOT: Final = str(Path(__file__).resolve().parents[2])
_decode: Final = msgspec.json.Decoder(Line).decode


class PluginReport(msgspec.Struct):
    """What `hookline plugin check` found, and a section for the plugin's README."""

    findings: list[Finding]
    readme: str = ""

    @property
    def exit_code(self) -> int:
        """0: nothing is wrong; 1: something is; 2: the plugin cannot be had."""
        levels = {finding.level for finding in self.findings}
        return 2 if "unloadable" in levels else 1 if "wrong" in levels else 0


def check_plugin(
    target: str,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    pages: Sequence[Path] = (),
    urls: Sequence[str] = (),
    most_time: float = MOST_TIME,
) -> PluginReport:
    """Examine a plugin: a file, a folder with a pyproject.toml, an entry point, a module or a distribution.

    `options` are by component, for those without defaults; `pages` are files that its hooks are tried on beside ours,
    and `urls` are what fetchers are asked for.
    """
    given = {name: dict(values) for name, values in (options or {}).items()}
    order = msgspec.json.encode(Order(target, given, [str(path.absolute()) for path in pages], list(urls)))
    path = [text for text in sys.path if text and text != _ROOT]
    code = f"import sys; sys.path[:] = {path!r}; {_CODE}"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code, _ROOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    hung = False
    try:
        output, errors = process.communicate(order, most_time)
    except subprocess.TimeoutExpired:
        hung = True
        process.kill()
        output, errors = process.communicate()
    return _report(target, output, errors, process.returncode, most_time if hung else None)


def _report(target: str, output: bytes, errors: bytes, status: int, hung: float | None) -> PluginReport:
    findings: list[Finding] = []
    sections, doing = [], target
    for line in output.splitlines():
        told = _decode(line)
        if isinstance(told, Found):
            findings.append(told.finding)
        elif isinstance(told, Readme):
            sections.append(told.text)
        elif isinstance(told, Doing):
            doing = told.about
    if hung is not None:
        findings.append(Finding("wrong", doing, f"it did not come back within {hung:g} s"))
    elif status:
        last = errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
        findings.append(Finding("wrong", doing, f"it ended the process (status {status}): {last}".rstrip(": ")))
    return PluginReport(findings, "\n".join(sections))
