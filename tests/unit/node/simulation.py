"""A node without processes: its state machine, workers that are played, and the master's commands.

Messages wait in order until they are delivered; a worker that is killed loses what it has not yet said.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from amoc.control import (
    Assign,
    Change,
    Command,
    Counts,
    Desired,
    IdRange,
    Remove,
    Run,
    Start,
    Step,
    Stop,
    apply,
    compress,
)
from amoc.node import NodeState
from amoc.node.effects import BeatNow, Effect, Emit, FetchSource, Kill, Quit, Send, Spawn
from amoc.scenario import Source
from amoc.users import Failure
from amoc.worker import WorkerDeath, messages
from amoc.worker.messages import Tally

__all__ = ["ENDS", "Played", "Simulation", "begun", "quiet"]

SOURCE = Source("scene", "text", "scene.py", "v1")
ENDS = ("finished", "failed", "removed", "stopped", "stuck")


class Played:
    """A worker process: what it was sent, what it has to say, its users."""

    def __init__(self, index: int, pid: int) -> None:
        self.index = index
        self.pid = pid
        self.inbox: deque[messages.ToWorker] = deque()
        self.outbox: deque[messages.FromWorker] = deque()
        self.planned: list[int] = []
        self.running: dict[int, str] = {}  # id -> "", "leaving" or "cancelled"
        self.tally = Tally()
        self.reports = 0
        self.ended: list[int] = []
        self.released: list[int] = []
        self.settings: dict[str, Any] = {}
        self.steps: list[str] = []
        self.data: Any = None

    def __repr__(self) -> str:
        return f"<{self.pid}: {self.tally} in {list(self.inbox)} out {list(self.outbox)}>"

    @property
    def ids(self) -> set[int]:
        return {*self.planned, *self.running}

    def read(self) -> None:
        """Take the next message and do at once what it says."""
        match self.inbox.popleft():
            case messages.Load(settings=settings):
                self.settings = settings
                self.outbox.append(messages.Done("load"))
            case messages.Begin(step=step, data=data):
                self.steps.append(step)
                self.data = data
                if step == "stop":
                    self.planned.clear()
                    for user_id in list(self.running):
                        gone = self.running[user_id] not in ("", "moving")
                        self.end(user_id, "removed" if gone else "stopped")
                self.report()
                self.outbox.append(messages.Done(step, {"room": 5} if step == "setup" else None))
            case messages.Legs(legs=legs):
                self.planned += [i for leg in legs for i in leg.ids()]
            case messages.Drop(ids=ids, moved=True):
                for user_id in (i for r in ids for i in r):
                    if user_id in self.planned:
                        self.planned.remove(user_id)
                        self.released.append(user_id)
                    elif user_id in self.running and not self.running[user_id]:
                        self.running[user_id] = "moving"
                self.report()
            case messages.Drop(number=number, ids=ids, force=force):
                self.report({number: sum(self._drop(i, force) for r in ids for i in r)})
            case messages.Change(settings=settings):
                self.settings = settings

    def _drop(self, user_id: int, force: bool) -> bool:
        if user_id in self.planned:
            self.planned.remove(user_id)
            self.ended.append(user_id)
            self.tally.removed += 1
            return True
        if user_id not in self.running:
            return False
        counted = self.running[user_id] not in ("", "moving")
        leaving = "leaving" if self.running[user_id] in ("", "moving") else self.running[user_id]
        self.running[user_id] = "cancelled" if force else leaving
        return not counted

    def start(self, many: int = 1) -> None:
        """Start users that are planned."""
        for user_id in self.planned[:many]:
            self.running[user_id] = ""
            self.tally.starts += 1
        del self.planned[:many]

    def end(self, user_id: int, how: str = "finished") -> None:
        """A user's life is over."""
        if self.running.pop(user_id) == "moving" and how == "removed":
            self.released.append(user_id)
            return
        self.ended.append(user_id)
        setattr(self.tally, how, getattr(self.tally, how) + 1)

    def present(self) -> Tally:
        """The counts as they are now."""
        leaving = sum(state in ("leaving", "moving") for state in self.running.values())
        return msgspec.structs.replace(
            self.tally, planned=len(self.planned), running=len(self.running) - leaving, leaving=leaving
        )

    def report(self, dropped: dict[int, int] | None = None, failures: Iterable[Failure] = ()) -> None:
        """Say what is new."""
        ended, self.ended = compress(self.ended), []
        released, self.released = compress(self.released), []
        self.reports += 1
        figures = (5.0, 1000, 1.0, 2.0)
        self.outbox.append(
            messages.Report(self.reports, self.present(), ended, released, dropped or {}, b"", list(failures), *figures)
        )


