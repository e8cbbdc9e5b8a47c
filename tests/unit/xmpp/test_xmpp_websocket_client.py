"""The client over WebSocket: against the embedded server, the independent one of websockets, and bad ones."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets

from amoc.config import Config
from amoc.xmpp import ConnectFailed, Disconnected, Element, StreamError, connect
from amoc.xmpp.core.accept import Policy, ServerStream
from amoc.xmpp.core.effects import Effect, Write
from amoc.xmpp.core.framing import FRAMES, standalone
from amoc.xmpp.server import EmbeddedServer

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def url(embedded: EmbeddedServer, settings: Config) -> str:
    """The embedded server's WebSocket, where clients go."""
    found = await embedded.listen_websocket()
    settings.set("xmpp_servers", [found])
    return found


@pytest.mark.parametrize("management", ["off", "on", "resume"])
async def test_two_users_talk(url: str, embedded: EmbeddedServer, management: str) -> None:
    async with connect(1, stream_management=management) as one, connect(2) as two:
        for client in (one, two):
            client.send_presence()
            await client.receive("presence", timeout=5)
        for number in range(50):
            one.send_message(two.jid, f"<{number}> \U0001f426")
            one.send(f"<iq type='get' id='{number}' to='{two.jid}'><ping xmlns='urn:xmpp:ping'/></iq>")
        for number in range(50):
            assert (await two.receive("message", timeout=5)).findtext("body") == f"<{number}> \U0001f426"
        one.send_message(one.jid, "x" * 100_000)
        assert len((await one.receive("message", timeout=5)).findtext("body") or "") == 100_000
        assert (await two.iq("get", None, Element("{urn:xmpp:ping}ping"))).get("type") == "result"
    assert (embedded.sessions, embedded.connections) == (0, 0)


async def test_a_stream_error_and_the_end_of_the_server(url: str, embedded: EmbeddedServer) -> None:
    async with connect(1) as first, connect(1) as second:
        with pytest.raises(StreamError, match="conflict"):
            await first.receive(timeout=5)
        await embedded.close()
        with pytest.raises(Disconnected):
            await second.receive(timeout=5)


async def test_a_stanza_that_is_too_large(url: str, embedded: EmbeddedServer) -> None:
    async with connect(1, max_stanza_size=2000) as client, connect(2) as other:
        other.send_message(client.jid, "x" * 3000)
        with pytest.raises(StreamError, match="larger than 2000 bytes"):
            await client.receive(timeout=5)
    async with connect(1, max_stanza_size=2000) as client, connect(2) as other:
        other.send_message(client.jid, "x" * 9000)
        with pytest.raises(StreamError, match="WebSocket: a message is larger than 4000 bytes"):
            await client.receive(timeout=5)


async def test_cancelled_at_any_moment_leaves_nothing(url: str, embedded: EmbeddedServer) -> None:
    async def live() -> None:
        async with connect(1) as client:
            client.send_presence()
            await client.receive("presence", timeout=5)

    for rounds in range(60):
        task = asyncio.ensure_future(live())
        for _ in range(rounds):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    async with asyncio.timeout(30):
        while embedded.connections:
            await asyncio.sleep(0.001)


# -- websockets' server ----------------------------------------------------------------------------------------


class Peer:
    """Our stream's server side behind websockets' server."""

    def __init__(self, then: Callable[[ServerConnection], Awaitable[None]] | None = None) -> None:
        self.then = then
        self.heard: list[str | bytes] = []

    async def __call__(self, connection: ServerConnection) -> None:
        stream = ServerStream(Policy(), framing=FRAMES)
        await self._write(connection, stream.start())
        async for message in connection:
            self.heard.append(message)
            assert isinstance(message, str)
            await self._write(connection, stream.receive(message.encode()))
            if stream.step == "ready" and self.then is not None:
                await self.then(connection)
                self.then = None

    async def _write(self, connection: ServerConnection, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Write):
                await connection.send(standalone(effect.data).decode())


