"""Scrapers of goskyr: one document each.

An item of goskyr may be read from a list and from pages that it links to (`on_subpage`): the list's page rule follows
these links and carries along what it has read, and the last page of the chain gives the item.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pipeline.config.nodes import Mapping, kind
from pipeline.importing import selectors
from pipeline.importing.document import Document, safe_name
from pipeline.importing.fields import Spec, document_fields, duration, field_name, first_of, followed, ordered
from pipeline.importing.goskyr_fields import TOOL, read_field, read_location
from pipeline.importing.regexes import go_regex
from pipeline.importing.source import Part, Source
from pipeline.url import normalise

_NOTHING = ":not(*)"  # a selector that matches nothing, in place of one that cannot be said
_WORDS = {"type", "and", "or", "not", "in", "is", "if", "else", "for", "lambda", "true", "false", "null", "now"}
_OPERATORS = {">", "<"}


def translate(tree: Mapping, file: str) -> list[Document]:
    """All scrapers of a file. Raises ConfigError for what is no config of goskyr's."""
    source = Source(file)
    root = Part(source, tree, "", tree.mark)
    common = _common(root)
    scrapers = root.parts("scrapers")
    if not scrapers:
        found = kind(root.node("scrapers"))
        source.wrong(tree.mark, "scrapers", "a list of scrapers", found)
    root.done(("scrapers", "global", "writer"), TOOL)
    shared, documents = source.notes, []
    names: list[str] = []
    for scraper in scrapers:
        source.notes = list(shared)
        title = scraper.text("name") or ""
        names.append(safe_name(title, names, "scraper"))
        origin = f"Imported from goskyr: scraper {title or names[-1]} of {file.rpartition('/')[2]}"
        data = _Scraper(scraper, common, names[-1]).data()
        documents.append(Document(names[-1], origin, data, source.notes))
    source.check()
    return documents


def _common(root: Part) -> dict[str, Any]:
    """What the file says for all its scrapers: the user agent and where the items go."""
    glob, writer = root.part("global"), root.part("writer")
    agent = glob.text("user_agent") or glob.text("user-agent")
    if glob.text("debug_dir"):
        glob.note("pages are not kept for debugging; see hookline try --save-fixture", "debug_dir")
    glob.done(tool=TOOL)
    target, folder = writer.text("type"), writer.text("filedir")
    path = writer.text("filepath")
    if target not in (None, "stdout", "file"):
        writer.note(f"items go to a file instead of a writer {target!r}; a plugin can send them on")
    for key in list(writer.rest()):
        writer.node(key)
        writer.note("belongs to that writer", key)
    return {"agent": agent, "folder": folder, "path": path}


