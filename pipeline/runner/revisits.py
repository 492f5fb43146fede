"""What the last published result means for a request: ask with validators, ask as ever, or not at all.

A gate in front of the wire, as robots.txt is one (spec, section 3, contracts 3 and 6). A page whose `revisit` time has
not come is not asked for, one that may be is asked with the validators it was published with, and one whose items
something else would make now is asked as if it had never been seen. Of a page that stays as it is the links are read
back, and followed as if it had been fetched. The only clock is the start of the run.

A million published pages are not in memory. What is known of a page is asked of the state when its request is handed
out, in one question a turn, together with what waits behind it at its host: so nearly always the answer is there
before the turn of a request comes, and a host of which nothing is due is passed as fast as the disk reads. Answers
come some turns later, by way of the recorder: a page that stays ends then, with its links, in the batch of that turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Final, TypeAlias

from pipeline.crawl.conditional import Validators, ask_with, refreshed
from pipeline.crawl.frontier import Entry, Frontier
from pipeline.crawl.hosts import UNKNOWN
from pipeline.model import Request, Response
from pipeline.runner.recorder import Recorder
from pipeline.state import visits
from pipeline.state.more import shown_links
from pipeline.state.visits import RenewalRow, Visit
from pipeline.state.writer import Writer
from pipeline.url import identity

AHEAD: Final = 64  # requests that are asked about together at one host
RECALLS: Final = 256  # pages of which the links are read at a time

_ASKED: Final = object()  # the state has the question

_Stays: TypeAlias = tuple[Entry, Response | None]
"""A page that ends as it was published, and the 304 that says so; None: it was not due."""


class Revisits:
    """`start` is that of the run, in seconds since 1970; `made_by` is the fingerprint of each page rule, `revisit` the
    seconds of those that have it. Without `conditional` nothing is sent with a request.
    """

    def __init__(
        self,
        writer: Writer,
        frontier: Frontier,
        recorder: Recorder,
        *,
        run: int,
        start: int,
        made_by: Mapping[str, bytes],
        revisit: Mapping[str, float],
        conditional: bool,
        vault: Mapping[str, str],
    ) -> None:
        self._writer = writer
        self._frontier = frontier
        self._recorder = recorder
        self._run = run
        self._start = start
        self._made_by = made_by
        self._revisit = revisit
        self._conditional = conditional
        self._vault = vault
        self._unasked: list[Entry] = []
        self._held: set[int] = set()  # ids of those that were handed out before the answer came
        self._wanted: list[_Stays] = []
        self.reading = 0  # pages whose links are being read
        self.unsettled = 0  # of these, those that were asked for
        self.known: deque[Entry] = deque()  # held ones that `judge` has an answer for now

    def room(self, free: int) -> bool:
        """Whether one more may be handed out, where so many may be sent: those that wait to be judged may be, too."""
        return len(self._held) < free and self.reading < RECALLS

    def judge(self, entry: Entry) -> bool:
        """May this page be asked for now? If not, it ends, or comes back in `known` to be judged again."""
        visit = entry.visit
        rule = entry.request.page or ""
        if not self._conditional and rule not in self._revisit:
            return True
        if visit is UNKNOWN or visit is _ASKED:
            self._hold(entry)
            return False
        return not isinstance(visit, Visit) or not self._is_early(entry, visit)

    def _hold(self, entry: Entry) -> None:
        self._held.add(entry.id)
        if entry.visit is UNKNOWN:
            behind = entry.host.ahead(AHEAD) if entry.host is not None else ()
            for one in (entry, *behind):
                if one.visit is UNKNOWN:
                    one.visit = _ASKED
                    self._unasked.append(one)

    def _is_early(self, entry: Entry, visit: Visit) -> bool:
        """Whether the page is not due; then its links are on their way."""
        wait = self._revisit.get(entry.request.page or "")
        early = wait is not None and 0 <= self._start - visit.checked < wait  # a clock that went back makes it due
        if early:
            self._frontier.set_aside(entry, asked=False)
            self._recall(entry, None)
        return early

    def ask_with(self, entry: Entry, request: Request) -> bool:
        """Put the validators of the published page on a request that is about to be sent; False if there are none."""
        visit = entry.visit
        if not self._conditional or not isinstance(visit, Visit):
            return False
        return ask_with(request, Validators(visit.etag, visit.last_modified))

    def is_unchanged(self, entry: Entry, response: Response) -> None:
        """A page that was asked for with validators is as it was published (304)."""
        self._frontier.set_aside(entry)
        self._recall(entry, response)

    def _recall(self, entry: Entry, response: Response | None) -> None:
        self._wanted.append((entry, response))
        self.reading += 1
        self.unsettled += response is not None

    # --- the state ---------------------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Queue the questions of this turn."""
        if self._unasked:
            entries, self._unasked = self._unasked, []
            marks = [entry.fingerprint for entry in entries]
            self._writer.post(visits.find, marks, token=partial(self._take_visits, entries))
        if self._wanted:
            wanted, self._wanted = self._wanted, []
            pages = [entry.visit.page for entry, _ in wanted]
            self._writer.post(visits.links, pages, token=partial(self._take_links, wanted))

    def _take_visits(self, entries: list[Entry], found: dict[int, Visit]) -> None:
        for place, entry in enumerate(entries):
            visit = found.get(place)
            made_by = self._made_by.get(entry.request.page or "")
            entry.visit = visit if visit is not None and visit.made_by == made_by else None
            if entry.id in self._held:
                self._held.remove(entry.id)
                self.known.append(entry)

    def _take_links(self, wanted: list[_Stays], found: dict[int, bytes]) -> None:
        for entry, response in wanted:
            self.reading -= 1
            self.unsettled -= response is not None
            visit = entry.visit
            if response is None:
                self._frontier.finish(entry, "not_due")
            else:
                self._frontier.finish(entry, "not_modified", status=response.status)
                self._renew(entry, visit, response)
            self._follow(entry, shown_links(found[visit.page], self._vault))

    def _follow(self, entry: Entry, links: list[Request]) -> None:
        new = 0
        for link in links:
            link.depth = entry.request.depth + 1
            new += self._frontier.add(link, identity(link), parent=entry)
        self._recorder.books.take_links(len(links), new, 0)

    def _renew(self, entry: Entry, visit: Visit, response: Response) -> None:
        """Keep what the site said, if it said anything new, or if it counts that it was asked."""
        before = Validators(visit.etag, visit.last_modified)
        now = refreshed(before, response.headers)
        if now != before or entry.request.page in self._revisit:
            row = RenewalRow(self._run, visit.page, entry.fingerprint, now.etag, now.last_modified, self._start)
            self._recorder.renew(row)
