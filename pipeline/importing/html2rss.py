"""Feeds of html2rss: one document each, with a `feed` store."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from pipeline.config.nodes import Mapping
from pipeline.config.writing import Raw
from pipeline.importing import selectors
from pipeline.importing.document import Document, safe_name
from pipeline.importing.fields import Spec, duration, known_language, known_zone
from pipeline.importing.html2rss_fields import TOOL, Fields
from pipeline.importing.source import Part, Source
from pipeline.url import normalise

_NOTHING = ":not(*)"
_BROWSERS = ("browserless", "botasaurus")
_PLACEHOLDER = re.compile(r"%(?:<(\w+)>[-+ 0#]*\d*[a-z]|\{(\w+)\})|%%")


def translate(tree: Mapping, file: str) -> list[Document]:
    """The feed of a file, or all of its `feeds`. Raises ConfigError for what is no config of html2rss."""
    source = Source(file)
    root = Part(source, tree, "", tree.mark)
    stem = re.sub(r"\.ya?ml$", "", file.rpartition("/")[2])
    feeds = [(stem, root)]
    if "feeds" in root:
        below = root.part("feeds")
        feeds = [(name, _with_common(below.part(name), root)) for name in below.names]
    documents: list[Document] = []
    for title, feed in feeds:
        source.notes = []
        name = safe_name(title, [document.name for document in documents], "feed")
        of = f"feed {title} of " if "feeds" in root else ""
        data = _Feed(feed, name).data()
        documents.append(Document(name, f"Imported from html2rss: {of}{file.rpartition('/')[2]}", data, source.notes))
    source.check()
    return documents


def _with_common(feed: Part, root: Part) -> Part:
    """A feed with what the file says for all of them; mappings merge, the feed's own keys win."""
    return Part(feed.source, _merged(root.without("feeds"), feed.without()), feed.where, feed.mark)


def _merged(common: Mapping, own: Mapping) -> Mapping:
    entries = dict(common.entries)
    for key, entry in own.entries.items():
        other = entries.get(key)
        if other and isinstance(other.node, Mapping) and isinstance(entry.node, Mapping):
            entry = entry._replace(node=_merged(other.node, entry.node))  # noqa: PLW2901 - the merged one
        entries[key] = entry
    return Mapping(own.mark, entries=entries)


