"""slixmpp, an independent client, on the other side of the extensions, through ejabberd and Prosody."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import slixmpp

from amoc.xmpp import Element, IqError, bare, connect
from amoc.xmpp.ext import carbons, chat_states, markers, ping, pubsub, receipts, version
from amoc.xmpp.ext.version import Version
from tests.support.servers import Server

pytestmark = pytest.mark.usefixtures("settings")

PLUGINS = ("xep_0060", "xep_0085", "xep_0092", "xep_0184", "xep_0199", "xep_0280", "xep_0333")


@asynccontextmanager
async def slix(server: Server, user_id: int, resource: str) -> AsyncIterator[Any]:
    """A slixmpp client, logged in and available."""
    client = slixmpp.ClientXMPP(f"user_{user_id}@localhost/{resource}", f"password_{user_id}", sasl_mech="PLAIN")
    client.loop = asyncio.get_running_loop()
    client.enable_direct_tls = client.enable_starttls = False
    client.enable_plaintext = True
    client.ssl_context = ssl.create_default_context()
    client.plugin["feature_mechanisms"].unencrypted_plain = True
    for plugin in PLUGINS:
        client.register_plugin(plugin)
    started = asyncio.Event()
    client.add_event_handler("session_start", lambda _: started.set())
    client.connect("127.0.0.1", server.port)
    try:
        await asyncio.wait_for(started.wait(), 30)
        client.send_presence()
        yield client
    finally:
        await asyncio.wait_for(client.disconnect(wait=1), 30)
        if client._run_out_filters is not None:  # slixmpp itself does so only in __del__
            client._run_out_filters.cancel()


def heard(client: Any, event: str) -> "asyncio.Queue[Any]":
    """What a slixmpp client hears of an event from now on."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    client.add_event_handler(event, queue.put_nowait)
    return queue


async def next_of(queue: "asyncio.Queue[Any]") -> Any:
    return await asyncio.wait_for(queue.get(), 30)


async def test_receipts_markers_and_states(server: Server) -> None:
    async with slix(server, 431, "slix") as other, connect(432) as ours:
        confirmed = heard(other, "receipt_received")
        typing, seen = heard(other, "chatstate_composing"), heard(other, "marker_displayed")

        receipt = await receipts.deliver(ours, str(other.boundjid), "did you get it?", timeout=30)
        assert receipt.get("from") == str(other.boundjid)

        asking = other.make_message(mto=ours.jid, mbody="and you?", mtype="chat")
        asking["id"] = "s1"
        asking["request_receipt"] = True
        asking.send()
        stanza = await ours.receive(receipts.wants_receipt, timeout=30)
        answer = receipts.answer(stanza)
        assert answer is not None
        ours.send(answer)
        assert (await next_of(confirmed))["receipt"] == "s1"

        ours.send(chat_states.state(str(other.boundjid), "composing"))
        assert str((await next_of(typing))["from"]) == ours.jid
        ours.send(markers.marker(str(other.boundjid), "displayed", "s1"))
        assert (await next_of(seen))["displayed"]["id"] == "s1"
        other.plugin["xep_0333"].send_marker(ours.jid, "m1", "received")
        marker = markers.parse(await ours.receive(markers.parse, timeout=30))
        assert marker == markers.Marker("received", "m1")


async def test_messages_presence_and_requests_in_both_directions(server: Server) -> None:
    async with slix(server, 436, "slix") as other, connect(437) as ours:
        theirs = str(other.boundjid)
        said, seen, gone = heard(other, "message"), heard(other, "presence"), heard(other, "presence_unavailable")
        for number in range(20):
            text = f"number {number} <&> \U0001f426"
            ours.send_message(theirs, text)
            other.send_message(mto=ours.jid, mbody=text, mtype="chat")
        for number in range(20):
            text = f"number {number} <&> \U0001f426"
            assert (await next_of(said))["body"] == text
            assert (await ours.receive("message", timeout=30)).findtext("body") == text

        ours.send_presence(to=theirs)
        while str((stanza := await next_of(seen))["from"]) != ours.jid:
            pass
        assert stanza["type"] == "available"
        other.send_presence(pto=ours.jid, pshow="away", pstatus="on the nest")
        stanza = await ours.receive("presence", timeout=30)
        assert (stanza.get("from"), stanza.findtext("show"), stanza.findtext("status")) == (
            theirs,
            "away",
            "on the nest",
        )
        ours.send_presence("unavailable", to=theirs)
        assert str((await next_of(gone))["from"]) == ours.jid

        assert await ping.ping(ours, theirs, timeout=30) > 0
        assert await other.plugin["xep_0199"].ping(ours.jid, timeout=30) > 0
        with pytest.raises(IqError, match=r"answered (feature-not-implemented|service-unavailable)"):
            await ours.iq("get", theirs, Element("{urn:example:unheard-of}query"), timeout=30)
        with pytest.raises(slixmpp.exceptions.IqError) as refused:
            await other.plugin["xep_0092"].get_version(ours.jid, timeout=30)
        assert refused.value.condition == "service-unavailable"


async def test_carbons_in_both_directions(server: Server) -> None:
    async with slix(server, 433, "slix") as twin, connect(433, resource="ours") as ours, connect(434) as third:
        ours.ignore("presence")
        ours.send_presence()
        copies = heard(twin, "carbon_sent")
        await twin.plugin["xep_0280"].enable()
        ours.send_message(third.jid, "by ours")
        copied = await next_of(copies)
        assert copied["carbon_sent"]["body"] == "by ours"

        await carbons.enable(ours)
        twin.send_message(mto=third.jid, mbody="by slixmpp", mtype="chat")
        carbon = carbons.parse(await ours.receive("message", timeout=30), ours.jid)
        assert carbon is not None
        assert carbon.direction == "sent"
        assert carbon.message.get("from") == str(twin.boundjid)
        assert carbon.message.findtext("body") == "by slixmpp"


async def test_version_and_items(server: Server) -> None:
    async with slix(server, 435, "slix") as other, connect(1) as ours:
        other.plugin["xep_0092"].software_name = "crow"
        other.plugin["xep_0092"].version = "1"
        other.plugin["xep_0092"].os = ""
        assert await version.version(ours, str(other.boundjid)) == Version("crow", "1")

        node = await pubsub.create(ours, "pubsub.localhost")
        await other.plugin["xep_0060"].subscribe("pubsub.localhost", node, subscribee=bare(str(other.boundjid)))
        published = heard(other, "pubsub_publish")
        await pubsub.publish(ours, "pubsub.localhost", node, Element("{urn:example:x}x", "caw"), id="i1")
        item = (await next_of(published))["pubsub_event"]["items"]["item"]
        assert (item["id"], item["payload"].text) == ("i1", "caw")
        await pubsub.delete(ours, "pubsub.localhost", node)
