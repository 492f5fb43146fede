"""What a robots.txt says: RFC 9309, with the typos and extensions that Google's parser accepts.

Answers for one file's text and nothing else: fetching it, what an error status means, and how long a copy is good are
the run's. Never raises on any text: what can be read as a line counts, the rest is skipped (RFC 9309 2.3.1.5).

The trick is the order of work. Almost all rules are plain prefixes, so those of a group sit in one dict, and the
longest that fits is found by looking up the path cut to each length that occurs. Rules with `*` or `$` are a list,
longest first, and the search ends where they get shorter than the prefix found. A wildcard pattern is its literal
parts, each searched leftmost behind the one before: that is exact for `*` and never goes back: no pattern is slow.

Paths and patterns are compared as bytes in one percent-encoded form (RFC 9309 2.2.2): unreserved characters bare, all
other encoded octets with upper-case hex, `*` and `$` encoded in a path, because in a pattern they are operators.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

MAX_BYTES = 512 * 1024  # RFC 9309 2.5 asks for at least 500 KiB
MAX_LINE = 16 * 1024
MAX_RULES = 10_000

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PLAIN = bytes(_UNRESERVED) + b"/?:@!&'()+,;=#[]"  # what stays as it is in a path; `%`, `*` and `$` need work
_OCTET = re.compile(rb"%[0-9A-Fa-f]{2}|[^" + re.escape(_PLAIN) + rb"%]")
_TOKEN_END = re.compile(r"[\s/;,(]")
_CACHED_AGENTS = 64

# Keys count by how they begin, as in Google's parser; the misspellings are those that it accepts.
_AGENT_KEYS = (b"user-agent", b"useragent", b"user agent")
_DISALLOW_KEYS = (b"disallow", b"dissallow", b"dissalow", b"disalow", b"diasllow", b"disallaw")
_SITEMAP_KEYS = (b"sitemap", b"site-map")
_DELAY_KEYS = (b"crawl-delay", b"crawldelay", b"crawl delay")


class Rule(NamedTuple):
    """One allow or disallow line: normalised pattern, verdict, line number from 1, the line as written."""

    pattern: bytes
    allow: bool
    line: int
    text: str


class Verdict(NamedTuple):
    """Why: `group` is the agent of the group that applied (`*` or as our token), None where no group did.

    `line` and `rule` name the line that decided; None where nothing matched, which allows.
    """

    allowed: bool
    group: str | None
    line: int | None
    rule: str | None


class _Wildcard(NamedTuple):
    """A rule with operators: the literal parts between the stars, and whether the last one must end the path."""

    length: int
    head: bytes
    parts: tuple[bytes, ...]
    anchored: bool
    rule: Rule

    def fits(self, path: bytes) -> bool:
        """Whether the pattern matches the path; linear in the path (see the head of the module)."""
        if not path.startswith(self.head):
            return False
        at, end = len(self.head), len(path)
        if self.anchored:
            if not self.parts:
                return at == end
            end -= len(self.parts[-1])
            if not path.endswith(self.parts[-1]):
                return False
        for part in self.parts[:-1] if self.anchored else self.parts:
            at = path.find(part, at)
            if at < 0:
                return False
            at += len(part)
        return at <= end


class _Group:
    """All rules for one agent, merged from every group that names it."""

    __slots__ = ("delay", "lengths", "prefixes", "wildcards")

    def __init__(self, rules: list[Rule], delay: float | None) -> None:
        self.delay = delay
        self.prefixes: dict[bytes, Rule] = {}
        self.wildcards: list[_Wildcard] = []
        for rule in rules:
            if b"*" in rule.pattern or rule.pattern.endswith(b"$"):
                self.wildcards.append(_wildcard(rule))
            elif rule.allow or rule.pattern not in self.prefixes:
                self.prefixes[rule.pattern] = rule
        # Longest first; among equals Allow first, because it wins (RFC 9309 2.2.2).
        self.wildcards.sort(key=lambda one: (-one.length, not one.rule.allow))
        self.lengths = sorted({len(pattern) for pattern in self.prefixes}, reverse=True)

    def decide(self, path: bytes) -> Rule | None:
        """The rule that applies to a normalised path: the longest that matches, Allow among equals."""
        best = self._prefix(path)
        for one in self.wildcards:
            if best is not None and (
                one.length < len(best.pattern) or (one.length == len(best.pattern) and best.allow)
            ):
                break
            if one.fits(path):
                return one.rule
        return best

    def _prefix(self, path: bytes) -> Rule | None:
        for length in self.lengths:
            rule = self.prefixes.get(path[:length])
            if rule is not None:
                return rule
        return None


_EMPTY = _Group([], None)


class Robots:
    """A parsed robots.txt. `agent` is a product token or a whole User-Agent value, of which the token is taken."""

    __slots__ = ("_cache", "_delays", "_rules", "sitemaps")

    def __init__(self, text: bytes | str) -> None:
        self.sitemaps: list[str] = []
        self._rules: dict[str, list[Rule]] = {}  # by token, lower case; a group without rules is an empty list
        self._delays: dict[str, float] = {}
        self._cache: dict[str, tuple[str | None, _Group]] = {}
        self._parse(_lines(text))

    def allows(self, url: str, agent: str) -> bool:
        """Whether the agent may ask for this URL; absolute, or a path. /robots.txt itself always may."""
        path = _path(url)
        if path == b"/robots.txt":
            return True
        rule = self._group(agent)[1].decide(path)
        return rule is None or rule.allow

    def explain(self, url: str, agent: str) -> Verdict:
        """The same answer with its reason."""
        path = _path(url)
        name, group = self._group(agent)
        rule = None if path == b"/robots.txt" else group.decide(path)
        if rule is None:
            return Verdict(True, name, None, None)
        return Verdict(rule.allow, name, rule.line, rule.text)

    def crawl_delay(self, agent: str) -> float | None:
        """Crawl-delay of the agent's group in seconds (not in the RFC); the longest if there are several."""
        return self._group(agent)[1].delay

    def condensed(self, agent: str) -> bytes:
        """A robots.txt that says the same to this agent, rule by rule on the same lines, and nothing to others."""
        name, _ = self._group(agent)
        rules = {rule.line: rule for rule in reversed(self._rules.get(name or "", []))}
        if not rules:
            return b""
        lines = [b""] * max(rules)
        lines[min(rules) - 2] = b"User-agent: " + (name or "*").encode()
        for number, rule in rules.items():
            # What was no UTF-8 is told with marks in its place; then the pattern says it better.
            told = (
                rule.text.encode()
                if "\ufffd" not in rule.text
                else rule.text.encode().split(b" ")[0] + b" " + rule.pattern
            )
            lines[number - 1] = told
        return b"\n".join(lines)

    def _group(self, agent: str) -> tuple[str | None, _Group]:
        found = self._cache.get(agent)
        if found is None:
            if len(self._cache) >= _CACHED_AGENTS:
                self._cache.clear()
            found = self._cache[agent] = self._merged(_token(agent))
        return found

    def _merged(self, token: str) -> tuple[str | None, _Group]:
        name = token if token and token in self._rules else "*"
        if name not in self._rules:
            return None, _EMPTY
        return name, _Group(self._rules[name], self._delays.get(name))

    def _parse(self, lines: list[bytes]) -> None:
        # Two lists of agents: only allow and disallow end the list that rules are for, other records must not
        # (RFC 9309 2.2.4); a delay belongs to the agents named right above it, as sites mean it.
        agents: list[str] = []
        slowed: list[str] = []
        in_rules, in_delay, count = False, False, 0
        for number, line in enumerate(lines, 1):
            key, value = _field(line)
            if key.startswith(_AGENT_KEYS):
                agents = [] if in_rules else agents
                slowed = [] if in_rules or in_delay else slowed
                in_rules = in_delay = False
                token = _token(_text(value))
                agents.append(token)
                slowed.append(token)
                self._rules.setdefault(token, [])
            elif key.startswith(_DISALLOW_KEYS) or key.startswith(b"allow"):
                in_rules = True
                if agents and value and count < MAX_RULES:
                    count += 1
                    self._add(agents, value, key.startswith(b"allow"), number)
            elif key in _DELAY_KEYS:
                in_delay = True
                self._slow_down(slowed, value)
            elif key.startswith(_SITEMAP_KEYS) and value:
                self.sitemaps.append(_text(value))

    def _add(self, agents: list[str], value: bytes, allow: bool, number: int) -> None:
        text = f"{'Allow' if allow else 'Disallow'}: {_text(value)}"
        rules = [Rule(_normalise_pattern(value), allow, number, text)]
        directory, slash, page = value.rpartition(b"/")
        if allow and slash and page.startswith(b"index.htm"):
            # Who allows the index page means the directory: Google's extension.
            rules.append(Rule(_normalise_pattern(directory + b"/$"), allow, number, text))
        for agent in dict.fromkeys(agents):
            self._rules[agent] += rules

    def _slow_down(self, agents: list[str], value: bytes) -> None:
        try:
            delay = float(value)
        except ValueError:
            return
        if math.isfinite(delay) and delay >= 0:
            for agent in agents:
                self._delays[agent] = max(delay, self._delays.get(agent, 0.0))


