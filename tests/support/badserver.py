"""A server that lets a client come as far as a given step of its login, and then misbehaves.

    async with BadServer("bind", reset) as server:
        ... connect to server.address ...

It plays the honest server up to the step, where it runs the fault instead of giving its own answer. Faults are
plain coroutines that are given the connection: those below, `say("whatever")`, or one written for a test. After
a fault that leaves the connection open, the server only listens until the client hangs up. Without a fault the
whole login succeeds (with PLAIN, any password) and the server answers nothing but the end of the stream.

The honest part is written independently of amoc's own XMPP code, which it is there to test.
"""

import asyncio
import base64
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self
from xml.etree.ElementTree import Element, ParseError

from tests.support.badpeers import BoshPeer, Peer, TcpPeer, WebSocketPeer
from tests.support.servers import certificates

__all__ = [
    "LOGIN", "LOGIN_TLS", "TRANSPORTS", "BadServer", "Fault", "Peer", "Transport", "close", "end", "raw", "reset",
    "say", "stall", "steps_of", "stream_error",
]  # fmt: skip

Transport = Literal["tcp", "tls", "ws", "wss", "http", "https"]
TRANSPORTS: Final[tuple[Transport, ...]] = ("tcp", "tls", "ws", "wss", "http", "https")

# What the server answers, in order. "connect" is the accepted connection, before a byte was read; "ready" is the
# moment after the login, "again" the second stream, which the client opens when it has authenticated.
LOGIN = ("connect", "stream", "features", "sasl", "stream-again", "features-again", "bind", "session", "ready")
LOGIN_TLS = (*LOGIN[:3], "starttls", "tls", "stream-secure", "features-secure", *LOGIN[3:])

STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
BIND = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
ENDS = ("{http://etherx.jabber.org/streams}stream", "{urn:ietf:params:xml:ns:xmpp-framing}close")
SESSION = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"

Fault = Callable[[Peer], Awaitable[None]]


async def close(peer: Peer) -> None:
    """Close the connection."""
    peer.writer.close()


async def reset(peer: Peer) -> None:
    """Reset the connection: the client reads ECONNRESET."""
    connection: socket.socket = peer.writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.writer.transport.abort()


async def stall(peer: Peer) -> None:
    """Say nothing, for ever."""


def say(text: str) -> Fault:
    """Send this instead of the answer."""

    async def fault(peer: Peer) -> None:
        peer.send(text)

    return fault


def raw(data: bytes) -> Fault:
    """Write these bytes instead of the answer, below all framing but that of TLS."""

    async def fault(peer: Peer) -> None:
        peer.raw(data)

    return fault


async def end(peer: Peer) -> None:
    """End the stream."""
    peer.end()


def stream_error(condition: str, text: str = "") -> Fault:
    """End the stream with an error (RFC 6120, 4.9); before the server's own header it sends that first."""
    namespace = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'"
    error = f"<stream:error><{condition} {namespace}/><text {namespace}>{text}</text></stream:error>"

    async def fault(peer: Peer) -> None:
        if not peer.opened:
            peer.open()
        peer.send(error)
        peer.end()
        if not isinstance(peer, BoshPeer):  # whose error comes with the next request
            peer.writer.close()

    return fault


def steps_of(transport: Transport, *, starttls: bool = False) -> tuple[str, ...]:
    """The steps at which the server can misbehave, in order."""
    if transport == "tcp":
        return LOGIN_TLS if starttls else LOGIN
    first: tuple[str, ...] = ("connect", "tls") if transport in ("tls", "wss", "https") else ("connect",)
    return (*first, *(("websocket",) if transport in ("ws", "wss") else ()), *LOGIN[1:])


