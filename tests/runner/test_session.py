"""Runs one after another over one state: which is gone on with, which is published, which is kept back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import load
from pipeline.errors import ConfigError, LockedError, NothingToDoError
from pipeline.model import Item
from pipeline.runner.build import Options
from pipeline.runner.engine import Engine
from pipeline.runner.plugging import start_ahead
from pipeline.runner.publish import StreamStore
from pipeline.runner.session import execute
from pipeline.runner.summary import Summary
from pipeline.state import runs
from pipeline.state.database import reading
from pipeline.state.lock import Lock
from pipeline.workers.process import Process
from tests.conftest import Site

HOME = "<h1>home</h1>" + "".join(f"<a href=/{number}>x</a>" for number in range(1, 5))
TITLES = ["home", "1", "2", "3", "4"]


class Project:
    """A config over a site of five pages."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder = site, folder
        self.config: dict[str, Any] = {
            "name": "x",
            "workers": 0,
            "seeds": [f"{site.url}/"],
            "fetch": {
                "per_host": {"concurrency": 1, "delay": 0},
                "retry": {"attempts": 1},
                "robots": {"obey": False},
            },
            "pages": {"all": {"items": [{"fields": {"title": "h1"}}], "follow": ["a"]}},
            "store": [{"jsonl": "out.jsonl"}],
            "checks": ["items >= 0", "pages.failed <= 100%"],
        }
        site.page("/", HOME)
        for number in range(1, 5):
            site.page(f"/{number}", f"<h1>{number}</h1>")

    def run(self, *, stop_after: int | None = None, say: list[str] | None = None, **options: Any) -> Summary:
        """One run; `stop_after` so many items it is told to stop."""
        execute_options: dict[str, Any] = {name: options.pop(name) for name in ("stores",) if name in options}
        engines: list[Engine] = []
        self.engines = engines
        shown: list[Item] = []

        def tap(item: Item) -> None:
            shown.append(item)
            if len(shown) == stop_after:
                engines[0].stop("test")

        (self.folder / "x.yaml").write_text(json.dumps(self.config))
        told = say if say is not None else []
        return execute(
            load(self.folder / "x.yaml"),
            Options(**options),
            tap=tap,
            watch=engines.append,
            say=told.append,
            **execute_options,
        )

    @property
    def output(self) -> list[str]:
        text = (self.folder / "out.jsonl").read_text()
        return [json.loads(line)["title"] for line in text.splitlines()]

    @property
    def statuses(self) -> list[str]:
        """Newest first."""
        with reading(self.folder / ".hookline" / "x" / "state.db") as db:
            return [row.status for row in runs.history(db, 9)]

    def asked(self) -> list[str]:
        """The paths asked for since the last call."""
        found = [line.removeprefix("GET ") for line in self.site.log]
        self.site.log.clear()
        return found


@pytest.fixture
def project(site: Site, installed: str, tmp_path: Path) -> Project:
    assert installed
    return Project(site, tmp_path)


def test_a_run_is_published(project: Project) -> None:
    told = project.run()
    assert (told.exit_code, told.published, told.resumed) == (0, True, False)
    assert (told.items.new, told.items.stored) == (5, 5)
    assert (project.output, project.statuses) == (TITLES, ["published"])


def test_the_next_one_over_the_same_site_changes_nothing(project: Project) -> None:
    project.run()
    before = (project.folder / "out.jsonl").read_bytes()
    told = project.run()
    items = told.items
    assert (items.new, items.changed, items.unchanged, items.gone) == (0, 0, 5, 0)
    assert (project.folder / "out.jsonl").read_bytes() == before
    assert project.statuses == ["published", "published"]


def test_an_interrupted_run_goes_on(project: Project) -> None:
    first = project.run(stop_after=2)
    assert (first.exit_code, first.stopped, first.published) == (3, "test", False)
    assert project.statuses == ["open"] and not (project.folder / "out.jsonl").exists()
    asked, say = project.asked(), []
    told = project.run(say=say)
    assert (told.run, told.started, told.resumed, told.exit_code) == (first.run, first.started, True, 0)
    assert sorted(asked + project.asked()) == sorted(["/", "/1", "/2", "/3", "/4"]), "nothing twice"
    assert (told.fates, told.seeds, told.requests, told.links.new) == ({"fetched": 5}, 1, 5, 4)
    assert project.output == TITLES and project.statuses == ["published"]
    assert any("resuming" in line for line in say)


