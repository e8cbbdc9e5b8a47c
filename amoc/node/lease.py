"""How long a node's users may go on without the master: the rule that makes failover safe.

Pure: times are monotonic seconds of this machine, passed in.

The lease runs from the moment at which the last request was *sent* that the master has answered. The master heard of
the node at that moment or later, so its own waiting (lease and margin, from when it last heard) ends after the node's.
When the lease is over the node ends its users gently; `GRACE` later whatever process of it is left ends itself, which
every worker does by its own clock (worker/watchdog.py) even if the agent is frozen.
"""

import math

__all__ = ["GRACE", "Lease"]

GRACE = 5.0  # seconds for users to end gently; they are given up 2 s after they were cancelled
TELL = 0.5  # a worker is told a new end when it is this much later than the one it knows


class Lease:
    """The lease of one run; `length` None: it never ends."""

    def __init__(self, length: float | None, heard: float) -> None:
        self.length = length
        self._heard = heard
        self._told = -math.inf

    def __repr__(self) -> str:
        return f"<Lease of {self.length} from {self._heard}>"

    @property
    def end(self) -> float | None:
        """When workers have to be gone."""
        return None if self.length is None else self._heard + self.length + GRACE

    def renew(self, sent: float) -> bool:
        """The master has answered a request sent then; whether the workers are to be told."""
        self._heard = max(self._heard, sent)
        if self.length is None or self._heard - self._told < TELL:
            return False
        self._told = self._heard
        return True

    def lapsed(self, now: float) -> bool:
        """Whether users have to end."""
        return self.length is not None and now >= self._heard + self.length

    def expired(self, now: float) -> bool:
        """Whether there is no time left for doing it gently."""
        return self.length is not None and now >= self._heard + self.length + GRACE
