"""The embedded server's shell: sockets, sessions, TLS; the decisions are the core's and the router's."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.accept import Policy, ServerStream
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.framing import FRAMES
from amoc.xmpp.core.management import Management
from amoc.xmpp.core.parser import MAX_STANZA_SIZE
from amoc.xmpp.core.sasl import STRENGTH
from amoc.xmpp.core.stream import stream_error
from amoc.xmpp.errors import SendOverflow, StreamError, XmppError
from amoc.xmpp.server.managed import RESUME_TIMEOUT, Managed
from amoc.xmpp.server.router import Counters, Router
from amoc.xmpp.transport.binding import channel_bindings
from amoc.xmpp.transport.tcp import TcpConnection
from amoc.xmpp.transport.websocket import WebSocketServerConnection

__all__ = ["EmbeddedServer", "serve"]

_TLS_TIMEOUT = 30.0  # seconds for a handshake


class EmbeddedServer:
    """A running server. `port` is where it listens; `counters` and `sessions` say what happens."""

    def __init__(
        self, policy: Policy, context: ssl.SSLContext | None, max_stanza_size: int, managed: Managed | None = None
    ) -> None:
        self.policy = policy
        self.managed = managed
        self.router = Router(policy.domain, stamps=policy.strict)
        self.host = ""
        self.port = 0
        self._context = context
        self._max = max_stanza_size
        self._listeners: list[asyncio.Server] = []
        self._links: set[_Link] = set()
        self._handshakes: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<EmbeddedServer {self.host}:{self.port} {self.sessions} sessions>"

    @property
    def counters(self) -> Counters:
        """Logins and messages since the start."""
        return self.router.counters

    @property
    def sessions(self) -> int:
        """How many sessions there are now."""
        return len(self.router)

    @property
    def connections(self) -> int:
        """How many connections there are now, logged in or not."""
        return len(self._links)

    async def close(self) -> None:
        """Stop listening, end every connection. No socket or task is left."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for task in self._handshakes:
            task.cancel()
        for link in list(self._links):
            link.stop()
        if self.managed is not None:
            self.managed.close()
        await asyncio.gather(*self._handshakes, return_exceptions=True)

    async def __aenter__(self) -> "EmbeddedServer":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def listen(self, host: str, port: int) -> None:
        """Open the port. Raises OSError when that is not possible."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(self._accept, host, port, backlog=4096)
        self._listeners.append(listener)
        self.host, self.port = listener.sockets[0].getsockname()[:2]

    async def listen_websocket(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Open another port, for WebSocket without TLS; return its URL. Raises OSError when that is not possible."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(self._accept_websocket, host, port, backlog=4096)
        self._listeners.append(listener)
        return f"ws://{host}:{listener.sockets[0].getsockname()[1]}/"

    def _accept(self) -> TcpConnection:
        return self._accept_as(TcpConnection, ServerStream(self.policy, self._max))

    def _accept_websocket(self) -> TcpConnection:
        policy = replace(self.policy, tls=False, tls_required=False)  # no STARTTLS there (RFC 7395, 3.9)
        return self._accept_as(WebSocketServerConnection, ServerStream(policy, self._max, FRAMES))

    def _accept_as(self, kind: type[TcpConnection], stream: ServerStream) -> TcpConnection:
        link = _Link(self, kind, stream)
        self._links.add(link)
        return link.connection

    def upgrade(self, link: "_Link") -> None:
        """Start TLS on a connection, in a task that ends with the handshake."""
        task = asyncio.get_running_loop().create_task(self._upgrade(link))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _upgrade(self, link: "_Link") -> None:
        try:
            assert self._context is not None
            async with asyncio.timeout(_TLS_TIMEOUT):
                await link.connection.start_tls(self._context, server_side=True)
        except OSError:  # a TimeoutError, too; the client's trouble, which it reports
            link.stop()
        except asyncio.CancelledError:
            link.stop()
            raise

    def forget(self, link: "_Link") -> None:
        """A connection is gone."""
        self._links.discard(link)


class _Link:
    """One client's connection, and its session once it has bound an address."""

    __slots__ = ("_server", "_stream", "available", "connection", "jid", "management")

    def __init__(self, server: EmbeddedServer, kind: type[TcpConnection], stream: ServerStream) -> None:
        self._server = server
        self._stream = stream
        self.jid = ""
        self.available: Element | None = None
        self.management: Management | None = None
        self.connection = kind(stream, self)
        self._stream.bindings = self._bindings
        self._stream.certified = self._certified

    def _tls(self) -> ssl.SSLObject | None:
        transport = self.connection.transport
        return None if transport is None else transport.get_extra_info("ssl_object")

    def _bindings(self) -> dict[str, bytes]:
        return channel_bindings(self._tls())

    def _certified(self) -> str:
        """The common name of the client's certificate, which TLS has verified."""
        tls = self._tls()
        subject: Any = (tls.getpeercert() or {}).get("subject", ()) if tls is not None else ()
        return next((value for part in subject for key, value in part if key == "commonName"), "")

    def deliver(self, stanza: Element) -> None:
        """Send the stanza to the client, to whom it is addressed now."""
        data = stanza.encode()
        management = self.management
        try:
            if management is None:
                self.connection.send(data)
                return
            management.room(data)
            if management.active:
                self.connection.send(data)
            if management.sent(data) and management.active:
                self.connection.send(management.ask())
        except SendOverflow:
            self.stop(stream_error("resource-constraint", "the client does not read"))

    def replaced(self) -> None:
        """Another connection has taken the address."""
        self.stop(stream_error("conflict", "replaced by a new connection"))

    def stop(self, last_words: bytes = b"") -> None:
        """End the connection now."""
        self._leave()
        if last_words:
            self.connection.close(last_words)
        else:
            self.connection.abort()

    def on_stanza(self, stanza: Element) -> None:
        """Route what an authenticated client sends."""
        if self.jid:
            if stanza.name in ("message", "presence", "iq") and stanza.ns == "jabber:client":
                if self.management is not None and self.management.received():
                    self.connection.send(self.management.answer())
                self._server.router.route(self, stanza)
            elif stanza.ns == ns.SM and self._server.managed is not None:
                self._control(self._server.managed, stanza)
            else:
                self.stop(stream_error("unsupported-stanza-type"))

    def on_ready(self, jid: str) -> None:
        """The client has bound its address, or goes on with a session of before."""
        self.jid = jid
        resumed, managed = self._stream.resumed, self._server.managed
        if resumed is None or managed is None:
            self._server.router.add(self)
            return
        old = managed.resume(self, resumed)
        assert isinstance(old, _Link)  # the registry is ours
        self._server.router.hand_over(old, self)
        old.jid = ""
        old.stop()
        for data in resumed.unacknowledged():
            self.connection.send(data)
        if resumed:
            self.connection.send(resumed.ask())

    def on_start_tls(self) -> None:
        """The client wants TLS."""
        self._server.upgrade(self)

    def on_ended(self, error: XmppError | None) -> None:
        """The client's stream is over."""
        self._leave()

    def on_lost(self, error: Exception | None) -> None:
        """The connection is gone; a session that can be resumed stays."""
        if self.jid and self._server.managed is not None and self._server.managed.suspend(self):
            self._server.forget(self)
        else:
            self._leave()

    def expire(self) -> None:
        """Nobody has resumed the session."""
        self._leave()

    def _control(self, managed: Managed, element: Element) -> None:
        """Take an element of stream management."""
        try:
            if element.name == "enable":
                answer = managed.enable(self, element)
            elif self.management is None:
                raise StreamError("unsupported-stanza-type", "stream management is not enabled", ours=True)
            else:
                answer = self.management.control(element)
        except StreamError as error:
            self.stop(stream_error(error.condition, error.text))
        else:
            if answer:
                self.connection.send(answer)

    def _leave(self) -> None:
        self._server.forget(self)
        if self.management is not None and self._server.managed is not None:
            self._server.managed.end(self)
        if self.jid:
            self._server.router.remove(self)
            self.jid = ""


