"""`try --explain`, `--save-fixture` and `-i`, `test` and `init` as typed: exit codes, streams, files."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.explaining import Head, Line, Link, explanation, show, wrapped
from pipeline.model import Explained

Command = Callable[..., subprocess.CompletedProcess[str]]

PAGE = """<title>Shop</title><div class="book"><h2>Dune</h2><b class="price">9.50</b></div>
<div class="book"><h2>Emma</h2></div><a class="next" href="/2">next</a><a href="http://other.example/">o</a>"""
CONFIG = """
name: shop
seeds: ["{base}/"]
pages:
  list:
    items:
      - type: book
        each: div.book
        fields:
          title: h2          # a comment that stays
          price: {{css: .prize, type: decimal}}
    follow: [a]
"""


@pytest.fixture
def shop(serve: Callable[..., Any], tmp_path: Path) -> str:
    site = serve({"/": PAGE})
    (tmp_path / "shop.yaml").write_text(CONFIG.format(base=site.url), encoding="utf-8")
    return f"{site.url}/"


def test_explain_off_a_terminal(shop: str, inside: Command) -> None:
    done = inside("try", "shop.yaml", shop, "--explain")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{shop}: 200, text/html")
    assert "items book: 2 items of 2 records, by css div.book" in lines
    assert "  ok   title                2/2  css h2" in lines
    at = lines.index("  none price                0/2  css .prize")
    assert lines[at + 1 : at + 4] == [
        "       `.prize` matches nothing",
        "       did you mean `.price`? It matches 1 here:",
        '           <b class="price">9.50',
    ]
    assert lines[-2] == "links: 1 would be asked for, 1 would not"
    assert lines[-1].startswith("  rejected:scope (not a host of the seeds")
    assert lines[-1].endswith("): http://other.example/")
    assert "\x1b" not in done.stdout


def test_a_page_that_fails_is_explained_and_one_that_is_none_is_no_bug(
    shop: str, site: Any, inside: Command, tmp_path: Path
) -> None:
    config = tmp_path / "shop.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("type: decimal", "on_missing: fail"), encoding="utf-8")
    done = inside("try", "shop.yaml", shop, "--explain")
    assert done.returncode == 1
    assert "  the page fails: field price has no value (on_missing: fail)" in done.stdout
    assert "       did you mean `.price`? It matches 1 here:" in done.stdout
    site.page("/", "GIF89a\x01\x00\x01\x00")
    for flag, stream in (("--explain", "stdout"), ("-i", "stderr")):
        none = inside("try", "shop.yaml", f"{site.url}/", flag, "--page", "list")
        assert none.returncode == 1
        assert "page failed: it calls itself text/html, but is a picture" in getattr(none, stream)


def test_explain_one_field(shop: str, inside: Command) -> None:
    done = inside("try", "shop.yaml", shop, "--explain", "--field", "price")
    assert "price" in done.stdout
    assert "title" not in done.stdout
    wrong = inside("try", "shop.yaml", shop, "--explain", "--field", "prise")
    assert wrong.returncode == 2
    assert "did you mean 'price'?" in wrong.stderr


def test_a_field_that_nothing_gives_is_refused(shop: str, inside: Command, tmp_path: Path) -> None:
    wrong = inside("try", "shop.yaml", shop, "--field", "titel")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--field: page rule list has no field 'titel'; did you mean 'title'?" in wrong.stderr
    renamed = (tmp_path / "shop.yaml").read_text(encoding="utf-8") + "filter: [{rename: {fields: {title: name}}}]\n"
    (tmp_path / "shop.yaml").write_text(renamed, encoding="utf-8")
    assert inside("try", "shop.yaml", shop, "--field", "name").returncode == 0
    assert inside("try", "shop.yaml", shop, "--field", "nam").returncode == 2


def test_a_fixture_is_saved_tested_broken_and_renewed(shop: str, inside: Command, tmp_path: Path) -> None:
    done = inside("try", "shop.yaml", shop, "--save-fixture")
    assert done.returncode == 0
    assert "with a test of it at the end of `tests:` in shop.yaml" in done.stderr
    assert (tmp_path / "fixtures/page.html").read_text(encoding="utf-8") == PAGE
    assert inside("test", "shop.yaml").stdout == "shop.yaml: 1 passed\n"
    config = tmp_path / "shop.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace(".prize", ".price"), encoding="utf-8")
    failed = inside("test", "shop.yaml")
    assert failed.returncode == 1
    assert "front page: failed" in failed.stdout
    assert "book 1: price: expected null, found 9.50" in failed.stdout
    assert failed.stdout.endswith("if the pages are right: hookline test --update shop.yaml\n")
    renewed = inside("test", "--update", "shop.yaml")
    assert (renewed.returncode, renewed.stdout.splitlines()[-1]) == (0, "shop.yaml: 0 passed, 1 renewed")
    text = config.read_text(encoding="utf-8")
    assert "price: 9.50" in text
    assert "# a comment that stays" in text
    assert inside("test", "shop.yaml").returncode == 0


def test_a_second_page_of_one_name_is_saved_beside_the_first(shop: str, inside: Command, tmp_path: Path) -> None:
    (tmp_path / "fixtures").mkdir()
    (tmp_path / "fixtures/page.html").write_text("mine", encoding="utf-8")
    inside("try", "shop.yaml", shop, "--save-fixture")
    assert (tmp_path / "fixtures/page.html").read_text(encoding="utf-8") == "mine"
    assert (tmp_path / "fixtures/page-2.html").read_text(encoding="utf-8") == PAGE


def test_a_byte_order_mark_stays(shop: str, inside: Command, tmp_path: Path) -> None:
    config = tmp_path / "shop.yaml"
    config.write_bytes(b"\xef\xbb\xbf" + config.read_bytes().replace(b"\n", b"\r\n"))
    assert "at the end of `tests:`" in inside("try", "shop.yaml", shop, "--save-fixture").stderr
    (tmp_path / "fixtures/page.html").write_text(PAGE.replace("Dune", "Dawn"), encoding="utf-8")
    assert inside("test", "--update", "shop.yaml").returncode == 0
    assert config.read_bytes().startswith(b"\xef\xbb\xbf\r\nname: shop")
    assert config.read_bytes().count(b"\n") == config.read_bytes().count(b"\r\n")
    assert b"title: Dawn" in config.read_bytes()


def test_tests_of_an_extended_file_are_not_replaced(shop: str, inside: Command, tmp_path: Path) -> None:
    inside("try", "shop.yaml", shop, "--save-fixture")
    (tmp_path / "more.yaml").write_text("extends: shop.yaml\nname: more\n", encoding="utf-8")
    (tmp_path / "fixtures/page.html").write_text("another", encoding="utf-8")
    done = inside("try", "more.yaml", shop, "--save-fixture")
    assert done.returncode == 0
    assert "its tests stand in a file that it extends" in done.stderr
    assert "fixture: fixtures/page-2.html" in done.stderr
    assert (tmp_path / "more.yaml").read_text(encoding="utf-8") == "extends: shop.yaml\nname: more\n"


def test_a_wrong_test_is_exit_2_in_check_and_test(shop: str, inside: Command, tmp_path: Path) -> None:
    test = f"tests:\n  - {{url: '{shop}', fixture: fixtures/pag.html}}\n"
    config = tmp_path / "shop.yaml"
    config.write_text(config.read_text(encoding="utf-8") + test, encoding="utf-8")
    for command in ("check", "test"):
        done = inside(command, "shop.yaml")
        assert done.returncode == 2
        assert "shop.yaml:14:47: " in done.stderr
        assert "tests.0.fixture: expected a file, found none at" in done.stderr
    assert shop


def test_a_config_without_tests_says_how_to_get_one(shop: str, inside: Command) -> None:
    done = inside("test", "shop.yaml")
    assert (done.returncode, done.stdout.partition(";")[0]) == (0, "shop.yaml: no tests")
    assert shop


def test_the_prompt_has_the_page(shop: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pipeline", "try", "shop.yaml", shop, "-i"],
        cwd=tmp_path,
        input="print('found', page.css('h2::text'), len(css('a')))\nexit(3)\n",
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0
    assert "found ['Dune', 'Emma'] 2" in done.stdout


def test_init_writes_what_passes(inside: Command, tmp_path: Path) -> None:
    done = inside("init", "books")
    assert done.stdout.splitlines() == ["books/books.yaml", "books/fixtures/quotes.html", "books/plugins/example.py"]
    assert inside("check", "books/books.yaml").returncode == 0
    assert inside("test", "books/books.yaml").stdout == "books/books.yaml: 1 passed\n"
    again = inside("init", "books")
    assert again.returncode == 2
    assert "books/books.yaml: is there already" in again.stderr
    assert tmp_path.is_dir()


def test_a_place_that_the_system_refuses_is_no_bug(
    serve: Callable[..., Any], shop: str, inside: Command, tmp_path: Path
) -> None:
    (tmp_path / "fixtures").touch()
    (tmp_path / "file").touch()
    image = serve()
    image.pages["/x.gif"] = (200, {"Content-Type": "image/gif"}, b"GIF89a\x01\x00\x01\x00")
    for arguments, message in (
        (("init", "file/x"), "file/x: Not a directory"),
        (("try", "shop.yaml", shop, "--save-fixture"), "fixtures: File exists"),
        (("init", "--from", f"{image.url}/x.gif"), "expected a page, found image/gif without text; name another URL"),
    ):
        done = inside(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert done.stderr.splitlines()[-1].endswith(message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "fixtures", "shop.yaml"]


def test_init_from_a_page(serve: Callable[..., Any], inside: Command, tmp_path: Path) -> None:
    books = "".join(
        f"<div class=book><h2><a href=/{n}>Book {n}</a></h2><i class=price>{n}.50</i></div>" for n in range(8)
    )
    site = serve({"/shop": f"<main>{books}</main><a rel=next href=/shop/2>more</a>"})
    done = inside("init", "--from", f"{site.url}/shop")
    assert done.returncode == 0
    assert "found 8 records, div.book; 8 items, with title, url, price" in done.stderr
    file = done.stdout.splitlines()[0]
    assert inside("check", file).returncode == 0
    assert inside("test", file).stdout == f"{file}: 1 passed\n"
    assert "has no effect" not in inside("check", file).stdout
    assert (tmp_path / "fixtures/shop.html").exists()
    missing = inside("init", "other", "--from", f"{site.url}/nothing")
    assert missing.returncode == 4
    assert not (tmp_path / "other").exists()


def test_a_field_of_a_draft_that_gives_nothing_is_looked_for_elsewhere(
    serve: Callable[..., Any], inside: Command, tmp_path: Path
) -> None:
    said = '{"@type": "Product", "name": "Lamp", "brand": {"name": null}, "offers": {"price": 9}}'
    page = f"""<script type="application/ld+json">{said}</script><div itemscope itemtype="http://schema.org/Product">
        <h1>Lamp</h1><div itemprop="brand" itemscope><b itemprop="name">ACME</b></div></div>"""
    site = serve({"/lamp": page})
    done = inside("init", "--from", f"{site.url}/lamp")
    assert "found one item, the page itself; 1 item, with name, brand, price" in done.stderr
    text = (tmp_path / done.stdout.splitlines()[0]).read_text(encoding="utf-8")
    assert "brand: {microdata: Product.brand.name}" in text
    assert "jsonld: Product.brand" not in text
    assert inside("test", done.stdout.splitlines()[0]).returncode == 0


# --- the screen ------------------------------------------------------------------------------------------------------

HEAD = Head("http://a.example/", 200, "text/html", 1000, "list")


def test_no_line_is_wider_than_the_terminal_and_no_word_is_cut() -> None:
    words = "pneumonoultramicroscopic " * 12
    told = Explained("items", "book", "css div.book", 3, 3, 3)
    told.parts = [
        Explained("field", "a_name_that_is_long_enough", "css div > p", 3, 3, 3, values=[words, "b"]),
        Explained("field", "b", "css p", 0, 0, 3, misses=[f"`p.x` matches nothing {words}", f"<p class='{words}'>"]),
    ]
    lines = [
        text
        for line in explanation(HEAD, [told], [Link("http://a.example/", "list", "")], [])
        for text in wrapped(line, 80)
    ]
    assert max(map(len, lines)) <= 80
    words_shown = {word for text in lines for word in text.replace("...", " ").split() if word.startswith("pneu")}
    assert words_shown == {"pneumonoultramicroscopic"}


def test_what_is_looked_for_stands_below_where_it_does_not_fit() -> None:
    told = Explained("items", "book", "css div", 3, 3, 3)
    told.parts = [Explained("field", "a_long_name_of_a_field", "css div.one > p.two", 3, 3, 3, values=["x"])]
    told.parts[0].parts = [Explained("part", "b", "css i", 3, 3, 3)]
    lines = [text for line in explanation(HEAD, [told], [], []) for text in wrapped(line, 50)]
    assert lines == [
        "http://a.example/:",
        "  200, text/html, 1,000 bytes, page rule list",
        "",
        "items book: 3 items of 3 records, by css div",
        "  ok   a_long_name_of_a_field     3/3",
        "       css div.one > p.two",
        "       x",
        "      ok   b                      3/3  css i",
    ]
    [field] = [line for line in explanation(HEAD, [told], [], []) if "a_long" in line.text]
    assert wrapped(field, 80) == ["  ok   a_long_name_of_a_field     3/3  css div.one > p.two"]


def test_of_many_links_the_number_is_told() -> None:
    told = Explained("follow", "", "css a", 9, 9, 1, ["/1", "/2"])
    assert [line.text for line in explanation(HEAD, [told], [], [])][-3:] == ["/1", "/2", "... and 7 more"]


def test_on_a_terminal_marks_and_selectors_are_coloured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "80", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    told = Explained("items", "book", "css div", 1, 1, 1)
    told.parts = [Explained("field", "price", "css .prize", misses=["`.prize` matches nothing " + "word " * 20])]
    show(explanation(HEAD, [told], [], []))
    out = capsys.readouterr().out
    assert "\x1b[1;31mnone\x1b[0m price" in out
    assert "\x1b[1;36m`.prize`\x1b[0m matches nothing" in out
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in out.splitlines()) <= 80


def test_a_selector_stays_in_one_piece() -> None:
    line = Line(2, "x" * 60 + " `div.quote > a.tag` nothing", "miss", 4)
    assert wrapped(line, 80)[1].strip() == "`div.quote > a.tag` nothing"