def test_it_gives_the_same_however_often_it_is_interrupted(project: Project) -> None:
    project.config["scope"] = {"max_depth": 2}  # so that links and depths go through the state as well
    project.site.page("/4", "<h1>4</h1><a href=/5>x</a>")
    project.site.page("/5", "<h1>5</h1><a href=/6>x</a>")
    turns = 0
    while (told := project.run(stop_after=1)).exit_code == 3:
        turns += 1
        assert turns < 20 and not (project.folder / "out.jsonl").exists()
    assert turns == 6, "one a page, since a run that was told to stop is not over"
    assert project.output == [*TITLES, "5"]
    assert told.imbalance() == [] and told.fates == {"fetched": 6, "rejected:depth": 1}
    assert sorted(project.asked()) == ["/", *(f"/{number}" for number in range(1, 6))]


def test_a_secret_is_not_in_the_state_and_is_sent_all_the_same(project: Project) -> None:
    secret = "Bearer hunter2-hunter2"
    url = project.site.url
    headers = {"Authorization": secret}
    project.config["seeds"] = [{"url": f"{url}/{number}", "headers": headers} for number in (1, 2)]
    project.run(stop_after=1)
    folder = project.folder / ".hookline" / "x"
    assert all(secret.encode() not in file.read_bytes() for file in folder.iterdir() if file.is_file())
    assert project.run().exit_code == 0
    assert [sent.get("Authorization") for path in ("/1", "/2") for sent in project.site.asked(path)] == [secret] * 2


CHANGED: list[tuple[str, Callable[[Project], Any], dict[str, Any], str]] = [
    ("config", lambda project: project.config["pages"]["all"].update(follow=["a", "b"]), {}, "changed since"),
    ("fresh", lambda project: None, {"fresh": True}, "--fresh"),
]


@pytest.mark.parametrize(("name", "change", "options", "reason"), CHANGED, ids=[row[0] for row in CHANGED])
def test_a_run_that_is_not_gone_on_with_is_dropped_with_a_line(
    project: Project, name: str, change: Callable[[Project], Any], options: dict[str, Any], reason: str
) -> None:
    first = project.run(stop_after=2)
    change(project)
    told = project.run(**options)
    assert told.run != first.run and not told.resumed
    assert any("is dropped" in note and reason in note for note in told.notes), name
    assert project.statuses == ["published", "dropped"] and project.output == TITLES


def test_a_result_that_a_check_refuses_is_kept_back(project: Project) -> None:
    project.run()
    before = project.output
    project.config["checks"] = ["items >= 0"]  # so that `pages.failed <= 10%` is asked
    project.site.page("/2", "no", status=500)
    project.site.page("/1", "<h1>new</h1>")
    told = project.run()
    assert (told.exit_code, told.published) == (1, False)
    assert project.output == before and project.statuses == ["candidate", "published"]
    project.site.page("/2", "<h1>2</h1>")
    told = project.run()
    assert (told.exit_code, told.items.changed) == (0, 1), "compared with what was published"
    assert project.output == ["home", "new", "2", "3", "4"]
    assert project.statuses == ["published", "dropped", "published"]


def test_a_page_that_fails_keeps_its_items_and_one_that_is_gone_does_not(project: Project) -> None:
    project.run()
    project.site.page("/2", "no", status=500)
    project.site.page("/3", "no", status=404)
    told = project.run()
    assert project.output == ["home", "1", "2", "4"]
    assert (told.items.extracted, told.items.earlier, told.items.gone) == (3, 1, 1)


def test_a_page_that_is_not_met_stays_only_where_something_failed(project: Project) -> None:
    project.run()
    project.site.page("/", HOME.replace("/4", "/3"))
    project.site.page("/1", "no", status=500)
    project.run()
    assert project.output == TITLES
    project.site.page("/1", "<h1>1</h1>")
    project.run()
    assert project.output == TITLES[:-1]