def _lines(text: bytes | str) -> list[bytes]:
    """The lines of the file within the limits, without byte order mark and NULs."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data[: 2 * MAX_BYTES].decode("utf-16", "replace").encode("utf-8", "surrogatepass")
    for octet in (b"\xef", b"\xbb", b"\xbf"):  # servers cut even the mark in pieces
        if not data.startswith(octet):
            break
        data = data[1:]
    # Without a mark, UTF-16 of ASCII is ASCII with NULs between.
    lines = data[:MAX_BYTES].replace(b"\x00", b"").splitlines()
    if len(data) > MAX_BYTES and lines:
        lines.pop()  # cut in the middle it would say something else
    return [line[:MAX_LINE] for line in lines]


def _field(line: bytes) -> tuple[bytes, bytes]:
    """(key in lower case, value) of a line, both stripped; (b"", b"") if it is none."""
    line = line.partition(b"#")[0].strip()
    key, colon, value = line.partition(b":")
    if colon:
        return key.strip().lower(), value.strip()
    words = line.split()
    # A forgotten colon is forgiven where white space can only be in its place.
    return (words[0].lower(), words[1]) if len(words) == 2 else (b"", b"")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _token(agent: str) -> str:
    """The product token of a User-Agent value, for comparing without case: what stands before the version."""
    return _TOKEN_END.split(agent.strip(), maxsplit=1)[0].lower()


def _path(url: str) -> bytes:
    """Path and query of a URL (a path, or a URL without scheme, too) in the form in which patterns are compared."""
    start = url.find("/", 8) if url.startswith(("http://", "https://")) else -1
    if start < 0 or "?" in url[:start] or "#" in url:
        url = _target(url)
        start = 0
    path = url[start:].encode("utf-8", "surrogatepass")
    return _OCTET.sub(_octet, path) if path.translate(None, _PLAIN) else path


def _target(url: str) -> str:
    """Path and query of what may be no normalised URL: begins with a slash."""
    url = url.partition("#")[0]
    if not url.startswith("/") or url.startswith("//"):
        scheme, mark, rest = url.partition("://")
        url = rest if mark and not set(scheme) & set("/?;") else url.removeprefix("//")
        start = min((at for at in map(url.find, "/?;") if at >= 0), default=len(url))
        url = url[start:]
    return url if url.startswith("/") else "/" + url


def _normalise_pattern(value: bytes) -> bytes:
    """A pattern in the same form; `*` and a `$` at the end stay, as operators."""
    anchor = b"$" if value.endswith(b"$") else b""
    parts = value.removesuffix(anchor).split(b"*")
    return b"*".join(_OCTET.sub(_octet, part) for part in parts) + anchor


def _octet(found: re.Match[bytes]) -> bytes:
    text = found.group()
    octet = int(text[1:], 16) if len(text) == 3 else text[0]
    return bytes((octet,)) if octet in _UNRESERVED else b"%%%02X" % octet


def _wildcard(rule: Rule) -> _Wildcard:
    anchored = rule.pattern.endswith(b"$")
    head, *parts = rule.pattern.removesuffix(b"$").split(b"*")
    if anchored and parts and not parts[-1]:
        anchored = False  # `*$`: anything may follow anyway
    return _Wildcard(len(rule.pattern), head, tuple(filter(None, parts)), anchored, rule)
