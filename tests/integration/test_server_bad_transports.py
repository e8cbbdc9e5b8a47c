"""The bad server again, over direct TLS, WebSocket and BOSH: every fault at every step, certificates, lies, downgrades.

`test_server_bad` does the same over TCP, with STARTTLS and without.
"""

import asyncio
import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amoc import config, metrics
from amoc.config import CORE, Config
from amoc.xmpp import SETTINGS, AuthFailed, ConnectFailed, Disconnected, XmppError, connect
from tests.support.badpeers import BoshPeer, Peer, WebSocketPeer
from tests.support.badserver import (
    TRANSPORTS,
    BadServer,
    Fault,
    Transport,
    close,
    end,
    raw,
    reset,
    say,
    stall,
    steps_of,
    stream_error,
)

OTHERS = [transport for transport in TRANSPORTS if transport != "tcp"]
SECURE: list[Transport] = ["tls", "wss", "https"]
FAULTS: dict[str, Fault] = {
    "close": close,
    "reset": reset,
    "stall": stall,
    "garbage": raw(b"\x00\xff\xfe garbage \x00"),
    "other XML": say("<html><body>It works!</body></html>"),
    "half an element": say("<iq type='resu"),
    "the end": end,
    "stream error": stream_error("internal-server-error", "out of order"),
}
# half an element cannot be put into a <body/>
PAIRS = [
    (one, fault) for one in OTHERS for fault in FAULTS if not (one.startswith("http") and fault.startswith("half"))
]
BEFORE = ("connect", "tls", "websocket")  # there is nothing yet that elements could be said over


@pytest.fixture(autouse=True)
def settings() -> Iterator[Config]:
    before, registry = config.current(), metrics.current()
    own = Config((*CORE, *SETTINGS), env={})
    config.use(own)
    metrics.use(metrics.Registry())
    yield own
    config.use(before)
    metrics.use(registry)


def server_of(transport: Transport, folder: Path, step: str = "", fault: Fault = stall, **more: Any) -> BadServer:
    return BadServer(step, fault, transport=transport, tls_folder=folder if transport in SECURE else None, **more)


async def failed_login(server: BadServer, **overrides: Any) -> ConnectFailed:
    """The error of a login: one line, and it says whose login it was and how far it came."""
    if server.certificate is not None:
        overrides = {"ca_file": str(server.certificate.authority), **overrides}
    with pytest.raises(ConnectFailed) as raised:
        await connect(7, servers=[server.address], **overrides)
    error = raised.value
    assert "\n" not in str(error)
    assert str(error).startswith(f"user 7 (user_7@localhost at {server.address}): login failed at step {error.step}: ")
    return error


def counted() -> dict[str, int]:
    return dict(metrics.current().flush().counters)


def expected_step(transport: str, step: str, fault: str) -> set[str]:
    """Where the client was when it noticed."""
    if step == "connect" and transport in SECURE:
        return {"tls"}
    if step == "connect" and transport in ("ws", "wss"):
        return {"websocket"}
    name = "stream" if step == "connect" else step.partition("-")[0]
    if transport in ("http", "https") and step.endswith("-again"):
        return {"stream", "features"}  # a restart has no answer of its own
    return {name.replace("stream", "features") if fault == "stream error" else name}


@pytest.mark.parametrize(("transport", "fault"), PAIRS)
async def test_every_fault_at_every_step(transport: Transport, fault: str, tmp_path: Path) -> None:
    steps = [step for step in steps_of(transport) if step != "ready"]
    if fault not in ("close", "reset", "stall", "garbage"):
        steps = [step for step in steps if step not in BEFORE]

    at_once = fault in ("close", "reset", "garbage", "the end", "stream error")
    logins = 0

    async def try_it(step: str) -> None:
        nonlocal logins
        folder = tmp_path / step
        folder.mkdir()
        # only the time limit ends what is silent, and XML that may be a stanza which only came too early;
        # a busy machine may need more time to come to the step at all
        for limit in (60.0,) if at_once else (1.0, 6.0, 40.0):
            async with server_of(transport, folder, step, FAULTS[fault]) as server:
                error = await failed_login(server, login_timeout=limit)
                logins += 1
            if server.misbehaved:
                break
        assert error.step in expected_step(transport, step, fault), (step, error)
        if fault == "stream error":
            assert error.said == "internal-server-error, out of order", error
        assert error.cause != "timeout" or not at_once, (step, error)
        assert server.connections <= 4

    async with asyncio.TaskGroup() as group:
        for step in steps:
            group.create_task(try_it(step))
    counts = counted()
    assert counts["amoc.counters.connection_failures"] == logins
    assert not [name for name in counts if name.endswith(".other")]


