"""The reference of all keys of a config (spec, section 2), with their defaults, as pydantic models.

The root is `Config`; page rules are in `rules`, entries that name components in `entries`. Durations are float seconds,
sizes are bytes, percentages fractions of 1. None means: not given, and the run decides.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator

from pipeline.config import units
from pipeline.config.entries import FilterEntry, ParseEntry, PluginEntry, SeedEntry, StoreEntry
from pipeline.config.rules import PageRule
from pipeline.config.values import (
    Data,
    Domain,
    Duration,
    Headers,
    HeaderValue,
    Model,
    Name,
    OneOrMore,
    Origin,
    PathPattern,
    Percent,
    Size,
    Some,
    Spelled,
    Text,
    Url,
    VarName,
    VarText,
    expected,
    section,
    setting,
)
from pipeline.url import normalise

RETRY_WORDS = ("dns", "connect", "tls", "timeout", "truncated")
Ratio: TypeAlias = Annotated[float, setting(..., "", ge=0, le=1)]


def _workers(value: Any) -> Any:
    if value != "auto" and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1024):
        raise expected("auto or a number from 0 to 1024")
    return value if value == "auto" else int(value)


def _retry_on(value: Any) -> Any:
    if isinstance(value, str) and value in RETRY_WORDS:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
        return int(value)
    raise expected(f"{', '.join(RETRY_WORDS)} or a status from 400 to 599")


def _proxy(value: str) -> str:
    if not re.match(r"(?:https?|socks5h?)://", value) or normalise(value) is None:
        raise expected("a URL of a proxy: http://, https:// or socks5://")
    return value


def _version(value: Any) -> Any:
    if value != 1 or isinstance(value, bool):
        raise expected("1, the only version there is")
    return 1


def _if_locked(value: str) -> str:
    try:
        units.if_locked(value)
    except ValueError as error:
        raise expected(error.args[0], f"did you mean '{error.args[1]}'?" if error.args[1] else "") from None
    return value


def _schedule(value: str) -> str:
    from pipeline.config import crontab  # noqa: PLC0415 - few configs have a schedule

    try:
        crontab.parse(value)
    except ValueError as error:
        raise expected(error.args[0], error.args[1]) from None
    return value


class Normalize(Model):
    """What is done to URLs beyond WHATWG normalisation."""

    strip_params: list[Some] = setting([], "Names of query parameters that are dropped; * stands for anything.")
    sort_params: bool = setting(False, "true: query parameters are sorted.")


class Traps(Model):
    """URLs that look like endless ones; never applied to seeds."""

    max_path_repetition: int = setting(2, "A run of path segments may stand so many times in a row.", ge=1)
    max_params: int = setting(20, "So many query parameters are fine.", ge=0)
    max_barren: int = setting(
        500,
        "Pages of one pattern in a row that bring no item and only links to more of their kind; 0: any number.",
        ge=0,
    )
    max_similar: int | None = setting(None, "Requests of one pattern in the whole run; default: any number.", ge=1)


class ScopeConfig(Model):
    """Which links belong to the crawl. Seeds are in whatever stands here."""

    allow_domains: list[Domain] | None = setting(None, "Domains with their subdomains; default: the seeds' hosts.")
    allow: list[PathPattern] = setting([], "Globs on the path (* in a segment, ** across) or re:REGEX; one must fit.")
    deny: list[PathPattern] = setting([], "Globs or re:REGEX; none may fit.")
    max_depth: int | None = setting(None, "Links away from a seed, at most; default: no cap.", ge=0)
    order: Literal["breadth", "depth"] = setting("breadth", "Which links are fetched first.")
    normalize: Normalize = section("What is done to URLs beyond WHATWG normalisation.")
    traps: Traps = section("URLs that look like endless ones.")


class PerHost(Model):
    """Politeness towards one host. None: the default, which differs for loopback hosts."""

    concurrency: int | None = setting(
        None, "Connections to one host at a time; default 1, loopback 16.", ge=1, le=10000
    )
    delay: Duration | None = setting(None, "Time between requests to one host; default 1s, loopback 0.")
    jitter: Ratio = setting(0.25, "Share of the delay by which it varies at random.")
    autothrottle: bool = setting(True, "Move the delay with the host's speed, between delay and 60s.")


class HostConfig(Model):
    """What differs for some hosts; None: as in per_host."""

    concurrency: int | None = setting(None, "Connections to the host at a time.", ge=1, le=10000)
    delay: Duration | None = setting(None, "Time between requests to the host.")
    jitter: Ratio | None = setting(None, "Share of the delay by which it varies at random.")
    autothrottle: bool | None = setting(None, "Move the delay with the host's speed.")


class Timeout(Model):
    """How long each phase of an attempt may take. A lone duration is short for total."""

    short_form: ClassVar[str] = "total"

    dns: Duration = setting(10.0, "Name lookup.")
    connect: Duration = setting(10.0, "Connection.")
    tls: Duration = setting(10.0, "TLS handshake.")
    first_byte: Duration = setting(30.0, "Until the first byte of the answer.")
    idle: Duration = setting(20.0, "Between two reads.")
    total: Duration = setting(120.0, "The whole attempt.")


class Retry(Model):
    """When a request is tried again. A lone number is short for attempts."""

    short_form: ClassVar[str] = "attempts"

    attempts: int = setting(3, "Attempts in all.", ge=1, le=100)
    base: Duration = setting(1.0, "Wait before the second attempt; it doubles with each.")
    cap: Duration = setting(60.0, "Longest wait.")
    on: list[Annotated[str | int, BeforeValidator(_retry_on)]] = setting(
        [*RETRY_WORDS, 500, 502, 503, 504], "Failures and statuses that are tried again."
    )


class RetryAfter(Model):
    """What a Retry-After header does. A lone true or false is short for obey."""

    short_form: ClassVar[str] = "obey"

    obey: bool = setting(True, "Wait as long as the server says.")
    max: Duration = setting(600.0, "Longest wait in all; beyond it the request is deferred to the next run.")


class Breaker(Model):
    """When a host that fails is left alone. A lone number is short for failures."""

    short_form: ClassVar[str] = "failures"

    failures: int = setting(10, "Failures in a row after which the host is left alone.", ge=1)
    pause: Duration = setting(300.0, "How long, each time; then one request tries it.", gt=0)
    pauses: int = setting(3, "Pauses after which the host is left to the next run.", ge=0)


class Outage(Model):
    """When DNS or the network does not work."""

    hosts: int = setting(20, "Hosts that fail, where DNS cannot be checked.", ge=1)
    within: Duration = setting(30.0, "Time in which they fail, none answering.", gt=0)
    probe: Duration = setting(15.0, "Longest time between two checks.", gt=0)
    max: Duration = setting(900.0, "Longest outage that a run waits for; then it stops, to be gone on with.", gt=0)


class Robots(Model):
    """robots.txt. A lone true or false is short for obey."""

    short_form: ClassVar[str] = "obey"

    obey: bool = setting(True, "Keep to robots.txt.")
    crawl_delay: bool = setting(True, "Keep to Crawl-delay.")
    max_crawl_delay: Duration = setting(60.0, "Longest Crawl-delay that is kept to.")


class Auth(Model):
    """Credentials of one origin: basic or bearer."""

    basic: Text | None = setting(None, "USER:PASSWORD.", repr=False)
    bearer: HeaderValue | None = setting(None, "Token.", repr=False)

    @classmethod
    def arrange(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of the two."""
        if "basic" in data and "bearer" in data:
            raise expected("basic or bearer", "found both")
        if not data:
            raise expected("basic or bearer")
        return data


