"""The client over BOSH against HTTP servers of all kinds: honest, broken, gone; and nothing is left behind."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from amoc.config import Config
from amoc.xmpp import Client, ConnectFailed, Disconnected, SendOverflow, StreamError, connect
from amoc.xmpp.transport import bosh
from tests.unit.xmpp.bosh_manager import Manager

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%b"


class Server:
    """An HTTP server around a manager.

    `fault(number)` returns what is sent instead of an answer to a request, b"" to hang up; `slowness(number)` is how
    many seconds after its arrival the request is read. `order` are the requests' rids, as they were read.
    """

    def __init__(self) -> None:
        self.manager = Manager()
        self.waiting: dict[int, asyncio.StreamWriter] = {}
        self.connections = 0
        self.open = 0
        self.requests = 0
        self.fault: Callable[[int], bytes | None] = lambda number: None
        self.slowness: Callable[[int], float] = lambda number: 0
        self.order: list[int] = []
        self.keep_alive = True
        self.answered: dict[int, bytes] = {}

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        self._server.close()
        for writer in self.waiting.values():
            writer.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/bosh"

    def has_heard(self, count: int) -> bool:
        return len(self.manager.heard) == count

    def say(self, data: bytes) -> None:
        self._answer(self.manager.say(data))

    def _answer(self, answers: list[tuple[int, bytes]]) -> None:
        for rid, body in answers:
            self.answered[rid] = body
            writer = self.waiting.pop(rid, None)
            if writer is None:
                continue
            page = PAGE % (len(body), body)
            if not self.keep_alive:
                page = page.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
            writer.write(page)
            if not self.keep_alive:
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                assert length is not None
                body = await reader.readexactly(int(length[1]))
                found = re.search(rb"rid='(\d+)'", body)
                assert found is not None
                rid = int(found[1])
                self.requests += 1
                await asyncio.sleep(self.slowness(self.requests))
                self.order.append(rid)
                instead = self.fault(self.requests)
                if instead is not None:
                    writer.write(instead)
                    if not instead:
                        writer.close()
                    continue
                self.waiting[rid] = writer
                if rid in self.answered:  # again
                    self._answer([(rid, self.answered[rid])])
                elif rid not in self.manager.rids:
                    self._answer(self.manager.request(body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture
async def server(settings: Config) -> AsyncIterator[Server]:
    running = Server()
    await running.start()
    settings.set("xmpp_servers", [running.url])
    yield running
    await running.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def talk(server: Server, client: Client, count: int = 20) -> None:
    already = len(server.manager.heard)
    for number in range(count):
        client.send_message("a@b", str(number))
        server.say(f"<message><body>{number}</body></message>".encode())
        await client.drain()
        assert (await client.receive("message", timeout=5)).findtext("body") == str(number)
    await until(lambda: len(server.manager.heard) >= already + count)


async def test_connections_are_kept_and_there_are_two(server: Server) -> None:
    async with connect(1) as client:
        assert server.connections == 1, "one is enough for a login"
        await until(lambda: len(server.waiting) == 1)
        client.send_message("a@b", "while the server holds a request")
        await until(lambda: len(server.manager.heard) == 1)
        await talk(server, client)
        assert server.connections == 2
        await until(lambda: len(server.manager.held) == 1)
    assert server.manager.ended
    await until(lambda: server.open == 0)


async def test_a_request_does_not_overtake_the_one_before_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bosh, "_APART", 0.25)  # both sides are in this loop, which a busy machine holds up
    async with connect(1) as client:
        await talk(server, client, 3)  # there are two connections
        server.slowness = lambda number: 0.02 if number == held else 0.0
        for already, number in enumerate((0, 3, 6, 9), start=4):
            held = server.requests + 1
            server.say(b"<message><body>it answers the request that was held</body></message>")
            await client.receive("message", timeout=5)
            await asyncio.sleep(number / 1000)  # and another one is on its way
            client.send_message("a@b", "overtakes it")
            await until(partial(server.has_heard, already))
    assert server.order == sorted(server.order)
    assert server.manager.ended


async def test_a_server_that_closes_after_each_answer(server: Server) -> None:
    server.keep_alive = False
    async with connect(1) as client:
        await talk(server, client)
    assert server.connections > 20
    await until(lambda: server.open == 0)


async def test_an_answer_that_is_lost_is_asked_for_again(server: Server) -> None:
    server.fault = lambda number: b"" if number % 4 == 3 else None
    async with connect(1) as client:
        await talk(server, client)
    bodies = [stanza.findtext("body") for stanza in server.manager.heard if stanza.name == "message"]
    assert bodies == [str(number) for number in range(20)], "nothing is lost, nothing doubled"


@pytest.mark.parametrize(
    ("page", "words", "cause"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "HTTP 404 Not Found to POST http://", "http-404"),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "HTTP 503 Service", "http-503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<a/>", "no <body/> of BOSH", "nonsense"),
        (b"<stream:stream>", "this is no HTTP", "nonsense"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 5_000_000, "larger than", "nonsense"),
        (b"", "closed the connection", "lost"),
    ],
)
@pytest.mark.parametrize("number", [1, 2, 4])
async def test_logins_that_fail(server: Server, page: bytes, words: str, cause: str, number: int) -> None:
    server.fault = lambda now: page if now >= number else None
    with pytest.raises(ConnectFailed, match=words) as failed:
        await connect(1)
    assert failed.value.step == {1: "stream", 2: "sasl", 4: "bind"}[number]
    assert failed.value.cause == cause
    await until(lambda: server.open == 0)


@pytest.mark.parametrize(
    ("page", "kind", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Disconnected, "HTTP 404 Not Found"),
        (PAGE % (4, b"<a/>"), StreamError, "no <body/> of BOSH"),
        (b"garbage", StreamError, "this is no HTTP"),
        (b"", Disconnected, "the connection was lost"),
    ],
)
async def test_sessions_that_break(server: Server, page: bytes, kind: type[Exception], words: str) -> None:
    async with connect(1) as client:
        await talk(server, client, 3)
        server.fault = lambda number: page
        client.send_message("a@b", "x")
        with pytest.raises(kind, match=words):
            await client.receive(timeout=5)
    await until(lambda: server.open == 0)


async def test_a_server_that_is_gone(server: Server) -> None:
    async with connect(1) as client:
        await talk(server, client, 3)
        await until(lambda: len(server.waiting) == 1)
        await server.stop()
        with pytest.raises(Disconnected, match="the connection was lost"):
            await client.receive(timeout=5)


async def test_an_answer_that_nobody_has_asked_for(server: Server) -> None:
    async with connect(1) as client:
        await until(lambda: len(server.waiting) == 1)
        (writer,) = server.waiting.values()
        body = b"<body xmlns='http://jabber.org/protocol/httpbind'/>"
        writer.write(PAGE % (len(body), body) * 3)
        with pytest.raises(StreamError, match="nobody has asked for"):
            await client.receive(timeout=5)


async def test_a_server_that_stalls(server: Server) -> None:
    server.fault = lambda number: b"HTTP/1.1 100 Continue\r\n\r\n"
    with pytest.raises(ConnectFailed, match=r"not done within 0\.5 s"):
        await connect(1, login_timeout=0.5)


async def test_a_server_that_does_not_answer_makes_senders_wait_and_then_fail(server: Server) -> None:
    async with connect(1) as client:
        await until(lambda: len(server.waiting) == 1)
        server.fault = lambda number: b"HTTP/1.1 100 Continue\r\n\r\n"

        async def flood() -> None:
            for _ in range(200):
                client.send_message("a@b", "x" * 10_000)
                await asyncio.sleep(0)

        with pytest.raises(SendOverflow):
            await flood()
        waiting = asyncio.ensure_future(client.drain())
        await asyncio.sleep(0)
        assert not waiting.done()
        client.kill()
        with pytest.raises(Disconnected, match="killed by the scenario"):
            await waiting
    await until(lambda: server.open == 0)


async def test_cancelled_at_any_moment_leaves_nothing(server: Server) -> None:
    async def live() -> None:
        async with connect(1) as client:
            for _ in range(3):
                client.send_message("a@b", "x")
                await asyncio.sleep(0)

    for rounds in range(80):
        server.manager = Manager()
        server.answered.clear()
        task = asyncio.ensure_future(live())
        for _ in range(rounds):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await until(lambda: server.open == 0)
        server.waiting.clear()
