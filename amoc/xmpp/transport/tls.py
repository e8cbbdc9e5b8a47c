"""TLS contexts of clients: one per process and kind, because each costs about a megabyte and 40 ms."""

import functools
import ssl

__all__ = ["client_context"]


@functools.lru_cache(maxsize=16)
def client_context(accept_any: bool = False, ca_file: str = "") -> ssl.SSLContext:
    """The context that checks the server's certificate, or, only when asked for, does not.

    `ca_file` (PEM) replaces the system's authorities. Raises OSError or ssl.SSLError when it cannot be read.
    """
    context = ssl.create_default_context(cafile=ca_file or None)
    if accept_any:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
