"""The login waterfall: its steps add up, its names are documented, failures have a cause."""

import errno
import re
import socket
import ssl
from pathlib import Path

import pytest

from amoc import metrics
from amoc.config import Config
from amoc.xmpp import AuthFailed, ConnectFailed, connect
from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.accept import Policy
from amoc.xmpp.core.conditions import SASL_ERRORS, STANZA_ERRORS, STREAM_ERRORS
from amoc.xmpp.core.login import ClientStream
from amoc.xmpp.server import EmbeddedServer, serve
from amoc.xmpp.waterfall import STEPS, Waterfall, cause_of
from tests.support.badserver import BadServer, Fault, close, reset, say, stall, stream_error
from tests.unit.xmpp.pair import CROW, Pair

DOCS = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
PREFIX = "amoc.times.login."
PLAIN_STEPS = ["resolve", "connect", "stream", "features", "sasl", "bind"]


async def test_the_steps_of_a_login_add_up_to_it(embedded: EmbeddedServer) -> None:
    async with connect(1), connect(2):
        pass
    histograms = metrics.current().flush().histograms
    assert sorted(histograms) == sorted(["amoc.times.connection", *(PREFIX + step for step in PLAIN_STEPS)])
    assert all(histogram.count == 2 for histogram in histograms.values())
    whole = histograms.pop("amoc.times.connection").sum
    parts = sum(histogram.sum for histogram in histograms.values())
    assert parts == pytest.approx(whole)


async def test_tls_and_session_have_steps_of_their_own(settings: Config) -> None:
    async with await serve(tls="required", password=lambda _: "password_7", strict=True) as server:
        settings.set_all({"xmpp_servers": [f"127.0.0.1:{server.port}"], "xmpp_accept_any_certificate": True})
        async with connect(7):
            pass
    histograms = metrics.current().flush().histograms
    assert {PREFIX + step for step in (*PLAIN_STEPS, "starttls", "tls", "session")} == {
        name for name in histograms if name.startswith(PREFIX)
    }
    assert all(histogram.min > 0 for histogram in histograms.values())


