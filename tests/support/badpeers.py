"""The bad server's end of a connection, over each transport: reads the client's elements, writes what it is told.

Written independently of amoc's own XMPP code: elements are read by ElementTree, WebSocket frames by websockets, and
the HTTP of BOSH by hand, which does because the clients here are few and well-behaved.
"""

import re
from abc import ABC, abstractmethod
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator
from typing import cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser, fromstring

from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

__all__ = ["HEADER", "BoshPeer", "Peer", "TcpPeer", "WebSocketPeer"]

HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    "from='localhost' id='bad' version='1.0'>"
)
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
BOSH = "http://jabber.org/protocol/httpbind"
MAX_REQUEST = 1_000_000


class Peer(ABC):
    """One connection of a client."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.opened = False  # the server has sent the header of the current stream

    def raw(self, data: bytes) -> None:
        """Write bytes, whatever they do to the transport's own framing."""
        self.writer.write(data)

    @abstractmethod
    async def next(self) -> Element:
        """The client's next element, or what opens its stream; ConnectionError when it has hung up."""

    @abstractmethod
    def open(self) -> None:
        """Open our stream."""

    @abstractmethod
    def send(self, text: str) -> None:
        """Send an element, or what is none."""

    @abstractmethod
    def end(self) -> None:
        """End our stream."""

    def restart(self) -> None:
        """What comes now is a new stream."""
        self.opened = False

    async def linger(self) -> None:
        """Listen until the client hangs up."""
        while await self.reader.read(65536):
            pass


class TcpPeer(Peer):
    """One document for each stream (RFC 6120), with or without TLS below."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        super().__init__(reader, writer)
        self._elements = self._read()

    async def next(self) -> Element:
        async for element in self._elements:
            return element
        raise ConnectionError("the client hung up")

    def open(self) -> None:
        self.send(HEADER)
        self.opened = True

    def send(self, text: str) -> None:
        self.raw(text.encode())

    def end(self) -> None:
        self.send("</stream:stream>")

    def restart(self) -> None:
        super().restart()
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


class WebSocketPeer(Peer):
    """One document for each element (RFC 7395). `asked` and `accept` are the handshake."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        super().__init__(reader, writer)
        self._protocol = ServerProtocol(subprotocols=["xmpp"])  # type: ignore[list-item]  # a NewType of str
        self._messages: list[str] = []

    async def asked(self) -> Request:
        """The client's request for a WebSocket."""
        while True:
            for event in await self._events():
                assert isinstance(event, Request)
                return event

    def accept(self, request: Request) -> None:
        """Say yes to it."""
        self._protocol.send_response(self._protocol.accept(request))
        self._flush()

    def reject(self, status: int, reason: str, body: bytes) -> None:
        """Say no, with a page."""
        self._protocol.send_response(Response(status, reason, Headers({"Content-Length": str(len(body))}), body))
        self._flush()

    async def next(self) -> Element:
        while not self._messages:
            for event in await self._events():
                if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    self._messages.append(bytes(event.data).decode())
        return fromstring(self._messages.pop(0))

    def open(self) -> None:
        self.send(f"<open xmlns='{FRAMING}' from='localhost' id='bad' version='1.0'/>")
        self.opened = True

    def send(self, text: str) -> None:
        self._protocol.send_text(standalone(text).encode())
        self._flush()

    def end(self) -> None:
        self.send(f"<close xmlns='{FRAMING}'/>")

    async def linger(self) -> None:
        """Listen until the client closes the WebSocket, or hangs up."""
        try:
            while not self._protocol.close_expected():
                await self._events()
        except OSError:
            pass

    async def _events(self) -> list[Request | Response | Frame]:
        data = await self.reader.read(65536)
        if not data:
            raise ConnectionError("the client hung up")
        self._protocol.receive_data(data)
        self._flush()
        return self._protocol.events_received()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self.writer.write(data)


class BoshPeer(Peer):
    """One HTTP connection, on which a session is (XEP-0124); `strange` once another one's request comes on it."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        super().__init__(reader, writer)
        self.strange = False
        self._created = False
        self._held = False  # a request waits for its answer
        self._out = ""
        self._end = ""
        self._elements: list[Element] = []

    async def next(self) -> Element:
        while not self._elements:
            await self._request()
        return self._elements.pop(0)

    def open(self) -> None:
        self.opened = True
        if not self._created:  # else a restart, which has no answer of its own (XEP-0206, 5)
            self._created = True
            self._answer(" sid='bad' wait='60' requests='2' hold='1' from='localhost' authid='bad' ver='1.6'")

    def send(self, text: str) -> None:
        self._out += standalone(text)
        self._answer()

    def end(self) -> None:
        self._end = " type='terminate'"
        self._answer()

    def page(self, status: str, body: bytes) -> None:
        """An HTTP response."""
        self.raw(f"HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    async def linger(self) -> None:
        try:
            while True:
                await self._request()
        except (OSError, EOFError, ParseError):
            pass

    async def asked(self) -> None:
        """Wait until there is a request to be answered, or not."""
        while not self._held:
            await self._request()

    def _answer(self, attributes: str = "") -> None:
        if not self._held:
            return
        self._held = False
        body = f"<body xmlns='{BOSH}'{attributes}{self._end}>{self._out}</body>"
        self._out = ""
        self.page("200 OK", body.encode())

    async def _request(self) -> None:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        size = int(length[1]) if length is not None else 0
        assert 0 < size < MAX_REQUEST, head
        body = fromstring(await self.reader.readexactly(size))
        self._held = True
        if not self._created and "sid" in body.attrib:
            self.strange = True
        if self.strange or "sid" not in body.attrib or "{urn:xmpp:xbosh}restart" in body.attrib:
            self._elements.append(body)
        self._elements += body
        if body.get("type") == "terminate":
            self.end()
        elif self._out:
            self._answer()


def standalone(text: str) -> str:
    """The element with the namespaces that a stream's header would have declared."""
    declared = " xmlns:stream='http://etherx.jabber.org/streams'"
    name = re.match(r"<[\w:]+", text)
    if name is None:
        return text
    if " xmlns=" not in text[: text.find(">")]:
        declared += " xmlns='jabber:client'"
    return text[: name.end()] + declared + text[name.end() :]
