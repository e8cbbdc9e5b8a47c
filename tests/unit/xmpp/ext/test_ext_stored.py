"""vCards and private storage: what is sent, what is read, what makes no sense."""

import base64

import pytest

from amoc.xmpp import Element, connect
from amoc.xmpp.ext import private, vcard
from amoc.xmpp.ext.session import BadAnswer
from amoc.xmpp.ext.vcard import VCard
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

IMAGE = bytes(range(256))
CARD = VCard(
    full_name="A <Crow> & co",
    nickname="crow",
    email="crow@example.org",
    url="https://example.org/",
    birthday="2020-02-29",
    description="black",
    photo=IMAGE,
    photo_type="image/gif",
)


def fields(card: VCard) -> tuple[object, ...]:
    return tuple(getattr(card, name) for name in VCard.__slots__ if name != "element")


def iq(content: str) -> Element:
    return xml(f"<iq type='result' id='1'>{content}</iq>")


def test_a_vcard_there_and_back() -> None:
    found = vcard.parse(iq(str(vcard.build(CARD))))
    assert fields(found) == fields(CARD)
    assert found.element is not None
    assert found.element.findtext("NICKNAME") == "crow"


def test_an_empty_vcard() -> None:
    assert list(vcard.build(VCard())) == []
    assert fields(vcard.parse(iq("<vCard xmlns='vcard-temp'/>"))) == fields(VCard())


def test_a_photo_in_lines() -> None:
    lines = base64.encodebytes(IMAGE).decode()
    assert "\n" in lines.strip()
    found = vcard.parse(iq(f"<vCard xmlns='vcard-temp'><PHOTO><BINVAL>\n{lines}</BINVAL></PHOTO></vCard>"))
    assert found.photo == IMAGE
    linked = vcard.parse(iq("<vCard xmlns='vcard-temp'><PHOTO><EXTVAL>https://example.org/p</EXTVAL></PHOTO></vCard>"))
    assert linked.photo == b""


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<vCard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/>",
        "<vCard xmlns='vcard-temp'><PHOTO><BINVAL>not base64!</BINVAL></PHOTO></vCard>",
        "<vCard xmlns='vcard-temp'><PHOTO><BINVAL>AAA</BINVAL></PHOTO></vCard>",
    ],
)
def test_no_vcard(content: str) -> None:
    with pytest.raises(BadAnswer, match=r"vCard|base64"):
        vcard.parse(iq(content))


async def test_the_calls(embedded: EmbeddedServer) -> None:
    note = "<notes xmlns='urn:example:notes'><note>buy nuts</note></notes>"
    played = replay(
        embedded,
        [
            "<iq type='set' id='*'><vCard xmlns='vcard-temp'><FN>A Crow</FN></vCard></iq>",
            "> <iq type='result' id='*' to='$JID'/>",
            "<iq type='set' id='*'><vCard xmlns='vcard-temp'><TITLE>Dr.</TITLE></vCard></iq>",
            "> <iq type='result' id='*' to='$JID'/>",
            "<iq type='get' id='*' to='user_2@localhost'><vCard xmlns='vcard-temp'/></iq>",
            "> <iq type='result' id='*' to='$JID' from='user_2@localhost'>"
            "<vCard xmlns='vcard-temp'><FN>B</FN></vCard></iq>",
            f"<iq type='set' id='*'><query xmlns='jabber:iq:private'>{note}</query></iq>",
            "> <iq type='result' id='*' to='$JID'/>",
            "<iq type='get' id='*'><query xmlns='jabber:iq:private'><notes xmlns='urn:example:notes'/></query></iq>",
            f"> <iq type='result' id='*' to='$JID'><query xmlns='jabber:iq:private'>{note}</query></iq>",
            "<iq type='get' id='*'><query xmlns='jabber:iq:private'><notes xmlns='urn:example:notes'/></query></iq>",
            "> <iq type='result' id='*' to='$JID'><query xmlns='jabber:iq:private'><other xmlns='urn:x'/></query></iq>",
        ],
    )
    async with connect(1) as client:
        await vcard.publish(client, VCard(full_name="A Crow"))
        await vcard.publish(client, Element("{vcard-temp}vCard", Element("TITLE", "Dr.")))
        assert (await vcard.fetch(client, "user_2@localhost")).full_name == "B"
        await private.store(client, Element("{urn:example:notes}notes", Element("note", "buy nuts")))
        assert (await private.fetch(client, "notes", "urn:example:notes")).findtext("note") == "buy nuts"
        with pytest.raises(BadAnswer, match="no <notes xmlns='urn:example:notes'/>"):
            await private.fetch(client, "notes", "urn:example:notes")
        with pytest.raises(ValueError, match="namespace"):
            await private.store(client, Element("notes"))
    played.done()
