"""Carbons, receipts, markers, chat states and delay between users of ejabberd and Prosody."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from amoc.xmpp import Element, ReceiveTimeout, StanzaError, connect, jid_of
from amoc.xmpp.ext import carbons, chat_states, delay, markers, receipts
from tests.support.servers import Server

pytestmark = pytest.mark.usefixtures("settings")


async def test_carbons(server: Server) -> None:
    async with (
        connect(201, resource="tree") as tree,
        connect(201, resource="ground") as ground,
        connect(202) as other,
    ):
        for client in (tree, ground, other):
            client.send_presence()
        await carbons.enable(ground)
        ground.ignore("presence")
        tree.ignore("presence")
        tree.send_message(other.jid, "I am up here")
        copied = carbons.parse(await ground.receive("message", timeout=30), ground.jid)
        assert copied is not None
        assert copied.direction == "sent"
        assert copied.message.get("to") == other.jid
        assert copied.message.findtext("body") == "I am up here"

        other.send_message(tree.jid, "I see you")
        copied = carbons.parse(await ground.receive("message", timeout=30), ground.jid)
        assert copied is not None
        assert copied.direction == "received"
        assert (copied.message.get("from"), copied.message.get("to")) == (other.jid, tree.jid)
        original = await tree.receive("message", timeout=30)
        assert carbons.parse(original, tree.jid) is None

        await carbons.disable(ground)
        tree.send_message(other.jid, "not for you, ground")
        other.send_message(ground.jid, "the next that you see")
        assert (await ground.receive("message", timeout=30)).findtext("body") == "the next that you see"


async def test_a_private_message_is_not_copied(server: Server) -> None:
    async with (
        connect(203, resource="tree") as tree,
        connect(203, resource="ground") as ground,
        connect(204) as other,
    ):
        await carbons.enable(ground)
        private = Element("message", {"to": other.jid, "type": "chat"}, Element("body", "secret"), *carbons.private())
        tree.send(private)
        assert (await other.receive("message", timeout=30)).findtext("body") == "secret"
        other.send_message(ground.jid, "the next that you see")
        assert (await ground.receive("message", timeout=30)).findtext("body") == "the next that you see"


async def test_receipts(server: Server) -> None:
    async with connect(205) as one, connect(206) as two:

        def confirm(stanza: Element) -> None:
            answer = receipts.answer(stanza)
            if answer is not None:
                two.send(answer)

        two.on("message", confirm)
        receipt = await receipts.deliver(one, two.jid, "did you get it?", timeout=30)
        assert receipt.get("from") == two.jid
        with pytest.raises(StanzaError) as refused:
            await receipts.deliver(one, "user_299@localhost", "anybody there?", timeout=30)
        assert refused.value.condition in ("service-unavailable", "recipient-unavailable")
        two.off("message")
        with pytest.raises(ReceiveTimeout):
            await receipts.deliver(one, two.jid, "say nothing", timeout=0.1)


async def test_markers_and_chat_states(server: Server) -> None:
    async with connect(207) as one, connect(208) as two:
        one.send(chat_states.state(two.jid, "composing", thread="t1"))
        assert chat_states.parse(await two.receive("message", timeout=30)) == "composing"
        one.send(chat_states.message(two.jid, "hello", "c1"))
        assert chat_states.parse(await two.receive("message", timeout=30)) == "active"
        one.send(markers.message(two.jid, "read me", "m1"))
        stanza = await two.receive("message", timeout=30)
        assert markers.is_markable(stanza)
        two.send(markers.marker(stanza.attrs["from"], "displayed", stanza.attrs["id"]))
        assert markers.parse(await one.receive("message", timeout=30)) == markers.Marker("displayed", "m1")


async def test_an_offline_message_is_delayed(server: Server, accounts: Callable[..., None]) -> None:
    accounts(209, 210)
    before = datetime.now(UTC)
    async with connect(209) as one:
        one.send_message(jid_of(210), "for later")
        await one.iq("get", None, Element("{urn:xmpp:ping}ping"))
    async with connect(210) as two:
        two.send_presence()
        stanza = await two.receive("message", timeout=30)
        assert stanza.findtext("body") == "for later"
        assert delay.is_delayed(stanza)
        found = delay.parse(stanza, by="scram.local")
        assert found is not None
        assert -1 < (found.stamp - before).total_seconds() < 10
        two.send_message(two.jid, "at once")
        assert delay.parse(await two.receive("message", timeout=30)) is None
