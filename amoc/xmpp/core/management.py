"""Stream management (XEP-0198): what was handled, what was sent and not yet acknowledged. Both sides count alike.

A `Management` outlives its connections: it is given to the stream of each of them in turn. Its owner calls `room`
and `sent` for every stanza that leaves and `received` for every one that comes, once `active`, and gives elements
of the namespace to `control`.
"""

from collections import deque
from typing import Final

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.element import Element
from amoc.xmpp.errors import SendOverflow, StreamError

__all__ = ["ACK_AFTER", "MAX_UNACKNOWLEDGED", "REQUEST_AFTER", "Management"]

# Bytes that may wait for an acknowledgement. Half of what may wait to be sent, so that all of it can be sent again.
MAX_UNACKNOWLEDGED: Final = 524_288
# Stanzas that are sent before an acknowledgement is asked for: with a burst of that size one request goes along.
REQUEST_AFTER: Final = 10
# Stanzas that are handled before we acknowledge them unasked (XEP-0198, 4: "at any time"). Prosody keeps 500.
ACK_AFTER: Final = 100
_REQUEST: Final = f"<r xmlns='{ns.SM}'/>".encode()
_WRAP: Final = 2**32  # the counters are unsignedInt (XEP-0198, 4)


class Management:
    """One session's counters and its queue of stanzas.

    `resume`: the session is to outlive its connection. `every`: ask for an acknowledgement after so many stanzas.
    `active` while the peer counts; `ident` is what the session can be resumed by ("": it cannot), `jid` whose it is,
    `timeout` how many seconds the peer keeps it (None: it does not say). Of all that was ever sent, `acknowledged`
    stanzas are known to have been handled, and of `lost` ones it will never be known.
    """

    __slots__ = (
        "_asked", "_bytes", "_every", "_peer", "_queue", "_unsaid", "acknowledged", "active", "handled", "ident",
        "jid", "lost", "resume", "resumed", "timeout",
    )  # fmt: skip

    def __init__(self, *, resume: bool, every: int = REQUEST_AFTER) -> None:
        self.resume = resume
        self._every = every
        self._queue: deque[bytes] = deque()
        self.acknowledged = 0
        self.lost = 0
        self.jid = ""
        self.forget()

    def __repr__(self) -> str:
        return f"<Management {self.ident!r} handled {self.handled}, {len(self._queue)} unacknowledged>"

    def __len__(self) -> int:
        """How many stanzas wait for an acknowledgement."""
        return len(self._queue)

    def forget(self) -> None:
        """The session is over, or about to begin: count from nothing. What waits for an acknowledgement is lost."""
        self.lost += len(self._queue)
        self._queue.clear()
        self._bytes = 0
        self._peer = 0  # what the peer has handled, modulo 2**32
        self._asked = False  # a request of ours has not been answered
        self._unsaid = 0  # handled since our last acknowledgement
        self.handled = 0  # modulo 2**32
        self.active = False
        self.resumed = False
        self.ident = ""
        self.timeout: int | None = None

    def suspend(self) -> None:
        """The connection is gone."""
        self.active = self.resumed = False

    def enabled(self, ident: str, timeout: int | None, jid: str) -> None:
        """The peer counts from now on, and keeps the session under `ident`, "" if it does not."""
        self.forget()
        self.active = True
        self.ident, self.timeout, self.jid = ident, timeout, jid

    def resumed_at(self, h: str | None) -> None:
        """The session goes on, the peer having handled `h` stanzas; the others are to be sent again."""
        self.acknowledge(h)
        self.active = self.resumed = True
        self._asked = False
        self._unsaid = 0  # the peer has been told on the way

    def unacknowledged(self) -> list[bytes]:
        """The stanzas that wait for an acknowledgement, oldest first."""
        return list(self._queue)

    def room(self, stanza: bytes) -> None:
        """Raises SendOverflow when the peer acknowledges too little for another stanza to be sent."""
        if self._bytes + len(stanza) > MAX_UNACKNOWLEDGED:
            raise SendOverflow(f"{len(self._queue)} stanzas wait for an acknowledgement: the server gives none")

    def sent(self, stanza: bytes) -> bool:
        """A stanza has been sent. Whether a request for an acknowledgement (`ask`) should follow."""
        self._queue.append(stanza)
        self._bytes += len(stanza)
        return len(self._queue) >= self._every and not self._asked

    def received(self) -> bool:
        """A stanza has come. Whether an acknowledgement is due, unasked."""
        self.handled = (self.handled + 1) % _WRAP
        self._unsaid += 1
        return self._unsaid >= ACK_AFTER

    def answer(self) -> bytes:
        """The acknowledgement of what was handled."""
        self._unsaid = 0
        return f"<a xmlns='{ns.SM}' h='{self.handled}'/>".encode()

    def ask(self) -> bytes:
        """A request for an acknowledgement; until it is answered no other one is wanted."""
        self._asked = True
        return _REQUEST

    def control(self, element: Element) -> bytes:
        """Take an element of the namespace. What to send in return. Raises StreamError."""
        if element.name == "r":
            return self.answer()
        if element.name != "a":
            raise StreamError("unsupported-stanza-type", f"<{element.name}/> of stream management", ours=True)
        self.acknowledge(element.get("h"))
        self._asked = False
        return self.ask() if len(self._queue) >= self._every else b""

    def acknowledge(self, h: str | None) -> None:
        """The peer has handled `h` stanzas. Raises StreamError when that cannot be."""
        if h is None or not (h.isascii() and h.isdigit()) or len(h) > 10 or int(h) >= _WRAP:
            raise StreamError("undefined-condition", f"{h!r} is no count of stanzas", ours=True)
        newly = (int(h) - self._peer) % _WRAP
        if newly > len(self._queue):
            text = f"h={h} is more than the {self._peer + len(self._queue)} stanzas that were sent"
            raise StreamError("undefined-condition", text, ours=True)
        for _ in range(newly):
            self._bytes -= len(self._queue.popleft())
        self._peer = int(h)
        self.acknowledged += newly
