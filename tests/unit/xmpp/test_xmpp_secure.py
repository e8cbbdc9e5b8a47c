"""TLS over a transport: both sides are ours, or one is the loop's."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from amoc.xmpp.server.certificate import server_context
from amoc.xmpp.transport.secure import SecureTransport, secure

BIG = bytes(range(256)) * 8192  # 2 MiB


class Peer(asyncio.Protocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.came = bytearray()
        self.made: asyncio.Future[asyncio.Transport] = loop.create_future()
        self.lost: asyncio.Future[Exception | None] = loop.create_future()
        self.news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made.set_result(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self.came += data
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)
        self.news.set()

    async def until(self, size: int) -> None:
        """Wait for so many bytes."""
        async with asyncio.timeout(30):
            while len(self.came) < size and not self.lost.done():
                self.news.clear()
                await self.news.wait()
        assert len(self.came) >= size


class Counting:
    """A transport, and how often something was written to it; uvloop's cannot be changed."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.writes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes += 1
        self._transport.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


def client_context(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Of a client that accepts any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    return context


@contextlib.asynccontextmanager
async def pair() -> AsyncIterator[tuple[Peer, Peer]]:
    """The two ends of a connection without TLS: ours and the server's."""
    loop = asyncio.get_running_loop()
    accepted: list[Peer] = []

    def accept() -> Peer:
        accepted.append(Peer())
        return accepted[0]

    server = await loop.create_server(accept, "127.0.0.1", 0)
    near = Peer()
    await loop.create_connection(lambda: near, *server.sockets[0].getsockname())
    async with asyncio.timeout(30):
        while not accepted:
            await asyncio.sleep(0)
        far = accepted[0]
        try:
            yield near, far
        finally:
            for peer in (near, far):
                peer.made.result().abort()
    server.close()
    await server.wait_closed()


@contextlib.asynccontextmanager
async def encrypted(
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> AsyncIterator[tuple[SecureTransport, SecureTransport]]:
    """The two ends of a connection with TLS, before `begin`."""
    async with pair() as (near, far):
        ours, theirs = await asyncio.gather(
            secure(near.made.result(), client_context(version), hostname="localhost"),
            secure(far.made.result(), server_context(), server_side=True),
        )
        yield ours, theirs


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_bytes_go_both_ways(version: ssl.TLSVersion) -> None:
    async with encrypted(version) as (ours, theirs):
        assert ours.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
        assert ours.get_extra_info("peername") == theirs.get_extra_info("sockname")
        near, far = Peer(), Peer()
        ours.begin(near)
        theirs.begin(far)
        ours.write(BIG)
        theirs.write(BIG[1:])
        ours.write(b"!")
        await near.until(len(BIG) - 1)
        await far.until(len(BIG) + 1)
        assert near.came == BIG[1:]
        assert far.came == BIG + b"!"
        ours.close()
        assert ours.is_closing()
        ours.write(b"too late")
        async with asyncio.timeout(30):
            assert await near.lost is None
            assert await far.lost is None
        assert far.came == BIG + b"!"


async def test_what_is_written_first_leaves_together_with_the_end_of_the_handshake() -> None:
    async with pair() as (near, far):
        below = Counting(near.made.result())
        server = asyncio.ensure_future(secure(far.made.result(), server_context(), server_side=True))
        ours = await secure(cast("asyncio.Transport", below), client_context(), hostname="localhost")
        ours.write(b"hello")
        theirs = await server
        peer = Peer()
        theirs.begin(peer)
        await peer.until(5)
        assert peer.came == b"hello"
        assert below.writes == 2  # ClientHello, and this


async def test_what_comes_behind_the_handshake_is_kept_for_the_protocol() -> None:
    async with encrypted() as (ours, theirs):
        theirs.begin(Peer())
        theirs.write(b"hello")
        theirs.close()
        near = Peer()
        async with asyncio.timeout(30):
            while not ours._from_peer.pending:
                await asyncio.sleep(0)
        ours.begin(near)
        await near.until(5)
        assert near.came == b"hello"
        async with asyncio.timeout(30):
            assert await near.lost is None


async def test_a_connection_lost_before_anybody_listens() -> None:
    async with encrypted() as (ours, theirs):
        theirs.abort()
        async with asyncio.timeout(30):
            while not ours._lost:
                await asyncio.sleep(0)
        near = Peer()
        ours.begin(near)
        assert near.lost.done()


async def test_the_peer_of_the_loops_own_tls_sees_a_proper_end() -> None:
    loop = asyncio.get_running_loop()
    far: asyncio.Future[bytes] = loop.create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far.set_result(await reader.read(-1))
        except (OSError, EOFError) as error:
            far.set_exception(error)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context())
    plain = Peer()
    await loop.create_connection(lambda: plain, *server.sockets[0].getsockname())
    ours = await secure(plain.made.result(), client_context(), hostname="localhost")
    ours.begin(Peer())
    ours.write(b"last words")
    ours.close()
    async with asyncio.timeout(30):
        assert await far == b"last words"
    server.close()
    await server.wait_closed()


async def test_bytes_that_are_not_tls_end_the_connection_with_an_error() -> None:
    async with encrypted() as (ours, theirs):
        near, far = Peer(), Peer()
        ours.begin(near)
        theirs.begin(far)
        theirs._below.write(b"<message/>" * 10)
        async with asyncio.timeout(30):
            assert isinstance(await near.lost, ssl.SSLError)
            await far.lost


def _not_tls(far: Peer) -> None:
    far.made.result().write(b"<stream:stream>")


def _closed(far: Peer) -> None:
    far.made.result().close()


@pytest.mark.parametrize(("what", "error"), [(_not_tls, ssl.SSLError), (_closed, ConnectionResetError)])
async def test_a_handshake_that_fails(what: Callable[[Peer], None], error: type[OSError]) -> None:
    async with pair() as (near, far):
        what(far)
        with pytest.raises(error):
            await secure(near.made.result(), client_context(), hostname="localhost")
        assert near.made.result().is_closing()


async def test_a_refused_certificate_is_told_to_the_server() -> None:
    async with pair() as (near, far):
        context = ssl.create_default_context()
        ours, theirs = await asyncio.gather(
            secure(near.made.result(), context, hostname="localhost"),
            secure(far.made.result(), server_context(), server_side=True),
            return_exceptions=True,
        )
        assert isinstance(ours, ssl.SSLCertVerificationError)
        if isinstance(theirs, SecureTransport):  # TLS 1.3: its handshake was over before the alert came
            peer = Peer()
            theirs.begin(peer)
            async with asyncio.timeout(30):
                theirs_failed = await peer.lost
            assert "unknown ca" in str(theirs_failed)
        else:
            assert "unknown ca" in str(theirs)


async def test_a_handshake_that_is_cancelled_leaves_nothing() -> None:
    async with pair() as (near, far):
        task = asyncio.ensure_future(secure(near.made.result(), client_context(), hostname="localhost"))
        await far.until(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(30):
            await far.lost
