"""The client against the embedded server, over real sockets: sending, receiving, asking, leaving."""

import asyncio
import gc
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from amoc import metrics
from amoc.config import Config, ConfigError
from amoc.xmpp import (
    Client,
    ConnectFailed,
    Disconnected,
    Element,
    InvalidXml,
    IqError,
    IqTimeout,
    ReceiveTimeout,
    SendOverflow,
    StreamError,
    XmppError,
    connect,
    jid_of,
    reconnect,
    register,
)
from amoc.xmpp.core.accept import ServerStream
from amoc.xmpp.core.effects import Effect
from amoc.xmpp.ext import muc, ping, roster
from amoc.xmpp.server import EmbeddedServer, serve
from amoc.xmpp.server.router import Session
from amoc.xmpp.settings import Options
from amoc.xmpp.transport import connection as transport_connection
from amoc.xmpp.transport import tcp
from tests.support.badserver import ENDS, TRANSPORTS, BadServer, Peer, Transport

PING = "{urn:xmpp:ping}ping"


def counted(name: str) -> int:
    delta = metrics.current().flush()
    return delta.counters.get(name, 0)


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


def server_side(server: EmbeddedServer, client: Client) -> tcp.TcpConnection:
    """The server's connection of a client."""
    link = server.router._accounts[client.jid.partition("/")[0]][client.jid]
    connection: tcp.TcpConnection = link.connection  # type: ignore[attr-defined]  # of a session
    return connection


