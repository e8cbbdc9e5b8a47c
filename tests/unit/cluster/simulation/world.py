"""Simulated time, the network, and the truth about who runs where."""

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.cluster.simulation.master import MasterProcess
    from tests.unit.cluster.simulation.node import NodeProcess

__all__ = ["World"]

LOOK = 0.5  # seconds between two looks at what is waited for
WALL = 1_700_000_000.0  # Unix time at the beginning


class World:
    """`loss`: how often a message is lost; as often one is doubled. `cut`: nodes that no message reaches or leaves.

    `nodes` by name; `former`: processes that go on although another has been started under their name.
    """

    def __init__(self, seed: int, loss: float = 0.0) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.now = 1000.0
        self.loss = loss
        self.slow = 0.0  # longest delay of a message on the way, beyond a millisecond
        self.ending = True  # whether users end by themselves
        self.cut: set[NodeProcess] = set()
        self.nodes: dict[str, NodeProcess] = {}
        self.former: list[NodeProcess] = []
        self.master: MasterProcess | None = None
        # The truth about users
        self.running: dict[int, object] = {}
        self.starts: Counter[int] = Counter()
        self.wished: dict[int, int] = {}  # how many users a removal was to remove, by its first command
        self.short: dict[int, int] = {}  # and how many of them there were not
        self.log: list[str] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0

    @property
    def wall(self) -> float:
        """Unix time."""
        return WALL + self.now

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen."""
        self._order += 1
        heappush(self._events, (self.now + seconds, self._order, act))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self._run_to(self.now + seconds)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Let time pass until the condition holds, at most so long; whether it does."""
        end = self.now + seconds
        while not condition():
            if self.now >= end:
                return False
            self._run_to(min(end, self.now + LOOK))
        return True

    def _run_to(self, end: float) -> None:
        events = self._events
        while events and events[0][0] <= end:
            self.now, _, act = heappop(events)
            act()
        self.now = end

    def say(self, text: str) -> None:
        """For whoever has to find out what went wrong."""
        self.log.append(f"{self.now:9.3f} {text}")

    # The network

    def carry(self, node: "NodeProcess", deliver: Callable[[], None]) -> None:
        """A message between a node and the master, in either direction."""
        choose = self.random.random
        times = 0 if choose() < self.loss else 2 if choose() < self.loss else 1
        for _ in range(times):
            self.after(0.001 + self.slow * choose() ** 3, lambda: self._deliver(node, deliver))

    def publish(self, command: bytes) -> None:
        """A command on its way to every node that is there."""
        for node in (*self.nodes.values(), *self.former):
            self.carry(node, partial(node.command, command))

    def _deliver(self, node: "NodeProcess", deliver: Callable[[], None]) -> None:
        if node not in self.cut:
            deliver()

    # Users

    def started(self, user_id: int, worker: object) -> None:
        """A user begins to run; nowhere else may it run."""
        other = self.running.get(user_id)
        assert other is None, f"user {user_id} runs twice: in {other} and in {worker}"
        self.running[user_id] = worker
        self.starts[user_id] += 1

    def stopped(self, user_id: int) -> None:
        """A user runs no more."""
        del self.running[user_id]
