"""A parser of your own: what page rules cannot say. Named in `plugins:` by its path, in `parse:` by its file's name."""

from collections.abc import Iterator

from pipeline import Item, Page, hookimpl


@hookimpl
def parse(page: Page) -> Iterator[Item]:
    """One item a page: how long its title is, and how many links it has."""
    for title in page.css("title::text"):
        yield Item("page", url=page.url, title_length=len(str(title)), links=len(page.links))
