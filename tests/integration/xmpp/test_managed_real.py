"""Managed sessions over TCP: what the server asks and could not deliver, its restart, signs of life."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amoc.config import Config
from amoc.xmpp import Disconnected, connect, reconnect
from tests.integration.xmpp.managed import PING, bodies, counts, nothing_more
from tests.support.badwire import BadWire
from tests.support.servers import Server


@pytest.fixture(autouse=True)
async def mode(server: Server, settings: Config) -> AsyncIterator[None]:
    """Sessions can be resumed, and none is left to the server by a test."""
    settings.set_all({"xmpp_stream_management": "resume", "xmpp_login_timeout": 30.0})
    yield
    await server.until(lambda now: now.sessions == 0)


async def test_every_stanza_is_acknowledged(server: Server) -> None:
    async with connect(201) as one, connect(202) as two:
        for number in range(250):
            one.send_message(two.jid, str(number))
        await one.acknowledged()
        assert await bodies(two, 250) == [str(number) for number in range(250)]
        assert one.management is not None
        assert one.management.timeout == 30
        assert two.management is not None
        assert two.management.handled >= 250
    assert counts() == {"acknowledged": 250}


async def test_what_the_server_could_not_deliver_comes_after_the_resumption(server: Server) -> None:
    async with connect(205) as one, connect(206) as two:
        assert one._connection is not None
        assert one._connection.transport is not None
        one._connection.transport.pause_reading()
        for number in range(100):
            two.send_message(one.jid, str(number))
        await two.acknowledged()
        one.kill()
        assert await one.resume()
        assert await bodies(one, 100) == [str(number) for number in range(100)]
        await nothing_more(one)


async def test_reconnect_while_the_server_restarts(server: Server, tmp_path: Path) -> None:
    with type(server)(tmp_path) as own:
        async with connect(213, servers=[own.address]) as client:
            own.process.kill()
            with pytest.raises(Disconnected):
                await client.receive("nothing of this kind")
            coming_back = asyncio.ensure_future(reconnect(client, first=0.1, longest=0.3))
            await asyncio.sleep(0)
            own.start()  # which takes longer than several tries
            assert await coming_back is False
            assert (await client.iq("get", None, PING)).get("type") == "result"


@pytest.mark.parametrize(  # an answer to a ping may take as long as the interval
    ("by", "interval", "sign"), [("whitespace", 0.02, b" "), ("ping", 3.0, b"urn:xmpp:ping")]
)
async def test_signs_of_life(server: Server, by: str, interval: float, sign: bytes) -> None:
    """They go to the server, among acknowledgements, and it does not mind them."""
    signs = 0

    def count(piece: bytes) -> bytes:
        nonlocal signs
        signs += piece == sign or (by == "ping" and sign in piece)
        return piece

    async with (
        BadWire(server.port) as wire,
        connect(214, servers=[f"127.0.0.1:{wire.port}"], keepalive=interval, keepalive_by=by) as client,
    ):
        with wire.harm(to_server=count):
            async with asyncio.timeout(60):
                while signs < 2:
                    await asyncio.sleep(0.01)
        assert client.connected
        assert (await client.iq("get", None, PING)).get("type") == "result"
