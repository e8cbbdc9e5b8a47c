"""Rooms of ejabberd and Prosody: entering, talking, leaving, ruling, and being refused."""

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from amoc.xmpp import Client, Element, IqError, StanzaError, connect
from amoc.xmpp.ext import disco, muc, muc_admin, ping
from amoc.xmpp.ext.muc import GroupMessage
from tests.support.servers import Server

pytestmark = pytest.mark.usefixtures("settings")

_numbers = itertools.count(1)


@pytest.fixture
def room() -> str:
    return f"nest-{next(_numbers)}@conference.localhost"


@asynccontextmanager
async def users(*ids: int) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connect(user)) for user in ids]


async def next_talk(client: Client) -> GroupMessage:
    """The next groupchat message that has a body."""
    stanza = await client.receive(lambda s: s.get("type") == "groupchat" and s.find("body") is not None, timeout=30)
    talk = muc.parse_message(stanza)
    assert talk is not None
    return talk


async def next_gone(client: Client) -> muc.Occupant:
    """The next occupant who leaves."""
    return muc.parse_presence(
        await client.receive(lambda s: s.get("type") == "unavailable" and s.find("x", muc.USER) is not None, timeout=30)
    )


def is_destroyed(stanza: Element) -> bool:
    x = stanza.find("x", muc.USER)
    return x is not None and x.find("destroy") is not None


async def test_two_users_meet_talk_and_part(server: Server, room: str) -> None:
    async with users(221, 222) as (one, two):
        first = await muc.join(one, room, "crow")
        assert first.created
        assert (first.affiliation, first.role, first.occupants) == ("owner", "moderator", {})
        await muc_admin.configure(one, room, {"muc#roomconfig_publicroom": True})
        assert room in {item.jid for item in await disco.items(one, "conference.localhost")}
        second = await muc.join(two, room, "magpie")
        assert not second.created
        assert set(second.occupants) == {"crow"}
        assert second.role == "participant"
        seen = await one.receive(lambda stanza: stanza.get("from") == f"{room}/magpie", timeout=30)
        assert muc.parse_presence(seen).available
        one.send(muc.message(room, "caw <caw> & caw", "m1"))
        for client in (one, two):
            assert await next_talk(client) == GroupMessage(room, "crow", "m1", "caw <caw> & caw", None, False)
        two.send(muc.private_message(room, "crow", "psst"))
        private = await one.receive(lambda stanza: stanza.get("type") == "chat", timeout=30)
        assert (private.get("from"), private.findtext("body")) == (f"{room}/magpie", "psst")
        assert await ping.ping(one, f"{room}/crow") > 0
        await muc.set_subject(one, room, "shiny <things>")
        subject = await two.receive(lambda stanza: stanza.findtext("subject") == "shiny <things>", timeout=30)
        assert subject.get("from") == f"{room}/crow"
        assert (await muc.change_nick(two, room, "jackdaw")).nick == "jackdaw"
        await muc.leave(two, room, "jackdaw")
        with pytest.raises(IqError):
            await ping.ping(two, f"{room}/crow")
        await muc.leave(one, room, "crow")


async def test_history_as_wanted(server: Server, room: str) -> None:
    async with users(223, 224) as (one, two):
        await muc.join(one, room, "crow")
        await muc_admin.unlock(one, room)
        for number in range(5):
            one.send(muc.message(room, str(number)))
            await next_talk(one)
        await muc.join(two, room, "magpie", history=2)
        talks = [await next_talk(two) for _ in range(2)]
        assert [(talk.body, talk.nick, talk.delayed) for talk in talks] == [("3", "crow", True), ("4", "crow", True)]
        await muc.leave(two, room, "magpie")
        await muc.join(two, room, "magpie", history=0)
        one.send(muc.message(room, "now"))
        talk = await next_talk(two)
        assert (talk.body, talk.delayed) == ("now", False)


