"""The cookie jar: RFC 6265bis for a client without scripts, frames or a user.

Answers for which cookies are kept and which are sent. Takes header values as text (bytes read as latin-1) and the time
as seconds since the epoch; knows no clock, no sockets, no disk: `dump` and `load` are for whoever keeps state.
A cookie that breaks a rule is dropped; nothing a server sends raises.

Where this is not RFC 6265bis:
- SameSite is ignored. It keeps a page of one site from using the login that a person has at another; a crawler has no
  such person, and every request of it is asked for by its own config.
- A cookie without a name is dropped, as RFC 6265 has it: it can pose as any other (`=__Host-sid=x`).
- Only https counts as secure, loopback too.
- Caps against floods, after curl: see the constants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from pipeline.url import split

MAX_SET = 50  # cookies taken from one response
MAX_SENT = 150  # cookies sent with one request
MAX_HEADER = 8190  # bytes of the Cookie value
MAX_COOKIE = 4096  # bytes of name and value together (RFC 6265bis 5.6)
MAX_JAR = 3000  # cookies in a jar; then the least recently used go
MAX_ATTRIBUTE = 1024  # bytes; a longer attribute is ignored (RFC 6265bis 5.6)
MAX_AGE = 400 * 86400.0  # seconds that a cookie may live (RFC 6265bis 5.5)

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Cookie(msgspec.Struct):
    """One stored cookie. `expires` is seconds since the epoch, None = until the end of the session."""

    name: str
    value: str
    domain: str
    path: str
    expires: float | None
    host_only: bool
    secure: bool
    http_only: bool
    same_site: str
    serial: int  # order of creation, kept when the value is replaced
    used: int  # order of last use


class CookieJar:
    """All cookies of a run. URLs are normalised ones (see `pipeline.url`)."""

    __slots__ = ("_count", "_domains", "_tick")

    def __init__(self) -> None:
        self._domains: dict[str, dict[tuple[str, str], Cookie]] = {}  # domain -> (path, name) -> cookie
        self._count = 0
        self._tick = 0

    def __len__(self) -> int:
        return self._count

    def store(self, url: str, set_cookie_values: Iterable[str], now: float) -> int:
        """Take the Set-Cookie values of one response, in order; gives how many were accepted (deletions too)."""
        accepted = 0
        for value in set_cookie_values:
            if accepted == MAX_SET:
                break
            accepted += self._set(url, value, now)
        if self._count > MAX_JAR:
            self._evict(now)
        return accepted

    def header(self, url: str, now: float) -> str | None:
        """The Cookie value to send with a request to this URL, or None."""
        if not self._count:
            return None
        cookies = self._matching(url, now)
        self._tick += 1
        for cookie in cookies:
            cookie.used = self._tick
        return _serialise(cookies)

    def signature(self, url: str, now: float) -> bytes:
        """16 bytes that stand for what would be sent: equal as long as that is the same. Does not count as use."""
        sent = _serialise(self._matching(url, now)) if self._count else None
        return blake2b((sent or "").encode("latin-1"), digest_size=16).digest()

    def dump(self) -> list[tuple[Any, ...]]:
        """Every cookie with all it has, as plain tuples in order of creation."""
        cookies = [cookie for one in self._domains.values() for cookie in one.values()]
        return [msgspec.structs.astuple(cookie) for cookie in sorted(cookies, key=lambda cookie: cookie.serial)]

    def load(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Replace the contents by what `dump` gave."""
        self._domains, self._count = {}, 0
        for row in rows:
            cookie = Cookie(*row)
            self._put(cookie)
            self._tick = max(self._tick, cookie.serial, cookie.used)

    def _set(self, url: str, text: str, now: float) -> bool:
        cookie = _parse(url, text, now)
        if cookie is None or self._would_shadow(cookie, url):
            return False
        old = self._domains.get(cookie.domain, {}).get((cookie.path, cookie.name))
        if cookie.expires is not None and cookie.expires <= now:
            self._remove(old)
            return True
        self._tick += 1
        cookie.serial = old.serial if old else self._tick
        cookie.used = self._tick
        self._put(cookie)
        return True

    def _would_shadow(self, cookie: Cookie, url: str) -> bool:
        """Whether an insecure response would overwrite or hide a secure cookie (RFC 6265bis 5.7, step 16)."""
        if url.startswith("https:"):
            return False
        return any(
            other.secure
            and other.name == cookie.name
            and (_domain_match(other.domain, cookie.domain) or _domain_match(cookie.domain, other.domain))
            and _path_match(cookie.path, other.path)
            for domain in self._related(cookie.domain)
            for other in self._domains[domain].values()
        )

    def _related(self, host: str) -> Iterator[str]:
        """The domains with cookies that are the host's, above or below it."""
        return (domain for domain in self._domains if _domain_match(host, domain) or _domain_match(domain, host))

    def _matching(self, url: str, now: float) -> list[Cookie]:
        scheme, host, path = _parts(url)
        found: list[Cookie] = []
        for domain in _suffixes(host):
            for cookie in self._domains.get(domain, {}).values():
                if (
                    (not cookie.host_only or domain == host)
                    and (cookie.expires is None or cookie.expires > now)
                    and (not cookie.secure or scheme == "https")
                    and _path_match(path, cookie.path)
                ):
                    found.append(cookie)
        found.sort(key=lambda cookie: (-len(cookie.path), cookie.serial))
        return found[:MAX_SENT]

    def _put(self, cookie: Cookie) -> None:
        one = self._domains.setdefault(cookie.domain, {})
        key = (cookie.path, cookie.name)
        self._count += key not in one
        one[key] = cookie

    def _remove(self, cookie: Cookie | None) -> None:
        if cookie is None:
            return
        one = self._domains[cookie.domain]
        del one[cookie.path, cookie.name]
        self._count -= 1
        if not one:
            del self._domains[cookie.domain]

    def _evict(self, now: float) -> None:
        """Expired cookies go first, then those not used for longest; a tenth more than needed, to be called rarely."""
        cookies = [cookie for one in self._domains.values() for cookie in one.values()]
        for cookie in cookies:
            if cookie.expires is not None and cookie.expires <= now:
                self._remove(cookie)
        if self._count > MAX_JAR:
            cookies = [cookie for one in self._domains.values() for cookie in one.values()]
            cookies.sort(key=lambda cookie: cookie.used)
            for cookie in cookies[: self._count - MAX_JAR * 9 // 10]:
                self._remove(cookie)


# --- one Set-Cookie value (RFC 6265bis 5.6 and 5.7) ------------------------------------------------------------------


def _parse(url: str, text: str, now: float) -> Cookie | None:
    """The cookie that a value asks for, checked against the URL that sent it; None where it must be ignored."""
    if _CONTROL.search(text) or not _is_latin1(text):
        return None
    pair, *attributes = text.split(";")
    name, equals, value = (part.strip(" \t") for part in pair.partition("="))
    if not equals or not name or len(name) + len(value) > MAX_COOKIE:
        return None
    found = _attributes(attributes)
    scheme, host, path = _parts(url)
    domain = _cookie_domain(found.get("domain", ""), host)
    secure = "secure" in found
    if domain is None or (secure and scheme != "https"):
        return None
    wanted = found.get("path", "")
    cookie = Cookie(
        name=name,
        value=value,
        domain=domain or host,
        path=wanted if wanted.startswith("/") else _default_path(path),
        expires=_expiry(found, now),
        host_only=not domain,
        secure=secure,
        http_only="httponly" in found,
        same_site=found.get("samesite", "").lower(),
        serial=0,
        used=0,
    )
    return cookie if _prefix_holds(cookie, wanted) else None


def _attributes(parts: list[str]) -> dict[str, str]:
    """The attributes by lower-case name, the last of each; too long ones, and a Domain without value, are ignored."""
    found: dict[str, str] = {}
    for part in parts:
        name, _, value = (side.strip(" \t") for side in part.partition("="))
        name = name.lower()
        if len(value) <= MAX_ATTRIBUTE and (value or name != "domain"):
            found[name] = value
    return found


def _cookie_domain(attribute: str, host: str) -> str | None:
    """The domain to store, "" for a host-only cookie, None to refuse it.

    A public suffix is nobody's (`Domain=co.uk`), unless the host itself is one; then the cookie is that host's alone.
    """
    domain = attribute.removeprefix(".").lower()
    if not domain:
        return ""
    if not _domain_match(host, domain):
        return None
    if _is_ip(host):
        return ""
    if _is_public_suffix(domain):
        return "" if domain == host else None
    return domain


def _prefix_holds(cookie: Cookie, path: str) -> bool:
    """`__Secure-` and `__Host-` promise attributes; a cookie that breaks the promise is ignored."""
    name = cookie.name.lower()
    if name.startswith("__secure-"):
        return cookie.secure
    if name.startswith("__host-"):
        return cookie.secure and cookie.host_only and path == "/"
    return True


def _expiry(found: dict[str, str], now: float) -> float | None:
    age = found.get("max-age", "")
    if re.fullmatch(r"-?[0-9]+", age):
        return now + min(float(age), MAX_AGE)
    if "expires" in found:
        when = parse_date(found["expires"])
        if when is not None:
            return min(when, now + MAX_AGE)
    return None


def _default_path(path: str) -> str:
    return path[: path.rfind("/")] or "/"


def _is_latin1(text: str) -> bool:
    return text.isascii() or max(text) <= "\xff"


# --- matching (RFC 6265bis 5.1.3, 5.1.4) -----------------------------------------------------------------------------


def _parts(url: str) -> tuple[str, str, str]:
    """(scheme, host, path) of a normalised URL, IPv6 in brackets: here a host is only compared."""
    scheme, authority, target = split(url)
    host = authority.rpartition("@")[2]
    if not host.endswith("]"):
        name, colon, port = host.rpartition(":")
        host = name if colon and port.isdigit() else host
    return scheme, host, target.partition("?")[0]


def _suffixes(host: str) -> Iterator[str]:
    """The host and every domain above it."""
    yield host
    if not _is_ip(host):
        at = host.find(".")
        while at >= 0:
            yield host[at + 1 :]
            at = host.find(".", at + 1)


def _domain_match(host: str, domain: str) -> bool:
    return host == domain or (host.endswith("." + domain) and not _is_ip(host))


def _path_match(path: str, cookie_path: str) -> bool:
    if not path.startswith(cookie_path):
        return False
    return len(path) == len(cookie_path) or cookie_path.endswith("/") or path[len(cookie_path)] == "/"


def _is_ip(host: str) -> bool:
    """In a normalised URL, a host whose last label is a number is an IPv4 address."""
    return host.startswith("[") or host.rpartition(".")[2].isdigit()


@lru_cache(maxsize=1)
def _suffix_list() -> Callable[[str], bool]:
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415 - the list takes 40 ms to read: with the first Domain=

    return PublicSuffixList().is_public  # the private part of the list too: github.io is as public as co.uk


@lru_cache(maxsize=4096)
def _is_public_suffix(domain: str) -> bool:
    return _suffix_list()(domain)


def _serialise(cookies: list[Cookie]) -> str | None:
    pairs: list[str] = []
    size = -2
    for cookie in cookies:
        pair = f"{cookie.name}={cookie.value}"
        size += len(pair) + 2
        if size > MAX_HEADER:
            break
        pairs.append(pair)
    return "; ".join(pairs) or None


# --- dates (RFC 6265bis 5.1.1) ---------------------------------------------------------------------------------------

_DELIMITERS = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_DAY = re.compile(r"([0-9]{1,2})(?![0-9])")
_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def parse_date(text: str) -> float | None:
    """Seconds since the epoch of a cookie date, None if it is none. Time zones are ignored: it is UTC, by the RFC."""
    clock = day = year = None
    month = 0
    for token in _DELIMITERS.split(text):
        if clock is None and (found := _TIME.match(token)):
            clock = found
        elif day is None and (found := _DAY.match(token)):
            day = int(found[1])
        elif not month and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (found := _YEAR.match(token)):
            year = int(found[1])
    if clock is None or day is None or not month or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    hour, minute, second = map(int, clock.groups())
    if year < 1601:
        return None
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        return None
