"""TLS over a transport: OpenSSL between two memory buffers, which costs less than the loop's own TLS.

The loop's keeps buffers and timers for each connection, 9 KiB of an idle user. Here a record goes from the socket into
OpenSSL and on to the protocol within one call. A TLS connection is closed like a plain one: what was written,
close_notify behind it, and the end; nobody waits for the peer's (RFC 8446, 6.1).
"""

import asyncio
import ssl
from typing import Any, Final, cast

__all__ = ["SecureTransport", "secure"]

# Bytes to ask OpenSSL for: a record holds no more (RFC 8446, 5.1).
RECORD: Final = 16_384


async def secure(
    transport: asyncio.Transport,
    context: ssl.SSLContext,
    *,
    server_side: bool = False,
    hostname: str | None = None,
) -> "SecureTransport":
    """Do the handshake over `transport`; what it is to carry then starts with `SecureTransport.begin`.

    Raises OSError (ssl.SSLError and ConnectionError are) when it fails. Whenever this does not return, the transport
    is closed.
    """
    over = SecureTransport(transport, context, server_side=server_side, hostname=hostname)
    try:
        await over.shake()
    except ssl.SSLError:
        over.close()  # behind the alert, which tells the peer why
        raise
    except BaseException:
        over.abort()
        raise
    return over


class SecureTransport(asyncio.Transport, asyncio.Protocol):
    """The upper side is a transport, the lower one the protocol of the transport below."""

    __slots__ = ("_below", "_done", "_failure", "_from_peer", "_lost", "_protocol", "_tls", "_to_peer")

    def __init__(
        self, below: asyncio.Transport, context: ssl.SSLContext, *, server_side: bool, hostname: str | None
    ) -> None:
        self._below = below
        self._protocol: asyncio.Protocol | None = None  # None also before `begin` and after the end
        self._failure: Exception | None = None
        self._lost = False
        self._done: asyncio.Future[None] | None = None  # of the handshake, while it lasts
        self._from_peer = ssl.MemoryBIO()
        self._to_peer = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._from_peer, self._to_peer, server_side=server_side, server_hostname=hostname)

    # -- the handshake ---------------------------------------------------------------------------------

    async def shake(self) -> None:
        """Take the transport over and do the handshake."""
        self._done = done = asyncio.get_running_loop().create_future()
        self._below.set_protocol(self)
        self._step()
        self._below.resume_reading()
        await done

    def _step(self) -> None:
        done = self._done
        assert done is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._pass_on()
        except (ssl.SSLError, ssl.CertificateError) as error:
            self._pass_on()  # the alert
            if not done.done():
                done.set_exception(error)
        else:
            self._done = None
            if not done.done():
                done.set_result(None)
            # whoever waited for that goes on before this: what it writes first takes our end of the handshake along
            asyncio.get_running_loop().call_soon(self._pass_on)

    def begin(self, protocol: asyncio.Protocol) -> None:
        """Give `protocol` what comes, beginning with what has come behind the handshake."""
        self._protocol = protocol
        if self._lost:
            self.connection_lost(self._failure)
        elif self._from_peer.pending or self._tls.pending():
            self._read()

    # -- from below ------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Decrypt, or go on with the handshake."""
        self._from_peer.write(data)
        if self._done is not None:
            self._step()
        elif self._protocol is not None:
            self._read()

    def _read(self) -> None:
        tls, come = self._tls, self._from_peer
        while self._protocol is not None and not self._below.is_closing():
            try:
                data = tls.read(RECORD)
            except ssl.SSLWantReadError:
                break  # half a record, or one that is TLS's own
            except ssl.SSLError as error:
                self._failure = error
                self._pass_on()  # the alert
                self._below.close()
                return
            if not data:  # close_notify: nothing comes behind it
                self.eof_received()
                self.close()
                return
            self._protocol.data_received(data)
            if not (come.pending or tls.pending()):
                break
        if self._to_peer.pending:  # an answer of TLS's own, such as new keys
            self._pass_on()

    def eof_received(self) -> None:
        """The peer has ended; the transport below closes itself."""
        if self._protocol is not None:
            self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._lost = True
        self._failure = self._failure or exc
        done, self._done = self._done, None
        if done is not None and not done.done():
            done.set_exception(exc or ConnectionResetError("the connection was closed during the TLS handshake"))
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(self._failure)

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write."""
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        if self._protocol is not None:
            self._protocol.resume_writing()

    def _pass_on(self) -> None:
        data = self._to_peer.read()
        if data and not self._below.is_closing():
            self._below.write(data)

    # -- from above ------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if self._below.is_closing():
            return
        sent = self._tls.write(data)
        while sent < len(data):  # a record at a time
            sent += self._tls.write(data[sent:])
        self._below.write(self._to_peer.read())

    def close(self) -> None:
        """Close when what was written has been sent."""
        if self._below.is_closing():
            return
        if self._done is None:
            try:
                self._tls.unwrap()
            except ssl.SSLError:  # it wants the peer's close_notify, which nobody waits for
                pass
            self._pass_on()
        self._below.close()

    def abort(self) -> None:
        """Close now."""
        self._below.abort()

    def is_closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._below.is_closing()

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._below.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When the protocol is to pause, in encrypted bytes."""
        self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not taken, encrypted."""
        return self._below.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What asyncio's transports tell; "ssl_object" and "sslcontext" are ours."""
        if name == "ssl_object":
            return self._tls
        return self._tls.context if name == "sslcontext" else self._below.get_extra_info(name, default)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Whom the bytes are for."""
        return cast("asyncio.BaseProtocol", self._protocol)