@pytest.mark.parametrize("transport", OTHERS)
async def test_without_a_fault_the_login_is_done(transport: Transport, tmp_path: Path) -> None:
    async with server_of(transport, tmp_path) as server:
        authority = str(server.certificate.authority) if server.certificate else ""
        async with connect(7, servers=[server.address], ca_file=authority) as client:
            assert client.connected
            assert server.connections == 1
    assert counted() == {"amoc.counters.connections": 1}


@pytest.mark.parametrize("fault", ["close", "reset", "garbage", "the end", "stream error"])
@pytest.mark.parametrize("transport", OTHERS)
async def test_a_session_that_is_cut_ends_whoever_waits(transport: Transport, fault: str, tmp_path: Path) -> None:
    async with server_of(transport, tmp_path, "ready", FAULTS[fault]) as server:
        authority = str(server.certificate.authority) if server.certificate else ""
        async with connect(7, servers=[server.address], ca_file=authority) as client:
            with pytest.raises(XmppError, match="user 7"):
                await client.receive(timeout=20)
            with pytest.raises(XmppError):
                client.send_presence()
    assert counted()["xmpp.disconnected"] == 1


@pytest.mark.parametrize("transport", OTHERS)
async def test_a_server_that_never_says_goodbye_does_not_hold_its_users(transport: Transport, tmp_path: Path) -> None:
    async with server_of(transport, tmp_path, "ready") as server:
        authority = str(server.certificate.authority) if server.certificate else ""
        client = await connect(7, servers=[server.address], ca_file=authority, close_timeout=0.2)
        async with asyncio.timeout(20):
            await client.close()
        assert not client.connected


# -- lies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proof", ["v=" + base64.b64encode(b"x" * 20).decode(), "v=", "e=other-error", None])
@pytest.mark.parametrize("transport", OTHERS)
async def test_a_server_that_cannot_prove_itself_is_refused(
    transport: Transport, proof: str | None, tmp_path: Path
) -> None:
    text = base64.b64encode(proof.encode()).decode() if proof is not None else ""
    fault = say(f"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{text}</success>")
    async with server_of(transport, tmp_path, "sasl", fault, mechanism="SCRAM-SHA-1") as server:
        error = await failed_login(server)
    assert isinstance(error, AuthFailed)
    assert (error.mechanism, error.cause) == ("SCRAM-SHA-1", "unproved" if proof != "e=other-error" else error.cause)


@pytest.mark.parametrize("transport", OTHERS)
async def test_a_weaker_mechanism_than_the_fixed_one_is_refused_and_named(transport: Transport, tmp_path: Path) -> None:
    """Somebody on the way has taken the better ones out of the list."""
    async with server_of(transport, tmp_path) as server:
        error = await failed_login(server, sasl="SCRAM-SHA-256")
    assert "xmpp_sasl is SCRAM-SHA-256, but the server offers PLAIN: no weaker one is tried" in str(error)
    assert (error.step, error.cause) == ("sasl", "not-offered")


@pytest.mark.parametrize("transport", SECURE)
async def test_a_channel_binding_that_was_taken_away_is_refused_and_named(transport: Transport, tmp_path: Path) -> None:
    async with server_of(transport, tmp_path, mechanism="SCRAM-SHA-256") as server:
        error = await failed_login(server, sasl="SCRAM-SHA-256-PLUS")
    assert "xmpp_sasl is SCRAM-SHA-256-PLUS, but the server offers SCRAM-SHA-256" in str(error)
    assert (error.step, error.cause) == ("sasl", "not-offered")


@pytest.mark.parametrize("transport", ["ws", "http"])
async def test_no_tls_where_it_is_required_is_refused_and_named(transport: Transport, tmp_path: Path) -> None:
    async with server_of(transport, tmp_path) as server:
        error = await failed_login(server, tls="required")
        assert server.connections == 0
    assert f"has no TLS: use {transport}s://" in str(error)


