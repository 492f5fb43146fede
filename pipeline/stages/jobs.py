"""The page job, which workers run: from a fetched page to its items and links.

`PageRunner` is made once of a host's steps and the page rules, and called once a page. Whatever a plugin does comes out
as a value: `PageResult.fault` if it costs the page (then none of its items and links count), a dead letter if it costs
an item. Only KeyboardInterrupt gets through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Any, Final

from pipeline.crawl.redirect import META_CHARACTERS, meta_refresh
from pipeline.errors import FetchError, ParseError
from pipeline.fetch.content import decode
from pipeline.model import MAX_BODY, Drop, Fault, Item, Links, PageJob, PageResult, Request, Rows, Source, one_by_one
from pipeline.stages.chains import Batch, Entry, ItemChain, PageFaultError, Step, clock, count, drop_reason
from pipeline.stages.directives import Directives
from pipeline.stages.faults import AnswerError, describe, short
from pipeline.stages.hookspecs import VERDICTS
from pipeline.stages.kinds import disguised
from pipeline.stages.links import PageLinks, RuleBook, carried, check_request, checked_links
from pipeline.stages.page import Page
from pipeline.stages.runinfo import RunInfo

__all__ = ["PageRunner", "RuleBook", "read_source"]

SOON: Final = 5.0  # seconds: a later refresh is there for readers, not a redirect


class PageRunner:
    """`runner(job) -> PageResult`. The steps of each hook are in call order; without `directives` what a page asks of
    robots is not read.
    """

    def __init__(
        self,
        *,
        classify: Sequence[Step] = (),
        parse: Sequence[Step] = (),
        process_item: Sequence[Step] = (),
        admit: Sequence[Step] = (),
        book: RuleBook,
        run: RunInfo,
        max_body: int = MAX_BODY,
        directives: Directives | None = None,
    ) -> None:
        self._classify = classify
        self._parse = parse
        self._chain = ItemChain(process_item)
        self._admit = admit
        self._book = book
        self._run = run
        self._max_body = max_body
        self._directives = directives
        self._parsers: dict[str, Any] = {name: rule.get("parser") or "auto" for name, rule in book.rules.items()}

    def __call__(self, job: PageJob) -> PageResult:
        """Everything that is made of one page. Raises nothing but KeyboardInterrupt."""
        if job.source is not None:
            return read_source(job, job.source, self._book)
        result = PageResult()
        try:
            page = self.page(job)
            if self._directives is not None:
                page.noindex, page.nofollow = self._directives.of(page, job.headers, self._run.start)
            result.verdict = self._verdict(page, result)
            if result.verdict == "ok":
                self._read(page, job, result)
        except PageFaultError as failed:
            return PageResult(fault=failed.fault, seconds=result.seconds, slow=result.slow)
        return result

    def page(self, job: PageJob) -> Page:
        """The page as plugins get it. Raises PageFaultError for one that cannot be read."""
        try:
            body = decode(job.body, job.headers, self._max_body)
        except FetchError as error:
            raise PageFaultError(Fault("", "decode", describe(error), fate=error.fate)) from None
        parser = self._parsers.get(job.rule, "auto")
        page = Page(
            job.url, job.status, job.headers, body, rule=job.rule, carry=job.carry, run=self._run, parser=parser
        )
        if disguised(page.content_type, body):
            message = (
                f"it calls itself {page.content_type}, but is a picture, film, font, archive or PDF by its content"
            )
            raise PageFaultError(Fault("", "type", message, fate="rejected:type"))
        return page

    def _verdict(self, page: Page, result: PageResult) -> str:
        for step in self._classify:
            answer = _guarded(step, result, step.call, page)
            if answer is None:
                continue
            if isinstance(answer, str):
                answer = str.__str__(answer)  # of a subclass, too: nothing of a plugin's own goes further
            if type(answer) is not str or answer not in VERDICTS:
                expected = ", ".join(VERDICTS)
                raise PageFaultError(step.blame(f"answered {short(answer)}; expected one of {expected}, or None"))
            return answer
        return "ok"

    def _read(self, page: Page, job: PageJob, result: PageResult) -> None:
        entries: list[Entry | Batch] = []
        requests: list[Request | Links] = []
        for step in self._parse:
            _guarded(step, result, self._collect, step, page, entries, requests, result)
        result.items = self._chain.run(entries, result)
        result.noindex = page.noindex
        result.depth_truncated = page.depth_truncated
        if page.nofollow:
            result.nofollow = sum(len(one) if isinstance(one, Links) else 1 for one in requests)
        elif requests:
            links = PageLinks(self._book, page.base_url)
            if self._admit:
                links.enter(self._admitted(links.absolute(one_by_one(requests), result), page, result), result)
            else:
                links.enter(requests, result)
        elif not result.items and page.kind == "html":
            result.refresh = _refresh(page)

    def _collect(
        self, step: Step, page: Page, entries: list[Entry | Batch], requests: list[Request | Links], result: PageResult
    ) -> None:
        """Take what one parser gives; a generator is run here, within the guard."""
        for found in _iterable(step.call(page)):
            if isinstance(found, dict):
                item = found if isinstance(found, Item) else Item("item", found)
                if type(item.type) is not str:
                    raise AnswerError(f"the type of an Item is {short(item.type)}, not a text")
                entries.append(Entry(item, page, step, result.extracted))
                result.extracted += 1
            elif isinstance(found, Rows):
                rows = checked_rows(found)
                entries.append(Batch(rows, page, step, result.extracted))
                result.extracted += len(rows)
            elif isinstance(found, Request):
                self._check(found)
                requests.append(found)
            elif isinstance(found, Links):
                if found.urls:
                    requests.append(checked_links(found, self._book))
            elif isinstance(found, Drop):
                count(result.dropped, drop_reason(step.plugin, found))
                result.extracted += 1
            elif found is not None:
                raise AnswerError(f"gave {short(found)}; expected Items, dicts, Rows, Requests and Links")

    def _check(self, request: Request) -> None:
        check_request(request, self._book)
        if request.carry or type(request.carry) is not dict:
            request.carry = carried(request.carry)

    def _admitted(self, requests: list[Request], page: Page, result: PageResult) -> list[Request]:
        """The requests after every `admit`. Each gets the list that the one before it left."""
        for step in self._admit:
            requests = _guarded(step, result, self._admit_one, step, requests, page)
        return requests

    def _admit_one(self, step: Step, requests: list[Request], page: Page) -> list[Request]:
        answer = step.call(requests, page)
        answer = requests if answer is None else answer
        if not isinstance(answer, list):
            raise AnswerError(f"answered {short(answer)}; expected a list of Requests, or None for the list as edited")
        for request in answer:
            if not isinstance(request, Request):
                raise AnswerError(f"left {short(request)} in the list; expected Requests")
            self._check(request)
        return answer


def read_source(job: PageJob, source: Source, book: RuleBook) -> PageResult:
    """What a sitemap or feed names, as links. Plugins have no part in it. Raises nothing."""
    from pipeline.stages import sources  # noqa: PLC0415 - not for pages, which are what most workers see

    result = PageResult()
    try:
        listing = sources.read(source, job.url, job.headers, job.body)
    except (FetchError, ParseError) as error:
        fate = error.fate if isinstance(error, FetchError) else "failed:parse"
        return PageResult(fault=Fault("", "", str(error) or describe(error), fate=fate))  # a list's fault, no plugin's
    links = PageLinks(book, job.url)
    links.enter(sources.requests(listing, source, job.rule), result)
    result.bad_links += listing.without
    result.incomplete = listing.incomplete
    return result


def _refresh(page: Page) -> str | None:
    """Where a page that gave nothing sends its reader on at once, as sites did before redirects were easy."""
    if b"refresh" not in page.body[:META_CHARACTERS].lower():
        return None  # most pages: nothing is decoded for them
    found = meta_refresh(page.text, page.base_url)
    return found[1] if found is not None and found[0] <= SOON and found[1] != page.url else None


def checked_rows(rows: Rows) -> Rows:
    """A plugin's rows, in lists that it does not hold. Raises AnswerError for what is no table."""
    columns = rows.columns
    if type(rows.type) is not str or not isinstance(columns, dict) or not isinstance(rows.rule, int | None):
        raise AnswerError(f"gave {short(rows)}; expected Rows(type, columns): a text, and lists by field")
    if not all(isinstance(column, list) for column in columns.values()) or len({*map(len, columns.values())}) > 1:
        raise AnswerError(f"the columns of a Rows are {short(columns)}; expected lists with a value for each row")
    return Rows(rows.type, {name: list(column) for name, column in columns.items()}, rows.rule)


def _iterable(answer: Any) -> Iterable[Any]:
    if answer is None:
        return ()
    if isinstance(answer, dict | Rows | Request | Links | Drop):
        return (answer,)
    if isinstance(answer, str | bytes) or not isinstance(answer, Iterable):
        raise AnswerError(f"answered {short(answer)}; expected Items, dicts, Rows, Requests and Links, or None")
    return answer


def _guarded(step: Step, result: PageResult, call: Callable[..., Any], *arguments: Any) -> Any:
    """Call into a plugin, timed. Raises PageFaultError, charged to the plugin, for whatever it raises."""
    start = perf_counter()
    try:
        return call(*arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PageFaultError(step.charge(error)) from None
    finally:
        clock(step, perf_counter() - start, result)
