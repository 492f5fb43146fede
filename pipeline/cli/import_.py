"""`hookline import`: configs of other tools as Hookline's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from pipeline.config.nodes import Mapping
from pipeline.config.yaml12 import read
from pipeline.errors import ConfigError, Mark, Problem
from pipeline.importing import goskyr, html2rss
from pipeline.importing.document import Document

Translate = Callable[[Mapping, str], list[Document]]


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--force", is_flag=True, help="Overwrite files that are there."),
        click.option(
            "-o",
            "--output",
            "folder",
            metavar="DIR",
            default=".",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder for the files; default: here.",
        ),
        click.argument("file", metavar="FILE", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


@click.group("import")
def import_() -> None:
    """Translate configs of other tools, and say what could not be said.

    Each scraper becomes a file of its own. What is missing in it is told on stderr and at its head.
    """


@import_.command("goskyr")
@_options
def from_goskyr(file: Path, folder: Path, force: bool) -> None:
    """Translate the scrapers of a goskyr config, one file each."""
    _import(goskyr.translate, file, folder, force)


@import_.command("html2rss")
@_options
def from_html2rss(file: Path, folder: Path, force: bool) -> None:
    """Translate an html2rss config: a feed, or several under `feeds`."""
    _import(html2rss.translate, file, folder, force)


def _import(translate: Translate, file: Path, folder: Path, force: bool) -> None:
    tree = _read(file)
    documents = translate(tree, str(file))
    targets = [folder / f"{document.name}.yaml" for document in documents]
    if not force:
        _refuse_existing(targets)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for document, target in zip(documents, targets, strict=True):
            target.write_text(document.text, encoding="utf-8")
    except OSError as error:
        raise _unusable(Path(error.filename or folder), error) from None
    for document, target in zip(documents, targets, strict=True):
        click.echo(f"{target}: written" + (f", {len(document.notes)} not said" if document.notes else ""), err=True)
        for note in document.notes:
            click.echo(f"  {note}", err=True)


def _read(file: Path) -> Mapping:
    """The tree of the file. Everything that is wrong with it is the user's mistake."""
    try:
        tree, problems = read(file.read_bytes(), str(file))
    except OSError as error:
        raise _unusable(file, error) from None
    if problems:
        raise ConfigError(problems)
    return tree


def _unusable(file: Path, error: OSError) -> ConfigError:
    return ConfigError(
        [Problem(Mark(str(file), 1, 1), "", f"expected a file, found none that can be used: {error.strerror}")]
    )


def _refuse_existing(targets: list[Path]) -> None:
    there = [
        Problem(None, "", f"{target} is there already", "give --force to overwrite it, or -o DIR")
        for target in targets
        if target.exists() or target.is_symlink()
    ]
    if there:
        raise ConfigError(there)
