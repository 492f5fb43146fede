"""Does a plugin behave: the same page twice gives the same, pages are left alone, what comes out can be stored.

The hooks are called through the host's own `PageRunner`, so that what passes here passes in a run. The pages are ours
(`corpus/`): a listing, a product, sloppy markup, an empty page, a feed, JSON, Latin-1 text; and an author's.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from pipeline.model import MAX_BODY, Item, Links, PageJob, PageResult, Request, Rows
from pipeline.packing import pack, unpack_links
from pipeline.stages.chains import Step, adapt
from pipeline.stages.fetchers import bringer
from pipeline.stages.host import SLOW
from pipeline.stages.jobs import PageRunner, RuleBook
from pipeline.stages.page import Page
from pipeline.stages.validate import Marked
from pipeline.testing.findings import Finding
from pipeline.testing.pages import make_page, make_run
from pipeline.testing.stores import VALUES, StoreContract

CORPUS: Final = Path(__file__).with_name("corpus")
SLOW_PAGE: Final = 0.05  # seconds a page of ours (all are small), from which a crawl would notice
_TYPES: Final = {".html": "text/html; charset=utf-8", ".xml": "application/rss+xml", ".json": "application/json"}
_ITEMS: Final = [Item("book", title="Dune", price=9.5, url="http://site.test/book/1"), Item(), *VALUES]

_ADDRESS: Final = re.compile(r"0x[0-9a-f]{6,}")

Make = Callable[[], tuple[Any, list[Marked]]]


def pages(more: Sequence[str] = ()) -> Iterator[tuple[str, Callable[[], Page]]]:
    """(name, a maker of that page) for each page of the corpus, and for the files of an author."""
    for path in [*sorted(CORPUS.iterdir()), *map(Path, more)]:
        kind = _TYPES.get(path.suffix, "text/plain")
        body = path.read_bytes()
        yield (
            path.name,
            lambda body=body, kind=kind, path=path: make_page(  # type: ignore[misc]
                body, f"http://site.test/{path.name}", headers={"Content-Type": kind}
            ),
        )


def examine(name: str, make: Make, more: Sequence[str] = ()) -> Iterator[Finding]:
    """All that can be found out of a plugin's page hooks. `make` builds the object anew."""
    _, hooks = make()
    have = {hook.hook for hook in hooks}
    if have & {"parse", "classify", "admit"}:
        yield from _pages(name, make, more)
    if "process_item" in have:
        yield from _items(name, make, more)
    if "prepare_request" in have:
        yield from _requests(name, make)
    if "seeds" in have:
        yield from _seeds(name, make)
    if untried := [hook for hook in ("run_start", "run_finish") if hook in have]:
        yield Finding("note", name, f"not tried: {', '.join(untried)}, which may reach out")


# --- pages -----------------------------------------------------------------------------------------------------------


def _runner(name: str, hooks: Sequence[Marked], source: Callable[[Page], Any] | None = None) -> PageRunner:
    def steps(hook: str) -> list[Step]:
        return [Step(name, hook, adapt(one.function, hook, one.arguments)) for one in hooks if one.hook == hook]

    parse = steps("parse") if source is None else [Step("check", "parse", source)]
    book = RuleBook({"page": {"match": None}})
    return PageRunner(
        classify=steps("classify"),
        parse=parse,
        process_item=steps("process_item"),
        admit=steps("admit"),
        book=book,
        run=make_run(),
    )


def _outcome(runner: PageRunner, page: Page) -> PageResult:
    headers = list(page.headers.raw)
    return runner(PageJob(page.url, page.status, headers, page.body, rule="page", carry={"rating": "Three"}))


def _told(result: PageResult) -> tuple[Any, ...]:
    """What of a result must be the same every time."""
    dead = [(letter.type, _plain(letter.fields), _plain(letter.fault.message)) for letter in result.dead]
    requests = unpack_links(pack(result).links)
    items = [(record.type, repr(record.fields)) for record in result.items]
    return result.verdict, items, requests, result.dropped, dead, result.fault and _plain(result.fault.message)


def _plain(text: str) -> str:
    """`text` without addresses in memory, which are others every time."""
    return _ADDRESS.sub("0x...", text)