def test_limit_publishes_only_where_nothing_is_published(project: Project) -> None:
    told = project.run(limit=2)
    assert told.published and len(project.output) == 2
    project.run()
    told = project.run(limit=1)
    assert (told.published, told.exit_code) == (False, 0)
    assert project.output == TITLES and project.statuses[0] == "candidate"


def test_a_source_that_is_not_there_fails_the_run(project: Project) -> None:
    project.run()
    project.site.page("/", "no", status=500)
    told = project.run()
    assert (told.exit_code, told.published) == (4, False)
    assert project.output == TITLES and project.statuses == ["failed", "published"]


def test_a_publish_that_was_begun_is_all_that_the_next_run_does(project: Project) -> None:
    delivered: list[Item] = []

    def broken(items: list[Item]) -> None:
        raise OSError(28, "No space left on device")

    first = project.run(stores=[StreamStore("-", broken)])
    assert (first.exit_code, first.published) == (5, False)
    assert project.statuses == ["publishing"]
    project.asked()
    told = project.run(stores=[StreamStore("-", delivered.extend)])
    assert (told.run, told.exit_code, told.published) == (first.run, 0, True)
    assert project.asked() == []
    assert [item["title"] for item in delivered] == TITLES == project.output
    assert project.statuses == ["published"]


def test_retry_asks_for_what_failed_alone(project: Project) -> None:
    project.site.page("/2", "no", status=503)
    project.run()
    assert project.output == ["home", "1", "3", "4"]
    project.site.page("/2", "<h1>2</h1><a href=/5>x</a>")
    project.site.page("/5", "<h1>5</h1>")
    project.asked()
    told = project.run(retry="http_503")
    assert (project.asked(), told.exit_code) == (["/2", "/5"], 0)
    assert project.output == [*TITLES, "5"]
    assert told.imbalance() == [] and told.fates == {"fetched": 6}


def test_retry_of_a_candidate_keeps_what_it_had(project: Project) -> None:
    project.config["checks"] = ["items >= 0"]
    project.site.page("/2", "no", status=503)
    told = project.run()
    assert (told.exit_code, project.statuses) == (1, ["candidate"])
    project.site.page("/2", "<h1>2</h1>")
    project.asked()
    told = project.run(retry="")
    assert (project.asked(), told.exit_code, project.output) == (["/2"], 0, TITLES)
    assert (told.items.extracted, told.items.earlier) == (1, 4)


def test_a_page_of_a_candidate_that_is_gone_at_retry_takes_its_items_along(project: Project) -> None:
    """It is asked for again because a plugin broke on one of its two items; the other one was kept."""
    (project.folder / "own.py").write_text(
        "from pipeline import hookimpl\n\n\nclass Plugin:\n    @hookimpl\n    def process_item(self, item, page):\n"
        "        return 1 / (item['title'] != 'bad') and item\n"
    )
    rules = [{"fields": {"title": "h1"}}, {"type": "note", "fields": {"title": "b"}}]
    project.config["pages"]["all"]["items"] = rules
    project.config["plugins"] = ["./own.py"]
    project.config["store"] = [{"jsonl": "out.jsonl", "items": ["item"]}]
    project.config["checks"] = ["items >= 0"]
    project.site.page("/2", "<h1>2</h1><b>bad</b>")
    project.site.page("/3", "no", status=500)
    told = project.run()
    assert (told.exit_code, project.statuses, told.items.dead_lettered) == (1, ["candidate"], 1)
    project.site.page("/2", "no", status=404)
    project.site.page("/3", "<h1>3</h1>")
    project.asked()
    told = project.run(retry="")
    assert (told.exit_code, sorted(project.asked())) == (0, ["/2", "/3"])
    assert project.output == ["home", "1", "3", "4"]
    assert told.imbalance() == []


def test_retry_with_nothing_to_do_says_so(project: Project) -> None:
    with pytest.raises(NothingToDoError, match="no run yet"):
        project.run(retry="")
    project.run()
    with pytest.raises(NothingToDoError, match="nothing failed"):
        project.run(retry="")


