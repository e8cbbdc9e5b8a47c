"""`amoc server`: the embedded XMPP server in the foreground, on loopback."""

import argparse
import asyncio

from amoc.cli.loop import on_signals, run_loop
from amoc.console.leash import Parent
from amoc.errors import AmocError, BadInput
from amoc.xmpp.server import EmbeddedServer, serve

__all__ = ["run"]

HOST = "127.0.0.1"


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT (Ctrl+C) or SIGTERM or, on a leash, until the parent ends."""
    parent = Parent(arguments.parent_fd)
    try:
        run_loop(_serve(arguments, parent))
    except AmocError as error:
        parent.refuse(error)
        raise
    return 0


async def _serve(arguments: argparse.Namespace, parent: Parent) -> None:
    end = asyncio.Event()
    on_signals(end.set)
    async with await _start(arguments) as server:
        print(f"listening on {HOST}:{server.port}, domain localhost; any account can log in", flush=True)
        parent.ready(port=server.port)
        gone = asyncio.create_task(parent.gone())
        asked = asyncio.create_task(end.wait())
        _, pending = await asyncio.wait({gone, asked}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
    print(f"ended after {server.counters.logins} logins", flush=True)


async def _start(arguments: argparse.Namespace) -> EmbeddedServer:
    try:
        return await serve(HOST, arguments.port, tls="optional" if arguments.tls else None)
    except OSError as error:
        raise BadInput(
            f"port {arguments.port} of {HOST} cannot be used: {error.strerror or error}; choose another with --port"
        ) from None
