"""What plugin authors test with: pages, whole runs, a scripted site, and what every store must bear.

    from pipeline.testing import FakeSite, StoreContract, make_page, parse_page, redirect, run_config

The pytest plugin that comes along gives `make_page`, `parse_page`, `run_config` and `fake_site` as fixtures. Each name
is imported when it is first asked for, so that tests which need none of this pay nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.testing.pages import make_page as make_page
    from pipeline.testing.pages import make_run as make_run
    from pipeline.testing.runs import Parsed as Parsed
    from pipeline.testing.runs import RunResult as RunResult
    from pipeline.testing.runs import parse_page as parse_page
    from pipeline.testing.runs import run_config as run_config
    from pipeline.testing.site import Answer as Answer
    from pipeline.testing.site import FakeSite as FakeSite
    from pipeline.testing.site import close as close
    from pipeline.testing.site import drip as drip
    from pipeline.testing.site import hang as hang
    from pipeline.testing.site import redirect as redirect
    from pipeline.testing.site import reset as reset
    from pipeline.testing.site import status as status
    from pipeline.testing.site import truncate as truncate
    from pipeline.testing.stores import StoreContract as StoreContract

_HOMES = {
    "Answer": "site",
    "FakeSite": "site",
    "Parsed": "runs",
    "RunResult": "runs",
    "StoreContract": "stores",
    "close": "site",
    "drip": "site",
    "hang": "site",
    "make_page": "pages",
    "make_run": "pages",
    "parse_page": "runs",
    "redirect": "site",
    "reset": "site",
    "run_config": "runs",
    "status": "site",
    "truncate": "site",
}

__all__ = [  # noqa: PLE0604 - the table is sorted
    *_HOMES
]


def __getattr__(name: str) -> Any:
    """Import a name from its home (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOMES)
