"""Publish-subscribe and personal eventing on ejabberd and Prosody.

Everybody may create nodes on ejabberd; on Prosody users 1, 3 and 5.
"""

import secrets
from collections.abc import Callable

import pytest

from amoc.xmpp import Client, Element, IqError, bare, connect
from amoc.xmpp.ext import disco, pep, pubsub
from amoc.xmpp.ext.pubsub import Event, PubSubError, Subscription
from tests.support.servers import Server

pytestmark = pytest.mark.usefixtures("settings")

SERVICE = "pubsub.localhost"
NS = "urn:example:news"


def entry(text: str) -> Element:
    return Element(f"{{{NS}}}entry", text)


@pytest.fixture
def node() -> str:
    """A name of the test's own: servers keep nodes."""
    return f"news-{secrets.token_hex(4)}"


async def event(client: Client) -> Event:
    """The next event, whatever else arrives."""
    found = pubsub.parse_event(await client.receive(pubsub.parse_event, timeout=30))
    assert found is not None
    return found


def available(client: Client) -> Callable[[Element], bool]:
    """Matches the presence of a client."""
    jid = client.jid
    return lambda stanza: stanza.name == "presence" and stanza.get("from") == jid


async def test_the_life_of_a_node(server: Server, node: str) -> None:
    async with connect(1) as owner, connect(302) as reader:
        assert await pubsub.create(owner, SERVICE, node, {"pubsub#max_items": 3}) == node
        with pytest.raises(IqError) as refused:
            await pubsub.create(owner, SERVICE, node)
        assert refused.value.condition == "conflict"
        assert node in [item.node for item in await disco.items(reader, SERVICE)]

        reader.send_presence()
        subscription = await pubsub.subscribe(reader, SERVICE, node)
        assert (subscription.node, subscription.jid, subscription.state) == (node, bare(reader.jid), "subscribed")
        assert [found.node for found in await pubsub.subscriptions(reader, SERVICE)] == [node]

        id = await pubsub.publish(owner, SERVICE, node, entry("one & only"))
        published = await event(reader)
        assert (published.kind, published.node) == ("items", node)
        (item,) = published.items
        assert id in ("", item.id)
        assert item.payload == entry("one & only")

        assert await pubsub.publish(owner, SERVICE, node, entry("second"), id="i2") == "i2"
        assert [item.id for item in (await event(reader)).items] == ["i2"]
        assert {found.id for found in await pubsub.items(reader, SERVICE, node)} == {item.id, "i2"}
        assert [found.id for found in await pubsub.items(reader, SERVICE, node, max=1)] == ["i2"]
        assert [found.payload for found in await pubsub.items(reader, SERVICE, node, ids=[item.id])] == [item.payload]

        await pubsub.retract(owner, SERVICE, node, "i2")
        assert (await event(reader)).retracted == ("i2",)
        await pubsub.unsubscribe(reader, SERVICE, node, subid=subscription.subid)
        assert await pubsub.subscriptions(reader, SERVICE) == ()
        await pubsub.delete(owner, SERVICE, node)
        with pytest.raises(IqError) as refused:
            await pubsub.items(reader, SERVICE, node)
        assert refused.value.condition == "item-not-found"


async def test_settings_purge_and_the_end_of_a_node(server: Server, node: str) -> None:
    async with connect(1) as owner, connect(303) as reader:
        await pubsub.create(owner, SERVICE, node, {"pubsub#notify_delete": True})
        form = await pubsub.configuration(owner, SERVICE, node)
        assert form.get("pubsub#access_model") == "open"
        await pubsub.configure(owner, SERVICE, node, {"pubsub#max_items": 5})
        changed = await pubsub.configuration(owner, SERVICE, node)
        assert changed.get("pubsub#max_items") == "5"
        assert changed.get("pubsub#notify_delete") in ("1", "true")
        reader.send_presence()
        await pubsub.subscribe(reader, SERVICE, node)
        await pubsub.publish(owner, SERVICE, node, entry("one"))
        assert (await event(reader)).kind == "items"
        await pubsub.purge(owner, SERVICE, node)
        assert await pubsub.items(owner, SERVICE, node) == ()
        assert await event(reader) == Event("purge", node)
        await pubsub.delete(owner, SERVICE, node)
        assert await event(reader) == Event("delete", node)


