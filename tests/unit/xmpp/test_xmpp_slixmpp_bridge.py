"""slixmpp as a scenario's user: against the embedded server and beside amoc's own client, over real sockets."""

import asyncio
import contextlib
import gc
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import slixmpp

from amoc import metrics
from amoc.config import Config, ConfigError
from amoc.errors import BadInput
from amoc.xmpp import ConnectFailed, Disconnected, SendOverflow, StreamError, XmppError, jid_of
from amoc.xmpp import connect as own_connect
from amoc.xmpp.ext import receipts
from amoc.xmpp.server import EmbeddedServer, serve
from amoc.xmpp.slixmpp_bridge import SlixmppClient, connect
from amoc.xmpp.slixmpp_bridge import client as bridge_client
from amoc.xmpp.transport.tls import client_context
from tests.support.badserver import BadServer, close, reset, say, stall, stream_error

PREFIX = "amoc.times.login."
PLAIN_STEPS = ["resolve", "connect", "stream", "features", "sasl", "bind"]


def counters() -> dict[str, float]:
    return dict(metrics.current().flush().counters)


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


def heard(client: Any, event: str) -> "asyncio.Queue[Any]":
    """What a client hears of an event from now on."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    client.add_event_handler(event, queue.put_nowait)
    return queue


@asynccontextmanager
async def encrypted(settings: Config) -> AsyncIterator[EmbeddedServer]:
    """An embedded server that demands TLS, the session iq and the right password."""
    async with await serve(tls="required", password=lambda name: name.replace("user", "password"), strict=True) as it:
        settings.set_all({"xmpp_servers": [f"127.0.0.1:{it.port}"], "xmpp_accept_any_certificate": True})
        yield it


# -- the login -----------------------------------------------------------------------------------------------


async def test_a_login_is_counted_and_timed(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2, resource="tablet") as two:
        assert (str(one.boundjid), str(two.boundjid)) == ("user_1@localhost/res1", "user_2@localhost/tablet")
        assert embedded.router.jids() == [str(one.boundjid), str(two.boundjid)]
    await until(lambda: embedded.connections == 0)
    delta = metrics.current().flush()
    assert delta.counters == {"amoc.counters.connections": 2}
    histograms = delta.histograms
    assert sorted(histograms) == sorted(["amoc.times.connection", *(PREFIX + step for step in PLAIN_STEPS)])
    assert all(histogram.count == 2 for histogram in histograms.values())
    whole = histograms.pop("amoc.times.connection").sum
    parts = sum(histogram.sum for histogram in histograms.values())
    assert 0.5 * whole < parts <= whole


@pytest.mark.parametrize("mechanism", ["", "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"])
async def test_with_tls_and_a_session(settings: Config, mechanism: str) -> None:
    async with encrypted(settings) as server, connect(7, sasl=mechanism) as client:
        assert client.transport is not None
        assert client.transport.get_extra_info("ssl_object") is not None
        assert server.sessions == 1
    histograms = metrics.current().flush().histograms
    steps = {name.removeprefix(PREFIX) for name in histograms if name.startswith(PREFIX)}
    assert steps == {*PLAIN_STEPS, "starttls", "tls", "session"}
    assert all(histogram.min > 0 for histogram in histograms.values())


async def test_users_of_a_kind_share_a_tls_context(settings: Config) -> None:
    async with encrypted(settings), connect(1) as one, connect(2) as two:
        shared = client_context(True, "", "", "")
        for client in (one, two):
            assert client.transport is not None
            assert client.ssl_context is client.transport.get_extra_info("sslcontext") is shared


async def test_the_first_presence_is_timed_once(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        presences = heard(client, "presence_available")
        client.send_presence(ptype="unavailable")
        client.send_presence(pto="user_2@localhost")
        for _ in range(3):
            client.send_presence()
            assert (await asyncio.wait_for(presences.get(), 30))["from"] == client.boundjid
    assert metrics.current().flush().histograms[PREFIX + "presence"].count == 1


async def test_accounts_from_a_file(settings: Config, tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("username,password,domain,resource\ncrow,caw,,perch\nraven,nevermore,,\n")
    async with await serve(password={"crow": "caw", "raven": "nevermore"}.get) as server:
        settings.set_all({"xmpp_servers": [f"127.0.0.1:{server.port}"], "xmpp_resource": "nest{id}"})
        async with connect(1, accounts_file=str(tmp_path / "accounts.csv")) as crow:
            assert str(crow.boundjid) == "crow@localhost/perch"
        async with connect(2, accounts_file=str(tmp_path / "accounts.csv")) as raven:
            assert str(raven.boundjid) == "raven@localhost/nest2"
        with pytest.raises(ConfigError, match="none for user 3"):
            await connect(3, accounts_file=str(tmp_path / "accounts.csv")).__aenter__()


async def test_settings_that_slixmpp_cannot_follow(settings: Config) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"servers": ["ws://localhost:5280/ws"]}, "no transport for ws://localhost:5280/ws"),
        ({"token": "t"}, "no OAUTHBEARER"),
        ({"stream_management": "on"}, "xep_0198"),
        ({"username": "a b@{id}"}, "no address"),
        ({"plugins": ["xep_9999"]}, "no plugin 'xep_9999'"),
    ]
    for overrides, words in refused:
        with pytest.raises(BadInput, match=words):
            await connect(1, **overrides).__aenter__()
    with pytest.raises(ConfigError, match="xmpp_tsl"):
        connect(1, tsl="never")
    assert counters() == {}


# -- the scenario's own class, and plugins -------------------------------------------------------------------


class Reader(slixmpp.ClientXMPP):
    """A client as slixmpp's manual writes it."""

    def __init__(self, jid: Any, password: str) -> None:
        super().__init__(jid, password)
        self.bodies: asyncio.Queue[str] = asyncio.Queue()
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("message", self.on_message)

    async def started(self, _: object) -> None:
        self.send_presence()
        await self.get_roster()

    def on_message(self, message: Any) -> None:
        self.bodies.put_nowait(message["body"])


