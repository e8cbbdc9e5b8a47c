"""Ad-hoc commands: through their stages, cancelled, refused, and answers that make no sense."""

import copy

import pytest

from amoc.xmpp import IqError, connect
from amoc.xmpp.ext import adhoc
from amoc.xmpp.ext.adhoc import CommandError, Note
from amoc.xmpp.ext.session import BadAnswer
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

NS = "xmlns='http://jabber.org/protocol/commands'"


def ask(attributes: str, content: str = "") -> str:
    return f"<iq type='set' id='*' to='localhost'><command {NS} node='config' {attributes}>{content}</command></iq>"


def tell(attributes: str, content: str = "") -> str:
    return (
        "> <iq type='result' id='*' from='localhost' to='$JID'>"
        f"<command {NS} node='config' sessionid='s1' {attributes}>{content}</command></iq>"
    )


def refuse(detail: str = "") -> str:
    return (
        "> <iq type='error' id='*' from='localhost' to='$JID'><error type='modify'>"
        f"<bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{detail}</error></iq>"
    )


FORM = "<x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE'><value>urn:x</value></field><field var='name'/></x>"
ANSWER = (
    "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:x</value></field>"
    "<field var='name'><value>crow</value></field></x>"
)


async def test_through_the_stages(embedded: EmbeddedServer) -> None:
    played = replay(
        embedded,
        [
            ask("action='execute'"),
            tell("status='executing'", f"<actions execute='next'><prev/><next/></actions>{FORM}"),
            ask("sessionid='s1' action='next'", ANSWER),
            tell("status='executing'", f"<actions><complete/></actions>{FORM}"),
            ask("sessionid='s1' action='prev'"),
            tell("status='executing'", FORM),
            ask("sessionid='s1' action='execute'", "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' "
                "type='hidden'><value>urn:x</value></field></x>"),
            tell("status='completed'", "<note type='warn'>done, nearly</note><note>really</note>"),
        ],
    )  # fmt: skip
    async with connect(1) as client:
        stage = await adhoc.execute(client, "localhost", "config")
        assert (stage.status, stage.session_id, stage.actions, stage.default) == (
            "executing",
            "s1",
            ("prev", "next"),
            "next",
        )
        assert stage.form is not None
        assert "name" in stage.form.fields
        stage = await adhoc.proceed(client, stage, {"name": "crow"})
        assert (stage.actions, stage.default) == (("complete",), "complete")
        stage = await adhoc.proceed(client, stage, action="prev")
        assert (stage.actions, stage.default) == ((), "execute")
        stage = await adhoc.proceed(client, stage, {})
        assert stage.status == "completed"
        assert stage.notes == (Note("warn", "done, nearly"), Note("info", "really"))
        assert stage.element.name == "command"
        with pytest.raises(ValueError, match="config is completed"):
            await adhoc.proceed(client, stage)
    played.done()


async def test_cancelled(embedded: EmbeddedServer) -> None:
    played = replay(
        embedded,
        [
            ask("action='execute'"),
            tell("status='executing'"),
            ask("sessionid='s1' action='cancel'"),
            tell("status='canceled'"),
        ],
    )
    async with connect(1) as client:
        stage = await adhoc.cancel(client, await adhoc.execute(client, "localhost", "config"))
        assert stage.status == "canceled"
        assert stage.form is None
    played.done()


async def test_what_is_offered(embedded: EmbeddedServer) -> None:
    node = "xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'"
    played = replay(
        embedded,
        [
            f"<iq type='get' id='*' to='localhost'><query {node}/></iq>",
            f"> <iq type='result' id='*' from='localhost' to='$JID'><query {node}>"
            "<item jid='localhost' node='config' name='Configure'/></query></iq>",
        ],
    )
    async with connect(1) as client:
        (command,) = await adhoc.commands(client, "localhost")
        assert (command.jid, command.node, command.name) == ("localhost", "config", "Configure")
    played.done()


async def test_refusals(embedded: EmbeddedServer) -> None:
    played = replay(
        embedded,
        [ask("action='execute'"), refuse(f"<session-expired {NS}/>"), ask("action='execute'"), refuse()],
    )
    async with connect(1) as client:
        with pytest.raises(CommandError, match=r"user 1 .*bad-request: session-expired$") as refused:
            await adhoc.execute(client, "localhost", "config")
        assert refused.value.detail == "session-expired"
        assert str(copy.copy(refused.value)) == str(refused.value)
        with pytest.raises(IqError) as plain:
            await adhoc.execute(client, "localhost", "config")
        assert type(plain.value) is IqError
    played.done()


@pytest.mark.parametrize("content", ["", f"<command {NS}/>", f"<command {NS} status='asleep'/>"])
def test_answers_that_make_no_sense(content: str) -> None:
    with pytest.raises(BadAnswer, match="command"):
        adhoc.parse(xml(f"<iq type='result'>{content}</iq>"))
