"""Pages saved as fixtures, and tests of them written into the config that they belong to.

What is there is never written over, but for the expectations of a test that somebody asked to be renewed.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from pipeline.config.loader import Loaded
from pipeline.config.rewriting import CannotRewriteError, with_expectations, with_test
from pipeline.config.writing import dump
from pipeline.runner.client import Fetched
from pipeline.runner.trials import SUFFIXES, Trial, updated

FOLDER = "fixtures"
_UNSAFE = re.compile(r"[^A-Za-z0-9.]+")
_PLAIN = ("text/html", "text/html; charset=utf-8")  # what a suffix says as well


class Saved(NamedTuple):
    """A saved page: its file, its test as data, and why that was not written into the config (empty: it was)."""

    file: Path
    test: dict[str, Any]
    why_not: str = ""

    @property
    def entry(self) -> str:
        """The test as it stands under `tests:`."""
        return dump([self.test])


def save_fixture(
    loaded: Loaded, fetched: Fetched, rule: str, items: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Saved:
    """Save a page beside the config, and add a test that expects what it gives now."""
    body, kind = fetched.body or b"", content_type(fetched)
    file = new_file(loaded.file.parent / FOLDER, file_name(fetched.final_url, kind), body)
    test = entry_of(fetched.final_url, f"{FOLDER}/{file.name}", kind, rule, {k: list(v) for k, v in items.items()})
    try:
        if loaded.config.tests and loaded.locate(("tests", 0)).file != str(loaded.file):
            raise CannotRewriteError("its tests stand in a file that it extends, and would be replaced")
        _write(loaded.file, with_test(_read(loaded.file), test))
    except CannotRewriteError as error:
        return Saved(file, test, str(error))
    return Saved(file, test)


def entry_of(url: str, fixture: str, kind: str, rule: str, expect: dict[str, Any]) -> dict[str, Any]:
    """A test as data."""
    test: dict[str, Any] = {"name": urlsplit(url).path.strip("/") or "front page", "page": rule, "url": url}
    test["fixture"] = fixture
    if kind and kind.lower() not in _PLAIN and kind.lower() != SUFFIXES.get(Path(fixture).suffix):
        test["content_type"] = kind
    return test | {"expect": expect}


def content_type(fetched: Fetched) -> str:
    """What the answer says that it is; empty if it says nothing."""
    return next((value for name, value in fetched.headers if name.lower() == "content-type"), "")


def file_name(url: str, kind: str) -> str:
    """A name for the file of a page, from its path and type."""
    short = kind.partition(";")[0].strip().lower()
    suffix = next((end for end, name in SUFFIXES.items() if name == short), ".html")
    if "json" in short:
        suffix = ".json"
    elif "xml" in short and "html" not in short:
        suffix = ".xml"
    stem = _UNSAFE.sub("-", unquote(urlsplit(url).path)).strip("-.").removesuffix(suffix)[-60:].strip("-.")
    return (stem or "page") + suffix


def new_file(folder: Path, name: str, body: bytes) -> Path:
    """Write a file under this name, or the next free one; one with the same content is taken as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    stem, _, suffix = name.rpartition(".")
    number = 1
    while True:
        file = folder / (name if number == 1 else f"{stem}-{number}.{suffix}")
        if not file.exists():
            file.write_bytes(body)
            return file
        if file.is_file() and file.read_bytes() == body:
            return file
        number += 1


def update(loaded: Loaded, trials: Sequence[Trial]) -> dict[int, str]:
    """Write what the pages give now into the tests that failed; why not, by number of the test, where that is so."""
    wanted = {
        trial.number: updated(loaded.config.tests[trial.number], trial.items)
        for trial in trials
        if trial.differences and trial.items is not None
    }
    file = Path(loaded.locate(("tests", 0)).file)
    text, why_not = _read(file), {}
    for number, expect in wanted.items():
        try:
            text = with_expectations(text, {number: expect})
        except CannotRewriteError as error:
            why_not[number] = str(error)
    if len(why_not) < len(wanted):
        _write(file, text)
    return why_not


def _read(file: Path) -> str:
    """The text, without a byte order mark."""
    return file.read_bytes().decode("utf-8-sig")


def _write(file: Path, text: str) -> None:
    """Write the text, behind the byte order mark that the file has."""
    mark = codecs.BOM_UTF8 if file.read_bytes().startswith(codecs.BOM_UTF8) else b""
    file.write_bytes(mark + text.encode("utf-8"))
