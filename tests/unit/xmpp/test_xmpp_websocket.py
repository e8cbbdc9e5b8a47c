"""Our WebSocket against websockets', an independent implementation: cut at every byte, and what is refused."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Close as CloseFrame
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from amoc.xmpp.core import websocket
from amoc.xmpp.core.http import Message, MessageReader
from amoc.xmpp.core.websocket import Close, Event, Ping, WebSocket

XMPP = Subprotocol("xmpp")
SIZES = [0, 1, 2, 3, 4, 5, 125, 126, 127, 65535, 65536, 70_001]


def ours(*, client: bool, limit: int = 100_000) -> WebSocket:
    return WebSocket(limit, client=client)


def theirs(*, client: bool) -> ClientProtocol | ServerProtocol:
    """websockets' protocol after its handshake."""
    if client:
        return ClientProtocol(parse_uri("ws://host/"), state=State.OPEN)
    return ServerProtocol(state=State.OPEN)


@pytest.mark.parametrize("client", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_messages_both_ways(client: bool, size: int) -> None:
    mine, other = ours(client=client), theirs(client=not client)
    payload = os.urandom(size // 2).hex().encode() + b"x" * (size % 2)
    other.receive_data(mine.text(payload) + mine.pong(b"p"))
    text, pong = other.events_received()
    assert isinstance(text, Frame)
    assert isinstance(pong, Frame)
    assert (text.opcode, text.data, text.fin) == (Opcode.TEXT, payload, True)
    assert (pong.opcode, pong.data) == (Opcode.PONG, b"p")
    other.send_text(payload)
    other.send_ping(b"ping")
    assert mine.receive(b"".join(other.data_to_send())) == [payload, Ping(b"ping")]


@pytest.mark.parametrize("client", [True, False])
def test_closing(client: bool) -> None:
    mine, other = ours(client=client), theirs(client=not client)
    other.send_close(1001, "going away")
    assert mine.receive(b"".join(other.data_to_send())) == [Close(1001, "going away", ours=False)]
    assert mine.receive(b"\x81\x00") == []
    other.receive_data(mine.close(1001, "fine"))
    assert other.close_rcvd == CloseFrame(1001, "fine")
    assert ours(client=client).receive(b"\x88\x80abcd" if not client else b"\x88\x00") == [Close(1000, "", ours=False)]


def conversation(client: bool) -> tuple[bytes, list[Event]]:
    """What websockets sends with fragments, controls between them, and frames of every length."""
    other = theirs(client=not client)
    expected: list[Event] = []
    for size in (0, 3, 125, 126, 300):
        other.send_text(b"m" * size)
        expected.append(b"m" * size)
    other.send_text(b"one ", fin=False)
    other.send_continuation(b"two ", fin=False)
    other.send_ping(b"!")
    other.send_pong(b"unasked")
    other.send_continuation(b"three", fin=True)
    expected += [Ping(b"!"), b"one two three"]
    other.send_close(1000, "bye")
    expected.append(Close(1000, "bye", ours=False))
    return b"".join(other.data_to_send()), expected


@pytest.mark.parametrize("client", [True, False])
def test_cut_at_every_byte(client: bool) -> None:
    data, expected = conversation(client)
    for at in range(len(data) + 1):
        mine = ours(client=client)
        assert mine.receive(data[:at]) + mine.receive(data[at:]) == expected, f"cut at {at}"
    mine = ours(client=client)
    assert [event for at in range(len(data)) for event in mine.receive(data[at : at + 1])] == expected


@settings(deadline=None)
@given(st.data(), st.booleans())
def test_any_pieces(data: st.DataObject, client: bool) -> None:
    sent, expected = conversation(client)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    mine = ours(client=client)
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert [event for piece in pieces for event in mine.receive(piece)] == expected


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"\xc1\x00", 1002, "reserved bits"),
        (b"\x81\x81abcdx", 1002, "a masked frame"),
        (b"\x82\x00", 1003, "binary"),
        (b"\x83\x00", 1002, "kind 3"),
        (b"\x80\x00", 1002, "out of place"),
        (b"\x01\x01x\x81\x01y", 1002, "out of place"),
        (b"\x09\x00", 1002, "control frame"),
        (b"\x89\x7e\x00\x7e", 1002, "control frame"),
        (b"\x8b\x00", 1002, "control frame"),
        (b"\x81\x7f" + (100_001).to_bytes(8), 1009, "larger than 100000"),
        (b"\x01\x7e\xff\xff" + b"x" * 65535 + b"\x80\x7e\xff\xff", 1009, "larger than 100000"),
        (b"HTTP/1.1 200 OK", 1002, "reserved bits"),
    ],
)
def test_what_is_refused(data: bytes, code: int, words: str) -> None:
    mine = ours(client=True)
    events = mine.receive(data)
    assert len(events) == 1
    assert isinstance(events[0], Close)
    assert (events[0].code, events[0].ours) == (code, True)
    assert words in events[0].text
    assert mine.receive(b"\x81\x00") == []


