"""The roster: what is sent and read, whose pushes count, and how subscriptions end."""

import asyncio

import pytest

from amoc.xmpp import IqError, ReceiveTimeout, StanzaError, connect
from amoc.xmpp.ext import roster
from amoc.xmpp.ext.session import BadAnswer
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

ASK = "<iq type='get' id='*'><query xmlns='jabber:iq:roster'{}/></iq>"
PUSH = (
    "<iq type='set' id='p1'{}><query xmlns='jabber:iq:roster' ver='v2'>"
    "<item jid='a@b' subscription='remove'/></query></iq>"
)


async def test_get(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        empty = await roster.get(client)
        assert empty is not None
        assert empty.contacts == {}
        played = replay(
            embedded,
            [
                ASK.format(" ver=''"),
                "> <iq type='result' id='*'><query xmlns='jabber:iq:roster' ver='v1'>"
                "<item jid='a@b' name='A &amp; B' subscription='both'><group>crows</group><group>friends</group></item>"
                "<item jid='c@d' ask='subscribe' approved='true'/></query></iq>",
                ASK.format(" ver='v1'"),
                "> <iq type='result' id='*'/>",
            ],
        )
        got = await roster.get(client, "")
        assert got is not None
        assert got.version == "v1"
        assert got.contacts == {
            "a@b": roster.Contact("a@b", "A & B", "both", False, False, ("crows", "friends")),
            "c@d": roster.Contact("c@d", "", "none", True, True, ()),
        }
        assert await roster.get(client, "v1") is None
        played.done()


async def test_an_answer_without_a_roster(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        replay(embedded, [ASK.format(""), "> <iq type='result' id='*'/>"])
        with pytest.raises(BadAnswer, match="no <query xmlns='jabber:iq:roster'/>"):
            await roster.get(client)


async def test_set_and_remove(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with pytest.raises(IqError, match="service-unavailable"):
            await roster.set(client, "a@b")
        played = replay(
            embedded,
            [
                "<iq type='set' id='*'><query xmlns='jabber:iq:roster'><item jid='a@b' name='&lt;A&gt;'>"
                "<group>x</group><group>y</group></item></query></iq>",
                "> <iq type='result' id='*'/>",
                "<iq type='set' id='*'><query xmlns='jabber:iq:roster'>"
                "<item jid='a@b' subscription='remove'/></query></iq>",
                "> <iq type='result' id='*'/>",
            ],
        )
        await roster.set(client, "a@b", name="<A>", groups=["x", "y"])
        await roster.remove(client, "a@b")
        played.done()


@pytest.mark.parametrize("sender", ["", " from='$ACCOUNT'"])
async def test_a_push_is_acknowledged(embedded: EmbeddedServer, sender: str) -> None:
    async with connect(1) as client:
        played = replay(
            embedded,
            ["<presence/>", "> " + PUSH.format(sender), "<iq type='result' id='p1'/>"],
        )
        client.send_presence()
        push = await roster.next_push(client, timeout=5)
        assert push == roster.Push(roster.Contact("a@b", "", "remove", False, False, ()), "v2")
        async with asyncio.timeout(30):
            while played.lines:
                await asyncio.sleep(0.001)
        played.done()


async def test_pushes_of_strangers_do_not_count(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        for sender in ("user_2@localhost", "user_1@localhost/other", "localhost"):
            assert roster.parse_push(client, xml(PUSH.format(f" from='{sender}'"))) is None
        for other in (
            ASK.format(""),
            "<iq type='set'><query xmlns='jabber:iq:roster'/></iq>",
            "<iq type='set'/>",
            "<message/>",
        ):
            assert roster.parse_push(client, xml(other)) is None
        with pytest.raises(ReceiveTimeout):
            await roster.next_push(client, timeout=0.01)


async def test_two_users_subscribe(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        asking = asyncio.create_task(roster.subscribe(one, "user_2@localhost/any", timeout=5))
        assert await roster.next_request(two, timeout=5) == "user_1@localhost"
        roster.allow(two, "user_1@localhost")
        await asking
        asking = asyncio.create_task(roster.subscribe(one, "user_2@localhost", timeout=5))
        roster.refuse(two, await roster.next_request(two, timeout=5))
        with pytest.raises(roster.SubscriptionRefused, match=r"^user 1 .*user_2@localhost refused the subscription"):
            await asking


async def test_a_subscription_to_nobody(embedded: EmbeddedServer) -> None:
    error = "<error type='cancel'><remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    async with connect(1) as client:
        replay(
            embedded,
            [
                "<presence to='a@b.example' type='subscribe'/>",
                "> <presence from='other@b.example' type='subscribed'/>",
                f"> <presence from='a@b.example' type='error'>{error}</presence>",
                "<presence to='a@b.example' type='subscribe'/>",
            ],
        )
        with pytest.raises(StanzaError, match=r"^user 1 .*remote-server-not-found"):
            await roster.subscribe(client, "a@b.example", timeout=5)
        with pytest.raises(ReceiveTimeout):
            await roster.subscribe(client, "a@b.example", timeout=0.01)
