"""Rooms as occupants see them: entering and leaving by recorded exchanges, what is sent, what is read."""

import asyncio
from datetime import UTC, datetime

import pytest

from amoc.xmpp import Client, ReceiveTimeout, StanzaError, connect
from amoc.xmpp.ext import muc
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

ROOM = "nest@conference.localhost"
JOIN = f"<presence to='{ROOM}/crow'><x xmlns='http://jabber.org/protocol/muc'/></presence>"


def presence(nick: str, *codes: int, type: str = "", role: str = "participant", jid: str = "") -> str:
    """A room's presence, as its servers send it."""
    statuses = "".join(f"<status code='{code}'/>" for code in codes)
    kind = f" type='{type}'" if type else ""
    real = f" jid='{jid}'" if jid else ""
    return (
        f"> <presence from='{ROOM}/{nick}'{kind}><x xmlns='http://jabber.org/protocol/muc#user'>"
        f"<item affiliation='member' role='{role}'{real}/>{statuses}</x></presence>"
    )


def error(condition: str, nick: str = "/crow", name: str = "presence") -> str:
    return (
        f"> <{name} from='{ROOM}{nick}' type='error'><error type='cancel'>"
        f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></{name}>"
    )


async def kept(client: Client) -> list[str]:
    """Who sent what the client has not received yet."""
    found = []
    try:
        while True:
            found.append((await client.receive(timeout=0.1)).get("from", ""))
    except ReceiveTimeout:
        return found


async def test_join(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                JOIN,
                presence("magpie", role="moderator", jid="user_2@localhost/res1"),
                presence("rook"),
                presence("jay"),
                f"> <presence from='{ROOM}'/>",
                presence("jay", type="unavailable"),
                "> <presence from='other@conference.localhost/crow'/>",
                presence("crow", 110, 100, 201),
                f"> <message from='{ROOM}' type='groupchat'><subject/></message>",
            ],
        )
        joined = await muc.join(client, ROOM, "crow", timeout=5)
        played.done()
        assert (joined.room, joined.nick, joined.role, joined.affiliation) == (ROOM, "crow", "participant", "member")
        assert joined.created
        assert joined.statuses == {110, 100, 201}
        assert set(joined.occupants) == {"magpie", "rook"}
        magpie = joined.occupants["magpie"]
        assert (magpie.role, magpie.jid, magpie.available) == ("moderator", "user_2@localhost/res1", True)
        assert await kept(client) == ["other@conference.localhost/crow", ROOM]


