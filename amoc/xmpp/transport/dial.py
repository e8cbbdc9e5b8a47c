"""From a server's name to a connected socket, with errors that name the step."""

import asyncio
import ipaddress
import socket

from amoc.xmpp.errors import ConnectFailed
from amoc.xmpp.transport.tcp import Connection

__all__ = ["dial", "resolve"]


async def dial(connection: Connection, host: str, port: int, addresses: list[str]) -> None:
    """Connect `connection` to the first of the addresses of `host` that answers. Raises ConnectFailed."""
    loop = asyncio.get_running_loop()
    failure, cause = "it has no address", None
    for address in addresses:
        try:
            await loop.create_connection(lambda: connection, address, port)
            return
        except OSError as error:
            failure, cause = f"{_text(error)} ({address})" if address != host else _text(error), error
    raise ConnectFailed("connect", f"cannot connect to {host}:{port}: {failure}") from cause


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of `host`, which may be one already. Raises ConnectFailed."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return [host]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectFailed("resolve", f"no address for {host!r}: {_text(error)}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _text(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
