"""A certificate authority of one test run, and server certificates that it signed."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["CLIENT", "Certificate", "issue"]

CLIENT = "user_310@scram.local"
XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")


@dataclass(frozen=True)
class Certificate:
    """PEM files of one server: its key, its certificate, both in one file, and the authority to trust.

    `client` has a certificate and key that the same authority has made for `CLIENT` (RFC 6120, 13.7.1.4).
    """

    key: Path
    certificate: Path
    both: Path
    authority: Path
    client: Path


def issue(folder: Path, hosts: list[str], *, days: int = 30) -> Certificate:
    """Make an authority and a certificate for `hosts` and 127.0.0.1 in `folder`; valid for so many days from now on."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "amoc test authority")])
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(host) for host in hosts]
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0])])
    certificate = (
        _builder(subject, authority_name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.SubjectAlternativeName([*names, loopback]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    address = CLIENT.encode()
    client_key = ec.generate_private_key(ec.SECP256R1())
    client_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, CLIENT.partition("@")[0])])
    client = (
        _builder(client_name, authority_name, client_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(  # DER: a UTF8String
            x509.SubjectAlternativeName([x509.OtherName(XMPP_ADDR, bytes([12, len(address)]) + address)]),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    key_pem, client_pem = (
        one.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        for one in (key, client_key)
    )
    certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
    authority_pem = authority.public_bytes(serialization.Encoding.PEM)
    return Certificate(
        key=_write(folder / "key.pem", key_pem),
        certificate=_write(folder / "certificate.pem", certificate_pem),
        both=_write(folder / "both.pem", certificate_pem + key_pem),
        authority=_write(folder / "authority.pem", authority_pem),
        client=_write(folder / "client.pem", client.public_bytes(serialization.Encoding.PEM) + client_pem),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int = 30
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path