class Simulation:
    """One node called `n1` in a cluster of `nodes`; `now` is its clock."""

    def __init__(self, workers: int = 2, nodes: tuple[str, ...] = ("n1",), **settings: Any) -> None:
        self.now = 1000.0
        self.state = NodeState("n1", workers, {"file": {}}, ("extra",), "i1")
        self.desired = Desired()
        self.nodes = nodes
        self.settings = settings
        self.workers: dict[int, Played] = {}
        self.spawning: list[int] = []
        self.asked: list[str] = []
        self.events: list[Emit] = []
        self.dropped: dict[int, int] = {}
        self.ended: list[int] = []
        self.released: list[int] = []
        self.errors: dict[str, int] = {}
        self._pid = 100

    # The master

    def command(self, make: Callable[..., Command], *args: Any) -> list[Effect]:
        """Apply a command, as master and node do, and let the node follow it."""
        self.desired = apply(self.desired, make(self.desired.number + 1, *args))
        return self.do(self.state.wants(self.desired, self.now))

    def start(self, run: str = "r1", interval: float = 0.01) -> list[Effect]:
        seats = dict.fromkeys(self.nodes, "i1")
        return self.command(Start, Run(run, "scene", "v1", self.settings, list(self.nodes), 0.0, 7), interval, seats)

    def step(self, phase: str, data: Any = None) -> list[Effect]:
        return self.command(Step, self.run_id, phase, data)

    def stop(self, force: bool = False) -> list[Effect]:
        return self.command(Stop, self.run_id, force, "stopped", False)

    def assign(self, first: int, last: int) -> list[Effect]:
        return self.command(Assign, self.run_id, {"n1": [IdRange(first, last)]})

    def remove(self, ids: Iterable[int], force: bool = False) -> int:
        """Returns the command's number."""
        self.command(Remove, self.run_id, {"n1": compress(ids)}, force)
        return self.desired.number

    def change(self, settings: dict[str, Any], interval: float = 0.01) -> list[Effect]:
        return self.command(Change, self.run_id, settings, interval)

    @property
    def run_id(self) -> str:
        return self.desired.run.id if self.desired.run is not None else ""

    # The shell

    def do(self, effects: list[Effect]) -> list[Effect]:
        """Perform effects: they become messages, processes and events of the simulation."""
        for effect in effects:
            match effect:
                case Spawn(index):
                    assert index not in self.workers, "a second process of one index"
                    self.spawning.append(index)
                case Send(index, message):
                    if index in self.workers:
                        self.workers[index].inbox.append(message)
                case Kill(index):
                    if index in self.workers:
                        self.die(index, "was killed by SIGKILL")
                case Quit():
                    for index in list(self.workers):
                        self.die(index, "exited with code 0", wanted=True)
                case FetchSource(version):
                    self.asked.append(version)
                case Emit():
                    self.events.append(effect)
        self.beat()
        return effects

    def beat(self) -> None:
        """Take what the node would tell the master."""
        taken = self.state.take()
        for number, count in taken.dropped.items():
            assert number not in self.dropped, "a removal answered twice"
            self.dropped[number] = count
        self.ended += [i for r in taken.ended for i in r]
        self.released += [i for r in taken.released for i in r]
        for error in taken.errors:
            self.errors[error.type] = self.errors.get(error.type, 0) + error.count

    def source(self) -> None:
        self.do(self.state.source_arrived(SOURCE, self.now))

    def up(self, index: int) -> Played:
        """The process of a spawned worker is there."""
        self.spawning.remove(index)
        self._pid += 1
        self.workers[index] = played = Played(index, self._pid)
        self.do(self.state.worker_up(index, self._pid, self.now))
        return played

    def tell(self, index: int, message: messages.FromWorker | None = None) -> list[Effect]:
        """Deliver a message of a worker to the node: this one, or the next that it has said."""
        if message is None:
            message = self.workers[index].outbox.popleft()
        return self.do(self.state.worker_said(index, message, self.now))

    def die(self, index: int, cause: str = "was killed by SIGKILL", wanted: bool = False, told: int = 99) -> None:
        """A process ends; of what it had said, the first `told` messages arrive before."""
        worker = self.workers[index]
        while worker.outbox and told and self.workers.get(index) is worker:
            told -= 1
            self.tell(index)
        if self.workers.get(index) is worker:  # it may have been killed for what it said
            del self.workers[index]
            self.do(self.state.worker_died(WorkerDeath(index, worker.pid, cause, wanted), self.now))

    def settle(self) -> None:
        """Deliver everything there is, until nothing moves."""
        while True:
            if self.spawning:
                self.up(self.spawning[0])
            elif reading := next((w for w in self.workers.values() if w.inbox), None):
                reading.read()
            elif said := next((w for w in self.workers.values() if w.outbox), None):
                self.tell(said.index)
            else:
                return

    def running(self) -> "Simulation":
        """Take the node to `run`, without faults."""
        self.start()
        self.source()
        self.settle()
        self.step("init", {"room": 5})
        self.settle()
        self.step("run")
        return self

    def over(self) -> None:
        """Take a stopping node to its end."""
        for phase in ("teardown", "over"):
            self.settle()
            self.step(phase)
        self.settle()

    def report(self) -> None:
        """All workers report."""
        for worker in list(self.workers.values()):
            worker.report()
        self.settle()

    def phase(self) -> str | None:
        return self.state.take().phase

    def counts(self) -> Counts:
        return self.state.counts()

    def texts(self) -> list[str]:
        return [event.text for event in self.events]


def quiet(effects: list[Effect]) -> list[Effect]:
    """Without what is only said."""
    return [effect for effect in effects if not isinstance(effect, Emit | BeatNow)]


def begun(effects: list[Effect]) -> list[tuple[int, str]]:
    """Which workers are told to begin which step."""
    return [(e.index, e.message.step) for e in effects if isinstance(e, Send) and isinstance(e.message, messages.Begin)]
