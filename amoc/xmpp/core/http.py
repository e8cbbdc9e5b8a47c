"""HTTP/1.1 messages for WebSocket's handshake and for BOSH: requests out, responses in (and the reverse).

Reading is httptools', the binding of Node's llhttp: 1 µs a message, where h11 takes 100.
"""

import functools
from dataclasses import dataclass, field
from typing import Any, Final

import httptools

__all__ = ["MAX_HEADERS", "BadHttp", "Message", "MessageReader", "post_head", "reason_of"]

# Bytes of a head, for which HTTP has no limit of its own (RFC 9112, 3 and 5.4): what common servers allow.
MAX_HEADERS: Final = 16_384


class BadHttp(Exception):
    """The peer's bytes are no HTTP, or too many."""


@dataclass(slots=True)
class Message:
    """A response (`status`, `reason`) or a request (`method`, `target`), its headers by lower-case names."""

    status: int = 0
    reason: str = ""
    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    keep_alive: bool = False

    def has(self, header: str, word: str) -> bool:
        """Whether the words of a header, separated by commas, contain `word` in whatever case."""
        return word.lower() in [part.strip().lower() for part in self.headers.get(header, "").split(",")]


class MessageReader:
    """Reads what comes on one connection: responses, or requests. `limit` is the size of a body in bytes.

    `rest` is what came behind a message that upgrades the connection to another protocol.
    """

    __slots__ = ("_done", "_limit", "_message", "_parser", "_parts", "_size", "rest")

    def __init__(self, limit: int, *, requests: bool = False) -> None:
        self._limit = limit
        self._size = 0  # of what came since the last message was complete
        self._message: Message | None = None
        self._parts: list[bytes] = []
        self._done: list[Message] = []
        self.rest = b""
        kind = httptools.HttpRequestParser if requests else httptools.HttpResponseParser
        self._parser: Any = kind(self)

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises BadHttp."""
        if self._parser is None:
            raise BadHttp("data after the end")
        self._size += len(data)
        if self._size > self._limit + MAX_HEADERS:
            raise BadHttp(f"an HTTP message is larger than {self._limit} bytes")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            raise BadHttp(f"this is no HTTP: {error}, at {data[:40]!r}") from None
        done, self._done = self._done, []
        return done

    def end(self) -> list[Message]:
        """The peer has closed the connection, which is how a response without a length ends (RFC 9112, 6.3)."""
        message = self._message
        if message is None or not message.status or {"content-length", "transfer-encoding"} & set(message.headers):
            return []
        self.on_message_complete()
        return self._done

    def close(self) -> None:
        """Let go of the parser, which is part of a cycle of references."""
        self._parser = None

    # -- the parser's callbacks ------------------------------------------------------------------------

    def on_message_begin(self) -> None:  # noqa: D102 - a callback
        self._message = Message()
        self._parts = []

    def on_url(self, url: bytes) -> None:  # noqa: D102 - a callback
        assert self._message is not None
        self._message.target += url.decode("latin-1")

    def on_status(self, reason: bytes) -> None:  # noqa: D102 - a callback
        assert self._message is not None
        self._message.reason += reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: D102 - a callback
        assert self._message is not None
        self._message.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:  # noqa: D102 - a callback
        message, parser = self._message, self._parser
        assert message is not None
        if isinstance(parser, httptools.HttpResponseParser):
            message.status = parser.get_status_code()
        else:
            message.method = parser.get_method().decode("latin-1")
        message.keep_alive = parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:  # noqa: D102 - a callback
        self._parts.append(body)

    def on_message_complete(self) -> None:  # noqa: D102 - a callback
        message, self._message = self._message, None
        self._size = 0
        assert message is not None
        if not 100 <= message.status < 200 or message.status == 101:  # the others only announce one (RFC 9110, 15.2)
            message.body = b"".join(self._parts)
            self._done.append(message)


@functools.lru_cache(maxsize=256)
def post_head(path: str, authority: str) -> bytes:
    """The head of a POST of XML, but for the number of bytes and the empty line."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: "
    ).encode("ascii")


def reason_of(message: Message) -> str:
    """A response's status as errors name it: "HTTP 404 Not Found"."""
    return f"HTTP {message.status} {message.reason[:100]}".rstrip()
