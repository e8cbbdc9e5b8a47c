"""Bytes of one XML stream in, stream header, stanzas and stream end out, for next to no memory.

Theory of operation. An expat instance is 10 to 15 KiB, most of what an idle connection would cost, and between
two stanzas it holds nothing but what the stream's header has declared, which is the same in nearly all streams.
So one expat, kept open inside such a header, is shared by all connections of the process: it is given a read
that looks complete, and has to be between stanzas again behind it. When that turns out otherwise (the read
ended inside a stanza, or was no XML at all) the shared expat is thrown away and the bytes are parsed again by
one that belongs to the connection, until that is between stanzas. So a bad peer hurts only itself, and events
come out exactly as if every connection had its own parser. Nothing is handed out from inside expat, so that
the first, vain attempt leaves no trace.
"""

from collections.abc import Sequence
from typing import Final

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.header import USUAL, usual_header
from amoc.xmpp.core.shared import Shared
from amoc.xmpp.core.tokenizer import WHITE, BadXml, Event, StreamEnd, StreamHeader, Tokenizer

__all__ = ["MAX_STANZA_SIZE", "BadXml", "Event", "StreamEnd", "StreamHeader", "StreamParser", "parse_elements"]

# Bytes. ejabberd's and MongooseIM's default for c2s is 64 KiB, Prosody's 256 KiB: we take the larger one.
MAX_STANZA_SIZE: Final = 262_144

_HEADER: Final = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAM}'>".encode()
_WHITE: Final = WHITE.encode()
_FOOTER: Final = b"</stream:stream>"


def _inside(limit: int) -> Tokenizer:
    """A tokenizer that is inside a stream as usual."""
    tokenizer = Tokenizer(limit)
    tokenizer.feed(_HEADER)
    return tokenizer


_shared: Final = Shared(_HEADER)
_CLOSED: Final = Tokenizer(MAX_STANZA_SIZE)
_CLOSED.close()


def parse_elements(data: bytes, limit: int) -> Sequence[Event]:
    """The elements of `data`, which has to be whole, as if it stood inside a stream.

    Anything that is not just elements and white space ends the list with a `BadXml`.
    """
    if not data.strip(_WHITE):
        return []
    if len(data) <= limit:
        stanzas = _shared.feed(data)
        if stanzas is not None:
            return stanzas
        _shared.renew()
    own = _inside(limit)
    events = own.feed(data)
    whole = own.between(data)
    own.close()
    if whole or (events and isinstance(events[-1], BadXml)):
        return events
    return [*(event for event in events if isinstance(event, Element)), BadXml("not-well-formed", "a tag is missing")]


class StreamParser:
    """The parser of one stream. A restarted stream (after TLS or SASL) needs a new one."""

    __slots__ = ("_fresh", "_limit", "_own", "_usual")

    def __init__(self, max_stanza_size: int = MAX_STANZA_SIZE) -> None:
        self._limit = max_stanza_size
        self._own: Tokenizer | None = None  # None: between stanzas, the shared one will do
        self._usual = False  # the header has declared what the shared one's has
        self._fresh = True  # nothing has come yet

    def feed(self, data: bytes) -> Sequence[Event]:
        """Parse the next bytes; return the events they complete, a `BadXml` being the last one ever."""
        if self._fresh:
            return self._begin(data)
        own = self._own
        if own is None:
            if data.endswith(b">") and len(data) <= self._limit and not data.endswith(_FOOTER):
                stanzas = _shared.feed(data)
                if stanzas is not None:
                    return stanzas
                _shared.renew()
            elif not data.strip(_WHITE):  # keep-alive
                return []
            own = self._own = _inside(self._limit)
        events = own.feed(data)
        for event in events:
            if type(event) is StreamHeader:
                self._usual = (event.name, event.ns, event.prefixes) == ("stream", ns.STREAM, USUAL)
        if self._usual and own.between(data):
            own.close()
            self._own = None
        return events

    def _begin(self, data: bytes) -> Sequence[Event]:
        """The first bytes: a usual header is read without an expat of its own, which would cost 20 µs."""
        if not data:
            return []
        self._fresh = False
        header, size = usual_header(data)
        if header is None or size > self._limit:
            self._own = Tokenizer(self._limit)
            return self.feed(data)
        self._usual = True
        return [header, *self.feed(data[size:])] if len(data) > size else [header]

    @property
    def own(self) -> bool:
        """Whether it holds an expat of its own now."""
        return self._own is not None and self._own is not _CLOSED

    def close(self) -> None:
        """Ignore all further bytes and free expat's memory."""
        if self._own is not None:
            self._own.close()
        self._own = _CLOSED
        self._fresh = False
