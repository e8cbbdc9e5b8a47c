"""A worker process as its node sees it: takes messages in order, has users, reports, ends by its lease."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from amoc.control import compress
from amoc.metrics import Delta
from amoc.worker import messages
from amoc.worker.messages import Tally
from amoc.worker.watchdog import LAPSED

if TYPE_CHECKING:
    from tests.unit.cluster.simulation.node import NodeProcess

__all__ = ["WorkerProcess"]

REPORT = 1.0


class WorkerProcess:
    """A process with users; `node` is the agent at the other end of its pipe."""

    def __init__(self, node: "NodeProcess", index: int, pid: int) -> None:
        self.index = index
        self.pid = pid
        self.alive = True
        self.ready = False
        self._node = node
        self._world = node.world
        self._number = 0
        self._until = float("inf")
        self._planned: set[int] = set()
        self._running: dict[int, str] = {}  # id to "", "leaving" or "moving"
        self._tally = Tally()
        self._ended: list[int] = []
        self._released: list[int] = []
        self._counted = 0

    def __repr__(self) -> str:
        return f"<worker {self.index} of {self._node.name}/{self._node.state.incarnation}>"

    @property
    def restless(self) -> bool:
        """Whether some user is going to start, or to leave."""
        return bool(self._planned) or any(self._running.values())

    def take(self, message: messages.ToWorker) -> None:
        """Do what the agent says."""
        match message:
            case messages.Load(lease=lease):
                self._lease(lease)
                self._send(messages.Done("load"))
            case messages.Lease(until=until):
                self._lease(until)
            case messages.Begin(step="quit"):
                self._report()
                self.die("exited with code 0", wanted=True)
            case messages.Begin(step=step):
                self._begin(step)
            case messages.Legs(legs=legs):
                for leg in legs:
                    for k, user_id in enumerate(leg.ids()):
                        self._planned.add(user_id)
                        self._world.after(max(0.0, leg.at + k * leg.spacing - self._world.now), self._starter(user_id))
            case messages.Drop(ids=ids, moved=True):
                for user_id in (i for r in ids for i in r):
                    self._release(user_id)
                self._report()
            case messages.Drop(number=number, ids=ids, force=force):
                self._report({number: sum(self._drop(user_id, force) for r in ids for user_id in r)})

    def _begin(self, step: str) -> None:
        if step == "init":
            self.ready = True
            self._world.after(REPORT * self._world.random.random(), self._report_again)
        if step == "stop":
            self._planned.clear()
            for user_id in list(self._running):
                self._end(user_id, "removed" if self._running[user_id] == "leaving" else "stopped")
        self._report()
        self._send(messages.Done(step, {"room": 7} if step == "setup" else None))

    # Users

    def _starter(self, user_id: int) -> Callable[[], None]:
        def start() -> None:
            if self.alive and user_id in self._planned:
                self._planned.discard(user_id)
                self._world.started(user_id, self)
                self._running[user_id] = ""
                self._tally.starts += 1
                self._counted += 1
                if self._world.random.random() < 0.3:
                    self._world.after(20 * self._world.random.random(), lambda: self._finish(user_id))

        return start

    def _finish(self, user_id: int) -> None:
        if self.alive and user_id in self._running and self._world.ending:
            how = {"": "finished", "leaving": "removed", "moving": "released"}[self._running[user_id]]
            self._end(user_id, how)

    def _drop(self, user_id: int, force: bool) -> int:
        if user_id in self._planned:
            self._planned.discard(user_id)
            self._ended.append(user_id)
            self._tally.removed += 1
            return 1
        how = self._running.get(user_id)
        if how is None:
            return 0
        if force:
            self._end(user_id, "removed")
        else:
            self._running[user_id] = "leaving"
            self._world.after(2 * self._world.random.random(), lambda: self._leave(user_id))
        return how != "leaving"

    def _release(self, user_id: int) -> None:
        if user_id in self._planned:
            self._planned.discard(user_id)
            self._released.append(user_id)
        elif self._running.get(user_id) == "":
            self._running[user_id] = "moving"
            self._world.after(2 * self._world.random.random(), lambda: self._leave(user_id))

    def _leave(self, user_id: int) -> None:
        """The run of a user that is not to run again is over."""
        if self.alive and (how := self._running.get(user_id)):
            self._end(user_id, "removed" if how == "leaving" else "released")

    def _end(self, user_id: int, how: str) -> None:
        del self._running[user_id]
        self._world.stopped(user_id)
        if how == "released":
            self._released.append(user_id)
            return
        self._ended.append(user_id)
        setattr(self._tally, how, getattr(self._tally, how) + 1)

    # What it says

    def _report_again(self) -> None:
        if self.alive:
            self._report()
            self._world.after(REPORT, self._report_again)

    def _report(self, dropped: dict[int, int] | None = None) -> None:
        if not self.ready:
            return
        leaving = sum(how != "" for how in self._running.values())
        tally = Tally(
            planned=len(self._planned),
            running=len(self._running) - leaving,
            leaving=leaving,
            finished=self._tally.finished,
            removed=self._tally.removed,
            stopped=self._tally.stopped,
            starts=self._tally.starts,
        )
        delta = messages.encode(Delta(counters={"started": self._counted})) if self._counted else b""
        self._number += 1
        ended, released = compress(self._ended), compress(self._released)
        self._send(messages.Report(self._number, tally, ended, released, dropped or {}, delta, [], 0.0, 0, 0.0, 0.0))
        self._ended, self._released, self._counted = [], [], 0

    def _send(self, message: messages.FromWorker) -> None:
        self._node.from_worker(self, message)

    # Its end

    def _lease(self, until: float | None) -> None:
        if until is not None:
            self._until = until
            self._world.after(until - self._world.now + 0.05, self._check_lease)

    def _check_lease(self) -> None:
        if self.alive and self._world.now > self._until:
            self.die(f"exited with code {LAPSED}")

    def die(self, cause: str, *, wanted: bool = False) -> None:
        """The process ends, and its users with it."""
        if self.alive:
            self.alive = False
            for user_id in self._running:
                self._world.stopped(user_id)
            self._running.clear()
            self._node.worker_gone(self, cause, wanted)
