"""Ping and service discovery against real servers."""

import pytest

from amoc.xmpp import IqError, connect
from amoc.xmpp.ext import disco, ping
from tests.support.servers import Server

pytestmark = pytest.mark.usefixtures("settings")


async def test_ping(server: Server) -> None:
    async with connect(201) as one, connect(202) as two:
        assert 0 < await ping.ping(one) < 5
        assert 0 < await ping.ping(one, "localhost") < 5
        assert 0 < await ping.ping(one, two.jid) < 5
        with pytest.raises(IqError):
            await ping.ping(one, "user_203@localhost/nowhere")


async def test_the_server_says_what_it_is(server: Server) -> None:
    async with connect(201) as client:
        info = await disco.info(client, "localhost")
        assert info.is_a("server", "im")
        assert {disco.INFO, disco.ITEMS, "urn:xmpp:ping"} <= info.features
        assert "conference.localhost" in {item.jid for item in await disco.items(client, "localhost")}
        assert await disco.find_service(client, "localhost", "conference", "text") == "conference.localhost"
        assert await disco.find_service(client, "localhost", "no such thing") is None
        with pytest.raises(IqError, match="item-not-found"):
            await disco.info(client, "localhost", "no such node")


async def test_a_server_asks_what_stands_behind_a_hash(server: Server) -> None:
    me = disco.Info.of([disco.Identity("client", "bot", "amoc")], ["urn:xmpp:ping"])
    async with connect(201) as one, connect(202) as two:
        two.on("iq", lambda stanza: two.send(disco.answer(stanza, me)) if disco.is_request(stanza) else None)
        two.send(f"<presence>{disco.caps(me, 'urn:amoc:test')}</presence>")
        presence = await two.receive("presence", timeout=30)
        c = presence.find("c", disco.CAPS)
        assert c is not None
        node = f"{c.get('node')}#{c.get('ver')}"
        info = await disco.info(one, two.jid, node)
        assert info == me
        assert disco.verification(info) == c.get("ver")
