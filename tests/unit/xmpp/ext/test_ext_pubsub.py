"""Publish-subscribe on the wire: requests as the XEP has them, answers, events, and what makes no sense."""

import copy
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from amoc.xmpp import Client, Element, IqError, connect
from amoc.xmpp.ext import pubsub
from amoc.xmpp.ext.pubsub import Event, Item, PubSubError, Subscription
from amoc.xmpp.ext.session import BadAnswer
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

PS = "xmlns='http://jabber.org/protocol/pubsub'"
OWNER = "xmlns='http://jabber.org/protocol/pubsub#owner'"
SERVICE = "pubsub.localhost"
ENTRY = Element("{urn:example:news}entry", "hello")

Call = Callable[[Client], Awaitable[Any]]


def ask(type: str, payload: str) -> str:
    return f"<iq type='{type}' id='*' to='{SERVICE}'>{payload}</iq>"


def tell(payload: str = "") -> str:
    return f"> <iq type='result' id='*' from='{SERVICE}' to='$JID'>{payload}</iq>"


def form(kind: str, **values: str) -> str:
    fields = "".join(f"<field var='pubsub#{var}'><value>{value}</value></field>" for var, value in values.items())
    return (
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
        f"<value>http://jabber.org/protocol/pubsub#{kind}</value></field>{fields}</x>"
    )


EXCHANGES: dict[str, tuple[Call, str, str, Any]] = {
    "create": (
        lambda client: pubsub.create(client, SERVICE, "news"),
        ask("set", f"<pubsub {PS}><create node='news'/></pubsub>"),
        tell(),
        "news",
    ),
    "create, name by the service": (
        lambda client: pubsub.create(client, SERVICE, config={"pubsub#persist_items": False}),
        ask("set", f"<pubsub {PS}><create/><configure>{form('node_config', persist_items='0')}</configure></pubsub>"),
        tell(f"<pubsub {PS}><create node='25e3d37d'/></pubsub>"),
        "25e3d37d",
    ),
    "configure": (
        lambda client: pubsub.configure(client, SERVICE, "news", {"pubsub#max_items": 10}),
        ask(
            "set", f"<pubsub {OWNER}><configure node='news'>{form('node_config', max_items='10')}</configure></pubsub>"
        ),
        tell(),
        None,
    ),
    "delete": (
        lambda client: pubsub.delete(client, SERVICE, "news"),
        ask("set", f"<pubsub {OWNER}><delete node='news'/></pubsub>"),
        tell(),
        None,
    ),
    "purge": (
        lambda client: pubsub.purge(client, SERVICE, "news"),
        ask("set", f"<pubsub {OWNER}><purge node='news'/></pubsub>"),
        tell(),
        None,
    ),
    "affiliations": (
        lambda client: pubsub.affiliations(client, SERVICE, "news"),
        ask("get", f"<pubsub {OWNER}><affiliations node='news'/></pubsub>"),
        tell(
            f"<pubsub {OWNER}><affiliations node='news'><affiliation jid='a@b' affiliation='owner'/>"
            "<affiliation jid='c@b' affiliation='publisher'/></affiliations></pubsub>"
        ),
        {"a@b": "owner", "c@b": "publisher"},
    ),
    "affiliate": (
        lambda client: pubsub.affiliate(client, SERVICE, "news", {"c@b": "publisher"}),
        ask(
            "set",
            f"<pubsub {OWNER}><affiliations node='news'><affiliation jid='c@b' affiliation='publisher'/>"
            "</affiliations></pubsub>",
        ),
        tell(),
        None,
    ),
    "publish": (
        lambda client: pubsub.publish(client, SERVICE, "news", ENTRY),
        ask(
            "set",
            f"<pubsub {PS}><publish node='news'><item><entry xmlns='urn:example:news'>hello</entry></item>"
            "</publish></pubsub>",
        ),
        tell(f"<pubsub {PS}><publish node='news'><item id='ae890ac5'/></publish></pubsub>"),
        "ae890ac5",
    ),
    "publish, nothing said": (
        lambda client: pubsub.publish(client, SERVICE, "news"),
        ask("set", f"<pubsub {PS}><publish node='news'><item/></publish></pubsub>"),
        tell(),
        "",
    ),
    "publish with id and options": (
        lambda client: pubsub.publish(client, SERVICE, "news", id="i1", options={"pubsub#access_model": "open"}),
        ask(
            "set",
            f"<pubsub {PS}><publish node='news'><item id='i1'/></publish>"
            f"<publish-options>{form('publish-options', access_model='open')}</publish-options></pubsub>",
        ),
        tell(),
        "i1",
    ),
    "retract": (
        lambda client: pubsub.retract(client, SERVICE, "news", "i1"),
        ask("set", f"<pubsub {PS}><retract node='news' notify='true'><item id='i1'/></retract></pubsub>"),
        tell(),
        None,
    ),
    "retract quietly": (
        lambda client: pubsub.retract(client, SERVICE, "news", "i1", notify=False),
        ask("set", f"<pubsub {PS}><retract node='news'><item id='i1'/></retract></pubsub>"),
        tell(),
        None,
    ),
    "items": (
        lambda client: pubsub.items(client, SERVICE, "news", max=2),
        ask("get", f"<pubsub {PS}><items node='news' max_items='2'/></pubsub>"),
        tell(
            f"<pubsub {PS}><items node='news'><item id='i1' publisher='a@b'>\n"
            "<entry xmlns='urn:example:news'>hello</entry></item><item id='i2'/></items></pubsub>"
        ),
        (Item("i1", ENTRY, "a@b"), Item("i2")),
    ),
    "items by id": (
        lambda client: pubsub.items(client, SERVICE, "news", ids=["i1", "i2"]),
        ask("get", f"<pubsub {PS}><items node='news'><item id='i1'/><item id='i2'/></items></pubsub>"),
        tell(f"<pubsub {PS}><items node='news'/></pubsub>"),
        (),
    ),
    "subscribe": (
        lambda client: pubsub.subscribe(client, SERVICE, "news", options={"pubsub#digest": True}),
        ask(
            "set",
            f"<pubsub {PS}><subscribe node='news' jid='$ACCOUNT'/>"
            f"<options>{form('subscribe_options', digest='1')}</options></pubsub>",
        ),
        tell(f"<pubsub {PS}><subscription node='news' jid='$ACCOUNT' subid='s1' subscription='pending'/></pubsub>"),
        Subscription("news", "user_1@localhost", "pending", "s1"),
    ),
    "unsubscribe": (
        lambda client: pubsub.unsubscribe(client, SERVICE, "news", client.jid, "s1"),
        ask("set", f"<pubsub {PS}><unsubscribe node='news' jid='$JID' subid='s1'/></pubsub>"),
        tell(),
        None,
    ),
    "subscriptions": (
        lambda client: pubsub.subscriptions(client, SERVICE),
        ask("get", f"<pubsub {PS}><subscriptions/></pubsub>"),
        tell(
            f"<pubsub {PS}><subscriptions><subscription node='one' jid='a@b' subscription='subscribed'/>"
            "<subscription node='two' jid='a@b/c' subscription='none' subid='9'/></subscriptions></pubsub>"
        ),
        (Subscription("one", "a@b"), Subscription("two", "a@b/c", "none", "9")),
    ),
    "subscriptions to one node": (
        lambda client: pubsub.subscriptions(client, SERVICE, "one"),
        ask("get", f"<pubsub {PS}><subscriptions node='one'/></pubsub>"),
        tell(f"<pubsub {PS}><subscriptions node='one'><subscription jid='a@b'/></subscriptions></pubsub>"),
        (Subscription("one", "a@b"),),
    ),
}