async def test_the_first_presence_is_timed_once(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        client.send_presence("unavailable")
        client.send_presence(to="user_2@localhost")
        assert client.jid
        for _ in range(3):
            client.send_presence()
            await client.receive(lambda stanza: stanza.get("from") == client.jid, timeout=5)
    assert metrics.current().flush().histograms[PREFIX + "presence"].count == 1


async def test_a_failed_login_leaves_no_times(settings: Config) -> None:
    async with BadServer("bind", close) as server:
        settings.set("xmpp_servers", [server.address])
        with pytest.raises(ConnectFailed):
            await connect(7)
    assert metrics.current().flush().histograms == {}


FAULTS = [
    ("features", stream_error("system-shutdown"), "features", "system-shutdown"),
    ("features", stream_error("made-up-by-the-server"), "features", "other"),
    ("sasl", say("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>"), "sasl",
     "not-authorized"),
    ("sasl", say("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><made-up/></failure>"), "sasl", "other"),
    ("bind", say(f"<iq type='error' id='bind'><error><conflict xmlns='{ns.STANZAS}'/></error></iq>"),
     "bind", "conflict"),
    ("bind", say("<<<"), "bind", "nonsense"),
    ("bind", say("</stream:stream>"), "bind", "closed"),
    ("bind", close, "bind", "closed"),
    ("bind", reset, "bind", "lost"),
    ("bind", stall, "bind", "timeout"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("at", "fault", "step", "cause"), FAULTS, ids=lambda value: value if type(value) is str else ""
)
async def test_causes(settings: Config, at: str, fault: Fault, step: str, cause: str) -> None:
    async with BadServer(at, fault) as server:
        settings.set_all({"xmpp_servers": [server.address], "xmpp_login_timeout": 0.2 if fault is stall else 5.0})
        with pytest.raises(ConnectFailed) as failed:
            await connect(7)
    assert cause_of(failed.value) == cause
    assert metrics.current().flush().counters == {
        "amoc.counters.connection_failures": 1,
        f"xmpp.failures.{step}": 1,
        f"xmpp.failures.{step}.{cause}": 1,
    }


def test_causes_that_an_exception_says() -> None:
    for under, cause in (
        (socket.gaierror(-2, "unknown"), "no-address"),
        (UnicodeError("label too long"), "no-address"),
        (ssl.SSLCertVerificationError("expired"), "certificate"),
        (ssl.SSLError("bad record"), "handshake"),
        (ConnectionRefusedError(), "refused"),
        (ConnectionResetError(), "lost"),
        (OSError(errno.EHOSTUNREACH, "no route"), "unreachable"),
        (None, "other"),
    ):
        error = ConnectFailed("connect", "no")
        error.__cause__ = under
        assert cause_of(error) == cause


async def test_a_refused_connection_and_a_wrong_certificate(settings: Config) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.set("xmpp_servers", [f"127.0.0.1:{closed.getsockname()[1]}"])
        with pytest.raises(ConnectFailed) as failed:
            await connect(7)
        assert cause_of(failed.value) == "refused"
    async with await serve(tls="required") as server:
        settings.set("xmpp_servers", [f"127.0.0.1:{server.port}"])
        with pytest.raises(ConnectFailed) as failed:
            await connect(7)
        assert cause_of(failed.value) == "certificate"


def test_a_server_cannot_make_up_names_of_metrics() -> None:
    pair = Pair(policy=Policy(password=lambda _: None))
    assert isinstance(pair.client.error, AuthFailed)
    assert pair.client.error.cause == "not-authorized"
    for known in (SASL_ERRORS, STANZA_ERRORS, STREAM_ERRORS):
        for name in known:
            assert re.fullmatch("[a-z-]+", name), name


def test_the_core_tells_its_steps_in_order() -> None:
    heard: list[str] = []

    class Told(ClientStream):
        def __init__(self) -> None:
            super().__init__(CROW)
            self.notice = heard.append

    pair = Pair(policy=Policy(tls=True, strict=True), client=Told())
    assert pair.client.ready
    opened = ["stream", "features"]
    assert pair.client.stream.notice is None  # nobody keeps the times of a login for the length of a session
    assert heard == ["connect", *opened, "starttls", "tls", *opened, "sasl", *opened, "bind", "session"]


def test_every_step_and_cause_is_documented() -> None:
    for step in (*STEPS, "presence"):
        assert f"`{PREFIX}{step}`" in DOCS, step
    documented = set(re.findall(rf"`{re.escape(PREFIX)}([a-z]+)`", DOCS))
    assert documented == {*STEPS, "presence"}
    for cause in ("no-address", "refused", "unreachable", "closed", "lost", "timeout", "certificate", "handshake",
                  "required", "not-offered", "downgrade", "nonsense", "unproved", "other"):  # fmt: skip
        assert f"`{cause}`" in DOCS, cause


def test_every_counter_of_the_client_is_documented() -> None:
    sources = [path.read_text() for path in (Path(__file__).parents[3] / "amoc" / "xmpp").rglob("*.py")]
    names = {name for text in sources for name in re.findall(r"increment\(\s*\"([\w.]+)\"", text)}
    assert {"xmpp.disconnected", "xmpp.sm.lost", "xmpp.sm.resumed"} <= names
    for name in names:
        assert f"`{name}`" in DOCS, name


def test_a_waterfall_sums_what_comes_twice() -> None:
    waterfall = Waterfall()
    for step in ("resolve", "stream", "stream"):
        waterfall.ended(step)
    waterfall.record()
    histograms = metrics.current().flush().histograms
    assert {name: histogram.count for name, histogram in histograms.items()} == {
        PREFIX + "resolve": 1,
        PREFIX + "stream": 1,
        "amoc.times.connection": 1,
    }
    assert "resolve=" in repr(waterfall)
