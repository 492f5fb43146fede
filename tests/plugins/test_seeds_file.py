"""`file`: which lines are seeds, and how wrong lines are named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pipeline import OptionError
from plugins.seeds.file import File


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_bytes(
        b"\xef\xbb\xbfhttps://a.example/1\r\n\n# a comment\n   \n  http://b.example:8080/x?y=z#part  \nHTTPS://c.example/\xc3\xa9"
    )
    requests = list(File(path, page="product").seeds())
    assert [request.url for request in requests] == [
        "https://a.example/1",
        "http://b.example:8080/x?y=z#part",
        "HTTPS://c.example/é",
    ]
    assert all(request.seed and request.page == "product" and request.method == "GET" for request in requests)


def test_no_page_rule_and_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_text("http://a.example/\n")
    assert [request.page for request in File(path).seeds()] == [None]
    path.write_text("# none today\n")
    assert list(File(path).seeds()) == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"a.example/x", "does not begin with http:// or https://"),
        (b"ftp://a.example/", "does not begin with http"),
        (b"file:///etc/passwd", "does not begin with http"),
        (b"http:///x", "no host"),
        (b"http://a.example:99999/", "not a URL"),
        (b"http://[::1/", "not a URL"),
        (b"http://a.example/ http://b.example/", "more than one URL"),
        (b"http://a.example/\xff", "not UTF-8"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: bytes, says: str) -> None:
    path = tmp_path / "urls.txt"
    path.write_bytes(b"http://a.example/\n\n" + line + b"\n")
    with pytest.raises(OptionError, match=says) as caught:
        list(File(path).seeds())
    assert str(caught.value).startswith(f"{path}:3: ")


def test_all_wrong_lines_are_named_up_to_ten(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_text("x\n" * 12)
    with pytest.raises(OptionError) as caught:
        list(File(path).seeds())
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines[:10]] == [f"{path}:{number}" for number in range(1, 11)]
    assert lines[10:] == ["and 2 more"]


def test_missing_file_and_folder_are_known_at_load(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="does not exist"):
        File(tmp_path / "none.txt")
    with pytest.raises(OptionError, match="is a folder"):
        File(tmp_path)


@pytest.mark.parametrize("path", [Path("-"), Path("/folder/of/the/config/-")])
def test_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"http://a.example/\nnonsense\n")
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        found = File(path).seeds()
        assert next(found).url == "http://a.example/"
        with pytest.raises(OptionError, match="<stdin>:2: does not begin with"):
            next(found)