class Cookies(Model):
    """Cookies. A lone true or false is short for enabled."""

    short_form: ClassVar[str] = "enabled"

    enabled: bool = setting(True, "Take and send cookies.")
    persist: bool = setting(False, "Keep cookies for the next run.")


class Tls(Model):
    """How servers are verified."""

    verify: bool = setting(True, "Verify certificates.")
    ca_file: Some | None = setting(None, "PEM file of the certificate authorities to trust, in place of the system's.")
    insecure_hosts: list[Some] = setting([], "Hosts whose certificates are not verified.")


class FetchConfig(Model):
    """How pages are fetched."""

    selector: Literal["auto", "epoll", "kqueue", "poll", "select"] = setting("auto", "What the event loop waits with.")
    user_agent: HeaderValue | None = setting(None, "User agent; name a contact. Default: hookline/VERSION.")
    headers: Headers = setting({}, "Headers of every request.", repr=False)
    concurrency: int = setting(64, "Connections in all.", ge=1, le=10000)
    per_host: PerHost = section("Politeness towards each host.")
    hosts: dict[str, HostConfig] = setting({}, "What differs for some hosts, by host name or glob.")
    timeout: Timeout = section("How long each phase may take.")
    retry: Retry = section("When a request is tried again.")
    retry_after: RetryAfter = section("What a Retry-After header does.")
    breaker: Breaker = section("When a host that fails is left alone.")
    outage: Outage = section("When DNS or the network does not work.")
    robots: Robots = section("robots.txt.")
    conditional: bool = setting(True, "Ask for changed pages only, where the server gave validators.")
    redirects: int = setting(10, "Redirects that are followed in a row.", ge=0, le=100)
    max_body: Size = setting(16 * 1024 * 1024, "Largest body, before and after decoding.", ge=1)
    max_head: Size = setting(64 * 1024, "Largest head of an answer.", ge=1)
    max_headers: int = setting(256, "Header fields in an answer.", ge=1)
    max_url: int = setting(8192, "Longest URL that is followed.", ge=1)
    private_networks: Literal["deny", "allow"] = setting("deny", "Whether links may lead to private addresses.")
    proxy: OneOrMore[Annotated[Text, AfterValidator(_proxy)]] = setting(
        [], "URL of a proxy (http, https, socks5); a list rotates.", repr=False
    )
    auth: dict[Origin, Auth] = setting({}, "Credentials by origin.", repr=False)
    cookies: Cookies = section("Cookies.")
    tls: Tls = section("How servers are verified.")


