"""The node's socket: both ends of it, over a real socket, with operations of the test's own."""

import asyncio
import json
import logging
import os
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from amoc.console import client as client_module
from amoc.console import server as server_module
from amoc.console.client import Connection, NodeGone, NoNode
from amoc.console.node_dir import NodeDir
from amoc.console.protocol import REQUEST_LIMIT, VERSION, Hello
from amoc.console.server import Server, serve
from amoc.errors import BadInput, Failed

HELLO = Hello(VERSION, "0.1.0", 4711)


class Node:
    """Operations for the tests, and a stream of events."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[dict[str, Any]], None]] = []
        self.release = asyncio.Event()
        self.finished: list[str] = []

    def subscribe(self, callback: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def publish(self, number: int, kind: str = "log") -> None:
        for callback in list(self.callbacks):
            callback({"event": kind, "text": "x" * 1000, "number": number})

    async def call(self, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        match op:
            case "echo":
                return [list(args), dict(kwargs)]
            case "wait":
                await self.release.wait()
                self.finished.append(op)
                return "waited"
            case "bad":
                raise BadInput("no scenario 'x'")
            case "failed":
                raise Failed("no slaves")
            case "defect":
                raise ZeroDivisionError("division by zero")
            case "object":
                return object()
            case "big":
                return "x" * int(args[0])
        raise AssertionError(op)


@pytest.fixture
async def node() -> Node:
    return Node()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return NodeDir(tmp_path).socket_path


@pytest.fixture
async def served(node: Node, tmp_path: Path) -> AsyncIterator[Server]:
    listener = NodeDir(tmp_path).listen()
    async with serve(listener, call=node.call, subscribe=node.subscribe, hello=HELLO) as server:
        yield server


class Raw:
    """A peer that speaks lines, well or badly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, path: Path) -> "Raw":
        return cls(*await asyncio.open_unix_connection(path, limit=1 << 16))

    async def read(self) -> dict[str, Any]:
        line = await asyncio.wait_for(self.reader.readline(), 30)
        answer: dict[str, Any] = json.loads(line) if line else {}
        return answer

    async def send(self, line: bytes) -> None:
        self.writer.write(line)
        await self.writer.drain()

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_connection_greets_calls_and_hangs_up(served: Server, path: Path) -> None:
    def use() -> Any:
        with Connection(path) as connection:
            assert connection.hello == HELLO
            return connection.call("echo", [1, "two"], {"three": None, "op": 1, "timeout": 2})

    assert await asyncio.to_thread(use) == [[1, "two"], {"three": None, "op": 1, "timeout": 2}]


@pytest.mark.parametrize(
    ("op", "kind", "text"),
    [
        ("bad", BadInput, "^no scenario 'x'$"),
        ("failed", Failed, "^no slaves$"),
        ("defect", Failed, "defect in the node.*ZeroDivisionError: division by zero"),
        ("object", Failed, "defect in the node.*TypeError"),
    ],
)
async def test_errors_arrive_and_the_connection_stays(
    served: Server, path: Path, op: str, kind: type[Exception], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "amoc.console")

    def use() -> None:
        with Connection(path) as connection:
            with pytest.raises(kind, match=text):
                connection.call(op)
            assert connection.call("echo") == [[], {}]

    await asyncio.to_thread(use)


