"""Items and links as bytes: how they cross from a worker to the state and from there to the stores.

msgpack carries what JSON does; a Decimal, a date and a datetime with its offset would come back as something else, so
they go as extension types. Nothing here is pickle: reading these bytes never runs code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec
from msgspec.msgpack import Ext

from pipeline.model import ItemRecord, PackedPage, PageJob, PageResult, Request

MARK: Final = 16  # bytes of a fingerprint

_DECIMAL, _DATE, _DATETIME = 1, 2, 3
_AS_IT_IS: Final = frozenset({str, int, float, bool, type(None)})  # what msgpack gives back as it was

_type_of: Final = attrgetter("type")

_encode: Final = msgspec.msgpack.Encoder().encode


def _read(code: int, data: memoryview) -> Any:
    text = str(data, "ascii")
    if code == _DECIMAL:
        return Decimal(text)
    return date.fromisoformat(text) if code == _DATE else datetime.fromisoformat(text)


_records: Final = msgspec.msgpack.Decoder(list[ItemRecord], ext_hook=_read)
_values: Final = msgspec.msgpack.Decoder(ext_hook=_read)
_requests: Final = msgspec.msgpack.Decoder(list[Request], ext_hook=_read)
_raw: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])
_request: Final = msgspec.msgpack.Decoder(Request, ext_hook=_read)
_jobs: Final = msgspec.msgpack.Decoder(PageJob, ext_hook=_read)


def pack(result: PageResult) -> PackedPage:
    """A page's result as it leaves the process that made it."""
    types = dict(Counter(map(_type_of, result.items)))
    links: Sequence[Request | msgspec.Raw] = result.links
    if Request in set(map(type, links)):
        links = [carrying(one) if isinstance(one, Request) else one for one in links]
    return PackedPage(
        verdict=result.verdict,
        fault=result.fault,
        items=pack_items(result.items, plain=result.plain) if result.items else b"",
        types=types,
        links=_encode(links) if links else b"",
        marks=b"".join(result.marks),
        extracted=result.extracted,
        dropped=result.dropped,
        dead=result.dead,
        seconds=result.seconds,
        slow=result.slow,
        missing=result.missing,
        links_found=result.links_found,
        bad_links=result.bad_links,
        refresh=result.refresh,
        incomplete=result.incomplete,
        noindex=result.noindex,
        depth_truncated=result.depth_truncated,
        nofollow=result.nofollow,
    )


Carrier = TypeVar("Carrier", bound=Request | PageJob)


def carrying(message: Carrier) -> Carrier:
    """A request or job that can be sent: its carried values keep their types; as it is if they do anyway."""
    if not message.carry:
        return message
    carry = _written(message.carry)
    return message if carry is message.carry else msgspec.structs.replace(message, carry=carry)


def unpack_job(data: Any) -> PageJob:
    """A page job as it was sent."""
    return _jobs.decode(data)


def pack_items(records: Sequence[ItemRecord], *, plain: bool = False) -> bytes:
    """Records, every value with its type. `plain`: they are known to hold nothing that has to go as an extension."""
    return _encode(records if plain else [_as_written(record) for record in records])


def pack_rows(rows: Iterable[tuple[str, dict[str, Any], str, int, bool]]) -> bytes:
    """Items of a result, each with its type, its page's URL, when that was fetched, and whether it asks not to be kept;
    for `unpack_values`.
    """
    return _encode(
        [row if (fields := _written(row[1])) is row[1] else (row[0], fields, row[2], row[3], row[4]) for row in rows]
    )


def unpack_items(data: bytes) -> list[ItemRecord]:
    """What `pack_items` was given."""
    return _records.decode(data) if data else []


def pack_values(value: Any) -> bytes:
    """Any value that an item may hold (`pipeline.stages.values`), or lists and mappings of such."""
    return _encode(_value(value))


def unpack_values(data: bytes) -> Any:
    """What `pack_values` was given."""
    return _values.decode(data)


def pack_link(request: Request) -> msgspec.Raw:
    """A request as it stands among a page's links. What depends on the page (depth, parent) is set when it is read."""
    return msgspec.Raw(_encode(request))


def pack_request(request: Request) -> bytes:
    """One request with all that it has."""
    return _encode(carrying(request))


def unpack_request(data: bytes) -> Request:
    """What `pack_request` was given."""
    return _request.decode(data)


def unpack_each(data: bytes) -> list[bytes]:
    """Each element of a packed list, packed as it is."""
    return [bytes(one) for one in _raw.decode(data)] if data else []


def unpack_links(data: bytes) -> list[Request]:
    """The requests of a `PackedPage.links`."""
    return _requests.decode(data) if data else []


def unpack_some(page: PackedPage, wanted: Sequence[int]) -> list[tuple[Request, bytes]]:
    """The requests at these places alone, with their fingerprints: most links of a page are known already."""
    raw = _raw.decode(page.links)
    return [_new(page, raw, index) for index in wanted]


def each_new(page: PackedPage) -> Iterator[tuple[Request, bytes]]:
    """All requests one by one, each unpacked when its turn comes: a sitemap has 50,000."""
    raw = _raw.decode(page.links) if page.links else []
    return (_new(page, raw, index) for index in range(len(raw)))


def _new(page: PackedPage, raw: Sequence[msgspec.Raw], index: int) -> tuple[Request, bytes]:
    return _request.decode(raw[index]), page.marks[index * MARK : index * MARK + MARK]


def _as_written(record: ItemRecord) -> ItemRecord:
    fields = _written(record.fields)
    return record if fields is record.fields else ItemRecord(record.type, fields, record.rule, record.position)


def _written(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields`, or a copy where a value has to go as an extension type."""
    for value in fields.values():
        kind = type(value)
        if kind not in _AS_IT_IS and not (kind is list and _AS_IT_IS.issuperset(map(type, value))):
            return {name: _value(one) for name, one in fields.items()}
    return fields


def _value(value: Any) -> Any:
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is Decimal:
        return Ext(_DECIMAL, str(value).encode("ascii"))
    if kind is datetime:
        return Ext(_DATETIME, value.isoformat().encode("ascii"))
    if kind is date:
        return Ext(_DATE, value.isoformat().encode("ascii"))
    if isinstance(value, dict):
        return {name: _value(one) for name, one in value.items()}
    return [_value(one) for one in value] if isinstance(value, list | tuple) else value
