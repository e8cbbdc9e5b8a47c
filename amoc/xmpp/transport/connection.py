"""What all transports have in common: one stream, its owner, and the writing once in a tick of the loop.

Bytes go from the loop straight into the core, effects come back and are performed here; stanzas, and what the
owner has to decide, go on to the owner. What is sent within one tick of the loop leaves in one write.
"""

import asyncio
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakKeyDictionary

from amoc.xmpp.core.effects import Effect, Ended, Ready, StartTls, Write
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.stream import Stream
from amoc.xmpp.errors import SendOverflow, XmppError

if TYPE_CHECKING:
    from amoc.xmpp.transport.dial import Dialer

__all__ = ["MAX_UNSENT", "Connection", "Owner"]

# Bytes that may wait for a peer that does not read: some thousand messages, and no process dies of them.
MAX_UNSENT: Final = 1_048_576


class Owner(Protocol):
    """Whom a connection tells."""

    def on_stanza(self, stanza: Element) -> None:
        """A stanza has come."""

    def on_ready(self, jid: str) -> None:
        """The login is done."""

    def on_start_tls(self) -> None:
        """Call `TcpConnection.start_tls`, now or soon; reading is paused until then."""

    def on_ended(self, error: XmppError | None) -> None:
        """The peer's stream is over (None: it was closed properly); the connection is being closed."""

    def on_lost(self, error: Exception | None) -> None:
        """The connection is gone. The last call ever."""


class _Flusher:
    """Writes, once in a tick of the loop, what the loop's connections have to send."""

    __slots__ = ("_dirty", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._dirty: list[Connection] = []

    def add(self, connection: "Connection") -> None:
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.append(connection)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()


_flushers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Flusher] = WeakKeyDictionary()


def _flusher() -> _Flusher:
    loop = asyncio.get_running_loop()
    flusher = _flushers.get(loop)
    if flusher is None:
        flusher = _flushers[loop] = _Flusher(loop)
    return flusher


class Connection:
    """A connection to one peer. Make it in a running loop; the subclasses move the bytes."""

    __slots__ = ("_flusher", "_out", "_owner", "_paused", "_reading", "_resumed", "_stream", "_unsent")

    def __init__(self, stream: Stream, owner: Owner) -> None:
        self._stream = stream
        self._owner: Owner | None = owner
        self._flusher = _flusher()
        self._out: list[bytes] = []
        self._unsent = 0
        self._reading = False  # inside a callback that flushes at its end
        self._paused = False  # more waits than the peer reads
        self._resumed: asyncio.Future[None] | None = None
        stream.deliver = owner.on_stanza

    def __repr__(self) -> str:
        peer = self.transport.get_extra_info("peername") if self.transport is not None else None
        return f"<{type(self).__name__} {peer} {self._stream!r}>"

    @property
    def stream(self) -> Stream:
        """The stream, for its step and state."""
        return self._stream

    @property
    def open(self) -> bool:
        """Whether there is a transport that can still send."""
        return self.transport is not None and not self.transport.is_closing()

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport, for its extra info."""
        raise NotImplementedError

    async def connect(self, dialer: "Dialer") -> None:
        """Connect to the server and begin the stream. Raises ConnectFailed; clean up with `abort` then."""
        raise NotImplementedError

    # -- sending ---------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send an element at the end of this tick. Raises SendOverflow when the peer does not read."""
        unsent = self._unsent + len(data)
        if unsent > MAX_UNSENT:
            raise SendOverflow(f"{self._unsent} bytes wait to be sent: the server does not read them")
        self._unsent = unsent
        out = self._out
        if not (out or self._reading):
            self._flusher.add(self)
        out.append(data)

    def flush(self) -> None:
        """Write now what waits for the end of the tick."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Wait until the peer has read most of what was sent."""
        self.flush()
        if self._paused:
            if self._resumed is None or self._resumed.done():
                self._resumed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._resumed)

    def _put(self, data: bytes) -> None:
        """Add an element, or what opens or ends the stream, to what is written at the end of this tick."""
        self._out.append(data)

    # -- ending ----------------------------------------------------------------------------------------

    def close_stream(self) -> None:
        """End our stream; the peer should end its own and the connection."""
        footer = self._stream.close()
        if footer is not None and self.open:
            self._put(footer)
            self.flush()

    def close(self, last_words: bytes = b"") -> None:
        """Close the connection when what waits has been written, `last_words` and the stream's end last."""
        raise NotImplementedError

    def abort(self) -> None:
        """Cut the connection now; what waits is lost. The owner is not told of what still comes."""
        raise NotImplementedError

    def _put_last(self, last_words: bytes) -> None:
        footer = self._stream.close()
        if footer is not None and self.open:
            if last_words:
                self._put(last_words)
            self._put(footer)

    def _gone(self) -> None:
        """Let go of everything."""
        self._stream.lost()
        self._stream.deliver = None
        self._out.clear()
        self._resume()

    def _resume(self) -> None:
        self._paused = False
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    # -- effects ---------------------------------------------------------------------------------------

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            owner = self._owner
            if owner is None:
                return
            if isinstance(effect, Write):
                self._put(effect.data)
                if not self._reading:
                    self._flusher.add(self)
            elif isinstance(effect, Element):
                owner.on_stanza(effect)
            elif isinstance(effect, Ready):
                owner.on_ready(effect.jid)
            elif isinstance(effect, StartTls):
                self._suspend()
                owner.on_start_tls()
            elif isinstance(effect, Ended):
                owner.on_ended(effect.error)
                self.close()

    def _suspend(self) -> None:
        """Write what waits, and read nothing until TLS is on."""
        raise NotImplementedError
