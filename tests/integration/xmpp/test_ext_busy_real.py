"""On ejabberd and Prosody: extensions get what they wait for although handlers take everything, or it is ignored."""

import asyncio
import secrets
from collections.abc import Callable

import pytest

from amoc.xmpp import Client, Element, bare, connect, jid_of
from amoc.xmpp.ext import blocking, mam, muc, muc_admin, pep, pubsub, receipts, roster
from amoc.xmpp.ext.blocking import Change
from tests.support.servers import Server

NEWS = "urn:example:news"


def busy(client: Client) -> list[Element]:
    """Handlers of everything; messages are confirmed if their sender wants that."""
    handled: list[Element] = []

    def on_message(stanza: Element) -> None:
        handled.append(stanza)
        receipt = receipts.answer(stanza)
        if receipt is not None:
            client.send(receipt)

    def on_request(stanza: Element) -> bool:
        handled.append(stanza)
        return False  # the client answers

    client.on("message", on_message)
    client.on("presence", handled.append)
    client.on("iq", on_request)
    return handled


@pytest.mark.usefixtures("settings")
async def test_rooms_and_nodes(server: Server) -> None:
    room = f"busy-{secrets.token_hex(4)}@conference.localhost"
    node = f"busy-{secrets.token_hex(4)}"
    async with connect(511) as one, connect(512) as two:
        handled = busy(one)
        two.ignore()
        for client in (one, two):
            client.send_presence()
        assert (await muc.join(one, room, "crow")).created
        await muc_admin.unlock(one, room)
        for body in "abc":
            one.send(muc.message(room, body))
            await one.expect(muc.talk_of(room), timeout=30)
        with two.collect(muc.talk_of(room)) as talk:
            assert set((await muc.join(two, room, "magpie", history=2)).occupants) == {"crow"}
            assert [(await talk.get(timeout=30)).findtext("body") for _ in range(2)] == ["b", "c"]
        await muc.set_subject(one, room, "shiny things")
        assert (await muc.change_nick(two, room, "jackdaw")).nick == "jackdaw"
        await muc.leave(two, room, "jackdaw")
        await muc.leave(one, room, "crow")
        # what the calls waited for is not handled as well; what others did in the room is
        nicks = {stanza.get("from", "").removeprefix(room) for stanza in handled if stanza.name == "presence"}
        assert {"/magpie", "/jackdaw"} <= nicks
        assert "/crow" not in nicks
        await pubsub.create(two, None, node, {"pubsub#access_model": "open"})
        await pubsub.subscribe(one, bare(two.jid), node)
        coming = asyncio.create_task(pubsub.next_event(one, timeout=30))
        await pubsub.publish(two, None, node, Element(f"{{{NEWS}}}entry", "caw"))
        assert (await coming).node == node
        await pubsub.delete(two, None, node)


async def test_accounts(server: Server, accounts: Callable[..., None]) -> None:
    accounts(513, 514)
    node = f"urn:example:{secrets.token_hex(4)}"
    async with connect(513) as one, connect(513, resource="other") as other, connect(514) as two:
        handled = busy(one)
        two.ignore()
        for client in (one, two):
            await roster.get(client)
            await mam.set_preferences(client, "always")
        pushed = asyncio.create_task(roster.next_push(one, timeout=30))
        await asyncio.sleep(0)  # it waits now
        await roster.set(one, "crow@scram.local", name="A crow")
        assert (await pushed).contact.name == "A crow"
        one.send_presence()
        await pep.announce(two, [node])
        for asking, asked in ((two, one), (one, two)):  # ejabberd heeds presence of contacts that see the publisher
            subscribing = asyncio.create_task(roster.subscribe(asking, bare(asked.jid), timeout=30))
            assert await roster.next_request(asked, timeout=30) == bare(asking.jid)
            roster.allow(asked, bare(asking.jid))
            await subscribing
        assert not {"subscribe", "subscribed"} & {stanza.get("type") for stanza in handled}
        async with asyncio.timeout(30):  # servers tell those whose presence the publisher has been sent
            while two.jid not in {stanza.get("from") for stanza in handled}:
                await asyncio.sleep(0.01)
        news = asyncio.create_task(pep.next_news(two, timeout=30))
        await asyncio.sleep(0)
        await pep.publish(one, node, Element(f"{{{NEWS}}}entry", "cawing"))
        assert (await news).event.node == node
        receipt = await receipts.deliver(two, one.jid, "did you get it?", timeout=30)
        assert receipt.get("from") == one.jid
        async with asyncio.timeout(30):  # servers archive after they deliver
            while not (found := (await mam.query(one, with_jid=jid_of(514))).messages):
                await asyncio.sleep(0.01)
        assert found[0].message.findtext("body") == "did you get it?"
        async with asyncio.timeout(30):
            while not (await mam.last(two, 1)).messages:
                await asyncio.sleep(0.01)
        assert not any(stanza.find("result", mam.NS) for stanza in handled)
        assert await blocking.blocked(one) == frozenset()
        change, _ = await asyncio.gather(blocking.next_change(one, timeout=30), blocking.block(other, "example.org"))
        assert change == Change("block", frozenset({"example.org"}))
