"""BOSH over HTTP connections that are kept alive: at most two at once, the second one opened when it is needed."""

import asyncio
from typing import TYPE_CHECKING, Final, cast

from amoc.xmpp.core.bosh import MAX_BODY_STANZAS, BoshSession
from amoc.xmpp.core.framing import standalone
from amoc.xmpp.core.http import BadHttp, Message, MessageReader, post_head, reason_of
from amoc.xmpp.core.stream import Stream
from amoc.xmpp.errors import ConnectFailed, Disconnected, StreamError, XmppError
from amoc.xmpp.transport.connection import Connection, Owner
from amoc.xmpp.transport.tcp import CLOSE_TIMEOUT

if TYPE_CHECKING:
    from amoc.xmpp.transport.dial import Dialer

__all__ = ["BoshConnection"]

# HTTP connections of one session: the request that the server holds, and the one that says something.
_CONNECTIONS: Final = 2
# Seconds between a request and another one on the other connection, so that the server reads them in this order. It
# ought to put up with any (XEP-0124, 15), but ejabberd 23.01 never answers a session again in which one has overtaken
# another.
_APART: Final = 0.05
# Bytes that wait for a request, beyond which `drain` waits.
_HIGH_WATER: Final = 65_536


class BoshConnection(Connection):
    """A client's session. Its stream needs `session` as its framing."""

    __slots__ = ("_asked", "_closing", "_dialer", "_dialling", "_http", "_later", "_session", "_timer")

    def __init__(self, stream: Stream, owner: Owner, session: BoshSession) -> None:
        super().__init__(stream, owner)
        self._session = session
        self._http: list[_HttpConnection] = []
        self._dialer: Dialer | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._asked = 0.0  # when the last request was sent, in the loop's time
        self._later: asyncio.TimerHandle | None = None  # the next one has to wait
        self._closing = False  # let go of connections as soon as they have nothing to do
        self._timer: asyncio.TimerHandle | None = None  # bounds the closing

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport of the first HTTP connection, for its extra info."""
        return self._http[0].transport if self._http else None

    @property
    def open(self) -> bool:
        """Whether the session can still send."""
        return self._owner is not None and not self._closing and not self._session.over

    async def connect(self, dialer: "Dialer") -> None:
        """Connect to the server and begin the session. Raises ConnectFailed."""
        self._dialer = dialer
        await self._open_http(self._stream)
        self._perform(self._stream.start("connect" if dialer.context is None else "tls"))

    # -- sending ---------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Give the session what waits for the end of the tick, and send the requests that it wants sent."""
        for element in self._out:
            if element:  # what opens or ends the stream is none
                self._session.send(standalone(element))
        self._out.clear()
        if self._owner is None:
            return
        while self._session.wants():
            idle = next((http for http in self._http if http.idle), None)
            if idle is None:
                self._dial()
                break
            if self._must_wait():
                break
            assert self._dialer is not None
            request = self._session.next()
            server = self._dialer.server
            idle.ask(request.rid, post_head(server.path, server.authority), request.body)
        self._unsent = self._session.queued
        if self._unsent > _HIGH_WATER:
            self._paused = True
        elif self._paused:
            self._resume()

    def _must_wait(self) -> bool:
        """Whether another request might be read before the last one; `flush` is called again when it may go."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now >= self._asked + _APART or all(http.rid is None for http in self._http):
            self._asked = now
            return False
        if self._later is None:
            self._later = loop.call_at(self._asked + _APART, self._go_on)
        return True

    def _go_on(self) -> None:
        self._later = None
        self.flush()

    def _dial(self) -> None:
        usable = [http for http in self._http if http.idle or http.rid is not None]
        if self._dialling is None and len(usable) < _CONNECTIONS:
            self._dialling = asyncio.get_running_loop().create_task(self._open_another())

    async def _open_another(self) -> None:
        """In a task of its own, which ends with the connection's opening, and is cancelled with the session."""
        assert self._dialer is not None
        try:
            async with asyncio.timeout(self._dialer.timeout):
                await self._open_http(None)
        except (ConnectFailed, TimeoutError) as error:
            self._dialling = None
            self._lost(error)
        else:
            self._dialling = None
            self.flush()

    async def _open_http(self, stream: Stream | None) -> None:
        assert self._dialer is not None
        http = _HttpConnection(self, self._stream.max_stanza_size * MAX_BODY_STANZAS)
        try:
            await self._dialer.open(http, stream)
        except BaseException:
            http.abort()
            raise
        if http.transport is not None and self._owner is not None and not http.transport.is_closing():
            self._http.append(http)
        else:
            http.abort()

    # -- ending ----------------------------------------------------------------------------------------

    def close(self, last_words: bytes = b"") -> None:
        """Close the connections when what waits has been sent; the server has `CLOSE_TIMEOUT` seconds for that."""
        self._put_last(last_words)
        self._asked = 0.0  # now or never
        self.flush()
        self._closing = True
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        for http in list(self._http):
            http.close()
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(CLOSE_TIMEOUT if self._http else 0, self._lost, None)

    def abort(self) -> None:
        """Cut all connections now. The owner is not told of what still comes."""
        self._owner = None
        self._gone()
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        for http in self._http:
            http.abort()
        self._http.clear()

    def _gone(self) -> None:
        for timer in (self._timer, self._later):
            if timer is not None:
                timer.cancel()
        self._timer = self._later = None
        super()._gone()

    def _lost(self, error: Exception | None) -> None:
        owner = self._owner
        self.abort()
        if owner is not None:
            owner.on_lost(error)

    # -- what the HTTP connections tell ----------------------------------------------------------------

    def answered(self, rid: int, response: Message) -> None:
        """The response to request `rid`."""
        if self._owner is None:
            return
        if response.status != 200:
            assert self._dialer is not None
            reason = f"the server answered {reason_of(response)} to POST {self._dialer.server}"
            self._fail(reason, f"http-{response.status}")
            return
        for body in self._session.answered(rid, response.body):
            self._perform(self._stream.receive(body))
        # there has to be a request for the server to hold: with what the tasks say that this response wakes
        asyncio.get_running_loop().call_soon(self._flusher.add, self)

    def failed(self, http: "_HttpConnection", rid: int | None, error: Exception | None) -> None:
        """A connection is gone, with the request `rid` unanswered unless that is None."""
        if http in self._http:
            self._http.remove(http)
        if self._owner is None:
            return
        if self._closing:
            if not self._http:
                self._lost(None)
        elif rid is not None and not self._session.failed(rid):
            self._lost(error or ConnectionResetError("the server closed the connection before it answered"))
        else:
            self._flusher.add(self)

    def garbled(self, error: BadHttp) -> None:
        """The server does not speak HTTP."""
        self._fail(str(error), "nonsense")

    def _fail(self, reason: str, cause: str) -> None:
        """End the session because of what is not XMPP."""
        error: XmppError = Disconnected(reason)
        if self._stream.step != "ready":
            error = ConnectFailed(self._stream.step, reason, cause=cause)
        elif cause == "nonsense":
            error = StreamError("bad-format", reason, ours=True)
        self._perform(self._stream.fail(error))

    def _suspend(self) -> None:
        raise AssertionError("there is no STARTTLS in BOSH")


