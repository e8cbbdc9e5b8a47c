"""A key and a self-signed certificate, made at start: enough for a server on loopback, and for nothing else."""

import datetime
import ipaddress
import os
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["self_signed", "server_context", "write_pem"]


def self_signed(domain: str = "localhost", *, days: int = 30) -> tuple[bytes, bytes]:
    """(certificate, key) as PEM, for `domain`, localhost and loopback, valid since yesterday for `days`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)])
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in dict.fromkeys((domain, "localhost"))]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1 + days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def write_pem(path: Path, pem: bytes) -> None:
    """Write a new file that nobody else may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)


def server_context(domain: str = "localhost", pem: tuple[bytes, bytes] | None = None) -> ssl.SSLContext:
    """A server's TLS context with `pem` (certificate, key), or a new self-signed one."""
    certificate, key = pem or self_signed(domain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION
    with tempfile.TemporaryDirectory() as folder:  # ssl loads from files only; the folder is 0700
        write_pem(Path(folder) / "certificate.pem", certificate)
        write_pem(Path(folder) / "key.pem", key)
        context.load_cert_chain(Path(folder) / "certificate.pem", Path(folder) / "key.pem")
    return context
