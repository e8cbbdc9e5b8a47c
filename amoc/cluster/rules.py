"""What the master's decisions follow, besides what it has heard: settings, which may change while a test runs.

Pure: no I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from amoc.cluster.distribution import Place, Strategy, round_robin
from amoc.control import IdRange

__all__ = ["MARGIN", "FixedRules", "Rules"]

MARGIN = 10.0
"""Seconds beyond the lease until a node's users are certainly gone: 5 for the node to end them (node/lease.py), and as
many for clocks that do not run alike and for processes that do not get the processor."""


class Rules(Protocol):
    """The settings in force."""

    def failure_policy(self) -> str:
        """What becomes of a lost node's ids: keep (nothing) or failover."""

    def rebalance(self) -> bool:
        """Whether a node that joins gets running users of others."""

    def interval(self, nodes: int) -> float:
        """Seconds between two starts on each of so many nodes."""

    def deal(self, first: int, last: int, nodes: Sequence[Place], given: int) -> dict[str, list[IdRange]]:
        """Which node gets which of the ids; BadInput when a user's function does it wrong."""


@dataclass
class FixedRules:
    """Rules that are given once."""

    policy: str = "keep"
    balance: bool = False
    seconds: float = 0.05
    rate: float | None = None  # starts per second in the whole cluster, instead of `seconds`
    strategy: Strategy = round_robin

    def failure_policy(self) -> str:
        """See `Rules`."""
        return self.policy

    def rebalance(self) -> bool:
        """See `Rules`."""
        return self.balance

    def interval(self, nodes: int) -> float:
        """See `Rules`."""
        return self.seconds if self.rate is None else nodes / self.rate

    def deal(self, first: int, last: int, nodes: Sequence[Place], given: int) -> dict[str, list[IdRange]]:
        """See `Rules`."""
        return self.strategy(first, last, nodes, given)