class _Scraper:
    """One scraper on its way to a config."""

    def __init__(self, part: Part, common: dict[str, Any], name: str) -> None:
        self._part = part
        self._common = common
        self._name = name
        self._fields: dict[str, Spec] = {}  # as they are read, `required` included
        self._subpages: dict[str, dict[str, Spec]] = {}  # field with the URL -> fields found there
        self._kinds: dict[str, str] = {}
        self._hidden: list[str] = []
        self._agent: str | None = None
        self._browser: Spec | None = None  # options of the fetcher of all pages
        self._actions: list[Spec] = []

    def data(self) -> dict[str, Any]:
        part = self._part
        url = part.text("url", needed=True) or ""
        if url and not ((found := normalise(url)) and found.startswith(("http://", "https://"))):
            part.source.wrong(part.mark, f"{part.where}.url", "an http or https URL", repr(url))
        self._read_fetcher()
        each = self._each()
        for field in _field_parts(part):
            self._read_field(field)
        if not self._fields and not self._subpages:
            part.note("has no fields")
        pages = self._pages(each)
        filters = self._filters()
        part.done(("name", "url", "item", "fields", "filters", "paginator", "interaction", "fetcher"), TOOL)
        return {
            "name": self._name,
            "seeds": [{"url": url, "page": "list"}],
            "fetch": {"user_agent": self._agent} if self._agent else {},
            "pages": pages,
            "filter": filters,
            "store": [{"jsonl": self._output()}],
        }

    def _output(self) -> str:
        if self._common["path"]:
            self._part.source.note("writer.filepath", "one JSON object a line, not one list")
            return re.sub(r"\.json$", ".jsonl", str(self._common["path"]))
        folder = self._common["folder"]
        return f"{folder.rstrip('/')}/{self._name}.jsonl" if folder else f"{self._name}.jsonl"

    # --- fetching ----------------------------------------------------------------------------------------------------

    def _read_fetcher(self) -> None:
        fetcher = self._part.part("fetcher")
        kind, wait = fetcher.text("type") or "static", fetcher.number("page_load_wait_ms")
        self._agent = fetcher.text("user_agent") or self._common["agent"]
        for old in ("render_js", "renderJs", "renderJS"):
            kind = "dynamic" if self._part.flag(old) else kind
        for old, unit in (("page_load_wait_sec", 1000), ("page_load_wait", 1)):
            seconds = self._part.number(old) if old in self._part else fetcher.number(old)
            wait = seconds * unit if seconds is not None else wait
        if fetcher.text("debug_dir"):
            fetcher.note("pages are not kept for debugging; see hookline try --save-fixture", "debug_dir")
        if fetcher.node("mock_pages"):
            fetcher.note("made-up pages go into tests with fixtures", "mock_pages")
        if kind not in ("static", "dynamic"):
            fetcher.note(f"{kind!r} cannot be said; pages are fetched as with static", "type")
        fetcher.done(tool=TOOL)
        actions = [action for part in self._interactions() if (action := _action(part))]
        if kind == "dynamic":
            self._browser = {"wait": duration(wait)} if wait else {}
            self._actions = actions
        elif actions or wait:
            self._part.note(
                "the fetcher is static, so goskyr neither waits nor acts; take 'fetcher: browser' if it should:"
                f" {[*([{'wait': duration(wait)}] if wait else []), *actions]}"
            )

    def _interactions(self) -> list[Part]:
        return [part for key in ("interaction", "interactions") for part in self._part.parts(key, lone=True)]

    def _fetcher(self, more: Spec | None = None) -> Spec:
        """`fetcher:` of a page rule, if it is not the usual one."""
        if self._browser is None:
            return {}
        options = {key: value for key, value in {**self._browser, **(more or {})}.items() if value}
        return {"fetcher": {"browser": options} if options else "browser"}

    # --- fields ------------------------------------------------------------------------------------------------------

    def _each(self) -> str:
        selector = self._part.text("item", needed=True) or ""
        excluded = self._part.texts("exclude_with_selector")
        try:
            each = selectors.css(selector, any_case=True)
            for other in excluded:
                several = len(selectors.parts(each)) > 1
                each = (f":is({each})" if several else each) + f":not({other}, :has({other}))"
            return selectors.css(each, any_case=True)
        except ValueError as error:
            self._part.note(f"{selector!r} cannot be said: {error}; nothing is taken", "item")
            return _NOTHING

    def _read_field(self, field: Part) -> None:
        name = field.text("name", needed=True)
        if not name:
            return
        field.where = f"{self._part.where}.fields.{name}"
        safe = field_name(name)
        if safe != name:
            field.note(f"is called {safe!r} here")
        kind, page = field.text("type") or "text", field.text("on_subpage")
        spec = read_field(field)
        empty = field.flag("can_be_empty")
        if field.flag("hide"):
            self._hidden.append(safe)
        for key in ("separator", "transform", "guess_year", "date_location", "date_language"):
            if key in field and key in set(field.rest()):
                field.note("has no effect on such a field", key)
                field.node(key)
        field.done(("can_be_empty", "location", "components", "on_subpage", "hide"), TOOL)
        if not spec:
            return
        if "value" not in spec and (kind == "date" or not empty):
            spec["required"] = True
        self._kinds[safe] = kind
        self._put(safe, spec, page, field)

    def _put(self, name: str, spec: Spec, page: str | None, field: Part) -> None:
        home = self._subpages.setdefault(page, {}) if page and set(spec) - {"required"} != {"value"} else self._fields
        earlier = [fields.pop(name) for fields in (self._fields, *self._subpages.values()) if name in fields]
        home[name] = self._twice(name, earlier[0], spec, home) if earlier else spec
        if earlier:
            field.note("stands more than once; the last one counts, an earlier one where it gives nothing")

    def _twice(self, name: str, earlier: Spec, last: Spec, home: dict[str, Spec]) -> Spec:
        before, after = _bare(earlier), _bare(last)
        if home is not self._fields and "value" not in before:  # the earlier one is read before the link is followed
            self._fields[f"{name} (list)"] = before
            before = {"carry": f"{name} (list)"}
        needed = earlier.get("required") and last.get("required")
        return first_of([after, before]) | ({"required": True} if needed else {})

    # --- pages -------------------------------------------------------------------------------------------------------

    def _pages(self, each: str) -> dict[str, Any]:
        follow = self._paginator()
        first: dict[str, Any] = self._fetcher({"actions": self._actions, "paginate": self._clicked(follow)})
        names = self._page_names()
        pages: dict[str, Any] = {"list": first}
        if not names:
            first["items"] = [{"each": each, "fields": document_fields(self._fields)}] if self._fields else []
        else:
            source = next(iter(names))
            link = {"each": each, **followed(self._fields[source]), "page": names[source]}
            carry = document_fields(_carried(self._fields))
            follow = [{**link, **({"carry": carry} if carry else {})}, *follow]
            pages |= self._details(names)
        if "fetcher" in first:
            follow = [rule for rule in follow if rule.get("page") != "list"]
        first["follow"] = follow
        pages["list"] = {key: value for key, value in first.items() if value not in ([], None)}
        return pages

    def _page_names(self) -> dict[str, str]:
        """Field with the URL -> page rule, for the subpages that can be reached."""
        names: dict[str, str] = {}
        for field in list(self._subpages):
            if field in self._fields or any(field in self._subpages[one] for one in names):
                wanted = "detail" if len(self._subpages) == 1 else f"detail-{field}"
                names[field] = safe_name(wanted, names.values(), "detail")
            else:
                lost = ", ".join(self._subpages.pop(field))
                self._part.note(f"on_subpage: no field {field!r} with the URL, so these cannot be found: {lost}")
        return names

    def _details(self, names: dict[str, str]) -> dict[str, Any]:
        """The pages of the chain; the last one gives the item."""
        pages: dict[str, Any] = {}
        known = dict(self._fields)
        chain = list(names)
        for number, field in enumerate(chain):
            own = self._subpages[field]
            before = {name: _handed(name, spec) for name, spec in known.items()}
            rule = self._fetcher()
            if number + 1 < len(chain):
                target = chain[number + 1]
                link = followed(before[target] if target in before else own[target])
                carry = document_fields(_carried(before) | _carried(own))
                rule["follow"] = [{**link, "page": names[target], "carry": carry}]
            else:
                fields = {name: {**before, **own}[name] for name in [*self._order(before, own)]}
                rule["items"] = [{"fields": document_fields(fields)}]
            known |= own
            pages[names[field]] = rule
        return pages

    def _order(self, *homes: dict[str, Spec]) -> Iterable[str]:
        """Field names as the source has them in order, without those that only helped."""
        there = {name for home in homes for name in home}
        return [name for name in self._kinds if name in there]

    # --- pages of a list ---------------------------------------------------------------------------------------------

    def _paginator(self) -> list[Spec]:
        paginator = self._part.part("paginator")
        if not paginator:
            return []
        pages = paginator.number("max_pages") or 0
        location = paginator.part("location")
        spec = read_location(location, "href") if "selector" in location else {}
        paginator.done(tool=TOOL)
        if not spec or spec.get("css", "").startswith("::"):
            paginator.note("names no link that could be followed", "location")
            return []
        if pages == 1:
            paginator.note("one page is all there is with 1; nothing is followed", "max_pages")
            return []
        link = {**followed(spec), "index": spec.get("index", 0), "page": "list"}
        if list(spec) == ["css"]:
            link["css"] = re.sub(r"::attr\(href\)", "", link["css"])
        return [{**link, "limit": pages - 1} if pages else link]

    def _clicked(self, follow: list[Spec]) -> Spec | None:
        """Where a browser fetches, goskyr clicks on the link to the next page instead of following it."""
        if self._browser is None or not follow:
            return None
        selector = self._part.part("paginator").part("location").text("selector") or ""
        pages = self._part.part("paginator").number("max_pages")
        return {"click": selector} | ({"pages": pages} if pages else {})

    # --- filters -----------------------------------------------------------------------------------------------------

    def _filters(self) -> list[Spec]:
        wanted: list[str] = []
        found: list[Spec] = []
        for part in self._part.parts("filters"):
            name, keep = part.text("field", needed=True) or "", part.flag("match")
            old = part.text("regex")
            expression = part.text("exp", needed=old is None) or old or ""
            part.done(tool=TOOL)
            test = self._test(part, name, expression)
            if test and keep:
                wanted.append(test)
            elif test:
                found.append({"where": f"not {test}" if test.startswith(("matches(", "(")) else f"not ({test})"})
        if wanted:
            found.insert(0, {"where": " or ".join(dict.fromkeys(wanted))})
        if hidden := [name for name in dict.fromkeys(self._hidden) if name in self._given()]:
            found.append({"omit": hidden})
        return found

    def _given(self) -> set[str]:
        """Names of the fields that could be said."""
        return {name for fields in (self._fields, *self._subpages.values()) for name in fields}

    def _test(self, part: Part, name: str, expression: str) -> str:
        """One filter as a term of `where`."""
        if name not in self._given():
            part.note(f"filters by {name!r}, which is no field: {expression!r}")
            return ""
        plain = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name.lower() not in _WORDS
        field = name if plain else f"field({_quoted(name)})"
        if self._kinds[name] == "date":
            sign, _, moment = expression.partition(" ")
            if sign not in _OPERATORS or not moment:
                part.note(f"{expression!r} is not '< MOMENT' or '> MOMENT'")
                return ""
            return f"{field} {sign} {'now' if moment == 'now' else _quoted(moment)}"
        try:
            pattern = go_regex(expression)
            if re.search(pattern, ""):  # goskyr takes a missing value for an empty text
                return f"(not exists({_quoted(name)}) or matches({field}, {_quoted(pattern)}))"
            return f"matches({field}, {_quoted(pattern)})"
        except ValueError as error:
            part.note(f"{expression!r} cannot be said: {error}")
            return ""