async def test_who_is_not_let_in(server: Server, room: str) -> None:
    async with users(225, 226) as (one, two):
        await muc.join(one, room, "crow")
        await muc_admin.unlock(one, room)
        with pytest.raises(muc.NickConflict, match="conflict"):
            await muc.join(two, room, "crow")
        await muc_admin.configure(
            one,
            room,
            {"muc#roomconfig_passwordprotectedroom": True, "muc#roomconfig_roomsecret": "shiny"},
        )
        with pytest.raises(muc.JoinRefused) as refused:
            await muc.join(two, room, "magpie", password="dull")
        assert refused.value.condition == "not-authorized"
        await muc.join(two, room, "magpie", password="shiny")
        with pytest.raises(muc.NickConflict):
            await muc.change_nick(two, room, "crow")
        with pytest.raises(StanzaError):
            await muc.set_subject(two, f"nowhere-{room}", "no")
        await muc_admin.set_affiliations(one, room, {"user_226@localhost": "outcast"}, "too loud")
        gone = await next_gone(two)
        assert (gone.nick, gone.affiliation) == ("magpie", "outcast")
        assert 301 in gone.statuses
        with pytest.raises(muc.JoinRefused) as refused:
            await muc.join(two, room, "magpie", password="shiny")
        assert refused.value.condition == "forbidden"
        with pytest.raises(muc.JoinRefused):
            await muc.join(two, "no-room@nowhere.localhost", "magpie", timeout=30)


async def test_owners_rule(server: Server, room: str) -> None:
    async with users(227, 228) as (one, two):
        await muc.join(one, room, "crow")
        form = await muc_admin.config(one, room)
        assert form.form_type == muc_admin.CONFIG
        assert "muc#roomconfig_membersonly" in form.fields
        await muc_admin.configure(one, room, {"muc#roomconfig_membersonly": True, "muc#roomconfig_roomname": "Nest"})
        assert (await muc_admin.config(one, room)).get("muc#roomconfig_roomname") == "Nest"
        with pytest.raises(muc.JoinRefused) as refused:
            await muc.join(two, room, "magpie")
        assert refused.value.condition == "registration-required"
        await muc_admin.set_affiliations(one, room, {"user_228@localhost": "member"})
        members = await muc_admin.affiliations(one, room, "member")
        assert [(member.jid, member.affiliation) for member in members] == [("user_228@localhost", "member")]
        await muc.join(two, room, "magpie")
        with pytest.raises(IqError) as error:
            await muc_admin.configure(two, room, {"muc#roomconfig_roomname": "Mine"})
        assert error.value.condition == "forbidden"
        await muc_admin.set_role(one, room, "magpie", "none", "out")
        assert 307 in (await next_gone(two)).statuses
        await muc.join(two, room, "magpie")
        await muc_admin.destroy(one, room, "over")
        await two.receive(is_destroyed, timeout=30)


async def test_invitations_reach_the_invited(server: Server, room: str) -> None:
    async with users(229, 230) as (one, two):
        two.send_presence()
        await two.receive("presence", timeout=30)
        await muc.join(one, room, "crow")
        await muc_admin.unlock(one, room)
        one.send(muc.invite(room, ["user_230@localhost"], "come"))
        stanza = await two.receive(muc.parse_invitation, timeout=30)
        invitation = muc.parse_invitation(stanza)
        assert invitation is not None
        assert (invitation.room, invitation.reason, invitation.direct) == (room, "come", False)
        assert invitation.sender in (one.jid, "user_229@localhost", f"{room}/crow")
        two.send(muc.decline(invitation, "no time"))
        declined = await one.receive(lambda s: s.name == "message" and s.find("x", muc.USER) is not None, timeout=30)
        x = declined.find("x", muc.USER)
        assert x is not None
        decline = x.find("decline")
        assert decline is not None
        assert decline.findtext("reason") == "no time"
        one.send(muc.invite_directly("user_230@localhost", room, "come on"))
        direct = muc.parse_invitation(await two.receive(muc.parse_invitation, timeout=30))
        assert direct == muc.Invitation(room, one.jid, "come on", "", True)
