"""`hookline import`: files, messages, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main

CONFIG = "scrapers:\n- {name: A b, url: https://a.example/, item: li, fields: [{name: t, colour: red, value: x}]}\n"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["import", *map(str, arguments)])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.yml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_a_file_a_scraper_and_what_was_not_said(source: Path, tmp_path: Path) -> None:
    result = run("goskyr", source, "-o", tmp_path / "new" / "folder")
    assert (result.exit_code, result.stdout) == (0, "")
    target = tmp_path / "new" / "folder" / "A-b.yaml"
    assert result.stderr.splitlines() == [
        f"{target}: written, 1 not said",
        "  scrapers.0.fields.t.colour: goskyr does not know this key",
    ]
    assert "# - scrapers.0.fields.t.colour: goskyr does not know this key\n" in target.read_text(encoding="utf-8")


def test_files_that_are_there_stay(source: Path, tmp_path: Path) -> None:
    (tmp_path / "A-b.yaml").write_text("mine", encoding="utf-8")
    result = run("goskyr", source, "--output", tmp_path)
    assert result.exit_code == 2
    assert "A-b.yaml is there already; give --force to overwrite it" in result.stderr
    assert (tmp_path / "A-b.yaml").read_text(encoding="utf-8") == "mine"
    assert run("goskyr", source, "-o", tmp_path, "--force").exit_code == 0
    assert (tmp_path / "A-b.yaml").read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize("kind", ["goskyr", "html2rss"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", ":2:1: this is not YAML"),
        ("- x", ":1:1: expected a mapping of keys"),
        ("a: 1\na: 2", ":2:1: a: expected each key once"),
        ("", ":1:1: "),
        ("x: 1", ":1:1: "),
    ],
)
def test_what_is_no_such_config(kind: str, text: str, message: str, source: Path, tmp_path: Path) -> None:
    source.write_text(text, encoding="utf-8")
    result = run(kind, source, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert f"{source}{message}" in result.stderr
    assert not (tmp_path / "out").exists(), "nothing is written"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = run("html2rss", tmp_path / "none.yml")
    assert result.exit_code == 2
    assert (
        result.stderr
        == f"{tmp_path}/none.yml:1:1: expected a file, found none that can be used: No such file or directory\n"
    )


def test_a_folder_that_cannot_be_made(source: Path) -> None:
    result = run("goskyr", source, "-o", source / "x")
    assert result.exit_code == 2
    assert "Not a directory" in result.stderr
