"""One TCP connection (plain, or with TLS after STARTTLS) around a stream, for clients and for the server.

Bytes go from the loop straight into the core, effects come back and are performed here; stanzas, and what the
owner has to decide, go on to the owner. What is sent within one tick of the loop leaves in one write.
"""

import asyncio
import ssl
from typing import Final, Protocol, cast
from weakref import WeakKeyDictionary

from amoc.xmpp.core.effects import Effect, Ended, Ready, StartTls, Write
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.stream import Stream
from amoc.xmpp.errors import SendOverflow, XmppError

__all__ = ["CLOSE_TIMEOUT", "MAX_UNSENT", "Connection", "Owner"]

# Bytes that may wait for a peer that does not read: some thousand messages, and no process dies of them.
MAX_UNSENT: Final = 1_048_576
# Seconds to get rid of the last bytes; RFC 6120, 4.4 speaks of "a reasonable amount of time".
CLOSE_TIMEOUT: Final = 5.0


class Owner(Protocol):
    """Whom a connection tells."""

    def on_stanza(self, stanza: Element) -> None:
        """A stanza has come."""

    def on_ready(self, jid: str) -> None:
        """The login is done."""

    def on_start_tls(self) -> None:
        """Call `Connection.start_tls`, now or soon; reading is paused until then."""

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


class Connection(asyncio.Protocol):
    """The protocol of one transport. Make it in a running loop, give it to `create_connection` or a server."""

    __slots__ = (
        "_early", "_flusher", "_out", "_owner", "_paused", "_resumed", "_stream", "_timer", "_transport", "_unsent"
    )  # fmt: skip

    def __init__(self, stream: Stream, owner: Owner) -> None:
        self._stream = stream
        self._owner: Owner | None = owner
        self._flusher = _flusher()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._unsent = 0
        self._paused = False  # the transport's buffer is over its high-water mark
        self._resumed: asyncio.Future[None] | None = None
        self._early: list[bytes] | None = None  # decrypted bytes that came before start_tls returned
        self._timer: asyncio.TimerHandle | None = None  # bounds the closing
        stream.deliver = owner.on_stanza

    def __repr__(self) -> str:
        peer = self._transport.get_extra_info("peername") if self._transport is not None else None
        return f"<Connection {peer} {self._stream!r}>"

    @property
    def open(self) -> bool:
        """Whether there is a transport that can still send."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def stream(self) -> Stream:
        """The stream, for its step and state."""
        return self._stream

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport, for its extra info."""
        return self._transport

    # -- sending ---------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send at the end of this tick. Raises SendOverflow when the peer does not read."""
        unsent = self._unsent + len(data)
        if unsent > MAX_UNSENT:
            raise SendOverflow(f"{self._unsent} bytes wait to be sent: the server does not read them")
        self._unsent = unsent
        out = self._out
        if not out:
            self._flusher.add(self)
        out.append(data)

    def flush(self) -> None:
        """Write now what waits for the end of the tick."""
        out = self._out
        transport = self._transport
        if out and transport is not None:
            if not transport.is_closing():
                transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
        self._unsent = transport.get_write_buffer_size() if self._paused and transport is not None else 0

    async def drain(self) -> None:
        """Wait until the peer has read most of what was sent."""
        self.flush()
        if self._paused:
            if self._resumed is None or self._resumed.done():
                self._resumed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._resumed)

    # -- ending ----------------------------------------------------------------------------------------

    def close_stream(self) -> None:
        """End our stream; the peer should end its own and the connection."""
        footer = self._stream.close()
        if footer and self.open:
            self._out.append(footer)
            self.flush()

    def close(self, last_words: bytes = b"") -> None:
        """Close the connection when what waits has been written, `last_words` and the stream's end last.

        A peer that does not read has `CLOSE_TIMEOUT` seconds for that.
        """
        footer = self._stream.close()
        if self._transport is None:
            return
        if not self._transport.is_closing():
            if footer:
                self._out.append(last_words or footer)
            self.flush()
            self._transport.close()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._transport.abort)

    def abort(self) -> None:
        """Cut the connection now; what waits is lost. The owner is not told of what still comes."""
        self._owner = None
        self._gone()
        if self._transport is not None:
            self._transport.abort()

    async def start_tls(
        self, context: ssl.SSLContext, *, server_side: bool = False, hostname: str | None = None, timeout: float
    ) -> None:
        """Upgrade, as the stream has asked for. Raises OSError (ssl.SSLError is one) when it fails."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection was closed before TLS could start")
        self.flush()
        self._early = []
        secure = await asyncio.get_running_loop().start_tls(
            transport,
            self,
            context,
            server_side=server_side,
            server_hostname=hostname,
            ssl_handshake_timeout=timeout,
        )
        if secure is None or self._owner is None:
            raise ConnectionResetError("the connection was closed during the TLS handshake")
        self._transport = secure
        early, self._early = self._early, None
        self._perform(self._stream.tls_started())
        for data in early:
            self.data_received(data)

    # -- asyncio's callbacks ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the stream."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        if self._owner is None:  # given up in the meantime
            self._transport.abort()
            return
        self._perform(self._stream.start())

    def data_received(self, data: bytes) -> None:
        """Feed the core."""
        if self._early is not None:
            self._early.append(data)
            return
        for effect in self._stream.receive(data):
            self._perform_one(effect)

    def eof_received(self) -> None:
        """Let the transport close itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, and let go of everything."""
        owner, self._owner = self._owner, None
        self._gone()
        if owner is not None:
            owner.on_lost(exc)

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write."""
        self._paused = True

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._paused = False
        self._unsent = 0
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    # -- effects ---------------------------------------------------------------------------------------

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._perform_one(effect)

    def _perform_one(self, effect: Effect) -> None:
        owner = self._owner
        if owner is None:
            return
        if isinstance(effect, Write):
            self._out.append(effect.data)
            self._flusher.add(self)
        elif isinstance(effect, Element):
            owner.on_stanza(effect)
        elif isinstance(effect, Ready):
            owner.on_ready(effect.jid)
        elif isinstance(effect, StartTls):
            self.flush()
            if self._transport is not None:
                self._transport.pause_reading()
            owner.on_start_tls()
        elif isinstance(effect, Ended):
            owner.on_ended(effect.error)
            self.close()

    def _gone(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stream.lost()
        self._stream.deliver = None
        self._out.clear()
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)
