"""A server that fails at any step of the login, in any way: one readable, counted error, and nothing is left.

What every case must have in common is here; what a step says in particular is in the unit tests of amoc.xmpp.
"""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amoc import config, metrics
from amoc.config import CORE, Config
from amoc.xmpp import SETTINGS, AuthFailed, ConnectFailed, Disconnected, connect
from tests.support.badserver import LOGIN, LOGIN_TLS, BadServer, Fault, close, raw, reset, say, stall, stream_error

FAULTS: dict[str, Fault] = {
    "close": close,
    "reset": reset,
    "stall": stall,
    "garbage": raw(b"\x00\xff\xfe garbage \x00"),
    "other XML": say("<html><body>It works!</body></html>"),
    "half an element": say("<iq type='resu"),
    "stream error": stream_error("internal-server-error", "out of order"),
}
SILENT = ("stall", "half an element")  # only the time limit ends these
NOT_STANZAS = "other XML"  # after SASL it could be a stanza that only came too early, which is no fault


@pytest.fixture(autouse=True)
def settings() -> Iterator[Config]:
    before, registry = config.current(), metrics.current()
    own = Config((*CORE, *SETTINGS), env={})
    config.use(own)
    metrics.use(metrics.Registry())
    yield own
    config.use(before)
    metrics.use(registry)


async def failed_login(server: BadServer, **overrides: Any) -> ConnectFailed:
    """The error of a login: counted once, one line, and it says whose login it was and how far it came."""
    with pytest.raises(ConnectFailed) as raised:
        await connect(7, servers=[server.address], **overrides)
    error = raised.value
    counted = metrics.current().flush().counters
    step = f"xmpp.failures.{error.step}"
    assert counted.pop("amoc.counters.connection_failures") == counted.pop(step) == 1
    assert all(name.startswith(f"{step}.") and count == 1 for name, count in counted.items()), counted
    assert "\n" not in str(error)
    assert str(error).startswith(f"user 7 (user_7@localhost at {server.address}): login failed at step {error.step}: ")
    assert server.connections == 1
    return error


def check(error: ConnectFailed, step: str, fault: str) -> None:
    """The error names the step: streams are opened up to three times, and the first answer is a stream header."""
    expected = "stream" if step == "connect" else step.partition("-")[0]
    if fault == "stream error" and step != "tls":
        assert error.said == "internal-server-error, out of order"
        expected = expected.replace("stream", "features")  # the error follows a stream header
    assert error.step == expected, error


async def failed_at(step: str, fault: str, **more: Any) -> ConnectFailed:
    """The error of a login that came to the step: on a busy machine it may need more time for that."""
    silent = fault in SILENT or (fault == NOT_STANZAS and step in ("bind", "session"))
    for limit in (0.4, 4.0, 40.0) if silent else (60.0,):
        async with BadServer(step, FAULTS[fault], **more) as server:
            authority = str(server.certificate.authority) if server.certificate else ""
            error = await failed_login(server, ca_file=authority, login_timeout=limit)
        if server.misbehaved:
            break
    return error


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", [step for step in LOGIN if step != "ready"])
async def test_every_fault_at_every_step(step: str, fault: str) -> None:
    check(await failed_at(step, fault), step, fault)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", [step for step in LOGIN_TLS if step not in LOGIN])
async def test_every_fault_around_starttls(step: str, fault: str, tmp_path: Path) -> None:
    check(await failed_at(step, fault, tls_folder=tmp_path), step, fault)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
@pytest.mark.parametrize("step", ["challenge", "sasl"])
async def test_every_fault_within_scram(step: str, mechanism: str, fault: str) -> None:
    check(await failed_at(step, fault, mechanism=mechanism), "sasl", fault)


@pytest.mark.parametrize(
    "proof",
    [
        f"v={base64.b64encode(b'x' * 20).decode()}",
        "v=",
        "",
        "e=other-error",
        "no attribute",
    ],
    ids=["wrong signature", "empty signature", "no signature", "an error", "nonsense"],
)
async def test_a_server_that_cannot_prove_itself_is_refused(proof: str) -> None:
    success = f"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{base64.b64encode(proof.encode()).decode()}</success>"
    async with BadServer("sasl", say(success), mechanism="SCRAM-SHA-1") as server:
        error = await failed_login(server)
    assert isinstance(error, AuthFailed)
    assert error.mechanism == "SCRAM-SHA-1"


async def test_a_certificate_for_another_host_is_refused(tmp_path: Path) -> None:
    async with BadServer(tls_folder=tmp_path, hosts=("other.example",)) as server:
        assert server.certificate is not None
        error = await failed_login(server, ca_file=str(server.certificate.authority))
    assert error.step == "tls"
    assert "other.example" in str(error) or "localhost" in str(error)


@pytest.mark.parametrize("fault", ["close", "reset", "garbage", "stream error"])
async def test_a_session_that_is_cut_ends_whoever_waits(fault: str) -> None:
    async with BadServer("ready", FAULTS[fault]) as server, connect(7, servers=[server.address]) as client:
        with pytest.raises(Disconnected):
            await client.receive(timeout=20)
        with pytest.raises(Disconnected):
            client.send_presence()


async def test_a_server_that_never_says_goodbye_does_not_hold_its_users() -> None:
    async with BadServer("ready", stall) as server:
        client = await connect(7, servers=[server.address], close_timeout=0.2)
        began = time.monotonic()
        await client.close()
        assert 0.1 < time.monotonic() - began < 20


async def test_nobody_listens() -> None:
    async with BadServer() as server:
        address = server.address
    with pytest.raises(ConnectFailed, match=f"cannot connect to {address}") as raised:
        await connect(7, servers=[address])
    assert raised.value.step == "connect"