def test_a_server_refuses_what_is_not_masked() -> None:
    assert ours(client=False).receive(b"\x81\x00") == [Close(1002, "a frame that is not masked", ours=True)]


@given(st.binary(max_size=200), st.booleans())
def test_anything(data: bytes, client: bool) -> None:
    """websockets takes the same bytes for wrong, or for the same messages."""
    mine, other = ours(client=client), theirs(client=client)
    events = mine.receive(data)
    other.receive_data(data)
    texts = [event for event in events if isinstance(event, bytes)]
    frames = [event for event in other.events_received() if isinstance(event, Frame)]
    whole = [bytes(frame.data) for frame in frames if frame.opcode is Opcode.TEXT and frame.fin]
    assert [text for text in texts if text in whole] == whole
    if any(isinstance(event, Close) and event.ours for event in events) and other.parser_exc is None:
        last = events[-1]
        assert any(frame.opcode is Opcode.BINARY for frame in frames) or (
            isinstance(last, Close) and last.code in (1002, 1003)
        )


def test_masks_differ() -> None:
    assert len({ours(client=True).text(b"hello") for _ in range(2000)}) > 1990


# -- the handshake ---------------------------------------------------------------------------------------------


def read(data: bytes, *, requests: bool = False) -> Message:
    (message,) = MessageReader(1000, requests=requests).feed(data)
    return message


def test_our_request_with_their_answer() -> None:
    key = websocket.new_key()
    server = ServerProtocol(subprotocols=[XMPP])
    server.receive_data(websocket.request("/ws", "host:5280", key))
    (asked,) = server.events_received()
    assert isinstance(asked, Request)
    assert asked.path == "/ws"
    server.send_response(server.accept(asked))
    assert websocket.refused(read(b"".join(server.data_to_send())), key) == ""


def test_their_request_with_our_answer() -> None:
    client = ClientProtocol(parse_uri("ws://host:5280/ws"), subprotocols=[XMPP])
    client.send_request(client.connect())
    answer, opens = websocket.response(read(b"".join(client.data_to_send()), requests=True))
    assert opens
    client.receive_data(answer)
    (got,) = client.events_received()
    assert isinstance(got, Response)
    assert (client.state, client.subprotocol) == (State.OPEN, XMPP)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("101 Switching Protocols", "404 Not Found\r\nContent-Length: 0", "answered HTTP 404 Not Found"),
        (
            "101 Switching Protocols",
            "503 Service Unavailable\r\nContent-Length: 0",
            "answered HTTP 503 Service Unavailable",
        ),
        ("Upgrade: websocket", "Upgrade: h2c", "something else"),
        ("Accept: ", "Accept: x", "Sec-WebSocket-Accept is wrong"),
        ("Protocol: xmpp", "Protocol: mqtt", "does not speak the subprotocol"),
        ("Protocol: xmpp", "Protocol: xmpp\r\nSec-WebSocket-Extensions: permessage-deflate", "an extension"),
    ],
)
def test_answers_that_open_nothing(old: str, new: str, words: str) -> None:
    key = websocket.new_key()
    asked = read(websocket.request("/", "h", key), requests=True)
    answer = websocket.response(asked)[0].decode()
    assert websocket.refused(read(answer.encode()), key) == ""
    assert words in websocket.refused(read(answer.replace(old, new).encode()), key)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("GET", "POST"),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Connection: Upgrade", "Connection: close"),
        ("Version: 13", "Version: 8"),
        ("Protocol: xmpp", "Protocol: mqtt"),
        ("Sec-WebSocket-Key: ", "X: "),
    ],
)
def test_requests_that_open_nothing(old: str, new: str) -> None:
    request = websocket.request("/", "h", websocket.new_key()).decode().replace(old, new)
    answer, opens = websocket.response(read(request.encode(), requests=True))
    assert not opens
    assert answer.startswith(b"HTTP/1.1 426 ")
