"""Every error Hookline raises, in one tree by phase.

Inside a layer an error is an exception; between layers it travels as a value (`Failure`, `PageResult.fault`).
A `FetchError` knows the *fate* that it gives a request (spec, section 3) and the word under which `fetch.retry.on`
may ask for another attempt. Everything a user can cause carries a `Mark`, so that the message can say where.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

MORE_PROCESSES = (
    "raise the limit of threads and processes (ulimit -u, TasksMax= in a unit, pids of a container), or take fewer "
    "workers (--workers 1)"
)
"""What to do where the system gives none."""


class Mark(NamedTuple):
    """A place in a config file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Problem(NamedTuple):
    """One mistake of a user: where, under which key, what is wrong, what to do next."""

    mark: Mark | None
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.mark}: " if self.mark else ""
        text += f"{self.key}: {self.message}" if self.key else self.message
        return f"{text}; {self.hint}" if self.hint else text


class HooklineError(Exception):
    """Base of all errors of ours; `exit_code` is what the command line ends with (spec, section 1)."""

    exit_code: ClassVar[int] = 70


class ConfigError(HooklineError):
    """The config, a plugin or an option is wrong: nothing is requested, nothing written."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class WorkersError(HooklineError):
    """A run can have no workers, or no more of them: it stops, and what it has done is kept."""

    exit_code = 3

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class PluginLoadError(WorkersError):
    """A worker cannot load a plugin that was loaded when the run began."""

    exit_code = 6


class OptionError(ValueError):
    """Raised by a component's factory: an option is wrong. `path` leads to the place below the component's options.

    `found` is what stands there, as it is shown to people: told after the message, unless it may be a secret.
    """

    def __init__(self, message: str, *, path: Sequence[str | int] = (), hint: str = "", found: str = "") -> None:
        super().__init__(f"{message}, found {found}" if found else message)
        self.message = message
        self.path = tuple(path)
        self.hint = hint


class SelectorError(ValueError):
    """A selector that cannot be used. `position` counts characters from 0; None where the engine does not tell."""

    def __init__(self, selector: str, reason: str, position: int | None = None) -> None:
        where = "" if position is None else f" at position {position}"
        super().__init__(f"selector {selector!r}: {reason}{where}")
        self.selector = selector
        self.reason = reason
        self.position = position


class PluginError(HooklineError):
    """A plugin raised or answered nonsense; charged to that plugin. No `plugin`: it is not known which."""

    exit_code = 6

    def __init__(self, plugin: str, hook: str, message: str) -> None:
        super().__init__(f"plugin {plugin}, hook {hook}: {message}" if plugin else message)
        self.plugin = plugin
        self.hook = hook
        self.message = message


class ParseError(HooklineError):
    """Raised by a `parse` hook: the page is not what its rules ask for. Fate `failed:parse`; no plugin is to blame."""


class StorageError(HooklineError):
    """A store could not stage or commit; nothing that was committed is lost."""

    exit_code = 5


class StateError(StorageError):
    """`state.db` could not be read or written; everything committed before is kept."""


class NothingToDoError(HooklineError):
    """What was asked for is there already, or there is nothing that it could be done with; the message says why."""

    exit_code = 0


class SkippedError(NothingToDoError):
    """Another run holds the lock, and this one is then not wanted (`if_locked: skip`)."""


class LockedError(HooklineError):
    """Another run holds the state folder, or an output."""

    exit_code = 75


class BooksError(HooklineError):
    """Conservation is violated: a request without a fate, or an item unaccounted for. Always our bug."""


# --- fetch: one attempt of one request -------------------------------------------------------------------------------


class FetchError(HooklineError):
    """One attempt failed. `reason` is a short stable code within the fate (`early_eof`, `refused`, `idle` ...)."""

    fate: ClassVar[str] = "failed:protocol"
    retry_word: ClassVar[str | None] = None

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class ResolveError(FetchError):
    """The host name has no usable address."""

    fate = "failed:dns"
    retry_word = "dns"


class ConnectError(FetchError):
    """No address of the host accepted a connection."""

    fate = "failed:connect"
    retry_word = "connect"


class TlsError(FetchError):
    """The TLS handshake failed or the certificate was refused."""

    fate = "failed:tls"
    retry_word = "tls"


class PhaseTimeoutError(FetchError):
    """A phase took too long; `reason` is dns, connect, tls, first_byte, idle or total."""

    fate = "failed:timeout"
    retry_word = "timeout"


class TruncatedError(FetchError):
    """The connection ended before the response was whole."""

    fate = "failed:truncated"
    retry_word = "truncated"


class ProtocolError(FetchError):
    """The peer does not speak HTTP/1.x as RFC 9112 has it, beyond what browsers forgive."""

    fate = "failed:protocol"


class TooLargeError(FetchError):
    """A limit on head, header count or body was crossed."""

    fate = "failed:too_large"


class DecodeError(FetchError):
    """The content coding is broken or unknown."""

    fate = "failed:decode"


class PolicyError(FetchError):
    """We refuse to ask: the scheme or the address is not allowed. `reason` is scheme or private_network."""

    @property
    def rejected(self) -> str:
        """The fate of a request that policy refused."""
        return f"rejected:{self.reason}"
