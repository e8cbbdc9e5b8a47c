"""The node's workers as its state machine knows them: at which step each is, since when, with which figures.

Pure: time comes in as `now` (monotonic seconds); what is to be done goes out as effects.

A worker goes through these steps; each but `ready`, `done` and `failed` has a deadline:

    spawning → loading → loaded → [setup] → init → ready → stop → terminate → done → [teardown]

`pausing` (a replacement that could not be started waits for its next try), `quit` (told to end, or killed) and
`dead` come after any of them.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from amoc.control import WorkerFigures
from amoc.node.effects import Effect, Kill, Send
from amoc.worker import messages
from amoc.worker.messages import Tally

__all__ = ["BEGINNING", "TIMEOUTS", "Crew", "Worker", "named"]

# Seconds a step may take. Loading imports a scenario's libraries; setup and init may register accounts.
# Users are given up 2 s after a stop; more means that the loop itself is held up, by the work of ending so many too.
BEGINNING = {"spawning": 30.0, "loading": 30.0, "setup": 120.0, "init": 120.0}
TIMEOUTS = {**BEGINNING, "stop": 10.0, "terminate": 15.0, "teardown": 120.0, "quit": 3.0}
_NAMES = {"spawning": "its start", "loading": "loading the scenario", "stop": "ending its users", "quit": "its end"}


class Worker:
    """What the node knows of one worker."""

    __slots__ = ("crashes", "deadline", "figures", "shown", "step", "tally")

    def __init__(self, index: int) -> None:
        self.step = "spawning"
        self.deadline: float | None = None
        self.tally = Tally()  # of its last report
        self.shown = self.tally  # of its watchdog, when that spoke since
        self.figures = WorkerFigures(index)
        self.crashes: list[float] = []

    def __repr__(self) -> str:
        return f"<Worker {self.figures.index} {self.step}>"

    def go(self, step: str, now: float, within: float | None = None) -> None:
        """Begin a step; `within`: seconds that it may take, other than usual."""
        self.step = step
        timeout = TIMEOUTS.get(step) if within is None else within
        self.deadline = None if timeout is None else now + timeout

    def report(self, report: messages.Report) -> bool:
        """Take in figures and counts; False if this report was had before."""
        figures = self.figures
        if report.number <= figures.report:
            return False
        self.tally = self.shown = report.tally
        figures.report = report.number
        figures.users = present(report.tally)
        figures.rss, figures.lag_ms = report.rss, report.lag_ms
        figures.cpu, figures.late_ms = report.cpu, report.late_ms
        return True

    def show(self, said: messages.HeldUp) -> None:
        """What its watchdog says while its loop cannot."""
        self.shown = said.tally
        figures = self.figures
        figures.users, figures.rss, figures.lag_ms = present(said.tally), said.rss, said.lag_ms

    def fold(self) -> tuple[Tally, Tally]:
        """It is gone: its last reported and its last shown counts; it has none any more."""
        folded = self.tally, self.shown
        self.tally = self.shown = Tally()
        figures = self.figures
        figures.users, figures.cpu, figures.lag_ms, figures.report = 0, 0.0, 0.0, 0
        return folded


class Crew:
    """All workers of the run, by index."""

    def __init__(self) -> None:
        self._workers: dict[int, Worker] = {}

    def __repr__(self) -> str:
        return f"<Crew {list(self._workers.values())}>"

    def __iter__(self) -> Iterator[tuple[int, Worker]]:
        return iter(self._workers.items())

    def __getitem__(self, index: int) -> Worker:
        return self._workers[index]

    def get(self, index: int) -> Worker | None:
        """The worker of that index, if there is one."""
        return self._workers.get(index)

    def add(self, index: int, now: float) -> None:
        """A worker that is being spawned; what an earlier one of its index has crashed counts on."""
        before = self._workers.get(index)
        self._workers[index] = worker = Worker(index)
        if before is not None:
            worker.crashes, worker.figures.restarts = before.crashes, before.figures.restarts
        worker.go("spawning", now)

    def figures(self) -> list[WorkerFigures]:
        """For people."""
        return [worker.figures for worker in self._workers.values()]

    def tallies(self) -> list[Tally]:
        """The last reported counts."""
        return [worker.tally for worker in self._workers.values()]

    def shown(self) -> list[Tally] | None:
        """The last shown counts, if some worker says more than it has reported."""
        if all(worker.shown is worker.tally for worker in self._workers.values()):
            return None
        return [worker.shown for worker in self._workers.values()]

    @property
    def alive(self) -> list[int]:
        """Those that are not dead."""
        return [index for index, worker in self._workers.items() if worker.step != "dead"]

    @property
    def processes(self) -> list[int]:
        """Those that have a process, or are about to."""
        return [index for index, worker in self._workers.items() if worker.step not in ("dead", "pausing")]

    def at(self, *steps: str) -> list[int]:
        """Those that are at one of the steps."""
        return [index for index, worker in self._workers.items() if worker.step in steps]

    def all(self, step: str) -> bool:
        """Whether there are workers that live and all of them are at `step`."""
        alive = self.alive
        return bool(alive) and all(self._workers[i].step == step for i in alive)

    def order(
        self, indices: Iterable[int], step: str, now: float, data: Any = None, within: float | None = None
    ) -> list[Effect]:
        """Let workers begin a step."""
        effects: list[Effect] = []
        for index in indices:
            self._workers[index].go(step, now, within)
            effects.append(Send(index, messages.Begin(step, data)))
        return effects

    def kill(self, indices: Iterable[int], now: float) -> list[Effect]:
        """End workers at once; their deaths are wanted. One that has no process yet is dead with that."""
        effects: list[Effect] = []
        for index in indices:
            worker = self._workers[index]
            if worker.step == "pausing":
                worker.go("dead", now)
            elif worker.step not in ("quit", "dead"):
                worker.go("quit", now)
                effects.append(Kill(index))
        return effects

    def due(self, now: float) -> list[tuple[int, Worker]]:
        """Those whose step has taken too long, or whose pause is over; their deadline is taken away."""
        late = [(i, w) for i, w in self._workers.items() if w.deadline is not None and now >= w.deadline]
        for _, worker in late:
            worker.deadline = None
        return late


def present(tally: Tally) -> int:
    """Users that are at work, or between two runs."""
    return tally.running + tally.waiting + tally.leaving


def named(step: str) -> str:
    """The step for people."""
    return _NAMES.get(step, f"{step}()")
