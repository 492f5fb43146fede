"""Registered fetchers: what their process does with a request, and what its answer means to the parent.

A page rule with `fetcher: NAME` gets its pages from that component's `fetch` hook, in a process of its own with
`page_time`, so that a fetcher may block, leak or die. What it brings takes the way of any other answer: the parent
makes of it the Response or Failure that the fetch stage would have given. Knows neither crawl nor config.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Final

import msgspec

from pipeline.errors import ConnectError, FetchError, PhaseTimeoutError, TooLargeError
from pipeline.fetch.http1 import TOKEN, says_all
from pipeline.model import Brought, Failure, Headers, Reply, Request, Response
from pipeline.stages.chains import Step
from pipeline.stages.faults import AnswerError, describe, short
from pipeline.stages.worker import plan_and_host

JOB: Final = "pipeline.stages.fetchers:start"
_ERRORS: Final[dict[str, type[FetchError]]] = {
    "timeout": PhaseTimeoutError,
    "connect": ConnectError,
    "too_large": TooLargeError,
}
_IN_NO_VALUE: Final = re.compile("[\r\n\0\ud800-\udfff]")
_OF_THE_WIRE: Final = ("content-encoding", "content-length", "transfer-encoding")  # the body is whole and decoded


class BroughtError(FetchError):
    """A fetcher plugin raised, answered nonsense, or took its process with it. Never tried again by itself."""

    fate = "failed:plugin"


def start(setup: bytes) -> Callable[[Any], bytes]:
    """What a fetch process does with a request: from a Request to a Brought, both as msgpack. Raises ConfigError."""
    plan, host = plan_and_host(setup)
    bring = bringer(host.fetchers, plan.max_body)
    read, write = msgspec.msgpack.Decoder(Request).decode, msgspec.msgpack.Encoder().encode
    return lambda job: write(bring(read(job)))


def bringer(steps: Mapping[str, Step], max_body: int) -> Callable[[Request], Brought]:
    """A function that has a request's page brought by the fetcher of its page rule. Raises nothing of a plugin's."""

    def bring(request: Request) -> Brought:
        step = steps[request.page or ""]
        start = perf_counter()
        brought = _bring(step, request, max_body)
        brought.seconds = {step.plugin: perf_counter() - start}
        return brought

    return bring


def _bring(step: Step, request: Request, max_body: int) -> Brought:
    try:
        reply = step.call(request)
        if not isinstance(reply, Reply):
            return Brought(fault=step.blame(f"answered {short(reply)}; expected a Reply(body, status, headers)"))
        body, headers = _body(reply), _headers(reply)
        status = reply.status
    except (TimeoutError, ConnectionError) as error:
        kind = "timeout" if isinstance(error, TimeoutError) else "connect"
        return Brought(failure=(kind, f"fetcher {step.plugin}: {describe(error)}"))
    except BaseException as error:
        return Brought(fault=step.charge(error))
    if not isinstance(status, int) or not 200 <= status <= 599:
        return Brought(fault=step.blame(f"answered with status {short(status)}; expected one from 200 to 599"))
    if len(body) > max_body and says_all(status, headers):
        body = b""  # nobody reads it
    elif len(body) > max_body:
        return Brought(
            failure=("too_large", f"fetcher {step.plugin} brought {len(body):,} bytes; {max_body:,} are taken")
        )
    return Brought(status=int(status), headers=headers, body=body)


def _body(reply: Reply) -> bytes:
    body: Any = reply.body
    if isinstance(body, str):
        try:
            return body.encode()
        except UnicodeEncodeError:
            raise AnswerError("the body of the Reply has a lone surrogate, which UTF-8 cannot carry") from None
    if not isinstance(body, bytes | bytearray | memoryview):
        raise AnswerError(f"the body of the Reply is {short(body)}, not bytes or text")
    return bytes(body)


def _headers(reply: Reply) -> Headers:
    given: Any = reply.headers
    if not isinstance(given, Mapping | list | tuple):
        raise AnswerError(f"the headers of the Reply are {short(given)}, not a mapping")
    pairs = list(given.items() if isinstance(given, Mapping) else given)
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(one, str) for one in pair):
            raise AnswerError(f"{short(pair)} among the headers of the Reply is no pair of texts")
        name, value = pair
        if not TOKEN.fullmatch(name):
            raise AnswerError(f"{short(name)} among the headers of the Reply is no name of a header")
        if _IN_NO_VALUE.search(value):
            told = "line breaks, NUL and lone surrogates are in none; give a header that comes often as several pairs"
            raise AnswerError(f"the header {name} of the Reply is {short(value)}; {told}")
    # As plain texts: those of HTTP clients may be of types of their own, which cannot be sent to the parent.
    plain = [(str.__str__(name), str.__str__(value)) for name, value in pairs]
    return [(name, value) for name, value in plain if name.lower() not in _OF_THE_WIRE]


def outcome(request: Request, brought: Brought, elapsed: float) -> Response | Failure:
    """What the fetch stage would have said."""
    if brought.fault is not None:
        return Failure(request, BroughtError(str(brought.fault), reason="plugin"), "FETCHER", elapsed)
    if brought.failure is not None:
        kind, message = brought.failure
        return Failure(request, _ERRORS[kind](message, reason=kind), "FETCHER", elapsed)
    return Response(request, brought.status, brought.headers, brought.body, elapsed)
