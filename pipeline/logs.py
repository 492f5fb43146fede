"""What a line of the log looks like: for people, or as one JSON object for programs (`--log-format json`).

`LogLine` is all that programs may rely on: its fields are stable, documented, and left out where they say nothing. The
processes of a run use the same two formatters, so whoever reads stderr cannot tell which process wrote a line.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from pipeline.secrecy import masked

ROOT: Final = "hookline"  # the logger above all of ours
LONGEST: Final = 1024  # characters of a record in text form


class LogLine(msgspec.Struct, omit_defaults=True):
    """One line. `event` says what kind it is: url, log, note, finished, problem, error."""

    time: str  # UTC, ISO 8601, milliseconds
    level: str  # debug, info, warning, error
    event: str
    message: str
    details: list[str] = []
    config: str = ""
    run: str = ""
    logger: str = ""
    url: str = ""
    fate: str = ""
    detail: str = ""
    attempts: int = 0
    file: str = ""
    line: int = 0
    column: int = 0
    key: str = ""
    exit_code: int | None = None
    verdict: str = ""
    published: bool | None = None
    seconds: float | None = None
    fates: dict[str, int] = {}
    items: dict[str, int] = {}
    report: str = ""
    traceback: str = ""


_OF_RECORDS: Final = ("run", "url", "fate", "detail", "attempts")  # that a record may bring along
_encode: Final = msgspec.json.Encoder().encode


def json_line(level: str, event: str, message: str, *, when: float | None = None, **fields: Any) -> str:
    """One JSON object in one line."""
    moment = datetime.now(UTC) if when is None else datetime.fromtimestamp(when, UTC)
    time = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return _encode(LogLine(time, level, event, message, **fields)).decode()


def printable(text: str, most: int = 300) -> str:
    """Text from elsewhere, made safe for a terminal and a log: control and bidirectional characters are escaped."""
    safe = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:most])
    return safe + ("..." if len(text) > most else "")


class TextFormatter(logging.Formatter):
    """One line a record, text from elsewhere escaped."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record as one printable line."""
        return printable(masked(super().format(record)), LONGEST)


class JsonFormatter(logging.Formatter):
    """One JSON object a record; `context` has the fields that all of them share, as `config`."""

    def __init__(self, **context: str) -> None:
        super().__init__()
        self.context = context

    def format(self, record: logging.LogRecord) -> str:
        """The record as a `LogLine`; where a plugin adds fields of its own, they are not taken."""
        fields = {**self.context, **{name: getattr(record, name) for name in _OF_RECORDS if hasattr(record, name)}}
        level = {"critical": "error"}.get(name := record.levelname.lower(), name)
        event = getattr(record, "event", "log")
        if record.exc_info:
            fields["traceback"] = masked(self.formatException(record.exc_info))
        message = masked(record.getMessage())
        return json_line(level, event, message, when=record.created, logger=record.name, **fields)


def set_up(stream: Any, level: int, formatter: logging.Formatter) -> None:
    """Send our loggers, and no others, to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.getLogger(ROOT)
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level)


def is_json() -> bool:
    """Whether our loggers were set up to write JSON."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger(ROOT).handlers)
