"""What the core wants done, in order, by whoever owns the socket. Stanzas are in the list as `Element`s."""

from dataclasses import dataclass

from amoc.xmpp.core.element import Element
from amoc.xmpp.errors import XmppError

__all__ = ["Effect", "Ended", "Ready", "StartTls", "Write"]


@dataclass(frozen=True, slots=True)
class Write:
    """Send these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """Write what is to be written, upgrade the connection, then call the stream's `tls_started`."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Login is done; `jid` is the connection's full address."""

    jid: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The peer's stream is over, or made no sense. Write what is to be written, then close the connection.

    `error` is None when the peer closed its stream as it should.
    """

    error: XmppError | None


Effect = Write | StartTls | Ready | Ended | Element
