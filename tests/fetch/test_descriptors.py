"""The limit of open files. Everything that changes it runs in a process of its own: it could not be changed back."""

from __future__ import annotations

import errno
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import ConnectError
from pipeline.fetch import descriptors
from pipeline.fetch.descriptors import RESERVE, DescriptorLimitError, open_descriptors, raise_limit, room_for
from pipeline.model import Failure, Response
from tests.badserver.server import REQUEST, Steps
from tests.fetch.kit import Net

REPO = Path(__file__).resolve().parents[2]


def limited(monkeypatch: pytest.MonkeyPatch, soft: int, used: int = 20) -> None:
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda what: (soft, soft))
    monkeypatch.setattr(descriptors, "open_descriptors", lambda: used)


def run(code: str, soft: int, hard: int) -> str:
    """What the code prints under these limits."""
    lines = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n{code}"
    ran = subprocess.run(
        [sys.executable, "-c", lines], cwd=REPO, capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.stderr == ""
    return ran.stdout.strip()


@pytest.mark.parametrize(("soft", "hard"), [(64, 256), (256, 256)])
def test_the_soft_limit_becomes_the_hard_one(soft: int, hard: int) -> None:
    code = (
        "from pipeline.fetch.descriptors import raise_limit\n"
        "print(raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    assert run(code, soft, hard) == f"{hard} ({hard}, {hard})"


def test_a_kernel_that_gives_less_than_the_hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS: hard is "unlimited", and more than OPEN_MAX is refused."""
    limits = [(256, resource.RLIM_INFINITY)]

    def set_limit(what: int, pair: tuple[int, int]) -> None:
        if pair[0] == resource.RLIM_INFINITY:
            raise ValueError("invalid argument")
        limits.append(pair)

    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda what: limits[-1])
    monkeypatch.setattr(descriptors.resource, "setrlimit", set_limit)
    assert raise_limit() == 10_240
    assert raise_limit() == 10_240
    assert len(limits) == 2


def test_no_limit_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, resource.RLIM_INFINITY)
    assert raise_limit() == sys.maxsize
    assert room_for(1_000_000, "epoll") > 1_000_000


def test_open_descriptors_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_descriptors()
    extra = [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]
    assert open_descriptors() == before + 5
    for fd in extra:
        os.close(fd)
    monkeypatch.setattr(descriptors, "_FOLDERS", ("/nowhere",))
    assert open_descriptors() == 16


@pytest.mark.parametrize(
    ("concurrency", "selector", "soft", "room"),
    [
        (64, "epoll", 1024, 1024 - 64 - 20 - RESERVE),
        (64, "select", 20_000, 1024 - 64 - 20 - RESERVE),
        (64, "select", 256, 256 - 64 - 20 - RESERVE),
        (972, "select", 20_000, 0),
        (10_000, "epoll", 20_000, 10_000 - 20 - RESERVE),
        (10_000, "poll", 20_000, 10_000 - 20 - RESERVE),
        (204, "kqueue", 256, 0),
    ],
)
def test_room(concurrency: int, selector: str, soft: int, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, soft)
    assert room_for(concurrency, selector) == room


@pytest.mark.parametrize(
    ("concurrency", "selector", "soft", "key", "most"),
    [
        (973, "select", 20_000, "selector", 972),
        (10_000, "select", 20_000, "selector", 972),
        (1000, "select", 256, "concurrency", 204),
        (205, "epoll", 256, "concurrency", 204),
        (1, "epoll", 16, "concurrency", 0),
    ],
)
def test_no_room(
    concurrency: int, selector: str, soft: int, key: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, soft)
    with pytest.raises(DescriptorLimitError, match=f"^{concurrency} connections") as caught:
        room_for(concurrency, selector)
    assert caught.value.key == key
    assert f"fetch.concurrency to {most} or less" in caught.value.hint


def test_select_holds_what_is_promised() -> None:
    """As many sockets as `room_for` allows, and one loop over select that still turns."""
    code = """
import socket
from pipeline.fetch.descriptors import RESERVE, raise_limit, room_for
from pipeline.fetch.loop import READ, Loop
raise_limit()
loop = Loop("select")
held = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(room_for(0, loop.selector_name))]
for sock in held:
    loop.register(sock, READ, print)
loop.call_soon(loop.stop)
loop.run()
print("turned")
"""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 1100:
        pytest.skip("the hard limit of open files is below FD_SETSIZE")
    assert run(code, 1100, 1100) == "turned"


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
def test_out_of_descriptors_has_a_reason_of_its_own(net: Net, code: int) -> None:
    """By this word an attempt that never began is told from a site that refuses; the next one goes well."""
    server = net.serve(answer_once)
    left = [OSError(code, os.strerror(code))]

    def make_socket(family: int, kind: int) -> socket.socket:
        if left:
            raise left.pop()
        return socket.socket(family, kind)

    fetcher = net.fetcher(make_socket=make_socket)
    failure, good = net.get(fetcher, server.url), net.get(fetcher, server.url)
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, ConnectError)
    assert failure.error.reason == "no_socket"
    assert isinstance(good, Response)


def answer_once() -> Steps:
    yield REQUEST
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
