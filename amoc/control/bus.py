"""The two faces of the bus: what the master does with it, what a node does with it.

Implementations: `memory_bus` (one process), `zmq_master` and `zmq_node` (between machines; import them only
when they are needed, for libzmq is loaded with them). All carry encoded messages, so that local mode sends
exactly what travels between machines.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from amoc.control.desired import Command
from amoc.control.messages import Reply, Request

__all__ = ["MasterBus", "NodeBus"]


class MasterBus(Protocol):
    """The master's side."""

    def publish(self, command: Command) -> None:
        """Send a command to all nodes; it may be lost on the way."""

    def serve(self, handler: Callable[[Request], Reply]) -> None:
        """Answer every request with what `handler` returns."""

    def close(self) -> None:
        """Let go of everything, at once; a second call changes nothing."""


class NodeBus(Protocol):
    """A node's side."""

    def request(self, message: Request) -> Awaitable[Reply]:
        """Send to the master and await its answer; raises TimeoutError if there is none, Failed if it is too long."""

    def listen(self, handler: Callable[[Command], None]) -> None:
        """Call `handler` with every command that arrives."""

    def close(self) -> None:
        """Let go of everything, at once; a second call changes nothing."""
