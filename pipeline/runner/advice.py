"""What a config's author should know though nothing is wrong: told by `check` and in the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pipeline.config.schema import FetchConfig
from pipeline.errors import Mark, Problem

Locate = Callable[[tuple[str | int, ...]], Mark]


def advice(fetch: FetchConfig, foreign_hosts: Iterable[str], locate: Locate) -> list[Problem]:
    """Reminders. `foreign_hosts` are those of seeds that are not on this machine."""
    return [*_contact(fetch, list(foreign_hosts), locate), *_proxy(fetch, locate), *_tls(fetch, locate)]


def lack_of_seeds(locate: Locate) -> Problem:
    """What to say of a config that has no seeds, and no plugin that may bring any."""
    hint = "list URLs, or components such as file, sitemap or feed, under 'seeds'"
    return Problem(locate(("seeds",)), "seeds", "expected at least one seed to begin with, found none", hint)


def _contact(fetch: FetchConfig, hosts: list[str], locate: Locate) -> Iterable[Problem]:
    agent = fetch.user_agent or ""
    if hosts and not any(sign in agent for sign in ("://", "@")):
        message = f"{hosts[0]} cannot tell who is asking: the user agent names no contact"
        hint = 'set fetch.user_agent, as "shopbot/1.0 (+https://me.example/bot)"'
        yield Problem(locate(("fetch", "user_agent")), "fetch.user_agent", message, hint)


def _proxy(fetch: FetchConfig, locate: Locate) -> Iterable[Problem]:
    if fetch.proxy and fetch.private_networks == "deny":
        message = "behind a proxy that resolves names, private_networks can refuse literal addresses only"
        yield Problem(locate(("fetch", "proxy")), "fetch.proxy", message)


def _tls(fetch: FetchConfig, locate: Locate) -> Iterable[Problem]:
    if not fetch.tls.verify:
        yield Problem(locate(("fetch", "tls", "verify")), "fetch.tls.verify", "no certificate is verified")
    elif fetch.tls.insecure_hosts:
        message = f"certificates are not verified for {', '.join(fetch.tls.insecure_hosts)}"
        yield Problem(locate(("fetch", "tls", "insecure_hosts")), "fetch.tls.insecure_hosts", message)
