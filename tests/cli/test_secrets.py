"""Canaries: what stands in a secret key is never logged, stored, reported, or seen in the list of processes.

Each place for a secret has a canary of its own. Runs that go well and runs that break in every way say all they can
(-vv, report, metrics, dead letters); then every byte that they left is searched.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

SECRETS = {name: f"canary-{name}-7f3a" for name in (
    "basic", "bearer", "proxy", "socks", "header", "cookie", "seed", "userinfo", "option", "nested", "dsn", "notify",
    "follow", "vars")}  # fmt: skip

CONFIG = """\
name: canary
vars: {{VARS: {vars}}}
seeds:
  - {{url: "{url}/", headers: {{Authorization: "Bearer {seed}"}}}}
  - "{with_user}/user"
fetch:
  robots: false
  retry: 1
  headers: {{Authorization: "Key {header}", Cookie: "session={cookie}", X-Kind: test}}
  auth:
    "{url}": {{basic: "me:{basic}"}}
    "{other}": {{bearer: "{bearer}"}}
  {more}
pages:
  all:
    items: [{{key: [title], fields: {{title: h1, price: {{css: b, type: float, on_missing: fail}}}}}}]
    follow: [{{css: a, headers: {{Authorization: "Token {follow}"}}}}]
filter: [leaky: {{token: "{option}", all: {{deep: "${{VARS}}"}}}}]
store: [{{jsonl: out.jsonl}}, {{broken: {{dsn: "db://me:{dsn}@127.0.0.1/x", deep: ["{nested}"], failing: {failing}}}}}]
notify: [{{url: "https://hooks.example/{notify}"}}]
plugins: [./leaky.py]
limits: {{plugin_errors: 100%}}
"""

PLUGIN = """
from pipeline import Secret, hookimpl

class Leaky:
    def __init__(self, token: Secret, all: dict[str, Secret]):
        self.token, self.all = token, all

    @hookimpl
    def process_item(self, item, page):
        page.run.log.warning("options are %r %s", self.token, self.all)
        print("options are", self.token, self.all)
        if item["title"] == "dead":
            raise ValueError(f"no way with {self.token!r} {self.all} {vars(self)} {page.url}")

class Broken:
    def __init__(self, dsn: Secret, deep: list[Secret], failing: bool = False):
        self.dsn, self.deep, self.failing = dsn, deep, failing

    @hookimpl
    def store_items(self, items):
        if self.failing:
            raise OSError(f"cannot reach {self.dsn} {self.deep} {vars(self)}")

    @hookimpl
    def commit(self, summary):
        pass

@hookimpl
def register(registry):
    registry.filter("leaky", Leaky)
    registry.store("broken", Broken)
"""

NEEDLES = [
    needle.encode()
    for name, secret in SECRETS.items()
    for needle in (secret, quote(secret), base64.b64encode(f"me:{secret}".encode()).decode())
]


def found_in(data: bytes) -> list[str]:
    return sorted({needle.decode() for needle in NEEDLES if needle in data})


def left_over(folder: Path) -> Iterator[tuple[str, bytes]]:
    """All files but those that the secrets were written into."""
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in ("canary.yaml", "leaky.py"):
            yield path.name, path.read_bytes()


def command_lines() -> bytes:
    """Of all processes there are."""
    told = b""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told += (folder / "cmdline").read_bytes() + (folder / "comm").read_bytes()
        except OSError:
            continue
    return told


@pytest.fixture
def canary(site: Any, serve: Any, tmp_path: Path) -> Any:
    """`canary(more="...", failing="true")` writes the config; what was seen in the list of processes is `.seen`."""
    other = serve({"/x": "<h1>x</h1><b>1</b>"})

    class Canary:
        seen = b""

        def write(self, more: str = "", failing: str = "false") -> None:
            with_user = site.url.replace("//", f"//me:{SECRETS['userinfo']}@")
            text = CONFIG.format(
                url=site.url, other=other.url, with_user=with_user, more=more, failing=failing, **SECRETS
            )
            (tmp_path / "canary.yaml").write_text(text)
            (tmp_path / "leaky.py").write_text(PLUGIN)

    each = Canary()

    def home(headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        each.seen += command_lines()
        return (
            200,
            {"Content-Type": "text/html"},
            "<h1>home</h1><b>1</b><a href=/dead>x</a><a href=/bad>x</a><a href=/500>x</a>",
        )

    site.pages["/"] = home
    site.page("/user", "<h1>user</h1><b>1</b>")
    site.page("/dead", "<h1>dead</h1><b>1</b>")
    site.page("/bad", "<h1>bad</h1>")
    site.page("/500", "", status=501)
    return each


RUNS = {
    "all goes well": ({}, [], 1),
    "in workers, as JSON": ({}, ["--workers", "1", "--log-format", "json"], 1),
    "a store breaks": ({"failing": "true"}, ["--set", "checks=[pages.failed <= 100%]"], 5),
    "a proxy is not there": ({"more": f'proxy: "http://me:{SECRETS["proxy"]}@127.0.0.1:1"'}, [], 4),
    "nor is a SOCKS one": ({"more": f'proxy: "socks5://me:{SECRETS["socks"]}@127.0.0.1:1"'}, [], 4),
}


@pytest.mark.parametrize("name", RUNS)
def test_no_secret_is_told(canary: Any, site: Any, hookline: Any, tmp_path: Path, name: str) -> None:
    words, flags, code = RUNS[name]
    canary.write(**words)
    done = hookline("run", "canary.yaml", "-vv", "--report", "r.json", "--metrics", "m.prom", *flags)
    assert done.returncode == code, done.stderr
    told = {"stdout": done.stdout.encode(), "stderr": done.stderr.encode(), "processes": canary.seen}
    told |= dict(left_over(tmp_path))
    assert {where: found for where, data in told.items() if (found := found_in(data))} == {}
    assert {"state.db", "r.json", "m.prom"} <= set(told)
    if code != 4:
        assert json.loads((tmp_path / "r.json").read_text())["items"]["dead_lettered"] == 1
        sent = " ".join(site.asked("/")[0].values())
        assert "canary" in sent, "it is no secret to the site"
        assert canary.seen and os.fsencode("canary.yaml") in canary.seen


@pytest.mark.slow
def test_other_commands_tell_no_secret_either(canary: Any, site: Any, hookline: Any, tmp_path: Path) -> None:
    canary.write()
    hookline("run", "canary.yaml", "--trace-hooks", "trace.txt")
    told = {}
    for words in (
        ["check", "canary.yaml"],
        ["runs", "canary.yaml", "--json"],
        ["report", "canary.yaml"],
        ["retry", "canary.yaml", "-vv"],
        ["publish", "canary.yaml", "--force"],
        ["items", "canary.yaml"],
        ["state", "show", "canary.yaml"],
        ["why", "canary.yaml", f"{site.url}/bad"],
        ["try", "canary.yaml", f"{site.url}/dead", "--explain"],
        ["schedule", "canary.yaml", "--emit", "systemd", "--set", "schedule=@daily"],
    ):
        done = hookline(*words)
        assert done.returncode in (0, 1), done.stderr
        told[" ".join(words)] = done.stdout.encode() + done.stderr.encode()
    told |= dict(left_over(tmp_path))
    assert {where: found for where, data in told.items() if (found := found_in(data))} == {}
    assert "trace.txt" in told
