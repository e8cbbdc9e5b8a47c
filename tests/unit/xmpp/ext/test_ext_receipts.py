"""Receipts: what asks for one, what is one, and waiting for one."""

import asyncio

import pytest

from amoc.xmpp import Element, ReceiveTimeout, StanzaError, connect
from amoc.xmpp.ext import receipts
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

NASTY = "<&'\">\r\n\t"
NS = "xmlns='urn:xmpp:receipts'"


def test_a_message_and_its_receipt() -> None:
    stanza = xml(receipts.message("raven@localhost", NASTY, NASTY))
    assert stanza.attrs == {"to": "raven@localhost", "type": "chat", "id": NASTY}
    assert stanza.findtext("body") == NASTY
    assert receipts.wants_receipt(stanza)
    assert receipts.received(stanza) is None
    stanza.attrs["from"] = "crow@localhost/" + NASTY
    answer = receipts.answer(stanza)
    assert answer is not None
    receipt = xml(answer)
    assert receipt.attrs == {"to": "crow@localhost/" + NASTY, "type": "chat"}
    assert receipts.received(receipt) == NASTY
    assert receipts.answer(receipt) is None


@pytest.mark.parametrize(
    "stanza",
    [
        f"<message from='a@b' id='1'><received {NS} id='0'/><request {NS}/></message>",
        f"<message from='a@b'><request {NS}/></message>",
        f"<message from='a@b' id='1' type='groupchat'><request {NS}/></message>",
        f"<message from='a@b' id='1' type='error'><request {NS}/></message>",
        "<message from='a@b' id='1'><request xmlns='urn:example:other'/></message>",
        "<message from='a@b' id='1'><body>plain</body></message>",
        f"<message id='1' type='groupchat'><request {NS}/></message>",
    ],
)
def test_what_gets_no_receipt(stanza: str) -> None:
    assert receipts.answer(xml(stanza)) is None


def test_a_normal_message_gets_a_normal_receipt() -> None:
    answer = receipts.answer(xml(f"<message from='a@b' id='1'><request {NS}/></message>"))
    assert answer is not None
    assert xml(answer).get("type") == "normal"


@pytest.mark.parametrize(
    "stanza",
    [
        f"<message from='a@b' type='error'><received {NS} id='0'/></message>",
        f"<message from='a@b'><received {NS}/></message>",
        "<message from='a@b'><received xmlns='urn:xmpp:chat-markers:0' id='0'/></message>",
    ],
)
def test_what_is_no_receipt(stanza: str) -> None:
    assert receipts.received(xml(stanza)) is None


async def test_waiting_for_a_receipt(embedded: EmbeddedServer) -> None:
    def of(sender: str, ident: str) -> str:
        return f"> <message from='{sender}' to='$JID'><received {NS} id='{ident}'/></message>"

    played = replay(
        embedded,
        [
            f"<message to='Raven@localhost' type='chat' id='m1'><body>hello</body><request {NS}/></message>",
            of("raven@localhost/tree", "m0"),  # of an earlier message
            of("stranger@localhost/tree", "m1"),  # he has no business with it
            "> <message from='raven@localhost/tree' to='$JID' id='m1'><body>not a receipt</body></message>",
            of("raven@localhost/tree", "m1"),
        ],
    )
    async with connect(1) as client:
        receipt = await receipts.deliver(client, "Raven@localhost", "hello", id="m1", timeout=5)
        assert receipt.get("from") == "raven@localhost/tree"
        left = [await client.receive("message", timeout=5) for _ in range(3)]
        assert [stanza.get("from") for stanza in left][1] == "stranger@localhost/tree"
    played.done()


async def test_a_message_that_comes_back(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with pytest.raises(StanzaError) as refused:
            await receipts.deliver(client, "user_99@localhost", "hello", timeout=5)
        assert refused.value.condition == "service-unavailable"


async def test_no_receipt(embedded: EmbeddedServer) -> None:
    async with connect(1) as client, connect(2) as silent:
        with pytest.raises(ReceiveTimeout):
            await receipts.deliver(client, silent.jid, "hello", timeout=0.05)
        assert receipts.wants_receipt(await silent.receive("message", timeout=5))


async def test_cancelling_leaves_nothing(embedded: EmbeddedServer) -> None:
    async with connect(1) as client, connect(2) as silent:
        waiting = asyncio.create_task(receipts.deliver(client, silent.jid, "hello", id="m1"))
        await silent.receive("message", timeout=5)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        silent.send(receipts.receipt(client.jid, "m1"))
        assert receipts.received(await client.receive("message", timeout=5)) == "m1"
        assert isinstance(await client.iq("get", None, Element("{urn:xmpp:ping}ping")), Element)