def _field_parts(part: Part) -> list[Part]:
    """The fields; in old files they stand under `static` and `dynamic`."""
    if isinstance(part.node("fields"), Mapping):
        fields = part.part("fields")
        return [each for key in ("static", "dynamic") for each in fields.parts(key)]
    return part.parts("fields")


def _action(part: Part) -> Spec:
    kind, wait = part.text("type") or "", part.number("delay")
    selector, count = part.text("selector"), part.number("count")
    part.done(tool=TOOL)
    if kind == "click" and selector:
        action: Spec = {"click": selector}
    elif kind == "scroll":
        action = {"scroll": "bottom"}
    else:
        part.note(f"goskyr knows no interaction {kind!r}" if kind != "click" else "a click needs a selector")
        return {}
    return action | ({"times": count} if count else {}) | ({"wait": duration(wait)} if wait else {})


def _carried(fields: dict[str, Spec]) -> dict[str, Spec]:
    """What a link takes along: constants can stand where they are needed."""
    return {name: ordered(_bare(spec)) for name, spec in fields.items() if "value" not in spec}


def _bare(spec: Spec) -> Spec:
    """Without `required`, which is of items, not of parts and links."""
    return {key: value for key, value in spec.items() if key != "required"}


def _handed(name: str, spec: Spec) -> Spec:
    """A field that an earlier page has read."""
    if "value" in spec:
        return spec
    return {"carry": name} | ({"required": True} if spec.get("required") else {})


def _quoted(text: str) -> str:
    """A text of `where`: there is no escape for quotes in it."""
    if "'" not in text:
        return f"'{text}'"
    return f'"{text}"' if '"' not in text else "'" + text.replace("'", r"\x27") + "'"
