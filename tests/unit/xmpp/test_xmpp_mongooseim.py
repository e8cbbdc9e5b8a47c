"""What MongooseIM does its own way, as its documentation tells (no such server is to be had here).

The embedded server's strict mode is like it where that concerns every user; `test_ext_muc_light` has the rooms.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from amoc import metrics
from amoc.config import Config
from amoc.xmpp import Element, IqError, StanzaError, connect
from amoc.xmpp.core.stream import stream_header
from amoc.xmpp.ext import mam, muc_light, roster
from amoc.xmpp.ext.muc_light import Notice, RoomMessage
from amoc.xmpp.server import EmbeddedServer, serve
from tests.unit.xmpp.ext.replay import replay

SERVICE = "muclight.localhost"
ROOM = f"nest@{SERVICE}"
SID = "urn:xmpp:sid:0"
HELLO = stream_header(to="localhost")
AUTH = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGNyb3cAc2VjcmV0</auth>"
BIND = b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
PING = b"<iq type='get' id='%b'><ping xmlns='urn:xmpp:ping'/></iq>"
SESSION = b"<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"


@pytest.fixture
async def strict(settings: Config) -> AsyncIterator[EmbeddedServer]:
    async with await serve(strict=True) as running:
        settings.set("xmpp_servers", [f"127.0.0.1:{running.port}"])
        yield running


async def test_the_session_is_asked_for(strict: EmbeddedServer) -> None:
    async with connect(1) as client:
        assert (await client.iq("get", None, Element("{urn:xmpp:ping}ping"))).get("type") == "result"
    assert metrics.current().flush().histograms["amoc.times.login.session"].count == 1


async def test_nothing_is_answered_before_the_session_iq(strict: EmbeddedServer) -> None:
    """A client that leaves it out, as newer standards let it, waits for ever."""
    reader, writer = await asyncio.open_connection(strict.host, strict.port)
    try:
        async with asyncio.timeout(30):
            for said, answer in ((HELLO, b"</stream:features>"), (AUTH, b"</success>"), (HELLO, b"</stream:features>")):
                writer.write(said)
                await reader.readuntil(answer)
            writer.write(BIND)
            assert b"<jid>crow@localhost/" in await reader.readuntil(b"</iq>")
            writer.write(PING % b"early" + SESSION + PING % b"late")
            heard = b""
            while b"late" not in heard:
                heard += await reader.read(1000)
        assert b"early" not in heard
        assert heard.count(b"<iq") == 2
    finally:
        writer.close()
        await writer.wait_closed()


async def test_stanza_ids(strict: EmbeddedServer) -> None:
    """Messages are delivered with their ids in the archives of whom they are for; nobody else can give such ids."""
    async with connect(1) as one, connect(2) as two, connect(2, resource="tablet") as tablet:
        two.send_presence()
        tablet.send_presence()
        await two.receive(lambda stanza: stanza.get("from") == tablet.jid, timeout=5)
        forged = f"<stanza-id xmlns='{SID}' by='user_2@localhost' id='mine'/>"
        other = f"<stanza-id xmlns='{SID}' by='elsewhere' id='theirs'/><active xmlns='urn:example'/>"
        one.send_message("user_2@localhost", "hello", id="m1", extra=forged + other)
        for client in (two, tablet):
            stanza = await client.receive("message", timeout=5)
            assert (stanza.get("id"), stanza.get("from"), stanza.findtext("body")) == ("m1", one.jid, "hello")
            ids = {child.get("by"): child.get("id") for child in stanza.find_all("stanza-id", SID)}
            assert ids.keys() == {"user_2@localhost", "elsewhere"}
            assert ids["user_2@localhost"] not in ("mine", "")
            assert stanza.find("active", "urn:example") is not None


# -- rooms and their archives ----------------------------------------------------------------------------


def result(ident: str, sender: str, content: str) -> str:
    """What a room's archive has: no addressee, and no type."""
    return (
        f"> <message from='{ROOM}' to='$JID'><result xmlns='urn:xmpp:mam:2' queryid='$QUERYID' id='{ident}'>"
        "<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-01-02T03:04:05Z'/>"
        f"<message xmlns='jabber:client' from='{sender}' id='i-{ident}'>{content}</message></forwarded></result>"
        "</message>"
    )


