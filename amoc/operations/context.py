"""What the handlers work on: the node with its role, its master if it has one, the scenarios, the stream of events."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from amoc.cluster import Events, Master
from amoc.errors import BadInput
from amoc.launch import Fleet
from amoc.scenario import Store

__all__ = ["Context", "Events", "Role"]

Role = Literal["local", "master", "slave"]

# Whose operations they are; those of other groups are everybody's.
_ROLES: dict[str, Role] = {"local": "local", "dist": "master"}
_ELSEWHERE: dict[Role, str] = {
    "local": "not the master: this node runs tests by itself, with amoc_local; a master is a node with the setting "
    "role = master (docs/cluster.md)",
    "master": "this is a master, it runs no users itself: use amoc_dist",
    "slave": "not the master: this is slave {name}; tests are run from its master, with amoc_dist",
}


@dataclass(slots=True)
class Context:
    """One node's operations: handed to every handler.

    `status` tells what the node does. `cluster` is the master in this process: a local node has one for itself, a
    slave has none. `fleet` are the slaves that this master starts, if it starts any. `closing` is set when an
    operator asked the node to end (`node.stop`); the process's root waits for it.
    """

    role: Role
    name: str
    store: Store
    events: Events
    status: Callable[[], dict[str, Any]]
    cluster: Master | None = None
    fleet: Fleet | None = None
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def master(self) -> Master:
        """The master in this process. Raises BadInput on a slave."""
        if self.cluster is None:
            raise BadInput(f"not the master: this is slave {self.name}; ask its master")
        return self.cluster

    def subscribe(self, callback: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Have `callback` called with every event from now on; returns the function that ends it."""
        return self.events.subscribe(callback)

    def check_role(self, group: str) -> None:
        """Raise BadInput if operations of this group are another role's."""
        if _ROLES.get(group, self.role) != self.role:
            raise BadInput(_ELSEWHERE[self.role].format(name=self.name))
