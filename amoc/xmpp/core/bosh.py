"""BOSH, the client's side of XEP-0124 and XEP-0206: a stream in the bodies of HTTP requests and responses.

Theory of operation. The server holds one request until it has something to say; with the second one the client says
something at any time, whereupon the server answers the first. So there is always a request to be answered, and
never more than two. Requests are numbered (`rid`), and their responses are taken in the order of these numbers,
whatever the order in which two connections deliver them. A request whose connection broke is sent once more: the server
knows by its number whether it has had it (XEP-0124, 14.3).

A `BoshSession` is the stream's framing; what moves the bytes asks it for requests and gives it the responses.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.framing import PREFIXES, Parser
from amoc.xmpp.core.parser import BadXml, Event, StreamEnd, StreamHeader, parse_elements

__all__ = ["MAX_BODY_STANZAS", "BoshSession", "Request"]

# Seconds that the server may hold a request: most proxies end a silent connection after 60.
WAIT: Final = 50
# A response is at most so many times as large as a stanza may be: an archive's page comes in one.
MAX_BODY_STANZAS: Final = 16
# Bytes of stanzas that are joined in one request: what servers take without a word.
_JOIN: Final = 65_536
# How often a request is sent.
_TRIES: Final = 2
_MAX_RID: Final = 2**53 - 1  # XEP-0124, 14.1

_VERSION = f"{{{ns.XBOSH}}}version"


@dataclass(slots=True)
class Request:
    """One request, from its making until its response has been taken."""

    rid: int
    body: bytes
    tries: int = 0
    sent: bool = False
    answer: bytes | None = None


class BoshSession:
    """One session. It is over when the server says so, or when `close` has been sent and answered."""

    __slots__ = ("_asked", "_closing", "_header", "_limit", "_over", "_queue", "_rid", "_sid", "queued")

    def __init__(self, rid: int | None = None) -> None:
        # room for some 2^52 requests
        self._rid = rid if rid is not None else secrets.randbelow(_MAX_RID // 2) + 1
        self._sid = ""
        self._limit = 1  # requests at once
        self._asked: dict[int, Request] = {}  # those without an answer that was taken, in order
        self._queue: list[bytes] = []
        self._header: Mapping[str, str] | None = None  # the stream is to be opened, or restarted
        self._closing = False
        self._over = False
        self.queued = 0  # bytes of stanzas that wait for a request

    def __repr__(self) -> str:
        return f"<BoshSession {self._sid or 'new'} rid={self._rid} {len(self._asked)} asked {len(self._queue)} queued>"

    # -- the stream's framing --------------------------------------------------------------------------

    def parser(self, max_stanza_size: int) -> Parser:
        """A parser for a new stream, or one that is restarted."""
        return _BodyParser(self, max_stanza_size)

    def open(self, attributes: Mapping[str, str]) -> bytes:
        """Open the stream with the next request. There is nothing to be queued for that."""
        self._header = dict(attributes)
        return b""

    def close(self) -> bytes:
        """Terminate the session with the request after what is queued."""
        self._closing = True
        return b""

    # -- requests --------------------------------------------------------------------------------------

    def send(self, element: bytes) -> None:
        """Queue an element, which has to stand alone."""
        self._queue.append(element)
        self.queued += len(element)

    @property
    def over(self) -> bool:
        """Whether the server has ended the session."""
        return self._over

    def wants(self) -> bool:
        """Whether there is a request to be sent now."""
        if self._over:
            return False
        if any(not request.sent for request in self._asked.values()):
            return True
        if len(self._asked) >= self._limit:
            return False
        if self._queue or self._header is not None or self._closing:
            return bool(self._sid) or self._header is not None
        return bool(self._sid) and not self._asked  # the one that the server holds

    def next(self) -> Request:
        """The request to be sent now; ask only if it `wants` one."""
        for request in self._asked.values():
            if not request.sent:
                break
        else:
            request = self._make()
            self._asked[request.rid] = request
        request.sent = True
        request.tries += 1
        return request

    def _make(self) -> Request:
        rid, self._rid = self._rid, self._rid + 1
        attributes = f"rid='{rid}'"
        payload: list[bytes] = []
        if self._sid:
            attributes += f" sid='{escape(self._sid)}'"
        if self._header is not None:
            attributes += f" xmlns:xmpp='{ns.XBOSH}' xml:lang='en'"
            attributes += "".join(f" {key}='{escape(value)}'" for key, value in self._header.items() if value)
            if self._sid:
                attributes += " xmpp:restart='true'"
            else:
                attributes += f" xmpp:version='1.0' ver='1.6' wait='{WAIT}' hold='1' content='text/xml; charset=utf-8'"
            self._header = None
        else:
            size = 0
            while self._queue and (not payload or size + len(self._queue[0]) <= _JOIN):
                size += len(self._queue[0])
                payload.append(self._queue.pop(0))
            self.queued -= size
            if self._closing and not self._queue:
                self._closing = False
                attributes += " type='terminate'"
                self._limit = 0  # the last one
        body = f"<body xmlns='{ns.BOSH}' {attributes}>".encode() + b"".join(payload) + b"</body>"
        return Request(rid, body)

    # -- responses -------------------------------------------------------------------------------------

    def answered(self, rid: int, body: bytes) -> list[bytes]:
        """The response to request `rid`; returns those that are to be given to the stream now, in order."""
        self._asked[rid].answer = body
        taken = []
        for first in list(self._asked.values()):
            if first.answer is None:
                break
            del self._asked[first.rid]
            taken.append(first.answer)
        return taken

    def failed(self, rid: int) -> bool:
        """The connection broke before request `rid` was answered: whether it is sent again."""
        request = self._asked[rid]
        request.sent = False
        return request.tries < _TRIES and not self._over

    def take(self, body: Element) -> str:
        """What a response's <body/> says of the session; returns what is wrong, or ""."""
        kind = body.get("type")
        if kind == "terminate":
            self._over = True
        elif kind == "error":  # XEP-0124, 17.4: send again what has not been answered
            for request in self._asked.values():
                request.sent = False
                if request.tries >= _TRIES:
                    return "the server wants a request again and again"
        elif not self._sid:
            self._sid = body.get("sid", "")
            if not self._sid:
                return "the server has opened no session"
            if body.get("hold", "1") == "0":
                return "the server holds no requests, and polling is not what BOSH is for"
            self._limit = 2 if body.get("requests", "2") != "1" else 1
        return ""


