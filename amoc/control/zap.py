"""Who may connect: ZeroMQ's authentication protocol (ZAP, RFC 27 of ZeroMQ), the side that decides.

Pure: frames in, frames out. libzmq asks for every connection to a CURVE socket, after the handshake has proved
that the peer owns the secret key of the public key that is asked about. The user id of the answer stays with
the connection: every message that arrives on it carries the name of the key's owner.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["DOMAIN", "ENDPOINT", "KEY_SIZE", "Decision", "decide"]

ENDPOINT = "inproc://zeromq.zap.01"
DOMAIN = b"amoc"

_VERSION = b"1.0"
_GRANTED = b"200"
_DENIED = b"400"
_ENVELOPE = 6  # version, request id, domain, address, routing id, mechanism; then come the credentials
KEY_SIZE = 32


@dataclass(frozen=True, slots=True)
class Decision:
    """What was asked and answered. `owner` is None when the connection is denied; `reply` goes back to libzmq."""

    reply: list[bytes]
    owner: str | None
    address: str = ""
    key: bytes = b""


def decide(frames: Sequence[bytes], owner_of: Callable[[bytes], str | None]) -> Decision:
    """Grant a connection whose key has an owner; `owner_of` gets the 32 bytes of a public key.

    Anything but CURVE in our domain with one key of the right size is denied.
    """
    if len(frames) < _ENVELOPE:
        return Decision([_VERSION, frames[1] if len(frames) > 1 else b"", _DENIED, b"not a request", b"", b""], None)
    version, request, domain, address, _, mechanism, *credentials = frames
    owner, key = None, b""
    if (version, domain, mechanism) == (_VERSION, DOMAIN, b"CURVE") and len(credentials) == 1:
        key = credentials[0]
        owner = owner_of(key) if len(key) == KEY_SIZE else None
    where = address.decode("ascii", "replace")
    if owner is None:
        return Decision([_VERSION, request, _DENIED, b"key not listed", b"", b""], None, where, key)
    return Decision([_VERSION, request, _GRANTED, b"OK", owner.encode(), b""], owner, where, key)
