"""From what a page or a plugin asks for to requests as the frontier wants them: absolute URL, page rule, fingerprint.

Joining, matching page rules, hashing and packing cost 5 us a link, and a site's navigation stands on every page. So
where a reference leads is remembered across the pages of a folder (`pipeline.url.replaces_segment` says for which
references that is sound), and with it the request as bytes: a plain link is a look into one dict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from pipeline.crawl.scope import Pattern
from pipeline.errors import ConfigError, Problem
from pipeline.model import Links, PageResult, Request, copied
from pipeline.packing import pack_link
from pipeline.stages.faults import AnswerError, short
from pipeline.stages.loading import nearest
from pipeline.stages.values import UnfitError, settled
from pipeline.url import fingerprint, folder_of, identity, join, normalise, replaces_segment

KEPT: Final = 8192  # references before what is remembered is begun again: about 5 MB
_TEXT: Final = frozenset((str,))
_LEAST, _MOST = -(2**63), 2**63 - 1  # of numbers that can be sent and stored
LONGEST: Final = 300  # characters of a reference that is remembered: hostile pages get 10 MB at most


class Target(NamedTuple):
    """Where a reference leads: URL and the first page rule that fits; of a plain GET under it fingerprint and bytes."""

    url: str
    rule: str | None
    mark: bytes
    packed: msgspec.Raw


class RuleBook:
    """The page rules of a config, in order: which is for a URL. `rules` has a `match` each (None fits all).

    `normaliser` is applied to every URL, after WHATWG normalisation. Raises ValueError for a pattern that is none.
    """

    def __init__(self, rules: Mapping[str, Mapping[str, Any]], normaliser: Callable[[str], str] | None = None) -> None:
        self.rules = rules
        self._patterns = [
            (name, Pattern(rule["match"]) if rule.get("match") is not None else None) for name, rule in rules.items()
        ]
        self._normaliser = normaliser
        self._folders: dict[str, dict[str, Target | None]] = {}
        self._kept = 0

    def rule_for(self, url: str) -> str | None:
        """The first page rule whose `match` fits a normalised URL, or None."""
        for name, pattern in self._patterns:
            if pattern is None or pattern.matches(url):
                return name
        return None

    def resolve(self, request: Request) -> Request:
        """A start request (config, seed file, plugin) as the frontier wants it. Raises ConfigError if it cannot be."""
        url = normalise(request.url) if isinstance(request.url, str) else None
        if url is None:
            raise ConfigError([Problem(None, "seeds", f"{short(request.url)} is no URL")])
        if request.page is not None and request.page not in self.rules:
            raise ConfigError([Problem(None, "seeds", f"{url}: {self.unknown(request.page)}")])
        resolved = copied(request)
        resolved.url = url if self._normaliser is None else self._normaliser(url)
        resolved.method = request.method.upper()
        resolved.page = request.page or (self.rule_for(resolved.url) if request.source is None else None)
        return resolved

    def unknown(self, page: object) -> str:
        """What to say about a page rule that there is not."""
        hint = nearest(str(page), self.rules) or f"there are: {', '.join(self.rules) or 'none'}"
        return f"there is no page rule {short(page)}; {hint}"

    def target(self, url: str) -> Target:
        """The target of a normalised URL."""
        final = url if self._normaliser is None else self._normaliser(url)
        rule = self.rule_for(final)
        return Target(final, rule, fingerprint("GET", final, None, rule, {}), pack_link(Request(final, page=rule)))

    def remembered(self, base: str) -> dict[str, Target | None]:
        """Where references lead on pages of this base, as far as that is known."""
        folder = folder_of(base) if len(base) <= LONGEST else None
        return {} if folder is None else self._folders.setdefault(folder, {})

    def remembers(self) -> None:
        """One reference more is remembered; when there are `KEPT`, all are forgotten."""
        self._kept += 1
        if self._kept > KEPT:
            self._folders.clear()
            self._kept = 0


class PageLinks:
    """Resolves the requests that one page gives; `base` is what its references are resolved against."""

    def __init__(self, book: RuleBook, base: str) -> None:
        self._book = book
        self._base = base
        self._known = book.remembered(base)
        self._own: dict[str, Target | None] = {}  # what holds for this page alone

    def find(self, reference: str) -> Target | None:
        """The target of a reference on this page; None if it gives no URL."""
        if reference in self._own:
            return self._own[reference]
        url = join(self._base, reference)
        target = None if url is None else self._book.target(url)
        if len(reference) <= LONGEST and replaces_segment(reference):
            self._known[reference] = target
            self._book.remembers()
        else:
            self._own[reference] = target
        return target

    def absolute(self, requests: Iterable[Request], result: PageResult) -> list[Request]:
        """The requests with their URLs resolved, as `admit` gets them; what gives no URL is counted and left out."""
        found = []
        for request in requests:
            target = self._known[request.url] if request.url in self._known else self.find(request.url)
            if target is None:
                result.bad_links += 1
                continue
            new = copied(request)
            new.url = target.url
            found.append(new)
        return found

    def enter(self, requests: Iterable[Request | Links], result: PageResult) -> None:
        """Put the requests into `result`: each once, counted as often as it came."""
        known = self._known
        links: dict[bytes, Request | msgspec.Raw] = {}
        found = bad = 0
        for one in requests:
            rule = one.page
            urls, plain = (one.urls, True) if isinstance(one, Links) else ([one.url], is_plain(one))
            found += len(urls)
            for url, target in zip(urls, map(known.get, urls), strict=True):
                if target is None and (url in known or (target := self.find(url)) is None):
                    bad += 1
                elif plain and (rule is None or rule == target.rule):
                    links.setdefault(target.mark, target.packed)
                else:
                    link = resolved(Request(url, page=rule) if isinstance(one, Links) else one, target)
                    links.setdefault(identity(link), link)
        result.links += links.values()
        result.marks += links
        result.links_found += found - bad
        result.bad_links += bad


def is_plain(request: Request) -> bool:
    """Whether there is nothing to it but a URL and perhaps a page rule."""
    return not (request.carry or request.headers or request.priority or request.rule_limit or request.unchanged) and (
        request.body is None and request.method == "GET" and request.source is None
    )


def resolved(request: Request, target: Target) -> Request:
    """A copy (the plugin may use its object again) that leads to the target. What the run sets is not the plugin's."""
    return Request(
        target.url,
        method=request.method.upper(),
        headers=request.headers,
        body=request.body,
        page=target.rule if request.page is None and request.source is None else request.page,
        carry=request.carry,
        priority=request.priority,
        source=request.source,
        rule_limit=request.rule_limit,
        unchanged=request.unchanged,
    )


