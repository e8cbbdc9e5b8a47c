"""Users who send messages to themselves through a server inside their own worker: nothing is shared by two workers.

What one worker can do when no server is in the way, so that scaling shows the pool and nothing else.
"""

import asyncio

from amoc import metrics
from amoc.xmpp import Element, connect
from amoc.xmpp.server import EmbeddedServer, serve


async def init() -> EmbeddedServer:
    """The worker's server."""
    return await serve()


async def start(user_id: int, server: EmbeddedServer) -> None:
    """Send on what comes, until it is stopped."""
    received = metrics.counter("received")
    async with connect(user_id, servers=[f"127.0.0.1:{server.port}"], tls="never", sasl="PLAIN") as client:

        def again(_: Element) -> None:
            received.increment()
            client.send_message(client.jid, "again")

        client.on("message", again)
        client.send_message(client.jid, "the first")
        await asyncio.Event().wait()


async def terminate(server: EmbeddedServer) -> None:
    """The end of the server."""
    await server.close()