@pytest.mark.parametrize("transport", SECURE)
async def test_a_server_that_speaks_without_tls(transport: Transport, tmp_path: Path) -> None:
    """A stripped connection: what answers on the port of TLS knows nothing of it."""
    for answer in (b"<stream:stream>", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"):
        folder = tmp_path / str(len(answer))
        folder.mkdir()
        async with server_of(transport, folder, "tls", raw(answer)) as server:
            error = await failed_login(server)
        assert (error.step, "the TLS handshake failed" in str(error)) == ("tls", True), error


# -- certificates --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", SECURE)
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("authority", "self-signed certificate|unable to get"),
        ("expired", "has expired"),
        ("host", "Hostname mismatch|IP address mismatch"),
    ],
)
async def test_certificates_are_checked(transport: Transport, wrong: str, words: str, tmp_path: Path) -> None:
    hosts = ("other.example",) if wrong == "host" else ("localhost",)
    async with server_of(transport, tmp_path, hosts=hosts, days=-1 if wrong == "expired" else 30) as server:
        assert server.certificate is not None
        # the name that a URL's certificate is checked for; direct TLS checks the domain
        url = server.address.replace("127.0.0.1", "localhost")
        ca_file = str(server.certificate.authority) if wrong != "authority" else ""
        with pytest.raises(ConnectFailed) as raised:
            await connect(7, servers=[url], ca_file=ca_file)
        assert raised.value.step == "tls"
        assert re.search(words, str(raised.value)), raised.value
        assert "xmpp_accept_any_certificate" in str(raised.value)
        assert counted()["xmpp.failures.tls.certificate"] == 1
        async with connect(7, servers=[url], ca_file=ca_file, accept_any_certificate=True) as client:
            assert client.connected


# -- the transports' own negotiations ------------------------------------------------------------------------


def page(status: int, reason: str) -> Fault:
    async def fault(peer: Peer) -> None:
        body = b"<html>sorry</html>"
        if isinstance(peer, WebSocketPeer):
            peer.reject(status, reason, body)
        else:
            assert isinstance(peer, BoshPeer)
            peer.page(f"{status} {reason}", body)

    return fault


@pytest.mark.parametrize(("status", "reason"), [(200, "OK"), (301, "Moved"), (401, "Unauthorized"), (503, "Busy")])
@pytest.mark.parametrize("transport", ["ws", "wss"])
async def test_an_answer_that_opens_no_websocket(
    transport: Transport, status: int, reason: str, tmp_path: Path
) -> None:
    async with server_of(transport, tmp_path, "websocket", page(status, reason)) as server:
        error = await failed_login(server)
    assert (error.step, error.cause) == ("websocket", f"http-{status}")
    assert str(status) in str(error)


@pytest.mark.parametrize("step", ["stream", "sasl", "stream-again", "bind", "session"])
@pytest.mark.parametrize(("status", "reason"), [(301, "Moved"), (404, "Not Found"), (503, "Busy")])
@pytest.mark.parametrize("transport", ["http", "https"])
async def test_an_answer_that_is_no_bosh(
    transport: Transport, step: str, status: int, reason: str, tmp_path: Path
) -> None:
    async with server_of(transport, tmp_path, step, page(status, reason)) as server:
        error = await failed_login(server)
    assert error.cause == f"http-{status}"
    assert f"HTTP {status} {reason}" in str(error)


async def test_binary_messages_and_a_wrong_subprotocol(tmp_path: Path) -> None:
    async def binary(peer: Peer) -> None:
        peer.raw(b"\x82\x02hi")

    async def masked(peer: Peer) -> None:  # only clients do that (RFC 6455, 5.1)
        peer.raw(b"\x81\x82\0\0\0\0hi")

    async def goes(peer: Peer) -> None:
        peer.raw(b"\x88\x02\x03\xf0")  # 1008, policy violation

    for fault in (binary, masked, goes):
        async with server_of("ws", tmp_path, "features", fault) as server:
            error = await failed_login(server)
        assert error.step == "features"
        assert error.cause != "timeout"
    async with server_of("ws", tmp_path, "ready", goes) as server, connect(7, servers=[server.address]) as client:
        with pytest.raises(Disconnected, match="1008"):
            await client.receive(timeout=30)
