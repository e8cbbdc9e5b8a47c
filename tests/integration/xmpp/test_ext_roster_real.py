"""Rosters and subscriptions on real servers, with real accounts."""

import asyncio
from collections.abc import Callable

import pytest

from amoc.xmpp import Client, IqError, StanzaError, connect, jid_of
from amoc.xmpp.ext import roster
from tests.support.servers import Server

Accounts = Callable[..., None]


async def contacts(client: Client) -> dict[str, roster.Contact]:
    got = await roster.get(client)
    assert got is not None
    return dict(got.contacts)


async def test_contacts_come_change_and_go(server: Server, accounts: Accounts) -> None:
    accounts(211)
    async with connect(211) as client:
        assert await contacts(client) == {}
        pushed = asyncio.create_task(roster.next_push(client, timeout=30))
        await asyncio.sleep(0)  # it waits now
        await roster.set(client, "crow@scram.local", name="A <crow>", groups=["birds", "black"])
        push = await pushed
        assert push.contact.jid == "crow@scram.local"
        contact = (await contacts(client))["crow@scram.local"]
        assert (contact.name, contact.subscription, contact.ask) == ("A <crow>", "none", False)
        assert sorted(contact.groups) == ["birds", "black"]
        await roster.set(client, "crow@scram.local")
        assert (await contacts(client))["crow@scram.local"].groups == ()
        pushed = asyncio.create_task(roster.next_push(client, timeout=30))
        await asyncio.sleep(0)
        await roster.remove(client, "crow@scram.local")
        assert (await pushed).contact.subscription == "remove"
        assert await contacts(client) == {}
    async with connect(211) as client:
        with pytest.raises(IqError):
            await roster.set(client, "@@")


async def test_a_contact_that_is_not_there_cannot_be_removed(server: Server, accounts: Accounts) -> None:
    accounts(212)
    async with connect(212) as client:
        await roster.get(client)
        if server.name == "prosody":
            with pytest.raises(IqError, match="item-not-found"):
                await roster.remove(client, "nobody@scram.local")
        else:
            await roster.remove(client, "nobody@scram.local")  # ejabberd does not mind


async def test_two_users_see_each_other(server: Server, accounts: Accounts) -> None:
    accounts(213, 214)
    async with connect(213) as one, connect(214) as two:
        for client in (one, two):
            await roster.get(client)
            client.send_presence()
            assert (await client.receive("presence", timeout=30)).get("from") == client.jid
        asking = asyncio.create_task(roster.subscribe(one, jid_of(214), timeout=30))
        assert await roster.next_request(two, timeout=30) == jid_of(213)
        assert (await contacts(one))[jid_of(214)].ask
        roster.allow(two, jid_of(213))
        await asking
        seen = await one.receive(lambda stanza: stanza.get("from") == two.jid, timeout=30)
        assert (seen.name, seen.get("type")) == ("presence", None)
        assert (await contacts(one))[jid_of(214)].subscription == "to"
        asking = asyncio.create_task(roster.subscribe(two, jid_of(213), timeout=30))
        roster.allow(one, await roster.next_request(one, timeout=30))
        await asking
        assert (await contacts(two))[jid_of(213)].subscription == "both"
        # one does not want to be seen any more
        roster.cancel(one, jid_of(214))
        await two.receive(lambda stanza: stanza.get("type") == "unsubscribed", timeout=30)
        assert (await contacts(two))[jid_of(213)].subscription == "from"
        await roster.remove(one, jid_of(214))
        await two.receive(lambda stanza: stanza.get("type") == "unsubscribe", timeout=30)
        left = (await contacts(two)).get(jid_of(213))  # the two servers differ in whether a contact stays
        assert left is None or left.subscription == "none"


async def test_a_request_is_refused(server: Server, accounts: Accounts) -> None:
    accounts(215, 216)
    async with connect(215) as one, connect(216) as two:
        for client in (one, two):
            await roster.get(client)
            client.send_presence()
        asking = asyncio.create_task(roster.subscribe(one, jid_of(216), timeout=30))
        roster.refuse(two, await roster.next_request(two, timeout=30))
        with pytest.raises(roster.SubscriptionRefused, match=r"user_216@scram\.local refused"):
            await asking


async def test_nobody_to_subscribe_to(server: Server, accounts: Accounts) -> None:
    accounts(217)
    async with connect(217) as client:
        await roster.get(client)
        client.send_presence()
        with pytest.raises((roster.SubscriptionRefused, StanzaError)):
            await roster.subscribe(client, "user_1@elsewhere.example", timeout=30)
