"""Drafts of configs: what is found on a page, and that the draft passes `check` and reads its page."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.loader import load
from pipeline.drafting.draft import config_name, draft
from pipeline.drafting.starting import example_files, write_files
from pipeline.errors import ConfigError
from pipeline.runner.build import new_run
from pipeline.runner.plugging import load_host
from pipeline.runner.trials import run_trials
from pipeline.stages.page import Page
from pipeline.testing import make_page

Read = Callable[[str, Any, Path], list[dict[str, Any]]]

URL = "https://shop.example/list"


def shop(number: int, card: str, after: str = "") -> str:
    cards = "".join(card.replace("%", str(n)) for n in range(1, number + 1))
    menu = "".join(f"<li class=entry><a href=/m{n}>Menu entry {n}</a></li>" for n in range(30))
    return f"<nav><ul class=menu>{menu}</ul></nav><main><h1>Shop</h1>{cards}</main>{after}<footer>Imprint</footer>"


CARDS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "<article class='product_pod'><h3><a href='/p/%'>Book %</a></h3><p class='price_color'>£1%.50</p></article>",
        "article.product_pod",
        {"title": "Book 1", "url": "https://shop.example/p/1", "price_color": 11.5},
    ),
    (
        "<div class='row'><div class='quote'><span class='text'>Words of wisdom, number %</span>"
        "<small class='author'>Author %</small>"
        "<a class='tag' href='/t/%'>one%</a><a class='tag' href='/t'>b</a></div></div>",
        "div.quote",
        {"text": "Words of wisdom, number 1", "author": "Author 1", "tag": ["one1", "b"]},
    ),
    (
        "<div itemscope class='x%'><b itemprop='name'>Lamp number %</b><i itemprop='price'>%.99</i></div>",
        "main > div",
        {"name": "Lamp number 1", "price": 1.99},
    ),
    (
        "<section class='event'><h2>Concert number %</h2><time datetime='2026-03-0%'>in March</time>"
        "<img data-src='/%.png' src='/blank.gif'></section>",
        "section.event",
        {"title": "Concert number 1", "date": "2026-03-01", "image": "https://shop.example/1.png"},
    ),
]


@pytest.mark.parametrize(("card", "each", "first"), CARDS, ids=[case[1] for case in CARDS])
def test_repeated_records_and_their_fields(
    card: str, each: str, first: dict[str, Any], tmp_path: Path, read: Read
) -> None:
    body = shop(9, card, "<ul><li class='next'><a href='/list?page=2'>next</a></li></ul>")
    made = draft(make_page(body, URL), "draft")
    assert made.found == f"9 records, {each}"
    items = read(made.text, body, tmp_path)
    assert len(items) == 9
    assert first.items() <= {name: float(v) if name.startswith("price") else v for name, v in items[0].items()}.items()
    assert "- li.next a" in made.text


def test_a_table(tmp_path: Path, read: Read) -> None:
    rows = "".join(f"<tr><td>Town {n}</td><td>{n}000 people</td></tr>" for n in range(1, 9))
    body = f"<h1>Towns</h1><table class='towns'><tbody>{rows}</tbody></table>"
    items = read(draft(make_page(body, URL), "draft").text, body, tmp_path)
    assert items[0] == {"td_1": "Town 1", "td_2": "1000 people"}
    assert len(items) == 8


@pytest.mark.parametrize(
    ("link", "follow"),
    [
        ("<a rel='next' href='/2'>2</a>", 'a[rel~="next"]'),
        ("<a class='next' href='/2'>2</a>", "a.next"),
        ("<a href='/2'>Next page</a>", 'a:-soup-contains("Next page")'),
        ("<a href='/2'>Weiter \u203a</a>", 'a:-soup-contains("Weiter")'),
        ("<a href='/2'>2</a>", None),
    ],
)
def test_the_next_page(link: str, follow: str | None, tmp_path: Path) -> None:
    made = draft(make_page(shop(9, CARDS[0][0], link), URL), "draft")
    (tmp_path / "draft.yaml").write_text(made.text, encoding="utf-8")
    [rule] = load(tmp_path / "draft.yaml").config.rules().values()
    assert [one if isinstance(one, str) else one.get("css") for one in rule["follow"]] == ([follow] if follow else [])


def test_a_page_that_is_one_thing(tmp_path: Path, read: Read) -> None:
    said = {"@type": "Product", "name": "Lamp", "offers": {"price": 12.5}}
    body = f"<script type='application/ld+json'>{json.dumps(said)}</script><h1>A lamp</h1><p>{'Bright. ' * 50}</p>"
    made = draft(make_page(body, URL), "draft")
    assert made.found == "one item, the page itself"
    assert read(made.text, body, tmp_path) == [{"name": "Lamp", "price": 12.5}]


def test_a_json_page(tmp_path: Path, read: Read) -> None:
    data = {"meta": {"n": 2}, "data": {"my items": [{"id": n, "by": {"name": f"N{n}"}, "x-y": "z"} for n in range(3)]}}
    made = draft(make_page(data, URL), "draft")
    assert read(made.text, data, tmp_path)[1] == {"id": 1, "name": "N1", "x_y": "z"}


def test_a_json_list_at_the_top(tmp_path: Path, read: Read) -> None:
    assert read(draft(make_page([{"a": 1}, {"a": 2}], URL), "draft").text, [{"a": 1}, {"a": 2}], tmp_path) == [
        {"a": 1},
        {"a": 2},
    ]


@pytest.mark.parametrize("body", ["", "<p>nothing here", "<title>T</title>", "\x00\x01", "[]", "{}"])
def test_a_page_with_nothing_still_gives_a_config(body: str, tmp_path: Path) -> None:
    made = draft(make_page(body, URL), "draft")
    (tmp_path / "draft.yaml").write_text(made.text, encoding="utf-8")
    assert load_host(load(tmp_path / "draft.yaml"), new_run("draft")).describe()["parse"]


@pytest.mark.parametrize(
    ("url", "name"),
    [("https://www.books.example/a", "books.example"), ("http://127.0.0.1:80/", "127.0.0.1"), ("http://[::1]/", "1")],
)
def test_the_name_of_a_draft(url: str, name: str) -> None:
    assert config_name(url) == name


def test_real_pages_give_drafts_that_read_them(repo: Path, tmp_path: Path, read: Read) -> None:
    folder = repo / "../shared/corpus/open/pages_products/html"
    if not folder.is_dir():
        pytest.skip("the corpus of real pages is not here")
    names = ("469894a59bfb", "5f885d1f831a", "3ae14333546c", "0eeed9742d1e", "d932425d8593"[:11])
    files = [file for file in sorted(folder.iterdir()) if file.name.startswith(names)]
    assert len(files) >= 4
    for file in files:
        body = gzip.decompress(file.read_bytes())
        items = read(draft(make_page(body, URL), "draft").text, body, tmp_path)
        assert items, file.name
        assert sum(value not in (None, []) for value in items[0].values()) >= 2, file.name


def test_the_example_passes_its_own_test(tmp_path: Path) -> None:
    write_files(tmp_path, example_files("shop"))
    text = (tmp_path / "shop.yaml").read_text(encoding="utf-8")
    for version in (text, text.replace("# plugins:", "plugins:")):
        (tmp_path / "shop.yaml").write_text(version, encoding="utf-8")
        loaded = load(tmp_path / "shop.yaml")
        host = load_host(loaded, new_run("shop"))
        [trial] = run_trials(loaded, host)
        assert not trial.differences
        assert trial.items is not None
        assert ("words" in trial.items["quote"][0]) is (version is not text)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is there already"):
        write_files(tmp_path, example_files("shop"))
    assert [path.name for path in tmp_path.iterdir()] == ["shop.yaml"]


def test_a_large_page_takes_no_time_to_speak_of() -> None:
    body = "".join(f"<div class='c{n % 50}'><p><a href='/{n}'>Link {n}</a></p></div>" for n in range(4000))
    assert draft(Page(URL, 200, [("Content-Type", "text/html")], body.encode()), "x").found