def _pages(name: str, make: Make, more: Sequence[str]) -> Iterator[Finding]:
    hooks = make()[1]
    wants_links = any(hook.hook == "admit" for hook in hooks) and not any(hook.hook == "parse" for hook in hooks)
    runner = _runner(name, hooks, _links if wants_links else None)
    wrong: list[tuple[str, str, str]] = []
    items = links = 0
    seconds = []
    for title, page in pages(more):
        start = perf_counter()
        first = _outcome(runner, page())
        seconds.append(perf_counter() - start)
        items, links = items + len(first.items), links + len(first.links)
        if first.fault is not None:
            wrong.append((f"{name}: pages", title, f"{first.fault.hook}: {first.fault.message}"))
        wrong += [(f"{name}: items", title, one.fault.message) for one in first.dead[:1]]
        if _told(first) != _told(_outcome(runner, page())):
            wrong.append((f"{name}: same page twice", title, "it gives something else the second time"))
        wrong += [(f"{name}: page", title, text) for text in _changes(hooks, page)]
    yield from _together(wrong)
    if not wrong:
        many = f"{len(seconds)} pages gave {items} items and {links} links, the same twice; pages and run unchanged"
        yield Finding("ok", f"{name}: pages", many)
    yield _pace(name, max(seconds), sum(seconds) / len(seconds))


def _pace(name: str, longest: float, mean: float) -> Finding:
    text = f"{mean * 1000:.2f} ms a page, {longest * 1000:.1f} ms the slowest"
    return Finding("note" if longest > SLOW_PAGE else "ok", f"{name}: time", text)


def _together(found: Sequence[tuple[str, str, str]]) -> Iterator[Finding]:
    """(about, page, message): what is wrong with many pages in one way is told once."""
    titles: dict[tuple[str, str], list[str]] = {}
    for about, title, message in found:
        titles.setdefault((about, _ADDRESS.sub("0x...", message)), []).append(title)
    for (about, message), on in titles.items():
        rest = f" and {len(on) - 1} more" if len(on) > 1 else ""
        yield Finding("wrong", about, f"on {on[0]}{rest}: {message}")


def _links(page: Page) -> Iterator[Request]:
    yield from map(Request, page.links)


def _changes(hooks: Sequence[Marked], make: Callable[[], Page]) -> Iterator[str]:
    """A page, looked at before and after: others get the same one."""
    page, fresh = make(), make()
    for hook in hooks:
        values = {"page": page, "item": Item("book", title="x"), "requests": list(_links(page))}
        if hook.hook not in ("classify", "parse", "process_item", "admit"):
            continue
        try:
            answer = hook.function(*[values[argument] for argument in hook.arguments])
            list(answer or ()) if hook.hook == "parse" and not isinstance(
                answer, dict | Rows | Request | Links
            ) else None
        except Exception:
            continue
        for what in _differences(page, fresh):
            yield f"{hook.hook} changes {what}; later plugins get that"


def _differences(page: Page, fresh: Page) -> Iterator[str]:
    plain = {one: getattr(page, one) for one in ("url", "status", "body", "rule", "text", "links")}
    yield from (f"page.{one}" for one, value in plain.items() if value != getattr(fresh, one))
    if page.headers.raw != fresh.headers.raw or dict(page.headers) != dict(fresh.headers):
        yield "page.headers"
    if dict(page.carry) != dict(fresh.carry):
        yield "page.carry"
    if page.run != fresh.run:
        yield "page.run"
    if page.kind == "html" and (page.tree.html != fresh.tree.html or str(page.soup) != str(fresh.soup)):
        yield "the tree"


# --- items -----------------------------------------------------------------------------------------------------------


def _items(name: str, make: Make, more: Sequence[str]) -> Iterator[Finding]:
    def source(page: Page) -> Iterator[Item]:
        for item in _ITEMS:
            yield Item(item.type, dict(item))

    results, title = [], ""
    for title, page in list(pages(more))[:2]:
        for _ in range(2):  # a new object each time: what sees all items (`single`) begins anew with each result
            own = [hook for hook in make()[1] if hook.hook == "process_item"]
            results.append(_outcome(_runner(name, own, source), page()))
        if _told(results[-1]) != _told(results[-2]):
            text = f"the same items on {title} come to something else the second time"
            yield Finding("wrong", f"{name}: same items twice", text)
            return
    result = results[0]
    bad = {letter.fault.message: letter for letter in result.dead}
    for message in bad:
        broken = "answered" in message or "cannot be stored" in message or "not a text" in message
        yield Finding("wrong" if broken else "note", f"{name}: items", f"dead letter: {message}")
    dropped, dead = sum(result.dropped.values()), len(result.dead)
    text = (
        f"of {len(_ITEMS)} items of all kinds {len(result.items)} stay, {dropped} are dropped, {dead} are dead letters"
    )
    yield Finding("ok", f"{name}: items", text)
    for where, make_one in list(pages())[:1]:
        changes = _changes([hook for hook in make()[1] if hook.hook == "process_item"], make_one)
        yield from _together([(f"{name}: page", where, text) for text in changes])