class Limits(Model):
    """Where a run ends."""

    pages: int | None = setting(None, "Pages.", ge=1)
    time: Duration | None = setting(None, "Time.", gt=0)
    bytes: Size | None = setting(None, "Bytes received.", ge=1)
    memory: Size | None = setting(None, "Memory; default 80 % of the cgroup's, else none.", ge=1)
    page_time: Duration = setting(30.0, "Time that the plugins may take for one page.", gt=0)
    page_memory: Size = setting(1 << 30, "Memory that the plugins may take for one page.", ge=1)
    plugin_errors: Percent = setting(0.10, "Share of pages on which one plugin may fail, once it failed 10 times.")


class TestCase(Model):
    """A test of the config: a saved page and the items that it must give."""

    __test__: ClassVar[bool] = False  # not a test class of pytest's

    name: Some | None = setting(None, "What is tested.")
    page: Name | None = setting(None, "Page rule; else the first whose match fits.")
    url: Url = setting(..., "URL of the page.")
    fixture: Some = setting(..., "File with the saved page.")
    content_type: HeaderValue | None = setting(
        None, "Content-Type that the page came with; else the fixture's suffix says."
    )
    carry: dict[str, Data] = setting({}, "Values that the link to the page carried.")
    expect: dict[Name, list[dict[str, Spelled]]] = setting(
        {}, "Items by type, in order; of each item the fields that are compared. Without it the page gives no items."
    )


class Config(Model):
    """A whole config."""

    version: Annotated[int, BeforeValidator(_version)] = setting(1, "Version of this format.")
    name: Name = setting(..., "Name of the config; it names the state folder.")
    extends: Text | None = setting(None, "A file that this one adds to; mappings merge, null removes.")
    vars: dict[VarName, VarText] = setting(
        {}, "Texts for ${NAME}; what is not here comes from the environment.", repr=False
    )
    plugins: list[PluginEntry] = setting([], "Plugins: Python files or installed ones; their hooks run in this order.")
    state_dir: Some = setting(".hookline", "Folder of the saved state.")
    workers: Annotated[int | Literal["auto"], BeforeValidator(_workers)] = setting(
        "auto", "Processes that run the plugins; 0: all in one process."
    )
    seeds: list[SeedEntry] = setting([], "Where the crawl starts.")
    scope: ScopeConfig = section("Which links belong to the crawl.")
    fetch: FetchConfig = section("How pages are fetched.")
    limits: Limits = section("Where a run ends.")
    pages: dict[Name, PageRule] = setting({}, "Page rules by name, in order; default: one that fits all, named page.")
    parse: list[ParseEntry] = setting([], "Further parsers, in call order.")
    filter: list[FilterEntry] = setting([], "Filters, in call order.")
    store: list[StoreEntry] = setting([], "Stores; without one the items stay in the state.")
    checks: list[Some] = setting([], "What must hold before a result is published.")
    on_check_failure: Literal["keep_last_good", "publish"] = setting("keep_last_good", "What happens if a check fails.")
    if_locked: Annotated[Text, AfterValidator(_if_locked)] = setting(
        "fail", "While another run is going on: fail, skip, wait=10m."
    )
    schedule: Annotated[Text, AfterValidator(_schedule)] | None = setting(None, "When it runs, as a cron expression.")
    notify: Data = setting([], "Who is told of a run.")
    archive: Data = setting({}, "What is kept of the pages.")
    tests: list[TestCase] = setting([], "Tests of the config against saved pages.")

    def rules(self) -> dict[str, dict[str, Any]]:
        """The page rules as plain data in long form, in order: what the stages take.

        Without any there is one that fits all: plugins may be all that a config wants done with its pages.
        """
        return {name: rule.dump() for name, rule in (self.pages or {"page": PageRule()}).items()}