class BadServer:
    """Listens on a free port of 127.0.0.1 while its context lasts.

    `step` is one of `steps_of` the transport; TCP has STARTTLS if a folder is given for the certificate (for `hosts`,
    valid for `days` from now on), which the transports with TLS need. `mechanism` is the one that is offered; only
    PLAIN gets through, SCRAM ends at "challenge" or "sasl".
    """

    def __init__(
        self,
        step: str = "",
        fault: Fault = stall,
        *,
        mechanism: str = "PLAIN",
        tls_folder: Path | None = None,
        hosts: tuple[str, ...] = ("localhost",),
        days: int = 30,
        transport: Transport = "tcp",
    ) -> None:
        self.step = step
        self.fault = fault
        self.mechanism = mechanism
        self.transport: Transport = transport
        self.connections = 0
        self.misbehaved = False  # a client has come to the step
        self.certificate = certificates.issue(tls_folder, list(hosts), days=days) if tls_folder else None
        steps = steps_of(transport, starttls=self.certificate is not None) + ("challenge",) * (mechanism != "PLAIN")
        if step and step not in steps:
            raise ValueError(f"no step {step!r} in {steps}")
        self._playing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._playing:
            task.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def address(self) -> str:
        """What the setting `xmpp_servers` takes."""
        if self.transport == "tcp":
            return f"127.0.0.1:{self.port}"
        return f"{self.transport}://127.0.0.1:{self.port}" + ("/xmpp" if self.transport != "tls" else "")

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        kind = {"ws": WebSocketPeer, "ht": BoshPeer}.get(self.transport[:2], TcpPeer)
        task = asyncio.create_task(self._play(kind(reader, writer)))
        self._playing.add(task)
        task.add_done_callback(self._playing.discard)

    async def _play(self, peer: Peer) -> None:
        try:
            await self._login(peer)
            while (await peer.next()).tag not in ENDS:
                pass
            peer.end()
        except _Misbehaved:
            await peer.linger()
        except (OSError, EOFError, ParseError):  # the client hung up, or does not speak XML
            pass
        finally:
            peer.writer.close()

    async def _turn(self, step: str, peer: Peer) -> None:
        if step == self.step:
            if isinstance(peer, BoshPeer) and step not in ("connect", "tls"):
                await peer.asked()
            self.misbehaved = True
            await self.fault(peer)
            raise _Misbehaved

    async def _login(self, peer: Peer) -> None:
        await self._turn("connect", peer)
        sasl = f"<mechanisms {SASL}><mechanism>{self.mechanism}</mechanism></mechanisms>"
        if self.transport in ("tls", "wss", "https"):
            await self._turn("tls", peer)
            await self._secure(peer)
        if isinstance(peer, WebSocketPeer):
            request = await peer.asked()
            await self._turn("websocket", peer)
            peer.accept(request)
        if self.transport == "tcp" and self.certificate is not None:
            await self._open(peer, "", STARTTLS + sasl)
            await peer.next()
            await self._turn("starttls", peer)
            peer.send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            await self._turn("tls", peer)
            await self._secure(peer)
            peer.restart()
            await self._open(peer, "-secure", sasl)
        else:
            await self._open(peer, "", sasl)
        await self._authenticate(peer, await peer.next())
        await self._open(peer, "-again", BIND + SESSION)
        for step in ("bind", "session"):
            request_ = await peer.next()
            await self._turn(step, peer)
            jid = "<jid>user@localhost/res1</jid>" if step == "bind" else ""
            payload = BIND.replace("/>", f">{jid}</bind>") if jid else ""
            peer.send(f"<iq type='result' id='{request_.get('id')}'>{payload}</iq>")
        await self._turn("ready", peer)

    async def _open(self, peer: Peer, which: str, features: str) -> None:
        await peer.next()
        if isinstance(peer, BoshPeer) and peer.strange:  # another connection of a session that we do not go on with
            await self._turn(self.step, peer)
            peer.end()
            raise _Misbehaved
        await self._turn(f"stream{which}", peer)
        peer.open()
        await self._turn(f"features{which}", peer)
        peer.send(f"<stream:features>{features}</stream:features>")

    async def _secure(self, peer: Peer) -> None:
        assert self.certificate is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.both)
        await peer.writer.start_tls(context)

    async def _authenticate(self, peer: Peer, auth: Element) -> None:
        if self.mechanism != "PLAIN":  # RFC 5802: a proper challenge, so that the client goes on to the proof
            first = base64.b64decode(auth.text or "").decode()
            nonce = re.search("r=([^,]*)", first)
            assert nonce is not None, first
            await self._turn("challenge", peer)
            challenge = f"r={nonce[1]}server,s={base64.b64encode(b'salt').decode()},i=4096"
            peer.send(f"<challenge {SASL}>{base64.b64encode(challenge.encode()).decode()}</challenge>")
            await peer.next()
        await self._turn("sasl", peer)
        peer.send(f"<success {SASL}/>")
        peer.restart()


class _Misbehaved(Exception):
    """The fault has been done."""
