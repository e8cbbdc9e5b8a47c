"""MUC Light: exchanges as MongooseIM's documentation describes them (no such server is to be had here)."""

import pytest

from amoc.xmpp import IqError, ReceiveTimeout, connect
from amoc.xmpp.ext import muc_light
from amoc.xmpp.ext.muc_light import Blocking, Info, Notice, RoomItem, RoomMessage
from amoc.xmpp.ext.session import BadAnswer
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

SERVICE = "muclight.localhost"
ROOM = f"nest@{SERVICE}"
NS = "urn:xmpp:muclight:0"
DONE = f"> <iq type='result' id='*' from='{ROOM}' to='$JID'/>"


def ask(kind: str, part: str, content: str = "", to: str = ROOM) -> str:
    return f"<iq type='{kind}' to='{to}' id='*'><query xmlns='{NS}#{part}'>{content}</query></iq>"


def answer(part: str, content: str, sender: str = ROOM) -> str:
    return f"> <iq type='result' from='{sender}' id='*'><query xmlns='{NS}#{part}'>{content}</query></iq>"


def refusal(condition: str, kind: str = "cancel", sender: str = ROOM) -> str:
    return (
        f"> <iq type='error' from='{sender}' id='*' to='$JID'><error type='{kind}'>"
        f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    )


def notice(content: str, part: str = "affiliations", ident: str = "n1", more: str = "") -> str:
    return (
        f"> <message from='{ROOM}' to='$ACCOUNT' type='groupchat' id='{ident}'>"
        f"<x xmlns='{NS}#{part}'>{content}</x>{more}<body/></message>"
    )


def users(**affiliations: str) -> str:
    return "".join(f"<user affiliation='{kind}'>{name}@localhost</user>" for name, kind in affiliations.items())


async def test_a_room_is_made(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                ask(
                    "set",
                    "create",
                    "<configuration><roomname>A &lt;nest&gt;</roomname></configuration>"
                    f"<occupants>{users(user_2='member', user_3='owner')}</occupants>",
                ),
                notice("<version>v1</version>" + users(user_1="member")),
                DONE,
                ask("set", "create"),
                refusal("conflict"),
            ],
        )
        occupants = {"user_2@localhost": "member", "user_3@localhost": "owner"}
        await muc_light.create(client, ROOM, {"roomname": "A <nest>"}, occupants)
        told = muc_light.parse_notice(await client.receive("message", timeout=5))
        assert told == Notice(ROOM, "v1", "", {"user_1@localhost": "member"}, {}, False)
        with pytest.raises(IqError) as refused:
            await muc_light.create(client, ROOM)
        assert refused.value.condition == "conflict"
        played.done()


CREATED = "<configuration><roomname>Nest</roomname></configuration>"


@pytest.mark.parametrize("sender", [ROOM, SERVICE])
async def test_a_room_whose_address_the_service_chooses(embedded: EmbeddedServer, sender: str) -> None:
    """The documentation says that the answer comes from the room, and shows one that comes from the service."""
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                ask("set", "create", CREATED, to=SERVICE),
                "> <message from='user_2@localhost' id='*'><body>with the same id</body></message>",
                notice("<version>v1</version>" + users(user_1="owner"), ident="*"),
                f"> <iq type='result' id='*' from='{sender}' to='$JID'/>",
            ],
        )
        assert await muc_light.create_unique(client, SERVICE, {"roomname": "Nest"}) == ROOM
        played.done()
        assert (await client.receive(timeout=5)).get("from") == "user_2@localhost"
        with pytest.raises(ReceiveTimeout):
            await client.receive(timeout=0.01)


async def test_no_room_at_a_service(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        replay(embedded, [ask("set", "create", to=SERVICE), refusal("not-allowed", sender=SERVICE)])
        with pytest.raises(IqError, match=r"^user 1 .*not-allowed"):
            await muc_light.create_unique(client, SERVICE)
        replay(embedded, [ask("set", "create", to=SERVICE), f"> <iq type='result' id='*' from='{SERVICE}'/>"])
        with pytest.raises(BadAnswer, match="no address of the new room"):
            await muc_light.create_unique(client, SERVICE)
        replay(embedded, [ask("set", "create", to=SERVICE)])
        with pytest.raises(ReceiveTimeout):
            await muc_light.create_unique(client, SERVICE, timeout=0.01)


async def test_what_a_room_says_of_itself(embedded: EmbeddedServer) -> None:
    occupants = {"user_1@localhost": "owner", "user_2@localhost": "member"}
    listed = users(user_1="owner", user_2="member")
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                ask("get", "configuration", "<version/>"),
                answer("configuration", "<version>v2</version><roomname>Nest</roomname><subject>caw</subject>"),
                ask("get", "affiliations", "<version>v1</version>"),
                answer("affiliations", "<version>v2</version>" + listed),
                ask("get", "info", "<version/>"),
                answer(
                    "info",
                    "<version>v2</version><configuration><roomname>Nest</roomname></configuration>"
                    f"<occupants>{listed}</occupants>",
                ),
                ask("get", "info", "<version>v2</version>"),
                DONE,
                ask("get", "info", "<version/>"),
                refusal("item-not-found"),
                ask("get", "info", "<version/>"),
                DONE,
            ],
        )
        config = await muc_light.configuration(client, ROOM)
        assert config == Info("v2", {"roomname": "Nest", "subject": "caw"}, {})
        assert await muc_light.affiliations(client, ROOM, "v1") == Info("v2", {}, occupants)
        assert await muc_light.info(client, ROOM) == Info("v2", {"roomname": "Nest"}, occupants)
        assert await muc_light.info(client, ROOM, "v2") is None
        with pytest.raises(IqError, match="item-not-found"):  # not an occupant
            await muc_light.info(client, ROOM)
        with pytest.raises(BadAnswer, match="no <query"):  # unchanged since no version at all
            await muc_light.info(client, ROOM)
        played.done()


