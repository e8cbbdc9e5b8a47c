"""A TCP hop between two real peers that does harm on command: stalls, cuts, damages, repeats, swaps.

async with BadWire(port) as wire:       # connect to wire.port instead of port
    with wire.stalled():                # what is sent meanwhile is kept, and goes on afterwards
        ...
    with wire.harm(to_server=repeat):   # each piece of bytes passes through the function
        ...
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

__all__ = ["BadWire", "Harm", "damage", "repeat", "swap"]

Harm = Callable[[bytes], bytes]

PIECE = 1 << 16


class BadWire:
    """Listens on loopback, on a free port unless told which, and passes everything on to `target`, a port there too."""

    def __init__(self, target: int, port: int = 0) -> None:
        self.target = target
        self.port = port
        self.connections = 0
        self._to_server: Harm | None = None
        self._to_client: Harm | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "BadWire":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """End every connection that there is."""
        pumps = list(self._pumps)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        for writer in list(self._writers):
            with suppress(OSError):
                await writer.wait_closed()
        self._writers.clear()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Pass nothing on."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    def swallow(self) -> None:
        """Pass nothing on, for ever, on the connections that there are; new ones are not concerned."""
        for pump in self._pumps:
            pump.cancel()

    @contextmanager
    def harm(self, *, to_server: Harm | None = None, to_client: Harm | None = None) -> Iterator[None]:
        """Let every piece pass through a function on its way."""
        self._to_server, self._to_client = to_server, to_client
        try:
            yield
        finally:
            self._to_server = self._to_client = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for source, sink, outward in ((reader, far_writer, True), (far_reader, writer, False)):
            pump = asyncio.create_task(self._pump(source, sink, outward))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, outward: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(PIECE):
                await self._flowing.wait()
                harm = self._to_server if outward else self._to_client
                writer.write(data if harm is None else harm(data))
                await writer.drain()
        writer.close()


def damage(data: bytes) -> bytes:
    """One bit of the last byte is turned over."""
    return data[:-1] + bytes([data[-1] ^ 1])


def repeat(data: bytes) -> bytes:
    """Everything comes twice."""
    return data + data


def swap() -> Harm:
    """The second piece comes before the first, the fourth before the third, and so on."""
    kept: list[bytes] = []

    def harm(data: bytes) -> bytes:
        if not kept:
            kept.append(data)
            return b""
        return data + kept.pop()

    return harm