async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    domain: str = "localhost",
    tls: Literal["optional", "required"] | None = None,
    context: ssl.SSLContext | None = None,
    password: Callable[[str], str | None] | None = None,
    mechanisms: tuple[str, ...] = STRENGTH,
    strict: bool = False,
    management: bool = True,
    resume_timeout: float = RESUME_TIMEOUT,
    max_stanza_size: int = MAX_STANZA_SIZE,
) -> EmbeddedServer:
    """Start an embedded server; port 0 takes a free one. Raises OSError when it cannot listen.

    `tls` offers STARTTLS, or demands it, with `context` or a new self-signed certificate for `domain`.
    `password(username)` makes SCRAM possible and logins fail; without it anybody may come in, by PLAIN.
    `strict` behaves like MongooseIM: the session iq is demanded, and nothing is answered before it; messages are
    delivered with a <stanza-id/>. `management` offers XEP-0198; a session whose connection is lost can be resumed
    within `resume_timeout` seconds.
    """
    managed = Managed(resume_timeout) if management else None
    if tls is not None and context is None:
        from amoc.xmpp.server.certificate import server_context

        context = server_context(domain)
    policy = Policy(
        domain=domain,
        tls=tls is not None,
        tls_required=tls == "required",
        mechanisms=mechanisms,
        password=password,
        strict=strict,
        suspended=managed,
    )
    server = EmbeddedServer(policy, context, max_stanza_size, managed)
    await server.listen(host, port)
    return server
