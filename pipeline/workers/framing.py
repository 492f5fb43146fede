"""Length-prefixed frames on a byte stream, sans I/O: 4 bytes of length, big-endian, and that many bytes of payload.

Answers for: where one frame ends and the next begins, however the stream is cut, and for a bound on what a peer can
make us hold. Must not know: sockets, what a payload means, anything of ours.
"""

from __future__ import annotations

from typing import Final, TypeAlias

HEAD: Final = 4  # bytes before the payload
MOST: Final = 64 * 1024 * 1024  # bytes of one payload, unless told otherwise
LONGEST: Final = 2**32 - 1  # bytes of one payload that its head can tell

Piece: TypeAlias = "bytes | bytearray | memoryview"


class FrameError(ValueError):
    """The stream is no sequence of frames, or one is longer than agreed."""


def head(size: int) -> bytes:
    """What stands before a payload of `size` bytes. Raises FrameError if that cannot be told."""
    if size > LONGEST:
        raise FrameError(f"a frame of {size} bytes cannot be sent")
    return size.to_bytes(HEAD, "big")


def frame(payload: Piece) -> bytes:
    """One payload with its head."""
    return head(len(payload)) + payload


class Frames:
    """Takes a stream apart. A frame that comes whole in one piece is not copied."""

    __slots__ = ("_held", "_most")

    def __init__(self, most: int = MOST) -> None:
        self._held = bytearray()
        self._most = most

    @property
    def partial(self) -> bool:
        """Whether the beginning of a frame has come, and not yet its end."""
        return bool(self._held)

    def feed(self, data: Piece) -> list[Piece]:
        """The payloads that are complete now, in order; to be used before what `data` shows is overwritten.

        Raises FrameError when a head asks for more than was agreed; the stream cannot be read on then.
        """
        if not self._held:
            found, used = self._split(memoryview(data))
            self._held += memoryview(data)[used:]
            return found
        self._held += data
        if len(self._held) < self._wanted():
            return []
        whole, self._held = self._held, bytearray()
        found, used = self._split(memoryview(whole))
        self._held += memoryview(whole)[used:]
        return found

    def _wanted(self) -> int:
        """Bytes with which the first held frame is complete."""
        held = self._held
        return HEAD if len(held) < HEAD else HEAD + self._checked(int.from_bytes(held[:HEAD], "big"))

    def _split(self, view: memoryview) -> tuple[list[Piece], int]:
        """The payloads in `view`, and how many of its bytes they took."""
        found: list[Piece] = []
        start, end = 0, len(view)
        while start + HEAD <= end:
            after = start + HEAD + self._checked(int.from_bytes(view[start : start + HEAD], "big"))
            if after > end:
                break
            found.append(view[start + HEAD : after])
            start = after
        return found, start

    def _checked(self, size: int) -> int:
        if size > self._most:
            raise FrameError(f"a frame of {size} bytes; at most {self._most} were agreed")
        return size