class _BodyParser:
    """Each feed is the body of one response."""

    __slots__ = ("_limit", "_session", "_started")

    def __init__(self, session: BoshSession, max_stanza_size: int) -> None:
        self._session: BoshSession | None = session
        self._limit = max_stanza_size * MAX_BODY_STANZAS
        self._started = False

    def feed(self, data: bytes) -> list[Event]:
        session = self._session
        if session is None:
            return []
        events = parse_elements(data, self._limit)
        if events and isinstance(events[-1], BadXml):
            return self._last(events[-1])
        body = events[0] if len(events) == 1 else None
        if not isinstance(body, Element) or (body.ns, body.name) != (ns.BOSH, "body"):
            return self._last(BadXml("bad-format", "the response is no <body/> of BOSH"))
        wrong = session.take(body)
        if wrong:
            return self._last(BadXml("undefined-condition", wrong))
        found: list[Event] = []
        ended = body.get("type") == "terminate"
        if not self._started and not ended:  # XEP-0206, 5: the header is in the attributes
            self._started = True
            found.append(StreamHeader("stream", ns.STREAM, _header(body), PREFIXES))
        for child in body.children:
            if isinstance(child, Element):
                found.append(child)
            elif not child.isspace():
                return [*found, *self._last(BadXml("bad-format", f"text between stanzas: {child[:20]!r}"))]
        if ended:
            condition = body.get("condition")
            found += self._last(_error(condition) if condition else StreamEnd())
        return found

    def close(self) -> None:
        self._session = None

    def _last(self, event: Event) -> list[Event]:
        self.close()
        return [event]


def _header(body: Element) -> dict[str, str]:
    header = {"version": body.get(_VERSION, "1.0")}
    for name, attribute in (("from", "from"), ("id", "authid"), ("xml:lang", "xml:lang")):
        value = body.get(attribute)
        if value is not None:
            header[name] = value
    return header


def _error(condition: str) -> Element:
    """The stream error that a terminal binding condition amounts to (XEP-0124, 17.2)."""
    name = condition if condition.replace("-", "").isalnum() and condition[0].isalpha() else "undefined-condition"
    return Element(f"{{{ns.STREAM}}}error", Element(f"{{{ns.STREAMS}}}{name}"))
