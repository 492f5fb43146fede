"""Conditional requests (RFC 9110, section 13): which validators an answer has, and the fields that ask with them. Pure.

Both validators are sent where there are both: a server that knows If-None-Match must ignore the date, one that does not
still has it (13.1.3). They are sent back as they came, since many servers compare texts and nothing else.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pipeline.model import Headers, Request, header

_FIELD: Final = re.compile(
    r"[\t\x20-\x7e\x80-\xff]{1,1024}"
)  # what can be sent back; a longer one is no name of a version
METHODS: Final = frozenset(
    {"GET", "HEAD"}
)  # for others If-Modified-Since means nothing, and If-None-Match another thing
OWN: Final = frozenset({"if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "range"})
PERSONAL: Final = frozenset({"cookie", "authorization", "*"})  # of Vary: the answer may be another for somebody else


class Validators(NamedTuple):
    """What names a version of a page: an entity tag, and when it was last modified, both as received."""

    etag: str | None
    last_modified: str | None

    def __bool__(self) -> bool:
        return self.etag is not None or self.last_modified is not None


def validators_of(headers: Headers) -> Validators:
    """The validators of an answer.

    A date tells versions in time apart, not those that different visitors get: where the answer depends on who asks,
    it is none.
    """
    names = {name.lower() for name, _ in headers}
    etag = _usable(header(headers, "etag")) if "etag" in names else None
    modified = _usable(header(headers, "last-modified")) if "last-modified" in names else None
    if modified is not None and "vary" in names and _is_personal(headers):
        modified = None
    return Validators(etag, modified)


def ask_with(request: Request, validators: Validators) -> bool:
    """Make a request, which is about to be sent, conditional; False where it cannot be, or is already by hand."""
    if not validators or request.method not in METHODS or any(name.lower() in OWN for name in request.headers):
        return False
    if validators.etag is not None:
        request.headers["If-None-Match"] = validators.etag
    if validators.last_modified is not None:
        request.headers["If-Modified-Since"] = validators.last_modified
    return True


def refreshed(before: Validators, headers: Headers) -> Validators:
    """The validators after a 304 with these headers: what it does not name stays (RFC 9111, 3.2)."""
    now = validators_of(headers)
    return Validators(now.etag or before.etag, now.last_modified or before.last_modified)


def _usable(value: str | None) -> str | None:
    value = value.strip() if value is not None else ""
    return value if _FIELD.fullmatch(value) else None


def _is_personal(headers: Headers) -> bool:
    names = {name.strip().lower() for key, value in headers if key.lower() == "vary" for name in value.split(",")}
    return not names.isdisjoint(PERSONAL)
