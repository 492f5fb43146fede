"""From an exception in a plugin's code to something that can be told, stored and sent: what it says and where it arose.

Knows nothing of hooks' meaning. All texts are clipped and encodable, since an exception's text may be anything.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import TracebackType

from pipeline.errors import ParseError
from pipeline.model import Fault
from pipeline.secrecy import masked

_OURS = (__file__, str(Path(__file__).with_name("limited.py")))  # where an exception is raised, and did not arise
_SLACK = 4096  # characters beyond those shown, so that a secret at the edge is known for one
MESSAGE = 500  # characters of a fault's message
TRACEBACK = 8000  # characters of a traceback; its end is what tells


class AnswerError(Exception):
    """A plugin's answer is not one that its hook may give. Raised by the host: its place in the code tells nothing."""


def describe(error: BaseException, file: str | None = None) -> str:
    """`Type: text (file:line)`; the line is the last one in `file`, else the deepest outside the import system."""
    try:
        text = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as second:  # an exception whose own __str__ fails
        text = f"(its text cannot be had: {type(second).__name__})"
    text = masked(clean(text))
    if len(text) > MESSAGE:
        text = text[:MESSAGE] + "..."
    where = failing_line(error, file)
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"{told} ({where})" if where else told


def failing_line(error: BaseException, file: str | None = None) -> str | None:
    """`file:line` of what went wrong, or None. For a syntax error it is the line that does not parse."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}:{error.lineno}"
    last = own = None
    step: TracebackType | None = error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename
        if name not in _OURS and not name.startswith("<frozen importlib"):
            last = f"{name}:{step.tb_lineno}"
            if name == file:
                own = last
        step = step.tb_next
    return own or last


def fault(plugin: str, hook: str, error: BaseException, file: str | None = None) -> Fault:
    """The exception as a value, charged to `plugin`; `ParseError` costs the page `failed:parse`."""
    if isinstance(error, AnswerError):
        return Fault(plugin, hook, masked(clean(str(error))))
    text = masked(clean("".join(traceback.format_exception(error))))
    fate = "failed:parse" if isinstance(error, ParseError) else "failed:plugin"
    return Fault(plugin, hook, describe(error, file), text[-TRACEBACK:], fate)


def clean(text: str) -> str:
    """`text` without what UTF-8 cannot carry."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def short(value: object, most: int = 80) -> str:
    """A value as an error message shows it: its repr, clipped."""
    if type(value) is str:
        value = value[: most + _SLACK]
    try:
        text = masked(clean(repr(value)))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a repr of somebody else's
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= most else text[:most] + "..."


def file_of(target: object) -> str | None:
    """The source file of a module or of an object's class, or None."""
    if not (name := getattr(target, "__file__", None)):
        module = sys.modules.get(getattr(target, "__module__", None) or type(target).__module__)
        name = getattr(module, "__file__", None)
    return str(Path(name)) if name else None