class _HttpConnection(asyncio.Protocol):
    """One HTTP connection with at most one request at a time."""

    __slots__ = ("_bosh", "_reader", "rid", "transport")

    def __init__(self, bosh: BoshConnection, limit: int) -> None:
        self._bosh: BoshConnection | None = bosh
        self._reader = MessageReader(limit)
        self.rid: int | None = None  # the request that has not been answered
        self.transport: asyncio.Transport | None = None

    @property
    def idle(self) -> bool:
        """Whether it can take a request."""
        return self.rid is None and self.transport is not None and not self.transport.is_closing()

    def ask(self, rid: int, head: bytes, body: bytes) -> None:
        """Send a request."""
        assert self.transport is not None
        self.rid = rid
        self.transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))

    def close(self) -> None:
        """Close when everything has been written."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close now; nobody is told."""
        self._bosh = None
        self._reader.close()
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self._bosh is None:  # given up in the meantime
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._bosh is None:
            return
        try:
            self._take(self._reader.feed(data))
        except BadHttp as error:
            self._bosh.garbled(error)

    def connection_lost(self, exc: Exception | None) -> None:
        bosh = self._bosh
        if bosh is not None:
            if self.rid is not None:
                self._take(self._reader.end())
            rid, self.rid = self.rid, None
            bosh.failed(self, rid, exc)
        self._bosh = None
        self._reader.close()

    def _take(self, responses: list[Message]) -> None:
        for response in responses:
            bosh, rid, self.rid = self._bosh, self.rid, None
            if bosh is None:
                return
            if rid is None:
                raise BadHttp("a response that nobody has asked for")
            if not response.keep_alive:
                self.close()
            bosh.answered(rid, response)
