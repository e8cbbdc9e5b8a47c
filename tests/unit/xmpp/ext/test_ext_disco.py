"""Service discovery: what others say they are, what we say we are, and the hash that stands for it."""

import pytest

from amoc.xmpp import IqError, connect
from amoc.xmpp.ext import disco
from amoc.xmpp.ext.session import BadAnswer
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

ITEMS = "<query xmlns='http://jabber.org/protocol/disco#items'{}/>"
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'{}/>"
NODE = " node='a b'"


def info_of(content: str) -> disco.Info:
    return disco.parse_info(xml(f"<iq><query xmlns='http://jabber.org/protocol/disco#info'>{content}</query></iq>"))


async def test_info_and_items_of_a_node(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                f"<iq type='get' to='localhost' id='*'>{INFO.format(NODE)}</iq>",
                "> <iq type='result' from='localhost' id='*'><query xmlns='http://jabber.org/protocol/disco#info'>"
                "<identity category='server' type='im' name='&lt;crow&gt;' xml:lang='en'/>"
                "<feature var='urn:a'/><feature var='urn:b'/>"
                "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE'><value>urn:f</value></field></x>"
                "</query></iq>",
                f"<iq type='get' to='localhost' id='*'>{ITEMS.format('')}</iq>",
                "> <iq type='result' from='localhost' id='*'><query xmlns='http://jabber.org/protocol/disco#items'>"
                "<item jid='muc.localhost' name='Rooms'/><item jid='localhost' node='config'/></query></iq>",
            ],
        )
        info = await disco.info(client, "localhost", "a b")
        assert info.identities == (disco.Identity("server", "im", "<crow>", "en"),)
        assert info.features == {"urn:a", "urn:b"}
        assert info.forms[0].form_type == "urn:f"
        assert info.is_a("server")
        assert info.is_a("server", "im")
        assert not info.is_a("server", "pep")
        assert await disco.items(client, "localhost") == (
            disco.Item("muc.localhost", "", "Rooms"),
            disco.Item("localhost", "config", ""),
        )
        played.done()


async def test_find_a_service_among_others_that_refuse(embedded: EmbeddedServer) -> None:
    def about(jid: str, answer: str) -> list[str]:
        asked = f"<iq type='get' to='{jid}' id='*'>{INFO.format('')}</iq>"
        return [asked, f"> <iq from='{jid}' id='*' {answer}</iq>"]

    listed = [
        f"<iq type='get' to='localhost' id='*'>{ITEMS.format('')}</iq>",
        "> <iq type='result' from='localhost' id='*'><query xmlns='http://jabber.org/protocol/disco#items'>"
        "<item jid='one.localhost'/><item jid='two.localhost'/></query></iq>",
        *about(
            "one.localhost",
            "type='error'><error type='cancel'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
        ),
        *about(
            "two.localhost",
            "type='result'><query xmlns='http://jabber.org/protocol/disco#info'>"
            "<identity category='conference' type='text'/></query>",
        ),
    ]
    async with connect(1) as client:
        played = replay(embedded, listed + listed)
        assert await disco.find_service(client, "localhost", "conference", "text") == "two.localhost"
        assert await disco.find_service(client, "localhost", "pubsub") is None
        played.done()


async def test_who_is_asked_may_refuse_or_talk_nonsense(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with pytest.raises(IqError, match="service-unavailable"):
            await disco.info(client, "localhost")
        replay(
            embedded,
            [
                f"<iq type='get' to='localhost' id='*'>{INFO.format('')}</iq>",
                "> <iq type='result' from='localhost' id='*'/>",
            ],
        )
        with pytest.raises(BadAnswer, match=r"no <query xmlns='http://jabber\.org/protocol/disco#info'/>"):
            await disco.info(client, "localhost")


def test_our_answer_says_what_we_are() -> None:
    me = disco.Info.of([disco.Identity("client", "bot", "amoc", "en")], ["urn:xmpp:ping"])
    request = xml(f"<iq type='get' from='a@b/c' id='q'>{INFO.format(NODE)}</iq>")
    assert disco.is_request(request)
    assert not disco.is_request(xml(f"<iq type='get'>{ITEMS.format('')}</iq>"))
    answer = xml(str(disco.answer(request, me)))
    assert (answer.get("to"), answer.get("id"), answer.get("type")) == ("a@b/c", "q", "result")
    assert disco.parse_info(answer) == me
    query = answer.find("query")
    assert query is not None
    assert query.get("node") == "a b"


def test_the_hash_is_that_of_the_standard() -> None:
    """The two examples whose hashes XEP-0115 gives (5.2 and 5.3)."""
    simple = disco.Info.of(
        [disco.Identity("client", "pc", "Exodus 0.9.1")],
        ["http://jabber.org/protocol/caps", disco.INFO, disco.ITEMS, "http://jabber.org/protocol/muc"],
    )
    assert disco.verification(simple) == "QgayPKawpkPSDYmwT/WM94uAlu0="
    client = "<identity category='client' type='pc' name='{}' xml:lang='{}'/>"
    fields = {"os": "Mac", "os_version": "10.5.1", "software": "Psi", "software_version": "0.11"}
    complex = info_of(
        client.format("Psi 0.11", "en")
        + client.format("\u03a8 0.11", "el")
        + "".join(
            f"<feature var='http://jabber.org/protocol/{name}'/>"
            for name in ("caps", "disco#info", "disco#items", "muc")
        )
        + "<x xmlns='jabber:x:data' type='result'>"
        "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>"
        "<field var='ip_version'><value>ipv4</value><value>ipv6</value></field>"
        + "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in fields.items())
        + "</x>"
    )
    assert disco.verification(complex) == "q07IKJEyjvHSyhy//CH0CxmKi8w="
    assert len(disco.verification(simple, "sha-256")) == 44
    c = xml(str(disco.caps(simple, "urn:amoc")))
    assert (c.ns, c.get("hash"), c.get("node")) == (disco.CAPS, "sha-1", "urn:amoc")
    assert c.get("ver") == "QgayPKawpkPSDYmwT/WM94uAlu0="
