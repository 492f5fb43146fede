"""Runs that begin with sitemaps, feeds, files and standard input; what robots.txt was and is between runs."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline import run

CONFIG = """
name: shop
seeds: {seeds}
scope: {scope}
fetch: {{retry: {{attempts: 2, base: 10ms}}}}
pages: {{page: {{items: [{{fields: {{title: h1}}}}], follow: [a]}}}}
store: [{{jsonl: {{path: out.jsonl, meta: [_noindex]}}}}]
"""


@pytest.fixture
def shop(site: Any, tmp_path: Path) -> Shop:
    return Shop(site, tmp_path)


class Shop:
    """A site with some pages, and a config that begins somewhere on it."""

    def __init__(self, site: Any, folder: Path) -> None:
        self.site = site
        self.folder = folder
        for name in "abc":
            site.page(f"/{name}", f"<h1>{name}</h1>")

    def file(self, path: str, body: str | bytes, status: int = 200, **headers: str) -> None:
        self.site.pages[path] = (status, headers, body)

    def sitemap(self, path: str, *entries: str, lastmod: str = "") -> None:
        """A sitemap, of other sitemaps if their names end so."""
        kind = "sitemap" if entries and "xml" in entries[0] else "url"
        date = f"<lastmod>{lastmod}</lastmod>" if lastmod else ""
        told = "".join(f"<{kind}><loc>{self.site.url}{entry}</loc>{date}</{kind}>" for entry in entries)
        text = f"<urlset>{told}</urlset>".encode()
        self.file(path, gzip.compress(text) if path.endswith(".gz") else text)

    def config(self, *seeds: str, scope: str = "{}") -> Shop:
        listed = ", ".join(seed.format(url=self.site.url) for seed in seeds)
        (self.folder / "shop.yaml").write_text(CONFIG.format(seeds=f"[{listed}]", scope=scope))
        return self

    def run(self, **options: Any) -> dict[str, Any]:
        """The report of a run."""
        self.site.log.clear()
        self.site.seen.clear()
        report: dict[str, Any] = msgspec.to_builtins(run(self.folder / "shop.yaml", **options).summary)
        return report

    def titles(self) -> list[str]:
        lines = (self.folder / "out.jsonl").read_text().splitlines()
        return [json.loads(line)["title"] for line in lines]


# --- sitemaps --------------------------------------------------------------------------------------------------------


def test_a_sitemap_of_sitemaps_is_read_and_booked_apart(shop: Shop) -> None:
    shop.sitemap("/s.xml", "/1.xml.gz", "/2.xml", "/s.xml", "/gone.xml")
    shop.sitemap("/1.xml.gz", "/a", "/b", "/a", "/away")
    shop.file("/2.xml", f"{shop.site.url}/c\nhttp://elsewhere.example/x\n")
    report = shop.config("{{sitemap: '{url}/s.xml', page: page}}", scope="{deny: [/away]}").run()
    assert report["exit_code"] == 0 and shop.titles() == ["a", "b", "c"]
    assert report["fates"] == {"fetched": 3, "rejected:scope": 2}
    assert report["discovered"] == 5 and report["seeds"] == 0 and report["requests"] == 3
    sources = report["sources"]
    assert sources["fates"] == {"fetched": 3, "gone": 1} and sources["requests"] == 4
    assert (sources["found"], sources["new"], sources["duplicate"]) == (5, 4, 1)
    assert report["links"] == {"found": 6, "new": 5, "duplicate": 1}
    assert report["hosts"]["127.0.0.1"] == {"fetched": 3, "rejected:scope": 1}


@pytest.mark.parametrize(
    "seed", ["{{sitemap: '{url}'}}", "{{sitemap: '{url}/robots.txt'}}", "'{url}/a', {{sitemap: robots}}"]
)
def test_sitemaps_that_a_robots_txt_names(shop: Shop, seed: str) -> None:
    shop.file("/robots.txt", "Sitemap: /m.xml\nUser-agent: *\nDisallow: /c\n")
    shop.sitemap("/m.xml", "/a", "/c")
    report = shop.config(seed).run()
    assert report["fates"] == {"fetched": 1, "rejected:robots": 1} and shop.titles() == ["a"]
    assert report["robots_requests"] == 1 and report["sources"]["fates"] == {"fetched": 2}


def test_a_robots_txt_that_names_none_means_the_usual_place(shop: Shop) -> None:
    shop.file("/robots.txt", "")
    shop.sitemap("/sitemap.xml", "/b")
    assert shop.config("{{sitemap: '{url}/'}}").run()["exit_code"] == 0
    assert shop.titles() == ["b"]


def test_what_it_names_has_depth_0_and_its_links_have_1(shop: Shop) -> None:
    shop.site.page("/a", "<h1>a</h1><a href=/b>b</a>")
    shop.site.page("/b", "<h1>b</h1><a href=/c>c</a>")
    shop.sitemap("/1.xml", "/2.xml")
    shop.sitemap("/2.xml", "/a")
    report = shop.config("{{sitemap: '{url}/1.xml'}}", scope="{max_depth: 1}").run()
    assert report["fates"] == {"fetched": 2, "rejected:depth": 1} and shop.titles() == ["a", "b"]


def test_pages_are_counted_without_sitemaps(shop: Shop) -> None:
    shop.sitemap("/1.xml", "/2.xml")
    shop.sitemap("/2.xml", "/a", "/b", "/c")
    report = shop.config("{{sitemap: '{url}/1.xml'}}").run(limit=2)
    assert report["fates"] == {"fetched": 2, "rejected:limit": 1}
    assert report["sources"]["fates"] == {"fetched": 2}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((404, {}, "no"), "gone: HTTP 404"),
        ((503, {}, "no"), "failed:http_503: HTTP 503"),
        (
            (200, {}, "<!doctype html><html><h1>hello"),
            "failed:parse: neither a sitemap nor a feed: it is an HTML page",
        ),
        (
            (200, {}, "<!DOCTYPE x [<!ENTITY a 'b'>]><urlset/>"),
            "failed:parse: the document declares entities in a DTD, which are not read",
        ),
    ],
)
def test_a_source_that_cannot_be_read_is_a_seed_that_failed(shop: Shop, answer: Any, says: str) -> None:
    shop.site.pages["/s.xml"] = answer
    report = shop.config("{{sitemap: '{url}/s.xml'}}").run()
    problem = report["problems"][0]
    assert f"{problem['fate']}: {problem['detail']}" == says
    assert report["exit_code"] == 4 and report["sources"]["fates"] == {problem["fate"]: 1} and report["fates"] == {}


def test_a_sitemap_that_redirects_is_one_still(shop: Shop) -> None:
    shop.file("/s.xml", "", 301, Location="/t.xml")
    shop.sitemap("/t.xml", "/a")
    report = shop.config("{{sitemap: '{url}/s.xml'}}").run()
    assert report["exit_code"] == 0 and report["sources"]["fates"] == {"fetched": 1, "redirected": 1}
    assert report["redirects"]["found"] == 0 and shop.titles() == ["a"]


def test_nothing_goes_while_a_sitemap_is_not_whole(shop: Shop) -> None:
    shop.sitemap("/s.xml", "/a", "/b", "/c")
    shop.config("{{sitemap: '{url}/s.xml'}}").run()
    shop.file("/s.xml", f"<urlset><url><loc>{shop.site.url}/a</loc></url><url><lo")
    report = shop.run()
    assert report["exit_code"] == 0 and report["fates"] == {"fetched": 1}
    assert report["sources"]["incomplete"] == 1 and shop.titles() == ["a", "b", "c"]
    assert any(f"{shop.site.url}/s.xml was read in part only" in note for note in report["notes"])
    shop.sitemap("/s.xml", "/a")
    shop.run()
    assert shop.titles() == ["a"]


def test_since_leaves_out_what_is_published_only(shop: Shop) -> None:
    """A page that failed last time is asked for again, whatever its date."""
    names = [f"/{number}" for number in range(9)]
    for name in names:
        shop.site.page(name, f"<h1>{name}</h1>")
    good = shop.site.pages["/a"]
    shop.site.page("/a", "not yet", status=400)
    shop.sitemap("/s.xml", *names, "/a", lastmod="2020-01-01")
    shop.config("{{sitemap: '{url}/s.xml', since: 2021-01-01}}")
    report = shop.run()
    assert report["exit_code"] == 0 and report["fates"] == {"failed:http_400": 1, "fetched": 9}
    shop.site.pages["/a"] = good
    assert shop.run()["fates"] == {"fetched": 1, "not_due": 9}
    assert len(shop.titles()) == 10


def test_since_last_success(shop: Shop) -> None:
    shop.sitemap("/s.xml", "/a", "/b", lastmod="2020-01-01")
    shop.config("{{sitemap: '{url}/s.xml', since: last_success}}")
    assert shop.run()["fates"] == {"fetched": 2}
    shop.sitemap("/s.xml", "/a", "/b", "/c", lastmod="2020-01-01")
    report = shop.run()
    assert report["fates"] == {"fetched": 1, "not_due": 2} and shop.site.log == ["GET /s.xml", "GET /c"]
    assert shop.titles() == ["a", "b", "c"]
    shop.sitemap("/s.xml", "/a", "/b", lastmod="2099-01-01")
    assert shop.run()["fates"] == {"fetched": 2}


def test_a_rule_that_changed_makes_unchanged_pages_due(shop: Shop) -> None:
    shop.sitemap("/s.xml", "/a", lastmod="2020-01-01")
    shop.config("{{sitemap: '{url}/s.xml', since: 1d}}").run()
    config = shop.folder / "shop.yaml"
    config.write_text(config.read_text().replace("title: h1", "title: h1, again: h1"))
    assert shop.run()["fates"] == {"fetched": 1}


def test_a_run_that_was_stopped_in_the_middle_goes_on(shop: Shop) -> None:
    shop.sitemap("/1.xml", "/2.xml", "/3.xml")
    shop.sitemap("/2.xml", "/a", "/b", lastmod="2020-01-01")
    shop.sitemap("/3.xml", "/c", lastmod="2020-01-01")
    shop.config("{{sitemap: '{url}/1.xml', since: last_success}}").run()
    stopped = shop.run(overrides={"limits.bytes": "200", "fetch.per_host.concurrency": "1"})
    assert stopped["exit_code"] == 3 and stopped["sources"]["pending"] >= 1
    report = shop.run()
    assert report["resumed"] and report["exit_code"] == 0
    assert report["fates"] == {"not_due": 3} and report["sources"]["fates"] == {"fetched": 3}
    assert shop.titles() == ["a", "b", "c"]


def test_many_urls_enter_in_slices(shop: Shop) -> None:
    shop.sitemap("/s.xml", *(f"/deny/{number}" for number in range(1700)), "/a")
    report = shop.config("{{sitemap: '{url}/s.xml'}}", scope="{deny: [/deny/**]}").run(overrides={"workers": "1"})
    assert report["fates"] == {"fetched": 1, "rejected:scope": 1700} and report["links"]["new"] == 1701


def test_a_run_that_was_killed_in_the_middle_of_a_sitemap_goes_on(shop: Shop) -> None:
    shop.sitemap("/s.xml", *(f"/deny/{number}" for number in range(1700)), "/a", "/b")
    shop.config("{{sitemap: '{url}/s.xml'}}", scope="{deny: [/deny/**]}")
    command = [sys.executable, "-P", "-m", "pipeline", "run", "shop.yaml"]
    armed = {**os.environ, "HOOKLINE_FAILPOINT": "after_write:kill@5"}
    done = subprocess.run(command, cwd=shop.folder, env=armed, capture_output=True, timeout=50, check=False)
    assert done.returncode == -signal.SIGKILL
    report = shop.run()
    assert report["resumed"] and report["exit_code"] == 0
    assert shop.site.log[0] == "GET /s.xml" and sorted(shop.site.log[1:]) == ["GET /a", "GET /b"]
    assert report["fates"] == {"fetched": 2, "rejected:scope": 1700} and report["discovered"] == 1702
    assert shop.titles() == ["a", "b"]


# --- feeds, files, standard input ------------------------------------------------------------------------------------


def test_a_feed(shop: Shop) -> None:
    shop.file("/atom", '<feed xmlns="http://www.w3.org/2005/Atom"><entry><link href="/a"/></entry></feed>')
    shop.file("/feed.json", json.dumps({"items": [{"url": "/b"}, {"url": "/b"}, {}]}))
    report = shop.config("{{feed: '{url}/atom'}}", "{{feed: '{url}/feed.json', page: page}}").run()
    assert report["fates"] == {"fetched": 2} and report["bad_links"] == 1 and shop.titles() == ["a", "b"]


def test_a_plugin_may_find_feeds(shop: Shop) -> None:
    shop.site.page("/", "<h1>home</h1><link rel=alternate href=/atom>")
    shop.file("/atom", '<feed><entry><link href="/a"/></entry><entry><link href="/b"/></entry></feed>')
    (shop.folder / "find.py").write_text(
        "from pipeline import Request, Source, hookimpl\n\n\n@hookimpl\ndef parse(page):\n"
        "    for link in page.css('link[rel=alternate]::attr(href)'):\n"
        "        yield Request(link, source=Source('feed'), page='page')\n"
    )
    shop.config("'{url}/'")
    config = shop.folder / "shop.yaml"
    config.write_text(config.read_text() + "plugins: [./find.py]\n")
    report = shop.run()
    assert report["exit_code"] == 0 and report["fates"] == {"fetched": 3}
    assert report["sources"]["fates"] == {"fetched": 1} and report["links"]["found"] == 2


def test_a_host_of_a_seed_file_belongs_to_the_crawl(shop: Shop) -> None:
    shop.site.page("/a", "<h1>a</h1><a href=/b>b</a>")
    (shop.folder / "urls.txt").write_text(f"{shop.site.url}/a\n")
    shop.config("{{file: urls.txt}}").run()
    assert shop.titles() == ["a", "b"]


@pytest.mark.parametrize("seed", ["'-'", "{{file: '-'}}"])
def test_standard_input(shop: Shop, seed: str) -> None:
    shop.config(seed)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pipeline", "run", "shop.yaml"],
        cwd=shop.folder,
        input=f"{shop.site.url}/a\n\n{shop.site.url}/b\n",
        text=True,
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "") and shop.titles() == ["a", "b"]


@pytest.mark.parametrize(
    ("seed", "says"),
    [
        ("{{sitemap: robot}}", "'robot' is no URL"),
        ("{{feed: x}}", "'x' is no URL"),
        ("{{sitemap: 'http://x/', since: yesterday}}", "'yesterday' is no moment"),
        ("{{sitemap: {{url: 'http://x/', sinse: 1d}}}}", "since"),
    ],
)
def test_mistakes(shop: Shop, seed: str, says: str) -> None:
    with pytest.raises(Exception, match=says) as caught:
        shop.config(seed).run()
    assert "shop.yaml:3:" in str(caught.value)


# --- robots between runs ---------------------------------------------------------------------------------------------


def test_robots_txt_is_asked_for_with_validators_and_kept(shop: Shop) -> None:
    def answer(headers: dict[str, str]) -> Any:
        known = headers.get("If-None-Match") == '"1"'
        return (304, {"ETag": '"1"'}, "") if known else (200, {"ETag": '"1"'}, "User-agent: *\nDisallow: /b\n")

    shop.site.pages["/robots.txt"] = answer
    shop.config("'{url}/a'", "'{url}/b'")
    for _ in range(3):
        assert shop.run()["fates"] == {"fetched": 1, "rejected:robots": 1}
    assert shop.site.asked("/robots.txt")[0]["If-None-Match"] == '"1"'


@pytest.mark.parametrize("status", [503, 429])
def test_a_server_that_fails_is_asked_by_the_rules_of_before(shop: Shop, status: int) -> None:
    shop.file("/robots.txt", "User-agent: *\nDisallow: /b\n")
    shop.config("'{url}/a'", "'{url}/b'").run()
    shop.file("/robots.txt", "User-agent: *\nDisallow: /\n", status, **({"Retry-After": "0"} if status == 429 else {}))
    report = shop.run()
    assert report["fates"] == {"fetched": 1, "rejected:robots": 1}
    assert [note for note in report["notes"] if f"answered HTTP {status}" in note and "is kept to" in note]
    shop.file("/robots.txt", "gone", 404)
    assert shop.run()["fates"] == {"fetched": 2}
    shop.file("/robots.txt", "", status)
    report = shop.run(overrides={"fetch.retry_after.max": "1s"})
    fate = "rejected:robots" if status == 503 else "deferred:retry_after"
    assert report["exit_code"] == 4 and report["fates"] == {fate: 2}


def test_a_robots_txt_that_refuses_what_is_published_is_named(shop: Shop) -> None:
    shop.config("'{url}/a'", "'{url}/b'", "'{url}/c'").run()
    shop.file("/robots.txt", "User-agent: *\nDisallow: /b\nDisallow: /c\n")
    report = shop.run()
    assert "robots.txt of 127.0.0.1 now refuses 2 URLs that the last published result has" in report["notes"]
    assert not [note for note in shop.run()["notes"] if "now refuses" in note]


# --- what pages say --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["0", "1"])
def test_pages_that_ask_not_to_be_followed_or_kept(shop: Shop, workers: str) -> None:
    shop.site.page("/a", "<h1>a</h1><a href=/b>b</a><a href=/x rel=nofollow>", X_Robots_Tag="noindex")
    shop.site.page("/b", "<head><meta name=robots content=nofollow></head><h1>b</h1><a href=/c>c</a><a href=/d>d</a>")
    report = shop.config("'{url}/a'").run(overrides={"workers": workers})
    assert report["fates"] == {"fetched": 2, "gone": 1} and (report["nofollow"], report["noindex"]) == (2, 1)
    lines = [json.loads(line) for line in (shop.folder / "out.jsonl").read_text().splitlines()]
    assert lines == [{"title": "a", "_noindex": True}, {"title": "b", "_noindex": False}]
    report = shop.run(overrides={"workers": workers, "fetch.robots.obey": "false"})
    assert report["fates"] == {"fetched": 3, "gone": 2} and (report["nofollow"], report["noindex"]) == (0, 0)


# --- no seeds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["seeds: []\n", "seeds:\n", ""])
def test_a_config_that_nothing_brings_seeds_for_is_refused(text: str, inside: Any, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f"name: x\n{text}pages: {{p: {{}}}}\n")
    place = f"x.yaml:{2 if text else 1}:{8 if '[' in text else 1}"
    mistake = f"{place}: seeds: expected at least one seed to begin with, found none; list URLs, or components"
    for command in ("check", "run"):
        done = inside(command, "x.yaml")
        assert done.returncode == 2 and mistake in done.stderr, done.stderr
    assert not (tmp_path / ".hookline").exists()
    assert inside("run", "x.yaml", "--set", "seeds=['http://127.0.0.1:9/']").returncode == 4


def test_only_the_run_knows_what_plugins_bring(inside: Any, shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("# none today\n")
    shop.config("{{file: urls.txt}}")
    assert inside("check", "shop.yaml").returncode == 0
    done = inside("run", "shop.yaml")
    assert done.returncode == 4
    assert (
        "no page was asked for: no seed stands in the config, and its plugins and seed files gave none" in done.stderr
    )
    shop.config("{{sitemap: '{url}/missing.xml'}}")
    done = inside("run", "shop.yaml")
    assert done.returncode == 4 and "every seed failed, was gone, blocked or refused" in done.stderr
