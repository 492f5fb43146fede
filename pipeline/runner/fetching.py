"""The `fetch:` section of a config as objects: which key goes to which constructor argument of the fetch stage."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path
from random import Random

import msgspec

import pipeline
from pipeline.config.loader import Loaded
from pipeline.config.schema import Auth, FetchConfig, HostConfig
from pipeline.crawl.breaker import HostRules, OutageRules
from pipeline.crawl.cookies import CookieJar
from pipeline.crawl.frontier import Frontier, Politeness
from pipeline.errors import ConfigError, Problem
from pipeline.fetch.descriptors import RESERVE, DescriptorLimitError, open_descriptors, raise_limit, room_for
from pipeline.fetch.fetcher import Fetcher, Timeouts
from pipeline.fetch.loop import Loop
from pipeline.fetch.resolver import CachedResolver
from pipeline.fetch.resolvers import make_resolver
from pipeline.fetch.tls import TlsOptions
from pipeline.runner.breakers import Breakers, Line
from pipeline.runner.client import Client
from pipeline.runner.credentials import Credentials, is_secret
from pipeline.runner.outcome import RetryPolicy
from pipeline.runner.politeness import HostManners
from pipeline.runner.robots_gate import Memory, RobotsGate, RobotsRules
from pipeline.url import origin_of

ACCEPT_ENCODING = "gzip, deflate, br, zstd"  # what `fetch.content` decodes
DEFAULT_POLITENESS = Politeness(concurrency=1, delay=1.0)
LOOPBACK_POLITENESS = Politeness(concurrency=16, delay=0.0)


class Network(msgspec.Struct):
    """The loop of a run and what asks through it."""

    loop: Loop
    fetcher: Fetcher
    resolver: CachedResolver

    def close(self) -> None:
        """Let go of sockets, lookups and the selector."""
        self.fetcher.close()
        self.resolver.close()
        self.loop.close()


def network(fetch: FetchConfig, *, max_idle: int | None = None, ca_file: Path | None = None) -> Network:
    """`fetch:` as a fetch stage. Raises ValueError for a `ca_file` that is none."""
    timeout = fetch.timeout
    tls = TlsOptions(verify=fetch.tls.verify, ca_file=ca_file, insecure_hosts=fetch.tls.insecure_hosts)
    loop = Loop(fetch.selector)
    resolver = make_resolver(loop, timeout=timeout.dns)
    try:
        fetcher = Fetcher(
            loop,
            resolver=resolver,
            concurrency=fetch.concurrency,
            timeouts=Timeouts(
                dns=timeout.dns,
                connect=timeout.connect,
                tls=timeout.tls,
                first_byte=timeout.first_byte,
                idle=timeout.idle,
                total=timeout.total,
            ),
            user_agent=user_agent(fetch),
            headers={name: value for name, value in fetch.headers.items() if not is_secret(name)},
            accept_encoding=ACCEPT_ENCODING,
            max_body=fetch.max_body,
            max_head=fetch.max_head,
            max_headers=fetch.max_headers,
            max_idle=max_idle,
            tls=tls,
            proxies=fetch.proxy,
            private_networks=fetch.private_networks,
        )
    except ValueError:
        resolver.close()
        loop.close()
        raise
    return Network(loop, fetcher, resolver)


def network_for(loaded: Loaded) -> Network:
    """The fetch stage of a config; raises ConfigError where the system cannot give what it asks for."""
    fetch = loaded.config.fetch
    key: tuple[str, ...] = ("fetch", "selector")
    try:
        Loop(fetch.selector).close()
        key = ("fetch", "tls", "ca_file")
        return _network_for(loaded)
    except ValueError as error:  # what only this system, or the CA file itself, can tell
        raise ConfigError([Problem(loaded.locate(key), ".".join(key), str(error))]) from error


def _network_for(loaded: Loaded) -> Network:
    fetch = loaded.config.fetch
    key = ("fetch", "tls", "ca_file")
    ca_file = None if fetch.tls.ca_file is None else loaded.resolve(key, fetch.tls.ca_file)
    spare = descriptors_for(loaded)
    return network(fetch, max_idle=min(fetch.concurrency, spare), ca_file=ca_file)


def descriptors_for(loaded: Loaded) -> int:
    """How many idle connections may be kept beside `fetch.concurrency`; raises ConfigError if not even those fit."""
    fetch = loaded.config.fetch
    raise_limit()
    try:
        return room_for(fetch.concurrency, fetch.selector)
    except DescriptorLimitError as error:
        used, limit = open_descriptors() + RESERVE, raise_limit()
        if limit <= used:  # not even for one connection
            message = f"the limit of open files is {limit}, which is too low: it must be at least {used + 1}"
            message += f", or {used + fetch.concurrency} for fetch.concurrency {fetch.concurrency}"
            raise ConfigError([Problem(None, "", message, "raise it (ulimit -n, LimitNOFILE= in a unit)")]) from error
        mark = loaded.locate(("fetch", error.key))
        raise ConfigError([Problem(mark, f"fetch.{error.key}", str(error), error.hint)]) from error


def user_agent(fetch: FetchConfig) -> str:
    """`fetch.user_agent`: what requests are signed with, and what robots.txt is read for."""
    return fetch.user_agent or f"hookline/{pipeline.__version__}"


def robots_rules(fetch: FetchConfig) -> RobotsRules:
    """`fetch.robots`"""
    robots = fetch.robots
    return RobotsRules(robots.obey, robots.max_crawl_delay if robots.crawl_delay else None)


def make_manners(
    fetch: FetchConfig, frontier: Frontier, random: Random, tell: Callable[[str, str], None]
) -> HostManners:
    """`fetch.retry_after` and `autothrottle`"""
    return HostManners(
        frontier,
        max_wait=fetch.retry_after.max if fetch.retry_after.obey else None,
        throttled=throttled(fetch),
        wall=time.time,
        rng=random.random,
        tell=tell,
    )


def make_robots(fetch: FetchConfig, random: Random, memory: Memory, manners: HostManners) -> RobotsGate:
    """`fetch.robots`"""
    return RobotsGate(
        robots_rules(fetch),
        agent=user_agent(fetch),
        retry=retry_policy(fetch),
        rng=random.random,
        wall=time.time,
        memory=memory,
        free_at=manners.free_at,
        heard=manners.answered_beside,
    )


def make_breakers(fetch: FetchConfig, frontier: Frontier, line: Line, tell: Callable[[str, str], None]) -> Breakers:
    """`fetch.breaker` and `fetch.outage`; `line` is the resolver."""
    breaker, outage = fetch.breaker, fetch.outage
    return Breakers(
        frontier,
        line,
        hosts=HostRules(breaker.failures, breaker.pause, breaker.pauses),
        outage=OutageRules(outage.hosts, outage.within, outage.probe, outage.max),
        tell=tell,
    )


def throttled(fetch: FetchConfig) -> Callable[[str], bool]:
    """Whether the delay of a host follows its speed."""

    def of(host: str) -> bool:
        own = host_rule(fetch, host)
        return own.autothrottle if own is not None and own.autothrottle is not None else fetch.per_host.autothrottle

    return of


def make_credentials(fetch: FetchConfig) -> Credentials:
    """`fetch.auth`, `fetch.cookies` and what of `fetch.headers` is secret"""
    jar = CookieJar() if fetch.cookies.enabled else None
    auth = {origin_of(f"{origin}/"): _authorization(given) for origin, given in fetch.auth.items()}
    secret = {name: value for name, value in fetch.headers.items() if is_secret(name)}
    return Credentials(jar=jar, auth=auth, wall=time.time, secret_headers=secret)


def _authorization(auth: Auth) -> str:
    if auth.bearer is not None:
        return f"Bearer {auth.bearer}"
    return f"Basic {b64encode((auth.basic or '').encode()).decode()}"  # RFC 7617, with its charset UTF-8


def retry_policy(fetch: FetchConfig) -> RetryPolicy:
    """`fetch.retry`"""
    retry = fetch.retry
    return RetryPolicy(retry.attempts, retry.base, retry.cap, frozenset(retry.on))


@contextmanager
def client_for(loaded: Loaded | None, urls: Iterable[str]) -> Iterator[Client]:
    """A client with a config's fetch settings, or the defaults; `urls` were written by the user."""
    fetch = FetchConfig() if loaded is None else loaded.config.fetch
    net = network(fetch) if loaded is None else network_for(loaded)
    credentials = make_credentials(fetch)
    for origin in map(origin_of, urls):
        net.fetcher.exempt.add((origin.host, origin.port))
        credentials.origins.add(origin)
    try:
        yield Client(net.loop, net.fetcher, credentials, max_redirects=fetch.redirects, max_body=fetch.max_body)
    finally:
        net.close()


