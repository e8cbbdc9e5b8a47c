"""Logins that go wrong over real sockets: a server that misbehaves at each step, or is not there at all.

Each ends in a ConnectFailed that names user and step, is counted, and leaves nothing open (the conftest looks).
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from amoc import metrics
from amoc.config import Config
from amoc.xmpp import AuthFailed, ConnectFailed, Disconnected, connect
from amoc.xmpp.server import serve
from amoc.xmpp.server.certificate import self_signed, server_context
from amoc.xmpp.waterfall import cause_of
from tests.support.badserver import LOGIN, LOGIN_TLS, BadServer, Fault, close, raw, reset, say, stall, stream_error

# the server's step of LOGIN -> the client's, if the server says nothing there
STEPS = {
    "connect": "stream",
    "stream": "stream",
    "features": "features",
    "starttls": "starttls",
    "tls": "tls",
    "stream-secure": "stream",
    "features-secure": "features",
    "sasl": "sasl",
    "challenge": "sasl",
    "stream-again": "stream",
    "features-again": "features",
    "bind": "bind",
    "session": "session",
}
PLAIN_STEPS = [step for step in LOGIN if step != "ready"]
TLS_STEPS = [step for step in LOGIN_TLS if step != "ready"]


@contextmanager
def failure(step: str) -> Iterator[list[str]]:
    """The login within fails at `step` and is counted; the message is added to the list."""
    text: list[str] = []
    with pytest.raises(ConnectFailed) as failed:
        yield text
    text.append(str(failed.value))
    assert failed.value.step == step, text
    assert text[0].startswith("user 7 (user_7@localhost at ")
    assert "\n" not in text[0]
    cause = f"xmpp.failures.{step}.{cause_of(failed.value)}"
    counters = metrics.current().flush().counters
    assert counters == {"amoc.counters.connection_failures": 1, f"xmpp.failures.{step}": 1, cause: 1}
    assert not cause.endswith(".other")


FAULTS: dict[str, Fault] = {
    "closes": close,
    "resets": reset,
    "says garbage": raw(b"\x00\xff\x16\x03 <<<"),
    "speaks HTTP": say("HTTP/1.1 400 Bad Request\r\n\r\n"),
    "ends the stream": say("</stream:stream>"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", PLAIN_STEPS)
async def test_a_server_that_misbehaves_at_each_step(settings: Config, step: str, fault: str) -> None:
    async with BadServer(step, FAULTS[fault]) as server:
        settings.set("xmpp_servers", [server.address])
        with failure(STEPS[step]):
            await connect(7)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", TLS_STEPS[2:7])
async def test_the_same_around_tls(settings: Config, tmp_path: Path, step: str, fault: str) -> None:
    async with BadServer(step, FAULTS[fault], tls_folder=tmp_path) as server:
        assert server.certificate is not None
        settings.set_all({"xmpp_servers": [server.address], "xmpp_ca_file": str(server.certificate.authority)})
        with failure(STEPS[step]):
            await connect(7)


@pytest.mark.slow  # each waits for the whole second, so that a busy machine gets as far as the step in it
@pytest.mark.parametrize("step", TLS_STEPS)
async def test_a_server_that_stalls_at_each_step(settings: Config, tmp_path: Path, step: str) -> None:
    async with BadServer(step, stall, tls_folder=tmp_path) as server:
        assert server.certificate is not None
        settings.set_all(
            {
                "xmpp_servers": [server.address],
                "xmpp_ca_file": str(server.certificate.authority),
                "xmpp_login_timeout": 1.0,
            }
        )
        if step == "ready":
            async with connect(7):
                return
        with failure(STEPS[step]) as text:
            await connect(7)
        assert "not done within 1 s" in text[0]


@pytest.mark.parametrize("step", TLS_STEPS)
async def test_cancelling_at_each_step_leaves_nothing(settings: Config, tmp_path: Path, step: str) -> None:
    async with BadServer(step, stall, tls_folder=tmp_path) as server:
        assert server.certificate is not None
        settings.set_all({"xmpp_servers": [server.address], "xmpp_ca_file": str(server.certificate.authority)})
        reached = asyncio.Event()

        async def fault(peer: object) -> None:
            reached.set()

        server.fault = fault
        task = asyncio.ensure_future(connect(7).__aenter__())
        await asyncio.wait_for(reached.wait(), 30)
        task.cancel()
        if step == "ready":
            try:
                (await task).kill()
            except asyncio.CancelledError:
                pass
        else:
            with pytest.raises(asyncio.CancelledError):
                await task
            assert metrics.current().flush().counters == {}


async def test_cancelling_after_any_number_of_turns_of_the_loop_leaves_nothing(settings: Config) -> None:
    async with await serve(tls="required", password=lambda _: "password_7") as server:
        settings.set_all({"xmpp_servers": [f"localhost:{server.port}"], "xmpp_accept_any_certificate": True})
        for turns in range(1000):
            task = asyncio.ensure_future(connect(7).__aenter__())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                client = await task
            except asyncio.CancelledError:
                continue
            client.kill()
            assert turns > 10
            break
        else:
            pytest.fail("no login was ever done")
        async with asyncio.timeout(30):
            while server.connections:
                await asyncio.sleep(0.001)


async def test_what_the_server_says_is_in_the_message(settings: Config) -> None:
    async with BadServer("features", stream_error("system-shutdown", "back at nine")) as server:
        settings.set("xmpp_servers", [server.address])
        with failure("features") as text:
            await connect(7)
        assert "(the server said: system-shutdown, back at nine)" in text[0]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
async def test_a_server_that_claims_success_without_knowing_the_password(settings: Config, mechanism: str) -> None:
    async with BadServer("", mechanism=mechanism) as server:
        settings.set("xmpp_servers", [server.address])
        with failure("sasl") as text:
            await connect(7)
        assert "without proving that it knows the password" in text[0]


async def test_a_server_that_goes_away_after_the_login(settings: Config) -> None:
    for fault in (close, reset, say("<<<"), say("</stream:stream>")):
        async with BadServer("ready", fault) as server:
            settings.set("xmpp_servers", [server.address])
            async with connect(7) as client:
                with pytest.raises(Disconnected, match="user 7 "):
                    await client.receive(timeout=5)
                with pytest.raises(Disconnected):
                    client.send_presence()


async def test_no_server(settings: Config) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        settings.set("xmpp_servers", [f"127.0.0.1:{port}"])
        with failure("connect") as text:
            await connect(7)
        assert "refused" in text[0].lower() or "connect call failed" in text[0].lower()


async def test_a_name_without_an_address(settings: Config) -> None:
    for name in ("no-such-host.invalid", "x" * 300, ".."):
        settings.set("xmpp_servers", [name])
        with failure("resolve") as text:
            await connect(7)
        assert repr(name) in text[0]


async def test_a_server_that_does_not_accept_in_time(settings: Config) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:  # the backlog is full: the next connection is not answered
            filler.setblocking(False)
            filler.connect_ex(address)
        settings.set_all({"xmpp_servers": [f"127.0.0.1:{address[1]}"], "xmpp_login_timeout": 1.0})
        with failure("connect") as text:
            await connect(7)
        assert "not done within 1 s" in text[0]
        for filler in fillers:
            filler.close()


# -- certificates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "trusted", "words"),
    [(30, True, ""), (30, False, "self-signed certificate"), (-1, True, "certificate has expired")],
)
async def test_certificates_are_checked(settings: Config, tmp_path: Path, days: int, trusted: bool, words: str) -> None:
    pem = self_signed("localhost", days=days)
    (tmp_path / "ca.pem").write_bytes(pem[0])
    async with await serve(tls="optional", context=server_context(pem=pem)) as server:
        settings.set("xmpp_servers", [f"127.0.0.1:{server.port}"])
        if trusted:
            settings.set("xmpp_ca_file", str(tmp_path / "ca.pem"))
        if words:
            with failure("tls") as text:
                await connect(7)
            assert words in text[0]
            assert "xmpp_accept_any_certificate" in text[0]
            settings.set("xmpp_accept_any_certificate", True)
        async with connect(7, tls="required") as client:
            assert client.connected


async def test_a_certificate_for_another_host(settings: Config, tmp_path: Path) -> None:
    async with BadServer("ready", tls_folder=tmp_path, hosts=("elsewhere.example",)) as server:
        assert server.certificate is not None
        settings.set_all({"xmpp_servers": [server.address], "xmpp_ca_file": str(server.certificate.authority)})
        with failure("tls") as text:
            await connect(7)
        assert "Hostname mismatch" in text[0]


async def test_wrong_password_and_downgrades(settings: Config) -> None:
    async with await serve(password=lambda name: "secret") as server:
        settings.set("xmpp_servers", [f"127.0.0.1:{server.port}"])
        for mechanism in ("", "PLAIN", "SCRAM-SHA-1"):
            with failure("sasl"):
                await connect(7, sasl=mechanism)
        with failure("starttls") as text:
            await connect(7, tls="required")
        assert "does not offer TLS" in text[0]
        async with connect(7, password="secret") as client:
            assert client.connected
    async with await serve() as server:
        settings.set("xmpp_servers", [f"127.0.0.1:{server.port}"])
        with pytest.raises(AuthFailed, match="xmpp_sasl is SCRAM-SHA-256, but the server offers PLAIN"):
            await connect(7, sasl="SCRAM-SHA-256")