async def test_the_archive_of_a_room(embedded: EmbeddedServer) -> None:
    made = (
        "<x xmlns='urn:xmpp:muclight:0#affiliations'><version>v1</version>"
        "<user affiliation='owner'>user_1@localhost</user><user affiliation='member'>user_2@localhost</user></x>"
    )
    said = "<body>caw</body><x xmlns='urn:example:nest'>twigs</x>"
    ask = (
        f"<iq type='set' to='{ROOM}' id='*'><query xmlns='urn:xmpp:mam:2' queryid='*'>"
        "<set xmlns='http://jabber.org/protocol/rsm'><max>10</max><before/></set></query></iq>"
    )
    fin = (
        f"> <iq type='result' from='{ROOM}' id='*'><fin xmlns='urn:xmpp:mam:2' complete='true'>"
        "<set xmlns='http://jabber.org/protocol/rsm'><first index='0'>A1</first><last>A2</last><count>2</count></set>"
        "</fin></iq>"
    )
    async with connect(1) as client:
        played = replay(embedded, [ask, result("A1", ROOM, made), result("A2", f"{ROOM}/user_2@localhost", said), fin])
        page = await mam.last(client, 10, to=ROOM)
        played.done()
    notice, message = (archived.message for archived in page.messages)
    occupants = {"user_1@localhost": "owner", "user_2@localhost": "member"}
    assert muc_light.parse_notice(notice, archived=True) == Notice(ROOM, "v1", "", occupants, {}, False)
    assert muc_light.parse_message(notice, archived=True) is None
    assert muc_light.parse_message(message, archived=True) == RoomMessage(ROOM, "user_2@localhost", "i-A2", "caw")
    assert muc_light.parse_notice(message, archived=True) is None
    assert page.messages[0].stamp == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    # what comes by itself and has no type is no room's: anybody could send it
    assert muc_light.parse_message(message) is None
    assert muc_light.parse_notice(notice) is None


async def test_who_is_not_in_a_room_cannot_speak_nor_read_there(embedded: EmbeddedServer) -> None:
    missing = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                f"<message to='{ROOM}' type='groupchat' id='m1'><body>caw</body></message>",
                f"> <message type='error' from='{ROOM}' to='$JID' id='m1'><body>caw</body>{missing}</message>",
                f"<iq type='set' to='{ROOM}' id='*'><query xmlns='urn:xmpp:mam:2' queryid='*'/></iq>",
                f"> <iq type='error' from='{ROOM}' to='$JID' id='*'>{missing}</iq>",
            ],
        )
        client.send(muc_light.message(ROOM, "caw", "m1"))
        bounced = await client.receive("message", timeout=5)
        assert muc_light.parse_message(bounced) is None
        assert StanzaError(bounced).condition == "item-not-found"
        with pytest.raises(IqError, match=r"\(query\): nest@muclight\.localhost answered item-not-found"):
            await mam.query(client, to=ROOM)
        played.done()


async def test_rooms_may_be_in_the_roster(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        replay(
            embedded,
            [
                "<iq type='get' id='*'><query xmlns='jabber:iq:roster'/></iq>",
                "> <iq type='result' id='*' to='$JID'><query xmlns='jabber:iq:roster' ver='v7'>"
                "<item jid='user_2@localhost' subscription='both'/>"
                f"<item jid='{ROOM}' name='Nest' subscription='to'><group>urn:xmpp:muclight:0</group>"
                "<version>v1</version></item></query></iq>",
            ],
        )
        found = await roster.get(client)
        assert found is not None
        room = found.contacts[ROOM]
        assert (room.name, room.subscription, room.groups) == ("Nest", "to", ("urn:xmpp:muclight:0",))


async def test_a_server_that_keeps_no_preferences(embedded: EmbeddedServer) -> None:
    """An archive without `user_prefs_store` lets nobody say what is archived."""
    prefs = "<iq type='set' id='*'><prefs xmlns='urn:xmpp:mam:2' default='always'><always/><never/></prefs></iq>"
    refused = (
        "> <iq type='error' id='*' to='$JID'><error type='cancel'>"
        "<feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    )

    async with connect(1) as client:
        replay(embedded, [prefs, refused])
        with pytest.raises(IqError, match=r"\(prefs\): the server answered feature-not-implemented"):
            await mam.set_preferences(client, "always")
