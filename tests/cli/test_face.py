"""The face for programs: logs as JSON, metrics, flags that narrow or tune a run. Whole commands, off a terminal."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline import run
from pipeline.logs import LogLine
from pipeline.runner.metrics import FAMILIES, Sample, exposition
from pipeline.runner.summary import Summary
from tests.conftest import REPO

CONFIG = """\
name: {name}
seeds: ["{url}/"]
fetch: {{robots: false, retry: 1}}
pages: {{all: {{items: [{{fields: {{title: {title}}}}}], follow: [a]}}}}
store: [{{jsonl: {name}.jsonl}}]
{more}
"""


def write(folder: Path, url: str, name: str = "shop", title: str = "h1", more: str = "") -> str:
    (folder / f"{name}.yaml").write_text(CONFIG.format(name=name, url=url, title=title, more=more))
    return f"{name}.yaml"


@pytest.fixture
def shop(site: Any) -> Any:
    site.page("/", "<h1>Home</h1><a href=/a/1>x</a><a href=/b/1>x</a><a href=/gone>x</a>")
    site.page("/a/1", "<h1>A</h1><a href=/a/2>x</a><a href=/b/2>x</a>")
    for path in ("/a/2", "/b/1", "/b/2"):
        site.page(path, f"<h1>{path}</h1>")
    return site


def table(document: str, title: str) -> list[list[str]]:
    """The cells of the table in a section of a document."""
    text = (REPO / "docs" / document).read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.partition(f"## {title}\n")[2], maxsplit=1, flags=re.M)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


# --- logs as JSON ----------------------------------------------------------------------------------------------------


def documented_fields() -> dict[str, set[str]]:
    """Field of a log line: the events that have it, as docs/operating.md says."""
    events = {"finished", "note", "problem", "error", "log", "url"}
    found: dict[str, set[str]] = {}
    for names, where, _ in table("operating.md", "Logs as JSON"):
        for name in re.findall(r"`(\w+)`", names):
            found[name] = events if where == "all" else set(re.findall(r"`(\w+)`", where))
    return found


def test_the_fields_of_a_log_line_are_documented() -> None:
    assert set(documented_fields()) == set(LogLine.__struct_fields__)


def test_every_line_on_stderr_is_an_object_with_the_documented_fields(shop: Any, inside: Any, tmp_path: Path) -> None:
    (tmp_path / "chatty.py").write_text(
        "from pipeline import hookimpl\n@hookimpl\ndef process_item(item, page):\n"
        "    page.run.log.info('one\\ntwo %s', item['title'], extra={'token': 'x'})\n"
    )
    configs = [
        write(tmp_path, shop.url, "good", more="plugins: [./chatty.py]"),
        write(tmp_path, shop.url, "bad", title="h1.renamed"),
        write(tmp_path, shop.url, "wrong", more="nonsense: 1\nstroe: []"),
    ]
    done = inside("run", *configs, "--log-format", "json", "-vv")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 2 and len(lines) > 10
    told = documented_fields()
    assert [(field, line) for line in lines for field in line if line["event"] not in told[field]] == []
    assert all(datetime.fromisoformat(line["time"]).utcoffset() is not None for line in lines)
    by_event: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_event.setdefault(line["event"], []).append(line)

    good, bad = by_event["finished"]
    assert (good["config"], good["level"], good["exit_code"], good["verdict"]) == ("good", "info", 0, "ok")
    assert good["fates"] == {"fetched": 5, "gone": 1} and good["items"]["new"] == 5 and good["published"]
    assert (bad["config"], bad["level"], bad["exit_code"], bad["published"]) == ("bad", "error", 1, False)
    assert any("items >= 1" in detail for detail in bad["details"])
    assert [(one["line"], one["key"]) for one in by_event["problem"]] == [(6, "nonsense"), (7, "stroe")]
    assert by_event["error"][0]["exit_code"] == 2 and by_event["error"][0]["config"] == "wrong"
    urls = [line for line in by_event["url"] if line["config"] == "good"]
    assert {line["url"].removeprefix(shop.url): line["fate"] for line in urls}["/gone"] == "gone" and len(urls) == 6
    logged = next(line for line in by_event["log"] if line["message"] == "one\ntwo Home")
    assert logged["logger"] == "hookline.plugin" and "token" not in logged


def test_a_good_run_is_silent_in_json_too(shop: Any, inside: Any, tmp_path: Path) -> None:
    write(tmp_path, shop.url)
    done = inside("run", "shop.yaml", "--log-format", "json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- metrics ---------------------------------------------------------------------------------------------------------


def samples(text: str) -> dict[tuple[str, ...], float]:
    """(name, values of labels in order of their names) to value, read by the reference implementation."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_names_of_the_metrics_are_documented() -> None:
    assert [row[0].strip("`") for row in table("operating.md", "Metrics")] == list(FAMILIES)


