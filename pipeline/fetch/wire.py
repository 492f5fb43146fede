"""One socket in the selector: what it waits for, and sends and reads that never block, plain and TLS alike.

Answers for: the registration (unregistered before it is closed, always), what is left to send, and the four ways of
saying "not now": BlockingIOError, InterruptedError, and TLS wanting to read or to write. The last two become selector
interest for the moment, whatever the state's own is; the next step that succeeds ends that. Must not know: states,
deadlines, HTTP.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import Final

from pipeline.fetch import tls
from pipeline.fetch.loop import READ, WRITE, Loop, ReadyCallback
from pipeline.fetch.tls import Peer, Tls, TlsSocket

NOT_NOW: Final = -1
_LATER = (BlockingIOError, InterruptedError)


class Wire:
    """Owns `sock`. Every wire of a fetcher reads into one `buffer`: what `receive` brought is used before the next."""

    __slots__ = ("_loop", "_on_ready", "_sock", "buffer", "interest", "peer", "tls", "unclean", "unsent")

    def __init__(self, loop: Loop, sock: socket.socket, on_ready: ReadyCallback, buffer: memoryview) -> None:
        self._loop = loop
        self._sock: socket.socket | TlsSocket = sock
        self._on_ready = on_ready
        self.buffer = buffer
        self.interest = 0  # what the selector has; 0: not registered
        self.tls: TlsSocket | None = None  # the socket, once it is one
        self.peer: Peer | None = None  # of the last handshake
        self.unclean = False  # TLS ended without close_notify
        self.unsent: bytes | memoryview = b""

    def watch(self, interest: int) -> None:
        """Wait for this and nothing else."""
        if interest == self.interest:
            return
        if self.interest and interest:
            self._loop.modify(self._sock, interest, self._on_ready)
        elif interest:
            self._loop.register(self._sock, interest, self._on_ready)
        else:
            self._loop.unregister(self._sock)
        self.interest = interest

    def close(self, *, goodbye: bool = False) -> None:
        """Give the socket up. Unregistered first: a closed one can no longer be taken out of a selector."""
        self.watch(0)
        if goodbye and self.tls is not None:
            tls.say_goodbye(self.tls)
        self._sock.close()

    def error(self) -> int:
        """The errno of a connection attempt that is over; 0: it stands."""
        assert isinstance(self._sock, socket.socket)
        return self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def peer_ip(self) -> str:
        """The address that we are connected to, as the system says."""
        assert isinstance(self._sock, socket.socket)
        ip: str = self._sock.getpeername()[0]
        return ip

    def begin_tls(self, shared: Tls, peer: Peer) -> None:
        """Put TLS on top; `handshake` is to follow."""
        self.watch(0)  # the socket becomes another object
        self.peer = peer
        self._sock = self.tls = shared.wrap(self._sock, peer)

    def handshake(self) -> bool:
        """Go on with the handshake; True when it is done, else what TLS wants is watched. Raises FetchError."""
        assert self.tls is not None and self.peer is not None
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self.watch(READ)
        except ssl.SSLWantWriteError:
            self.watch(WRITE)
        except OSError as error:
            raise tls.handshake_failed(self.peer, error) from error
        else:
            return True
        return False

    def send(self) -> int:
        """Send of `unsent` what is taken now. The interest with which to go on if something is left. Raises OSError."""
        try:
            sent = self._sock.send(self.unsent)
        except (*_LATER, ssl.SSLWantWriteError):
            return READ | WRITE
        except ssl.SSLWantReadError:
            return READ
        self.unsent = memoryview(self.unsent)[sent:] if sent < len(self.unsent) else b""
        return READ | WRITE

    def receive(self) -> int:
        """Bytes read into `buffer`; 0 at the end of input, `NOT_NOW` if there are none yet. Raises OSError."""
        try:
            return self._sock.recv_into(self.buffer)
        except (*_LATER, ssl.SSLWantReadError):
            return NOT_NOW
        except ssl.SSLWantWriteError:
            self.watch(READ | WRITE)
            return NOT_NOW
        except ssl.SSLEOFError as error:
            if tls.is_reset(error):
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from error
            self.unclean = True
            return 0

    def holds_input(self) -> bool:
        """Whether bytes are decrypted or buffered that no poll will report."""
        return self.tls is not None and self.tls.pending() > 0

    def is_spoilt(self) -> bool:
        """Whether a kept connection holds a hang-up or bytes that no poll has reported yet.

        Bytes would be taken for the answer to the next request, so this look is worth its system call (RFC 9112, 9.2).
        """
        if self.tls is not None:
            return tls.has_input(self.tls, self.buffer)
        assert isinstance(self._sock, socket.socket)
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except _LATER:
            return False
        except OSError:
            return True
        return True
