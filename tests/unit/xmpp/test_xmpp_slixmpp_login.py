"""Logins by slixmpp that go wrong: errors, steps and counters are those of amoc's own client; nothing stays open."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from amoc import metrics
from amoc.config import Config
from amoc.xmpp import AuthFailed, ConnectFailed
from amoc.xmpp.server import serve
from amoc.xmpp.server.certificate import self_signed, server_context
from amoc.xmpp.slixmpp_bridge import connect
from amoc.xmpp.waterfall import cause_of
from tests.support.badserver import LOGIN, LOGIN_TLS, BadServer, Fault, Peer, close, reset, say, stall, stream_error

# the server's step -> the client's, if the server says nothing there
STEPS = {
    "connect": "stream",
    "stream": "stream",
    "features": "features",
    "starttls": "starttls",
    "tls": "tls",
    "stream-secure": "stream",
    "features-secure": "features",
    "sasl": "sasl",
    "stream-again": "stream",
    "features-again": "features",
    "bind": "bind",
    "session": "session",
}
PLAIN_STEPS = [step for step in LOGIN if step != "ready"]
TLS_STEPS = [step for step in LOGIN_TLS if step != "ready"]
FAULTS: dict[str, Fault] = {
    "closes": close,
    "resets": reset,
    "says garbage": say("\x00 <<<"),
    "ends the stream": say("</stream:stream>"),
}


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


async def log_in(**overrides: Any) -> None:
    """Log user 7 in, and leave at once."""
    async with connect(7, **overrides):
        pass


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", PLAIN_STEPS)
async def test_a_server_that_misbehaves_at_each_step(settings: Config, step: str, fault: str) -> None:
    async with BadServer(step, FAULTS[fault]) as server:
        settings.set("xmpp_servers", [server.address])
        with failure(STEPS[step]):
            await log_in()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", ["starttls", "tls", "stream-secure", "features-secure"])
async def test_the_same_around_tls(settings: Config, tmp_path: Path, step: str, fault: str) -> None:
    async with BadServer(step, FAULTS[fault], tls_folder=tmp_path) as server:
        assert server.certificate is not None
        settings.set_all({"xmpp_servers": [server.address], "xmpp_ca_file": str(server.certificate.authority)})
        with failure(STEPS[step]):
            await log_in()


NONSENSE = {
    "stream": ("<html>", "no XMPP stream"),
    "stream-again": ("<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>", "does not speak XMPP 1.0"),
    "features": ("<message/>", "<message/> before features"),
    "features-again": ("<presence/>", "<presence/> before features"),
    "starttls": ("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "offers TLS, but does not start it"),
    "tls": ("<message/>", "<message/> before TLS is on"),  # what is smuggled in before
    "sasl": ("<stream:features/>", "<features/> instead of an answer to PLAIN"),
    "bind": ("<iq type='result'/>", "bound no full address, but ''"),
}


@pytest.mark.parametrize("step", NONSENSE)
async def test_a_server_that_says_something_else(settings: Config, tmp_path: Path, step: str) -> None:
    said, words = NONSENSE[step]
    folder = tmp_path if step in LOGIN_TLS and step not in LOGIN else None
    async with BadServer(step, say(said), tls_folder=folder) as server:
        settings.set("xmpp_servers", [server.address])
        if server.certificate is not None:
            settings.set("xmpp_ca_file", str(server.certificate.authority))
        with failure(STEPS[step]) as text:
            await log_in()
        assert words in text[0]


async def test_a_server_that_lets_nobody_bind(settings: Config) -> None:
    async with BadServer("features-again", say("<stream:features/>")) as server:
        settings.set("xmpp_servers", [server.address])
        with failure("bind") as text:
            await log_in()
        assert "the server does not offer to bind a resource" in text[0]


REFUSALS = {
    "features": (stream_error("host-unknown", "no such crow"), "host-unknown, no such crow"),
    "sasl": (
        say("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><account-disabled/><text>ask mum</text></failure>"),
        "account-disabled, ask mum",
    ),
    "bind": (
        say(
            "<iq type='error'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
            "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>taken</text></error></iq>"
        ),
        "conflict, taken",
    ),
    "session": (say("<iq type='error'><error><wait/></error></iq>"), "undefined-condition"),
}


@pytest.mark.parametrize("step", REFUSALS)
async def test_what_the_server_says_is_in_the_message(settings: Config, step: str) -> None:
    fault, words = REFUSALS[step]
    async with BadServer(step, fault) as server:
        settings.set("xmpp_servers", [server.address])
        with failure(STEPS[step]) as text:
            await log_in()
        assert f"(the server said: {words})" in text[0]
        assert server.connections == 1  # no other mechanism, resource or host is tried


async def test_another_host_is_not_gone_to(settings: Config) -> None:
    elsewhere = say(
        "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>127.0.0.2</see-other-host>"
        "</stream:error></stream:stream>"
    )
    async with BadServer("features", elsewhere) as server:
        settings.set("xmpp_servers", [server.address])
        with failure("features") as text:
            await log_in()
        assert "see-other-host" in text[0]


@pytest.mark.slow  # each waits for the whole time, so that a busy machine gets as far as the step in it
@pytest.mark.parametrize("step", TLS_STEPS)
async def test_a_server_that_stalls_at_each_step(settings: Config, tmp_path: Path, step: str) -> None:
    async with BadServer(step, stall, tls_folder=tmp_path) as server:
        assert server.certificate is not None
        settings.set_all({"xmpp_servers": [server.address], "xmpp_ca_file": str(server.certificate.authority)})
        with failure(STEPS[step]) as text:
            await log_in(login_timeout=1.5)
        assert "not done within 1.5 s" in text[0]


@pytest.mark.parametrize("step", TLS_STEPS)
async def test_cancelling_at_each_step_leaves_nothing(settings: Config, tmp_path: Path, step: str) -> None:
    reached = asyncio.Event()

    async def fault(peer: object) -> None:
        reached.set()

    async with BadServer(step, fault, tls_folder=tmp_path) as server:
        assert server.certificate is not None
        settings.set_all({"xmpp_servers": [server.address], "xmpp_ca_file": str(server.certificate.authority)})
        task = asyncio.ensure_future(connect(7).__aenter__())
        await asyncio.wait_for(reached.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert metrics.current().flush().counters == {}


@pytest.mark.parametrize(
    ("mechanism", "step", "words"),
    [
        ("SCRAM-SHA-1", "", "without proving that it knows the password"),
        ("SCRAM-SHA-256", "", "without proving that it knows the password"),
        ("SCRAM-SHA-256", "challenge", "the server sent what makes no sense here: <challenge/>"),
    ],
)
async def test_a_server_that_does_not_know_the_password(
    settings: Config, mechanism: str, step: str, words: str
) -> None:
    fault = say("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>bm9uc2Vuc2U=</challenge>")
    async with BadServer(step, fault, mechanism=mechanism) as server:
        settings.set("xmpp_servers", [server.address])
        with failure("sasl") as text:
            await log_in()
        assert words in text[0]


async def test_a_forged_proof(settings: Config) -> None:
    forged = say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>dj1mb3JnZWQ=</success>")
    async with BadServer("sasl", forged, mechanism="SCRAM-SHA-256") as server:
        settings.set("xmpp_servers", [server.address])
        with failure("sasl") as text:
            await log_in()
        assert "SCRAM-SHA-256: the server claims success without proving that it knows the password" in text[0]


async def test_no_server_and_no_address(settings: Config) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.set("xmpp_servers", [f"127.0.0.1:{closed.getsockname()[1]}"])
        with failure("connect") as text:
            await log_in()
        assert "refused" in text[0].lower()
    settings.set("xmpp_servers", ["no-such-host.invalid"])
    with failure("resolve"):
        await log_in()


# -- certificates and passwords --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "trusted", "words"),
    [(30, True, ""), (30, False, "self-signed certificate"), (-1, True, "certificate has expired")],
)
async def test_certificates_are_checked(settings: Config, tmp_path: Path, days: int, trusted: bool, words: str) -> None:
    pem = self_signed("localhost", days=days)
    (tmp_path / "ca.pem").write_bytes(pem[0])
    async with await serve(tls="optional", context=server_context(pem=pem)) as server:
        settings.set_all({"xmpp_servers": [f"127.0.0.1:{server.port}"], "xmpp_tls": "required"})
        if trusted:
            settings.set("xmpp_ca_file", str(tmp_path / "ca.pem"))
        if words:
            with failure("tls") as text:
                await log_in()
            assert words in text[0]
            assert "xmpp_accept_any_certificate" in text[0]
            settings.set("xmpp_accept_any_certificate", True)
        await log_in()
        assert metrics.current().flush().histograms["amoc.times.login.tls"].count == 1


async def test_a_certificate_for_another_host(settings: Config, tmp_path: Path) -> None:
    async with BadServer("ready", tls_folder=tmp_path, hosts=("elsewhere.example",)) as server:
        assert server.certificate is not None
        settings.set_all({"xmpp_servers": [server.address], "xmpp_ca_file": str(server.certificate.authority)})
        with failure("tls") as text:
            await log_in()
        assert "Hostname mismatch" in text[0]


@pytest.mark.parametrize("mechanism", ["", "PLAIN", "SCRAM-SHA-1"])
async def test_a_wrong_password_is_tried_once(settings: Config, mechanism: str) -> None:
    tried: list[str] = []

    def password(name: str) -> str:
        tried.append(name)
        return "secret"

    async with await serve(password=password) as server:
        settings.set("xmpp_servers", [f"127.0.0.1:{server.port}"])
        with failure("sasl"):
            await log_in(sasl=mechanism)
        assert tried == ["user_7"]
        with pytest.raises(AuthFailed, match=r"was refused \(the server said: not-authorized") as refused:
            await log_in(sasl=mechanism)
        assert refused.value.condition == "not-authorized"
        assert refused.value.mechanism == (mechanism or "SCRAM-SHA-512")
        await log_in(password="secret", sasl=mechanism)


async def test_nothing_weaker_is_tried(settings: Config) -> None:
    async with await serve() as server:
        settings.set("xmpp_servers", [f"127.0.0.1:{server.port}"])
        with failure("sasl") as text:
            await log_in(sasl="SCRAM-SHA-256")
        assert "xmpp_sasl is SCRAM-SHA-256, but the server offers PLAIN" in text[0]
        with failure("starttls") as text:
            await log_in(tls="required")
        assert "does not offer TLS" in text[0]
        assert server.counters.logins == 0
    async with BadServer("", mechanism="X-OAUTH2") as bad:
        settings.set("xmpp_servers", [bad.address])
        with failure("sasl") as text:
            await log_in()
        assert "no mechanism in common: the server offers X-OAUTH2" in text[0]
    async with await serve(tls="required") as server:
        settings.set("xmpp_servers", [f"127.0.0.1:{server.port}"])
        with failure("starttls") as text:
            await log_in(tls="never")
        assert "the server requires TLS, but xmpp_tls is never" in text[0]


async def test_a_password_is_not_sent_without_tls(settings: Config) -> None:
    heard: list[bytes] = []

    async def listen(peer: Peer) -> None:
        peer.send("<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>")
        peer.send("<mechanism>PLAIN</mechanism></mechanisms></stream:features>")
        heard.append(await peer.reader.read())

    async with BadServer("features", listen) as server:
        settings.set("xmpp_servers", [server.address])
        with failure("starttls"):
            await log_in(tls="required")
        async with asyncio.timeout(30):
            while not heard:
                await asyncio.sleep(0.001)
    assert heard == [b""]
