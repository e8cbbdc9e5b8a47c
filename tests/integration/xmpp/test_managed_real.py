"""Stream management against ejabberd and Prosody: sessions that are killed and resumed lose and double nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from amoc import metrics
from amoc.config import Config
from amoc.xmpp import Client, Disconnected, Element, connect, reconnect
from tests.support.servers import Server

PING = Element("{urn:xmpp:ping}ping")
COUNTERS = ("acknowledged", "lost", "resent", "resumed", "refused")


def counts() -> dict[str, int]:
    """The counters of stream management that are not zero."""
    counters = metrics.current().flush().counters
    return {name: counters[f"xmpp.sm.{name}"] for name in COUNTERS if counters.get(f"xmpp.sm.{name}")}


async def bodies(client: Client, number: int) -> list[str]:
    return [(await client.receive("message", timeout=30)).findtext("body", default="") for _ in range(number)]


async def nothing_more(client: Client) -> None:
    """What the server has sent before the answer is there by then."""
    await client.iq("get", None, PING)
    with pytest.raises(TimeoutError):
        await client.receive("message", timeout=0)


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


@pytest.mark.parametrize("tls", ["required", "never"])
async def test_a_killed_session_goes_on(server: Server, settings: Config, tls: str) -> None:
    settings.set_all({"xmpp_tls": tls, "xmpp_ca_file": str(server.authority)})
    before = server.counts()
    async with connect(203) as one, connect(204) as two:
        jid = one.jid
        for turn in range(3):
            base = turn * 100
            for number in range(40):
                one.send_message(two.jid, str(base + number))
            await one.iq("get", None, PING)  # these 40 have arrived, most of them unacknowledged
            for number in range(40, 100):
                one.send_message(two.jid, str(base + number))
            one.kill()  # and these 60 have not left
            for number in range(50):
                two.send_message(jid, str(number))
            await two.acknowledged()
            assert await one.resume() is True
            assert one.jid == jid
            assert await bodies(two, 100) == [str(base + number) for number in range(100)]
            assert await bodies(one, 50) == [str(number) for number in range(50)]
        await one.acknowledged()
        await nothing_more(one)
        await nothing_more(two)
        assert one.management is not None
        sent = 300 + 3 + 1  # messages and pings
        await one.acknowledged()
        assert one.management.acknowledged == sent
    seen = counts()
    assert seen.pop("resent") >= 180
    assert seen == {"resumed": 3, "acknowledged": sent + 150 + 1}
    counted = await server.until(lambda now: (now - before).closed == (now - before).opened)
    assert (counted - before).messages_in == 450


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


async def test_a_session_on_both_sides_of_traffic_is_cut_at_any_time(
    accounts: Callable[..., None], server: Server
) -> None:
    accounts(207, 208)
    async with connect(207) as one, connect(208) as two:
        number = 0
        for turn in range(15):
            for _ in range(20):
                one.send_message(two.jid, str(number))
                two.send_message(one.jid, str(number))
                number += 1
                if number % 7 == 0:
                    await asyncio.sleep(0)
            for _ in range(turn):
                await asyncio.sleep(0.0005)
            (one if turn % 2 else two).kill()
            assert await (one if turn % 2 else two).resume()
        for client in (one, two):
            got = await bodies(client, number)
            if server.name == "ejabberd":  # it routes again what was on its way to the old connection: in any order
                got.sort(key=int)
            assert got == [str(sent) for sent in range(number)]
            await client.acknowledged()
            await nothing_more(client)
    assert "lost" not in counts()


async def test_a_session_that_was_ended_cannot_be_resumed(server: Server) -> None:
    async with connect(209) as one:
        one.send_message("user_210@localhost", "x", type="headline")
        assert one.management is not None
        ident = one.management.ident
        await one.close()
        one.management.ident = ident  # as if it did not know
        assert await one.resume() is False
        assert one.management.ident not in ("", ident)
        assert (await one.iq("get", None, PING)).get("type") == "result"
    assert counts()["refused"] == 1


async def test_on_without_resume(accounts: Callable[..., None]) -> None:
    accounts(211)  # ejabberd removes an anonymous user who has gone, and with it the one who has come back meanwhile
    async with connect(211, stream_management="on") as one:
        for _ in range(5):
            one.send_message(one.jid, "x")
        await one.acknowledged()
        one.send_message(one.jid, "y")
        one.kill()
        assert await one.resume() is False
    assert counts() == {"acknowledged": 5, "lost": 1}


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


@pytest.mark.parametrize(("by", "interval"), [("whitespace", 0.02), ("ping", 1.0)])
async def test_signs_of_life(server: Server, by: str, interval: float) -> None:
    async with connect(214, keepalive=interval, keepalive_by=by) as client:
        with pytest.raises(TimeoutError):
            await client.receive("message", timeout=2.5 * interval)
        assert client.connected
        assert (await client.iq("get", None, PING)).get("type") == "result"
