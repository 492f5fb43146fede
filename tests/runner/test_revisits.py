"""Runs that know their past: what is asked for with validators, what is not asked for, what stays and what goes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Answer, Site
from tests.runner.test_session import HOME, TITLES, Project

HTML = "text/html; charset=utf-8"


def versioned(body: str, *, etag: str | None = None, modified: str | None = None, **headers: str) -> Any:
    """A page that answers 304 to whoever has it already."""
    own = {name: value for name, value in (("ETag", etag), ("Last-Modified", modified)) if value is not None}
    own |= {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(asked: dict[str, str]) -> Answer:
        match, since = asked.get("If-None-Match"), asked.get("If-Modified-Since")
        if match is not None and etag is not None:
            return (304, own, "") if match == etag else (200, {"Content-Type": HTML, **own}, body)
        if since is not None and since == modified:
            return 304, own, ""
        return 200, {"Content-Type": HTML, **own}, body

    return answer


def tag(site: Site, bodies: dict[str, str]) -> None:
    for path, body in bodies.items():
        site.pages[path] = versioned(body, etag=f'"{hash(body) & 0xFFFF}"')


BODIES = {"/": HOME, **{f"/{number}": f"<h1>{number}</h1>" for number in range(1, 5)}}


class Aged(Project):
    """A project whose published pages can be made older."""

    def age(self, hours: float) -> None:
        self.sql("UPDATE page SET fetched = fetched - ?, checked = max(0, checked - ?)", hours * 3600, hours * 3600)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / ".hookline" / "x" / "state.db", isolation_level=None)) as db:
            return db.execute(statement, values).fetchall()


@pytest.fixture
def project(site: Site, installed: str, tmp_path: Path) -> Aged:
    assert installed
    project = Aged(site, tmp_path)
    tag(site, BODIES)
    return project


def test_an_unchanged_site_is_asked_with_validators_and_all_stays(project: Aged) -> None:
    project.run()
    before = (project.folder / "out.jsonl").read_bytes()
    project.site.seen.clear()
    told = project.run()
    assert (told.exit_code, told.published, told.fates) == (0, True, {"not_modified": 5})
    assert all("If-None-Match" in headers for _, headers in project.site.seen) and len(project.site.seen) == 5
    assert (project.folder / "out.jsonl").read_bytes() == before
    assert (told.items.unchanged, told.items.earlier, told.items.extracted, told.links.found) == (5, 5, 0, 4)
    assert told.imbalance() == []
    assert project.run().fates == {"not_modified": 5}, "and again: the validators are still there"


def test_no_worker_is_started_where_nothing_is_to_be_parsed(project: Aged) -> None:
    project.config["workers"] = 1
    project.run()
    for fates, started in (({"not_modified": 5}, 0), ({"not_modified": 4, "fetched": 1}, 1)):
        assert project.run().fates == fates
        pool: Any = project.engines[0].pool
        assert pool.counts["started"] == started
        tag(project.site, {"/1": "<h1>one</h1>"})


def test_the_links_of_an_unchanged_page_are_followed(project: Aged) -> None:
    """The home page is as it was; one of its links is new to nobody, but leads to a page that has changed."""
    project.run()
    tag(project.site, {"/2": "<h1>two</h1><a href=/5>x</a>", "/5": "<h1>5</h1>"})
    project.asked()
    told = project.run()
    assert told.fates == {"not_modified": 4, "fetched": 2}
    assert (told.items.new, told.items.changed, told.items.gone) == (1, 1, 0)
    assert project.output == ["home", "1", "two", "3", "4", "5"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"etag": '"a"'}, {"If-None-Match": '"a"'}),
        ({"etag": 'W/"a"'}, {"If-None-Match": 'W/"a"'}),
        ({"modified": "Thu, 01 Jan 2026 00:00:00 GMT"}, {"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}),
        (
            {"etag": '"a"', "modified": "Thu, 01 Jan 2026 00:00:00 GMT"},
            {"If-None-Match": '"a"', "If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"},
        ),
        ({"modified": "Thu, 01 Jan 2026 00:00:00 GMT", "Vary": "Accept-Encoding, Cookie"}, {}),
        ({}, {}),
    ],
)
def test_what_is_sent(project: Aged, given: dict[str, str], sent: dict[str, str]) -> None:
    project.site.pages["/3"] = versioned("<h1>3</h1>", **given)
    project.run()
    project.site.seen.clear()
    told = project.run()
    (headers,) = project.site.asked("/3")
    assert {name: value for name, value in headers.items() if name.startswith("If-")} == sent
    assert told.fates == ({"not_modified": 5} if sent else {"not_modified": 4, "fetched": 1})
    assert project.output == TITLES


def test_the_validators_of_a_304_are_those_of_the_next_request(project: Aged) -> None:
    project.run()
    project.site.pages["/1"] = (304, {"ETag": '"other"'}, "")
    project.run()
    project.site.seen.clear()
    project.run()
    assert [headers["If-None-Match"] for headers in project.site.asked("/1")] == ['"other"']


def test_a_304_that_nobody_asked_for_is_a_failure(project: Aged) -> None:
    project.site.pages["/1"] = (304, {}, "")
    assert project.run().fates == {"fetched": 4, "failed:http_304": 1}
    project.config["seeds"] = [{"url": f"{project.site.url}/", "headers": {"If-None-Match": "mine"}}]
    project.site.pages["/"] = (304, {}, "")
    assert project.run().fates == {"failed:http_304": 1}, "the user's own validator is not ours"


Change = Callable[[Aged], Any]
NEW_RULE = {"items": [{"fields": {"title": "h2"}}], "match": "/other"}
FULL: list[tuple[str, Change, dict[str, Any]]] = [
    ("full refresh", lambda project: None, {"full_refresh": True}),
    ("off", lambda project: project.config["fetch"].update(conditional=False), {}),
    ("a field", lambda project: project.config["pages"]["all"]["items"][0]["fields"].update(a="h1"), {}),
    ("what is followed", lambda project: project.config["pages"]["all"].update(follow=["a[href]"]), {}),
    ("another rule", lambda project: project.config.update(pages={"x": NEW_RULE, **project.config["pages"]}), {}),
    ("a filter", lambda project: project.config.update(filter=[{"require": ["title"]}]), {}),
    ("headers", lambda project: project.config["fetch"].update(headers={"Accept-Language": "de"}), {}),
    ("auth", lambda project: project.config["fetch"].update(auth={project.site.url: {"bearer": "secret"}}), {}),
    ("user agent", lambda project: project.config["fetch"].update(user_agent="me/1"), {}),
]


@pytest.mark.parametrize(("name", "change", "options"), FULL, ids=[row[0] for row in FULL])
def test_when_all_is_fetched_again(project: Aged, name: str, change: Change, options: dict[str, Any]) -> None:
    project.config["pages"]["all"]["revisit"] = "6h"
    if name == "off":
        del project.config["pages"]["all"]["revisit"]
    project.run()
    change(project)
    project.site.seen.clear()
    assert project.run(**options).fates == {"fetched": 5}, name
    assert not any(header.startswith("If-") for _, headers in project.site.seen for header in headers)
    assert project.output == TITLES


def test_a_selector_is_repaired(project: Aged) -> None:
    """Nothing changes on the site: what had been published with the wrong one comes right."""
    project.config["pages"]["all"]["items"][0]["fields"]["title"] = "h3"
    project.run()
    assert project.output == []
    project.config["pages"]["all"]["items"][0]["fields"]["title"] = "h1"
    told = project.run()
    assert (told.exit_code, told.fates, project.output) == (0, {"fetched": 5}, TITLES)
    assert project.run().fates == {"not_modified": 5}


# --- revisit ----------------------------------------------------------------------------------------------------------


def test_a_page_that_is_not_due_is_not_asked_for(project: Aged) -> None:
    project.config["pages"]["all"]["revisit"] = "6h"
    project.config["fetch"]["robots"] = {"obey": True}
    project.run()
    project.age(5.9)
    project.site.seen.clear()
    told = project.run()
    assert (told.fates, told.requests, told.exit_code) == ({"not_due": 5}, 0, 0)
    assert project.site.seen == [], "robots.txt neither"
    assert project.output == TITLES and told.imbalance() == []
    project.age(0.2)
    assert project.run().fates == {"not_modified": 5}
    assert project.run().fates == {"not_due": 5}, "its time counts from the run that found it unchanged"
    project.age(6.1)
    project.site.page("/1", "<h1>one</h1>")
    assert project.run().fates == {"not_modified": 4, "fetched": 1}
    project.sql("UPDATE page SET fetched = fetched + 86400 * 365, checked = 0")
    assert project.run().fates["not_modified"] == 4, "a clock that went back makes pages due"


def test_a_page_that_is_not_due_costs_its_host_no_time(project: Aged) -> None:
    project.config["pages"]["all"]["revisit"] = "6h"
    project.run()
    project.config["fetch"]["per_host"] = {"concurrency": 1, "delay": "30s"}
    project.config["limits"] = {"time": "10s"}
    told = project.run()
    assert (told.fates, told.exit_code) == ({"not_due": 5}, 0)


def test_what_is_new_behind_pages_that_are_not_due_is_fetched(project: Aged) -> None:
    project.config["pages"] = {
        "list": {"match": "/", "items": [{"fields": {"title": "h1"}}], "follow": ["a"]},
        "all": {"revisit": "6h", "items": [{"fields": {"title": "h1"}}], "follow": ["a"]},
    }
    tag(project.site, {"/4": "<h1>4</h1><a href=/missing>x</a>"})
    project.run()
    assert project.output == TITLES
    project.age(1)
    tag(project.site, {"/": HOME + "<a href=/5>x</a>", "/5": "<h1>5</h1>", "/missing": "<h1>found</h1>"})
    told = project.run()
    assert told.fates == {"fetched": 3, "not_due": 4}
    assert project.output == [*TITLES, "5", "found"]


def test_revisit_holds_without_validators_as_well(project: Aged) -> None:
    project.config["pages"]["all"]["revisit"] = "6h"
    project.config["fetch"]["conditional"] = False
    project.run()
    assert project.run().fates == {"not_due": 5}
    project.age(7)
    project.site.seen.clear()
    assert project.run().fates == {"fetched": 5}
    assert not any("If-None-Match" in headers for _, headers in project.site.seen)


# --- what stays and what goes -----------------------------------------------------------------------------------------


def unchanged_but(project: Aged, path: str, answer: Any) -> Any:
    project.run()
    project.site.pages[path] = answer
    return project.run()


@pytest.mark.parametrize("status", [404, 410])
def test_a_page_that_is_removed_takes_its_items_along(project: Aged, status: int) -> None:
    told = unchanged_but(project, "/2", (status, {}, ""))
    assert (told.exit_code, told.fates) == (0, {"gone": 1, "not_modified": 4})
    assert (project.output, told.items.gone) == (["home", "1", "3", "4"], 1)


def test_a_page_that_redirects_now_takes_its_items_along(project: Aged) -> None:
    project.site.page("/5", "<h1>5</h1>")
    told = unchanged_but(project, "/2", (301, {"Location": "/5"}, ""))
    assert told.fates == {"fetched": 1, "not_modified": 4, "redirected": 1}
    assert project.output == ["home", "1", "3", "4", "5"]


def test_a_redirect_to_an_unchanged_page(project: Aged) -> None:
    """The target of a redirect is asked with its own validators, and nothing of the asked page travels along."""
    project.site.pages["/2"] = (302, {"Location": "/9"}, "")
    tag(project.site, {"/9": "<h1>9</h1>"})
    project.run()
    project.site.seen.clear()
    told = project.run()
    assert told.fates == {"not_modified": 5, "redirected": 1}
    assert "If-None-Match" not in project.site.asked("/2")[0] and "If-None-Match" in project.site.asked("/9")[0]
    assert project.output == ["home", "1", "3", "4", "9"]


def test_a_listing_that_fails_keeps_all_that_it_led_to(project: Aged) -> None:
    tag(project.site, {"/4": "<h1>4</h1><a href=/5>x</a>", "/5": "<h1>5</h1>"})
    told = unchanged_but(project, "/4", (500, {}, ""))
    assert told.fates == {"not_modified": 4, "failed:http_500": 1}
    assert (project.output, told.items.gone) == ([*TITLES, "5"], 0)


def test_what_a_clean_run_does_not_meet_goes(project: Aged) -> None:
    tag(project.site, {"/4": "<h1>4</h1><a href=/5>x</a>", "/5": "<h1>5</h1>"})
    project.run()
    tag(project.site, {"/4": "<h1>4</h1>"})
    told = project.run()
    assert told.fates == {"not_modified": 4, "fetched": 1}
    assert (project.output, told.items.gone) == (TITLES, 1)


def test_a_run_that_was_cut_takes_nothing_away(project: Aged) -> None:
    project.run()
    project.config["limits"] = {"pages": 2}
    told = project.run()
    assert told.fates == {"not_modified": 2, "rejected:limit": 3}
    assert (told.published, project.output, told.items.gone) == (True, TITLES, 0)


def test_a_robots_txt_that_cannot_be_had_takes_nothing_away(project: Aged) -> None:
    """It forbids all of its host for now; that says nothing of the pages."""
    project.config["fetch"]["robots"] = {"obey": True}
    other = project.site.url.replace("127.0.0.1", "localhost")
    project.config["seeds"].append(f"{other}/5")
    project.config["scope"] = {"allow_domains": ["127.0.0.1", "localhost"]}
    tag(project.site, {"/5": "<h1>5</h1>"})
    assert project.run().fates == {"fetched": 6}
    project.site.pages["/robots.txt"] = lambda headers: (
        (503, {}, "") if headers["Host"].startswith("localhost") else (200, {}, "")
    )
    told = project.run()
    assert told.fates == {"not_modified": 5, "rejected:robots": 1}
    assert sorted(project.output) == sorted([*TITLES, "5"])
    project.site.pages["/robots.txt"] = (200, {}, "User-agent: *\nDisallow: /5")
    told = project.run()
    assert told.fates == {"not_modified": 5, "rejected:robots": 1}
    assert project.output == TITLES, "a rule is an answer: the page is refused, and goes"


# --- beside the published result --------------------------------------------------------------------------------------


def test_a_candidate_is_no_baseline(project: Aged) -> None:
    """What a check held back has validators, too; they count for nothing."""
    project.run()
    tag(project.site, {"/1": "<h1>one</h1>"})
    project.site.pages["/2"] = (500, {}, "")
    project.config["checks"] = ["items >= 0"]
    told = project.run()
    assert (told.exit_code, told.published) == (1, False)
    tag(project.site, {"/2": "<h1>2</h1>"})
    told = project.run()
    assert told.fates == {"not_modified": 4, "fetched": 1}
    assert project.output == ["home", "one", "2", "3", "4"]
    assert project.sql("SELECT count(*) FROM renewal") == [(0,)]


def test_retry_of_a_candidate_keeps_what_it_was_told(project: Aged) -> None:
    project.run()
    project.site.pages["/1"] = (304, {"ETag": '"other"'}, "")
    project.site.pages["/2"] = (500, {}, "")
    project.config["checks"] = ["items >= 0"]
    assert project.run().exit_code == 1
    tag(project.site, {"/2": "<h1>two</h1>"})
    told = project.run(retry="")
    assert (told.exit_code, told.fates) == (0, {"fetched": 1, "not_modified": 4})
    assert project.output == ["home", "1", "two", "3", "4"]
    project.site.seen.clear()
    project.run()
    assert [headers["If-None-Match"] for headers in project.site.asked("/1")] == ['"other"']


def test_an_interrupted_run_goes_on_with_validators(project: Aged) -> None:
    project.run()
    tag(project.site, {"/1": "<h1>one</h1>", "/2": "<h1>two</h1>"})
    first = project.run(stop_after=1)
    assert first.exit_code == 3
    told = project.run()
    assert (told.run, told.resumed, told.exit_code) == (first.run, True, 0)
    assert told.fates == {"not_modified": 3, "fetched": 2} and told.imbalance() == []
    assert project.output == ["home", "one", "two", "3", "4"]
    assert project.run().fates == {"not_modified": 5}


PLUGIN = """
from pathlib import Path
from pipeline import hookimpl

