"""Which links of a page are followed, with what they carry, and how the next page is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote_plus, urlsplit, urlunsplit

from pipeline import Links, Request

from ._compile import Compiler, KeyPath
from ._reading import Reading, Scopes
from ._sources import text_of

SOURCES = ("css", "xpath", "json", "jsonld", "microdata", "opengraph", "meta", "value", "first_of", "join")
CHAIN = ("regex", "transform", "index", "separator")
PLACE = "{value}"
FORM = "application/x-www-form-urlencoded"
CARRIED = "page_number"  # name of the carried value that says which number a page has, where its URL does not


class FollowRule:
    """One entry of `follow`."""

    def __init__(self, spec: Mapping[str, Any] | str, path: KeyPath, compiler: Compiler) -> None:
        full: Mapping[str, Any] = {"css": spec} if isinstance(spec, str) else spec
        self.spec = full
        self.each = compiler.each(full.get("each"), (*path, "each"))
        link = {name: full[name] for name in (*SOURCES, *CHAIN) if full.get(name) is not None}
        own = link.get("css") if isinstance(spec, str) else link
        many = self.each is None and "index" not in link
        self.link = compiler.field("link", own, path, link=True, many=many) if link else None
        self.number = _Number(full["number"], full, path, compiler) if full.get("number") is not None else None
        self._target = _Target(full)
        self._page = full.get("page")
        self._priority = full.get("priority") or 0
        self._method = full.get("method") or "GET"
        self._headers = self._target.headers(full.get("headers") or {})
        self._dressed = self._method != "GET" or bool(self._headers) or self._target.has_body
        self.carry = compiler.fields(full.get("carry"), (*path, "carry"))
        limit = full.get("limit")
        self._limit = None if limit is None else (".".join(map(str, ("pages", *path, "limit"))), int(limit))
        special = self._dressed or self.carry or self._priority or self._limit or not self._target.plain
        self._plain = not special  # there is nothing to its requests but a URL

    def read(self, reading: Reading) -> Iterator[Request | Links]:
        """The requests of the page, in document order, as the references that stand there: the host resolves them."""
        if self.number is not None:
            number = self.number.next(reading)
            if number is not None:
                carry = self._carried([field.column(Scopes(reading))[0] for field in self.carry])
                yield self._request(str(number), self.number.carried(number) | carry, reading)
        elif self.link is not None:
            yield from self._read_links(reading)

    def _read_links(self, reading: Reading) -> Iterator[Request | Links]:
        assert self.link is not None
        scopes = Scopes(reading) if self.each is None else self.each(reading)
        if not scopes.size:
            return
        links = self.link.column(scopes)
        if not any(links):
            return
        if self._plain:
            yield Links([*chain.from_iterable(map(_texts, links))], self._page)
            return
        columns = [field.column(scopes) for field in self.carry]
        rows: Sequence[Any] = list(zip(*columns, strict=True)) if columns else [()] * scopes.size
        for found, row in zip(links, rows, strict=True):
            for text in _texts(found):
                yield self._request(text, self._carried(row) if row else {}, reading)

    def _carried(self, values: Sequence[Any]) -> dict[str, Any]:
        return {field.name: value for field, value in zip(self.carry, values, strict=True) if value is not None}

    def _request(self, value: str, carry: dict[str, Any], reading: Reading) -> Request:
        target = self._target
        reference = value if target.plain else target.url(value, reading)
        request = Request(reference, page=self._page, carry=carry, priority=self._priority, rule_limit=self._limit)
        if self._dressed:
            request.method, request.body = self._method, target.body(value)
            request.headers = dict(self._headers)
        return request


_TEXTS: Final = {str}


def _texts(found: Any) -> list[str]:
    """What a record's link field holds: one, several or none."""
    values = found if isinstance(found, list) else [found]
    if set(map(type, values)) == _TEXTS:
        return values
    return [value if type(value) is str else text_of(value) for value in values if value is not None]


