"""The hooks: the menu of what a plugin can do, each with its contract (spec, section 4).

A plugin implements a hook by a function of its name, marked `@hookimpl`, with any of the arguments below. The order of
plugins in the YAML file is the order of calls. *Kinds*: a **notify** hook's answer is ignored; a **collect** hook's
answers are put together; the **first result** that is not None counts; in a **chain** each plugin gets what the one
before it left. *Parent* is the process that fetches; *worker* is the process in which a page is parsed (the parent
itself with `workers: 0`); *store process* is the one that publishes. State kept on a plugin object is per process.

*Time.* Where there are workers, all work on a page may take `limits.page_time`, and so may a call of `prepare_request`
and of a filter at publish; any other call (of a store, or once a run) may take ten times that (`time_for`). A process
that takes longer is killed; a hook of the parent is interrupted, as if it had raised.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, Literal

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.model import Drop, Item, Links, Reply, Request, Rows
    from pipeline.stages.page import Page
    from pipeline.stages.registry import Registry
    from pipeline.stages.runinfo import RunInfo

    Found = Item | dict[str, Any] | Rows | Request | Links

PROJECT: Final = "hookline"
hookspec: Final = pluggy.HookspecMarker(PROJECT)
hookimpl: Final = pluggy.HookimplMarker(PROJECT)

HOOK_API: Final = (1, 0)
"""Version of the hooks. The second number grows when a hook or an argument is added, which no plugin notices; the first
when one is taken away, after at least one release in which `hookline check` said of each plugin that uses it what to
write instead (`warn_on_impl`, `warn_on_impl_args`).
"""

VERDICTS: Final = ("ok", "blocked", "soft_404", "login")


class HookSpecs:
    """Every hook, in the order in which a run comes upon them."""

    @hookspec
    def register(self, registry: Registry) -> None:
        """Once, at load, in every process: name components that the YAML can use.

        `registry.parser(name, factory)`, and so `filter`, `store`, `seeds` and `fetcher`. The typed parameters of the
        factory (a class, a dataclass, a pydantic model or a function) are the component's options; what it returns has
        the hooks. The answer is ignored. An exception is a load error (exit 2).
        """

    @hookspec
    def run_start(self, run: RunInfo) -> None:
        """Notify. Parent, once, before the first request. An exception keeps the run from starting."""

    @hookspec
    def seeds(self, run: RunInfo) -> Iterable[Request] | None:
        """Collect. Parent, once, after `run_start`: more Requests to begin with; a generator is fine.

        Each is a link of depth 0 and passes scope. `OptionError` says that an option turned out wrong (exit 2).
        """

    @hookspec
    def prepare_request(self, request: Request) -> Request | None:
        """Chain. Parent, before each attempt: headers, signing. It must not block: over 50 ms it is reported.

        `request` is a copy for this attempt; change it in place (None), or return a Request. What identifies a request
        (method, URL, body, page, carry) is settled by then. An exception ends the request as `failed:plugin`.
        """

    @hookspec
    def fetch(self, request: Request) -> Reply:  # type: ignore[empty-body]
        """One. Fetch process: bring the page of a rule whose `fetcher` names this component (`registry.fetcher`).

        `request` has the headers that would be sent, cookies and Authorization among them. `TimeoutError` makes it
        `failed:timeout`, `ConnectionError` `failed:connect`, and either may be tried again; any other exception, or
        another answer, is `failed:plugin`. It may take `limits.page_time`; then its process is killed.
        """

    @hookspec
    def classify(self, page: Page) -> Literal["ok", "blocked", "soft_404", "login"] | None:
        """First result. Worker, once a page, before `parse`: what kind of answer this is; None leaves it to others.

        `soft_404` makes the page `gone`, `blocked` and `login` make it `failed:blocked`; then it is not parsed. Any
        other answer, or an exception, fails the page.
        """

    @hookspec
    def parse(self, page: Page) -> Iterable[Found] | Found | None:
        """Collect. Worker, once a page: Items (a plain dict is an Item of type `item`) and Requests; Rows and Links
        stand for many of them. A generator is fine; None is nothing. URLs may be relative. An exception or any other
        value fails the page: none of its items and links count, and the fate is `failed:plugin` (`failed:parse` for a
        `ParseError`).
        """

    @hookspec
    def process_item(self, item: Item, page: Page) -> Item | Drop | None:
        """Chain. Worker, once an item: None keeps it (changed in place or not), an Item replaces it.

        `return Drop(why)` or `raise Drop(why)` leaves it out, counted under the reason. Any other answer, or an
        exception, dead-letters this item; other items go on. A plugin with `single = True`, and every filter after it,
        runs at publish over all items in output order; there `page` has only `url, rule, status, carry`.
        """

    @hookspec
    def admit(self, requests: list[Request], page: Page) -> list[Request] | None:
        """Chain. Worker, once a page that has links: the new requests, URLs absolute. Edit the list or return another.

        An exception or any other answer fails the page.
        """

    @hookspec
    def store_items(self, items: list[Item]) -> None:
        """Notify. Store process, at publish: a batch, in output order, into a stage that nobody else sees yet.

        An exception ends the publish: the stages are aborted and the last good result stays (exit 5).
        """

    @hookspec
    def commit(self, summary: Any) -> None:
        """Notify. Store process, once, after the checks: make the stage visible, durably and in one step."""

    @hookspec
    def abort(self, reason: str) -> None:
        """Notify. Store process, in place of `commit`: forget the stage; the target stays as it was."""

    @hookspec
    def run_finish(self, run: RunInfo, summary: Any) -> None:
        """Notify. Parent, once, at the very end, whatever the outcome. An exception is logged and changes nothing."""


def _arguments(function: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)[1:]


HOOKS: Final[dict[str, tuple[str, ...]]] = {
    name: _arguments(function) for name, function in vars(HookSpecs).items() if hasattr(function, f"{PROJECT}_spec")
}
"""Hook -> its arguments."""

GENERATORS: Final = frozenset({"parse", "seeds"})
"""Hooks whose implementation may be a generator: the host iterates the answer."""


PAGE_HOOKS: Final = frozenset({"classify", "parse", "process_item", "admit"})
"""Hooks that are called for pages, in workers."""


PARENT_HOOKS: Final = ("run_start", "seeds", "prepare_request", "run_finish")
"""Hooks that are called in the parent, with workers too."""

_ONCE: Final = 10  # times the time for a page: for hooks that are called once a run, or for many items


def time_for(hook: str, page_time: float) -> float:
    """Seconds that one call of a hook may take, where `page_time` are those for a page; "": what is no hook."""
    return page_time if hook in PAGE_HOOKS or hook == "prepare_request" else _ONCE * page_time


def deprecations(hook: str, arguments: tuple[str, ...]) -> list[str]:
    """What the specification says against this hook, or against some of the arguments that are named."""
    options = getattr(HookSpecs, hook).hookline_spec
    whole, by_argument = options.get("warn_on_impl"), options.get("warn_on_impl_args") or {}
    told = [f"{signature(hook)} will be taken away: {whole}"] if whole else []
    return told + [
        f"{hook}: its argument {name} will be taken away: {by_argument[name]}"
        for name in arguments
        if name in by_argument
    ]


def signature(hook: str) -> str:
    """`process_item(item, page)`: how a hook is written."""
    return f"{hook}({', '.join(HOOKS[hook])})"
