"""What went wrong with a connection, as the FetchError of its exchange: the words that a user reads."""

from __future__ import annotations

import errno
import os
import ssl

from pipeline.errors import ConnectError, FetchError, PhaseTimeoutError, TruncatedError
from pipeline.fetch import tls
from pipeline.fetch.exchange import Exchange, Timeouts
from pipeline.fetch.http1 import ResponseReader, says_all
from pipeline.fetch.proxy import Proxy
from pipeline.model import Failure, Response

_REFUSALS = {
    errno.ECONNREFUSED: "refused",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.EMFILE: "no_socket",
    errno.ENFILE: "no_socket",
}
_WAITED_FOR = {
    "dns": "no address",
    "connect": "no connection",
    "tls": "no end of the TLS handshake",
    "first_byte": "no head of an answer",
    "idle": "no further byte",
    "keepalive": "no further request",
}


UNASKED = frozenset({206, 407})
BODY_LOST = "body_lost"  # flag of a response whose body was not read to its end, for an error


def connect_failed(host: str, port: int, ip: str, code: int, proxy: Proxy | None = None) -> ConnectError:
    """An address could not be connected to, of the origin or of the `proxy`; `code` is an errno."""
    where = f"{host}:{port}" if proxy is None else f"proxy {proxy}"
    if ip != host:
        where += f" ({ip})"
    return ConnectError(f"{where}: {os.strerror(code)}", reason=_REFUSALS.get(code, "connect"))


def too_slow(name: str, timeouts: Timeouts) -> PhaseTimeoutError:
    """A deadline, by its name in Timeouts, has passed."""
    seconds = getattr(timeouts, name)
    if name == "total":
        return PhaseTimeoutError(f"not finished after {seconds:g} s", reason=name)
    return PhaseTimeoutError(f"{_WAITED_FOR[name]} within {seconds:g} s", reason=name)


def from_exception(error: Exception, *, host: str, connected: bool) -> FetchError:
    """Any exception on a connection; what is neither ours nor the system's is a fault of Hookline (`internal`)."""
    if isinstance(error, FetchError):
        return error
    wrapped: FetchError
    if not isinstance(error, OSError):
        wrapped = FetchError(f"fault of Hookline: {type(error).__name__}: {error}", reason="internal")
    elif connected and isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        wrapped = tls.broken(error)
    elif connected:
        wrapped = TruncatedError(f"connection broke: {error.strerror or error}", reason="reset")
    else:
        wrapped = ConnectError(f"{host}: {error.strerror or error}", reason="socket")
    wrapped.__cause__ = error
    return wrapped


def outcome(
    exchange: Exchange, error: FetchError, state: str, now: float, reader: ResponseReader
) -> Response | Failure:
    """What an exchange comes to that ended in this error, in this state of its connection.

    Where the head has said what becomes of the request, an error in its body takes nothing from that: a page that is
    gone is gone, and a redirect is followed. Such a response is without its body, and flagged.
    """
    elapsed = now - exchange.started
    status, headers = reader.head
    if status is not None and says_all(status, headers) and error.reason != "internal":
        return Response(exchange.request, status, headers, b"", elapsed, (*reader.flags, BODY_LOST))
    return Failure(exchange.request, error, state, elapsed, status, headers)


def refuse_unasked(exchange: Exchange, status: int) -> None:
    """Raise for the statuses of `UNASKED` where they answer a question which was not asked; 407 only a proxy asks."""
    if status == 407:
        if exchange.route.proxy is not None:
            raise exchange.route.proxy.refused(407)
        return
    head = exchange.payload.partition(b"\r\n\r\n")[0].lower()
    if status == 206 and b"\r\nrange:" not in head:
        raise TruncatedError("206 Partial Content to a request without Range", reason="early_eof")


def is_stale(error: FetchError, touched: bool) -> bool:
    """Whether a kept connection was of no use when the request went out: silence, or bytes left from before."""
    return (isinstance(error, TruncatedError) and not touched) or error.reason == "bad_status_line"