async def test_the_room_may_change_the_nick(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        replay(embedded, [JOIN, presence("crow-1", 210, 110)])
        joined = await muc.join(client, ROOM, "crow", timeout=5)
        assert joined.nick == "crow-1"
        assert not joined.created


@pytest.mark.parametrize(
    ("condition", "kind"),
    [("conflict", muc.NickConflict), ("not-authorized", muc.JoinRefused), ("forbidden", muc.JoinRefused)],
)
async def test_refused(embedded: EmbeddedServer, condition: str, kind: type[muc.JoinRefused]) -> None:
    async with connect(1) as client:
        replay(embedded, [JOIN, presence("rook"), error(condition)])
        with pytest.raises(muc.JoinRefused, match=rf"^user 1 .*{ROOM}/crow refused to let us in: {condition}") as got:
            await muc.join(client, ROOM, "crow", timeout=5)
        assert type(got.value) is kind
        assert got.value.condition == condition


async def test_a_room_that_does_not_answer(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        replay(embedded, [JOIN, presence("rook"), f"<presence to='{ROOM}/crow' type='unavailable'/>"])
        with pytest.raises(ReceiveTimeout, match=rf"^user 1 .*{ROOM} did not say that crow is in within 0.05 s$"):
            await muc.join(client, ROOM, "crow", timeout=0.05)
        with pytest.raises(ReceiveTimeout, match=r"^user 1 .*did not say that crow is out within 0.05 s$"):
            await muc.leave(client, ROOM, "crow", timeout=0.05)


async def test_presence_of_an_earlier_stay_does_not_count(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        replay(embedded, [JOIN, presence("crow", 110), presence("crow", 110, role="visitor"), presence("rook")])
        await muc.join(client, ROOM, "crow", timeout=5)
        await client.receive(lambda stanza: stanza.get("from") == f"{ROOM}/rook", timeout=5)
        played = replay(embedded, [JOIN, presence("jay"), presence("crow", 110)])
        joined = await muc.join(client, ROOM, "crow", timeout=5)
        played.done()
        assert (joined.role, set(joined.occupants)) == ("participant", {"jay"})


async def test_a_join_that_is_cancelled_leaves_nothing(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        replay(embedded, [JOIN])
        joining = asyncio.create_task(muc.join(client, ROOM, "crow"))
        await asyncio.sleep(0.01)
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        assert client._collections == ()


async def test_leave(embedded: EmbeddedServer) -> None:
    ask = f"<presence to='{ROOM}/crow' type='unavailable'/>"
    gone = presence("crow", 110, type="unavailable", role="none")
    async with connect(1) as client:
        played = replay(embedded, [ask, presence("rook", type="unavailable"), gone, ask, error("not-acceptable")])
        await muc.leave(client, ROOM, "crow", timeout=5)
        with pytest.raises(StanzaError, match=r"^user 1 .*not-acceptable"):
            await muc.leave(client, ROOM, "crow", timeout=5)
        played.done()
        assert await kept(client) == [f"{ROOM}/rook"]


async def test_another_nick(embedded: EmbeddedServer) -> None:
    ask = f"<presence to='{ROOM}/raven'/>"
    async with connect(1) as client:
        played = replay(
            embedded,
            [ask, presence("crow", 303, 110, type="unavailable"), presence("raven", 110), ask, error("conflict")],
        )
        occupant = await muc.change_nick(client, ROOM, "raven", timeout=5)
        assert occupant.nick == "raven"
        assert occupant.statuses == {110}
        with pytest.raises(muc.NickConflict):
            await muc.change_nick(client, ROOM, "raven", timeout=5)
        played.done()
        assert await kept(client) == []


async def test_subject(embedded: EmbeddedServer) -> None:
    ask = f"<message to='{ROOM}' type='groupchat'><subject>caws &amp; co</subject></message>"
    said = f"> <message from='{ROOM}/rook' type='groupchat'>{{}}<subject>caws &amp; co</subject>{{}}</message>"
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                ask,
                said.format("", "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"),
                said.format("<body>no</body>", ""),
                said.format("", "").replace("rook", "crow"),
                ask,
                error("forbidden", "", "message"),
            ],
        )
        await muc.set_subject(client, ROOM, "caws & co", timeout=5)
        with pytest.raises(StanzaError, match="forbidden"):
            await muc.set_subject(client, ROOM, "caws & co", timeout=5)
        played.done()
        assert await kept(client) == [f"{ROOM}/rook"] * 2


def test_how_much_history_is_wanted() -> None:
    since = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    stanza = xml(muc.join_presence("a&b@c", "d'e", password="<p>", history=0, seconds=60, since=since))
    assert stanza.get("to") == "a&b@c/d'e"
    x = stanza.find("x", muc.NS)
    assert x is not None
    assert x.findtext("password") == "<p>"
    history = x.find("history")
    assert history is not None
    assert history.attrs == {"maxstanzas": "0", "seconds": "60", "since": "2026-01-02T03:04:05Z"}
    assert xml(muc.join_presence(ROOM, "crow")) == xml(JOIN)


def test_messages_are_built_and_read() -> None:
    sent = xml(muc.message(ROOM, "<caw> & 'caw'", "i1"))
    assert (sent.get("to"), sent.get("type"), sent.get("id"), sent.findtext("body")) == (
        ROOM,
        "groupchat",
        "i1",
        "<caw> & 'caw'",
    )
    assert "id" not in xml(muc.message(ROOM, "caw")).attrs
    sent.attrs["from"] = f"{ROOM}/the crow/s"
    assert muc.parse_message(sent) == muc.GroupMessage(ROOM, "the crow/s", "i1", "<caw> & 'caw'", None, False)
    sent.add(xml("<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"))
    talk = muc.parse_message(sent)
    assert talk is not None
    assert talk.delayed
    subject = muc.parse_message(xml(f"<message from='{ROOM}' type='groupchat'><subject/></message>"))
    assert subject == muc.GroupMessage(ROOM, "", "", "", "", False)
    private = xml(muc.private_message(ROOM, "o'crow", "psst", "p1"))
    assert (private.get("to"), private.get("type")) == (f"{ROOM}/o'crow", "chat")
    for other in (private, xml("<message type='error'><body/></message>"), xml("<presence type='groupchat'/>")):
        assert muc.parse_message(other) is None


def test_odd_presence_is_read_as_far_as_it_goes() -> None:
    odd = xml(
        f"<presence from='{ROOM}/x'><x xmlns='http://jabber.org/protocol/muc#user'>"
        "<status code='110'/><status code='many'/><status/></x></presence>"
    )
    assert muc.parse_presence(odd) == muc.Occupant(ROOM, "x", True, "none", "none", "", frozenset({110}))
    assert muc.parse_presence(xml("<presence/>")).nick == ""


def test_invitations() -> None:
    sent = xml(str(muc.invite(ROOM, ["a@b", "c@d"], "come & see")))
    x = sent.find("x", muc.USER)
    assert sent.get("to") == ROOM
    assert x is not None
    assert [(invite.get("to"), invite.findtext("reason")) for invite in x] == [
        ("a@b", "come & see"),
        ("c@d", "come & see"),
    ]
    mediated = xml(
        f"<message from='{ROOM}'><x xmlns='{muc.USER}'><invite from='a@b/c'><reason>r</reason></invite>"
        f"<password>secret</password></x><x xmlns='jabber:x:conference' jid='{ROOM}'/></message>"
    )
    invitation = muc.parse_invitation(mediated)
    assert invitation == muc.Invitation(ROOM, "a@b/c", "r", "secret", False)
    declined = xml(str(muc.decline(invitation, "no")))
    x = declined.find("x", muc.USER)
    assert x is not None
    assert declined.get("to") == ROOM
    assert [(child.name, child.get("to"), child.findtext("reason")) for child in x] == [("decline", "a@b/c", "no")]
    direct = xml(str(muc.invite_directly("a@b", ROOM, "why not", "pw")))
    direct.attrs["from"] = "c@d/e"
    assert muc.parse_invitation(direct) == muc.Invitation(ROOM, "c@d/e", "why not", "pw", True)
    for other in (
        "<message><body>hello</body></message>",
        "<message><x xmlns='jabber:x:conference'/></message>",
        f"<message><x xmlns='{muc.USER}'><decline/></x></message>",
        f"<message type='error'><x xmlns='jabber:x:conference' jid='{ROOM}'/></message>",
        f"<presence><x xmlns='jabber:x:conference' jid='{ROOM}'/></presence>",
    ):
        assert muc.parse_invitation(xml(other)) is None
