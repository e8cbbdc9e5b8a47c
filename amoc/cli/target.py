"""Where `amoc run` runs its test: on a node in this process, or on the cluster whose master runs in a node dir."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from amoc.console import daemon
from amoc.console.node_dir import NodeDir
from amoc.errors import AmocError, BadInput
from amoc.operations import Context, call

__all__ = ["Cluster", "Here", "Target"]

Listener = Callable[[dict[str, Any]], None]


class Target(Protocol):
    """What a test is driven by. Its methods raise BadInput and Failed, each of one line."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called with every event, in the loop, until the returned function is called."""

    async def do(self, arguments: Sequence[Any], settings: Mapping[str, Any]) -> None:
        """Start the test. When this is cancelled, the start is taken back."""

    async def stop(self, *, force: bool = False, reason: str) -> None:
        """End the test; one that is ending already is waited for."""

    async def status(self) -> dict[str, Any]:
        """Everything known of it."""


class Here:
    """The local node of this process."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.subscribe = context.subscribe

    async def do(self, arguments: Sequence[Any], settings: Mapping[str, Any]) -> None:
        """Start the test."""
        await call(self._context, "local.do", arguments, settings)

    async def stop(self, *, force: bool = False, reason: str) -> None:
        """End it."""
        await self._context.master.stop(force=force, reason=reason)

    async def status(self) -> dict[str, Any]:
        """Everything known of it."""
        return self._context.status()


class Cluster:
    """The cluster of the master in `node_dir`, through its socket; a context manager.

    Raises NoNode when none runs there, BadInput when it is no master.
    """

    def __init__(self, node_dir: NodeDir) -> None:
        self._listener: Listener | None = None
        self._loop = asyncio.get_running_loop()
        self._connection = daemon.connect(node_dir, on_event=self._event)
        if self._connection.hello.role != "master":
            self._connection.close()
            raise BadInput(f"the node in {node_dir.path} is no master: `amoc cluster up` makes one with its slaves")

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called with every event, until the returned function is called."""
        self._listener = listener
        self._connection.subscribe()

        def unsubscribe() -> None:
            self._listener = None

        return unsubscribe

    async def do(self, arguments: Sequence[Any], settings: Mapping[str, Any]) -> None:
        """Start the test on all slaves that are up."""
        asked = asyncio.ensure_future(self._call("dist.do", *arguments, **settings))
        try:
            await asyncio.shield(asked)
        except asyncio.CancelledError:
            with suppress(AmocError):  # it had not begun, or has ended meanwhile
                await self.stop(reason="its start was cancelled")
            await asyncio.wait({asked})
            asked.exception()  # that it was stopped: nobody asks any more
            raise

    async def stop(self, *, force: bool = False, reason: str) -> None:
        """End it."""
        await self._call("dist.stop", force=force, reason=reason)

    async def status(self) -> dict[str, Any]:
        """Everything known of it."""
        found: dict[str, Any] = await self._call("dist.status")
        return found

    async def nodes(self) -> list[dict[str, Any]]:
        """The slaves."""
        found: list[dict[str, Any]] = await self._call("dist.nodes")
        return found

    async def _call(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(self._connection.call, operation, args, kwargs)

    def _event(self, event: dict[str, Any]) -> None:
        """Called by the connection's thread."""
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._tell, event)

    def _tell(self, event: dict[str, Any]) -> None:
        if self._listener is not None:
            self._listener(event)
