"""Collecting and expecting: ahead of handlers, filters and `receive`, and nothing stays behind."""

import asyncio
from collections.abc import Callable

import pytest

from amoc import metrics
from amoc.config import Config
from amoc.xmpp import Client, Disconnected, Element, IqError, ReceiveTimeout, SendOverflow, connect
from amoc.xmpp.collecting import Collected
from amoc.xmpp.server import EmbeddedServer
from amoc.xmpp.transport import connection as transport_connection

PING = Element("{urn:xmpp:ping}ping")
QUESTION = Element("{urn:example}question")


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


async def settled(client: Client) -> None:
    """Everything that was sent to the server before has come back."""
    await client.iq("get", None, PING)


def bodies(stanzas: list[Element]) -> list[str]:
    return [stanza.findtext("body", default="") for stanza in stanzas]


def asks(stanza: Element) -> bool:
    return stanza.name == "iq" and stanza.find("question") is not None


# -- ahead of everybody --------------------------------------------------------------------------------


@pytest.mark.parametrize("management", ["off", "on"])
async def test_ahead_of_handlers_filters_and_receive(
    embedded: EmbeddedServer, settings: Config, management: str
) -> None:
    settings.set("xmpp_stream_management", management)
    async with connect(1) as client, connect(2) as asking:
        handled: list[Element] = []
        for name in ("message", "iq"):
            client.on(name, handled.append)
        client.ignore("presence")
        waiting = asyncio.create_task(client.receive(timeout=5))
        await asyncio.sleep(0)
        with client.collect(None) as collected:
            client.send_presence()
            client.send_message(client.jid, "hello")
            asking.send(Element("iq", {"type": "get", "id": "q", "to": client.jid}, QUESTION))
            names = [(await collected.get(timeout=5)).name for _ in range(3)]
            assert sorted(names) == ["iq", "message", "presence"]
            assert handled == []
            client.send(Element("iq", {"type": "result", "id": "q", "to": asking.jid}))
        client.send_message(client.jid, "again")
        client.send_presence("away", client.jid)
        await settled(client)
        assert bodies(handled) == ["again"]
        assert not waiting.done()
        waiting.cancel()


