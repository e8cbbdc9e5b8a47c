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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from tests.support.servers import certificates

__all__ = ["LOGIN", "LOGIN_TLS", "BadServer", "Fault", "Peer", "close", "reset", "say", "stall", "stream_error"]

# What the server answers, in order. "connect" is the accepted connection, before a byte was read; "ready" is the
# moment after the login, "again" the second stream, which the client opens when it has authenticated.
LOGIN = ("connect", "stream", "features", "sasl", "stream-again", "features-again", "bind", "session", "ready")
LOGIN_TLS = (*LOGIN[:3], "starttls", "tls", "stream-secure", "features-secure", *LOGIN[3:])

HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    "from='localhost' id='bad' version='1.0'>"
)
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
BIND = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
SESSION = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.opened = False  # the server has sent the header of the current stream
        self._elements = self._read()

    def send(self, text: str | bytes) -> None:
        """Write text or bytes."""
        self.writer.write(text.encode() if isinstance(text, str) else text)

    async def next(self) -> Element:
        """The client's next element, or its stream header; ConnectionError when it has hung up."""
        async for element in self._elements:
            return element
        raise ConnectionError("the client hung up")

    def restart(self) -> None:
        """What comes now is a new stream."""
        self.opened = False
        self._elements = self._read()

    async def _read(self) -> AsyncIterator[Element]:
        parser: XMLPullParser[Element] = XMLPullParser(["start", "end"])
        depth = 0
        while data := await self.reader.read(65536):
            parser.feed(data)
            for event, element in cast("Iterator[tuple[str, Element]]", parser.read_events()):
                depth += 1 if event == "start" else -1
                if (event, depth) in (("start", 1), ("end", 1)) or depth == 0:
                    yield element


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


def say(text: str | bytes) -> Fault:
    """Send this instead of the answer."""

    async def fault(peer: Peer) -> None:
        peer.send(text)

    return fault


def stream_error(condition: str, text: str = "") -> Fault:
    """End the stream with an error (RFC 6120, 4.9); before the server's own header it sends that first."""
    namespace = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'"
    error = f"<stream:error><{condition} {namespace}/><text {namespace}>{text}</text></stream:error></stream:stream>"

    async def fault(peer: Peer) -> None:
        peer.send(error if peer.opened else HEADER + error)
        peer.writer.close()

    return fault


class BadServer:
    """Listens on a free port of 127.0.0.1 while its context lasts.

    `step` is one of `LOGIN`, or of `LOGIN_TLS` when a folder is given for the certificate (for `hosts`).
    `mechanism` is the one that is offered; only PLAIN gets through, SCRAM ends at "challenge" or "sasl".
    """

    def __init__(
        self,
        step: str = "",
        fault: Fault = stall,
        *,
        mechanism: str = "PLAIN",
        tls_folder: Path | None = None,
        hosts: tuple[str, ...] = ("localhost",),
    ) -> None:
        self.step = step
        self.fault = fault
        self.mechanism = mechanism
        self.connections = 0
        self.certificate = certificates.issue(tls_folder, list(hosts)) if tls_folder else None
        steps = (LOGIN_TLS if self.certificate else LOGIN) + ("challenge",) * (mechanism != "PLAIN")
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
        """host:port for the setting `xmpp_servers`."""
        return f"127.0.0.1:{self.port}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._play(Peer(reader, writer)))
        self._playing.add(task)
        task.add_done_callback(self._playing.discard)

    async def _play(self, peer: Peer) -> None:
        try:
            await self._login(peer)
            while True:  # until the client hangs up
                await peer.next()
        except _Misbehaved:
            while await peer.reader.read(65536):
                pass
        except (OSError, ParseError):  # the client hung up, or does not speak XML
            pass
        finally:
            peer.writer.close()

    async def _turn(self, step: str, peer: Peer) -> None:
        if step == self.step:
            await self.fault(peer)
            raise _Misbehaved

    async def _login(self, peer: Peer) -> None:
        await self._turn("connect", peer)
        sasl = f"<mechanisms {SASL}><mechanism>{self.mechanism}</mechanism></mechanisms>"
        if self.certificate is None:
            await self._open(peer, "", sasl)
        else:
            await self._open(peer, "", STARTTLS + sasl)
            await self._start_tls(peer, self.certificate)
            await self._open(peer, "-secure", sasl)
        await self._authenticate(peer, await peer.next())
        await self._open(peer, "-again", BIND + SESSION)
        for step in ("bind", "session"):
            request = await peer.next()
            await self._turn(step, peer)
            jid = "<jid>user@localhost/res1</jid>" if step == "bind" else ""
            payload = BIND.replace("/>", f">{jid}</bind>") if jid else ""
            peer.send(f"<iq type='result' id='{request.get('id')}'>{payload}</iq>")
        await self._turn("ready", peer)

    async def _open(self, peer: Peer, which: str, features: str) -> None:
        await peer.next()
        await self._turn(f"stream{which}", peer)
        peer.send(HEADER)
        peer.opened = True
        await self._turn(f"features{which}", peer)
        peer.send(f"<stream:features>{features}</stream:features>")

    async def _start_tls(self, peer: Peer, certificate: certificates.Certificate) -> None:
        await peer.next()
        await self._turn("starttls", peer)
        peer.send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await self._turn("tls", peer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.both)
        await peer.writer.start_tls(context)
        peer.restart()

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
