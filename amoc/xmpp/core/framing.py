"""How a stream is cut up for its transport. What it says is the same everywhere; `stream` knows nothing of this.

* `DOCUMENT` (TCP, RFC 6120): the stream is one document, opened and closed by its root's tags.
* `FRAMES` (WebSocket, RFC 7395): each stanza is a document of its own; <open/> and <close/> stand for the tags.
* `bosh.BoshSession` (BOSH, XEP-0124 and XEP-0206): each request and response is a <body/> around stanzas.

What goes out is made for the first of these; `standalone` makes it fit for the others.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.parser import BadXml, Event, StreamEnd, StreamHeader, StreamParser, parse_elements

__all__ = ["DOCUMENT", "FRAMES", "PREFIXES", "Framing", "Parser", "standalone"]

PREFIXES: Final = {"": ns.CLIENT, "stream": ns.STREAM}  # what a stream's header declares, said or unsaid


class Parser(Protocol):
    """Takes what the transport delivers."""

    def feed(self, data: bytes) -> Sequence[Event]:
        """The events that `data` completes, a `BadXml` being the last one ever."""

    def close(self) -> None:
        """Ignore all that follows."""


class Framing(Protocol):
    """One way to cut up a stream."""

    def parser(self, max_stanza_size: int) -> Parser:
        """A parser for a new stream, or one that is restarted."""

    def open(self, attributes: Mapping[str, str]) -> bytes:
        """What opens our stream, with the attributes that are not empty."""

    def close(self) -> bytes:
        """What ends our stream."""


class _Document:
    """RFC 6120, 4.2 to 4.4."""

    __slots__ = ()

    def parser(self, max_stanza_size: int) -> Parser:
        return StreamParser(max_stanza_size)

    def open(self, attributes: Mapping[str, str]) -> bytes:
        said = _attributes(attributes)
        return (
            f"<?xml version='1.0'?><stream:stream{said} version='1.0' xml:lang='en' "
            f"xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAM}'>"
        ).encode()

    def close(self) -> bytes:
        return b"</stream:stream>"


class _Frames:
    """RFC 7395, 3.3 to 3.6."""

    __slots__ = ()

    def parser(self, max_stanza_size: int) -> Parser:
        return _FrameParser(max_stanza_size)

    def open(self, attributes: Mapping[str, str]) -> bytes:
        return f"<open xmlns='{ns.FRAMING}'{_attributes(attributes)} version='1.0' xml:lang='en'/>".encode()

    def close(self) -> bytes:
        return f"<close xmlns='{ns.FRAMING}'/>".encode()


DOCUMENT: Final = _Document()
FRAMES: Final = _Frames()


class _FrameParser:
    """Each feed is one WebSocket message, and so one element (RFC 7395, 3.3.3).

    An element without a namespace, or with an undeclared `stream:`, is taken as if it stood in a stream: servers
    have sent such things, and nothing else can be meant.
    """

    __slots__ = ("_limit",)

    def __init__(self, max_stanza_size: int) -> None:
        self._limit = max_stanza_size  # negative: closed

    def feed(self, data: bytes) -> Sequence[Event]:
        if self._limit < 0:
            return []
        events = parse_elements(data, self._limit)
        if len(events) > 1 and not isinstance(events[-1], BadXml):
            events = [BadXml("not-well-formed", "more than one element in a WebSocket message")]
        if not events:  # nothing but white space: some clients and servers keep a connection alive so
            return events
        first = events[0]
        if isinstance(first, BadXml) or len(events) > 1:
            self.close()
            return events[-1:]
        assert isinstance(first, Element)  # parse_elements gives nothing else
        if first.ns == ns.FRAMING:
            if first.name == "open":
                return [StreamHeader("stream", ns.STREAM, first.attrs, PREFIXES)]
            self.close()
            if first.name == "close":
                return [StreamEnd()]
            return [BadXml("unsupported-stanza-type", f"<{first.name}/> in the namespace of framing")]
        return events

    def close(self) -> None:
        self._limit = -1


# a start tag without a default namespace: the name, and attributes none of which is xmlns
_BARE = re.compile(rb"<([^\s/>!?]+)(?=(?:\s+(?!xmlns\s*=)[^\s=]+\s*=\s*(?:'[^']*'|\"[^\"]*\"))*\s*/?>)")
_CLIENT = rb"<\1 xmlns='" + ns.CLIENT.encode() + b"'"
_STREAM = b" xmlns:stream='" + ns.STREAM.encode() + b"'"


def standalone(element: bytes) -> bytes:
    """The element, made for the inside of a stream, with the declarations that it inherits there."""
    if element.startswith(b"<stream:"):
        at = element.index(b":") + 1
        while element[at : at + 1].isalnum():
            at += 1
        return element[:at] + _STREAM + element[at:]
    match = _BARE.match(element)
    return element if match is None else match.expand(_CLIENT) + element[match.end() :]


def _attributes(attributes: Mapping[str, str]) -> str:
    return "".join(f" {key}='{escape(value)}'" for key, value in attributes.items() if value)
