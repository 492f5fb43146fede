"""What plugins may do wrong before a run ends: errors are charged to the plugin that they came from.

A plugin has used up its budget when it failed on more than its share of the pages, once these are `FEW` or more. What
nobody is to blame for (a worker that died between hooks) costs its page and nobody's budget.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.errors import PluginError
from pipeline.model import Fault, PackedPage
from pipeline.runner.books import Books, add

FEW = 10  # pages on which a plugin may fail whatever their share

log = logging.getLogger("hookline.engine")


class Limits(NamedTuple):
    """Caps: pages of a run; seconds, and bytes received, of one process: else a run that goes on would end at once.
    None means no cap.
    """

    pages: int | None = None
    time: float | None = None
    bytes: int | None = None
    plugin_errors: float = 1.0  # share of pages on which one plugin may fail
    bundled: frozenset[str] = frozenset()  # plugins that are not the user's


class Budget:
    """Of `limits` the share of pages on which one plugin may fail; with `strict` the first error is one too many."""

    def __init__(self, books: Books, limits: Limits, *, strict: bool = False) -> None:
        self._books = books
        self._share = limits.plugin_errors
        self._bundled = limits.bundled
        self._strict = strict

    @property
    def why(self) -> str:
        """What a run that a plugin ended was stopped by."""
        return "plugin error (--strict)" if self._strict else "limits.plugin_errors"

    def charge(self, page: PackedPage, url: str) -> PluginError | None:
        """Enter what plugins did on a page, and how long they took; an error if one of them may not go on."""
        books = self._books
        books.spend(page, url)
        books.parsed += 1
        faults = [*(letter.fault for letter in page.dead), *([page.fault] if page.fault else [])]
        charged = [fault for fault in faults if fault.fate == "failed:plugin"]  # else the page is to blame
        return self._enter(charged, f"of {books.parsed} pages")

    def charge_request(self, error: PluginError) -> PluginError | None:
        """The same for a request that was not sent, because a plugin broke on it: that too is a page less."""
        sent = self._books.requests
        told = f"requests, {sent} {'was' if sent == 1 else 'were'} sent"
        return self._enter([Fault(error.plugin, error.hook, error.message)], told)

    def _enter(self, faults: Sequence[Fault], of: str) -> PluginError | None:
        books = self._books
        for fault in faults:
            if fault.plugin:  # else the page that it cost tells of it
                books.charge(fault.plugin, f"{fault.hook}: {fault.message}")
            log.warning("%s", PluginError(fault.plugin, fault.hook, fault.message))
        last = {fault.plugin: fault for fault in reversed(faults)}
        for plugin, fault in last.items():
            # Markup that takes too long, or too much memory, in our own parsers is the page's doing.
            if not (fault.deadly and plugin in self._bundled):
                add(books.faulty, plugin, 1)
        return next((self._error(last[plugin], of) for plugin in last if self._is_used_up(plugin)), None)

    def _is_used_up(self, plugin: str) -> bool:
        if self._strict:
            return True
        failed = self._books.faulty.get(plugin, 0)
        return plugin != "" and failed >= FEW and failed > self._share * self._books.parsed

    def _error(self, fault: Fault, of: str) -> PluginError:
        failed = self._books.faulty.get(fault.plugin, 0)
        why = fault.message if self._strict else f"failed on {failed} {of}, the last time: {fault.message}"
        return PluginError(fault.plugin, fault.hook, why)
