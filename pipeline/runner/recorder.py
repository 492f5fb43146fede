"""From the crawl to the state: what happened in memory is written in batches, and what memory dropped is read back.

A page's items, links, validators and fate are in one batch, and a batch is in one transaction (spec, section 3,
contract 2). Batches go to the thread that owns the database; this object only ever queues, so an fsync never holds up
the loop. Jobs run in the order in which they were queued: a read that is queued after a write sees it.

Of a kill nothing is lost but what was not committed, and `uncommitted` says how much that is: the engine starts no more
than it may cost (contract 1).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from pipeline.crawl.conditional import validators_of
from pipeline.crawl.frontier import Changes, Edge, EndedHost, Entry, Frontier
from pipeline.errors import StateError
from pipeline.failpoints import hit
from pipeline.model import Item, PackedPage, Response
from pipeline.packing import pack_values, unpack_items
from pipeline.runner.books import Books
from pipeline.state import pages, requests, robots, runs, visits
from pipeline.state.more import hidden_links
from pipeline.state.pages import DeadRow, PageRow
from pipeline.state.requests import FreshRow, TouchedRow, more_of
from pipeline.state.robots import Copy
from pipeline.state.visits import RenewalRow
from pipeline.state.writer import Writer
from pipeline.url import carry_key, host_of

BATCH = 250  # results in a transaction: half of what a kill may cost, so that fetching need not wait for its end
INTERVAL = 0.5  # seconds that a result waits for its transaction
NOT_ALL = b""  # made what a page with dead letters gave: it is asked for anew, since the plugin may do better by then

Tap = Callable[[Item], None]

_json = msgspec.json.Encoder()
log = logging.getLogger("hookline.fates")


class Batch(NamedTuple):
    """What one job of the state writes."""

    run: int
    fresh: list[FreshRow]
    touched: list[TouchedRow]
    edges: list[Edge]
    ended_hosts: list[EndedHost]
    pages: list[PageRow]
    dead: list[DeadRow]
    renewals: list[RenewalRow]
    books: bytes
    cookies: bytes | None


class _Committed(NamedTuple):
    attempts: int


class _Refilled(NamedTuple):
    host: str


class _Relaxed(NamedTuple):
    """The answer to a question about shorter paths."""


class Recorder:
    """Writes one run. `run` is its number in the state, `fetched` its start in seconds since 1970.

    `made_by` is, for each page rule, the fingerprint of what makes its items; `tap` is shown each item as it comes;
    `cookies` gives the jar to be kept if it has changed since it was last asked.
    """

    def __init__(
        self,
        writer: Writer,
        frontier: Frontier,
        books: Books,
        *,
        run: int,
        fetched: int,
        made_by: Mapping[str, bytes],
        vault: Mapping[str, str],
        tap: Tap | None = None,
        cookies: Callable[[], bytes | None] | None = None,
    ) -> None:
        self.books = books
        self._writer = writer
        self._frontier = frontier
        self._run = run
        self._fetched = fetched
        self._made_by = made_by
        self._vault = vault
        self._tap = tap
        self._cookies = cookies
        self._pages: list[PageRow] = []
        self._dead: list[DeadRow] = []
        self._renewals: list[RenewalRow] = []
        self._sent = 0  # of `frontier.ended`, what has been queued to be committed
        self._safe = books.requests  # attempts that a kill would not have made again
        self._due: float | None = None

    @property
    def error(self) -> StateError | None:
        """Why nothing more can be kept."""
        return self._writer.error

    @property
    def uncommitted(self) -> int:
        """Attempts that a kill would have made again: those under way, and those of which nothing is committed."""
        return self.books.requests - self._safe

    def keep(self, entry: Entry, response: Response, page: PackedPage) -> None:
        """Take what a page gave that ended as `fetched`."""
        request = entry.request
        validators = validators_of(response.headers)
        self.books.take_items(page)
        self._pages.append(
            PageRow(
                run=self._run,
                mark=entry.fingerprint,
                url=request.url,
                method=request.method,
                body=request.body or b"",
                rule=request.page or "",
                carry=carry_key(request.carry),
                carried=pack_values(request.carry) if request.carry else b"",
                status=response.status,
                etag=validators.etag,
                last_modified=validators.last_modified,
                made_by=self._made_by.get(request.page or "", b"") if not page.dead else NOT_ALL,
                fetched=self._fetched,
                origin=self._run,
                count=sum(page.types.values()),
                items=page.items,
                links=hidden_links(page.links),
                noindex=page.noindex,
            )
        )
        for letter in page.dead:
            self._dead.append(DeadRow.of(self._run, entry.id, entry.fingerprint, request.url, letter))
        if self._tap is not None:
            for record in unpack_items(page.items):
                self._tap(Item(record.type, record.fields))

    def renew(self, row: RenewalRow) -> None:
        """Take what the site said of a published page that stays as it is."""
        self._renewals.append(row)

    # --- what others keep in the state -------------------------------------------------------------------------------

    def recall(self, origin: str, then: Callable[[Copy | None], None]) -> None:
        """Read the copy of an origin's robots.txt; `then` is given it some turns later."""
        self._writer.post(robots.load, origin, token=then)

    def keep_robots(self, origin: str, copy: Copy | None) -> None:
        """Keep the copy of an origin's robots.txt; None: there is none any more."""
        self._writer.post(robots.save, origin, copy)

    # --- once a turn -------------------------------------------------------------------------------------------------

    def tick(self, now: float, under_way: int) -> None:
        """Take the state's answers, ask its questions, and commit what is ripe; `under_way` attempts have no result."""
        self._take_answers()
        frontier = self._frontier
        if frontier.shorter or frontier.wants:
            self._ask()
        waiting = frontier.ended - self._sent
        if not waiting and not frontier.changed:
            self._due = None
        elif self._due is None:
            self._due = now + INTERVAL
        elif waiting >= BATCH or now >= self._due:
            self.commit(under_way)

    def next_time(self) -> float | None:
        """When something is to be committed that nothing else would wake the loop for."""
        return self._due

    def commit(self, under_way: int) -> None:
        """Queue all that has happened, and the end of the transaction."""
        self.flush()
        self._sent = self._frontier.ended
        self._due = None
        self._writer.commit(token=_Committed(self.books.requests - under_way))

    def flush(self) -> None:
        """Queue what has happened without ending the transaction."""
        self.books.fates = dict(self._frontier.fates)
        self.books.per_limit = dict(self._frontier.per_limit)
        changes = self._frontier.take_changes()
        if log.isEnabledFor(logging.DEBUG):
            _log_fates(changes)
        batch = Batch(
            self._run,
            [_fresh(entry) for entry in changes.fresh],  # as it is now: a moment later an entry may have gone on
            [_touched(entry) for entry in changes.touched],
            changes.edges,
            changes.ended_hosts,
            self._pages,
            self._dead,
            self._renewals,
            _json.encode(self.books),
            self._cookies() if self._cookies is not None else None,
        )
        self._pages, self._dead, self._renewals = [], [], []
        self._writer.post(save, batch)

    def close(self) -> None:
        """Commit the rest, and wait for it. Raises StateError."""
        self.flush()
        self._sent = self._frontier.ended
        self._writer.commit()
        self._writer.call(_settled)
        self._safe = self.books.requests

    def _ask(self) -> None:
        """Queue questions. What they are about must be there first, though it need not be committed."""
        self.flush()
        frontier = self._frontier
        while frontier.wants:
            want = frontier.wants.popleft()
            self._writer.post(
                requests.refill, want.host, want.after, want.most, self._vault, token=_Refilled(want.host)
            )
        if frontier.shorter:
            improved = list(frontier.shorter)
            frontier.shorter.clear()
            self._writer.post(requests.relax, improved, self._vault, token=_Relaxed())

    def _take_answers(self) -> None:
        done = self._writer.done
        while done:
            token, answer = done.popleft()
            if isinstance(token, _Committed):
                self._safe = token.attempts
            elif isinstance(token, _Refilled):
                self._frontier.refill(token.host, answer)
            elif isinstance(token, _Relaxed):
                self._frontier.relaxed(answer)
            else:
                token(answer)  # who asked waits for the answer itself


