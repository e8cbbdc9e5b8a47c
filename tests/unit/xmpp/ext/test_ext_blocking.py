"""Blocking: requests, answers, and changes by another resource."""

import pytest

from amoc.xmpp import connect
from amoc.xmpp.ext import blocking
from amoc.xmpp.ext.blocking import Change
from amoc.xmpp.ext.session import BadAnswer
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

NS = "xmlns='urn:xmpp:blocking'"
DONE = "> <iq type='result' id='*' to='$JID'/>"
ASK = f"<iq type='get' id='*'><blocklist {NS}/></iq>"


async def test_the_calls(embedded: EmbeddedServer) -> None:
    played = replay(
        embedded,
        [
            f"<iq type='set' id='*'><block {NS}><item jid='raven@localhost'/><item jid='x.example'/></block></iq>",
            DONE,
            ASK,
            f"> <iq type='result' id='*' to='$JID'><blocklist {NS}><item jid='raven@localhost'/></blocklist></iq>",
            f"<iq type='set' id='*'><unblock {NS}><item jid='raven@localhost'/></unblock></iq>",
            DONE,
            f"<iq type='set' id='*'><unblock {NS}/></iq>",
            DONE,
            ASK,
            f"> <iq type='result' id='*' to='$JID'><blocklist {NS}/></iq>",
        ],
    )
    async with connect(1) as client:
        await blocking.block(client, "raven@localhost", "x.example")
        assert await blocking.blocked(client) == {"raven@localhost"}
        await blocking.unblock(client, "raven@localhost")
        await blocking.unblock(client)
        assert await blocking.blocked(client) == frozenset()
        with pytest.raises(ValueError, match="block whom"):
            await blocking.block(client)
    played.done()


@pytest.mark.parametrize(
    "content", ["", "<blocklist xmlns='urn:example:other'/>", f"<blocklist {NS}><item/></blocklist>"]
)
async def test_answers_that_make_no_sense(embedded: EmbeddedServer, content: str) -> None:
    replay(embedded, [ASK, f"> <iq type='result' id='*' to='$JID'>{content}</iq>"])
    async with connect(1) as client:
        with pytest.raises(BadAnswer, match=r"^user 1 \(user_1@localhost at .*\): the server answered with"):
            await blocking.blocked(client)


async def test_changes_by_another_resource(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:

        def change(content: str, attributes: str = "type='set'") -> Change | None:
            return blocking.parse(xml(f"<iq id='p1' {attributes}>{content}</iq>"), client)

        block = f"<block {NS}><item jid='raven@localhost'/></block>"
        assert change(block) == Change("block", frozenset({"raven@localhost"}))
        assert change(block, "type='set' from='user_1@localhost'") == Change("block", frozenset({"raven@localhost"}))
        assert change(f"<unblock {NS}/>") == Change("unblock", frozenset())
        assert change(block, "type='set' from='raven@localhost'") is None, "a stranger says so"
        assert change(block, "type='get'") is None
        assert change("<block xmlns='urn:example:other'/>") is None
        with pytest.raises(BadAnswer, match="without address"):
            change(f"<block {NS}><item/></block>")
        answer = blocking.answer(xml("<iq id='p1' type='set'/>"))
        assert answer.attrs == {"type": "result", "id": "p1"}


def test_errors_of_what_is_blocked() -> None:
    condition = "<not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
    error = "<message type='error'><error type='cancel'>" + condition + "{}</error></message>"
    assert blocking.was_blocked(xml(error.format("<blocked xmlns='urn:xmpp:blocking:errors'/>")))
    assert not blocking.was_blocked(xml(error.format("")))
    assert not blocking.was_blocked(xml("<message/>"))
