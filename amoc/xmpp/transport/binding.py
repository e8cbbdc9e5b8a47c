"""The channel bindings of a TLS connection (RFC 5929, RFC 9266), by type.

Python's ssl gives tls-unique, which exists up to TLS 1.2 only; it has no access to the exporter that TLS 1.3 wants
to be bound by (tls-exporter), and there is no way to it but through CPython's private memory. What can be had for
every version is tls-server-end-point: the hash of the server's certificate.
"""

import functools
import ssl

__all__ = ["channel_bindings"]


def channel_bindings(tls: ssl.SSLObject | None) -> dict[str, bytes]:
    """What the connection can be bound by: none without TLS."""
    found: dict[str, bytes] = {}
    if tls is None:
        return found
    for kind in ssl.CHANNEL_BINDING_TYPES:
        if kind == "tls-unique" and tls.version() == "TLSv1.3":
            continue  # not defined there (RFC 9266, 3)
        data = tls.get_channel_binding(kind)
        if data:
            found[kind] = data
    certificate = None if tls.server_side else tls.getpeercert(binary_form=True)
    if certificate:
        end_point = _end_point(certificate)
        if end_point:
            found["tls-server-end-point"] = end_point
    return found


@functools.lru_cache(maxsize=16)
def _end_point(certificate: bytes) -> bytes:
    """RFC 5929, 4.1; b"" where it is not defined. All users of a process see the same few certificates."""
    from cryptography import x509  # 10 MB that nobody pays who does not log in with SCRAM over TLS
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes

    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return b""
    if algorithm is None:  # Ed25519 has no hash of its own
        return b""
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate)
    return digest.finalize()