class _Feed:
    """One feed on its way to a config."""

    def __init__(self, part: Part, name: str) -> None:
        self._part = part
        self._name = name
        self._vars: dict[str, str] = {}
        self._headers: dict[str, Any] = {}

    def data(self) -> dict[str, Any]:
        part, channel = self._part, self._part.part("channel")
        self._vars = self._parameters()
        self._headers = {**_headers(channel.part("headers")), **_headers(part.part("headers"))}
        url = self._filled(channel.text("url", needed=True) or "")
        self._check_url(channel, url)
        json = bool(channel.flag("json")) or self._is_json()
        selected = part.part("selectors")
        items = selected.part("items")
        zone = known_zone(channel, "time_zone", channel.text("time_zone")) or "UTC"
        language = known_language(channel, "language", channel.text("language"))
        fields = Fields(selected, zone, language, json)
        each = self._each(items, json) if "items" in selected or "auto_source" not in part.names else _NOTHING
        rule = {"items": [{"each": each, "fields": fields.written()}]} if fields.written() else {}
        fetcher, request = self._fetcher(), self._request()
        seed, follow = self._pagination(items, url)
        store = self._store(channel, items, seed, fields)
        self._unsayable(items)
        channel.done(tool=TOOL)
        part.done(tool=TOOL)
        return {
            "name": self._name,
            "vars": self._vars,
            "seeds": [{"url": seed, "page": "list"}],
            "fetch": ({"headers": self._headers} if self._headers else {}) | request.get("fetch", {}),
            "limits": request.get("limits", {}),
            "pages": {"list": {**fetcher, **rule, **({"follow": [follow]} if follow else {})}},
            "store": [{"feed": store}],
        }

    # --- where ------------------------------------------------------------------------------------------------------

    def _parameters(self) -> dict[str, str]:
        found: dict[str, str] = {}
        parameters = self._part.part("parameters")
        for name in parameters.names:
            parameter = parameters.part(name)
            default = parameter.text("default")
            parameter.node("type")
            parameter.done(tool=TOOL)
            if default is None:
                parameter.note("has no default: give it with --set vars." + name + "=VALUE")
            found[name] = default or ""
        return found

    def _filled(self, text: str) -> str:
        """`%<id>s` as `${id}`."""
        pieces, end = [], 0
        for match in _PLACEHOLDER.finditer(text):
            name = match[1] or match[2]
            pieces.append(text[end : match.start()].replace("${", "$${"))
            end = match.end()
            if name is None:
                pieces.append("%")
                continue
            if name not in self._vars:
                self._part.note(f"%<{name}>s is no parameter with a default: give it with --set vars.{name}=VALUE")
                self._vars[name] = ""
            if not re.fullmatch(r"[^-+ 0#\d]*s|.*\}", match[0].rpartition(">")[2]):
                self._part.note(f"{match[0]} is put in as it is spelt, without padding")
            pieces.append(f"${{{name}}}")
        return Raw("".join(pieces) + text[end:].replace("${", "$${")) if pieces else text

    def _check_url(self, channel: Part, url: str) -> None:
        plain = re.sub(r"\$\{(\w+)\}", lambda match: self._vars.get(match[1]) or "x", url)
        if url and not ((found := normalise(plain)) and found.startswith(("http://", "https://"))):
            channel.source.wrong(channel.mark, "channel.url", "an http or https URL", repr(str(url)))

    def _is_json(self) -> bool:
        accept = next((value for name, value in self._headers.items() if name.lower() == "accept"), "")
        selector = self._part.part("selectors").part("items").text("selector") or ""
        return "json" in str(accept) or bool(re.search(r"(?:^|[\s>])(?:array|object)\b", selector))

    def _each(self, items: Part, json: bool) -> Any:
        selector = items.text("selector", needed=True) or ""
        try:
            return {"json": selectors.jmespath(selector, many=True)[0]} if json else selectors.css(selector)
        except ValueError as error:
            items.note(f"{selector!r} cannot be said: {error}; nothing is taken", "selector")
            return _NOTHING

    # --- how --------------------------------------------------------------------------------------------------------

    def _fetcher(self) -> Spec:
        strategy = self._part.text("strategy") or "faraday"
        if strategy == "auto":
            self._part.note("without a browser; take 'fetcher: browser' if the page needs one", "strategy")
        elif strategy not in ("faraday", *_BROWSERS):
            self._part.note(f"{strategy!r} cannot be said; the page is fetched as with faraday", "strategy")
        request = self._part.part("request")
        options = _preload(request.part("browserless").part("preload"))
        botasaurus = request.part("botasaurus")
        if selector := botasaurus.text("wait_for_selector"):
            options.append({"wait_for": selector})
        for name in list(botasaurus.rest()):
            botasaurus.note("is botasaurus' own", name)
        if strategy not in _BROWSERS:
            if options:
                self._part.note(f"is used with a browser only: {options}", "request")
            return {}
        return {"fetcher": {"browser": {"actions": options}} if options else "browser"}

    def _request(self) -> dict[str, Spec]:
        request = self._part.part("request")
        redirects, most = request.number("max_redirects"), request.number("max_requests")
        seconds = request.number("total_timeout_seconds")
        if request.text("local_file_path"):
            request.note("a saved page goes into 'tests' as a fixture", "local_file_path")
        request.part("browserless"), request.part("botasaurus")
        request.done(tool=TOOL)
        limits: Spec = {"pages": most} if most else {}
        if seconds:
            limits["time"] = f"{seconds}s"
        return {"fetch": {"redirects": redirects} if redirects is not None else {}, "limits": limits}

    def _pagination(self, items: Part, url: str) -> tuple[str, Spec]:
        """The seed, which may have a page number in it, and how the next page is found."""
        if isinstance(items.node("pagination"), Mapping):
            part = items.part("pagination")
        elif (most := items.number("pagination")) is not None:
            return url, _limited({"css": _REL_NEXT, "index": 0, "page": "list"}, most)
        else:
            return url, {}
        seed, follow = _next_page(part, url)
        return seed, _limited(follow, part.number("max_pages"))

    # --- what comes out ---------------------------------------------------------------------------------------------

    def _store(self, channel: Part, items: Part, url: str, fields: Fields) -> Spec:
        plain = urlsplit(re.sub(r"\$\{(\w+)\}", lambda match: self._vars.get(match[1], ""), url))
        title = channel.text("title")
        if title is None:
            channel.note("html2rss takes the page's title; here it is the address", "title")
        store: Spec = {
            "path": f"{self._name}.xml",
            "title": self._filled(title) if title else f"{plain.hostname}{plain.path}".rstrip("/"),
            "link": Raw(url) if "${" in url else url,
        }
        for name in ("description", "language", "author"):
            if text := channel.text(name):
                store[name] = self._filled(text)
        if ttl := channel.number("ttl"):
            store["ttl"] = ttl
        store["order"] = "reverse" if items.text("order") == "reverse" else "as_is"
        if sheets := [_stylesheet(part) for part in self._part.parts("stylesheets")]:
            store["stylesheets"] = sheets
        return store | fields.mapping()

    def _unsayable(self, items: Part) -> None:
        if items.flag("enhance") is not False and self._part.flag("enhance") is not False and items:
            items.note(
                "html2rss fills fields without a value by guessing from the page; here they stay empty", "enhance"
            )
        self._part.flag("enhance")
        items.done(tool=TOOL)
        if self._part.data("auto_source") is not None or "auto_source" in self._part.names:
            more = "" if items else "; 'hookline init --from URL' drafts fields"
            self._part.note("items are found by selectors only, never by guessing" + more, "auto_source")