async def test_a_defect_is_in_the_log_with_its_traceback(
    served: Server, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = await Raw.connect(path)
    await raw.read()
    await raw.send(b'{"id":1,"op":"defect"}\n')
    assert (await raw.read())["error"]["kind"] == "Internal"
    assert caplog.records[0].exc_info is not None
    await raw.close()


async def test_a_long_request_holds_nobody_up(served: Server, node: Node, path: Path) -> None:
    raw = await Raw.connect(path)
    await raw.read()
    await raw.send(b'{"id":1,"op":"wait"}\n{"id":2,"op":"echo"}\n')
    assert (await raw.read())["id"] == 2
    node.release.set()
    assert await raw.read() == {"id": 1, "ok": "waited"}
    await raw.close()


async def test_a_request_goes_on_without_its_console(served: Server, node: Node, path: Path) -> None:
    raw = await Raw.connect(path)
    await raw.read()
    await raw.send(b'{"id":1,"op":"wait"}\n{"id":2,"op":"echo"}\n')
    await raw.read()
    await raw.close()
    await until(lambda: "0 consoles, 1 requests" in repr(served))
    node.release.set()
    await until(lambda: node.finished == ["wait"])


async def test_no_more_requests_at_a_time_than_the_limit(served: Server, node: Node, path: Path) -> None:
    raw = await Raw.connect(path)
    await raw.read()
    total = server_module.REQUESTS + 5
    await raw.send(b"".join(b'{"id":%d,"op":"wait"}\n' % number for number in range(total)))
    await until(lambda: f"{server_module.REQUESTS} requests" in repr(served))
    node.release.set()
    assert sorted([(await raw.read())["id"] for _ in range(total)]) == list(range(total))
    await raw.close()


@pytest.mark.parametrize(
    ("line", "farewell"),
    [
        (b"GET / HTTP/1.1\r\n", "not a message"),
        (b"x" * (REQUEST_LIMIT + 2) + b"\n", "more than 1048576 bytes"),
        (b'{"id":1}\n', "not a message"),
    ],
)
async def test_a_peer_that_speaks_something_else_is_sent_away(
    served: Server, path: Path, line: bytes, farewell: str
) -> None:
    raw = await Raw.connect(path)
    await raw.read()
    await raw.send(line)
    assert farewell in (await raw.read())["bye"]
    assert await raw.read() == {}
    await raw.close()


async def test_a_reply_over_the_limit_is_an_error(served: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REPLY_LIMIT", 1000)

    def use() -> None:
        with Connection(path) as connection:
            assert connection.call("big", [900]) == "x" * 900
            with pytest.raises(Failed, match=r"the reply has .* the limit is 1000"):
                connection.call("big", [1000])

    await asyncio.to_thread(use)


async def test_events_come_as_they_happen_until_the_console_leaves(served: Server, node: Node, path: Path) -> None:
    raw = await Raw.connect(path)
    await raw.read()
    await raw.send(b'{"id":1,"op":"events.subscribe"}\n')
    assert await raw.read() == {"id": 1, "ok": True}
    node.publish(1)
    assert (await raw.read())["event"]["number"] == 1
    await raw.close()
    await until(lambda: not node.callbacks)


async def test_a_slow_console_loses_log_lines_and_is_told_how_many(served: Server, node: Node, path: Path) -> None:
    slow, quick = await Raw.connect(path), await Raw.connect(path)
    for raw in (slow, quick):
        await raw.read()
        await raw.send(b'{"id":1,"op":"events.subscribe"}\n')
        await raw.read()
    total = 2000
    seen = 0
    for number in range(total):
        node.publish(number)
        if number % 50 == 49:  # the node's loop runs, and the quick console keeps up
            while seen <= number:
                assert (await quick.read())["event"]["number"] == seen
                seen += 1
    node.publish(total, kind="worker")
    numbers, lost = [], 0
    while not lost:
        event = (await slow.read())["event"]
        if event["event"] == "lost":
            lost = int(event["text"].split()[0])
        else:
            numbers.append(event["number"])
    assert lost > 0
    assert numbers == sorted(numbers)
    assert numbers[-1] == total, "what matters more than a log line is not lost"
    assert len(numbers) + lost == total + 1
    await slow.close()
    await quick.close()


async def test_a_long_event_is_cut(served: Server, node: Node, path: Path) -> None:
    raw = await Raw.connect(path)
    await raw.read()
    await raw.send(b'{"id":1,"op":"events.subscribe"}\n')
    await raw.read()
    node.callbacks[0]({"event": "log", "text": "y" * 100_000})
    text = (await raw.read())["event"]["text"]
    assert len(text) < 17_000
    assert text.endswith("(100000 characters)")
    await raw.close()


async def test_too_many_consoles_are_refused(served: Server, path: Path) -> None:
    consoles = [await Raw.connect(path) for _ in range(server_module.CONSOLES)]
    for raw in consoles:
        assert "hello" in await raw.read()

    def one_more() -> None:
        with pytest.raises(NodeGone, match=f"{server_module.CONSOLES} consoles already, close one"):
            Connection(path)

    await asyncio.to_thread(one_more)
    for raw in consoles:
        await raw.close()


async def test_another_user_is_refused_whatever_the_files_mode_is(
    served: Server, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # `path` may be relative to where this test began
    tmp_path.chmod(0o755)
    (tmp_path / path.name).chmod(0o666)
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(65534)
    else:  # only root can be somebody else; so the node is
        monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    try:
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(path.name)
    finally:
        os.seteuid(mine)
    raw = Raw(*await asyncio.open_unix_connection(sock=peer))
    assert re.fullmatch(r"user \d+ may not control this node", (await raw.read())["bye"])
    assert await raw.read() == {}
    await raw.close()


async def test_the_end_of_the_node_is_told(node: Node, path: Path, tmp_path: Path) -> None:
    ends: list[str | None] = []
    listener = NodeDir(tmp_path).listen()
    async with serve(listener, call=node.call, subscribe=node.subscribe, hello=HELLO) as server:
        connection = await asyncio.to_thread(lambda: Connection(path, on_end=ends.append))
        call = asyncio.create_task(asyncio.to_thread(connection.call, "wait"))
        await until(lambda: "1 requests" in repr(server))
        node.release.set()
        server.farewell = "it was stopped"
    assert await call == "waited"
    await until(lambda: connection.ended)
    await until(lambda: ends == ["it was stopped"])
    with pytest.raises(NodeGone):
        connection.call("echo")
    await asyncio.to_thread(connection.close)


async def test_a_call_ends_when_the_node_does(tmp_path: Path) -> None:
    """A node that is killed: the connection ends without a farewell."""
    ends: list[str | None] = []
    with NodeDir(tmp_path).listen() as listener:
        listener.setblocking(True)

        def die() -> None:
            peer = listener.accept()[0]
            with peer:
                peer.sendall(b'{"hello":{"protocol":1,"version":"0.1.0","pid":1}}\n')
                peer.recv(100)

        dying = asyncio.create_task(asyncio.to_thread(die))
        connection = await asyncio.to_thread(lambda: Connection(NodeDir(tmp_path).socket_path, on_end=ends.append))
        with pytest.raises(NodeGone, match="before it answered"):
            await asyncio.to_thread(connection.call, "echo")
        await dying
        await until(lambda: ends == [None])
        await asyncio.to_thread(connection.close)


@pytest.mark.parametrize(
    ("greeting", "text"),
    [
        (b"", "hung up without a greeting"),
        (b"220 mail.example.org ESMTP\n", "not a message"),
        (b'{"id":1}\n', "not a node's socket"),
        (b'{"hello":{"protocol":99,"version":"9","pid":7}}\n', "pid 7.*amoc 9.*another protocol"),
    ],
)
def test_something_else_behind_the_socket_is_named(tmp_path: Path, greeting: bytes, text: str) -> None:
    with NodeDir(tmp_path).listen() as listener:
        listener.setblocking(True)
        with socket.socket(socket.AF_UNIX) as early:
            early.connect(str(NodeDir(tmp_path).socket_path))
            early.close()

        def greet() -> None:
            listener.accept()[0].close()
            with listener.accept()[0] as peer:
                peer.sendall(greeting)

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(Failed, match=text):
            Connection(NodeDir(tmp_path).socket_path)
        thread.join()


def test_a_node_that_hangs_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "GREETING_TIMEOUT", 0.05)
    with NodeDir(tmp_path).listen(), pytest.raises(NodeGone, match="does not greet: timed out"):
        Connection(NodeDir(tmp_path).socket_path)


def test_no_node_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NoNode, match="no node listens"):
        Connection(tmp_path / "node.sock")
    NodeDir(tmp_path).listen().close()
    with pytest.raises(NoNode, match="no node listens"):
        Connection(tmp_path / "node.sock")


async def test_arguments_that_are_no_data_change_nothing(served: Server, path: Path) -> None:
    def use() -> None:
        with Connection(path) as connection:
            with pytest.raises(BadInput, match=r"echo: an argument cannot be sent"):
                connection.call("echo", [object()])
            with pytest.raises(BadInput, match=r"echo: the arguments have 20000\d\d bytes, the limit is"):
                connection.call("echo", ["x" * 2_000_000])
            assert connection.call("echo") == [[], {}]

    await asyncio.to_thread(use)


async def test_a_call_gives_up_after_its_timeout(served: Server, node: Node, path: Path) -> None:
    def use() -> None:
        with Connection(path) as connection:
            with pytest.raises(Failed, match=r"not answered wait for 0.05 s"):
                connection.call("wait", timeout=0.05)
            assert connection.call("echo") == [[], {}]

    await asyncio.to_thread(use)
    node.release.set()
