"""May this URL be crawled? Domains, patterns, depth and traps, decided from the URL alone.

Pure: no I/O, no time. URLs come normalised (`pipeline.url`). The answer is a refusal, or None. A refusal names the key
of the config that it is for and no more: it is kept with every refused URL, and counted by its words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

from pipeline.url import gate, host_of, path_of, split


class Refusal(NamedTuple):
    """The fate of a request that may not be made, and why in words."""

    fate: str
    detail: str
    by_rule: bool = True  # else no robots.txt was to be had, which says nothing of the pages behind it


SCHEME: Final = Refusal("rejected:scheme", "neither http nor https")
IMPOSSIBLE: Final = Refusal("rejected:trap", "longer than fetch.max_url, or a host that DNS cannot have")
NOT_CHANGED: Final = Refusal("not_due", "its sitemap or feed says that it is as it was published")
NO_RULE: Final = Refusal("rejected:scope", "pages: the match of no page rule fits")
NO_DOMAIN: Final = Refusal("rejected:scope", "scope.allow_domains: another host")
NOT_SEEDS: Final = Refusal("rejected:scope", "not a host of the seeds, and there is no scope.allow_domains")
NOT_ALLOWED: Final = Refusal("rejected:scope", "scope.allow: nothing fits")
NOT_WANTED: Final = Refusal("rejected:scope", "--only: does not fit")

REMEMBERED: Final = 2_000  # hosts of links of which it is known whether they are in

_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class Pattern:
    """A glob on the path (`*` within a segment, `**` across), or `re:REGEX` searched in the whole URL.

    A glob that has a `?` is matched against path and query. Non-ASCII characters match their percent-encoded form,
    which is how they stand in a normalised URL. Raises ValueError for a pattern that can never match or compile.
    """

    __slots__ = ("_regex", "_subject", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        if text.startswith("re:"):
            try:
                self._regex = re.compile(text[3:])
            except re.error as error:
                raise ValueError(f"the regular expression does not compile: {error}") from None
            self._subject = _whole
            return
        if not text.startswith(("/", "*")):
            raise ValueError("a glob is matched against the path and starts with / or *; for whole URLs write re:REGEX")
        self._regex = re.compile(_glob_regex(text))
        self._subject = _target if "?" in text else path_of

    def matches(self, url: str) -> bool:
        """True if the normalised `url` fits."""
        return self._regex.search(self._subject(url)) is not None

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"


def _whole(url: str) -> str:
    return url


def _target(url: str) -> str:
    return split(url)[2]


def _glob_regex(glob: str) -> str:
    """A regular expression that cannot backtrack far, whatever the glob.

    Of what stands between two wildcards of one kind the earliest occurrence is always good enough, so it is matched in
    an atomic group; only what follows the last `**` has to try more than one place, since it must reach the end.
    """
    first, *others = [quote(chunk, safe=_PRINTABLE).split("*") for chunk in glob.split("**")]
    if not others:
        return rf"\A{_within_segments(first, to_end=True)}"
    middle = "".join(f"(?>.*?{_within_segments(chunk)})" for chunk in others[:-1])
    return rf"\A{_within_segments(first)}{middle}.*{_within_segments(others[-1], to_end=True)}"


def _within_segments(literals: list[str], *, to_end: bool = False) -> str:
    """The literals of a piece of a glob with `*` between them; `to_end`: the last one ends the path."""
    head, *rest = map(re.escape, literals)
    if not to_end:
        return head + "".join(f"(?>[^/]*?{literal})" for literal in rest)
    if not rest:
        return rf"{head}\Z"
    return head + "".join(f"(?>[^/]*?{literal})" for literal in rest[:-1]) + rf"[^/]*{rest[-1]}\Z"


class Scope:
    """What a crawl may reach. Seeds (`seed=True`) pass allow, deny, depth and traps, but not the scheme.

    `allow_domains` None means: exactly `seed_hosts`, each with and without `www.`, any port; a domain that is given
    means itself and its subdomains. `only` has to fit besides whatever `allow` says.
    """

    def __init__(
        self,
        *,
        seed_hosts: Iterable[str] = (),
        allow_domains: Iterable[str] | None = None,
        allow: Sequence[Pattern] = (),
        deny: Sequence[Pattern] = (),
        only: Pattern | None = None,
        max_depth: int | None = None,
        max_path_repetition: int | None = 2,
        max_params: int | None = 20,
        max_url: int = 8192,
    ) -> None:
        self._exact: set[str] = set()  # without www.
        self._domains = None if allow_domains is None else tuple(d.lower().strip(".") for d in allow_domains)
        self._hosts: dict[str, bool] = {}  # authority -> answer, for some
        self.allow = tuple(allow)
        self.deny = tuple(deny)
        self.only = only
        self.max_depth = max_depth
        self.max_path_repetition = max_path_repetition
        self.max_params = max_params
        self.max_url = max_url
        for host in seed_hosts:
            self.adopt(host)

    def adopt(self, host: str) -> bool:
        """Let a seed's host in, or that of a seed's first redirect off it; without effect where domains are given.

        True if the host was not in before.
        """
        if self._is_exact(host):
            return False
        self._exact.add(host.removeprefix("www."))
        self._hosts.clear()
        return True

    def _is_exact(self, host: str) -> bool:
        return host in self._exact or host.removeprefix("www.") in self._exact

    def refusal(self, url: str, *, depth: int = 0, seed: bool = False) -> Refusal | None:
        """Why the request may not be made, or None if it may."""
        reason = gate(url, max_url=self.max_url)
        if reason == "scheme":
            return SCHEME
        if seed:
            return None
        if reason is not None:
            return IMPOSSIBLE
        refused = self.by_host(url) or self._by_path(url) or self.by_trap(url)
        if refused is None and self.max_depth is not None and depth > self.max_depth:
            return Refusal("rejected:depth", f"scope.max_depth: {self.max_depth}")
        return refused

    def by_host(self, url: str) -> Refusal | None:
        """What the domains say of a URL."""
        if self._host_allowed(url):
            return None
        return NOT_SEEDS if self._domains is None else NO_DOMAIN

    def source_refusal(self, url: str, *, near: str | None = None) -> Refusal | None:
        """As `refusal`, of a sitemap or feed, which no pattern is about. `near` is the list that names it, if there is
        one: then it must be on the same host, or on one that may be crawled.
        """
        reason = gate(url, max_url=self.max_url)
        if reason is not None:
            return SCHEME if reason == "scheme" else IMPOSSIBLE
        return self.by_host(url) if near is not None and host_of(url) != host_of(near) else None

    def _host_allowed(self, url: str) -> bool:
        authority = split(url)[1]
        known = self._hosts.get(authority)
        if known is None:
            host = host_of(url).rstrip(".")
            if self._domains is None:
                known = self._is_exact(host)
            else:
                known = any(host == domain or host.endswith(f".{domain}") for domain in self._domains)
            if len(self._hosts) >= REMEMBERED:
                self._hosts.clear()
            self._hosts[authority] = known
        return known

    def _by_path(self, url: str) -> Refusal | None:
        if self.allow and not any(pattern.matches(url) for pattern in self.allow):
            return NOT_ALLOWED
        if self.only is not None and not self.only.matches(url):
            return NOT_WANTED
        for pattern in self.deny:
            if pattern.matches(url):
                return Refusal("rejected:scope", f"scope.deny: {pattern.text}")
        return None

    def by_trap(self, url: str) -> Refusal | None:
        """Whether a URL looks like one of an endless space of them."""
        path, _, query = split(url)[2].partition("?")
        if self.max_params is not None and query.count("&") >= self.max_params:
            return Refusal("rejected:trap", f"scope.traps.max_params: {self.max_params}")
        if self.max_path_repetition is not None and repeats(path, self.max_path_repetition):
            return Refusal("rejected:trap", f"scope.traps.max_path_repetition: {self.max_path_repetition}")
        return None


def repeats(path: str, most: int) -> bool:
    """True if some run of segments stands more than `most` times in a row: `/a/a/a` or `/a/b/a/b/a/b` for 2."""
    segments = [segment for segment in path.split("/") if segment]
    if len(set(segments)) == len(segments):
        return False
    for period in range(1, len(segments) // (most + 1) + 1):
        same = 0  # length of the run in which each segment equals the one a period before
        for index in range(period, len(segments)):
            same = same + 1 if segments[index] == segments[index - period] else 0
            if same >= period * most:
                return True
    return False


class Normaliser:
    """The `scope.normalize` rules, beyond what WHATWG normalisation does: drop and sort query parameters."""

    __slots__ = ("_sort", "_strip")

    def __init__(self, *, strip_params: Sequence[str] = (), sort_params: bool = False) -> None:
        names = "|".join(".*".join(map(re.escape, name.split("*"))) for name in strip_params)
        self._strip = re.compile(rf"(?:{names})\Z") if names else None
        self._sort = sort_params

    def __call__(self, url: str) -> str:
        """The URL with the rules applied; parameters keep their spelling, and without a rule nothing changes."""
        if "?" not in url or not (self._strip or self._sort):
            return url
        base, _, query = url.partition("?")
        params = [part for part in query.split("&") if not self._dropped(part)]
        if self._sort:
            params.sort()
        return f"{base}?{'&'.join(params)}" if params else base

    def _dropped(self, param: str) -> bool:
        return self._strip is not None and self._strip.match(param.partition("=")[0]) is not None
