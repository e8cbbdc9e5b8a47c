"""The embedded server's shell: clients that misbehave, and an end that leaves nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from amoc.config import Config
from amoc.xmpp import Element, connect, jid_of
from amoc.xmpp.core.stream import stream_header
from amoc.xmpp.server import EmbeddedServer, serve
from amoc.xmpp.transport.tcp import TcpConnection

HELLO = stream_header(to="localhost")
AUTH = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGNyb3cAc2VjcmV0</auth>"
BIND = b"<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>"
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


class Raw:
    """A client that is only a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes, until: bytes) -> bytes:
        """Send, and read until that answer."""
        self.writer.write(data)
        return await asyncio.wait_for(self.reader.readuntil(until), 30)

    async def rest(self) -> bytes:
        """Everything until the server hangs up."""
        return await asyncio.wait_for(self.reader.read(), 30)

    async def log_in(self) -> None:
        await self.say(HELLO, b"</stream:features>")
        await self.say(AUTH, b"</success>")
        await self.say(HELLO, b"</stream:features>")
        await self.say(BIND, b"</iq>")


@asynccontextmanager
async def raw(server: EmbeddedServer) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


async def settle(server: EmbeddedServer, connections: int = 0) -> None:
    async with asyncio.timeout(30):
        while server.connections != connections:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00", b"\xff" * 1000, b"<a></b>"])
async def test_garbage_gets_a_stream_error_and_the_others_do_not_notice(
    embedded: EmbeddedServer, garbage: bytes
) -> None:
    async with connect(1) as client:
        async with raw(embedded) as other:
            other.writer.write(garbage)
            answer = await other.rest()
            assert b"<stream:error>" in answer
            assert answer.endswith(b"</stream:stream>")
        await client.iq("get", None, Element("{urn:xmpp:ping}ping"))
        await settle(embedded, 1)


async def test_a_stanza_that_is_too_large(settings: Config) -> None:
    async with await serve(max_stanza_size=10_000) as server, raw(server) as client:
        await client.log_in()
        client.writer.write(b"<message><body>" + b"x" * 20_000)
        assert b"policy-violation" in await client.rest()
        await settle(server)
        assert server.sessions == 0


@pytest.mark.parametrize("stanza", [b"<r xmlns='urn:xmpp:sm:3'/>", b"<message xmlns='urn:x'/>", b"<query/>"])
async def test_what_is_no_stanza_ends_the_session(embedded: EmbeddedServer, stanza: bytes) -> None:
    async with raw(embedded) as client:
        await client.log_in()
        client.writer.write(stanza)
        assert b"unsupported-stanza-type" in await client.rest()
        assert embedded.sessions == 0


async def test_clients_that_vanish(embedded: EmbeddedServer) -> None:
    for data in (b"", HELLO, HELLO + b"<auth"):
        async with raw(embedded) as client:
            client.writer.write(data)
            await settle(embedded, 1)
        await settle(embedded)
    async with raw(embedded) as client:
        await client.log_in()
        assert embedded.router.jids() == ["crow@localhost/r"]
    await settle(embedded)
    assert embedded.sessions == 0


async def test_pipelined_stanzas_after_bind(embedded: EmbeddedServer) -> None:
    async with raw(embedded) as client:
        await client.say(HELLO, b"</stream:features>")
        await client.say(AUTH, b"</success>")
        answer = await client.say(
            HELLO + BIND + b"<presence/><message to='crow@localhost/r' id='m'/></stream:stream>", b"</stream:stream>"
        )
        assert answer.index(b"<jid>") < answer.index(b"<presence ") < answer.index(b"<message ")


@pytest.mark.parametrize("then", [b"", b"this is no TLS at all", b"\x16\x03\x01\x00\x05hello"])
async def test_a_client_that_gives_up_on_tls(then: bytes) -> None:
    async with await serve(tls="required") as server:
        async with raw(server) as client:
            await client.say(HELLO, b"</stream:features>")
            await client.say(STARTTLS, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            client.writer.write(then)
            if then:
                await client.rest()
        async with asyncio.timeout(30):
            while server.connections or server._handshakes:
                await asyncio.sleep(0.001)


async def test_closing_ends_everything_at_whatever_stage() -> None:
    server = await serve(tls="optional")
    async with raw(server), raw(server) as two, raw(server) as three, raw(server) as four:
        await two.say(HELLO, b"</stream:features>")
        await three.log_in()
        await four.say(HELLO, b"</stream:features>")
        await four.say(STARTTLS, b"/>")
        assert (server.connections, server.sessions) == (4, 1)
        await server.close()
        assert (server.connections, server.sessions) == (0, 0)
        await two.rest()
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection(server.host, server.port)
    await server.close()


async def test_nothing_waits_for_a_connection_that_is_gone(embedded: EmbeddedServer) -> None:
    async with raw(embedded) as client:
        await client.log_in()
        (link,) = embedded._links
        connection = link.connection
        assert isinstance(connection, TcpConnection)
        client.writer.transport.abort()
        async with asyncio.timeout(30):
            while embedded.connections:
                await asyncio.sleep(0.001)
        link.stop(b"<goodbye/>")
        assert connection._timer is None


async def test_a_client_that_does_not_read_is_dropped(embedded: EmbeddedServer) -> None:
    async with connect(1) as busy, raw(embedded) as lazy:
        await lazy.log_in()
        lazy.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
        for _ in range(1000):
            busy.send_message("crow@localhost/r", "x" * 20_000)
            await busy.drain()
            await asyncio.sleep(0)
            if embedded.sessions == 1:
                break
        assert embedded.router.jids() == [busy.jid]
        busy.ignore("message")
        await busy.iq("get", None, Element("{urn:xmpp:ping}ping"))


async def test_a_port_in_use_is_an_error(embedded: EmbeddedServer) -> None:
    with pytest.raises(OSError, match="in use"):
        await serve(port=embedded.port)


async def test_many_users_at_once(embedded: EmbeddedServer) -> None:
    async def user(number: int) -> int:
        async with connect(number) as client:
            client.send_presence()
            await client.receive("presence", timeout=10)
            ready.append(number)
            while len(ready) < 60:
                await asyncio.sleep(0.01)
            partner = number + 1 if number % 2 else number - 1
            for _ in range(5):
                client.send_message(jid_of(partner), "hello")
            for _ in range(5):
                await client.receive("message", timeout=10)
            return 5

    ready: list[int] = []
    received = await asyncio.gather(*map(user, range(1, 61)))
    assert sum(received) == 300
    assert embedded.counters.messages_routed == embedded.counters.messages_received == 300
    assert embedded.counters.logins == 60
    await settle(embedded)
