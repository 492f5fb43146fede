"""Certificates of a test CA, good and bad, and server contexts that present them. Made once a process."""

from __future__ import annotations

import datetime
import ssl
import tempfile
import warnings
from functools import cache
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAMES = ("localhost", "shop.example", "*.books.example", "127.0.0.1")
_PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@cache
def authority() -> trustme.CA:
    """The CA of all good certificates."""
    return trustme.CA()


@cache
def ca_file() -> Path:
    """Its certificate as a PEM file."""
    path = Path(tempfile.mkdtemp(prefix="badserver-")) / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return path


def server(cert: trustme.LeafCert) -> ssl.SSLContext:
    """A context that presents this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@cache
def good() -> ssl.SSLContext:
    """Valid for all of NAMES."""
    return server(authority().issue_cert(*NAMES))


@cache
def good_tls12() -> ssl.SSLContext:
    """The same, in TLS 1.2."""
    context = server(authority().issue_cert(*NAMES))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@cache
def expired() -> ssl.SSLContext:
    """Valid in the past."""
    issued = authority().issue_cert(*NAMES, not_before=_PAST, not_after=_PAST + datetime.timedelta(days=9))
    return server(issued)


@cache
def wrong_host() -> ssl.SSLContext:
    """Valid for somebody else."""
    return server(authority().issue_cert("other.test", "127.0.0.99"))


@cache
def unknown_ca() -> ssl.SSLContext:
    """Issued by a CA that nobody trusts."""
    return server(trustme.CA().issue_cert(*NAMES))


@cache
def self_signed() -> ssl.SSLContext:
    """Its own issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAMES[0])]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + cert.public_bytes(serialization.Encoding.PEM)
    return _from_pem(pem)


@cache
def long_chain() -> ssl.SSLContext:
    """A good certificate, followed by 200 KiB of others."""
    issued, root = authority().issue_cert(*NAMES), authority().cert_pem.bytes()
    pem = issued.private_key_and_cert_chain_pem.bytes()
    der = len(ssl.PEM_cert_to_DER_cert(root.decode()))
    return _from_pem(pem + root * (200 * 1024 // der + 1))


@cache
def old_tls() -> ssl.SSLContext:
    """TLS 1.0 and 1.1 only."""
    context = server(authority().issue_cert(*NAMES))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def _from_pem(pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context