_REL_NEXT = 'link[rel~="next"], a[rel~="next"]'


def _headers(part: Part) -> Spec:
    return {name: part.text(name) or "" for name in part.names}


def _limited(follow: Spec, most: int | None) -> Spec:
    if most is None:
        return follow
    return {} if most <= 1 or not follow else {**follow, "limit": most - 1}


def _next_page(part: Part, url: str) -> tuple[str, Spec]:
    strategy = part.text("strategy") or "rel_next"
    if strategy == "rel_next":
        return url, {"css": _REL_NEXT, "index": 0, "page": "list"}
    if strategy == "custom_selector":
        return url, _by_selector(part)
    if strategy == "url_template":
        return _by_number(part, url, "page", ("start_page", 1), part.number("step") or 1)
    if strategy == "offset":
        return _by_number(part, url, "offset", ("start_offset", 0), part.number("increment") or 20)
    if strategy == "json_cursor":
        return url, _by_cursor(part)
    part.note(f"{strategy!r} cannot be said; the next page is not followed", "strategy")
    return url, {}


def _by_selector(part: Part) -> Spec:
    selector = part.text("selector", needed=True) or ""
    if (selector.startswith(("/", "./", "(")) or "::" in selector) and _is_xpath(selector):
        return {"xpath": selector, "index": 0, "page": "list"}
    try:
        return {"css": selectors.css(selector), "index": 0, "page": "list"}
    except ValueError as error:
        part.note(f"{selector!r} cannot be said: {error}; the next page is not followed", "selector")
        return {}


def _is_xpath(text: str) -> bool:
    from pipeline.stages.xpath import XPath  # noqa: PLC0415 - lxml is for sources that have one

    try:
        XPath(text)
    except ValueError:
        return False
    return True


def _by_number(part: Part, url: str, name: str, start: tuple[str, int], step: int) -> tuple[str, Spec]:
    given = part.number(start[0])
    first = start[1] if given is None else given
    number: Spec = {"start": first, "step": step}
    place = rf"(?<!\$)\{{{name}\}}"  # not ${{name}}, which is a parameter
    if re.search(place, url):
        seed, target = (type(url)(re.sub(place, value, url)) for value in (str(first), "{value}"))
        return seed, {"number": number, "url": target, "page": "list"}
    return url, {"number": number, "param": part.text("param") or name, "page": "list"}


def _by_cursor(part: Part) -> Spec:
    link, cursor = part.text("next_url_path"), part.text("cursor_path")
    param = part.text("param") or "cursor"
    if link and cursor:
        part.note("is asked where next_url_path gives nothing; here it is not", "cursor_path")
    if link:
        return {"json": link, "page": "list"}
    return {"json": cursor or "next", "param": param, "page": "list"}


def _preload(preload: Part) -> list[Spec]:
    """What a browser does before the page is read."""
    actions: list[Spec] = []
    if (wait := preload.number("wait_after_ms")) is not None:
        actions.append({"wait": duration(wait)})
    for click in preload.parts("click_selectors"):
        action: Spec = {"click": click.text("selector", needed=True)}
        times, pause = click.number("max_clicks"), _pause(click)
        actions.append(action | ({"times": times} if times else {}) | ({"wait": duration(pause)} if pause else {}))
    if "scroll_down" in preload:
        scroll = preload.part("scroll_down")
        times, pause = scroll.number("iterations"), _pause(scroll)
        more = ({"times": times} if times else {}) | ({"wait": duration(pause)} if pause else {})
        actions.append({"scroll": "bottom", **more})
    if "wait_for_network_idle" in preload:
        idle = preload.part("wait_for_network_idle").number("timeout_ms")
        actions.append({"wait": duration(idle or 5000)})
    preload.done(tool=TOOL)
    return actions


def _pause(part: Part) -> int | None:
    found = part.number("wait_after_ms")
    return part.number("delay_ms") if found is None else found


def _stylesheet(part: Part) -> Spec:
    sheet = {"href": part.text("href", needed=True) or "", "type": part.text("type") or "text/xsl"}
    media = part.text("media")
    part.done(tool=TOOL)
    return sheet | ({"media": media} if media else {})