class Plugin:
    @hookimpl
    def process_item(self, item, page):
        if item["title"] == "2" and Path(__file__).with_name("down").exists():
            raise ValueError("the service is down")
"""


def test_a_page_with_a_dead_letter_is_fetched_again(project: Aged) -> None:
    """The item is lacking for a reason that may be over: neither validators nor `revisit` may keep it away."""
    (project.folder / "own.py").write_text(PLUGIN)
    (project.folder / "down").touch()
    project.config["plugins"] = ["./own.py"]
    project.config["pages"]["all"]["revisit"] = "6h"
    told = project.run()
    assert (told.items.dead_lettered, project.output) == (1, ["home", "1", "3", "4"])
    (project.folder / "down").unlink()
    told = project.run()
    assert told.fates == {"not_due": 4, "fetched": 1}
    assert project.output == TITLES


def test_credentials_of_links_are_sent_for_stored_links_as_well(project: Aged) -> None:
    secret = "Bearer hunter2"
    project.config["pages"]["all"]["follow"] = [{"css": "a", "headers": {"Authorization": secret}}]
    project.run()
    project.site.seen.clear()
    assert project.run().fates == {"not_modified": 5}
    assert [headers.get("Authorization") for headers in project.site.asked("/3")] == [secret]


def test_posts_are_not_conditional_but_may_be_early(project: Aged) -> None:
    project.config["seeds"] = [{"url": f"{project.site.url}/", "body": "q=1"}]
    project.run()
    project.site.seen.clear()
    assert project.run().fates == {"fetched": 1, "not_modified": 4}
    assert "If-None-Match" not in project.site.asked("/")[0]
    project.config["pages"]["all"]["revisit"] = "6h"
    assert project.run().fates == {"not_due": 5}


def test_many_pages_behind_a_small_window(project: Aged) -> None:
    """More pages than are asked about at a time, of which every third has changed."""
    count = 400
    links = "".join(f"<a href=/p{number}>x</a>" for number in range(count))
    tag(project.site, {"/": f"<h1>home</h1>{links}", **{f"/p{n}": f"<h1>{n}</h1>" for n in range(count)}})
    project.config["fetch"]["per_host"] = {"concurrency": 16, "delay": 0}
    project.config["scope"] = {"max_depth": 3}
    project.run()
    tag(project.site, {f"/p{n}": f"<h1>new {n}</h1>" for n in range(0, count, 3)})
    told = project.run()
    assert told.fates == {"not_modified": 1 + count - 134, "fetched": 134}
    assert (told.items.changed, told.items.unchanged) == (134, count + 1 - 134)
    assert told.imbalance() == []
