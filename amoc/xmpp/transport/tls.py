"""TLS contexts of clients: one per process and kind, because each costs about a megabyte and 40 ms."""

import functools
import ssl

from amoc.xmpp.errors import ConnectFailed

__all__ = ["client_context", "handshake_failure"]


@functools.lru_cache(maxsize=16)
def client_context(
    accept_any: bool = False, ca_file: str = "", protocol: str = "", certificate: str = ""
) -> ssl.SSLContext:
    """The context that checks the server's certificate, or, only when asked for, does not.

    `ca_file` (PEM) replaces the system's authorities; `protocol` is offered by ALPN (RFC 7301) unless it is "";
    `certificate` (PEM, with its key) is ours. Raises OSError or ssl.SSLError when a file cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options |= ssl.OP_NO_RENEGOTIATION  # which only TLS 1.2 has; to write never waits for the peer then
    if accept_any:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_file:
        context.load_verify_locations(ca_file)
    else:
        context.load_default_certs()  # a megabyte and 30 ms
    if certificate:
        context.load_cert_chain(certificate)
    if protocol:
        context.set_alpn_protocols([protocol])
    return context


def handshake_failure(error: OSError) -> ConnectFailed:
    """What to tell of a TLS handshake that ended in `error`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        advice = "set xmpp_ca_file to its authority's certificate, or xmpp_accept_any_certificate"
        return ConnectFailed("tls", f"the server's certificate is not valid: {error.verify_message}: {advice}")
    reason = getattr(error, "reason", None) or error.strerror or str(error) or type(error).__name__
    return ConnectFailed("tls", f"the TLS handshake failed: {reason}")