async def test_an_iqs_answer_goes_to_who_asked(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with client.collect(None) as collected:
            assert (await client.iq("get", None, PING)).get("type") == "result"
            with pytest.raises(IqError):
                await client.iq("get", None, QUESTION)
            assert len(collected) == 0


async def test_by_name_and_by_function(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with (
            client.collect("presence") as presence,
            client.collect(lambda stanza: stanza.findtext("body") == "b") as b,
        ):
            client.send_presence()
            for body in "abc":
                client.send_message(client.jid, body)
            await settled(client)
            assert [len(presence), len(b)] == [1, 1]
            assert [stanza.name for stanza in presence] == ["presence"]
            assert bodies(b.taken()) == ["b"]
            assert b.taken() == []
        assert [(await client.receive(timeout=0)).findtext("body") for _ in range(2)] == ["a", "c"]


async def test_what_came_before_is_not_collected(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        client.send_message(client.jid, "before")
        await settled(client)
        late = pytest.raises(ReceiveTimeout, match=r"^user 1 \(user_1@localhost at .*within 0.01 s")
        with client.collect("message") as collected, late:
            await collected.get(timeout=0.01)
        assert (await client.receive("message", timeout=0)).findtext("body") == "before"


async def test_the_inner_block_takes_first(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with client.collect("message") as outer:
            with client.collect("message") as inner:
                client.send_message(client.jid, "inside")
                client.send_message(client.jid, "left over")
                await settled(client)
                assert (await inner.get(timeout=0)).findtext("body") == "inside"
                assert len(outer) == 0
            client.send_message(client.jid, "outside")
            await settled(client)
            assert bodies(outer.taken()) == ["left over", "outside"]


# -- what is left --------------------------------------------------------------------------------------


@pytest.mark.parametrize("management", ["off", "on"])
async def test_what_is_not_taken_goes_where_it_would_have_gone(
    embedded: EmbeddedServer, settings: Config, management: str
) -> None:
    settings.set("xmpp_stream_management", management)
    async with connect(1) as client, connect(2) as asking:
        handled: list[Element] = []
        client.on("message", handled.append)
        asked = asyncio.create_task(asking.iq("get", client.jid, PING, timeout=5))
        with client.collect(None) as collected:
            for body in "abc":
                client.send_message(client.jid, body)
            client.send_presence()
            await until(lambda: len(collected) == 5)
            assert not asked.done()
            assert len(handled) == 0
        assert (await asked).get("type") == "result"
        assert bodies(handled) == ["a", "b", "c"]
        assert (await client.receive(timeout=0)).name == "presence"
        if client.management is not None:  # nothing was counted twice: the server would end such a stream
            await client.acknowledged(timeout=5)
            assert client.connected


async def test_a_stanza_given_to_a_cancelled_task_is_not_lost(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        handled: list[Element] = []
        client.on("message", handled.append)
        waiting = asyncio.create_task(client.expect("message", timeout=5))
        await asyncio.sleep(0)
        client.on_stanza(Element("message", {"id": "precious"}))
        assert handled == []
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert [stanza.get("id") for stanza in handled] == ["precious"]
        assert client._collections == ()


async def test_cancelled_or_failed_it_leaves_nothing(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:

        async def collect() -> None:
            with client.collect("message") as collected:
                await collected.get(timeout=30)

        for wait in (collect, lambda: client.expect("message", timeout=30)):
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0)
            (collection,) = client._collections
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert client._collections == ()
            assert collection._inbox._waiters == []
            assert collection._inbox._timer is None
        with pytest.raises(LookupError), client.collect("message"):
            raise LookupError
        assert client._collections == ()


async def test_who_still_waits_when_the_block_ends(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with client.collect("message") as collected:
            waiting = asyncio.create_task(collected.get(timeout=30))
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="the block that collects has ended"):
            await waiting
        with pytest.raises(RuntimeError, match="the block that collects has ended"):
            await collected.get()


# -- limits and mistakes -------------------------------------------------------------------------------


async def test_more_than_an_inbox_holds_is_dropped_and_counted(embedded: EmbeddedServer) -> None:
    async with connect(1, inbox=5) as client, connect(2) as asking:
        with client.collect(None) as collected:
            asked = asyncio.create_task(asking.iq("get", client.jid, QUESTION, timeout=5))
            await until(lambda: len(collected) == 1)
            for number in range(8):
                client.send_message(client.jid, str(number))
            await settled(client)
            assert bodies(collected.taken()) == list("34567")
            assert collected.overflowed == 4
        with pytest.raises(IqError, match="service-unavailable"):  # what is dropped is answered
            await asked
        assert client.overflowed == 0
        assert metrics.current().flush().counters["xmpp.inbox_overflow"] == 4


def mistaken(stanza: Element) -> bool:
    if stanza.findtext("body") == "b":
        raise LookupError("my own mistake")
    return stanza.name == "message"


async def test_a_match_that_raises_is_heard_of_where_it_is_awaited(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with client.collect(mistaken) as collected:
            for body in "abc":
                client.send_message(client.jid, body)
            assert (await collected.get(timeout=5)).findtext("body") == "a"
            with pytest.raises(LookupError, match="my own mistake"):
                await collected.get(timeout=5)
            with pytest.raises(LookupError, match="my own mistake"):
                await collected.get(timeout=5)
        assert [(await client.receive("message", timeout=5)).findtext("body") for _ in range(2)] == ["b", "c"]
        with pytest.raises(LookupError, match="my own mistake"):
            await client.expect(mistaken, 5, f"<message to='{client.jid}'><body>b</body></message>")


async def test_a_match_that_raises_is_heard_of_at_the_end_of_the_block_at_the_latest(embedded: EmbeddedServer) -> None:
    async def collect(own_error: Exception | None) -> None:
        with client.collect(mistaken) as collected:
            client.send_message(client.jid, "b")
            await settled(client)
            assert collected.taken() == []
            if own_error is not None:
                raise own_error

    async with connect(1) as client:
        with pytest.raises(LookupError, match="my own mistake"):
            await collect(None)
        with pytest.raises(KeyError):
            await collect(KeyError())


async def test_the_end_of_the_session(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with client.collect("message") as collected:
            client.send_message(client.jid, "last words")
            await until(lambda: len(collected) == 1)
            waiting = asyncio.create_task(client.expect("presence", timeout=30))
            await asyncio.sleep(0)
            await embedded.close()
            with pytest.raises(Disconnected, match="user 1 "):
                await waiting
            assert (await collected.get()).findtext("body") == "last words"
            with pytest.raises(Disconnected, match="user 1 "):
                await collected.get()


async def test_resumed_it_goes_on(embedded: EmbeddedServer) -> None:
    async with connect(1, stream_management="resume") as client:
        client.ignore("message")
        with client.collect("message") as collected:
            client.send_message(client.jid, "before")
            await until(lambda: len(collected) == 1)
            assert await client.resume()
            client.send_message(client.jid, "after")
            assert [(await collected.get(timeout=5)).findtext("body") for _ in range(2)] == ["before", "after"]


def test_how_it_looks() -> None:
    assert repr(Collected("message", 5, None, lambda stanza: None)) == "<Collected 0 of 'message'>"  # type: ignore[arg-type]  # never closed


# -- expecting -----------------------------------------------------------------------------------------


async def test_the_first_one_from_then_on(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        handled: list[Element] = []
        client.send_message(client.jid, "before")
        await settled(client)
        client.on("message", handled.append)
        sent = "".join(f"<message to='{client.jid}'><body>{body}</body></message>" for body in "abc")
        assert (await client.expect("message", 5, sent)).findtext("body") == "a"
        await settled(client)
        assert bodies(handled) == ["b", "c"]
        assert (await client.expect(None, send=Element("presence"))).name == "presence"
        with pytest.raises(ReceiveTimeout, match=r"^user 1 .*within 0.01 s"):
            await client.expect("presence", timeout=0.01)
        assert client._collections == ()


async def test_two_expect_the_same(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        both = [asyncio.create_task(client.expect("message", timeout=5)) for _ in range(2)]
        await asyncio.sleep(0)
        for body in "ab":
            client.send_message(client.jid, body)
        assert sorted(bodies(await asyncio.gather(*both))) == ["a", "b"]


async def test_a_request_is_answered_by_who_expected_it(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        one.on("iq", lambda stanza: pytest.fail("the handler got it"))
        asked = asyncio.create_task(two.iq("get", one.jid, QUESTION, timeout=5))
        request = await one.expect(asks, timeout=5)
        one.send(Element("iq", {"type": "result", "id": request.get("id"), "to": request.get("from")}))
        assert (await asked).get("type") == "result"


async def test_what_cannot_be_sent_is_not_expected(embedded: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connect(1) as client:
        monkeypatch.setattr(transport_connection, "MAX_UNSENT", 100)
        with pytest.raises(SendOverflow):
            await client.expect("message", timeout=5, send=Element("message", "x" * 1000))
        assert client._collections == ()
        monkeypatch.undo()
    with pytest.raises(Disconnected):
        await client.expect("message", timeout=5, send=Element("message"))
    with pytest.raises(Disconnected):
        await client.expect("message", timeout=5)
