"""`demo-site`: it answers as its description says, and lets go of its port."""

from __future__ import annotations

import csv
import http.client
import json
import re
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plugins.demo.site import QUOTES, Plugin, books, site


@pytest.fixture
def port() -> Iterator[int]:
    plugin = Plugin(port=0)
    plugin.run_start()
    yield plugin.port
    plugin.run_finish()


@pytest.fixture
def client(port: int) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        yield connection


def get(
    client: http.client.HTTPConnection, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[int, http.client.HTTPMessage, str]:
    client.request(method, path, headers=headers or {})
    answer = client.getresponse()
    return answer.status, answer.headers, answer.read().decode()


def book_path(number: int) -> str:
    return f"/catalogue/{books()[number].slug}/index.html"


def test_every_page_answers_on_one_connection(client: http.client.HTTPConnection) -> None:
    statuses: list[int] = []
    for path in site():
        statuses.append(get(client, path)[0])
        if len(statuses) == 1:
            first = client.sock
        assert client.sock is first  # keep-alive
    assert {status: statuses.count(status) for status in set(statuses)} == {200: len(statuses) - 2, 301: 1, 503: 1}


def test_listings_lead_to_all_sixty_books(client: http.client.HTTPConnection) -> None:
    path, found = "/catalogue/page-1.html", []
    while True:
        text = get(client, path)[2]
        found += re.findall(r'star-rating (\w+)"></p><h3><a href="([^"]+)"', text)
        following = re.search(r'<li class="next"><a href="(page-\d\.html)"', text)
        if not following:
            break
        path = f"/catalogue/{following[1]}"
    assert [f"/catalogue/{href}" for _, href in found] == [book_path(number) for number in range(60)]
    assert len({href for _, href in found}) == 60
    assert {rating for rating, _ in found} == {"One", "Two", "Three", "Four", "Five"}


def test_the_book_that_moved(client: http.client.HTTPConnection) -> None:
    status, headers, _ = get(client, book_path(42))
    assert status == 301
    assert get(client, headers["Location"])[0] == 200


def test_the_book_that_is_gone(client: http.client.HTTPConnection) -> None:
    assert get(client, book_path(51))[0] == 404


def test_the_page_that_fails_once(client: http.client.HTTPConnection) -> None:
    assert [get(client, book_path(28))[0] for _ in range(3)] == [503, 200, 200]


def test_validators(client: http.client.HTTPConnection) -> None:
    _, headers, text = get(client, book_path(0))
    again = get(client, book_path(0), {"If-None-Match": headers["ETag"]})
    assert (again[0], again[2]) == (304, "")
    assert get(client, book_path(0), {"If-None-Match": '"other"'})[2] == text


def test_head_has_the_length_and_no_body(client: http.client.HTTPConnection) -> None:
    status, headers, text = get(client, book_path(0), method="HEAD")
    assert (status, text) == (200, "")
    assert int(headers["Content-Length"]) > 100
    assert get(client, book_path(1))[0] == 200


def test_what_a_scraper_has_to_think_about() -> None:
    shop = books()
    titles = [book.title for book in shop]
    assert len(shop) == 60
    assert titles.count("") == 1
    assert max(titles.count(title) for title in titles) == 2
    assert sum("(Used)" in title for title in titles) == 3
    assert any(title.startswith("+") for title in titles)
    assert any(book.stock == 0 for book in shop)
    assert books() == shop
    assert "Disallow: /basket/" in site()["/robots.txt"].text


def test_a_port_that_is_taken() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken = other.getsockname()[1]
        with pytest.raises(OSError, match=rf"127\.0\.0\.1:{taken} .* `--set vars\.port=\d+`"):
            Plugin(port=taken).run_start()


def test_the_port_is_free_again() -> None:
    plugin = Plugin(port=0)
    plugin.run_finish()  # never started: nothing to stop
    plugin.run_start()
    plugin.run_finish()
    with closing(socket.create_server(("127.0.0.1", plugin.port))) as other:
        assert other.getsockname()[1] == plugin.port


def test_the_demo_config_gives_what_the_shop_has(
    hookline: Callable[..., subprocess.CompletedProcess[str]], repo: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "configs"
    shutil.copytree(repo / "configs", folder, ignore=shutil.ignore_patterns("out", ".hookline", "__pycache__"))
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        free = other.getsockname()[1]
    done = hookline("run", "--set", f"vars.port={free}", "--report", "report.json", folder / "demo.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["fates"] == {"fetched": 65, "gone": 1, "redirected": 1}
    assert report["requests"] == 68  # one page was asked for twice

    kept = [json.loads(line) for line in (folder / "out/items.jsonl").read_text(encoding="utf-8").splitlines()]
    wanted = {
        book.title
        for number, book in enumerate(books())
        if number != 51 and book.title and book.stock and "Used" not in book.title
    }
    shown = [item for item in kept if "upc" in item]
    assert {item["title"] for item in shown} == wanted
    assert len(shown) == len(wanted)  # of the two with one title, one
    assert all(item["price_eur"] > item["price"] > 0 and item["rating"] and len(item["tags"]) == 2 for item in shown)
    assert {item["text"] for item in kept if "author" in item} == {text for text, _, _ in QUOTES}

    with (folder / "out/books.csv").open(encoding="utf-8", newline="") as file:
        assert [row["upc"] for row in csv.DictReader(file)] == [item["upc"] for item in shown]
    with closing(sqlite3.connect(folder / "out/shop.db")) as database:
        assert [upc for (upc,) in database.execute("SELECT upc FROM book")] == [item["upc"] for item in shown]
        assert database.execute("SELECT count(*) FROM quote").fetchone() == (len(QUOTES),)


def test_the_docs_config_names_every_page(
    hookline: Callable[..., subprocess.CompletedProcess[str]],
    serve: Callable[[dict[str, str]], Any],
    repo: Path,
    tmp_path: Path,
) -> None:
    shutil.copy(repo / "configs/docs.yaml", tmp_path)
    site = serve(
        {
            "/": "<title>Start</title><a href=a/>a</a><a href=http://elsewhere.example/>not ours</a>",
            "/a/": "<title> The  A </title><map><area href=../b.html></map>",
            "/b.html": "<title>B</title><a href=/>back</a>",
        }
    )
    done = hookline("run", "--set", f"vars.site={site.url}", "docs.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in (tmp_path / "out/docs.jsonl").read_text().splitlines()]
    assert rows == [
        {"url": f"{site.url}/", "title": "Start"},
        {"url": f"{site.url}/a/", "title": "The A"},
        {"url": f"{site.url}/b.html", "title": "B"},
    ]
