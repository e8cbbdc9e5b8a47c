"""WebSocket as XMPP uses it (RFC 6455, RFC 7395): the handshake, and text messages in frames. For both ends.

Why not a library: a message sent and received costs wsproto 19 µs and websockets' sans-IO protocol 6, its
connection 4 KiB and its handshake 90 µs; this 2 to 3 µs, 0.2 KiB and 20 µs, where a whole user has 8 KiB and 35 µs.
There are no extensions to be negotiated, and no messages but text. The tests let it speak with websockets.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from amoc.xmpp.core.http import Message, reason_of

__all__ = ["NORMAL", "Close", "Event", "Ping", "WebSocket", "accept", "new_key", "refused", "request", "response"]

NORMAL: Final = 1000  # RFC 6455, 7.4.1
PROTOCOL_ERROR: Final = 1002
UNACCEPTABLE: Final = 1003
TOO_BIG: Final = 1009

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_FIN = 0x80
_MASKED = 0x80
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer with `pong(data)`."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The last event: the peer has closed (`ours` is False), or what it sent is wrong. Answer with `close(code)`."""

    code: int
    text: str
    ours: bool


Event = bytes | Ping | Close  # bytes are a text message


class WebSocket:
    """Frames in both directions; `limit` is the size of a message in bytes."""

    __slots__ = ("_client", "_limit", "_message", "_over", "_rest")

    def __init__(self, limit: int, *, client: bool) -> None:
        self._limit = limit
        self._client = client  # who masks what it sends (RFC 6455, 5.1)
        self._over = False
        self._rest = b""  # the beginning of a frame
        self._message: bytearray | None = None  # the beginning of a fragmented message

    # -- sending ---------------------------------------------------------------------------------------

    def text(self, payload: bytes) -> bytes:
        """A text message in one frame."""
        return self._frame(_TEXT, payload)

    def pong(self, payload: bytes) -> bytes:
        """The answer to a ping."""
        return self._frame(_PONG, payload)

    def close(self, code: int = NORMAL, text: str = "") -> bytes:
        """The last frame. `code` is one of RFC 6455, 7.4."""
        return self._frame(_CLOSE, code.to_bytes(2) + text.encode()[:123])

    def _frame(self, opcode: int, payload: bytes) -> bytes:
        length = len(payload)
        bit = _MASKED if self._client else 0
        if length < 126:
            head = bytes((_FIN | opcode, bit | length))
        elif length < 65536:
            head = bytes((_FIN | opcode, bit | 126, length >> 8, length & 0xFF))
        else:
            head = bytes((_FIN | opcode, bit | 127)) + length.to_bytes(8)
        if not self._client:
            return head + payload
        key = _new_mask()
        return head + key + _masked(payload, key)

    # -- receiving -------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Event]:
        """What `data` completes; nothing after a `Close`."""
        events: list[Event] = []
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at, size = 0, len(data)
        while size - at >= 2 and not self._over:
            first, second = data[at], data[at + 1]
            start, length = at + 2, second & 0x7F
            if length == 126:
                start += 2
            elif length == 127:
                start += 8
            if start > size:
                break
            if length > 125:
                length = int.from_bytes(data[at + 2 : start])
            if not self._acceptable(first, second, length, events):
                break
            mask = b""
            if second & _MASKED:
                mask = data[start : start + 4]
                start += 4
            at_next = start + length
            if at_next > size:
                break
            payload = data[start:at_next]
            at = at_next
            self._take(first, _masked(payload, mask) if mask else payload, events)
        if at < size and not self._over:
            self._rest = data[at:]
        return events

    def _acceptable(self, first: int, second: int, length: int, events: list[Event]) -> bool:
        """Whether a frame with this head may come now; if not, that is the end."""
        opcode = first & 0x0F
        waiting = 0 if self._message is None else len(self._message)
        if first & 0x70:
            wrong = PROTOCOL_ERROR, "reserved bits are set"
        elif bool(second & _MASKED) == self._client:
            wrong = PROTOCOL_ERROR, "a masked frame" if self._client else "a frame that is not masked"
        elif opcode >= _CLOSE:
            if opcode in (_CLOSE, _PING, _PONG) and first & _FIN and length <= 125:
                return True
            wrong = PROTOCOL_ERROR, f"a control frame of kind {opcode} with {length} bytes"
        elif opcode == _BINARY:
            wrong = UNACCEPTABLE, "a binary message"
        elif opcode > _BINARY or (opcode == _TEXT) != (self._message is None):
            wrong = PROTOCOL_ERROR, f"a frame of kind {opcode} out of place"
        elif waiting + length > self._limit:
            wrong = TOO_BIG, f"a message is larger than {self._limit} bytes"
        else:
            return True
        self._over = True
        events.append(Close(*wrong, ours=True))
        return False

    def _take(self, first: int, payload: bytes, events: list[Event]) -> None:
        opcode = first & 0x0F
        if opcode == _PING:
            events.append(Ping(payload))
        elif opcode == _CLOSE:
            self._over = True
            code = int.from_bytes(payload[:2]) if len(payload) >= 2 else NORMAL
            events.append(Close(code, payload[2:].decode(errors="replace"), ours=False))
        elif opcode == _PONG:
            pass
        elif self._message is None and first & _FIN:
            events.append(payload)
        else:
            message = self._message = bytearray() if self._message is None else self._message
            message += payload
            if first & _FIN:
                self._message = None
                events.append(bytes(message))


