"""One TCP connection (plain, with TLS after STARTTLS, or with TLS at once), for clients and for the server."""

import asyncio
import ssl
from typing import TYPE_CHECKING, Final, cast

from amoc.xmpp.core.stream import Stream
from amoc.xmpp.transport.connection import Connection, Owner
from amoc.xmpp.transport.secure import secure

if TYPE_CHECKING:
    from amoc.xmpp.transport.dial import Dialer

__all__ = ["CLOSE_TIMEOUT", "TcpConnection"]

# Seconds to get rid of the last bytes; RFC 6120, 4.4 speaks of "a reasonable amount of time".
CLOSE_TIMEOUT: Final = 5.0


class TcpConnection(Connection, asyncio.Protocol):
    """The protocol of one transport: `connect` it, or give it to a server."""

    __slots__ = ("_secure", "_timer", "_transport")

    def __init__(self, stream: Stream, owner: Owner) -> None:
        super().__init__(stream, owner)
        self._transport: asyncio.Transport | None = None
        self._secure = False  # from the beginning
        self._timer: asyncio.TimerHandle | None = None  # bounds the closing

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport, for its extra info."""
        return self._transport

    async def connect(self, dialer: "Dialer") -> None:
        """Connect to the server and begin the stream. Raises ConnectFailed; clean up with `abort` then."""
        self._secure = dialer.context is not None
        await dialer.open(self, self._stream)

    # -- sending ---------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write now what waits for the end of the tick."""
        out = self._out
        transport = self._transport
        if out and transport is not None:
            if not transport.is_closing():
                transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
        self._unsent = transport.get_write_buffer_size() if self._paused and transport is not None else 0

    # -- ending ----------------------------------------------------------------------------------------

    def close(self, last_words: bytes = b"") -> None:
        """Close the connection when what waits has been written, `last_words` and the stream's end last.

        A peer that does not read has `CLOSE_TIMEOUT` seconds for that.
        """
        self._put_last(last_words)
        if self._transport is None or self._owner is None:  # there is none yet, or it is gone already
            return
        if not self._transport.is_closing():
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

    def _gone(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super()._gone()

    # -- STARTTLS --------------------------------------------------------------------------------------

    def _suspend(self) -> None:
        self.flush()
        if self._transport is not None:
            self._transport.pause_reading()

    async def start_tls(
        self, context: ssl.SSLContext, *, server_side: bool = False, hostname: str | None = None
    ) -> None:
        """Upgrade, as the stream has asked for. Raises OSError (ssl.SSLError is one) when it fails."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection was closed before TLS could start")
        self.flush()
        over = await secure(transport, context, server_side=server_side, hostname=hostname)
        if self._owner is None:
            over.abort()
            raise ConnectionResetError("the connection was closed during the TLS handshake")
        self._transport = over
        self._perform(self._stream.tls_started())
        self.flush()  # our end of the handshake leaves with it
        over.begin(self)

    # -- asyncio's callbacks ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        if self._owner is None:  # given up in the meantime
            self._transport.abort()
            return
        self._begin("tls" if self._secure else "connect")
        if self._secure:
            self.flush()  # our end of the handshake leaves with it

    def _begin(self, after: str) -> None:
        """The transport is there, `after` being the last step of making it."""
        self._perform(self._stream.start(after))

    def data_received(self, data: bytes) -> None:
        """Feed the core."""
        self._reading = True  # what a handler or the login answers leaves with this call: no turn of the loop for it
        try:
            effects = self._stream.receive(data)
            if effects:
                self._perform(effects)
        finally:
            self._reading = False
        if self._out:
            self.flush()

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
        self._unsent = 0
        self._resume()