async def test_affiliations(server: Server, node: str) -> None:
    async with connect(1) as owner, connect(304) as other:
        await pubsub.create(owner, SERVICE, node)
        with pytest.raises(IqError) as refused:
            await pubsub.publish(other, SERVICE, node, entry("not mine"))
        assert (refused.value.type, refused.value.condition) == ("auth", "forbidden")
        await pubsub.affiliate(owner, SERVICE, node, {bare(other.jid): "publisher"})
        found = await pubsub.affiliations(owner, SERVICE, node)
        assert found[bare(other.jid)] == "publisher"
        await pubsub.publish(other, SERVICE, node, entry("mine as well"), id="i1")
        assert [item.id for item in await pubsub.items(owner, SERVICE, node)] == ["i1"]
        with pytest.raises(IqError) as refused:
            await pubsub.delete(other, SERVICE, node)
        assert refused.value.condition == "forbidden"


async def test_refusals(server: Server, node: str) -> None:
    async with connect(305) as user:
        for call in (pubsub.items, pubsub.subscribe, pubsub.delete, pubsub.purge, pubsub.configuration):
            with pytest.raises(IqError) as refused:
                await call(user, SERVICE, node)
            assert refused.value.condition in ("item-not-found", "forbidden"), call
        if server.name == "prosody":
            with pytest.raises(IqError) as refused:
                await pubsub.create(user, SERVICE, node)
            assert refused.value.condition == "forbidden"
            return
        await pubsub.create(user, SERVICE, node)
        with pytest.raises(PubSubError) as refusal:
            await pubsub.subscribe(user, SERVICE, node, "somebody@localhost")
        assert (refusal.value.condition, refusal.value.detail) == ("bad-request", "invalid-jid")
        with pytest.raises(PubSubError) as refusal:
            await pubsub.unsubscribe(user, SERVICE, node)
        assert refusal.value.detail == "not-subscribed"


async def test_a_name_by_the_service(server: Server) -> None:
    async with connect(1) as owner:
        name = await pubsub.create(owner, SERVICE)
        assert name
        assert await pubsub.items(owner, SERVICE, name) == ()
        await pubsub.delete(owner, SERVICE, name)


async def test_pep_reaches_other_resources_and_contacts(server: Server, node: str) -> None:
    async with (
        connect(306, resource="tree") as tree,
        connect(306, resource="ground") as ground,
        connect(307) as contact,
    ):
        tree.send_presence()  # who is not available is told nothing, so that ejabberd would not know whom to tell
        await pep.announce(ground, [node])
        await pep.announce(contact, [node])
        for one, other in ((contact, ground), (ground, contact)):
            one.send_presence("subscribe", bare(other.jid))
            await other.receive(lambda stanza: stanza.get("type") == "subscribe", timeout=30)
            other.send_presence("subscribed", bare(one.jid))
            await one.receive(available(other), timeout=30)
        assert await pep.publish(tree, node, entry("cawing")) == "current"
        for client in (ground, contact):
            news = pep.parse(await client.receive(pep.parse, timeout=30))
            assert news is not None
            assert news.sender in (bare(tree.jid), "")
            assert news.event.node == node
            assert news.event.items[0].payload == entry("cawing")
        assert [item.payload for item in await pep.items(contact, bare(tree.jid), node)] == [entry("cawing")]
        await pep.retract(tree, node)
        if server.name == "prosody":  # ejabberd tells nobody that an item of an account is gone
            assert (await event(ground)).retracted == ("current",)
        assert await pep.items(tree, None, node) == ()
        await pubsub.delete(tree, None, node)


async def test_pep_is_not_for_strangers(server: Server, node: str) -> None:
    async with connect(308) as crow, connect(309) as stranger:
        await pep.publish(crow, node, entry("for friends"))
        with pytest.raises(IqError) as refused:
            await pep.items(stranger, bare(crow.jid), node)
        assert refused.value.condition in ("not-authorized", "forbidden")
        await pep.publish(crow, node + "-open", entry("for all"), options={"pubsub#access_model": "open"})
        found = await pep.items(stranger, bare(crow.jid), node + "-open")
        assert [item.payload for item in found] == [entry("for all")]
        subscription = await pubsub.subscribe(stranger, bare(crow.jid), node + "-open")
        assert subscription == Subscription(node + "-open", bare(stranger.jid), "subscribed", subscription.subid)
        with pytest.raises(PubSubError) as changed:
            await pep.publish(crow, node, entry("x"), options={"pubsub#access_model": "whitelist"})
        assert (changed.value.condition, changed.value.detail) == ("conflict", "precondition-not-met")
