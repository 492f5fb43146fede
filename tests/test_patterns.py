"""No regular expression that looks through what comes from outside takes time squared in its length.

Each is tried on what makes bad ones slow: one piece, again and again. Those of 64 KiB take a good one a millisecond,
and a bad one seconds.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

import pipeline
from pipeline.stages.limited import TookTooLong, limited
from pipeline.stages.loading import Catalogue, installed_points

LENGTH: Final = 64 * 1024
SECONDS: Final = 0.4
PIECES: Final = (
    *(
        " ",
        "\t",
        "\n",
        "<",
        "</",
        "<!",
        "<!--",
        "-->",
        "<?",
        "<?xml ",
        "<![CDATA[",
        "<a ",
        "<a b",
        "<a/",
        "</a",
        "&",
        "&a",
    ),
    *(
        '"',
        "'",
        ",",
        ", ",
        "a",
        "A",
        "ab ",
        "a-",
        "-",
        "1",
        "1 ",
        "1,",
        "1.",
        "{",
        "[",
        "]",
        "(",
        "/*",
        "//",
        "<script>",
    ),
    *("<meta ", "<meta charset", "=", "\\", '\\"', ";", "; ", ';a="', ".", ":", "@", "#", "%", "%4", "/", "?a=", "$1"),
    *("é", "\u00a0", "+", "!", "unavailable_after:", "noindex,", "set-cookie:\n", "<rss", "<!-- -->", "a+xml"),
)
ROOMS: Final = ("stages", "crawl", "fetch", "url")
# These are matched as a whole or at the beginning, or never see anything but a config.
ELSEWHERE: Final = {
    "pipeline.stages.css": {"_BRACKETS", "_PREFIX"},  # selectors
    "pipeline.stages.encoding": {"_XML", "_PARAMETER"},  # the first 1,024 characters of a header
    "pipeline.stages.kinds": {"_LOOKS_FEED"},  # match, within 1,445 bytes
    "pipeline.stages.prescan": {"_NAME", "_XML"},  # match, within 1,024 bytes
    "pipeline.stages.xmltext": {"_PROLOG"},  # match
    "plugins.store._syndication": {"_ABSOLUTE"},  # fullmatch
    "plugins.seeds._since": {"_DURATION"},  # an option
    "plugins.parse._values": {"_DECIMAL_COMMA"},  # fullmatch
    "plugins.parse._data_miss": {"_CALL", "_JSON_TOKEN"},  # paths of a config
}


def modules(room: str) -> Iterator[tuple[str, ModuleType]]:
    """Those of a room of the framework, or the bundled plugins."""
    if room != "plugins":
        module = importlib.import_module(f"pipeline.{room}")
        yield module.__name__, module
        for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{module.__name__}."):
            yield found.name, importlib.import_module(found.name)
        return
    folder = Path(pipeline.__file__).parent.parent
    root = Catalogue(installed_points()).load("fields", folder).module.__name__.partition(".plugins.")[0]
    for file in sorted(folder.glob("plugins/*/*.py")):
        if file.stem != "__init__" and file.parent.name != "demo":
            name = f"plugins.{file.parent.name}.{file.stem}"
            yield name, importlib.import_module(f"{root}.{name}")


def patterns(room: str) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Every one that stands in a module by itself, in a mapping, or as a method of its own."""
    for name, module in modules(room):
        for variable, value in vars(module).items():
            for one in value.values() if isinstance(value, dict) else [getattr(value, "__self__", value)]:
                if isinstance(one, re.Pattern) and variable not in ELSEWHERE.get(name, ()):
                    yield f"{name}.{variable}", one


def slow_piece(pattern: re.Pattern[Any]) -> str | None:
    """The first piece of which 64 KiB take it too long."""
    for piece in PIECES:
        for end in ("", "x"):
            text: Any = piece * (LENGTH // len(piece)) + end
            if isinstance(pattern.pattern, bytes):
                text = text.encode()
            try:
                limited(lambda text: sum(1 for _ in pattern.finditer(text)), SECONDS)(text)
            except TookTooLong:
                return piece
    return None


@pytest.mark.slow
@pytest.mark.parametrize("room", [*ROOMS, "plugins"])
def test_patterns_take_time_by_length(room: str) -> None:
    looked_at = list(patterns(room))
    assert looked_at
    assert not {name: piece for name, pattern in looked_at if (piece := slow_piece(pattern)) is not None}


def test_a_bad_one_is_found_out() -> None:
    assert slow_piece(re.compile(r"\s*c")) == " "
    assert slow_piece(re.compile(r"<a[^>]*>")) == "<a "