def test_retry_does_not_cut_into_an_open_run(project: Project) -> None:
    project.run(stop_after=1)
    with pytest.raises(ConfigError, match="was interrupted"):
        project.run(retry="")


def test_a_dry_run_leaves_no_state(project: Project) -> None:
    told = project.run(dry_run=True)
    assert (told.exit_code, told.items.extracted) == (0, 5)
    assert sorted(path.name for path in project.folder.iterdir()) == ["x.yaml"]


def test_a_config_that_is_wrong_leaves_nothing_behind(project: Project) -> None:
    project.config["seeds"] = ["http://["]
    with pytest.raises(ConfigError):
        project.run()
    assert sorted(path.name for path in project.folder.iterdir()) == ["x.yaml"]


STUCK = """
import time
from pipeline import hookimpl
{at_import}
class Stuck:
    def __init__(self, pause: float = 0): time.sleep(pause)
    @hookimpl
    def process_item(self, item): pass
@hookimpl
def register(registry): registry.filter("stuck", Stuck)
"""


@pytest.mark.parametrize(
    ("at_import", "pause", "line"), [("time.sleep(60)", 0, 4), ("", 60, 6)], ids=["import", "constructor"]
)
def test_a_plugin_that_hangs_while_it_is_loaded_is_a_mistake(
    project: Project, monkeypatch: pytest.MonkeyPatch, at_import: str, pause: int, line: int
) -> None:
    monkeypatch.setattr("pipeline.runner.plugging.START", 0.3)
    (project.folder / "stuck.py").write_text(STUCK.format(at_import=at_import))
    project.config |= {"workers": 1, "plugins": ["./stuck.py"], "filter": [{"stuck": {"pause": pause}}]}
    with pytest.raises(ConfigError, match=rf"x\.yaml:1:.*TookTooLong: more than 0\.3 s \(.*stuck\.py:{line}\)"):
        project.run()


def test_the_worker_of_a_first_run_is_ended_where_none_comes_about(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Process | None] = []

    def ahead(*arguments: Any, **words: Any) -> Process | None:
        started.append(start_ahead(*arguments, **words))
        return started[-1]

    monkeypatch.setattr("pipeline.runner.build.start_ahead", ahead)
    project.config |= {"workers": 1, "plugins": ["./missing.py"]}
    with pytest.raises(ConfigError):
        project.run()
    del project.config["plugins"]
    held = Lock.take(project.folder / ".hookline" / "x", "another run")
    with pytest.raises(LockedError):
        project.run()
    held.release()
    assert project.run().exit_code == 0 and project.output == TITLES
    assert project.run().exit_code == 0, "where it may be that nothing is parsed, none is started"
    assert [process is not None and process.popen.poll() is not None for process in started] == [True, True, True]


def test_state_dir_is_where_the_state_is(project: Project) -> None:
    project.config["state_dir"] = "kept"
    project.run()
    assert (project.folder / "kept" / "x" / "state.db").exists()
    assert not (project.folder / ".hookline").exists()


def test_one_run_at_a_time(project: Project) -> None:
    held = Lock.take(project.folder / ".hookline" / "x", "another run")
    try:
        with pytest.raises(LockedError, match="another run"):
            project.run()
    finally:
        held.release()
    assert project.asked() == []
    assert project.run().exit_code == 0


def test_too_much_memory_stops_a_run(project: Project) -> None:
    project.config["limits"] = {"memory": "1MiB"}
    told = project.run()
    assert told.exit_code == 3 and (told.stopped or "").startswith("memory")
    del project.config["limits"]
    assert project.run().resumed


@pytest.mark.parametrize("persist", [True, False])
def test_cookies_are_kept_where_the_config_says_so(project: Project, persist: bool) -> None:
    project.config["fetch"]["cookies"] = {"persist": persist}
    project.site.page("/", HOME, Set_Cookie="who=me; Max-Age=1000")
    project.run()
    project.run()
    cookies = [headers.get("Cookie") for headers in project.site.asked("/")]
    assert cookies == [None, "who=me" if persist else None]
