"""A WebSocket (RFC 7395) over one TCP connection, plain or with TLS, for clients and for the server."""

from typing import TYPE_CHECKING, ClassVar, Final

from amoc.xmpp.core import websocket
from amoc.xmpp.core.framing import standalone
from amoc.xmpp.core.http import BadHttp, Message, MessageReader
from amoc.xmpp.core.stream import Stream
from amoc.xmpp.errors import ConnectFailed, StreamError
from amoc.xmpp.transport.connection import Owner
from amoc.xmpp.transport.tcp import TcpConnection

if TYPE_CHECKING:
    from amoc.xmpp.transport.dial import Dialer

__all__ = ["WebSocketConnection", "WebSocketServerConnection"]

# Bytes of the page that a server may send instead of a WebSocket.
_MAX_PAGE: Final = 65_536


class _WebSocketConnection(TcpConnection):
    """Either end. The stream needs the framing `FRAMES`; it begins when the handshake is done."""

    __slots__ = ("_code", "_handshake", "_reason", "_socket")

    _client: ClassVar[bool]

    def __init__(self, stream: Stream, owner: Owner) -> None:
        super().__init__(stream, owner)
        # a stanza that is a little too large is left to the parser, whose error the peer understands
        self._socket = websocket.WebSocket(2 * stream.max_stanza_size, client=self._client)
        self._handshake: MessageReader | None = MessageReader(_MAX_PAGE, requests=not self._client)
        self._code = websocket.NORMAL  # what our last frame will say
        self._reason: Exception | None = None  # what the peer's last frame said

    @property
    def open(self) -> bool:
        """Whether there is a WebSocket that can still send."""
        return super().open and self._handshake is None

    # -- sending ---------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send an element at the end of this tick. Raises SendOverflow when the peer does not read."""
        super().send(self._socket.text(standalone(data)))

    def _put(self, data: bytes) -> None:
        if self._handshake is None:
            self._out.append(self._socket.text(standalone(data)))

    def close(self, last_words: bytes = b"") -> None:
        """Close the WebSocket and the connection when what waits has been written."""
        self._put_last(last_words)
        if self.open:
            self._out.append(self._socket.close(self._code))
        super().close()

    # -- receiving -------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Feed the core, message by message."""
        if self._handshake is not None:
            try:
                messages = self._handshake.feed(data)
            except BadHttp as error:
                self._refuse(str(error), "nonsense")
                return
            if messages:
                self._shake(messages[0], self._handshake)
            return
        for event in self._socket.receive(data):
            if type(event) is bytes:
                effects = self._stream.receive(event)
                if effects:
                    self._perform(effects)
            elif isinstance(event, websocket.Ping):
                self._out.append(self._socket.pong(event.data))
                self._flusher.add(self)
            elif isinstance(event, websocket.Close):
                self._closed(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, and let go of everything."""
        if self._handshake is not None:
            messages = self._handshake.end()
            if messages and self._owner is not None:
                self._shake(messages[0], self._handshake)
        super().connection_lost(exc or self._reason)

    def _gone(self) -> None:
        super()._gone()
        if self._handshake is not None:
            self._handshake.close()

    def _closed(self, event: websocket.Close) -> None:
        if event.ours:
            self._code = event.code
            self._perform(self._stream.fail(StreamError("policy-violation", f"WebSocket: {event.text}", ours=True)))
        else:  # nothing but a frame of this kind may be sent now (RFC 6455, 5.5.1)
            self._reason = ConnectionError(f"the peer closed the WebSocket: {event.code} {event.text}".rstrip())
            self._stream.close()
            self.close()

    # -- the handshake ---------------------------------------------------------------------------------

    def _shake(self, message: Message, reader: MessageReader) -> None:
        raise NotImplementedError

    def _opened(self, reader: MessageReader) -> None:
        self._handshake = None
        reader.close()
        self._perform(self._stream.start("websocket"))
        if reader.rest:
            self.data_received(reader.rest)

    def _refuse(self, reason: str, cause: str) -> None:
        self._perform(self._stream.fail(ConnectFailed("websocket", reason, cause=cause)))


class WebSocketConnection(_WebSocketConnection):
    """A client's WebSocket. Its handshake is a step of the login, "websocket"."""

    __slots__ = ("_key", "_url")

    _client = True

    async def connect(self, dialer: "Dialer") -> None:
        """Connect to the server and ask for a WebSocket, on which the stream begins. Raises ConnectFailed."""
        self._url = dialer.server
        await super().connect(dialer)

    def _begin(self, after: str) -> None:
        assert self._transport is not None
        self._stream.ended(after)
        self._stream.step = "websocket"
        self._key = websocket.new_key()
        self._transport.write(websocket.request(self._url.path, self._url.authority, self._key))

    def _shake(self, message: Message, reader: MessageReader) -> None:
        reason = websocket.refused(message, self._key)
        if reason:
            cause = "nonsense" if message.status == 101 else f"http-{message.status}"
            self._refuse(f"{reason} (asked for {self._url})", cause)
        else:
            self._opened(reader)


class WebSocketServerConnection(_WebSocketConnection):
    """The server's end: whoever asks for a WebSocket with the subprotocol xmpp gets one."""

    __slots__ = ()

    _client = False

    def _begin(self, after: str) -> None:
        """Wait for the request."""

    def _shake(self, message: Message, reader: MessageReader) -> None:
        answer, opens = websocket.response(message)
        if self._transport is not None:
            self._transport.write(answer)
        if opens:
            self._opened(reader)
        else:
            self._refuse("the client does not ask for a WebSocket for XMPP", "nonsense")