async def test_two_users_talk(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        assert one.jid == "user_1@localhost/res1"
        two.send_presence()
        assert (await two.receive("presence", timeout=5)).get("from") == two.jid
        ident = one.send_message(jid_of(2), "1 < 2 & \"quoted\" 'so'\nänd möre \U0001f426")
        message = await two.receive("message", timeout=5)
        assert message.get("id") == ident
        assert message.get("from") == one.jid
        assert message.findtext("body") == "1 < 2 & \"quoted\" 'so'\nänd möre \U0001f426"
        assert embedded.sessions == 2
    assert embedded.counters.messages_routed == 1
    assert embedded.sessions == 0


async def test_elements_text_and_bytes_can_be_sent(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        client.send(Element("message", {"to": client.jid, "id": "1"}))
        client.send(f"<message to='{client.jid}' id='2'/>")
        client.send(f"<message to='{client.jid}' id='3'/>".encode())
        assert [(await client.receive(timeout=5)).get("id") for _ in range(3)] == ["1", "2", "3"]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What servers read, read by read."""
    reads: list[bytes] = []
    original = ServerStream.receive

    def receive(self: ServerStream, data: bytes) -> list[Effect]:
        reads.append(data)
        return original(self, data)

    monkeypatch.setattr(ServerStream, "receive", receive)
    return reads


async def test_what_is_sent_in_one_tick_leaves_in_one_write(embedded: EmbeddedServer, heard: list[bytes]) -> None:
    async with connect(1) as client:
        heard.clear()
        for number in range(20):
            client.send_message(client.jid, str(number))
        for _ in range(20):
            await client.receive("message", timeout=5)
        assert len(heard) == 1


async def test_login_is_counted_and_timed(embedded: EmbeddedServer) -> None:
    async with connect(1), connect(2):
        pass
    delta = metrics.current().flush()
    assert delta.counters["amoc.counters.connections"] == 2
    assert "amoc.counters.connection_failures" not in delta.counters
    assert "xmpp.disconnected" not in delta.counters
    times = delta.histograms["amoc.times.connection"]
    assert times.count == 2
    assert 0 < times.min <= times.max < 5_000_000


async def test_users_are_spread_over_servers(settings: Config) -> None:
    async with await serve() as first, await serve() as second:
        settings.set("xmpp_servers", [f"127.0.0.1:{first.port}", f"localhost:{second.port}"])
        async with connect(1), connect(2), connect(3):
            assert (first.sessions, second.sessions) == (2, 1)


async def test_overrides(embedded: EmbeddedServer) -> None:
    async with connect(1, resource="tablet", username="crow{id}") as client:
        assert client.jid == "crow1@localhost/tablet"
    with pytest.raises(ConfigError, match="xmpp_resuorce"):
        connect(1, resuorce="tablet")
    with pytest.raises(ConfigError, match="xmpp_tls"):
        connect(1, tls="maybe")


# -- receiving -----------------------------------------------------------------------------------------


async def test_receive_by_name_by_function_and_in_order(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        for number in range(4):
            client.send_message(client.jid, str(number))
        client.send_presence()
        presence = await client.receive("presence", timeout=5)
        assert presence.name == "presence"
        third = await client.receive(lambda stanza: stanza.findtext("body") == "2", timeout=5)
        assert third.findtext("body") == "2"
        assert [(await client.receive(timeout=5)).findtext("body") for _ in range(3)] == ["0", "1", "3"]


async def test_several_wait_at_once(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        waiting = [
            asyncio.ensure_future(client.receive(match, timeout=5))
            for match in ("presence", lambda stanza: stanza.findtext("body") == "b", "message", None)
        ]
        await asyncio.sleep(0)
        for body in "abc":
            client.send_message(client.jid, body)
        client.send_presence()
        presence, b, a, c = await asyncio.gather(*waiting)
        assert presence.name == "presence"
        assert [stanza.findtext("body") for stanza in (a, b, c)] == ["a", "b", "c"]


async def test_receive_in_vain(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        with pytest.raises(ReceiveTimeout, match=r"user 1 .*within 0.01 s"):
            await client.receive(timeout=0.01)
        with pytest.raises(TimeoutError):
            await client.receive("message", timeout=0)
        client.send_message(client.jid, "still there")
        assert (await client.receive(timeout=5)).findtext("body") == "still there"


async def test_a_match_that_raises_hurts_only_its_caller(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:

        def match(stanza: Element) -> bool:
            raise LookupError("my own mistake")

        waiting = asyncio.ensure_future(client.receive(match, timeout=5))
        await asyncio.sleep(0)
        client.send_message(client.jid, "hello")
        with pytest.raises(LookupError, match="my own mistake"):
            await waiting
        assert (await client.receive(timeout=5)).findtext("body") == "hello"


async def test_a_stanza_given_to_a_cancelled_receiver_is_kept(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        waiting = asyncio.ensure_future(client.receive(timeout=5))
        await asyncio.sleep(0)
        client.on_stanza(Element("message", {"id": "precious"}))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await client.receive(timeout=0)).get("id") == "precious"


async def test_a_full_inbox_drops_the_oldest_and_counts(embedded: EmbeddedServer) -> None:
    async with connect(1, inbox=5) as client:
        for number in range(9):
            client.send_message(client.jid, str(number))
        await client.iq("get", None, Element(PING))  # by its answer everything has come back
        assert [(await client.receive(timeout=0)).findtext("body") for _ in range(5)] == list("45678")
        assert client.overflowed == 4
        assert counted("xmpp.inbox_overflow") == 4


async def test_handlers_take_stanzas_and_ignored_ones_are_dropped(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        bodies: list[str | None] = []
        client.on("message", lambda stanza: bodies.append(stanza.findtext("body")))
        client.ignore("presence")
        client.send_presence()
        client.send_message(client.jid, "handled")
        await client.iq("get", None, Element(PING))
        assert bodies == ["handled"]
        with pytest.raises(ReceiveTimeout):
            await client.receive(timeout=0)
        client.off("message")
        client.send_message(client.jid, "received")
        assert (await client.receive(timeout=5)).findtext("body") == "received"


async def test_a_handler_can_send_and_kill(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        two.on("message", lambda stanza: two.send_message(stanza.get("from", ""), "echo"))
        one.send_message(two.jid, "hello")
        assert (await one.receive(timeout=5)).findtext("body") == "echo"
        two.on("message", lambda stanza: two.kill())
        for _ in range(3):
            one.send_message(two.jid, "bye")
        await until(lambda: not two.connected)
        await until(lambda: embedded.sessions == 1)


async def test_a_handler_that_raises_ends_the_session_and_says_so(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        calls: list[Element] = []

        def handler(stanza: Element) -> None:
            calls.append(stanza)
            raise LookupError("my own mistake")

        client.on("message", handler)
        client.send_message(client.jid, "one")
        client.send_message(client.jid, "two")
        with pytest.raises(Disconnected, match="handler of message raised LookupError: my own mistake") as ended:
            await client.receive("presence", timeout=5)
        assert isinstance(ended.value.__cause__, LookupError)
        with pytest.raises(Disconnected, match="my own mistake"):
            client.send_presence()
        assert len(calls) == 1
        await until(lambda: embedded.sessions == 0)


async def test_a_handlers_failure_is_not_lost_when_nobody_waits(embedded: EmbeddedServer) -> None:
    def handler(stanza: Element) -> None:
        raise LookupError("my own mistake")

    async def user(own_error: Exception | None) -> None:
        async with connect(1) as client:
            client.on("message", handler)
            client.send_message(client.jid, "one")
            await until(lambda: not client.connected)
            if own_error is not None:
                raise own_error

    with pytest.raises(Disconnected, match="my own mistake"):
        await user(None)
    with pytest.raises(KeyError):
        await user(KeyError())


async def test_what_comes_while_the_session_is_closed_can_no_longer_be_answered(embedded: EmbeddedServer) -> None:
    late: list[Element] = []
    async with connect(1) as client:

        def echo(stanza: Element) -> None:
            late.append(stanza)
            client.send_message(client.jid, "echo")

        client.on("message", echo)
        server_side(embedded, client).send(b"<message><body>too late</body></message>")
    assert len(late) == 1  # and the scenario is not told of it, having done nothing wrong
    with pytest.raises(Disconnected, match="closed by the scenario"):
        client.send_presence()


async def test_a_mistake_while_the_session_is_closed_is_told(embedded: EmbeddedServer) -> None:
    def mistaken(stanza: Element) -> None:
        raise KeyError("my own mistake")

    async def user() -> None:
        async with connect(1, close_timeout=30) as client:
            client.on("message", mistaken)
            server_side(embedded, client).send(b"<message><body>too late</body></message>")

    async with asyncio.timeout(30):
        with pytest.raises(Disconnected, match=r"handler of message raised KeyError: 'my own mistake'"):
            await user()


def test_a_handler_is_a_plain_function(settings: Config) -> None:
    async def handler(stanza: Element) -> None:
        pass

    with pytest.raises(TypeError, match="handler of message is called, not awaited"):
        Client(1, Options.read({})).on("message", handler)


async def test_everything_can_be_ignored_but_some(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        client.ignore()
        client.off("presence")
        client.send_message(client.jid, "not heard")
        client.send_presence()
        await client.iq("get", client.jid, Element(PING))
        assert (await client.receive(timeout=5)).name == "presence"
        with pytest.raises(ReceiveTimeout):
            await client.receive(timeout=0)


async def test_a_request_that_the_handler_does_not_take_is_answered_as_without_it(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        seen: list[str] = []

        def handler(stanza: Element) -> bool:
            seen.append(next(iter(stanza)).name)
            return False

        two.on("iq", handler)
        assert (await one.iq("get", two.jid, Element(PING))).get("type") == "result"
        with pytest.raises(IqError, match="service-unavailable"):
            await one.iq("get", two.jid, Element("{urn:example}question"))
        waiting = asyncio.create_task(two.receive(lambda stanza: stanza.find("question") is not None, timeout=5))
        await asyncio.sleep(0)
        asked = asyncio.create_task(one.iq("get", two.jid, Element("{urn:example}question")))
        request = await waiting
        two.send(Element("iq", {"type": "result", "id": request.get("id"), "to": request.get("from")}))
        assert (await asked).get("type") == "result"
        assert seen == ["ping", "question", "question"]


async def test_only_requests_can_be_left_to_others(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        client.on("message", lambda stanza: False)
        client.send_message(client.jid, "taken, whatever is returned")
        await client.iq("get", None, Element(PING))
        with pytest.raises(ReceiveTimeout):
            await client.receive(timeout=0)


async def test_requests_are_answered_even_when_they_are_ignored(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        two.ignore("iq")
        assert (await one.iq("get", two.jid, Element(PING))).get("type") == "result"
        with pytest.raises(IqError):
            await one.iq("get", two.jid, Element("{urn:example}question"))


# -- asking --------------------------------------------------------------------------------------------


async def test_iq(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        assert (await one.iq("get", None, Element(PING))).get("type") == "result"
        assert (await one.iq("get", "localhost", Element(PING))).get("from") == "localhost"
        assert (await one.iq("get", jid_of(1), Element(PING))).get("type") == "result"
        roster = await one.iq("get", None, Element("{jabber:iq:roster}query"))
        assert roster.find("query", "jabber:iq:roster") is not None
        assert (await one.iq(Element("iq", {"type": "get", "to": two.jid}, Element(PING)))).get("from") == two.jid
        both = await asyncio.gather(*(one.iq("get", two.jid, Element(PING)) for _ in range(10)))
        assert len({answer.get("id") for answer in both}) == 10


async def test_a_timed_iq(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        await client.iq("get", None, Element(PING), timed="ping_time")
        with pytest.raises(IqError):
            await client.iq("get", None, Element("{urn:unknown}query"), timed="ping_time")
        embedded.router.route = lambda session, stanza: None  # type: ignore[method-assign]  # never answers
        with pytest.raises(IqTimeout):
            await client.iq("get", None, Element(PING), timed="ping_time", timeout=0.01)
        times = metrics.current().flush().histograms["ping_time"]
        assert times.count == 1
        assert 0 < times.min < 5_000_000
        with pytest.raises(metrics.MetricError):
            await client.iq("get", None, Element(PING), timed="no name")


async def test_iq_errors(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        for to, payload, condition in (
            (None, "{urn:unknown}query", "service-unavailable"),
            (two.jid, "{urn:unknown}query", "service-unavailable"),
            ("user_9@localhost/res1", PING, "service-unavailable"),
            ("crow@elsewhere", PING, "remote-server-not-found"),
        ):
            with pytest.raises(IqError, match=rf"user 1 .*{condition}") as refused:
                await one.iq("get", to, Element(payload))
            assert refused.value.condition == condition
            assert refused.value.type == "cancel"
        with pytest.raises(IqError, match="bad-request"):
            await one.iq("get")


async def test_iq_without_an_answer(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        two.on("iq", lambda stanza: None)
        with pytest.raises(IqTimeout, match=r"user 1 .*no answer to iq \S+ \(ping\) from user_2@localhost/res1 within"):
            await one.iq("get", two.jid, Element(PING), timeout=0.02)
        assert not one._questions


async def test_only_who_was_asked_may_answer(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two, connect(3) as three:
        two.on("iq", lambda stanza: None)
        asking = asyncio.ensure_future(one.iq(Element("iq", {"type": "get", "to": two.jid, "id": "guess"}), timeout=5))
        await asyncio.sleep(0)
        three.send(f"<iq type='result' id='guess' to='{one.jid}'/>")
        forged = await one.receive("iq", timeout=5)  # nobody asked for it, so it is a stanza like others
        assert forged.get("from") == three.jid
        assert not asking.done()
        two.send(f"<iq type='result' id='guess' to='{one.jid}'/>")
        assert (await asking).get("from") == two.jid


async def test_an_iq_is_checked_before_it_is_sent(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        for wrong in (Element("message"), Element("iq"), Element("iq", {"type": "result"})):
            with pytest.raises(ValueError, match="only an iq of type get or set"):
                await client.iq(wrong)
        assert (await client.iq("get", None, Element(PING))).get("type") == "result"


@pytest.mark.parametrize("management", ["off", "on"])
async def test_what_is_no_xml_is_not_sent(embedded: EmbeddedServer, management: str) -> None:
    async with connect(1, stream_management=management) as client:
        wrong: list[tuple[str, Callable[[], object]]] = [
            (r"U\+0000 at position 1", lambda: client.send_message("a@b", "a\x00")),
            (r"U\+FFFE at position 0", lambda: client.send(Element("message", {"to": "\ufffe"}))),
            (r"U\+DC00 at position 9", lambda: client.send("<message>\udc00</message>")),
            (r"U\+0001 at position 0", lambda: client.send_presence(to="\x01")),
        ]
        for what, send in wrong:
            with pytest.raises(InvalidXml, match=rf"^user 1 \(user_1@localhost at .*\): {what} cannot be sent in XML"):
                send()
        with pytest.raises(InvalidXml, match=r"^user 1 .*: U\+0002"):
            await client.iq("get", "\x02", Element(PING))
        assert (await client.iq("get", None, Element(PING))).get("type") == "result"


async def test_requests_are_answered_unless_the_scenario_does(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        asking = asyncio.ensure_future(one.iq("get", two.jid, Element("{urn:example}question")))
        question = await two.receive(lambda stanza: stanza.find("question") is not None, timeout=5)
        two.send(Element("iq", {"type": "result", "id": question.get("id"), "to": question.get("from")}))
        assert (await asking).get("type") == "result"
        with pytest.raises(IqError):
            await one.iq("set", two.jid, Element("{urn:example}question"))
        with pytest.raises(IqError):  # a roster push from somebody who is not the own account
            await one.iq("set", two.jid, Element("{jabber:iq:roster}query"))
        server_side(embedded, two).send(b"<iq type='set' id='push'><query xmlns='jabber:iq:roster'/></iq>")
        heard = embedded.router.route
        answers: list[Element] = []

        def listen(session: Session, stanza: Element) -> None:
            answers.append(stanza)
            heard(session, stanza)

        embedded.router.route = listen  # type: ignore[method-assign]  # listens in
        await until(lambda: bool(answers))
        assert (answers[0].get("id"), answers[0].get("type")) == ("push", "result")


# -- endings -------------------------------------------------------------------------------------------


async def waiting_in_vain(client: Client) -> tuple[BaseException | Element, BaseException | Element]:
    """What a receive and an iq that nobody answers end with."""
    client_iq = client.iq("get", "user_9@localhost", None, timeout=30)
    return await asyncio.gather(client.receive("nothing"), client_iq, return_exceptions=True)


@pytest.mark.parametrize("how", ["close", "kill", "server"])
async def test_everybody_who_waits_is_told_when_it_is_over(embedded: EmbeddedServer, how: str) -> None:
    embedded.router.route = lambda session, stanza: None  # type: ignore[method-assign]  # never answers
    client = await connect(1)
    waiting = asyncio.ensure_future(waiting_in_vain(client))
    await asyncio.sleep(0.01)
    if how == "close":
        await client.close()
    elif how == "kill":
        client.kill()
    else:
        await embedded.close()
    errors = await waiting
    for error in errors:
        assert isinstance(error, Disconnected)
        assert "user 1 (user_1@localhost" in str(error)
    assert errors[0] is not errors[1]
    for send in (client.send_presence, lambda: client.send_message("a", "b"), lambda: client.send(b"x")):
        with pytest.raises(Disconnected):
            send()
    with pytest.raises(Disconnected):
        await client.receive()
    with pytest.raises(Disconnected):
        await client.iq("get")
    assert not client.connected
    await client.close()
    client.kill()
    assert counted("xmpp.disconnected") == (1 if how == "server" else 0)


async def test_a_clean_goodbye_and_an_abrupt_end(embedded: EmbeddedServer, heard: list[bytes]) -> None:
    for leave, clean in ((Client.close, True), (Client.kill, False)):
        client = await connect(1)
        if (leaving := leave(client)) is not None:
            await leaving
        await until(lambda: embedded.connections == 0)
        assert heard[-1].endswith(b"</stream:stream>") == clean


async def test_what_has_come_before_the_end_can_still_be_received(embedded: EmbeddedServer) -> None:
    client = await connect(1)
    client.send_message(client.jid, "last words")
    await client.iq("get", None, Element(PING))
    await client.close()
    assert (await client.receive()).findtext("body") == "last words"
    with pytest.raises(Disconnected):
        await client.receive()


async def test_the_servers_stream_error_is_the_reason(embedded: EmbeddedServer) -> None:
    async with connect(1) as first, connect(1) as second:
        with pytest.raises(StreamError, match=r"user 1 .*conflict \(replaced by a new connection\)"):
            await first.receive()
        assert second.connected
        assert embedded.sessions == 1


BOMB = "".join(f"<!ENTITY b{n} '{f'&b{n - 1};' * 10}'>" for n in range(1, 10))


@pytest.mark.parametrize(
    ("nonsense", "condition"),
    [
        (b"<message></presence>", "not-well-formed"),
        (b"<message><body>caw</message>", "not-well-formed"),
        (b"<message><body>\xff\xfe</body></message>", "not-well-formed"),
        (b"<message><body>&caw;</body></message>", "not-well-formed"),
        (b"<!DOCTYPE nest SYSTEM 'http://localhost/nest.dtd'>", "not-well-formed"),  # within a stream
        (f"<!DOCTYPE nest [<!ENTITY b0 'caw'>{BOMB}]><message><body>&b9;</body></message>".encode(), "not-well-formed"),
        (b"<?caw caw?>", "restricted-xml"),
        (b"<!-- caw -->", "restricted-xml"),
        (b"<message><body>" + b"x" * 20_000, "policy-violation"),
        (b"<message " + b"x" * 20_000, "policy-violation"),
    ],
    ids=["mismatched", "unclosed", "utf-8", "entity", "dtd", "bomb", "instruction", "comment", "large", "large tag"],
)
async def test_a_server_that_sends_nonsense_hurts_only_that_client(
    embedded: EmbeddedServer, heard: list[bytes], nonsense: bytes, condition: str
) -> None:
    async with connect(1, max_stanza_size=10_000) as one, connect(2) as two:
        heard.clear()
        server_side(embedded, one).send(nonsense)
        with pytest.raises(StreamError, match=condition) as ended:
            await one.receive()
        assert (ended.value.ours, ended.value.condition) == (True, condition)
        await until(lambda: embedded.connections == 1)
        said = b"".join(heard)
        assert said.startswith(b"<stream:error><" + condition.encode())
        assert said.endswith(b"</stream:stream>")
        assert metrics.current().flush().counters["xmpp.disconnected"] == 1
        assert (await two.iq("get", None, Element(PING))).get("type") == "result"


async def test_a_server_that_does_not_say_goodbye(embedded: EmbeddedServer) -> None:
    client = await connect(1, close_timeout=0.05)
    transport = server_side(embedded, client).transport
    assert transport is not None
    transport.pause_reading()
    before = asyncio.get_running_loop().time()
    await client.close()
    assert asyncio.get_running_loop().time() - before < 20
    assert not client.connected


@pytest.mark.parametrize("kind", TRANSPORTS)
async def test_a_server_that_says_goodbye_and_stays(settings: Config, tmp_path: Path, kind: Transport) -> None:
    async def lazy(peer: Peer) -> None:
        while (await peer.next()).tag not in ENDS:
            pass
        peer.end()
        await peer.writer.drain()
        transport = peer.writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()  # not even the end of TLS is answered, as by ejabberd
        await asyncio.Event().wait()

    async with BadServer("ready", lazy, tls_folder=tmp_path, transport=kind) as server:
        assert server.certificate is not None
        settings.set_all({"xmpp_servers": [server.address], "xmpp_ca_file": str(server.certificate.authority)})
        client = await connect(1, close_timeout=30)
        async with asyncio.timeout(30):
            await client.close()


async def test_leaving_by_exception_and_by_cancellation(embedded: EmbeddedServer) -> None:
    with pytest.raises(LookupError):
        async with connect(1):
            raise LookupError
    await until(lambda: embedded.connections == 0)

    async def user() -> None:
        async with connect(1) as client:
            await client.receive()

    task = asyncio.ensure_future(user())
    await until(lambda: embedded.sessions == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: embedded.connections == 0)


async def test_a_server_that_does_not_read(embedded: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_connection, "MAX_UNSENT", 200_000)
    async with connect(1, close_timeout=0.05) as client:
        transport = server_side(embedded, client).transport
        assert transport is not None
        transport.pause_reading()
        with pytest.raises(SendOverflow, match=r"user 1 .*wait to be sent: the server does not read them"):
            await flood(client)
        draining = asyncio.ensure_future(client.drain())
        await asyncio.sleep(0.01)
        assert not draining.done()
        transport.resume_reading()
        await asyncio.wait_for(draining, 30)
        await client.iq("get", None, Element(PING))


async def flood(client: Client) -> None:
    """Send 100 MB, more than any buffer of the kernel."""
    for _ in range(10_000):
        client.send(b"<presence type='subscribe'><status>" + b"x" * 10_000 + b"</status></presence>")
        await asyncio.sleep(0)


async def test_nothing_of_a_client_is_left_to_the_collector(embedded: EmbeddedServer) -> None:
    async def cycle(user_id: int) -> None:
        async with connect(user_id) as client:
            client.on("message", lambda stanza: None)
            await client.iq("get", None, Element(PING))

    await cycle(1)
    gc.collect()
    before = sum(isinstance(thing, Client | tcp.TcpConnection) for thing in gc.get_objects())
    for user_id in range(2, 12):
        await cycle(user_id)
    await until(lambda: embedded.connections == 0)
    gc.collect()
    assert sum(isinstance(thing, Client | tcp.TcpConnection) for thing in gc.get_objects()) <= before


# -- errors --------------------------------------------------------------------------------------------

WHO = r"^user 1 \(user_1@localhost at 127\.0\.0\.1:\d+\): "
QUESTION = "{urn:example}question"


@pytest.mark.parametrize(
    ("call", "kind", "what"),
    [
        (lambda c: c.receive("message", 0.01), ReceiveTimeout, "no message came within 0.01 s$"),
        (lambda c: c.receive(None, 0.01), ReceiveTimeout, "no stanza came within 0.01 s$"),
        (lambda c: c.receive(lambda _: False, 0.01), ReceiveTimeout, "no such stanza came within 0.01 s$"),
        (lambda c: c.expect("presence", 0.01), ReceiveTimeout, "no presence came within 0.01 s$"),
        (
            lambda c: c.iq("get", "localhost", Element(QUESTION)),
            IqError,
            r"iq \S+ \(question\): localhost answered service-unavailable$",
        ),
        (lambda c: c.iq("get"), IqError, r"iq \S+: user_1@localhost answered bad-request$"),
        (
            lambda c: c.iq("get", "user_2@localhost/res1", Element(QUESTION), timeout=0.01),
            IqTimeout,
            r"no answer to iq \S+ \(question\) from user_2@localhost/res1 within 0.01 s$",
        ),
        (lambda c: ping.ping(c, "elsewhere"), IqError, r"iq \S+ \(ping\): elsewhere answered remote-server-not-found$"),
    ],
)
async def test_an_error_says_whose_it_is_and_what_was_done(
    embedded: EmbeddedServer, call: Callable[[Client], Awaitable[object]], kind: type[XmppError], what: str
) -> None:
    async with connect(1) as client, connect(2) as silent:
        silent.on("iq", lambda stanza: None)
        with pytest.raises(kind, match=WHO + what):
            await call(client)


async def test_when_the_session_is_over_every_call_says_so(embedded: EmbeddedServer) -> None:
    client = await connect(1)
    await embedded.close()
    await until(lambda: not client.connected)
    over = WHO + "the server closed the connection$"
    calls: list[Callable[[], object]] = [
        client.send_presence,
        lambda: client.send_message("a", "b"),
        lambda: client.send(b"x"),
        client.receive,
        lambda: client.expect("message"),
        lambda: client.iq("get"),
        client.drain,
        lambda: roster.get(client),
        lambda: muc.join(client, "nest@conference.localhost", "crow"),
    ]
    for call in calls:
        with pytest.raises(Disconnected, match=over):
            await awaited(call())
    with client.collect("message") as collected, pytest.raises(Disconnected, match=over):
        await collected.get()
    for attempt in (connect(1), register(1), reconnect(client, attempts=1)):
        with pytest.raises(ConnectFailed, match=WHO + "login failed at step connect: "):
            await attempt
    client.kill()


async def awaited(result: object) -> None:
    if inspect.isawaitable(result):
        await result
