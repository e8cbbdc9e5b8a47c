"""What the handlers work on: the master, the scenario store, and the stream of events."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from amoc.cluster import Events, Master
from amoc.scenario import Store

__all__ = ["Context", "Events"]


@dataclass(slots=True)
class Context:
    """One node's operations: handed to every handler.

    `closing` is set when an operator asked the node to end (`node.stop`); the process's root waits for it.
    """

    master: Master
    store: Store
    events: Events
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def subscribe(self, callback: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Have `callback` called with every event from now on; returns the function that ends it."""
        return self.events.subscribe(callback)