def save(db: Any, batch: Batch) -> None:
    """Write a batch. Runs in the thread that owns the database."""
    hit("before_write")
    requests.write(db, batch.fresh, batch.touched, batch.edges, batch.ended_hosts)
    if batch.pages:
        pages.add(db, batch.pages)
    if batch.dead:
        pages.dead(db, batch.dead)
    if batch.renewals:
        visits.renew(db, batch.renewals)
    runs.save_counts(db, batch.run, batch.books)
    if batch.cookies is not None:
        runs.save_meta(db, "cookies", batch.cookies)
    hit("after_write")


def _log_fates(changes: Changes) -> None:
    """What -vv shows: every URL with its fate, a batch at a time."""
    for entry in (*changes.fresh, *changes.touched):
        if entry.fate is not None:
            words = {
                "event": "url",
                "url": entry.request.url,
                "fate": entry.fate,
                "detail": entry.detail,
                "attempts": entry.attempts,
            }
            log.debug(
                "%s %s%s", entry.fate, entry.request.url, f" ({entry.detail})" if entry.detail else "", extra=words
            )


def _settled(db: Any) -> None:
    """Nothing: who waits for this has waited for all that was queued before."""


def _fresh(entry: Entry) -> FreshRow:
    request = entry.request
    return FreshRow(
        id=entry.id,
        mark=entry.fingerprint,
        host=host_of(request.url),
        url=request.url,
        rule=request.page,
        rank=entry.rank,
        depth=request.depth,
        fate=entry.fate,
        detail=entry.detail,
        status=entry.status,
        attempts=entry.attempts,
        parent=entry.parent,
        seed=request.seed,
        more=more_of(request),
        source=request.source.kind if request.source is not None else None,
        target=entry.target,
    )


def _touched(entry: Entry) -> TouchedRow:
    return TouchedRow(
        id=entry.id,
        rank=entry.rank,
        depth=entry.request.depth,
        fate=entry.fate,
        detail=entry.detail,
        status=entry.status,
        attempts=entry.attempts,
        target=entry.target,
        more=more_of(entry.request),
    )