class _Target:
    """What is made of a found value: the link itself, a query parameter, a place in a URL or in a body."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._param = spec.get("param")
        self._url = spec.get("url")
        body = spec.get("body")
        self.has_body = body is not None
        self.is_json = body is not None and not isinstance(body, str | bytes)
        self._body = json.dumps(body, ensure_ascii=False) if self.is_json else body
        in_body = isinstance(self._body, str) and PLACE in self._body
        self._own = in_body and self._param is None and self._url is None and not _links(spec)
        self.plain = self._param is None and self._url is None and not self._own

    def url(self, value: str, reading: Reading) -> str:
        if self._url is not None:
            return str(self._url).replace(PLACE, quote(value, safe=""))
        if self._own:
            return reading.page.url
        return with_param(reading.page.url, str(self._param), value)

    def headers(self, given: Mapping[str, str]) -> dict[str, str]:
        """The headers of the requests: a body has a type, text that of a form, as curl sends it."""
        if not self.has_body or any(name.lower() == "content-type" for name in given):
            return dict(given)
        return {"Content-Type": "application/json" if self.is_json else FORM, **given}

    def body(self, value: str) -> bytes | None:
        if not isinstance(self._body, str):
            return self._body
        text = self._body
        if PLACE in text:
            if self.is_json:
                number = value if re.fullmatch(r"-?\d{1,15}", value) else json.dumps(value, ensure_ascii=False)
                text = text.replace(f'"{PLACE}"', number).replace(PLACE, json.dumps(value, ensure_ascii=False)[1:-1])
            else:
                text = text.replace(PLACE, quote(value, safe=""))
        return text.encode()


def _links(spec: Mapping[str, Any]) -> bool:
    """Does the value come from an element, which leads somewhere itself?"""
    return any(spec.get(name) is not None for name in ("css", "xpath"))


class _Number:
    """The number of the next page: one more than this page's, as long as pages give something."""

    def __init__(self, spec: Mapping[str, Any], follow: Mapping[str, Any], path: KeyPath, compiler: Compiler) -> None:
        self._start = 1 if spec.get("start") is None else int(spec["start"])
        self._step = int(spec.get("step") or 1)
        self._while = compiler.selector(spec.get("while"), (*path, "number", "while"))
        self._param = follow.get("param")
        self._template = _template(follow.get("url"))

    def next(self, reading: Reading) -> int | None:
        """The next number, None if this page is the last."""
        goes_on = bool(reading.page.select(self._while)) if self._while is not None else reading.gave > 0
        return self._current(reading) + self._step if goes_on else None

    def carried(self, number: int) -> dict[str, Any]:
        """What the request carries where its URL does not say the number."""
        return {} if self._param is not None or self._template is not None else {CARRIED: number}

    def _current(self, reading: Reading) -> int:
        url = reading.page.url
        text: Any
        if self._template is not None:
            match = self._template.search(url)
            text = match[1] if match else None
        elif self._param is not None:
            text = dict(parse_qsl(urlsplit(url).query)).get(str(self._param))
        else:
            text = reading.page.carry.get(CARRIED)
        return int(text) if re.fullmatch(r"-?\d{1,15}", str(text)) else self._start


def _template(url: Any) -> re.Pattern[str] | None:
    if url is None or PLACE not in str(url):
        return None
    before, _, after = str(url).partition(PLACE)
    return re.compile(rf"{re.escape(before)}(-?\d{{1,15}}){re.escape(after)}$")


def with_param(url: str, name: str, value: str) -> str:
    """The URL with this query parameter, in its place if it is there, else at the end. Others stay as spelt."""
    parts = urlsplit(url)
    pairs = parts.query.split("&") if parts.query else []
    known = [number for number, pair in enumerate(pairs) if unquote_plus(pair.partition("=")[0]) == name]
    own = f"{quote_plus(name, safe='[]')}={quote_plus(value)}"
    if known:
        pairs[known[0]] = own
    else:
        pairs.append(own)
    return urlunsplit(parts._replace(query="&".join(pair for n, pair in enumerate(pairs) if n not in known[1:])))
