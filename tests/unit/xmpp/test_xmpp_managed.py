"""Managed sessions against the embedded server, over real sockets: acknowledged, cut, resumed, given up."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from amoc import metrics
from amoc.config import Config
from amoc.xmpp import (
    Client,
    ConnectFailed,
    Disconnected,
    Element,
    InvalidXml,
    ReceiveTimeout,
    SendOverflow,
    StreamError,
    connect,
    reconnect,
)
from amoc.xmpp.core import management as core_management
from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.accept import ServerStream
from amoc.xmpp.core.effects import Effect
from amoc.xmpp.managed import ManagedClient
from amoc.xmpp.server import EmbeddedServer, serve
from amoc.xmpp.server.listener import _Link
from amoc.xmpp.server.router import Session
from tests.support.badserver import BadServer
from tests.unit.xmpp.test_xmpp_client import PING, until

COUNTERS = ("acknowledged", "lost", "resent", "resumed", "refused")


@pytest.fixture(autouse=True)
def mode(settings: Config) -> None:
    settings.set_all({"xmpp_stream_management": "resume", "xmpp_login_timeout": 5.0})


def counts() -> dict[str, int]:
    """The counters of stream management that are not zero, since the last call."""
    counters = metrics.current().flush().counters
    return {name: counters[f"xmpp.sm.{name}"] for name in COUNTERS if counters.get(f"xmpp.sm.{name}")}


def link(server: EmbeddedServer, client: Client) -> _Link:
    """The server's side of a client's session."""
    return cast("_Link", server.router._accounts[client.jid.partition("/")[0]][client.jid])


async def bodies(client: Client, number: int) -> list[str]:
    return [(await client.receive("message", timeout=5)).findtext("body", default="") for _ in range(number)]


async def test_what_was_sent_is_acknowledged(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        assert isinstance(one, ManagedClient)
        for number in range(25):
            one.send_message(two.jid, str(number))
        await one.acknowledged()
        assert len(one.management) == 0
        assert counts() == {"acknowledged": 25}
        assert await bodies(two, 25) == [str(number) for number in range(25)]
        assert two.management is not None
        assert two.management.handled == 25
    assert counts() == {}


async def test_requests_come_by_themselves(embedded: EmbeddedServer) -> None:
    async with connect(1, ack_every=5) as client:
        assert client.management is not None
        for _ in range(12):
            client.send_message("user_1@localhost/res1", "x")
        await until(lambda: counted("acknowledged") >= 5)
        await until(lambda: len(client.management or "") < 5)


def counted(name: str) -> int:
    return counts().get(name, 0)


async def test_a_client_without_it_is_another_kind(embedded: EmbeddedServer) -> None:
    async with connect(1, stream_management="off") as client:
        assert type(client) is Client
        assert client.management is None
        with pytest.raises(ValueError, match="xmpp_stream_management is off"):
            await client.acknowledged()
        client.kill()
        assert await client.resume() is False
        assert client.connected


async def test_nothing_is_lost_and_nothing_doubled_by_a_cut(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        jid = one.jid
        for number in range(10):
            one.send_message(two.jid, str(number))
        one.send_presence()
        await one.iq("get", None, Element(PING))
        for number in range(10, 30):
            one.send_message(two.jid, str(number))
        one.kill()  # before the tick is over: none of these 20 has left
        with pytest.raises(Disconnected):
            one.send_message(two.jid, "not now")
        for number in range(7):
            two.send_message(jid, str(number))
        await two.acknowledged()
        assert await one.resume() is True
        assert one.jid == jid
        one.send_message(two.jid, "30")
        assert await bodies(two, 31) == [str(number) for number in range(31)]
        assert await bodies(one, 7) == [str(number) for number in range(7)]
        await one.acknowledged()
        assert embedded.counters.logins == 2
        seen = counts()
        assert (seen["resumed"], seen["resent"]) == (1, 20)
        assert "lost" not in seen
        with pytest.raises(ReceiveTimeout):
            await two.receive("message", timeout=0.02)
    assert counted("lost") == 0
    assert embedded.connections == embedded.sessions == 0


async def test_what_the_server_sent_into_the_void_is_sent_again(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        transport = one._connection.transport if one._connection is not None else None
        assert transport is not None
        transport.pause_reading()
        for number in range(50):
            two.send_message(one.jid, str(number))
        await two.acknowledged()
        one.kill()
        assert await one.resume()
        assert await bodies(one, 50) == [str(number) for number in range(50)]
        with pytest.raises(ReceiveTimeout):
            await one.receive("message", timeout=0.02)


async def test_the_server_cuts_the_connection(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        waiting = asyncio.ensure_future(one.receive("message"))
        await asyncio.sleep(0)
        transport = link(embedded, one).connection.transport
        assert transport is not None
        transport.abort()
        with pytest.raises(Disconnected):
            await waiting
        two.send_message(one.jid, "while you were away")
        assert await one.resume()
        assert await bodies(one, 1) == ["while you were away"]
        assert (await one.iq("get", None, Element(PING))).get("type") == "result"


async def test_many_cuts_in_a_row(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        number = 0
        for turn in range(20):
            for _ in range(turn):
                one.send_message(two.jid, str(number))
                number += 1
                if turn % 3 == 0:
                    await asyncio.sleep(0)
            one.kill()
            assert await one.resume()
        assert await bodies(two, number) == [str(sent) for sent in range(number)]
        await one.acknowledged()
        assert one.management is not None
        assert one.management.acknowledged == number


async def test_resume_while_the_connection_is_there_changes_it(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        old = client._connection
        client.send_message(client.jid, "hello")
        assert await client.resume()
        assert client._connection is not old
        assert await bodies(client, 1) == ["hello"]
        await until(lambda: embedded.connections == 1)


async def test_a_session_that_the_server_has_forgotten(settings: Config) -> None:
    async with await serve(resume_timeout=0.02) as server:
        settings.set("xmpp_servers", [f"127.0.0.1:{server.port}"])
        async with connect(1) as client:
            for _ in range(3):
                client.send_message("user_9@localhost", "x")
            client.kill()
            await until(lambda: server.sessions == 0)
            assert await client.resume() is False
            assert client.connected
            assert counts() == {"lost": 3, "refused": 1}
            assert server.counters.logins == 2
            client.kill()
            await until(lambda: server.sessions == 0)


async def test_without_resumption_what_was_on_the_way_is_lost(embedded: EmbeddedServer) -> None:
    async with connect(1, stream_management="on") as client:
        for _ in range(3):
            client.send_message(client.jid, "x")
        client.kill()
        assert counts() == {"lost": 3}
        assert await client.resume() is False
        client.send_message(client.jid, "y")
        await client.acknowledged()
        transport = link(embedded, client).connection.transport
        assert transport is not None
        client.send_message(client.jid, "z")
        transport.abort()
        await until(lambda: not client.connected)
        assert counts() in ({"acknowledged": 1, "lost": 1}, {"acknowledged": 1})
    assert embedded.sessions == 0


async def test_a_clean_goodbye_waits_for_the_acknowledgements(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        for _ in range(5):
            client.send_message("user_9@localhost", "x")
    assert counts() == {"acknowledged": 5}
    assert client.management is not None
    assert client.management.handled >= 0
    assert embedded.sessions == 0  # it is over, not suspended
    assert embedded.managed is not None
    assert len(embedded.managed) == 0


async def test_cancelled_users_give_up_their_sessions(embedded: EmbeddedServer) -> None:
    async def user() -> None:
        async with connect(1) as client:
            client.send_message(client.jid, "x")
            await client.receive("presence")

    task = asyncio.ensure_future(user())
    await until(lambda: embedded.sessions == 1)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counted("lost") == 1


async def test_only_whole_stanzas_can_be_sent_and_each_is_counted(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        management = client.management
        assert management is not None
        client.send(f"<message to='{client.jid}' id='1'/><message to='{client.jid}' id='2'/>")
        client.send(f"<message to='{client.jid}' id='3'/>".encode())
        client.send(Element("message", {"to": client.jid, "id": "4"}))
        assert len(management) == 4
        client.send(b" ")
        client.send(Element(f"{{{ns.SM}}}r"))  # not a stanza
        client.send("<r xmlns='urn:xmpp:sm:3'/>")
        assert len(management) == 4
        for wrong in ("<message>", "<message></presence>", "</message>", "text", b"\xff"):
            with pytest.raises(InvalidXml, match="whole stanzas"):
                client.send(wrong)
        assert [(await client.receive("message", timeout=5)).get("id") for _ in range(4)] == ["1", "2", "3", "4"]
        await until(lambda: len(management) == 0)
    assert counts() == {"acknowledged": 4}


async def test_a_server_that_acknowledges_nothing(embedded: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_management, "MAX_UNACKNOWLEDGED", 2_000)
    async with connect(1) as client:
        monkeypatch.setattr(_Link, "_control", lambda *_: None)
        client.send_message(client.jid, "x" * 1800)
        with pytest.raises(SendOverflow, match=r"user 1 .* the server gives none"):
            client.send_message(client.jid, "x" * 200)
        with pytest.raises(ReceiveTimeout, match=r"user 1 .* were not acknowledged within 0.02 s"):
            await client.acknowledged(timeout=0.02)


async def test_a_server_that_acknowledges_too_much(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        waiting = asyncio.ensure_future(client.receive("presence"))
        await asyncio.sleep(0)
        link(embedded, client).connection.send(b"<a xmlns='urn:xmpp:sm:3' h='5'/>")
        with pytest.raises(StreamError, match="h=5 is more than the 0 stanzas that were sent"):
            await waiting
        await until(lambda: embedded.sessions == 0)


async def test_waiting_for_acknowledgements_ends_with_the_session(
    embedded: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(1) as client:
        monkeypatch.setattr(_Link, "_control", lambda *_: None)
        client.send_message(client.jid, "x")
        waiting = asyncio.ensure_future(client.acknowledged())
        await asyncio.sleep(0)
        client.kill()
        with pytest.raises(Disconnected):
            await waiting
        with pytest.raises(Disconnected):
            await client.acknowledged()
    assert counted("lost") == 1


async def test_a_client_that_lies_about_its_session(embedded: EmbeddedServer) -> None:
    for lie in ("<a xmlns='urn:xmpp:sm:3' h='99'/>", "<b xmlns='urn:xmpp:sm:3'/>"):
        async with connect(1) as client:
            client.send(lie)
            with pytest.raises(StreamError):
                await client.receive(timeout=5)
    async with connect(1, stream_management="off") as client:
        client.send("<r xmlns='urn:xmpp:sm:3'/>")
        with pytest.raises(StreamError, match="unsupported-stanza-type"):
            await client.receive(timeout=5)
    async with connect(1) as client:  # twice is once too often
        client.send("<enable xmlns='urn:xmpp:sm:3'/>")
        with pytest.raises(StreamError):
            await client.receive(timeout=5)


async def test_a_server_that_does_not_offer_it(settings: Config) -> None:
    async with await serve(management=False) as server:
        settings.set("xmpp_servers", [f"127.0.0.1:{server.port}"])
        for mode in ("on", "resume"):
            with pytest.raises(ConnectFailed, match="step enable: xmpp_stream_management is not off") as failed:
                await connect(1, stream_management=mode)
            assert failed.value.step == "enable"
        assert metrics.current().flush().counters["xmpp.failures.enable.not-offered"] == 2


async def test_a_session_that_overflows_while_nobody_is_there(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        jid = one.jid
        one.kill()
        for _ in range(600):
            two.send_message(jid, "x" * 1000)
            await two.acknowledged()
        assert await one.resume() is False


# -- coming back ---------------------------------------------------------------------------------------


async def test_resume_fails_and_may_be_tried_again(settings: Config, embedded: EmbeddedServer) -> None:
    async with BadServer("stream") as bad:
        settings.set("xmpp_servers", [bad.address])
        good = f"127.0.0.1:{embedded.port}"
        async with connect(1, servers=[good]) as client:
            client.send_message(client.jid, "x")
            object.__setattr__(client.options, "servers", [bad.address])
            object.__setattr__(client.options, "login_timeout", 0.5)
            for _ in range(2):
                with pytest.raises(ConnectFailed, match=r"step stream: not done within 0\.5 s"):
                    await client.resume()
                assert not client.connected
                assert client.jid == "user_1@localhost/res1"
                with pytest.raises(ConnectFailed):
                    client.send_presence()
            object.__setattr__(client.options, "servers", [good])
            object.__setattr__(client.options, "login_timeout", 5.0)
            assert await client.resume()
            assert await bodies(client, 1) == ["x"]
    assert "xmpp.disconnected" not in metrics.current().flush().counters


async def test_cancelling_a_resumption_after_any_number_of_turns_of_the_loop(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        for turns in range(1, 300):
            one.send_message(two.jid, str(turns))
            task = asyncio.ensure_future(one.resume())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                assert await task
            except asyncio.CancelledError:
                assert not one.connected
                assert await one.resume()
                continue
            assert turns > 10
            break
        else:
            pytest.fail("no resumption was ever done")
        assert await bodies(two, turns) == [str(number) for number in range(1, turns + 1)]
        assert counted("lost") == 0
        await until(lambda: embedded.connections == 2)


async def test_reconnect_goes_on_until_the_server_is_back(settings: Config) -> None:
    async with await serve() as server:
        port = server.port
        settings.set("xmpp_servers", [f"127.0.0.1:{port}"])
        client = await connect(1)
    await until(lambda: not client.connected)
    coming_back = asyncio.ensure_future(reconnect(client, first=0.005, longest=0.02))
    await until(lambda: metrics.current().flush().counters.get("xmpp.failures.connect.refused", 0) > 0)
    async with await serve(port=port) as server:
        assert await coming_back is False
        assert server.sessions == 1
        await client.close()
    metrics.current().flush()  # it may have tried more than once before the server was back
    with pytest.raises(ConnectFailed, match="step connect"):
        await reconnect(client, attempts=3, first=0.001)
    assert metrics.current().flush().counters["xmpp.failures.connect"] == 3


async def test_reconnect_does_not_try_a_wrong_password_again(settings: Config) -> None:
    passwords = {"user_1": "password_1"}
    async with await serve(password=passwords.get) as server:
        settings.set("xmpp_servers", [f"127.0.0.1:{server.port}"])
        async with connect(1) as client:
            client.kill()
            passwords["user_1"] = "changed"
            with pytest.raises(ConnectFailed, match="not-authorized"):
                await reconnect(client)


async def test_a_new_session_after_each_way_to_end(embedded: EmbeddedServer) -> None:
    """Without stream management, too, a client can come back whatever ended its session."""
    ends: list[Callable[[Client], object]] = [
        Client.close,
        Client.kill,
        lambda client: link(embedded, client).stop(),
        lambda client: link(embedded, client).replaced(),
        lambda client: link(embedded, client).connection.send(b"<<<"),
    ]
    async with connect(1, stream_management="off") as client:
        for end in ends:
            ending = end(client)
            if asyncio.iscoroutine(ending):
                await ending
            await until(lambda: not client.connected)
            assert await client.resume() is False
            assert (await client.iq("get", None, Element(PING))).get("type") == "result"
        assert embedded.counters.logins == 6
        await until(lambda: embedded.sessions == 1)


# -- signs of life -------------------------------------------------------------------------------------


async def test_white_space_keeps_alive(embedded: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connect(1, keepalive=0.005, stream_management="off") as client:
        reads: list[bytes] = []
        original = ServerStream.receive

        def receive(self: ServerStream, data: bytes) -> list[Effect]:
            reads.append(data)
            return original(self, data)

        monkeypatch.setattr(ServerStream, "receive", receive)
        await until(lambda: reads.count(b" ") >= 3)
    assert client._keepalive is None


async def test_pings_are_answered(embedded: EmbeddedServer) -> None:
    asked = 0
    route = embedded.router.route

    def count(session: Session, stanza: Element) -> None:
        nonlocal asked
        asked += stanza.find("ping", "urn:xmpp:ping") is not None
        route(session, stanza)

    embedded.router.route = count  # type: ignore[method-assign]  # listens in
    async with connect(1, keepalive=0.1, keepalive_by="ping") as client:  # time enough for a busy machine
        await until(lambda: asked >= 3)
        assert client.connected
        assert len(client._asked()) <= 1
    assert "xmpp.disconnected" not in metrics.current().flush().counters


@pytest.mark.parametrize("mode", ["off", "resume"])
async def test_a_server_that_is_silent_is_found_out(embedded: EmbeddedServer, mode: str) -> None:
    async with connect(1, keepalive=0.02, keepalive_by="ping", stream_management=mode) as client:
        transport = link(embedded, client).connection.transport
        assert transport is not None
        transport.pause_reading()
        with pytest.raises(Disconnected, match=r"user 1 .*the server did not answer a ping within 0.02 s"):
            await client.receive("presence", timeout=5)
        assert metrics.current().flush().counters["xmpp.disconnected"] == 1
        assert await client.resume() is (mode == "resume")
