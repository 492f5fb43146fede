"""From what a page or a plugin asks for to requests as the frontier wants them: absolute URL, page rule, fingerprint.

Matching page rules and hashing cost 2 us a URL, and a site's navigation stands on every page; so the target of a URL,
which depends on the URL alone, is kept across pages. What a reference means depends on the page: that is kept for one
page only, and beyond it by `pipeline.url.join`, which knows when that is sound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pipeline.crawl.scope import Pattern
from pipeline.errors import ConfigError, Problem
from pipeline.model import NewRequest, PageResult, Request
from pipeline.stages.faults import AnswerError, short
from pipeline.stages.loading import nearest
from pipeline.url import fingerprint, normalise

KEPT: Final = 8192  # targets before the table is begun again: about 3 MB


class Target(NamedTuple):
    """Where a reference leads: the URL, the first page rule that fits, and the fingerprint of a plain GET under it."""

    url: str
    rule: str | None
    mark: bytes


copied: Final[Callable[[Request], Request]] = Request.__copy__  # type: ignore[attr-defined]
"""A shallow copy, in 0.1 us; `copy.copy` takes three times as long."""


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
        self._targets: dict[str, Target] = {}

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
        resolved.page = request.page or self.rule_for(resolved.url)
        return resolved

    def unknown(self, page: object) -> str:
        """What to say about a page rule that there is not."""
        hint = nearest(str(page), self.rules) or f"there are: {', '.join(self.rules) or 'none'}"
        return f"there is no page rule {short(page)}; {hint}"

    def target(self, url: str) -> Target:
        """The target of a normalised URL."""
        target = self._targets.get(url)
        if target is None:
            if len(self._targets) >= KEPT:
                self._targets.clear()
            final = url if self._normaliser is None else self._normaliser(url)
            rule = self.rule_for(final)
            target = self._targets[url] = Target(final, rule, fingerprint("GET", final, None, rule, {}))
        return target


class PageLinks:
    """Resolves the requests that one page gives. `join` is the page's `url_join`."""

    def __init__(self, book: RuleBook, *, url: str, depth: int, join: Callable[[str], str | None]) -> None:
        self._book = book
        self._url = url
        self._depth = depth + 1
        self._join = join
        self._found: dict[str, Target | None] = {}

    def find(self, reference: str) -> Target | None:
        """The target of a reference on this page; None if it gives no URL."""
        if reference in self._found:
            return self._found[reference]
        url = self._join(reference)
        target = self._found[reference] = None if url is None else self._book.target(url)
        return target

    def absolute(self, requests: Sequence[Request], result: PageResult) -> list[Request]:
        """The requests with their URLs resolved, as `admit` gets them; what gives no URL is counted and left out."""
        found = []
        for request in requests:
            target = self.find(request.url)
            if target is None:
                result.bad_links += 1
                continue
            new = copied(request)
            new.url = target.url
            found.append(new)
        return found

    def enter(self, requests: Sequence[Request], result: PageResult) -> None:
        """Put the requests into `result`: each once, counted as often as it came."""
        seen: set[bytes] = set()
        for request in requests:
            target = self.find(request.url)
            if target is None:
                result.bad_links += 1
                continue
            result.links_found += 1
            new = copied(request)  # the plugin may use its object again
            new.url = target.url
            new.depth = self._depth
            new.parent = self._url
            new.seed = False
            new.hops = ()
            mark = target.mark
            if new.page is None:
                new.page = target.rule
            if new.page != target.rule or new.carry or new.body is not None or new.method != "GET":
                new.method = new.method.upper()
                mark = fingerprint(new.method, new.url, new.body, new.page, new.carry)
            if mark not in seen:
                seen.add(mark)
                result.requests.append(NewRequest(new, mark))


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
    if type(request.priority) is not int:
        raise AnswerError(f"{request.url}: the priority is {short(request.priority)}, not a whole number")
    if request.headers and not all(isinstance(text, str) for pair in request.headers.items() for text in pair):
        raise AnswerError(f"{request.url}: names and values of headers must be text")