class Numbered(SlixmppClient):
    """A client that knows whose it is."""

    def __init__(self, jid: Any, password: str) -> None:
        self.number = self.amoc.user_id
        super().__init__(jid, password)


class OfItsOwn(slixmpp.ClientXMPP):
    """A client that makes a TLS context for itself."""

    def __init__(self, jid: Any, password: str) -> None:
        slixmpp.ClientXMPP.__init__(self, jid, password)


async def test_a_class_of_the_scenario(embedded: EmbeddedServer) -> None:
    async with connect(1, Reader) as reader, own_connect(2) as ours:
        assert type(reader).__name__ == "Reader"
        assert isinstance(reader, SlixmppClient)
        ours.send_message(str(reader.boundjid), "1 < 2")
        assert await asyncio.wait_for(reader.bodies.get(), 30) == "1 < 2"
    async with connect(3, Numbered, password="x") as numbered:
        assert numbered.number == numbered.amoc.user_id == 3
        assert numbered.amoc.options.password == "x"
    with pytest.raises(BadInput, match=r"OfItsOwn.__init__ must call super\(\).__init__\(jid, password\)"):
        await connect(4, OfItsOwn).__aenter__()


async def test_plugins_talk_to_the_others(embedded: EmbeddedServer) -> None:
    plugins: dict[str, dict[str, object]] = {"xep_0184": {"auto_request": True}, "xep_0199": {}}
    async with connect(1, plugins=plugins) as client, own_connect(2) as ours:
        assert await client.plugin["xep_0199"].ping(slixmpp.JID(ours.jid), timeout=5) > 0
        receipt = await receipts.deliver(ours, str(client.boundjid), "did you get it?", timeout=5)
        assert receipt.get("from") == str(client.boundjid)
        confirmed = heard(client, "receipt_received")
        ours.send_presence()
        await ours.receive("presence", timeout=5)
        client.send_message(mto=slixmpp.JID(jid_of(2)), mbody="and you?")
        answer = receipts.answer(await ours.receive(receipts.wants_receipt, timeout=5))
        assert answer is not None
        ours.send(answer)
        assert (await asyncio.wait_for(confirmed.get(), 30))["from"] == ours.jid


