"""The prompt of `hookline try -i`: Python with one page in it."""

from __future__ import annotations

import code
import contextlib

import pipeline
from pipeline.stages.page import Page

_HELP = (
    "page.css('h1')  page.xpath('//h1')  page.json()  page.soup  page.text  page.links  page.headers; Ctrl-D ends it"
)


def prompt(page: Page) -> None:
    """Read and run Python until the end of input; `page`, `css` and `xpath` are there."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401, PLC0415 - line editing, where there is one
    names = {"page": page, "css": page.css, "xpath": page.xpath, "pipeline": pipeline}
    with contextlib.suppress(SystemExit):  # `exit()` ends the prompt, not with a code that says something of the page
        code.interact(banner=f"{page.url} ({page.status}, {page.kind})\n{_HELP}", local=names, exitmsg="")
