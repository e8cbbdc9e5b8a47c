"""Rooms as owners see them: requests and answers as recorded exchanges."""

import pytest

from amoc.xmpp import IqError, connect
from amoc.xmpp.ext import muc_admin
from amoc.xmpp.ext.session import BadAnswer
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay

ROOM = "nest@conference.localhost"
DONE = f"> <iq type='result' id='*' from='{ROOM}'/>"


def owner(kind: str, content: str) -> str:
    return f"<iq type='{kind}' to='{ROOM}' id='*'><query xmlns='{muc_admin.OWNER}'>{content}</query></iq>"


def admin(kind: str, content: str) -> str:
    return owner(kind, content).replace("#owner", "#admin")


async def test_the_life_of_a_room(embedded: EmbeddedServer) -> None:
    form = (
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
        "<value>http://jabber.org/protocol/muc#roomconfig</value></field>"
        "<field var='muc#roomconfig_membersonly'><value>1</value></field></x>"
    )
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                owner("set", "<x xmlns='jabber:x:data' type='submit'/>"),
                DONE,
                owner("get", ""),
                "> " + owner("result", "<x xmlns='jabber:x:data'><field var='a'><value>b</value></field></x>"),
                owner("set", form),
                DONE,
                admin("get", "<item affiliation='member'/>"),
                "> " + admin("result", "<item jid='a@b' affiliation='member' nick='n'/><item jid='c@d'/>"),
                admin("set", "<item jid='a@b' affiliation='outcast'><reason>loud</reason></item>"),
                DONE,
                admin("set", "<item nick='n' role='none'/>"),
                DONE,
                owner("set", "<destroy jid='other@room'><reason>over</reason></destroy>"),
                DONE,
            ],
        )
        for line, text in enumerate(played.lines):  # results come from the room
            played.lines[line] = text.replace(f"result' to='{ROOM}'", f"result' from='{ROOM}'")
        await muc_admin.unlock(client, ROOM)
        assert (await muc_admin.config(client, ROOM)).get("a") == "b"
        await muc_admin.configure(client, ROOM, {"muc#roomconfig_membersonly": True})
        assert await muc_admin.affiliations(client, ROOM, "member") == (
            muc_admin.Affiliation("a@b", "member", "n", ""),
            muc_admin.Affiliation("c@d", "member", "", ""),
        )
        await muc_admin.set_affiliations(client, ROOM, {"a@b": "outcast"}, "loud")
        await muc_admin.set_role(client, ROOM, "n", "none")
        await muc_admin.destroy(client, ROOM, "over", "other@room")
        played.done()


@pytest.mark.parametrize("content", ["", "<query xmlns='http://jabber.org/protocol/muc#owner'/>"])
async def test_a_configuration_without_a_form(embedded: EmbeddedServer, content: str) -> None:
    async with connect(1) as client:
        replay(embedded, [owner("get", ""), f"> <iq type='result' id='*' from='{ROOM}'>{content}</iq>"])
        with pytest.raises(BadAnswer, match=f"{ROOM} answered with no "):
            await muc_admin.config(client, ROOM)


async def test_nobody_there(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with pytest.raises(IqError, match="remote-server-not-found"):
            await muc_admin.unlock(client, ROOM)