async def test_iqs_wait_as_long_as_the_settings_say() -> None:
    async with BadServer() as server, connect(1, servers=[server.address], iq_timeout=0.05) as client:
        with pytest.raises(slixmpp.exceptions.IqTimeout):
            await client.get_roster()
        patient = asyncio.ensure_future(client.get_roster(timeout=60))
        with pytest.raises(slixmpp.exceptions.IqTimeout):
            await client.get_roster()
        assert not patient.done()


# -- the end of a session ------------------------------------------------------------------------------------


async def test_a_lost_session_interrupts_its_user(embedded: EmbeddedServer) -> None:
    user = asyncio.current_task()
    assert user is not None
    lost: list[object] = []

    async def stay() -> None:
        async with connect(1) as client:
            client.add_event_handler("disconnected", lost.append)
            await embedded.close()
            await asyncio.sleep(30)

    with pytest.raises(Disconnected, match=r"^user 1 \(user_1@localhost at .*\): the server closed the ") as ended:
        await stay()
    assert ended.value.__suppress_context__
    assert user.cancelling() == 0
    assert len(lost) == 1
    assert counters() == {"amoc.counters.connections": 1, "xmpp.disconnected": 1}
    await asyncio.sleep(0)  # and the user can go on


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (close, "the server closed the connection"),
        (reset, "the connection was lost"),
        (say("<<<"), "stream ended because of what the peer sent: not-well-formed"),
        (say("</stream:stream>"), "the server closed the stream"),
        (stream_error("system-shutdown", "back at nine"), r"from the server: system-shutdown \(back at nine\)"),
    ],
)
async def test_the_user_is_told_why(fault: Any, words: str) -> None:
    async with BadServer("ready", fault) as server:
        with pytest.raises(Disconnected, match=rf"^user 7 .*{words}"):
            async with connect(7, servers=[server.address]):
                await asyncio.sleep(30)
    assert counters()["xmpp.disconnected"] == 1


async def test_another_session_takes_its_place(embedded: EmbeddedServer) -> None:
    async def be_replaced() -> None:
        async with connect(1) as first:
            first.send_presence()
            async with own_connect(1):
                await asyncio.sleep(30)

    with pytest.raises(StreamError, match="conflict") as ended:
        await be_replaced()
    assert ended.value.condition == "conflict"
    await until(lambda: embedded.sessions == 0)


async def test_a_user_removed_while_its_session_is_lost_stays_removed(embedded: EmbeddedServer) -> None:
    async def user() -> None:
        task = asyncio.current_task()
        assert task is not None
        async with connect(1) as client:
            client.add_event_handler("disconnected", lambda _: task.cancel())
            await embedded.close()
            await asyncio.sleep(30)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(user())
    assert counters()["xmpp.disconnected"] == 1


async def test_who_swallows_the_interruption_is_told_at_the_end(embedded: EmbeddedServer) -> None:
    async def swallow() -> None:
        async with connect(1):
            await embedded.close()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(30)

    with pytest.raises(Disconnected):
        await swallow()
    with pytest.raises(ConnectFailed, match="step connect"):
        async with connect(1):
            pass


async def test_an_interruption_does_not_outlive_the_block(embedded: EmbeddedServer) -> None:
    """The user itself makes the session end, and leaves the block without another await."""

    async def end_it(error: Exception | None) -> None:
        async with connect(1) as client:
            client.reconnect(reason="enough")
            if error is not None:
                raise error

    task = asyncio.current_task()
    assert task is not None
    for error, expected in ((None, Disconnected), (LookupError(), LookupError)):
        with pytest.raises(expected):
            await end_it(error)
        await asyncio.sleep(0)
        assert task.cancelling() == 0


