"""Which worker gets which of the node's ids, and when each is due.

Pure: times are monotonic seconds, passed in.

The k-th id that the node is ever given belongs to worker k mod W, and the starts of the whole node are one
sequence of deadlines `interval` apart; so each worker has every W-th deadline, and together they keep the
node's pace exactly. A change of pace stretches the time after a moment by the same ratio for all workers,
which keeps them interleaved.
"""

from collections.abc import Callable, Iterable

from amoc.control import IdRange, compress
from amoc.worker.messages import Leg

__all__ = ["LEAD", "NodePlan"]

# Seconds from a decision to the first deadline that follows from it: the message must have reached every worker.
LEAD = 0.05


class NodePlan:
    """The legs of every worker of one node during one run."""

    def __init__(self, workers: int, interval: float) -> None:
        self.workers = workers
        self.interval = interval
        self._given = 0
        self._dealt = 0
        self._free = 0.0  # the deadline after the last one planned
        self._legs: dict[int, list[Leg]] = {index: [] for index in range(workers)}

    @property
    def given(self) -> int:
        """How many ids were assigned in all, without those that were let go."""
        return self._given

    def assign(self, ranges: Iterable[IdRange], now: float) -> dict[int, list[Leg]]:
        """Plan further ids after those planned already; the new legs by worker."""
        new: dict[int, list[Leg]] = {}
        for ids in ranges:
            at = max(self._free, now + LEAD)
            for offset in range(min(self.workers, len(ids))):
                share = ids.share(offset, self.workers)
                assert share is not None
                leg = Leg(
                    share.first,
                    share.last,
                    share.step,
                    at + offset * self.interval,
                    self.workers * self.interval,
                )
                new.setdefault((self._dealt + offset) % self.workers, []).append(leg)
            self._given += len(ids)
            self._dealt += len(ids)
            self._free = at + len(ids) * self.interval
        for index, legs in new.items():
            self._legs[index] += legs
        return new

    def repace(self, interval: float, now: float) -> tuple[float, float] | None:
        """Change the interval: from which time on, and by which ratio, to stretch; None if nothing changes."""
        old, self.interval = self.interval, interval
        if old == interval or old == 0:
            return None
        at, ratio = now + LEAD, interval / old
        for index, legs in self._legs.items():
            self._legs[index] = [piece for leg in legs for piece in leg.repaced(at, ratio)]
        if self._free > at:
            self._free = at + (self._free - at) * ratio
        return at, ratio

    def forget(self, ranges: Iterable[IdRange]) -> None:
        """These ids are another node's now, as if they had never been given here."""
        for ids in ranges:
            for user_id in ids:
                for legs in self._legs.values():
                    at = next((k for k, leg in enumerate(legs) if leg.position(user_id) is not None), None)
                    if at is not None:
                        legs[at : at + 1] = legs[at].without(user_id)
                        self._given -= 1
                        break

    def legs(self, worker: int) -> list[Leg]:
        """The worker's legs, as they stand."""
        return self._legs[worker]

    def started(self, worker: int, now: float, gone: Callable[[int], bool]) -> int:
        """How many of the worker's ids that are not `gone` have been due by now."""
        return sum(not gone(user_id) for leg in self._legs[worker] for user_id in leg.ids()[: leg.due_before(now)])

    def restart(self, worker: int, now: float, gone: Callable[[int], bool]) -> list[Leg]:
        """New legs for the worker's ids that are not `gone`: in the old order, at the worker's own pace."""
        remaining = [user_id for leg in self._legs[worker] for user_id in leg.ids() if not gone(user_id)]
        legs: list[Leg] = []
        at, spacing = now + LEAD, self.workers * self.interval
        for ids in compress(remaining):
            legs.append(Leg(ids.first, ids.last, ids.step, at, spacing))
            at += len(ids) * spacing
        self._legs[worker] = legs
        return legs
