"""A network between a slave and its master that can be taken away: both ports of the control plane, passed on.

with Partition(port) as network:     # the slave's control_port is network.port
    with network.gone():             # nothing gets through, nobody is told; then everything goes on
        ...
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from tests.support.badwire import BadWire
from tests.support.servers.process import free_pair

__all__ = ["Partition"]


class Partition:
    """Two wires to `target` and the next port, in a thread with a loop of its own."""

    def __init__(self, target: int) -> None:
        self.port = free_pair()
        self._wires = [BadWire(target + offset, self.port + offset) for offset in (0, 1)]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="partition")

    def __enter__(self) -> Self:
        self._thread.start()
        for wire in self._wires:
            asyncio.run_coroutine_threadsafe(wire.__aenter__(), self._loop).result(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for wire in self._wires:
            asyncio.run_coroutine_threadsafe(wire.__aexit__(None, None, None), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Nothing passes; what was sent meanwhile arrives afterwards, as TCP would send it again."""
        stalls = [wire.stalled() for wire in self._wires]
        for stall in stalls:
            self._loop.call_soon_threadsafe(stall.__enter__)
        try:
            yield
        finally:
            for stall in stalls:
                self._loop.call_soon_threadsafe(stall.__exit__, None, None, None)