@pytest.mark.parametrize("how", ["disconnect", "abort"])
async def test_a_scenario_may_end_its_session_itself(embedded: EmbeddedServer, how: str) -> None:
    async with connect(1) as client:
        lost = heard(client, "disconnected")
        getattr(client, how)()
        await asyncio.wait_for(lost.get(), 30)
        await until(lambda: embedded.connections == 0)
        client.send_message(mto=client.boundjid, mbody="into the void")
        with pytest.raises(BadInput, match="enter that again"):
            client.connect()
    assert counters() == {"amoc.counters.connections": 1}


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_a_handler_that_raises_ends_the_session(embedded: EmbeddedServer, kind: str) -> None:
    def plain(_: object) -> None:
        raise LookupError("no such crow")

    async def coroutine(_: object) -> None:
        plain(None)

    async def caw() -> None:
        async with connect(1) as client:
            client.add_event_handler("message", plain if kind == "plain" else coroutine)
            client.send_message(mto=client.boundjid, mbody="caw")
            await asyncio.sleep(30)

    with pytest.raises(Disconnected, match="a handler raised LookupError: no such crow") as ended:
        await caw()
    assert isinstance(ended.value.__cause__, LookupError)
    assert counters()["xmpp.disconnected"] == 1


async def test_a_server_that_does_not_answer_pings_is_gone(settings: Config) -> None:
    settings.set_all({"xmpp_keepalive": 0.05, "xmpp_keepalive_by": "ping"})
    async with BadServer() as server:
        with pytest.raises(Disconnected, match="Ping timeout"):
            async with connect(1, servers=[server.address]):
                await asyncio.sleep(30)


async def test_white_space_only_if_it_is_wanted(embedded: EmbeddedServer) -> None:
    async with connect(1, keepalive=0.01) as lively, connect(2) as quiet:
        assert list(lively.scheduled_events) == ["Whitespace Keepalive"]
        assert list(quiet.scheduled_events) == []


async def test_a_server_that_does_not_read(embedded: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_client, "MAX_UNSENT", 100_000)

    async def flood() -> None:
        async with connect(1, close_timeout=0.05) as client:
            link: Any = embedded.router._accounts["user_1@localhost"]["user_1@localhost/res1"]
            link.connection.transport.pause_reading()
            for _ in range(100):
                client.send_raw("x" * 1_000_000)
                await asyncio.sleep(0)

    with pytest.raises(SendOverflow, match=r"user 1 .*the server does not read"):
        await flood()


# -- nothing is left -----------------------------------------------------------------------------------------


def timers() -> list[asyncio.TimerHandle]:
    """What the loop will call later, as far as it tells: uvloop does not."""
    scheduled: list[asyncio.TimerHandle] = getattr(asyncio.get_running_loop(), "_scheduled", [])
    # what closes the server's side of a connection is none of ours
    return [timer for timer in scheduled if not timer.cancelled() and "Transport.abort" not in repr(timer)]


async def talk(inside: asyncio.Event) -> None:
    """A user who does many things, for ever."""
    async with connect(7, plugins=["xep_0199", "xep_0184"], close_timeout=5.0) as client:
        inside.set()
        client.send_presence()
        client.wrap(asyncio.sleep(3600))
        client.schedule("later", 3600, lambda: None)
        for _ in range(3):
            await client.plugin["xep_0199"].ping(timeout=5)
        await client.get_roster()


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True])
async def test_cancelled_after_any_number_of_turns_of_the_loop(settings: Config, tls: bool) -> None:
    async with await serve(tls="optional", password=lambda _: "password_7") as server:
        settings.set_all({"xmpp_servers": [f"localhost:{server.port}"], "xmpp_accept_any_certificate": True})
        settings.set_all({"xmpp_tls": "required" if tls else "never", "xmpp_sasl": "PLAIN"})
        inside, reached = asyncio.Event(), 0
        before, waiting = asyncio.all_tasks(), set(timers())
        for turns in range(1000):
            user = asyncio.ensure_future(talk(inside))
            for _ in range(turns):
                await asyncio.sleep(0)
            user.cancel()
            try:
                await user
            except asyncio.CancelledError:
                reached += inside.is_set()
            else:
                break
            # the tasks have been cancelled: it takes them a turn of the loop or two to notice
            await until(lambda: asyncio.all_tasks() <= before)
            await until(lambda: server.connections == 0)
            assert set(timers()) <= waiting
            inside.clear()
        assert turns > 20
        assert reached > 5
        await until(lambda: asyncio.all_tasks() <= before)


