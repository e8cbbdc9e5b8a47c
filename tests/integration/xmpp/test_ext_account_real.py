"""Blocking, vCards, private storage, client states, version and time on ejabberd and Prosody."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from amoc.xmpp import Element, IqError, ReceiveTimeout, bare, connect
from amoc.xmpp.ext import blocking, chat_states, csi, ping, private, time, vcard, version
from amoc.xmpp.ext.blocking import Change
from amoc.xmpp.ext.vcard import VCard
from tests.support.servers import Server

pytestmark = pytest.mark.usefixtures("settings")


async def test_blocking(server: Server) -> None:
    async with (
        connect(401, resource="tree") as tree,
        connect(401, resource="ground") as ground,
        connect(402) as raven,
    ):
        tree.ignore("presence")
        tree.send_presence()
        assert await blocking.blocked(ground) == frozenset()
        change, _ = await asyncio.gather(
            blocking.next_change(ground, timeout=30),
            blocking.block(tree, bare(raven.jid), "example.org"),
        )
        assert change == Change("block", frozenset({bare(raven.jid), "example.org"}))
        assert await blocking.blocked(tree) == {bare(raven.jid), "example.org"}

        raven.send_message(tree.jid, "nevermore")
        await ping.ping(raven)  # the server has had the message before tree unblocks anybody
        tree.send_message(raven.jid, "speak")
        error = await tree.receive("message", timeout=30)  # raven's never comes
        assert error.get("type") == "error"
        assert blocking.was_blocked(error) == (server.name == "prosody")  # ejabberd says it in words only

        await blocking.unblock(tree, bare(raven.jid))
        assert await blocking.blocked(tree) == {"example.org"}
        raven.send_message(tree.jid, "nevermore again")
        assert (await tree.receive("message", timeout=30)).findtext("body") == "nevermore again"
        await blocking.unblock(tree)
        assert await blocking.blocked(tree) == frozenset()


async def test_vcards(server: Server, accounts: Callable[..., None]) -> None:
    accounts(403, 404)
    card = VCard(
        full_name="A <Crow>",
        nickname="crow",
        email="crow@example.org",
        url="https://example.org/crow",
        birthday="2020-02-29",
        photo=bytes(range(256)),
        photo_type="image/png",
    )
    async with connect(403) as crow, connect(404) as raven:
        await vcard.publish(crow, card)
        for found in (await vcard.fetch(crow), await vcard.fetch(raven, bare(crow.jid))):
            assert (found.full_name, found.nickname, found.email) == ("A <Crow>", "crow", "crow@example.org")
            assert (found.url, found.birthday) == (card.url, card.birthday)
            assert (found.photo, found.photo_type) == (card.photo, card.photo_type)
        assert (await vcard.fetch(crow, bare(raven.jid))).full_name == ""  # there is none
        with pytest.raises(IqError) as refused:
            await vcard.fetch(crow, raven.jid)  # the client itself is asked, and knows nothing of vCards
        assert refused.value.condition == "service-unavailable"


async def test_private_storage(server: Server, accounts: Callable[..., None]) -> None:
    accounts(405)
    ns = "urn:example:notes"
    async with connect(405) as crow:
        await private.store(crow, Element(f"{{{ns}}}notes", Element("note", "buy nuts & <things>")))
        notes = await private.fetch(crow, "notes", ns)
        assert notes == Element(f"{{{ns}}}notes", Element(f"{{{ns}}}note", "buy nuts & <things>"))
        assert await private.fetch(crow, "notes", "urn:example:nothing") == Element("{urn:example:nothing}notes")


async def test_a_client_that_nobody_looks_at(server: Server) -> None:
    async with connect(407) as crow, connect(408) as raven:
        crow.send_presence()
        await crow.receive("presence", timeout=30)
        crow.send(csi.INACTIVE)
        async with asyncio.timeout(30):
            while True:  # until the server has heard that nobody looks
                raven.send(chat_states.state(crow.jid, "composing"))
                try:
                    await crow.receive("message", timeout=0.2)
                except ReceiveTimeout:
                    break
        crow.send(csi.ACTIVE)
        assert chat_states.parse(await crow.receive("message", timeout=30)) == "composing"


async def test_version_and_time(server: Server) -> None:
    async with connect(409) as crow, connect(410) as raven:
        found = await version.version(crow, "localhost")
        assert found.name.lower() == server.name
        assert found.version
        clock = await time.time(crow, "localhost")
        assert abs(clock.utc - datetime.now(UTC)) < timedelta(seconds=5)
        assert abs(clock.offset) <= timedelta(hours=14)

        def answer(stanza: Element) -> None:
            if version.is_request(stanza):
                raven.send(version.answer(stanza, version.Version("amoc", "0.1.0", "Linux")))
            elif time.is_request(stanza):
                raven.send(time.answer(stanza, datetime.now(UTC)))

        raven.on("iq", answer)
        assert await version.version(crow, raven.jid) == version.Version("amoc", "0.1.0", "Linux")
        assert abs((await time.time(crow, raven.jid)).utc - datetime.now(UTC)) < timedelta(seconds=5)
        with pytest.raises(IqError):
            await version.version(crow, "nobody@localhost/nowhere")
