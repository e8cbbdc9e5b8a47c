"""Stream management over every transport: sessions that are killed and resumed lose and double nothing.

What the servers make of it (ejabberd 23.01, Prosody 0.12) is not the same on each, and is said in docs/xmpp.md:

* ejabberd over WebSocket: a message for a session whose connection is cut may hold up its resumption for 15 seconds.
* ejabberd over BOSH: such a message is delivered by the resumption, and once more when the old connection times out.
* Prosody over BOSH: acknowledges, but fails when a session is to be resumed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from amoc.config import Config
from amoc.xmpp import ConnectFailed, connect
from tests.integration.xmpp.managed import PING, STALL, bodies, counts, nothing_more
from tests.support.servers import Ejabberd, Prosody, Server

TLS = {"tcp": "never", "starttls": "required"}  # xmpp_tls, by transport
Kind = type[Ejabberd] | type[Prosody]


def on(*pairs: tuple[Kind, str]) -> pytest.MarkDecorator:
    """The test runs with each of these servers, over that transport."""
    chosen = [
        pytest.param(kind, scheme, marks=getattr(pytest.mark, kind.name), id=f"{kind.name}-{scheme}")
        for kind, scheme in pairs
    ]
    return pytest.mark.parametrize(("server", "scheme"), chosen, indirect=True)


FAULTLESS: list[tuple[Kind, str]] = [
    *((kind, scheme) for kind in (Ejabberd, Prosody) for scheme in ("tcp", "starttls", "tls")),
    *((Prosody, scheme) for scheme in ("ws", "wss")),
]
EJABBERD: list[tuple[Kind, str]] = [(Ejabberd, "ws"), (Ejabberd, "wss"), (Ejabberd, "http"), (Ejabberd, "https")]
PROSODY_BOSH: list[tuple[Kind, str]] = [(Prosody, "http"), (Prosody, "https")]


@pytest.fixture
async def scheme(request: pytest.FixtureRequest, server: Server, settings: Config) -> AsyncIterator[str]:
    """Clients come on this transport, with sessions that can be resumed; none is left to the server."""
    chosen: str = request.param
    settings.set_all(
        {
            "xmpp_servers": [server.address if chosen in TLS else server.url(chosen)],
            "xmpp_tls": TLS.get(chosen, "optional"),
            "xmpp_ca_file": str(server.authority),
            "xmpp_stream_management": "resume",
            "xmpp_login_timeout": STALL,
            "xmpp_close_timeout": STALL,
        }
    )
    yield chosen
    await server.until(lambda now: now.sessions == 0, timeout=3 * STALL)


@on(*FAULTLESS, *EJABBERD, *PROSODY_BOSH)
async def test_every_stanza_is_acknowledged(server: Server, scheme: str) -> None:
    async with connect(402, stream_management="on") as two, connect(401, stream_management="on") as one:
        for number in range(150):
            one.send_message(two.jid, str(number))
        await one.acknowledged()
        assert await bodies(two, 150) == [str(number) for number in range(150)]
        assert two.management is not None
        assert two.management.handled >= 150
        one.send_message("user_401@localhost", "asked for with the goodbye", type="headline")
    assert counts() == {"acknowledged": 151}


@on(*FAULTLESS)
async def test_a_killed_session_goes_on(server: Server, scheme: str) -> None:
    before = server.counts()
    async with connect(403) as one, connect(404) as two:
        jid = one.jid
        for turn in range(3):
            base = turn * 100
            for number in range(40):
                one.send_message(two.jid, str(base + number))
            await one.iq("get", None, PING)  # these 40 have arrived
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
        await nothing_more(one)
        await nothing_more(two)
        await one.acknowledged()
        assert one.management is not None
        assert one.management.acknowledged == 300 + 3 + 1
    seen = counts()
    assert seen.pop("resent") >= 180
    assert seen == {"resumed": 3, "acknowledged": 304 + 150 + 1}
    counted = await server.until(lambda now: (now - before).closed == (now - before).opened)
    assert (counted - before).messages_in == 450


@on(*FAULTLESS)
async def test_a_session_with_traffic_both_ways_is_cut_at_any_time(
    accounts: Callable[..., None], server: Server, scheme: str
) -> None:
    accounts(405, 406)
    async with connect(405) as one, connect(406) as two:
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


@on(*FAULTLESS, *EJABBERD)
async def test_what_has_not_left_is_sent_after_the_resumption(server: Server, scheme: str) -> None:
    """Nobody writes to the session while it is cut."""
    async with connect(410) as one, connect(411) as two:
        for turn in range(3):
            base = turn * 100
            for number in range(40):
                one.send_message(two.jid, str(base + number))
            await one.iq("get", None, PING)
            await one.acknowledged()
            for number in range(40, 100):
                one.send_message(two.jid, str(base + number))
            one.kill()
            assert await one.resume() is True
            assert await bodies(two, 100) == [str(base + number) for number in range(100)]
            two.send_message(one.jid, str(turn))
            assert await bodies(one, 1) == [str(turn)]
        await nothing_more(one)
        await nothing_more(two)
    seen = counts()
    assert seen == {"resumed": 3, "resent": 180, "acknowledged": 300 + 3 + 1 + 3 + 1}


@on((Ejabberd, "ws"), (Ejabberd, "wss"))
async def test_what_the_client_has_not_read_comes_after_the_resumption(server: Server, scheme: str) -> None:
    before = server.counts()
    async with connect(412) as one, connect(413) as two:
        assert one._connection is not None
        assert one._connection.transport is not None
        one._connection.transport.pause_reading()
        for number in range(100):
            two.send_message(one.jid, str(number))
        await server.until(lambda now: (now - before).messages_out == 100)
        one.kill()
        assert await one.resume()
        assert await bodies(one, 100) == [str(number) for number in range(100)]
        await nothing_more(one)


@on((Ejabberd, "http"), (Ejabberd, "https"))
async def test_ejabberd_delivers_over_bosh_at_least_once(server: Server, scheme: str) -> None:
    async with connect(414) as one, connect(415) as two:
        one.kill()
        for number in range(50):
            two.send_message(one.jid, str(number))
        await two.acknowledged()
        assert await one.resume()
        got: set[str] = set()
        while len(got) < 50:  # it routes them again: in any order
            got.update(await bodies(one, 1))
        assert got == {str(number) for number in range(50)}


@on(*FAULTLESS, *EJABBERD)
async def test_a_session_that_was_ended_cannot_be_resumed(
    accounts: Callable[..., None], server: Server, scheme: str
) -> None:
    accounts(407)  # ejabberd removes an anonymous user who has gone, and with it the one who has come back meanwhile
    async with connect(407) as one:
        assert one.management is not None
        ident = one.management.ident
        await one.close()
        one.management.ident = ident  # as if it did not know
        assert await one.resume() is False
        assert one.management.ident not in ("", ident)
        assert (await one.iq("get", None, PING)).get("type") == "result"
    assert counts()["refused"] == 1


@on(*FAULTLESS, *EJABBERD, *PROSODY_BOSH)
async def test_on_without_resume(accounts: Callable[..., None], server: Server, scheme: str) -> None:
    accounts(408)
    async with connect(408, stream_management="on") as one:
        for _ in range(5):
            one.send_message(one.jid, "x")
        await one.acknowledged()
        assert await bodies(one, 5) == ["x"] * 5
        one.send_message(one.jid, "y")
        one.kill()
        if scheme in ("ws", "wss"):  # ejabberd would want to tell the old connection that there is a new one
            await server.until(lambda now: now.sessions == 0, timeout=STALL)
        assert await one.resume() is False
    assert counts() == {"acknowledged": 5, "lost": 1}


@on((Prosody, "http"))
async def test_prosody_fails_to_resume_over_bosh(server: Server, scheme: str, tmp_path: Path) -> None:
    with Prosody(tmp_path) as own:  # it would keep the session for a minute
        one = await connect(409, servers=[own.url(scheme)], login_timeout=10.0)
        one.send_message(one.jid, "x")
        await one.acknowledged()
        one.kill()
        with pytest.raises(ConnectFailed, match=r"user 409 .* failed at step resume: not done within 10 s"):
            await one.resume()
        assert not one.connected
    assert counts() == {"acknowledged": 1}
