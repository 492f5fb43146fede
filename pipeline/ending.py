"""What must be done when the process ends, however it ends but by a kill.

As `atexit`, which also calls it where nobody else does. The command calls it itself, because what plugins register with
`atexit` comes first there and may hang.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from typing import Final

_last: Final[list[Callable[[], object]]] = []


def register(function: Callable[[], object]) -> None:
    """Have it called at the end."""
    _last.append(function)


def unregister(function: Callable[[], object]) -> None:
    """It is not needed any more."""
    while function in _last:
        _last.remove(function)


@atexit.register
def finish() -> None:
    """Call all that is left, the last first; a second call finds nothing to do."""
    while _last:
        _last.pop()()
