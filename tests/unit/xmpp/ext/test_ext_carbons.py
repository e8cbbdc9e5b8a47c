"""Carbons: asked for, taken apart, and not believed from strangers."""

import pytest

from amoc.xmpp import Element, IqError, connect
from amoc.xmpp.ext import carbons
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

OWN = "Crow@localhost/tree"


def copy(direction: str, sender: str | None = "crow@localhost") -> Element:
    source = f"from='{sender}'" if sender else ""
    return xml(
        f"<message {source} to='crow@localhost/tree' type='chat'><{direction} xmlns='urn:xmpp:carbons:2'>"
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='raven@localhost/nest' "
        f"to='crow@localhost/ground' type='chat'><body>hello</body></message></forwarded></{direction}></message>"
    )


@pytest.mark.parametrize("direction", ["sent", "received"])
@pytest.mark.parametrize("sender", ["crow@localhost", "CROW@localhost", None])
def test_a_copy(direction: str, sender: str | None) -> None:
    carbon = carbons.parse(copy(direction, sender), OWN)
    assert carbon is not None
    assert carbon.direction == direction
    assert carbon.message.get("from") == "raven@localhost/nest"
    assert carbon.message.findtext("body") == "hello"


@pytest.mark.parametrize("sender", ["raven@localhost", "crow@localhost/ground", "localhost", "crow@elsewhere.example"])
def test_a_forged_copy(sender: str) -> None:
    assert carbons.parse(copy("received", sender), OWN) is None


@pytest.mark.parametrize(
    "content",
    [
        "<body>plain</body>",
        "<sent xmlns='urn:xmpp:carbons:2'/>",
        "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>",
        "<private xmlns='urn:xmpp:carbons:2'/>",
        "<sent xmlns='urn:example:other'><forwarded xmlns='urn:xmpp:forward:0'><message/></forwarded></sent>",
    ],
)
def test_no_copy(content: str) -> None:
    assert carbons.parse(xml(f"<message from='crow@localhost'>{content}</message>"), OWN) is None


def test_a_private_message() -> None:
    stanza = xml(str(Element("message", *carbons.private())))
    assert stanza.find("private", "urn:xmpp:carbons:2") is not None
    assert stanza.find("no-copy", "urn:xmpp:hints") is not None


async def test_switching(embedded: EmbeddedServer) -> None:
    played = replay(
        embedded,
        [
            "<iq type='set' id='*'><enable xmlns='urn:xmpp:carbons:2'/></iq>",
            "> <iq type='result' id='*' to='$JID' from='$ACCOUNT'/>",
            "<iq type='set' id='*'><disable xmlns='urn:xmpp:carbons:2'/></iq>",
            "> <iq type='result' id='*' to='$JID'/>",
        ],
    )
    async with connect(1) as client:
        await carbons.enable(client)
        await carbons.disable(client)
    played.done()


async def test_a_server_without_carbons(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with pytest.raises(IqError, match="service-unavailable"):
            await carbons.enable(client)