@pytest.mark.parametrize("end", ["left", "cancelled", "lost"])
async def test_what_was_begun_in_the_block_ends_with_it(embedded: EmbeddedServer, end: str) -> None:
    begun: list[asyncio.Future[Any]] = []

    async def user() -> None:
        async with connect(1, plugins=["xep_0030"]) as client:
            begun.append(client.wrap(asyncio.sleep(3600)))
            begun.append(asyncio.ensure_future(client.wait_until("never", 3600)))
            begun.append(asyncio.create_task(client.plugin["xep_0030"].get_info(slixmpp.JID("nobody@localhost"))))
            client.add_event_handler("presence", lambda _: begun.append(asyncio.create_task(asyncio.sleep(3600))))
            client.send_presence()
            await until(lambda: len(begun) == 4)
            if end == "cancelled":
                raise asyncio.CancelledError
            if end == "lost":
                await embedded.close()
                await asyncio.sleep(30)

    try:
        await user()
    except (asyncio.CancelledError, XmppError):
        assert end != "left"
    await until(lambda: all(task.done() for task in begun))
    assert [task.cancelled() for task in begun].count(False) <= 1  # get_info may have been answered


@pytest.fixture
def young() -> Iterator[Callable[[], int]]:
    """`young()` collects what is young, and makes it old: what else a worker's collector does next to never."""
    gc.collect()
    gc.disable()
    yield lambda: gc.collect(1)
    gc.enable()


@pytest.mark.parametrize("end", ["left", "cancelled", "lost", "refused"])
async def test_an_old_client_is_freed(embedded: EmbeddedServer, young: Callable[[], int], end: str) -> None:
    alive: list[weakref.ref[Any]] = []

    class Remembered(SlixmppClient):
        def __init__(self, jid: Any, password: str) -> None:
            super().__init__(jid, password)
            alive.append(weakref.ref(self))
            self.add_event_handler("message", self.on_message)
            young()

        def on_message(self, message: Any) -> None:
            pass

    async def user(address: str) -> None:
        plugins = ["xep_0030", "xep_0045", "xep_0060", "xep_0115", "xep_0184", "xep_0199", "xep_0280", "xep_0313"]
        async with connect(1, Remembered, plugins=plugins, servers=[address]) as client:
            client.send_presence()
            await client.plugin["xep_0199"].ping()
            young()
            if end == "cancelled":
                raise asyncio.CancelledError
            if end == "lost":
                await embedded.close()
                await asyncio.sleep(30)

    failure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><aborted/></failure>"
    expected = {"cancelled": asyncio.CancelledError, "lost": Disconnected, "refused": ConnectFailed}
    async with BadServer("sasl", say(failure)) as refusing:
        with pytest.raises(expected[end]) if end in expected else contextlib.nullcontext():
            await user(refusing.address if end == "refused" else f"127.0.0.1:{embedded.port}")
    async with asyncio.timeout(30):
        while [reference() for reference in alive] != [None]:
            young()
            await asyncio.sleep(0.001)


async def test_a_user_whose_server_does_not_say_goodbye(settings: Config) -> None:
    loop = asyncio.get_running_loop()
    async with BadServer("ready", stall) as server:
        began = loop.time()
        async with connect(7, servers=[server.address], close_timeout=0.05):
            pass
        assert loop.time() - began < 20


# -- without slixmpp -----------------------------------------------------------------------------------------


def test_slixmpp_is_needed_by_who_uses_it_only() -> None:
    code = """
import sys
import amoc.xmpp, amoc.cli.main
assert "slixmpp" not in sys.modules
sys.modules["slixmpp"] = None
try:
    import amoc.xmpp.slixmpp_bridge
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "slixmpp is not installed: pip install 'amoc[slixmpp]'\n"
