"""The users of one node during one run: who was given to it, whose life is over, who is to be removed.

Pure: no I/O. Four rules make every user count exactly once, whatever dies:

* A user is over when a worker's report says so, or when it is decided here: it was to be removed and its
  worker is gone, or its worker is not replaced.
* When a worker dies, whoever of its users is not over and is not to be removed starts again.
* A removal is answered with the users that it met, by each worker once; for a dead one the ledger answers.
* A user that is let go to another node is forgotten here when it has ended here, and not before.
"""

from collections.abc import Collection, Iterable

import msgspec

from amoc.control import Counts, IdRange, IdSet, compress
from amoc.node.plan import NodePlan
from amoc.worker.messages import Leg, Tally

__all__ = ["Ledger"]

ENDS = ("finished", "failed", "removed", "stopped", "stuck")
PRESENT = ("running", "waiting", "leaving")


class _Removal(msgspec.Struct):
    """A removal that workers have yet to answer."""

    ids: IdSet
    waiting: set[int]
    met: int


class Ledger:
    """`plan` says which worker has which users."""

    def __init__(self, workers: int, interval: float) -> None:
        self.plan = NodePlan(workers, interval)
        self.past = Counts()  # of workers that are gone, and what was decided here
        self._ended = IdSet()
        self._removed = IdSet()
        self._moving = IdSet()
        self._open: dict[int, _Removal] = {}
        self._fresh_ended: list[IdRange] = []
        self._fresh_released: list[IdRange] = []
        self._fresh_dropped: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Ledger of {self.plan.given}, {len(self._ended)} ended>"

    def take(self) -> tuple[list[IdRange], list[IdRange], dict[int, int]]:
        """Whose life ended, who was let go, and how many users each removal met, since the last call."""
        taken = self._fresh_ended, self._fresh_released, self._fresh_dropped
        self._fresh_ended, self._fresh_released, self._fresh_dropped = [], [], {}
        return taken

    def counts(self, living: Iterable[Tally], *, over: bool = False) -> Counts:
        """All users by what they do. Who is nothing else is planned, so the sum is what was assigned.

        `over`: nobody starts any more.
        """
        counts = msgspec.structs.replace(self.past)
        for tally in living:
            for name in (*PRESENT, *ENDS, "starts"):
                setattr(counts, name, getattr(counts, name) + getattr(tally, name))
        planned = max(0, self.plan.given - counts.present - counts.over)
        if over:
            counts.unstarted += planned
        else:
            counts.planned = planned
        return counts

    def assign(self, ids: list[IdRange], now: float) -> dict[int, list[Leg]]:
        """Plan more users; the new legs by worker. Some may have been let go from here before."""
        for r in ids:
            if self._removed.touches(r):
                for user_id in r:
                    self._removed.discard(user_id)
        return self.plan.assign(ids, now)

    def end(self, ids: list[IdRange]) -> None:
        """The life of these users is over."""
        self._ended.update(ids)
        self._fresh_ended += ids

    def release(self, ids: list[IdRange]) -> None:
        """These users have ended here, to go on at another node."""
        self.plan.forget(ids)
        self._fresh_released += ids
        for user_id in (i for r in ids for i in r):
            self._moving.discard(user_id)

    # Removals

    def remove(self, number: int, ids: list[IdRange], ready: Collection[int]) -> bool:
        """Removal `number` was sent to the `ready` workers; whether it is answered already.

        The users of the others, which are being replaced, only have to not start again: they are removed.
        """
        wanted = IdSet(ids)
        met = sum(self._remove(worker, wanted) for worker in range(self.plan.workers) if worker not in ready)
        self._removed.update(ids)
        self._open[number] = _Removal(wanted, set(ready), met)
        return self._answered(number)

    def move(self, ids: list[IdRange], ready: Collection[int]) -> None:
        """These users are to be let go; the `ready` workers were told so."""
        self._moving.update(ids)
        for worker in range(self.plan.workers):
            if worker not in ready:
                self._let_go(worker)

    def dropped(self, worker: int, number: int, met: int) -> bool:
        """A worker answers a removal; whether all have."""
        removal = self._open.get(number)
        if removal is None or worker not in removal.waiting:
            return False
        removal.waiting.discard(worker)
        removal.met += met
        return self._answered(number)

    def _answered(self, number: int) -> bool:
        if self._open[number].waiting:
            return False
        self._fresh_dropped[number] = self._open.pop(number).met
        return True

    def _remove(self, worker: int, ids: IdSet) -> int:
        """Those of the ids that are an absent worker's and not over are removed now; how many."""
        mine = [user_id for user_id in self._unended(worker) if user_id in ids]
        self.past.removed += len(mine)
        self.end(compress(mine))
        return len(mine)

    def _let_go(self, worker: int) -> None:
        """Those who are an absent worker's and are to be let go are so now."""
        if self._moving:
            self.release(compress(i for i in self._unended(worker) if i in self._moving))

    # Workers that die

    def fold(self, tally: Tally, *, stopping: bool) -> None:
        """Keep the counts of a worker that is gone. When the test is stopping its users have stopped with it."""
        past = self.past
        for name in (*ENDS, "starts"):
            setattr(past, name, getattr(past, name) + getattr(tally, name))
        if stopping:
            past.removed += tally.leaving
            past.stopped += tally.running + tally.waiting

    def bury(self, worker: int) -> bool:
        """A worker has died in the run: decide about its users that were to be removed or let go.

        Whether a removal is answered by that.
        """
        answered = False
        for number, removal in list(self._open.items()):
            if worker in removal.waiting:
                answered |= self.dropped(worker, number, self._remove(worker, removal.ids))
        self._remove(worker, self._removed)  # those for whom it had answered, and who were not gone yet
        self._let_go(worker)
        return answered

    def restarting(self, worker: int, now: float) -> int:
        """How many users that were due by now start again; they are counted."""
        started = self.plan.started(worker, now, self._ended.__contains__)
        self.past.restarted += started
        return started

    def restart(self, worker: int, now: float) -> list[Leg]:
        """What the replacement of a worker is to start."""
        return self.plan.restart(worker, now, self._ended.__contains__)

    def give_up(self, worker: int) -> list[int]:
        """A worker is not replaced: its users have failed; who they are."""
        gone = list(self._unended(worker))
        self.past.failed += len(gone)
        self.end(compress(gone))
        return gone

    def lose(self, worker: int, tally: Tally) -> int:
        """A worker was ended because the master was away: its users are lost, also those it stopped; how many."""
        gone = list(self._unended(worker))
        self.past.stopped -= tally.stopped
        self.past.lost += len(gone) + tally.stopped
        self.end(compress(gone))
        return len(gone) + tally.stopped

    def _unended(self, worker: int) -> Iterable[int]:
        return (i for leg in self.plan.legs(worker) for i in leg.ids() if i not in self._ended)