def start_requests(answer: object, page: str | None, book: RuleBook) -> Iterator[Request]:
    """What one plugin's `seeds` gives, looked at one by one; `page` is their page rule if they name none.

    A URL is a whole one, except that of a list of URLs, which may be a word of the run's. Raises AnswerError.
    """
    if isinstance(answer, Request):
        answer = [answer]
    elif answer is not None and (isinstance(answer, str | bytes) or not isinstance(answer, Iterable)):
        raise AnswerError(f"answered {short(answer)}; expected Requests")
    for request in answer or ():
        if not isinstance(request, Request):
            raise AnswerError(f"gave {short(request)}; expected Requests")
        if page is not None and request.page is None:
            request.page = page
        check_request(request, book)
        if request.source is None and normalise(request.url) is None:
            raise AnswerError(f"gave a Request for {short(request.url)}, which is no URL")
        request.carry = carried(request.carry)
        yield request


def check_request(request: Request, book: RuleBook) -> None:
    """Raise AnswerError for a plugin's request that could not be sent, stored or told apart."""
    if type(request.url) is not str:
        raise AnswerError(f"the URL of a Request is {short(request.url)}, not a text")
    if request.page is not None and request.page not in book.rules:
        raise AnswerError(book.unknown(request.page))
    if request.method != "GET" and not (isinstance(request.method, str) and request.method.isalpha()):
        raise AnswerError(f"{request.url}: the method is {short(request.method)}")
    if request.body is not None and not isinstance(request.body, bytes):
        raise AnswerError(f"{request.url}: the body is {short(request.body)}, not bytes")
    if type(request.priority) is not int or not _LEAST <= request.priority <= _MOST:
        raise AnswerError(f"{request.url}: the priority is {short(request.priority)}, not a whole number of 64 bits")
    if request.headers and not all(isinstance(text, str) for pair in request.headers.items() for text in pair):
        raise AnswerError(f"{request.url}: names and values of headers must be text")


def checked_links(links: Links, book: RuleBook) -> Links:
    """A plugin's links, in a list that it does not hold. Raises AnswerError as `check_request` does."""
    if not isinstance(links.urls, list) or not _TEXT.issuperset(map(type, links.urls)):
        raise AnswerError(f"the URLs of a Links are {short(links.urls)}, not a list of texts")
    if links.page is not None and links.page not in book.rules:
        raise AnswerError(book.unknown(links.page))
    return Links(links.urls.copy(), links.page)


def carried(carry: object) -> dict[str, Any]:
    """Carried values as plain ones. Raises AnswerError: they are part of a request's identity."""
    if not isinstance(carry, Mapping):
        raise AnswerError(f"carry is {short(carry)}, not a mapping")
    try:
        return settled(dict(carry))
    except UnfitError as error:
        raise AnswerError(f"carry: {error}") from None
