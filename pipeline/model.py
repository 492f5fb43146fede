"""The things that travel between layers: slotted data without behaviour.

They know nothing of sockets, config or plugins. All but `Item` and `Drop` are msgspec structs, because a page job and
its result cross a process boundary as msgpack frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from pipeline.errors import FetchError

Headers: TypeAlias = list[tuple[str, str]]
"""Header fields as received, in order, names in their original case, values decoded as latin-1."""


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """What makes a request one for a list of URLs instead of a page: `page` of the request is then the rule of those.

    `since`: what the list says to be unchanged since then, and is published, is not asked for; seconds since 1970, or
    `last_success`, which the run replaces by the start of the last published run.
    """

    kind: Literal["sitemap", "feed", "robots"]
    since: float | Literal["last_success"] | None = None
    level: int = 0  # of nested sitemaps above it


class Request(msgspec.Struct, omit_defaults=True):
    """What to ask for. A request *is* (method, url, body, page rule, carried values): spec, section 2.

    `page` is the page rule that a seed, a `follow` or a plugin names; without it the first rule whose `match` fits is
    taken. `url` may be relative in a plugin's answer. Larger `priority` is fetched earlier.
    The fields below the line are set by the run.
    """

    url: str
    method: str = "GET"
    headers: dict[str, str] = {}
    body: bytes | None = None
    page: str | None = None
    carry: dict[str, Any] = {}
    priority: int = 0
    source: Source | None = None
    # ---
    depth: int = 0
    seed: bool = False
    at_seed: bool = False  # redirects led here from a seed, and have not left its host
    parent: str | None = None  # URL of the page or redirect that brought it
    hops: tuple[str, ...] = ()  # URLs of the redirect chain so far, oldest first
    trail: tuple[tuple[bytes, bytes], ...] = ()  # of each hop: its fingerprint, a hash of the cookies it was sent
    rule_limit: tuple[str, int] | None = None  # (follow rule, its `limit`)
    unchanged: bool = False  # its source says that nothing has changed since the time that was asked for


copied: Final[Callable[[Request], Request]] = Request.__copy__  # type: ignore[attr-defined]
"""A shallow copy, in 0.1 us; `copy.copy` takes three times as long."""


class Links(msgspec.Struct):
    """Requests that are nothing but a URL: what `Request(url, page=page)` for each of `urls` is, for less.

    The URLs may be relative in a plugin's answer.
    """

    urls: list[str]
    page: str | None = None

    def __iter__(self) -> Iterator[Request]:
        return (Request(url, page=self.page) for url in self.urls)

    def __len__(self) -> int:
        return len(self.urls)


class Explained(msgspec.Struct):
    """How one part of what a parser was asked for fared on a page, for people: `hookline try --explain`.

    `found` counts what matched in all records, `hits` the records that got a value in the end. `steps` are what was
    made of one match, in order; `misses` say why there was none. `parts` are what it is made of.
    """

    kind: str  # items, field, follow, part
    name: str
    asked: str = ""
    found: int = 0
    hits: int = 0
    records: int = 1
    values: list[Any] = []
    steps: list[str] = []
    misses: list[str] = []
    parts: list[Explained] = []


class Response(msgspec.Struct):
    """A whole answer to one request. `body` is still content-coded; `flags` name what was tolerated on the way."""

    request: Request
    status: int
    headers: Headers
    body: bytes
    elapsed: float  # seconds from start of the attempt to the last byte
    flags: tuple[str, ...] = ()

    def header(self, name: str) -> str | None:
        """The first field of that name (case-insensitive), or None."""
        return header(self.headers, name)


class Reply(msgspec.Struct):
    """What a registered fetcher answers: a body without content coding (a text becomes UTF-8), status, headers."""

    body: bytes | str = b""
    status: int = 200
    headers: Mapping[str, str] | Headers = {}


class Failure(msgspec.Struct):
    """An attempt that gave no whole answer: the error, the connection state in which it happened, seconds spent.

    `status` and `headers` are those of the head, where that had come.
    """

    request: Request
    error: FetchError
    state: str
    elapsed: float
    status: int | None = None
    headers: Headers = []


def header(headers: Headers, name: str) -> str | None:
    """The first value of a header field, by case-insensitive name, or None."""
    wanted = name.lower()
    for key, value in headers:
        if key.lower() == wanted:
            return value
    return None


class Item(dict[str, Any]):
    """One extracted record: a dict of fields that knows its `type`.

    `Item({"title": "x"}, type="book")`, `Item("book", title="x")` and `Item(title="x")` are all fine.
    """

    __slots__ = ("rule", "type")

    def __init__(
        self, first: str | Mapping[str, Any] = "item", fields: Mapping[str, Any] | None = None, /, **named: Any
    ) -> None:
        kind: str
        if isinstance(first, str):
            kind = named.pop("type", first) if named else first
            super().__init__(fields or {}, **named)
        else:
            kind = named.pop("type", "item")
            super().__init__(first, **named)
        self.type = kind
        self.rule: int | None = None  # number of the item rule that made it; None for plugins' own items

    def __repr__(self) -> str:
        return f"Item({super().__repr__()}, type={self.type!r})"


def item_of(kind: str, fields: Mapping[str, Any], rule: int | None = None) -> Item:
    """`Item(kind, fields)` in a third of the time, for those who make every item of a run."""
    item = Item.__new__(Item)
    item.update(fields)
    item.type = kind
    item.rule = rule
    return item


class Rows(msgspec.Struct):
    """Items of one type with the same fields, by column: what an `Item` for each row of a table is, for less.

    `columns` have a value for each row. `rule` is the item rule that made them, None for plugins' own.
    """

    type: str
    columns: dict[str, list[Any]]
    rule: int | None = None

    def __iter__(self) -> Iterator[Item]:
        for row in zip(*self.columns.values(), strict=True):
            yield item_of(self.type, dict(zip(self.columns, row, strict=True)), self.rule)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


def one_by_one(found: Iterable[Any]) -> Iterator[Any]:
    """What a parser gave, with every item of Rows and every request of Links by itself."""
    for one in found:
        if isinstance(one, Rows | Links):
            yield from one
        else:
            yield one


class Drop(Exception):  # noqa: N818 - it is an answer, not an error
    """Returned or raised by `process_item`: leave this item out, for this reason."""

    def __init__(self, reason: str = "dropped") -> None:
        super().__init__(reason)
        self.reason = reason


# --- the page job and its result: what goes to a worker and what comes back ------------------------------------------


MAX_BODY: Final = 16 * 1024 * 1024
"""Bytes that the body of a page may have without its content codings, where a config does not say."""


class PageJob(msgspec.Struct):
    """A fetched page on its way to parse."""

    url: str
    status: int
    headers: Headers
    body: bytes
    rule: str
    carry: dict[str, Any]
    source: Source | None = None


class Fault(msgspec.Struct):
    """What a plugin did wrong, as a value: charged to that plugin, never a crash. No `plugin`: nobody knows whose."""

    plugin: str
    hook: str
    message: str
    traceback: str = ""
    fate: str = "failed:plugin"  # the page's, where the fault costs the page
    deadly: bool = False  # it ended the process, or that had to be ended

    def __str__(self) -> str:
        return f"{self.plugin}.{self.hook}: {self.message}" if self.plugin else self.message


class ItemRecord(msgspec.Struct):
    """An item of a page with its place: number of the item rule, position on the page (both part of output order)."""

    type: str
    fields: dict[str, Any]
    rule: int
    position: int


class DeadLetter(msgspec.Struct):
    """An item that a plugin broke on, kept with the reason."""

    type: str
    fields: str  # JSON, or repr where JSON is not possible
    fault: Fault


class PageResult(msgspec.Struct):
    """All that parse made of one page. With a `fault`, none of items and requests count (spec, section 4)."""

    verdict: str = "ok"  # what `classify` said: ok, blocked, soft_404, login
    items: list[ItemRecord] = []
    links: list[Request | msgspec.Raw] = []  # requests that it leads to, absolute, with their rule; Raw: packed already
    marks: list[bytes] = []  # the fingerprint of each
    extracted: int = 0
    dropped: dict[str, int] = {}  # reason -> count
    dead: list[DeadLetter] = []
    fault: Fault | None = None
    seconds: dict[str, float] = {}  # plugin -> time spent in its hooks
    slow: dict[str, float] = {}  # "plugin.hook" -> seconds, of calls that took long
    missing: dict[str, int] = {}  # "type.field" -> items without that value
    links_found: int = 0  # valid links before equal ones were put together
    bad_links: int = 0  # references that give no URL
    refresh: str | None = None  # where a page that gives nothing else sends its reader on by <meta http-equiv=refresh>
    incomplete: str = ""  # of a source: why not all of it was read
    noindex: bool = False  # the page asks not to be kept
    depth_truncated: bool = False  # elements that stood too deep were put side by side
    nofollow: int = 0  # links left out because the page asks not to follow them
    plain: bool = False  # known of `items`: they hold nothing but what msgpack and JSON both give back as it was


class Brought(msgspec.Struct, omit_defaults=True):
    """A `Reply` as it comes out of a pool, or why there is none: a fault of the plugin, or `failure`: the kind of fetch
    error (`timeout`, `connect`, `too_large`) and a message.
    """

    status: int = 0
    headers: Headers = []
    body: bytes = b""
    fault: Fault | None = None
    failure: tuple[str, str] | None = None
    seconds: dict[str, float] = {}  # plugin -> time spent in its hook


class PackedPage(msgspec.Struct, omit_defaults=True):
    """A `PageResult` as it comes out of a pool and goes into the state: items and links are bytes that only publishing,
    and the frontier for requests it does not know, ever unpack (see `pipeline.packing`).
    """

    verdict: str = "ok"
    fault: Fault | None = None
    items: bytes = b""  # the ItemRecords
    types: dict[str, int] = {}  # item type -> items kept
    links: bytes = b""  # the Requests
    marks: bytes = b""  # the fingerprint of each of these Requests, 16 bytes each, in the same order
    extracted: int = 0
    dropped: dict[str, int] = {}
    dead: list[DeadLetter] = []
    seconds: dict[str, float] = {}
    slow: dict[str, float] = {}
    missing: dict[str, int] = {}
    links_found: int = 0
    bad_links: int = 0
    refresh: str | None = None
    incomplete: str = ""
    noindex: bool = False
    depth_truncated: bool = False
    nofollow: int = 0