@pytest.mark.parametrize("name", EXCHANGES)
async def test_an_exchange(embedded: EmbeddedServer, name: str) -> None:
    call, question, answer, expected = EXCHANGES[name]
    played = replay(embedded, [question, answer])
    async with connect(1) as client:
        result = await call(client)
    played.done()
    if name.startswith("items"):
        assert [(item.id, item.publisher) for item in result] == [(item.id, item.publisher) for item in expected]
        assert [item.payload and item.payload.text for item in result] == [
            item.payload and item.payload.text for item in expected
        ]
    else:
        assert result == expected


async def test_the_settings_of_a_node(embedded: EmbeddedServer) -> None:
    played = replay(
        embedded,
        [
            ask("get", f"<pubsub {OWNER}><configure node='news'/></pubsub>"),
            tell(f"<pubsub {OWNER}><configure node='news'>{form('node_config', max_items='7')}</configure></pubsub>"),
        ],
    )
    async with connect(1) as client:
        found = await pubsub.configuration(client, SERVICE, "news")
    assert found.get("pubsub#max_items") == "7"
    played.done()


NONSENSE: list[tuple[Call, str]] = [
    (lambda client: pubsub.create(client, SERVICE), ""),
    (lambda client: pubsub.create(client, SERVICE), f"<pubsub {PS}><create/></pubsub>"),
    (lambda client: pubsub.configuration(client, SERVICE, "news"), f"<pubsub {OWNER}/>"),
    (lambda client: pubsub.configuration(client, SERVICE, "news"), f"<pubsub {OWNER}><configure/></pubsub>"),
    (lambda client: pubsub.affiliations(client, SERVICE, "news"), f"<pubsub {PS}/>"),
    (lambda client: pubsub.items(client, SERVICE, "news"), f"<pubsub {PS}/>"),
    (lambda client: pubsub.items(client, SERVICE, "news"), "<pubsub xmlns='urn:example:other'><items/></pubsub>"),
    (lambda client: pubsub.subscribe(client, SERVICE, "news"), f"<pubsub {PS}/>"),
    (lambda client: pubsub.subscribe(client, SERVICE, "news"), f"<pubsub {PS}><subscription node='news'/></pubsub>"),
    (lambda client: pubsub.subscriptions(client, SERVICE), ""),
]


