"""A store as publish sees it: its place in the config, and its three hooks with errors that say what to do.

The hooks may raise anything; out of here comes only `StorageError` (exit 5).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pipeline.errors import StorageError
from pipeline.model import Item
from pipeline.stages.faults import describe

_ADVICE: Final = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room within the quota",
    errno.EACCES: "give this user the right to write there",
    errno.EPERM: "give this user the right to write there",
    errno.EROFS: "choose a path that is not read-only",
}


class BoundStore:
    """One entry of `store:`. `path` is the component's own attribute of that name, if it has one."""

    def __init__(
        self,
        name: str,
        hooks: dict[str, Callable[..., Any]],
        *,
        items: tuple[str, ...] | None = None,
        write: str | None = None,
        only: str | None = None,
        meta: tuple[str, ...] = (),
        path: Path | None = None,
        file: str | None = None,
    ) -> None:
        self.name = name
        self.items = items
        self.write = write
        self.only = only
        self.meta = meta
        self.path = path
        self._hooks = hooks
        self._file = file

    def store_items(self, items: list[Item]) -> None:
        """Add a batch, in order, to the stage."""
        self._call("store_items", "take the items", items)

    def commit(self, summary: Any) -> None:
        """Make the stage visible."""
        self._call("commit", "make its result visible", summary)

    def abort(self, reason: str) -> None:
        """Forget the stage."""
        self._call("abort", "clear away its stage", reason)

    def _call(self, hook: str, doing: str, argument: Any) -> None:
        call = self._hooks.get(hook)
        if call is None:
            return
        try:
            call(argument)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise StorageError(self._message(doing, error)) from error

    def _message(self, doing: str, error: BaseException) -> str:
        where = f" ({self.path})" if self.path is not None else ""
        advice = _ADVICE.get(error.errno or 0) if isinstance(error, OSError) else None
        what = describe(error, self._file)
        return f"store {self.name}{where} could not {doing}: {what}; {advice or 'remove the cause'}, then run it again"

    def __repr__(self) -> str:
        return f"<store {self.name} {self.path or ''}>"
