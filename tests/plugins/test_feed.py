"""The `feed` store: valid XML that feed readers read back, stable ids, the right dates."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import feedparser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Item, OptionError, RunInfo
from plugins.store._entry import moment
from plugins.store.feed import Feed

LINK = "https://news.example/"
FORMATS = pytest.mark.parametrize("form", ["rss", "atom"])
RUN = RunInfo("20240501T100000Z-abc123", datetime(2024, 5, 1, 10, tzinfo=UTC), "demo", logging.getLogger("test"))
WHEN = datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))


def written(folder: Path, items: list[Item], **options: Any) -> str:
    path = folder / "feed.xml"
    feed = Feed(path, run=RUN, link=LINK, **options)
    for item in items:
        feed.store_items([item])
    feed.commit()
    return path.read_text(encoding="utf-8")


def read(text: str) -> Any:
    parsed = feedparser.parse(text)
    assert not parsed.bozo, parsed.bozo_exception
    return parsed


@FORMATS
def test_an_entry_with_everything(form: str, tmp_path: Path) -> None:
    item = Item(
        title="A <b> & c",
        url="https://news.example/1?a=1&b=2",
        description="1 < 2 & so on",
        published_at=WHEN,
        author="ann@news.example (Ann)",
        categories=["x & y", "z", "z"],
        enclosure="https://news.example/a.mp3?x=1",
        comments="https://news.example/1#c",
        price=3,
    )
    channel = {"title": "T & <u>", "description": "D", "author": "Bob", "language": "de", "ttl": 30}
    parsed = read(written(tmp_path, [item], format=form, **channel))
    assert (parsed.feed.title, parsed.feed.link, parsed.feed.subtitle) == ("T & <u>", LINK, "D")
    assert (parsed.feed.language, parsed.feed.author) == ("de", "Bob")
    (entry,) = parsed.entries
    assert (entry.title, entry.link, entry.id) == ("A <b> & c", item["url"], item["url"])
    assert entry.published_parsed[:6] == (2024, 1, 2, 1, 4, 5)
    assert [tag.term for tag in entry.tags] == ["x & y", "z"]
    assert [(one.href, one.type) for one in entry.enclosures] == [("https://news.example/a.mp3?x=1", "audio/mpeg")]
    text = entry.summary if form == "rss" else entry.content[0].value
    assert text == ("1 &lt; 2 &amp; so on" if form == "rss" else "1 < 2 & so on")


@FORMATS
def test_html_in_descriptions(form: str, tmp_path: Path) -> None:
    parsed = read(written(tmp_path, [Item(title="t", description="<p>1 &lt; 2</p>")], format=form, html=True))
    (entry,) = parsed.entries
    assert (entry.summary if form == "rss" else entry.content[0].value) == "<p>1 &lt; 2</p>"


def test_dates_as_the_formats_want_them(tmp_path: Path) -> None:
    items = [Item(title="a", date=WHEN), Item(title="b", date=date(2023, 12, 31))]
    rss = written(tmp_path, items)
    assert "<pubDate>Tue, 02 Jan 2024 03:04:05 +0200</pubDate>" in rss
    assert "<lastBuildDate>Tue, 02 Jan 2024 03:04:05 +0200</lastBuildDate>" in rss
    atom = written(tmp_path, items, format="atom")
    assert atom.count("<updated>2024-01-02T03:04:05+02:00</updated>") == 2, "of the feed and of its newest entry"
    assert "<updated>2023-12-31T00:00:00Z</updated>" in atom


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-01-02", datetime(2024, 1, 2, tzinfo=UTC)),
        (" 2024-01-02T03:04:05+02:00 ", WHEN),
        ("Tue, 02 Jan 2024 03:04:05 +0200", WHEN),
        (datetime(2024, 1, 2), datetime(2024, 1, 2, tzinfo=UTC)),
        ("yesterday", None),
        (3, None),
    ],
)
def test_what_is_a_date(value: Any, expected: datetime | None) -> None:
    assert moment(value) == expected


def test_what_is_no_date_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    parsed = read(written(tmp_path, [Item(title="a", date="soon")]))
    assert "published" not in parsed.entries[0]
    assert "'soon' is no date" in caplog.text


def test_entries_without_a_date(tmp_path: Path) -> None:
    assert "Date>" not in written(tmp_path, [Item(title="a")])
    assert written(tmp_path, [Item(title="a")], format="atom").count("<updated>2024-05-01T10:00:00Z</updated>") == 2


def ids(text: str) -> list[str]:
    return [entry.id for entry in read(text).entries]


@FORMATS
def test_ids_are_stable_and_tell_entries_apart(form: str, tmp_path: Path) -> None:
    items = [
        Item(title="a"),
        Item(title="a", description="b"),
        Item(title="a"),
        Item(guid="g1"),
        Item(url=f"{LINK}x", title="n"),
    ]
    first = ids(written(tmp_path, items, format=form))
    assert len(set(first)) == len(first) == 4
    assert first[-1] == f"{LINK}x"
    assert ids(written(tmp_path, items[3:], format=form)) == first[2:]
    assert all(one.startswith(("https:", "urn:uuid:")) for one in first) or form == "rss"


def test_a_link_is_a_permalink_and_an_id_is_not(tmp_path: Path) -> None:
    text = written(tmp_path, [Item(url=f"{LINK}x", title="n"), Item(url=f"{LINK}y", guid="7", title="n")])
    assert f'<guid isPermaLink="true">{LINK}x</guid>' in text
    assert '<guid isPermaLink="false">7</guid>' in text


def test_fields_of_other_names(tmp_path: Path) -> None:
    item = Item(headline="h", a="x", b=["y", "z"], url=LINK, sku=7)
    text = written(tmp_path, [item], fields={"title": "headline", "categories": ["a", "b"], "id": ["sku", "a"]})
    (entry,) = read(text).entries
    assert (entry.title, [tag.term for tag in entry.tags], entry.id) == ("h", ["x", "y", "z"], "7 x")


def titles(text: str) -> list[str]:
    return [entry.title for entry in read(text).entries]


def test_order_and_limit(tmp_path: Path) -> None:
    items = [Item(title=str(number), date=date(2024, 1, number % 5 + 1)) for number in range(10)] + [
        Item(title="never")
    ]
    assert titles(written(tmp_path, items)) == ["4", "9", "3", "8", "2", "7", "1", "6", "0", "5", "never"]
    assert titles(written(tmp_path, items, max_entries=3)) == ["4", "9", "3"]
    assert titles(written(tmp_path, items, max_entries=2, order="as_is")) == ["0", "1"]
    assert titles(written(tmp_path, items, max_entries=2, order="reverse")) == ["never", "9"]


@FORMATS
def test_no_items_are_a_feed_without_entries(form: str, tmp_path: Path) -> None:
    parsed = read(written(tmp_path, [], format=form, stylesheets=[{"href": "/a&b.xsl", "type": "text/xsl"}]))
    assert (parsed.feed.title, parsed.entries) == ("demo", [])
    assert '<?xml-stylesheet href="/a&amp;b.xsl" type="text/xsl"?>' in (tmp_path / "feed.xml").read_text()


@pytest.mark.parametrize("options", [{"fields": {"titel": "x"}}, {"max_entries": 0}])
def test_wrong_options(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(OptionError):
        Feed(tmp_path / "x", run=RUN, link=LINK, **options)


@FORMATS
@settings(max_examples=40, deadline=None)
@given(text=st.text(st.characters(codec=None), max_size=20))
def test_any_text_gives_valid_xml(form: str, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("feed")
    item = Item(title=text, url=text, description=text, author=text, categories=[text], enclosure=text, guid=text)
    root = ElementTree.fromstring(written(folder, [item], format=form, title=text or "t", language=text, author=text))
    assert root.tag.endswith(("rss", "feed"))