# --- how each host may be asked -------------------------------------------------------------------------------------


def politeness(fetch: FetchConfig) -> Callable[[str], Politeness]:
    """`fetch.per_host` and `fetch.hosts`: how each host may be asked; the first glob that fits a host overrides."""
    general = fetch.per_host
    shared: dict[Politeness, Politeness] = {}  # very many hosts are asked in very few ways

    def of(host: str) -> Politeness:
        default = LOOPBACK_POLITENESS if is_loopback(host) else DEFAULT_POLITENESS
        own = host_rule(fetch, host)
        rules = [rule for rule in (own, general) if rule is not None]
        found = Politeness(
            concurrency=next((r.concurrency for r in rules if r.concurrency is not None), default.concurrency),
            delay=next((r.delay for r in rules if r.delay is not None), default.delay),
            jitter=next((r.jitter for r in rules if r.jitter is not None), general.jitter),
        )
        return shared.setdefault(found, found)

    return of


def host_rule(fetch: FetchConfig, host: str) -> HostConfig | None:
    """The first entry of `fetch.hosts` that fits a host."""
    return next((rule for glob, rule in fetch.hosts.items() if fnmatchcase(host, glob.lower())), None)


def is_loopback(host: str) -> bool:
    """True for localhost, 127.0.0.0/8 and ::1."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
