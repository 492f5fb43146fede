"""Frames: whatever the stream is cut into, the same payloads come out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.workers.framing import HEAD, LONGEST, FrameError, Frames, frame, head

PAYLOADS = [b"", b"a", b"bc" * 100, b"\0" * 5, b"", b"last"]


def fed(frames: Frames, pieces: list[bytes]) -> list[bytes]:
    """What comes out, copied at once: a payload may be a view of the piece."""
    return [bytes(payload) for piece in pieces for payload in frames.feed(piece)]


def test_a_frame_is_its_length_and_its_payload() -> None:
    assert frame(b"abc") == b"\0\0\0\3abc"
    assert frame(b"") == b"\0\0\0\0"
    assert head(LONGEST) == b"\xff\xff\xff\xff"
    with pytest.raises(FrameError):
        head(LONGEST + 1)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 100, 10_000])
def test_pieces_of_any_size(size: int) -> None:
    stream = b"".join(map(frame, PAYLOADS))
    frames = Frames()
    assert fed(frames, [stream[at : at + size] for at in range(0, len(stream), size)]) == PAYLOADS
    assert not frames.partial


def test_every_place_to_cut_in_two() -> None:
    stream = b"".join(map(frame, PAYLOADS))
    for cut in range(len(stream) + 1):
        assert fed(Frames(), [stream[:cut], stream[cut:]]) == PAYLOADS


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(0, 2000)))
def test_any_payloads_cut_anyhow(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame, payloads))
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    frames = Frames()
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    assert fed(frames, pieces) == payloads
    assert not frames.partial


def test_a_buffer_that_is_used_again_does_not_change_what_is_held() -> None:
    frames, buffer = Frames(), bytearray(8)
    stream, found = frame(b"0123456789") + frame(b"x"), []
    for at in range(0, len(stream), 8):
        piece = stream[at : at + 8]
        buffer[: len(piece)] = piece
        found += [bytes(payload) for payload in frames.feed(memoryview(buffer)[: len(piece)])]
    assert found == [b"0123456789", b"x"]


def test_a_whole_frame_is_not_copied() -> None:
    stream = frame(b"abc")
    (payload,) = Frames().feed(stream)
    assert isinstance(payload, memoryview) and payload.obj is stream


def test_partial_says_that_more_must_come() -> None:
    frames = Frames()
    assert not frames.partial
    for byte in frame(b"ab")[:-1]:
        assert frames.feed(bytes([byte])) == []
        assert frames.partial
    assert fed(frames, [b"b"]) == [b"ab"]
    assert not frames.partial


@pytest.mark.parametrize("at_once", [True, False])
def test_a_frame_over_the_limit_is_refused_by_its_head(at_once: bool) -> None:
    frames, stream = Frames(10), frame(b"0123456789") + head(11)
    pieces = [stream] if at_once else [stream[at : at + 1] for at in range(len(stream))]
    with pytest.raises(FrameError, match="11 bytes; at most 10"):
        fed(frames, pieces)


def test_nothing_is_held_for_a_long_frame_that_has_not_come() -> None:
    frames = Frames()
    frames.feed(head(60_000_000))
    assert len(frames._held) == HEAD
