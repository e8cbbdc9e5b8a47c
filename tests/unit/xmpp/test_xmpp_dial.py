"""Source addresses, direct TLS, and what a server does before or instead of a stream."""

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amoc import metrics
from amoc.config import Config
from amoc.xmpp import ConnectFailed, connect
from amoc.xmpp.core.address import ServerAddress
from amoc.xmpp.server import EmbeddedServer
from amoc.xmpp.server.certificate import self_signed, server_context
from amoc.xmpp.transport.dial import Dialer
from amoc.xmpp.transport.tls import client_context


def sources(server: EmbeddedServer) -> Counter[str]:
    """Where the server's clients come from."""
    found: Counter[str] = Counter()
    for link in server._links:
        assert link.connection.transport is not None
        found[link.connection.transport.get_extra_info("peername")[0]] += 1
    return found


@pytest.mark.parametrize("websocket", [False, True])
async def test_source_addresses_are_taken_in_turn(embedded: EmbeddedServer, settings: Config, websocket: bool) -> None:
    if websocket:
        settings.set("xmpp_servers", [await embedded.listen_websocket()])
    settings.set("xmpp_source_addresses", ["127.0.0.2", "127.0.0.3", "127.0.0.4"])
    async with contextlib.AsyncExitStack() as stack:
        for user_id in range(1, 10, 3):  # a stride as on one of three nodes
            for _ in range(3):
                await stack.enter_async_context(connect(user_id, resource=""))
        assert sources(embedded) == {"127.0.0.2": 3, "127.0.0.3": 3, "127.0.0.4": 3}


async def test_a_source_address_that_cannot_be_had_is_passed_over(embedded: EmbeddedServer, settings: Config) -> None:
    settings.set("xmpp_source_addresses", ["192.0.2.1", "127.0.0.2"])  # RFC 5737: nobody has the first
    async with connect(1), connect(2):
        assert sources(embedded) == {"127.0.0.2": 2}
    settings.set("xmpp_source_addresses", ["192.0.2.1"])
    with pytest.raises(ConnectFailed, match=r"from 192\.0\.2\.1: .* not this machine's") as failed:
        await connect(3)
    assert failed.value.step == "connect"


async def test_a_source_address_of_the_other_family_is_of_no_use(embedded: EmbeddedServer, settings: Config) -> None:
    settings.set("xmpp_source_addresses", ["::1"])
    with pytest.raises(ConnectFailed, match="any of xmpp_source_addresses reaches"):
        await connect(1)
    settings.set("xmpp_servers", [f"localhost:{embedded.port}"])
    settings.set("xmpp_source_addresses", ["::1", "127.0.0.9"])
    async with connect(1):
        assert sources(embedded) == {"127.0.0.9": 1}


async def test_a_refused_connection_from_a_source_address(embedded: EmbeddedServer, settings: Config) -> None:
    await embedded.close()
    settings.set("xmpp_source_addresses", ["127.0.0.2"])
    with pytest.raises(ConnectFailed, match=r"refused from 127\.0\.0\.2"):
        await connect(1)
    assert metrics.current().flush().counters["xmpp.failures.connect.refused"] == 1


@contextlib.asynccontextmanager
async def tls_server(settings: Config, folder: Path, first: bytes = b"") -> AsyncIterator[list[str | None]]:
    """A server with direct TLS that says `first` and what clients agree on, and then hangs up."""
    certificate, key = self_signed("localhost")
    (folder / "ca.pem").write_bytes(certificate)
    context = server_context("localhost", (certificate, key))
    context.set_alpn_protocols(["xmpp-client"])
    agreed: list[str | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        agreed.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.write(first)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            if not first:
                await reader.read(10)
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    settings.set_all({"xmpp_servers": [f"tls://127.0.0.1:{port}"], "xmpp_ca_file": str(folder / "ca.pem")})
    yield agreed
    server.close()
    await server.wait_closed()


async def test_direct_tls_offers_its_protocol(settings: Config, tmp_path: Path) -> None:
    async with tls_server(settings, tmp_path) as agreed:
        with pytest.raises(ConnectFailed, match="closed the connection") as failed:
            await connect(1)
        assert failed.value.step == "stream"
        with pytest.raises(ConnectFailed, match="certificate is not valid: Hostname mismatch") as failed:
            await connect(1, domain="elsewhere")
        assert failed.value.step == "tls"
        with pytest.raises(ConnectFailed, match="self-signed"):
            await connect(1, ca_file="")
        assert agreed[0] == "xmpp-client"


@pytest.mark.parametrize("first", [b"hello", b"<presence/>", b"</stream:stream>"])
async def test_a_server_that_speaks_first(settings: Config, tmp_path: Path, first: bytes) -> None:
    async with tls_server(settings, tmp_path, first):
        with pytest.raises(ConnectFailed) as failed:
            await connect(1)
        assert failed.value.step == "stream"


async def test_a_server_without_tls(embedded: EmbeddedServer, settings: Config) -> None:
    settings.set("xmpp_servers", [f"tls://127.0.0.1:{embedded.port}"])
    with pytest.raises(ConnectFailed) as failed:
        await connect(1)
    assert failed.value.step == "tls"


async def test_a_tls_handshake_that_stalls_or_is_cancelled_leaves_nothing(settings: Config) -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(1000):
                pass
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    settings.set("xmpp_servers", [f"tls://127.0.0.1:{server.sockets[0].getsockname()[1]}"])
    with pytest.raises(ConnectFailed, match=r"step tls: not done within 0\.5 s"):
        await connect(1, login_timeout=0.5)
    async with asyncio.timeout(30):
        await ended.wait()
    for source in ([], ["127.0.0.2"]):
        for rounds in range(20):
            login = asyncio.ensure_future(_log_in(source))
            for _ in range(rounds):
                await asyncio.sleep(0)
            login.cancel()
            with pytest.raises(asyncio.CancelledError):
                await login
    server.close()
    await server.wait_closed()


async def _log_in(source: list[str]) -> None:
    async with connect(1, source_addresses=source):
        pass


def test_contexts_are_shared_and_check() -> None:
    one = client_context(False, "", "xmpp-client")
    assert client_context(False, "", "xmpp-client") is one
    assert client_context(False, "", "http/1.1") is not one
    assert (one.verify_mode, one.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_routes_prefer_the_servers_first_address() -> None:
    dialer = Dialer(ServerAddress("tcp", "h", 1), ["::1", "127.0.0.1"], ["127.0.0.2", "::1", "127.0.0.3"])
    routes = list(dialer._routes())
    assert routes[0] == ("::1", "::1")
    assert sorted(routes[1:]) == [("127.0.0.1", "127.0.0.2"), ("127.0.0.1", "127.0.0.3")]