def _masked(data: bytes, key: bytes) -> bytes:
    """`data` xor `key`, again and again; twice is nothing."""
    length = len(data)
    long_key = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "little") ^ int.from_bytes(long_key, "little")).to_bytes(length, "little")


def _masks() -> Iterator[bytes]:
    """Masks that nobody can foresee (RFC 6455, 5.3), for a fraction of what one call of the kernel costs."""
    while True:
        pool = secrets.token_bytes(4096)
        for at in range(0, len(pool), 4):
            yield pool[at : at + 4]


_new_mask: Final[Callable[[], bytes]] = _masks().__next__


# -- the handshake -------------------------------------------------------------------------------------------


def new_key() -> str:
    """A client's nonce (RFC 6455, 4.1)."""
    return base64.b64encode(secrets.token_bytes(16)).decode()


def accept(key: str) -> str:
    """What the server makes of it."""
    return base64.b64encode(hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()


def request(path: str, authority: str, key: str) -> bytes:
    """The client's request for the subprotocol xmpp (RFC 7395, 3.1)."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n"
    ).encode("ascii")


def refused(answer: Message, key: str) -> str:
    """Why the server's answer opens no WebSocket for XMPP; "" when it does."""
    if answer.status != 101:
        return f"the server answered {reason_of(answer)}"
    if not answer.has("upgrade", "websocket") or not answer.has("connection", "upgrade"):
        return "the server switches to something else than WebSocket"
    if answer.headers.get("sec-websocket-accept") != accept(key):
        return "the server's Sec-WebSocket-Accept is wrong"
    if answer.headers.get("sec-websocket-protocol") != "xmpp":
        return "the server does not speak the subprotocol xmpp there"
    if answer.headers.get("sec-websocket-extensions"):
        return "the server wants an extension that nobody asked for"
    return ""


def response(asked: Message) -> tuple[bytes, bool]:
    """The server's answer to a request, and whether it opens a WebSocket."""
    key = asked.headers.get("sec-websocket-key", "")
    if (
        asked.method == "GET"
        and asked.has("upgrade", "websocket")
        and asked.has("connection", "upgrade")
        and asked.has("sec-websocket-protocol", "xmpp")
        and asked.headers.get("sec-websocket-version") == "13"
        and key
    ):
        return (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept(key)}\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n"
        ).encode("ascii"), True
    return (
        b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        False,
    )
