"""Archives of ejabberd and Prosody: what was said is found again, by page, peer and time; also in rooms."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from amoc.xmpp import Client, IqError, connect, jid_of
from amoc.xmpp.ext import mam, muc, muc_admin
from tests.support.servers import Server

Accounts = Callable[..., None]


def bodies(page: mam.Page) -> list[str]:
    return [archived.message.findtext("body", default="") for archived in page.messages]


async def archived(client: Client, count: int) -> mam.Page:
    """The last messages, once that many are archived: servers archive after they deliver."""
    async with asyncio.timeout(30):
        while len((page := await mam.last(client, count)).messages) < count:
            await asyncio.sleep(0.01)
    return page


async def test_what_was_said_is_found(server: Server, accounts: Accounts) -> None:
    accounts(241, 242, 243)
    began = datetime.now(UTC) - timedelta(seconds=2)
    async with connect(241) as one, connect(242) as two, connect(243) as three:
        assert (await mam.set_preferences(one, "always")).default == "always"
        assert (await mam.preferences(one)).default == "always"
        empty = await mam.query(one, max=5)
        assert (empty.messages, empty.complete) == ((), True)
        for number in range(7):
            one.send_message((two if number % 2 else three).jid, f"number {number}")
        page = await archived(one, 7)
        assert bodies(page) == [f"number {number}" for number in range(7)]
        assert page.complete
        assert page.messages[0].stamp is not None
        assert abs(page.messages[0].stamp - datetime.now(UTC)) < timedelta(seconds=10)
        assert page.messages[0].message.get("to") == three.jid
        pages = [bodies(page) async for page in mam.pages(one, max=3)]
        assert [len(bodies) for bodies in pages if bodies] == [3, 3, 1]
        assert [body for bodies in pages for body in bodies] == [f"number {number}" for number in range(7)]
        latest = await mam.last(one, 2)
        assert bodies(latest) == ["number 5", "number 6"]
        assert not latest.complete
        assert bodies(await mam.query(one, max=2, before=latest.part.first)) == ["number 3", "number 4"]
        assert bodies(await mam.query(one, with_jid=jid_of(242))) == ["number 1", "number 3", "number 5"]
        assert len((await mam.query(one, start=began)).messages) == 7
        assert (await mam.query(one, end=began)).messages == ()
        if server.name == "prosody":
            with pytest.raises(IqError):
                await mam.query(one, to=jid_of(242))
        else:  # ejabberd shows the archive of who asks instead
            assert len((await mam.query(one, to=jid_of(242))).messages) == 7


async def test_an_id_that_is_not_in_the_archive(server: Server, accounts: Accounts) -> None:
    accounts(244)
    async with connect(244) as client:
        if server.name == "prosody":
            with pytest.raises(IqError, match="item-not-found"):
                await mam.query(client, after="no-such-id")
        else:
            assert (await mam.query(client, after="no-such-id")).messages == ()


async def test_a_room_has_an_archive(server: Server, settings: object) -> None:
    room = "archive@conference.localhost"
    async with connect(245) as client:
        await muc.join(client, room, "crow")
        await muc_admin.unlock(client, room)
        for number in range(3):
            client.send(muc.message(room, f"caw {number}"))
            await client.receive(lambda stanza: stanza.find("body") is not None, timeout=30)
        async with asyncio.timeout(30):
            while True:
                found = bodies(await mam.last(client, 2, to=room))
                if found == ["caw 1", "caw 2"]:
                    break
                await asyncio.sleep(0.01)
