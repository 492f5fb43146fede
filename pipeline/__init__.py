"""The names that plugin authors and Python users need; everything else is the framework's own business.

Each is imported when it is first asked for, so that `import pipeline` costs nothing and a plugin that wants a marker
does not pay for an HTML parser.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.errors import ConfigError as ConfigError
    from pipeline.errors import OptionError as OptionError
    from pipeline.errors import ParseError as ParseError
    from pipeline.errors import SelectorError as SelectorError
    from pipeline.model import Drop as Drop
    from pipeline.model import Explained as Explained
    from pipeline.model import Item as Item
    from pipeline.model import Links as Links
    from pipeline.model import Reply as Reply
    from pipeline.model import Request as Request
    from pipeline.model import Rows as Rows
    from pipeline.model import Source as Source
    from pipeline.runner.api import run as run
    from pipeline.stages.css import Selector as Selector
    from pipeline.stages.css import compiled as compiled
    from pipeline.stages.hookspecs import HOOK_API as HOOK_API
    from pipeline.stages.hookspecs import hookimpl as hookimpl
    from pipeline.stages.known import KnownFields as KnownFields
    from pipeline.stages.known import unknown_fields as unknown_fields
    from pipeline.stages.page import Page as Page
    from pipeline.stages.registry import Registry as Registry
    from pipeline.stages.runinfo import RunInfo as RunInfo
    from pipeline.stages.tree import Element as Element
    from pipeline.stages.tree import values as values
    from pipeline.stages.typed import Secret as Secret
    from pipeline.stages.xpath import XPath as XPath

__version__ = "0.1.0"

__all__ = [
    "HOOK_API",
    "ConfigError",
    "Drop",
    "Element",
    "Explained",
    "Item",
    "KnownFields",
    "Links",
    "OptionError",
    "Page",
    "ParseError",
    "Registry",
    "Reply",
    "Request",
    "Rows",
    "RunInfo",
    "Secret",
    "Selector",
    "SelectorError",
    "Source",
    "XPath",
    "__version__",
    "compiled",
    "hookimpl",
    "run",
    "unknown_fields",
    "values",
]

_HOMES = {
    "HOOK_API": "pipeline.stages.hookspecs",
    "ConfigError": "pipeline.errors",
    "Drop": "pipeline.model",
    "Element": "pipeline.stages.tree",
    "Explained": "pipeline.model",
    "Item": "pipeline.model",
    "KnownFields": "pipeline.stages.known",
    "Links": "pipeline.model",
    "OptionError": "pipeline.errors",
    "Page": "pipeline.stages.page",
    "ParseError": "pipeline.errors",
    "Registry": "pipeline.stages.registry",
    "Reply": "pipeline.model",
    "Request": "pipeline.model",
    "Rows": "pipeline.model",
    "RunInfo": "pipeline.stages.runinfo",
    "Secret": "pipeline.stages.typed",
    "Selector": "pipeline.stages.css",
    "SelectorError": "pipeline.errors",
    "Source": "pipeline.model",
    "XPath": "pipeline.stages.xpath",
    "compiled": "pipeline.stages.css",
    "hookimpl": "pipeline.stages.hookspecs",
    "run": "pipeline.runner.api",
    "unknown_fields": "pipeline.stages.known",
    "values": "pipeline.stages.tree",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home (PEP 562)."""
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