async def test_changes(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                ask("set", "configuration", "<roomname>Tree</roomname>"),
                notice(
                    "<prev-version>v1</prev-version><version>v2</version><roomname>Tree</roomname>", "configuration"
                ),
                DONE,
                ask("set", "affiliations", users(user_2="owner", user_3="none")),
                notice(
                    "<prev-version>v2</prev-version><version>v3</version>"
                    + users(user_1="member", user_2="owner", user_3="none")
                ),
                DONE,
                ask("set", "affiliations", users(user_2="member")),
                refusal("not-allowed"),
                ask("set", "affiliations", users(user_1="none")),
                notice(users(user_1="none")),
                DONE,
                ask("set", "destroy"),
                notice(users(user_1="none"), more=f"<x xmlns='{NS}#destroy'/>"),
                DONE,
            ],
        )
        await muc_light.configure(client, ROOM, {"roomname": "Tree"})
        await muc_light.set_affiliations(client, ROOM, {"user_2@localhost": "owner", "user_3@localhost": "none"})
        with pytest.raises(IqError, match="not-allowed"):
            await muc_light.set_affiliations(client, ROOM, {"user_2@localhost": "member"})
        await muc_light.leave(client, ROOM)
        await muc_light.destroy(client, ROOM)
        played.done()
        told = [muc_light.parse_notice(await client.receive("message", timeout=5)) for _ in range(4)]
        changed = {"user_1@localhost": "member", "user_2@localhost": "owner", "user_3@localhost": "none"}
        out = {"user_1@localhost": "none"}
        assert told == [
            Notice(ROOM, "v2", "v1", {}, {"roomname": "Tree"}, False),
            Notice(ROOM, "v3", "v2", changed, {}, False),
            Notice(ROOM, "", "", out, {}, False),
            Notice(ROOM, "", "", out, {}, True),
        ]


async def test_rooms_and_blocking(embedded: EmbeddedServer) -> None:
    done = DONE.replace(ROOM, SERVICE)
    denied = f"<room action='deny'>{ROOM}</room><user action='deny'>user_2@localhost</user>"
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                f"<iq type='get' to='{SERVICE}' id='*'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
                f"> <iq type='result' id='*' from='{SERVICE}'><query xmlns='http://jabber.org/protocol/disco#items'>"
                f"<item jid='{ROOM}' name='Nest' version='v1'/></query></iq>",
                ask("get", "blocking", to=SERVICE),
                answer("blocking", denied, SERVICE),
                ask("set", "blocking", denied, to=SERVICE),
                done,
                ask("set", "blocking", denied.replace("deny", "allow"), to=SERVICE),
                done,
            ],
        )
        assert await muc_light.rooms(client, SERVICE) == (RoomItem(ROOM, "Nest", "v1"),)
        assert await muc_light.blocking(client, SERVICE) == Blocking((ROOM,), ("user_2@localhost",))
        await muc_light.block(client, SERVICE, rooms=[ROOM], users=["user_2@localhost"])
        await muc_light.unblock(client, SERVICE, rooms=[ROOM], users=["user_2@localhost"])
        played.done()


async def test_messages(embedded: EmbeddedServer) -> None:
    said = "<body>caw &amp; caw</body>"
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                f"<message to='{ROOM}' type='groupchat' id='m1'>{said}</message>",
                # MongooseIM adds where the message is archived
                f"> <message from='{ROOM}/user_1@localhost' to='$ACCOUNT' type='groupchat' id='m1'>{said}"
                f"<stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}' id='B4I2K2Q6'/></message>",
            ],
        )
        client.send(muc_light.message(ROOM, "caw & caw", "m1"))
        stanza = await client.receive("message", timeout=5)
        assert muc_light.parse_message(stanza) == RoomMessage(ROOM, "user_1@localhost", "m1", "caw & caw")
        assert muc_light.parse_notice(stanza) is None
        played.done()


def test_what_is_no_message_and_no_notice() -> None:
    for text in (
        f"<message from='{ROOM}' type='error'><body/></message>",
        f"<message from='{ROOM}' type='groupchat'><body>the room itself</body></message>",
        f"<message from='{ROOM}' type='chat'><x xmlns='{NS}#affiliations'/></message>",
        f"<presence from='{ROOM}/user_1@localhost'/>",
    ):
        assert muc_light.parse_message(xml(text)) is None
        assert muc_light.parse_notice(xml(text)) is None
    # an occupant who imitates the room
    forged = f"<message from='{ROOM}/user_2@localhost' type='groupchat'><x xmlns='{NS}#destroy'/></message>"
    assert muc_light.parse_notice(xml(forged)) is None