# --- requests and seeds ----------------------------------------------------------------------------------------------


def _requests(name: str, make: Make) -> Iterator[Finding]:
    hook = next(hook for hook in make()[1] if hook.hook == "prepare_request")
    given = Request("http://site.test/x", headers={"A": "b"}, page="page")
    start = perf_counter()
    try:
        answer = hook.function(*([given] if hook.arguments else []))
    except Exception as error:
        yield Finding("wrong", f"{name}: prepare_request", f"{type(error).__name__}: {error}")
        return
    spent = perf_counter() - start
    if answer is not None and not isinstance(answer, Request):
        yield Finding("wrong", f"{name}: prepare_request", f"answered {answer!r:.80}; expected a Request or None")
    elif spent > SLOW:
        yield Finding("wrong", f"{name}: prepare_request", f"took {spent * 1000:.0f} ms; every request waits for it")
    else:
        yield Finding("ok", f"{name}: prepare_request", f"{spent * 1000:.2f} ms")


def _seeds(name: str, make: Make) -> Iterator[Finding]:
    found = []
    for _ in range(2):
        hook = next(hook for hook in make()[1] if hook.hook == "seeds")
        try:
            found.append(list(hook.function(*([make_run()] if hook.arguments else [])) or ()))
        except Exception as error:
            yield Finding("wrong", f"{name}: seeds", f"{type(error).__name__}: {error}")
            return
    strange = [one for one in found[0] if not isinstance(one, Request)]
    if strange:
        yield Finding("wrong", f"{name}: seeds", f"gave {strange[0]!r:.80}; expected Requests")
    elif found[0] != found[1]:
        yield Finding("note", f"{name}: seeds", "gave other requests the second time")
    else:
        yield Finding("ok", f"{name}: seeds", f"{len(found[0])} requests, the same twice")


def fetches(name: str, make: Callable[[], list[Marked]], urls: Sequence[str]) -> Iterator[Finding]:
    """A fetcher, asked for each of these URLs as a run asks it."""
    hook = next(hook for hook in make() if hook.hook == "fetch")
    step = Step(name, "fetch", adapt(hook.function, hook.hook, hook.arguments))
    for url in urls:
        brought = bringer({"": step}, MAX_BODY)(Request(url))
        about = f"{name}: fetch {url}"
        if brought.fault is not None:
            yield Finding("wrong", about, brought.fault.message)
        elif brought.failure is not None:
            yield Finding("note", about, brought.failure[1])
        else:
            text = (
                f"status {brought.status}, {len(brought.body):,} bytes, {sum(brought.seconds.values()) * 1000:.1f} ms"
            )
            yield Finding("ok", about, text)


def _content(path: Path) -> Any:
    """The bytes of a file; of a database what is in it, since its bytes also count its changes."""
    data = path.read_bytes()
    if not data.startswith(b"SQLite format 3"):
        return data
    with closing(sqlite3.connect(path)) as database:
        return [line for line in database.iterdump() if "_hookline_" not in line]


# --- stores ----------------------------------------------------------------------------------------------------------


def store_contract(name: str, build: Callable[[Path, Any], Any]) -> Iterator[Finding]:
    """The rules of `StoreContract`, with the bytes in the folder as what a reader sees. `build(path, run)`."""

    class Contract(StoreContract):
        def make_store(self, folder: Path, run: Any) -> Any:
            return build(folder / "output", run)

        def read(self, folder: Path) -> Any:
            files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
            return [(str(path.relative_to(folder)), _content(path)) for path in files]

    rules = [rule for rule in dir(StoreContract) if rule.startswith("test_")]
    kept = 0
    for rule in rules:
        folder = Path(tempfile.mkdtemp(prefix="hookline-check-"))
        try:
            getattr(Contract(), rule)(folder)
            kept += 1
        except Exception as error:
            about = f"{name}: {rule.removeprefix('test_').replace('_', ' ')}"
            yield Finding("wrong", about, str(error) or type(error).__name__)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    yield Finding(
        "ok" if kept == len(rules) else "note", f"{name}: store", f"{kept} of {len(rules)} rules of stores kept"
    )