def test_metrics_tell_of_every_config_of_the_command(shop: Any, inside: Any, tmp_path: Path) -> None:
    names = [
        write(tmp_path, shop.url, "good"),
        write(tmp_path, shop.url, "bad", title="h1.renamed"),
        write(tmp_path, shop.url, "wrong", more="nonsense: 1"),
    ]
    good, bad, wrong = (str(tmp_path / name) for name in names)
    assert inside("run", *names, "--metrics", "h.prom").returncode == 2
    first = samples((tmp_path / "h.prom").read_text())
    assert [first["hookline_exit_code", path] for path in (good, bad, wrong)] == [0, 1, 2]
    assert first["hookline_run_requests", good, "fetched"] == 5 and first["hookline_run_requests", good, "gone"] == 1
    assert first["hookline_run_items", good, "item"] == 5 == first["hookline_run_item_changes", good, "new"]
    assert first["hookline_run_published", good] == 1 and first["hookline_run_published", bad] == 0
    assert first["hookline_run_checks_failed", bad] == 1
    assert {name for name, *labels in first if wrong in labels} == {
        "hookline_exit_code",
        "hookline_ended_timestamp_seconds",
    }
    success = first["hookline_last_success_timestamp_seconds", good]
    assert abs(success - first["hookline_ended_timestamp_seconds", good]) < 5
    shop.page("/", "", status=501)
    assert inside("run", names[0], "--metrics", "h.prom").returncode == 4
    second = samples((tmp_path / "h.prom").read_text())
    assert second["hookline_exit_code", good] == 4
    assert second["hookline_last_success_timestamp_seconds", good] == success, "it outlives a failure"
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == {".hookline"}


def test_labels_are_escaped_and_one_family_stands_together() -> None:
    summary = Summary("1", "x", "r", "s", "c", fates={'failed:"\\\n': 2, "fetched": 3})
    summary.seconds, summary.published = 0.2, True
    text = exposition([Sample(Path('/a"\\b\n'), 0, 1.5, None, summary), Sample(Path("/c"), 75, 1.5)])
    found = samples(text)
    assert found["hookline_run_requests", '/a"\\b\n', 'failed:"\\\n'] == 2
    assert found["hookline_exit_code", "/c"] == 75
    assert text.count("# TYPE hookline_exit_code gauge\n") == 1
    assert "} 0.2\n" in text and "hookline_run_published" in text and "True" not in text


def test_metrics_that_cannot_be_written_cost_exit_5(shop: Any, inside: Any, tmp_path: Path) -> None:
    write(tmp_path, shop.url)
    (tmp_path / "file").write_text("")
    done = inside("run", "shop.yaml", "--metrics", "file/h.prom")
    assert done.returncode == 5 and "the metrics cannot be written" in done.stderr
    assert (tmp_path / "shop.jsonl").exists()


# --- flags -----------------------------------------------------------------------------------------------------------


def test_only_narrows_the_links_and_keeps_what_is_published(shop: Any, inside: Any, tmp_path: Path) -> None:
    write(tmp_path, shop.url)
    done = inside("run", "shop.yaml", "--only", "/a/*", "-v")
    assert done.returncode == 0 and "shop: 3 pages in" in done.stderr
    assert sorted(shop.log) == ["GET /", "GET /a/1", "GET /a/2"]
    assert len((tmp_path / "shop.jsonl").read_text().splitlines()) == 3, "nothing was published yet"
    again = inside("run", "shop.yaml", "--only", r"re:/b/\d$", "-v")
    assert again.returncode == 0 and "hookline publish shop.yaml" in again.stderr
    assert "-> " in done.stderr and "-> " not in again.stderr, "where the items are is told if they are there"
    assert sorted(shop.log[3:]) == ["GET /", "GET /b/1"]
    assert len((tmp_path / "shop.jsonl").read_text().splitlines()) == 3
    assert inside("run", "shop.yaml", "--only", "re:(").returncode == 2


@pytest.mark.parametrize("word", ["0s", "0ms", "5", "soon", "-1s"])
def test_a_time_limit_is_a_duration_longer_than_0(inside: Any, word: str) -> None:
    done = inside("run", "shop.yaml", f"--time-limit={word}")
    assert done.returncode == 2 and "--time-limit wants a duration" in done.stderr


def test_workers_by_flag(shop: Any, inside: Any, tmp_path: Path) -> None:
    (tmp_path / "who.py").write_text(
        "import os, pathlib\nfrom pipeline import hookimpl\n@hookimpl\ndef process_item(item, page):\n"
        "    item['pid'] = os.getpid()\n"
        "@hookimpl\ndef run_start(run):\n    pathlib.Path('parent').write_text(str(os.getpid()))\n"
    )
    write(tmp_path, shop.url, more="workers: 0\nplugins: [./who.py]")
    pids = set()
    for number in (0, 1):
        assert inside("run", "shop.yaml", "--workers", number).returncode == 0
        made = {json.loads(line)["pid"] for line in (tmp_path / "shop.jsonl").read_text().splitlines()}
        assert len(made) == 1 and (made == {int((tmp_path / "parent").read_text())}) is (number == 0)
        pids |= made
    assert len(pids) == 2


def test_every_flag_of_the_contract_is_there() -> None:
    from pipeline.cli.run import run as command

    flags = {flag for parameter in command.params for flag in parameter.opts}
    wanted = "--set --fresh --limit --only --time-limit --dry-run --if-locked --report --log-format -v -q -o --workers"
    assert {*wanted.split(), "--strict", "--detailed-exit-code", "--metrics"} <= flags


def test_an_interrupted_run_goes_on_only_if_it_is_narrowed_as_before(shop: Any, tmp_path: Path) -> None:
    """Its fingerprint says so."""
    from pipeline.config import load
    from pipeline.runner.build import Options, build, new_run

    loaded = load(tmp_path / write(tmp_path, shop.url))
    prints = set()
    for only in (None, "/a/*", "/b/*"):
        job = build(loaded, Options(only=only), new_run("shop"))
        prints.add(job.fingerprint)
        job.close()
    assert len(prints) == 3
    assert run(tmp_path / "shop.yaml").exit_code == 0
