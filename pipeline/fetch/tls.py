"""TLS for connections: contexts, sessions, who is verified, what a failed handshake means.

Answers for: the one context of each verification mode, the last session of each peer (a later handshake is then a
short one), and the `ssl` calls whose outcome needs knowledge of OpenSSL. Must not know: states, deadlines, exchanges.

Sockets are `ssl.SSLSocket`s that never block: a call that cannot go on raises SSLWantReadError or SSLWantWriteError,
which the connection turns into selector interest. TLS inside TLS (an https proxy, then an https site) is
`TunnelledTls`, which looks the same.

An end of input without close_notify is told apart from a clean one (`ssl.SSLEOFError`; the option that hides it is
cleared, and `suppress_ragged_eofs` is off): where nothing else says where a body ends, the page is marked.
Renegotiation (TLS 1.2) is refused: an answer never needs it, and without it a read hardly ever wants to write.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Hashable, Sequence
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import Final, NamedTuple, TypeAlias, TypeVar, cast

import msgspec

from pipeline.errors import FetchError, TlsError

MAX_SESSIONS: Final = 256  # of some 18 KiB, because OpenSSL keeps the certificate with it
ALPN: Final = ["http/1.1"]
RECORD: Final = 16 * 1024  # bytes of content in one TLS record at most (RFC 8446, 5.1)

Result = TypeVar("Result")

_HELP = "if you trust it, name its CA in fetch.tls.ca_file or the host in fetch.tls.insecure_hosts"
_REFUSED = {  # X509_V_ERR_* -> what is wrong with a certificate
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "the certificate chain ends in a self-signed certificate that is not trusted",
    20: "the certificate was issued by a CA that is not trusted, or the server left out an intermediate one",
    21: "the certificate was issued by a CA that is not trusted, or the server left out an intermediate one",
    23: "the certificate was revoked",
    62: "the certificate is for another host",
    64: "the certificate is for another address",
}


class CertificateError(TlsError):
    """The certificate was refused. It would be the next time too, so no other attempt is made."""

    retry_word = None  # type: ignore[assignment]  # of its base, mypy has inferred str


class TlsOptions(msgspec.Struct, frozen=True):
    """Who is believed.

    `ca_file` is a PEM file of the only CAs that are trusted, in place of the system's. `insecure_hosts` are names
    that are not verified: as they stand in URLs, or globs over them (`*.test.example`); a glob never means an address.
    """

    verify: bool = True
    ca_file: str | os.PathLike[str] | None = None
    insecure_hosts: Sequence[str] = ()


class Peer(NamedTuple):
    """Who is at the other end of a handshake. `key` tells peers apart whose sessions must not be mixed."""

    host: str
    port: int
    verify: bool
    key: Hashable


class Tls:
    """What the connections of a fetcher share. Raises ValueError for a `ca_file` that cannot be used."""

    def __init__(self, options: TlsOptions) -> None:
        self._options = options
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._sessions: dict[Hashable, ssl.SSLSession] = {}  # least recently stored first
        if options.ca_file is not None:
            self.context(verify=options.verify)

    def verifies(self, host: str) -> bool:
        """Whether the certificate of this host must be good."""
        return self._options.verify and not is_named(host, self._options.insecure_hosts)

    def context(self, *, verify: bool) -> ssl.SSLContext:
        """The context of a verification mode: made once, because it holds all CAs."""
        context = self._contexts.get(verify)
        if context is None:
            context = self._contexts[verify] = make_context(verify=verify, ca_file=self._options.ca_file)
        return context

    def wrap(self, sock: socket.socket | TlsSocket, peer: Peer) -> TlsSocket:
        """A TLS client over a connected socket; its handshake is yet to be done. Takes the socket over."""
        context, session = self.context(verify=peer.verify), self._sessions.get(peer.key)
        name = peer.host.rstrip(".")  # no certificate has the dot of an absolute name
        try:
            name.encode("idna")  # as `ssl` will, but before it has taken the socket
            if isinstance(sock, (ssl.SSLSocket, TunnelledTls)):
                return TunnelledTls(sock, context, name, session)
            return context.wrap_socket(
                sock,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
                server_hostname=name,
                session=session,
            )
        except ValueError as error:  # a name that cannot be asked for by SNI
            raise TlsError(f"{peer.host}: {error}", reason="handshake") from error

    def remember(self, peer: Peer, sock: TlsSocket) -> None:
        """Keep the session for the peer's next connection. TLS 1.3 has it only after the first answer has begun.

        One that was used again is good for more: another would cost a copy of it, certificate included.
        """
        if sock.session_reused:
            return
        session = sock.session
        if session is None or not (session.has_ticket or session.id):
            return
        self._sessions.pop(peer.key, None)
        self._sessions[peer.key] = session
        if len(self._sessions) > MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]


def is_named(host: str, patterns: Sequence[str]) -> bool:
    """Whether a host is in a list of names and globs; an IP literal only if it stands there itself."""
    if host in patterns:
        return True
    try:
        ip_address(host)
    except ValueError:
        return any(fnmatchcase(host, pattern.lower()) for pattern in patterns)
    return False


def make_context(*, verify: bool, ca_file: str | os.PathLike[str] | None = None) -> ssl.SSLContext:
    """A client context: TLS 1.2 or later, ALPN, certificate and host name checked if `verify`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(ALPN)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_file is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # SSLError among them: no certificate in the file
            raise ValueError(f"ca_file {os.fspath(ca_file)}: {error.strerror or error}") from error
    return context


