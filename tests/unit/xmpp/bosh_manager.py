"""A connection manager (XEP-0124) for tests, without I/O: BOSH on one side, a stream as over TCP on the other.

It is written independently of amoc's own BOSH: bodies are read by ElementTree and the stream's own bytes are said.
"""

from xml.etree import ElementTree

from amoc.xmpp.core.accept import Policy, ServerStream
from amoc.xmpp.core.effects import Effect, Ended, Write
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.framing import standalone
from amoc.xmpp.core.stream import stream_header

__all__ = ["Manager"]

BODY = "{http://jabber.org/protocol/httpbind}body"
HOLD = 1


class Manager:
    """`request(body)` returns (rid, response) pairs: at once, or with a later request, as the standard says."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.stream = ServerStream(policy or Policy())
        self.heard: list[Element] = []
        self.stream.deliver = self.heard.append
        self.held: list[int] = []
        self.rids: list[int] = []
        self.sid = "s'<1>"
        self.opened = False
        self.ended = False
        self.out: list[bytes] = []
        self._perform(self.stream.start())

    def request(self, data: bytes) -> list[tuple[int, bytes]]:
        """A request has come: what is answered now."""
        body = ElementTree.fromstring(data)
        assert body.tag == BODY
        rid = int(body.attrib["rid"])
        assert not self.rids or rid == self.rids[-1] + 1
        self.rids.append(rid)
        self.held.append(rid)
        assert len(self.held) <= HOLD + 1, "more than two requests at once"
        if "sid" not in body.attrib:
            assert (body.attrib["hold"], body.attrib["{urn:xmpp:xbosh}version"]) == ("1", "1.0")
            self._hear(stream_header(to=body.attrib["to"]))
        else:
            assert body.attrib["sid"] == self.sid
            if body.attrib.get("{urn:xmpp:xbosh}restart") == "true":
                self._hear(stream_header(to=body.attrib["to"]))
        for child in body:
            assert not child.tag.startswith("{http://jabber.org/protocol/httpbind}")
            self._hear(ElementTree.tostring(child))
        if body.get("type") == "terminate":
            self._hear(b"</stream:stream>")
        return self.answers()

    def say(self, data: bytes) -> list[tuple[int, bytes]]:
        """The server says an element: what is answered now."""
        self.out.append(standalone(data))
        return self.answers()

    def answers(self) -> list[tuple[int, bytes]]:
        """Answer what may not be held any longer."""
        found = []
        while self.held and (self.out or self.ended or len(self.held) > HOLD or not self.opened):
            found.append((self.held.pop(0), self._body()))
        return found

    def _body(self) -> bytes:
        attributes = ""
        if not self.opened:
            self.opened = True
            attributes = " sid='s&apos;&lt;1>' wait='50' requests='2' hold='1' authid='a' from='localhost'"
            attributes += " xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0'"
        if self.ended:
            attributes += " type='terminate'"
        payload, self.out = b"".join(self.out), []
        return f"<body xmlns='http://jabber.org/protocol/httpbind'{attributes}>".encode() + payload + b"</body>"

    def _hear(self, data: bytes) -> None:
        self._perform(self.stream.receive(data))

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Write):
                if not effect.data.startswith((b"<?xml", b"</stream")):
                    self.out.append(standalone(effect.data))
            elif isinstance(effect, Ended):
                self.ended = True
            elif isinstance(effect, Element):
                self.heard.append(effect)
