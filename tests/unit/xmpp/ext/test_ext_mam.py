"""Archives: queries, results that belong to them, pages, lost messages, preferences; and result sets."""

from datetime import UTC, datetime

import pytest

from amoc.xmpp import IqError, ReceiveTimeout, connect
from amoc.xmpp.ext import mam, rsm
from amoc.xmpp.ext.session import BadAnswer
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import Replay, replay, xml

SET = "<set xmlns='http://jabber.org/protocol/rsm'>{}</set>"


def ask(content: str = "", to: str = "") -> str:
    return f"<iq type='set' id='*'{to}><query xmlns='urn:xmpp:mam:2' queryid='*'>{content}</query></iq>"


def result(
    ident: str, *, queryid: str = "$QUERYID", sender: str = "$ACCOUNT", stamp: str = "2026-01-02T03:04:05Z"
) -> str:
    return (
        f"> <message from='{sender}'><result xmlns='urn:xmpp:mam:2' queryid='{queryid}' id='{ident}'>"
        f"<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='{stamp}'/>"
        f"<message xmlns='jabber:client' from='a@b/c' type='chat'><body>text {ident}</body></message>"
        "</forwarded></result></message>"
    )


def fin(first: str = "", last: str = "", attributes: str = "", count: str = "3") -> str:
    ends = f"<first index='0'>{first}</first><last>{last}</last>" if last else ""
    part = SET.format(f"{ends}<count>{count}</count>")
    return f"> <iq type='result' id='*'><fin xmlns='urn:xmpp:mam:2'{attributes}>{part}</fin></iq>"


async def test_a_page(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                ask(SET.format("<max>2</max><before/>")),
                result("x1"),
                result("x2", stamp="soon"),
                fin("x1", "x2", " complete='true' stable='false'"),
            ],
        )
        page = await mam.last(client, 2)
        played.done()
        assert [(m.id, m.message.findtext("body")) for m in page.messages] == [("x1", "text x1"), ("x2", "text x2")]
        assert [m.stamp for m in page.messages] == [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None]
        assert page.part == rsm.Part("x1", "x2", 0, 3)
        assert (page.complete, page.stable) == (True, False)


async def test_all_pages(embedded: EmbeddedServer) -> None:
    form = (
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value>"
        "</field><field var='with'><value>a@b</value></field></x>"
    )
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                ask(form + SET.format("<max>2</max>")),
                result("x1"),
                result("x2"),
                fin("x1", "x2"),
                ask(form + SET.format("<max>2</max><after>x2</after>")),
                result("x3"),
                fin("x3", "x3", " complete='true'"),
            ],
        )
        found = [[m.id for m in page.messages] async for page in mam.pages(client, max=2, with_jid="a@b")]
        played.done()
        assert found == [["x1", "x2"], ["x3"]]


async def test_an_archive_that_never_says_complete_ends_with_an_empty_page(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        replay(embedded, [ask(SET.format("<max>50</max>")), fin(count="0")])
        assert [page.messages async for page in mam.pages(client)] == [()]


async def test_results_of_others_do_not_count(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        replay(
            embedded,
            [
                ask(),
                result("f1", sender="user_2@localhost"),
                result("f2", queryid="another"),
                "> <message from='a@b'><body>hello</body></message>",
                result("x1"),
                fin("x1", "x1"),
            ],
        )
        page = await mam.query(client)
        assert [m.id for m in page.messages] == ["x1"]
        for _ in range(3):  # they are there for whoever wants them
            await client.receive("message", timeout=5)
        with pytest.raises(ReceiveTimeout):
            await client.receive("message", timeout=0.01)


async def test_the_archive_of_a_room(embedded: EmbeddedServer) -> None:
    room = "nest@conference.localhost"
    done = fin("x1", "x1").replace("type=", f"from='{room}' type=")
    async with connect(1) as client:
        replay(embedded, [ask(to=f" to='{room}'"), result("f1"), result("x1", sender=room), done])
        page = await mam.query(client, to=room)
        assert [m.id for m in page.messages] == ["x1"]


async def test_messages_that_did_not_come_are_missed(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        replay(embedded, [ask(), fin("x1", "x1")])
        with pytest.raises(mam.MessagesLost, match=r"^user 1 .*from x1 to x1.*0 messages received") as lost:
            await mam.query(client)
        assert lost.value.page.messages == ()


async def test_an_inbox_that_is_too_small(embedded: EmbeddedServer) -> None:
    async with connect(1, inbox=2) as client:
        replay(embedded, [ask(), *(result(f"x{n}") for n in range(3)), fin("x0", "x2")])
        with pytest.raises(mam.MessagesLost) as lost:
            await mam.query(client)
        assert [m.id for m in lost.value.page.messages] == ["x1", "x2"]


async def test_refusals_and_nonsense(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with pytest.raises(IqError, match="service-unavailable"):
            await mam.query(client)
        replay(embedded, [ask(), "> <iq type='result' id='*'/>"])
        with pytest.raises(BadAnswer, match=r"no <fin xmlns='urn:xmpp:mam:2'/>"):
            await mam.query(client)
        replay(embedded, [ask(), fin(count="many")])
        with pytest.raises(BadAnswer, match="'many' instead of a number"):
            await mam.query(client)
        empty = "> <message><result xmlns='urn:xmpp:mam:2' queryid='$QUERYID' id='x'/></message>"
        replay(embedded, [ask(), empty, fin("x", "x")])
        with pytest.raises(BadAnswer, match="no message in a result"):
            await mam.query(client)


async def test_preferences(embedded: EmbeddedServer) -> None:
    prefs = "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>a@b</jid></always><never/></prefs>"
    answer = f"> <iq type='result' id='*'>{prefs}</iq>"
    async with connect(1) as client:
        played: Replay = replay(
            embedded,
            [
                "<iq type='get' id='*'><prefs xmlns='urn:xmpp:mam:2'/></iq>",
                answer,
                f"<iq type='set' id='*'>{prefs}</iq>",
                answer,
                "<iq type='get' id='*'><prefs xmlns='urn:xmpp:mam:2'/></iq>",
                "> <iq type='result' id='*'><prefs xmlns='urn:xmpp:mam:2'/></iq>",
            ],
        )
        assert await mam.preferences(client) == mam.Preferences("roster", ("a@b",), ())
        assert await mam.set_preferences(client, "roster", ["a@b"]) == mam.Preferences("roster", ("a@b",), ())
        assert await mam.preferences(client) == mam.Preferences("", (), ())
        played.done()


def test_times_are_asked_for_in_utc() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    text = str(mam.request("q", start=when, end=when, after="x"))
    assert "<field var='start'><value>2026-01-02T03:04:05Z</value></field>" in text
    assert "<field var='end'><value>2026-01-02T03:04:05Z</value></field>" in text
    assert "<after>x</after>" in text


def test_result_sets() -> None:
    assert xml(str(rsm.request(max=0, index=3))) == xml(SET.format("<max>0</max><index>3</index>"))
    assert xml(str(rsm.request(before=""))) == xml(SET.format("<before/>"))
    assert rsm.parse(xml("<query/>")) == rsm.Part()
    assert rsm.parse(xml(f"<q>{SET.format('<first>a</first><last>b</last>')}</q>")) == rsm.Part("a", "b", None, None)