def handshake_failed(peer: Peer, error: OSError) -> FetchError:
    """Why there is no TLS connection, for people."""
    where = f"{peer.host}:{peer.port}"
    failed: FetchError
    if isinstance(error, ssl.SSLCertVerificationError):
        what = _REFUSED.get(error.verify_code, f"the certificate is refused: {error.verify_message}")
        failed = CertificateError(f"{where}: {what}; {_HELP}", reason="cert_verify")
    elif isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        failed = TlsError(f"{where}: TLS handshake failed: {_words(error)}", reason="handshake")
    else:
        failed = TlsError(f"{where}: the server ended the connection during the TLS handshake", reason="handshake")
    failed.__cause__ = error
    return failed


def broken(error: ssl.SSLError) -> TlsError:
    """TLS ended after the handshake: an alert (such as: a client certificate is wanted), or a record that is none."""
    reason = "alert" if "ALERT" in (error.reason or "") else "record"
    return TlsError(f"TLS broke: {_words(error)}", reason=reason)


def is_reset(error: ssl.SSLEOFError) -> bool:
    """Whether the connection was reset. Python says EOF of that too; OpenSSL 3 names a reason only for a real one."""
    return ssl.OPENSSL_VERSION_INFO >= (3,) and error.reason != "UNEXPECTED_EOF_WHILE_READING"


def has_input(sock: TlsSocket, buffer: memoryview) -> bool:
    """Whether a kept connection holds a hang-up or bytes of content.

    Session tickets come at any time after the handshake and are no content. A look at the socket beneath is cheaper
    than a read that has nothing to read, so OpenSSL is asked only if something lies there.
    """
    if sock.pending():
        return True
    try:
        socket.socket.recv(beneath(sock), 1, socket.MSG_PEEK)
        sock.recv_into(buffer)
    except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    return True


def say_goodbye(sock: TlsSocket) -> None:
    """Send close_notify (RFC 8446, 6.1) and do not wait for the peer's."""
    try:
        sock.unwrap()
    except (OSError, ValueError):  # an answer is not waited for, and the peer may be gone
        return


def beneath(sock: TlsSocket) -> ssl.SSLSocket:
    """The socket that the system knows."""
    while isinstance(sock, TunnelledTls):
        sock = sock.outer
    return sock


def _words(error: ssl.SSLError) -> str:
    """OpenSSL's reason without its decoration; the two that puzzle people are explained."""
    reason = error.reason or error.strerror or str(error)
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
        return "the server does not speak TLS on this port"
    if reason in ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"):
        return "the server does not speak TLS 1.2 or later"
    return reason.replace("_", " ").lower()


class TunnelledTls:
    """TLS over another TLS socket: what an SSLSocket does, as far as a connection uses it.

    What is read from the outer one is put into a buffer that OpenSSL reads from, and the other way round. As with
    OpenSSL itself, a `send` that wants to write has taken its bytes and is to be called again with the same.
    """

    __slots__ = ("_in", "_object", "_out", "_owed", "_unsent", "outer")

    def __init__(
        self, outer: TlsSocket, context: ssl.SSLContext, name: str, session: ssl.SSLSession | None = None
    ) -> None:
        self.outer = outer
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_hostname=name, session=session)
        self._unsent: bytes | memoryview = b""  # encrypted, of the outer socket's
        self._owed = 0  # bytes of a `send` that are taken but not all sent

    @property
    def session(self) -> ssl.SSLSession | None:
        """As of an SSLSocket."""
        return self._object.session

    @property
    def session_reused(self) -> bool | None:
        """As of an SSLSocket."""
        return self._object.session_reused

    def fileno(self) -> int:
        """Of the socket beneath all."""
        return self.outer.fileno()

    def close(self) -> None:
        """Close what lies beneath."""
        self.outer.close()

    def pending(self) -> int:
        """Bytes that no poll will report: decrypted ones, and what waits in the buffers beneath."""
        return self._object.pending() + self._in.pending + self.outer.pending()

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        self._through(self._object.do_handshake)
        self._flush()

    def unwrap(self) -> None:
        """Send close_notify, and take what the peer says to it."""
        self._through(self._object.unwrap)

    def recv_into(self, buffer: memoryview) -> int:
        """Bytes read; 0: the peer closed cleanly."""
        return self._through(lambda: cast("int", self._object.read(len(buffer), buffer)))

    def send(self, data: bytes | memoryview) -> int:
        """Bytes taken, all of them on their way."""
        if not self._owed:
            self._owed = self._object.write(data[:RECORD])
        self._flush()
        sent, self._owed = self._owed, 0
        return sent

    def _through(self, call: Callable[[], Result]) -> Result:
        """Call until OpenSSL has what it wants from the outer socket, or that has no more for now."""
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()

    def _fill(self) -> None:
        buffer = bytearray(RECORD)
        try:
            size = self.outer.recv_into(memoryview(buffer))
        except ssl.SSLEOFError:
            size = 0
        if size:
            self._in.write(buffer[:size])
        else:
            self._in.write_eof()

    def _flush(self) -> None:
        while self._unsent or self._out.pending:
            if not self._unsent:
                self._unsent = memoryview(self._out.read())
            self._unsent = self._unsent[self.outer.send(self._unsent) :]


TlsSocket: TypeAlias = ssl.SSLSocket | TunnelledTls