@pytest.mark.parametrize(("call", "payload"), NONSENSE)
async def test_answers_that_make_no_sense(embedded: EmbeddedServer, call: Call, payload: str) -> None:
    async with connect(1) as client:
        replay(embedded, ["<iq id='*' type='*' to='*'><pubsub xmlns='*'/></iq>", tell(payload)])
        with pytest.raises(BadAnswer, match=r"answered with"):
            await call(client)


async def test_refusals(embedded: EmbeddedServer) -> None:
    def refuse(condition: str, detail: str = "") -> list[str]:
        return [
            ask("get", f"<pubsub {PS}><items node='news'/></pubsub>"),
            f"> <iq type='error' id='*' from='{SERVICE}' to='$JID'><error type='cancel'>"
            f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{detail}</error></iq>",
        ]

    errors = "xmlns='http://jabber.org/protocol/pubsub#errors'"
    unsupported = f"<unsupported {errors} feature='retrieve-items'/>"
    played = replay(
        embedded,
        refuse("feature-not-implemented", unsupported)
        + refuse("not-allowed", f"<closed-node {errors}/>")
        + refuse("item-not-found"),
    )
    async with connect(1) as client:
        with pytest.raises(
            PubSubError, match=r"user 1 .*feature-not-implemented: unsupported retrieve-items"
        ) as refused:
            await pubsub.items(client, SERVICE, "news")
        assert (refused.value.detail, refused.value.feature) == ("unsupported", "retrieve-items")
        for twin in (copy.copy(refused.value), pickle.loads(pickle.dumps(refused.value))):
            assert str(twin) == str(refused.value)
        with pytest.raises(PubSubError, match=r"closed-node$") as refused:
            await pubsub.items(client, SERVICE, "news")
        assert (refused.value.condition, refused.value.detail) == ("not-allowed", "closed-node")
        with pytest.raises(IqError) as plain:
            await pubsub.items(client, SERVICE, "news")
        assert type(plain.value) is IqError
        assert plain.value.condition == "item-not-found"
    played.done()


def event(content: str, attributes: str = "") -> Event | None:
    return pubsub.parse_event(
        xml(
            f"<message from='{SERVICE}' {attributes}>"
            f"<event xmlns='http://jabber.org/protocol/pubsub#event'>{content}</event></message>"
        )
    )


def test_events() -> None:
    published = event(
        "<items node='news'>\n<item id='i1' publisher='a@b'><entry xmlns='urn:example:news'/></item>\n"
        "<item id='i2'/><retract id='i0'/></items>"
    )
    assert published is not None
    assert (published.kind, published.node, published.retracted) == ("items", "news", ("i0",))
    assert published.items[0].payload == Element("{urn:example:news}entry")
    assert published.items[0].publisher == "a@b"
    assert published.items[1] == Item("i2")
    assert event("<purge node='news'/>") == Event("purge", "news")
    assert event("<delete node='news'/>") == Event("delete", "news")
    redirected = event("<delete node='news'><redirect uri='xmpp:elsewhere?;node=x'/></delete>")
    assert redirected == Event("delete", "news", redirect="xmpp:elsewhere?;node=x")
    assert event("<configuration node='news'/>") == Event("configuration", "news")
    configured = event(f"<configuration node='news'>{form('node_config', title='Crows')}</configuration>")
    assert configured is not None
    assert configured.form is not None
    assert configured.form.get("pubsub#title") == "Crows"
    assert event("<subscription node='news' jid='a@b' subscription='none'/>") == Event(
        "subscription", "news", subscription=Subscription("news", "a@b", "none")
    )


@pytest.mark.parametrize(
    "content", ["", "<collection node='x'/>", "<items xmlns='urn:example:other'/>", "<subscription/>"]
)
def test_events_that_are_none(content: str) -> None:
    assert event(content) is None


def test_other_messages() -> None:
    assert event("<purge node='news'/>", "type='error'") is None
    assert pubsub.parse_event(xml("<message><body>plain</body></message>")) is None


def test_a_payload_without_namespace_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a namespace"):
        pubsub.build_publish("news", Element("entry"))
