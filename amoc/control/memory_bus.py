"""The bus of local mode: master and agent in one process, the same encoded messages, no sockets."""

import asyncio
from collections.abc import Callable

from amoc.control import messages
from amoc.control.desired import Command
from amoc.control.messages import Reply, Request

__all__ = ["MemoryBus"]


class MemoryBus:
    """Both faces of the bus in one object. Delivery is asynchronous and in order, as over a network."""

    def __init__(self) -> None:
        self._answer: Callable[[Request], Reply] | None = None
        self._hear: list[Callable[[Command], None]] = []

    def publish(self, command: Command) -> None:
        """Deliver `command` to every listener in the next turn of the loop."""
        data = messages.encode(command)
        loop = asyncio.get_running_loop()
        for hear in self._hear:
            loop.call_soon(_deliver, hear, data)

    def serve(self, handler: Callable[[Request], Reply]) -> None:
        """Let `handler` answer requests."""
        self._answer = handler

    def listen(self, handler: Callable[[Command], None]) -> None:
        """Let `handler` hear commands."""
        self._hear.append(handler)

    async def request(self, message: Request) -> Reply:
        """The master's answer to `message`."""
        if self._answer is None:
            raise TimeoutError("no master serves this bus")
        data = messages.encode(message)
        await asyncio.sleep(0)
        return messages.decode_reply(messages.encode(self._answer(messages.decode_request(data))))

    def close(self) -> None:
        """Nobody is answered any more, and nobody hears."""
        self._answer = None
        self._hear.clear()


def _deliver(hear: Callable[[Command], None], data: bytes) -> None:
    hear(messages.decode_command(data))
