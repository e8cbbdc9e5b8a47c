"""From a server's name to a connected socket, with errors that name the step.

Theory of operation. A TCP connection is (source address, source port, server address, server port), and the kernel has
some 28,000 source ports for one of each of the others: beyond that many connections to one server more source
addresses are needed. They are taken in turn by all connections of the process; one whose ports are all in use
is passed over.
"""

import asyncio
import errno
import functools
import ipaddress
import itertools
import os
import socket
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from amoc.xmpp.core.address import ServerAddress
from amoc.xmpp.core.stream import Stream
from amoc.xmpp.errors import ConnectFailed
from amoc.xmpp.transport.secure import secure
from amoc.xmpp.transport.tls import handshake_failure

__all__ = ["Dialer", "resolve"]

# linux/in.h: choose the source port when the server is known, so that each server has all ports to itself
_BIND_ADDRESS_NO_PORT: Final = 24

_turns = itertools.count()


@dataclass(frozen=True, slots=True)
class Dialer:
    """All that is needed to open connections to one server.

    `addresses` are those of `server.host`, `sources` the local ones to connect from (none: the kernel chooses). With
    a `context` the connection is encrypted at once, the server's certificate being for `hostname`. Whoever
    opens another connection later has `timeout` seconds for it.
    """

    server: ServerAddress
    addresses: Sequence[str]
    sources: Sequence[str] = ()
    context: ssl.SSLContext | None = None
    hostname: str = ""
    timeout: float = 30.0

    async def open(self, protocol: asyncio.Protocol, stream: Stream | None = None) -> None:
        """Give `protocol` a connection to the first address that answers. `stream`, if any, is told the steps.

        Raises ConnectFailed. Whenever this does not return, nothing is left open.
        """
        if stream is not None:
            stream.step = "connect"
        if self.context is None:
            await self._reach(protocol)
            return
        plain = _Plain()
        await self._reach(plain)
        if stream is not None:
            stream.ended("connect")
            stream.step = "tls"
        try:
            over = await secure(plain.transport, self.context, hostname=self.hostname)
        except OSError as error:
            raise handshake_failure(error) from error
        protocol.connection_made(over)
        over.begin(protocol)

    async def _reach(self, protocol: asyncio.Protocol) -> None:
        failure: OSError | None = None
        where = ""
        for address, source in self._routes():
            try:
                await self._connect(protocol, address, source)
                return
            except OSError as error:
                failure = error
                where = f" ({address})" if address != self.server.host else ""
                where += f" from {source}" if source else ""
        reason = "it has no address that any of xmpp_source_addresses reaches"
        if failure is not None:
            reason = f"{_text(failure)}{where}"
            if failure.errno == errno.EADDRNOTAVAIL:
                reason += ": the ports of the source address are in use, or it is not this machine's: "
                reason += "set xmpp_source_addresses"
        raise ConnectFailed("connect", f"cannot connect to {self.server.authority}: {reason}") from failure

    def _routes(self) -> Iterable[tuple[str, str]]:
        """Pairs of the server's address and our own ("": any) to be tried in this order."""
        if not self.sources:
            for address in self.addresses:
                yield address, ""
            return
        turn = next(_turns) % len(self.sources)
        sources = [*self.sources[turn:], *self.sources[:turn]]
        for address in self.addresses:
            for source in sources:
                if (":" in source) == (":" in address):
                    yield address, source

    async def _connect(self, protocol: asyncio.Protocol, address: str, source: str) -> None:
        loop = asyncio.get_running_loop()
        if not source:  # uvloop does this for a third of what the way below costs
            await loop.create_connection(lambda: protocol, address, self.server.port)
            return
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            connection.bind((source, 0))
            await loop.sock_connect(connection, (address, self.server.port))
            await loop.create_connection(lambda: protocol, sock=connection)
        except BaseException:
            connection.close()
            raise


class _Plain(asyncio.Protocol):
    """Stands in until TLS is on, so that the stream does not begin before."""

    __slots__ = ("transport",)

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)


@functools.lru_cache(maxsize=1024)  # the check costs as much as a step of the login
def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of `host`, which may be one already. Raises ConnectFailed."""
    if _is_address(host):
        return [host]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectFailed("resolve", f"no address for {host!r}: {_text(error)}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _text(error: Exception) -> str:
    # asyncio puts words of its own into some of the kernel's errors
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
