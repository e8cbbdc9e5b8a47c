"""Personal eventing: what is sent and asked; the rest is publish-subscribe."""

import pytest

from amoc.xmpp import Element, connect
from amoc.xmpp.ext import disco, pep
from amoc.xmpp.ext.pubsub import Item
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

PS = "xmlns='http://jabber.org/protocol/pubsub'"
NODE = "urn:example:mood"


async def test_the_calls(embedded: EmbeddedServer) -> None:
    played = replay(
        embedded,
        [
            f"<iq type='set' id='*'><pubsub {PS}><publish node='{NODE}'><item id='current'>"
            f"<mood xmlns='{NODE}'/></item></publish></pubsub></iq>",
            "> <iq type='result' id='*' to='$JID'/>",
            f"<iq type='set' id='*'><pubsub {PS}><retract node='{NODE}' notify='true'><item id='current'/>"
            "</retract></pubsub></iq>",
            "> <iq type='result' id='*' to='$JID' from='$ACCOUNT'/>",
            f"<iq type='get' id='*' to='user_2@localhost'><pubsub {PS}><items node='{NODE}' max_items='1'/>"
            "</pubsub></iq>",
            "> <iq type='result' id='*' to='$JID' from='user_2@localhost'>"
            f"<pubsub {PS}><items node='{NODE}'><item id='current'/></items></pubsub></iq>",
        ],
    )
    async with connect(1) as client:
        assert await pep.publish(client, NODE, Element(f"{{{NODE}}}mood")) == "current"
        await pep.retract(client, NODE)
        assert await pep.items(client, "user_2@localhost", NODE, max=1) == (Item("current"),)
    played.done()


def test_interests_are_named_and_explained() -> None:
    interests = pep.Interests([NODE, "urn:example:tune"])
    presence = xml(str(interests.presence))
    capabilities = presence.find("c", "http://jabber.org/protocol/caps")
    assert capabilities is not None
    node = f"{capabilities.get('node')}#{capabilities.get('ver')}"

    def question(attribute: str) -> Element:
        return xml(
            "<iq type='get' id='q1' from='localhost'>"
            f"<query xmlns='http://jabber.org/protocol/disco#info' {attribute}/></iq>"
        )

    for attribute in (f"node='{node}'", ""):
        answer = interests.answer(question(attribute))
        assert answer is not None
        assert (answer.get("type"), answer.get("id"), answer.get("to")) == ("result", "q1", "localhost")
        info = disco.parse_info(xml(str(answer)))
        assert {f"{NODE}+notify", "urn:example:tune+notify"} < info.features
        assert disco.verification(info) == capabilities.get("ver")
    assert interests.answer(question("node='another'")) is None
    assert interests.answer(xml("<iq type='get' id='q1'><query xmlns='jabber:iq:version'/></iq>")) is None
    assert pep.Interests(["urn:example:tune"]).presence != interests.presence


async def test_announcing(embedded: EmbeddedServer) -> None:
    caps = disco.caps(pep.Interests([NODE]).info, pep.CLIENT)
    request = (
        "<iq type='get' id='q1' from='localhost'><query xmlns='http://jabber.org/protocol/disco#info' "
        f"node='{pep.CLIENT}#{caps.get('ver')}'/></iq>"
    )
    played = replay(
        embedded,
        [
            f"<presence>{caps}</presence>",
            "> " + request,
            str(disco.answer(xml(request), pep.Interests([NODE]).info)),
            f"<presence>{caps}</presence>",
        ],
    )
    async with connect(1) as client:
        assert await pep.announce(client, [NODE], timeout=5) is True
        assert await pep.announce(client, [NODE], timeout=0.02) is False
    played.done()


@pytest.mark.parametrize(("sender", "bare"), [("from='crow@localhost/x'", "crow@localhost"), ("", "")])
def test_news(sender: str, bare: str) -> None:
    news = pep.parse(
        xml(
            f"<message {sender}><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{NODE}'>"
            "<item id='current'/></items></event></message>"
        )
    )
    assert news is not None
    assert (news.sender, news.event.node, news.event.items) == (bare, NODE, (Item("current"),))
    assert pep.parse(xml("<message><body>plain</body></message>")) is None
