"""The bad server is honest up to its step (slixmpp gets in without a fault) and does there what it was told to."""

import asyncio
from pathlib import Path

import pytest
import slixmpp
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.support.badserver import (
    LOGIN,
    LOGIN_TLS,
    BadServer,
    Fault,
    close,
    reset,
    say,
    stall,
    steps_of,
    stream_error,
)

PLAIN = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>"
HEADER = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>"
)
BIND = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
SESSION = "<iq type='set' id='2'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"
SCRIPT = [(HEADER, "</stream:features>"), (PLAIN, "<success"), (HEADER, "</stream:features>"), (BIND, "</iq>")]


async def login(server: BadServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for question, end in SCRIPT:
        writer.write(question.encode())
        await asyncio.wait_for(reader.readuntil(end.encode()), 30)
    return reader, writer


async def answer_to_header(server: BadServer) -> str:
    """What the server says to a stream header until it closes; "…" at the end when it does not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(HEADER.encode())
        said = b""
        try:
            async with asyncio.timeout(0.3):
                while data := await reader.read(1000):
                    said += data
        except TimeoutError:
            said += "…".encode()
        return said.decode()
    finally:
        writer.close()


@pytest.mark.parametrize("tls", ["", "starttls", "tls"])
async def test_without_a_fault_an_independent_client_logs_in(tls: str, tmp_path: Path) -> None:
    async with BadServer(tls_folder=tmp_path if tls else None, transport="tls" if tls == "tls" else "tcp") as server:
        client = slixmpp.ClientXMPP("user@localhost/res1", "any")
        client.enable_direct_tls = tls == "tls"
        client.plugin["feature_mechanisms"].unencrypted_plain = True
        client.ca_certs = server.certificate.authority if server.certificate else None
        ready = asyncio.Event()
        client.add_event_handler("session_start", lambda _: ready.set())
        client.connect("127.0.0.1", server.port)
        await asyncio.wait_for(ready.wait(), 30)
        assert server.connections == 1
        client.abort()
        if client._run_out_filters is not None:  # slixmpp leaves this task running
            client._run_out_filters.cancel()


async def test_the_step_after_the_fault_is_not_reached() -> None:
    async with BadServer("session", say("<nonsense/>")) as server:
        reader, writer = await login(server)
        writer.write(SESSION.encode())
        assert await reader.readuntil(b"/>") == b"<nonsense/>"
        writer.close()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (close, ""),
        (stall, "…"),
        (say("\x00 no XML"), "\x00 no XML…"),
    ],
)
async def test_faults_at_the_first_answer(fault: Fault, said: str) -> None:
    async with BadServer("stream", fault) as server:
        assert await answer_to_header(server) == said


async def test_websocket_for_an_independent_client() -> None:
    protocols = [Subprotocol("xmpp")]
    async with (
        BadServer("features", say("<nonsense/>"), transport="ws") as server,
        connect(server.address, subprotocols=protocols) as client,
    ):
        await client.send("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>")
        assert " xmlns='urn:ietf:params:xml:ns:xmpp-framing' " in str(await client.recv())
        assert str(await client.recv()).startswith("<nonsense ")


async def test_bosh_by_hand() -> None:
    page = b"POST /xmpp HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b"
    body = b"<body xmlns='http://jabber.org/protocol/httpbind' rid='1' to='localhost'/>"
    async with BadServer("features", say("<nonsense/>"), transport="http") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for request, said in ((body, b" sid='bad' "), (body.replace(b"to=", b"sid="), b"<nonsense ")):
            writer.write(page % (len(request), request))
            assert said in await asyncio.wait_for(reader.readuntil(b"</body>"), 30)
        writer.close()


async def test_reset() -> None:
    async with BadServer("features", reset) as server:
        with pytest.raises(ConnectionResetError):
            await answer_to_header(server)


async def test_stream_error() -> None:
    async with BadServer("features", stream_error("host-unknown", "no such host")) as server:
        said = await answer_to_header(server)
        assert said.endswith("</stream:error></stream:stream>")
        assert "<host-unknown " in said
        assert "no such host" in said


def test_steps() -> None:
    assert set(LOGIN) < set(LOGIN_TLS)
    with pytest.raises(ValueError, match="no step 'tls'"):
        BadServer("tls")
    assert steps_of("wss")[:4] == ("connect", "tls", "websocket", "stream")
    assert set(steps_of("https")) < set(steps_of("wss"))
    BadServer("challenge", mechanism="SCRAM-SHA-1")
