"""Sitemaps and feeds in a run: what they name goes to the frontier in slices, and is counted apart from pages.

A sitemap names up to 50,000 URLs. To enter them all at once would hold up the loop for half a second, so each turn
takes some; until the last is in, the request for the sitemap has not ended, and after a kill it is asked for again.
What it had named by then is known, and a duplicate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from pipeline.crawl.frontier import Entry, Frontier
from pipeline.crawl.seen import Seen
from pipeline.model import PackedPage, Request, Response
from pipeline.packing import MARK, each_new
from pipeline.runner.books import Books
from pipeline.url import identity

SLICE = 250  # requests that a turn of the loop enters
KEEP = 50 * 1024 * 1024 + 1  # bytes of a body as received: the limit of the protocol, and one by which it shows


class Sources:
    """The lists of one run whose URLs are being entered. `published`: fingerprints of the pages that are."""

    def __init__(self, frontier: Frontier, books: Books, published: Published) -> None:
        self._frontier = frontier
        self._books = books
        self._published = published
        self._open: deque[tuple[Entry, Response, PackedPage, Iterator[tuple[Request, bytes]]]] = deque()

    @property
    def busy(self) -> int:
        """How many lists are being entered."""
        return len(self._open)

    def take(self, entry: Entry, response: Response, page: PackedPage) -> None:
        """Begin to enter what a list names."""
        self._open.append((entry, response, page, each_new(page)))

    def step(self) -> bool:
        """Enter the next slice of the list that came first; False if there is none."""
        if not self._open:
            return False
        entry, response, page, links = self._open[0]
        for _ in range(SLICE):
            link = next(links, None)
            if link is None:
                self._open.popleft()
                self._end(entry, response, page)
                break
            self._enter(*link, entry)
        return True

    def _enter(self, request: Request, mark: bytes, entry: Entry) -> None:
        books = self._books
        request.parent = entry.request.url
        request.depth = entry.request.depth  # what a list names is as near as the list
        new = self._frontier.add(request, mark, parent=entry)
        if request.source is not None:
            books.sources.count(new)
        else:
            books.take_links(1, new, 0)
            books.skipped += new and self._published.has(request, mark)

    def _end(self, entry: Entry, response: Response, page: PackedPage) -> None:
        books = self._books
        books.take_links(page.links_found - len(page.marks) // MARK, 0, page.bad_links)
        books.sources_fetched += 1
        detail = f"incomplete: {page.incomplete}" if page.incomplete else ""
        books.incomplete += bool(detail)
        self._frontier.finish(entry, "fetched", detail=detail, status=response.status)


class Published:
    """Which pages the published result has that are made as they would be made now."""

    def __init__(self) -> None:
        self._marks = Seen()

    def add(self, marks: bytes) -> None:
        """Enter fingerprints, one behind the other."""
        for at in range(0, len(marks), MARK):
            self._marks.add(marks[at : at + MARK], 1)

    def has(self, request: Request, mark: bytes | None = None) -> bool:
        """Whether a request need not be made: its source says that nothing changed, and its page is there."""
        return request.unchanged and self._marks.get(mark or identity(request)) is not None