@contextlib.asynccontextmanager
async def peer(settings: Config, then: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[Peer]:
    playing = Peer(then)
    async with serve_websockets(playing, "127.0.0.1", 0, subprotocols=["xmpp"]) as server:  # type: ignore[list-item]  # a NewType of str
        settings.set("xmpp_servers", [f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/xmpp"])
        yield playing


async def test_websockets_pings_and_fragments(settings: Config) -> None:
    async def then(connection: ServerConnection) -> None:
        await (await connection.ping())  # the client's pong has come
        await connection.send(["<message xmlns='jabber:client'><bo", "dy>in pieces</body></message>"])

    async with peer(settings, then) as server, connect(1) as client:
        assert (await client.receive("message", timeout=5)).findtext("body") == "in pieces"
        await client.close()
    # RFC 7395, 3.3.3: each message is a document of its own, <open/> and <close/> around the stanzas
    assert [str(message).partition(" ")[0] for message in server.heard] == ["<open", "<auth", "<open", "<iq", "<close"]
    assert all(" xmlns='" in str(message).partition(">")[0] for message in server.heard)


async def test_websockets_closes_without_a_word(settings: Config) -> None:
    async def then(connection: ServerConnection) -> None:
        await connection.close(1011, "out of memory")

    async with peer(settings, then), connect(1) as client:
        with pytest.raises(Disconnected, match="closed the WebSocket: 1011 out of memory"):
            await client.receive(timeout=5)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("<a/><b/>", "more than one element"),
        ("<message", "not-well-formed"),
        ("no XML", "bad-format"),
        (b"<message/>", "a binary message"),
        ("<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>", "unsupported-stanza-type"),
    ],
)
async def test_nonsense_ends_the_session(settings: Config, message: str | bytes, words: str) -> None:
    async def then(connection: ServerConnection) -> None:
        await connection.send(message)

    async with peer(settings, then), connect(1) as client:
        with pytest.raises(StreamError, match=words):
            await client.receive(timeout=5)


# -- servers that are none ---------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def http(settings: Config, answer: bytes, *, close: bool = False) -> AsyncIterator[None]:
    """A server that answers any request so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if not close:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    settings.set("xmpp_servers", [f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"])
    yield
    server.close()
    await server.wait_closed()


EMPTY = b"Content-Length: 0\r\n\r\n"
UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


@pytest.mark.parametrize(
    ("answer", "words", "cause"),
    [
        (b"HTTP/1.1 404 Not Found\r\n" + EMPTY, "HTTP 404 Not Found", "http-404"),
        (b"HTTP/1.1 503 Service Unavailable\r\n" + EMPTY, "HTTP 503 Service Unavailable", "http-503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP 200 OK", "http-200"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\n" + EMPTY, "HTTP 403 Forbidden", "http-403"),
        (UPGRADE + b"Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n", "Accept is wrong", "nonsense"),
        (b"<stream:stream>", "this is no HTTP", "nonsense"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "larger than", "nonsense"),
    ],
)
async def test_answers_that_open_nothing(settings: Config, answer: bytes, words: str, cause: str) -> None:
    async with http(settings, answer):
        with pytest.raises(ConnectFailed, match=words) as failed:
            await connect(1)
    assert (failed.value.step, failed.value.cause) == ("websocket", cause)


async def test_an_answer_that_ends_with_the_connection(settings: Config) -> None:
    async with http(settings, b"HTTP/1.0 502 Bad Gateway\r\n\r\n<h1>sorry</h1>", close=True):
        with pytest.raises(ConnectFailed, match="HTTP 502 Bad Gateway"):
            await connect(1)


@pytest.mark.parametrize("answer", [b"", UPGRADE])
async def test_no_answer(settings: Config, answer: bytes) -> None:
    async with http(settings, answer, close=True):
        with pytest.raises(ConnectFailed, match="closed the connection") as failed:
            await connect(1)
    assert failed.value.step == "websocket"
    async with http(settings, answer):
        with pytest.raises(ConnectFailed, match=r"not done within 0\.5 s") as failed:
            await connect(1, login_timeout=0.5)
    assert (failed.value.step, failed.value.cause) == ("websocket", "timeout")
