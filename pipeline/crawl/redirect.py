"""From a redirect to the next request: what it asks, what it carries along, and what it must leave behind.

Answers for one hop: method, body, headers and bookkeeping of the target. It does not decide whether the target may be
asked: scheme, scope, address, robots, the number of hops and loops are the run's, as for any request (spec, section 3).

Sources: Fetch standard, "HTTP-redirect fetch"; HTML standard, "shared declarative refresh steps" (by way of w3lib).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from pipeline.errors import PolicyError
from pipeline.model import Request
from pipeline.url import Origin, host_of, join, normalise, origin_of

REDIRECTS = frozenset({301, 302, 303, 307, 308})
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token"})
"""Headers that are credentials, in lower case. What a config names as secret is added by the caller."""

META_CHARACTERS = 64 * 1024  # of a page, in which a refresh is looked for


def redirect(
    request: Request, status: int, location: str, *, secret_names: Collection[str] = SECRET_HEADERS
) -> Request | None:
    """The request that a redirect leads to, or None where there is none to make.

    None: the status is no redirect, `location` (as received, latin-1) gives no URL, or `downgrade` refuses it.
    The target has the request's page rule, depth, carried values and priority; it is no seed, because only what a
    config names passes every scope (it may be `at_seed`); `hops` has grown by the URL that was asked.
    """
    url = join(request.url, _as_browsers_read(location)) if status in REDIRECTS and location else None
    if url is None or downgrade(request, url, secret_names=secret_names) is not None:
        return None
    headers = strip_credentials(request.headers, _origin(request.url), _origin(url), secret_names)
    method, body = request.method, request.body
    if becomes_get(method, status):
        method, body = "GET", None
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
    return msgspec.structs.replace(
        request,
        url=url,
        method=method,
        body=body,
        headers=headers,
        seed=False,
        at_seed=(request.seed or request.at_seed) and _is_one_host(host_of(request.url), host_of(url)),
        rule_limit=None,  # the link that was followed has been counted
        unchanged=False,  # that was said of the other URL
        parent=request.url,
        hops=(*request.hops, request.url),
    )


def becomes_get(method: str, status: int) -> bool:
    """Whether the redirect is followed with GET and without the body (Fetch standard, step 12)."""
    if status == 303:
        return method not in ("GET", "HEAD")
    return status in (301, 302) and method == "POST"


def strip_credentials(
    headers: Mapping[str, str], old: Origin, new: Origin, secret_names: Collection[str] = SECRET_HEADERS
) -> dict[str, str]:
    """The headers that may go along from one origin to another: all within an origin, else none that is a credential.

    Names are compared without case, and every field of a name goes. A hand-set Host goes too: it names the old origin.
    What was dropped does not come back when a later redirect leads home, because each hop starts from the last one.
    """
    if old == new:
        return dict(headers)
    dropped = {name.lower() for name in secret_names} | {"host"}
    return {name: value for name, value in headers.items() if name.strip().lower() not in dropped}


def downgrade(request: Request, url: str, *, secret_names: Collection[str] = SECRET_HEADERS) -> PolicyError | None:
    """Why a request that carries credentials over https must not go on to `url` over http; None where it may."""
    if not (request.url.startswith("https:") and url.startswith("http:")):
        return None
    secrets = {name.lower() for name in secret_names}
    carried = sorted(name for name in request.headers if name.strip().lower() in secrets)
    if not carried:
        return None
    message = (
        f"redirect from https to http with {', '.join(carried)}: not followed, to keep it from being read on the way"
    )
    return PolicyError(message, reason="scheme")


def meta_refresh(html: str, base: str) -> tuple[float, str] | None:
    """(delay in seconds, normalised URL) of a page's `<meta http-equiv=refresh>`, or None.

    Only the first `META_CHARACTERS` are looked at; script, noscript and comments do not count; http(s) targets only.
    """
    head = html[:META_CHARACTERS]
    if "refresh" not in head.lower():
        return None
    from w3lib.html import get_meta_refresh  # noqa: PLC0415 - it imports half of urllib: only for pages that need it

    try:
        delay, found = get_meta_refresh(head, base)
    except ValueError:  # a URL that w3lib cannot join, e.g. an IPv6 host without an end
        return None
    url = normalise(found) if found else None
    if delay is None or url is None or not url.startswith(("http://", "https://")):
        return None
    return delay, url


def _is_one_host(one: str, other: str) -> bool:
    """Whether both are the host of a seed: with and without `www.` (spec, section 2, Defaults)."""
    return one.removeprefix("www.") == other.removeprefix("www.")


def _origin(url: str) -> Origin:
    """The origin; of a URL that is not http(s), one that equals no other."""
    return origin_of(url) if url.startswith(("http://", "https://")) else Origin(url, "", 0)


def _as_browsers_read(location: str) -> str:
    """Location bytes as UTF-8 where they are, which is what servers mean by bytes beyond ASCII."""
    if location.isascii():
        return location
    try:
        return location.encode("latin-1").decode()
    except UnicodeError:
        return location
