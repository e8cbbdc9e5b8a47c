"""Ping: what counts as an answer, and what the answer to a ping looks like."""

import pytest

from amoc.xmpp import Element, IqError, IqTimeout, connect
from amoc.xmpp.ext import ping
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

REFUSAL = "<error type='cancel'><{} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"


async def test_the_time_of_an_answer(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        assert 0 < await ping.ping(client) < 5
        assert 0 < await ping.ping(client, "localhost") < 5


@pytest.mark.parametrize("condition", ["service-unavailable", "feature-not-implemented"])
async def test_who_refuses_is_there(embedded: EmbeddedServer, condition: str) -> None:
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                "<iq type='get' to='localhost' id='*'><ping xmlns='urn:xmpp:ping'/></iq>",
                f"> <iq type='error' from='localhost' id='*'>{REFUSAL.format(condition)}</iq>",
            ],
        )
        assert await ping.ping(client, "localhost") > 0
        played.done()


async def test_an_address_where_nobody_is(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with pytest.raises(IqError, match="service-unavailable"):
            await ping.ping(client, "user_2@localhost/nowhere")
        with pytest.raises(IqError, match="remote-server-not-found"):
            await ping.ping(client, "elsewhere.example")


async def test_no_answer(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        replay(embedded, ["<iq type='get' id='*'><ping xmlns='urn:xmpp:ping'/></iq>"])
        with pytest.raises(IqTimeout, match=r"user_1@localhost.*ping"):
            await ping.ping(client, timeout=0.05)


async def test_a_scenario_that_answers_by_itself(embedded: EmbeddedServer) -> None:
    async with connect(1) as client, connect(2) as other:
        other.on("iq", lambda stanza: other.send(ping.answer(stanza)) if ping.is_ping(stanza) else None)
        assert 0 < await ping.ping(client, other.jid) < 5


def test_what_is_a_ping() -> None:
    request = xml("<iq type='get' id='a&amp;b' from='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert ping.is_ping(request)
    assert xml(ping.answer(request)) == xml("<iq type='result' id='a&amp;b' to='localhost'/>")
    assert xml(ping.answer(Element("iq", {"id": "1"}))) == xml("<iq type='result' id='1'/>")
    for other in (
        "<iq type='set'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='get'><ping xmlns='urn:other'/></iq>",
        "<message type='get'><ping xmlns='urn:xmpp:ping'/></message>",
    ):
        assert not ping.is_ping(xml(other))
