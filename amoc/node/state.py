"""The node's state machine: the master's desired state and the workers' words in, effects out.

Pure: time comes in as `now` (monotonic seconds); every stimulus returns the effects that the shell
(`agent`) is to perform, in order. Applying the same desired state again has no effect.

A worker goes through these steps; each but `ready` and `done` has a deadline:

    spawning → loading → loaded → [setup] → init → ready → stop → terminate → done → [teardown]

`quit` (told to end, or killed) and `dead` come after any of them.

A worker that dies before the node is ready fails the run. One that dies later is replaced under its own
index, and its users start again under their own ids at the worker's own pace; after `MOST_CRASHES` deaths
within `CRASH_WINDOW` it is given up, and its users are counted as failed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from amoc.control import PHASES, Counts, Desired, ErrorCount, IdRange, Run, WorkerFigures
from amoc.node.effects import BeatNow, Effect, Emit, FetchSource, Kill, Quit, Send, Spawn
from amoc.node.ledger import Ledger
from amoc.scenario import Source
from amoc.worker import WorkerDeath, messages
from amoc.worker.messages import Leg, Tally

__all__ = ["NodeState", "Taken"]

# Seconds a step may take. Loading imports a scenario's libraries; setup and init may register accounts.
# Users are given up 2 s after a stop; more means that the loop itself is held up, by the work of ending so many too.
BEGINNING = {"spawning": 30.0, "loading": 30.0, "setup": 120.0, "init": 120.0}
TIMEOUTS = {**BEGINNING, "stop": 10.0, "terminate": 15.0, "teardown": 120.0, "quit": 3.0}
MOST_CRASHES = 3
CRASH_WINDOW = 60.0

NAMES = {"spawning": "its start", "loading": "loading the scenario", "stop": "ending its users", "quit": "its end"}
MESSAGE = {"load": "loading"}  # what a worker calls otherwise than its step is called here


class Taken(msgspec.Struct):
    """What is to go into the next beat; what is counted since the last one is handed out once."""

    state: str
    run_id: str | None
    phase: str | None
    error: str | None
    data: Any
    counts: Counts
    workers: list[WorkerFigures]
    ended: list[IdRange]
    dropped: dict[int, int]
    errors: list[ErrorCount]


class _Worker:
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
        return f"<_Worker {self.figures.index} {self.step}>"


class NodeState:
    """State of node `name` with `workers` workers.

    `layers`: arguments of `config.Config` for the workers; `extra_settings`: modules that declare settings.
    """

    def __init__(
        self, name: str, workers: int, layers: Mapping[str, Any], extra_settings: tuple[str, ...] = ()
    ) -> None:
        self.name = name
        self.size = workers
        self.layers = dict(layers)
        self.extra_settings = extra_settings
        self.desired = Desired()
        self.run: Run | None = None
        self._clear()

    def __repr__(self) -> str:
        return f"<NodeState {self.name} {self.state} {self._workers}>"

    def _clear(self) -> None:
        self.state = "idle" if self.run is None else "starting"
        self._source: Source | None = None
        self._phase: str | None = None
        self._error: str | None = None
        self._data: Any = None
        self._workers: dict[int, _Worker] = {}
        self._ledger = Ledger(self.size, 0.0)
        self._settings: dict[str, Any] = {}
        self._assignments = 0
        self._removals = 0
        self._fresh_errors: list[ErrorCount] = []
        self._begun: set[str] = set()
        self._seen_errors: set[str] = set()

    # Stimuli

    def wants(self, desired: Desired, now: float) -> list[Effect]:
        """The master's desired state is now this."""
        self.desired = desired
        run = desired.run
        if run is None or self.name not in run.nodes:
            return []
        effects: list[Effect] = []
        if self.run is None or self.run.id != run.id:
            if desired.phase == "over":
                return []
            effects += self._kill(self._alive, now)
            self.run = run
            self._clear()
            self._settings = desired.settings
            effects.append(FetchSource(run.version))
        return effects + self._follow(now)

    def source_arrived(self, source: Source, now: float) -> list[Effect]:
        """The scenario's source is here: start the workers."""
        if self.run is None or source.version != self.run.version or self._source is not None or self._stopping:
            return []
        self._source = source
        self._ledger = Ledger(self.size, self.desired.interval)
        effects: list[Effect] = []
        for index in range(self.size):
            self._workers[index] = worker = _Worker(index)
            self._step(worker, "spawning", now)
            effects.append(Spawn(index))
        return effects

    def failed(self, text: str) -> list[Effect]:
        """The shell could not do what was asked of it: there is no source, or an error inside."""
        return self._fail(text)

    def worker_up(self, index: int, pid: int, now: float) -> list[Effect]:
        """Worker `index` is a process now: let it load the scenario."""
        worker = self._workers.get(index)
        if worker is None or self._source is None or self.run is None:
            return [Kill(index)]
        worker.figures.pid = pid
        if worker.step != "spawning":  # it has become needless meanwhile
            return [Kill(index)]
        self._step(worker, "loading", now)
        return [
            Send(
                index,
                messages.Load(self._source, self.layers, self.extra_settings, self._settings, self.run.seed + index),
            )
        ]

    def worker_not_up(self, index: int, reason: str, now: float) -> list[Effect]:
        """Worker `index` could not be started."""
        worker = self._workers.get(index)
        if worker is None:
            return []
        return self._ended_by(index, worker, f"worker {index} cannot be started: {reason}", now)

    def worker_said(self, index: int, message: messages.FromWorker, now: float) -> list[Effect]:
        """A worker's message, other than events and metrics, which the shell takes itself."""
        worker = self._workers.get(index)
        if worker is None:
            return []
        match message:
            case messages.Report():
                return self._reported(index, worker, message)
            case messages.HeldUp(tally=tally, rss=rss, lag_ms=lag):
                worker.shown = tally
                worker.figures.users, worker.figures.rss, worker.figures.lag_ms = _present(tally), rss, lag
            case messages.Done(step=step, data=data) if worker.step == MESSAGE.get(step, step):
                return self._done(index, worker, step, data, now)
            case messages.Failed(step=step, error=error, traceback=trace) if worker.step == MESSAGE.get(step, step):
                return self._step_failed(index, worker, step, error, trace, now)
        return []

    def worker_died(self, death: WorkerDeath, now: float) -> list[Effect]:
        """A worker's process has ended."""
        worker = self._workers.get(death.index)
        if worker is None or worker.figures.pid != death.pid:  # of a run before this one
            return []
        if death.wanted:
            worker.step = "quit"
        return self._ended_by(death.index, worker, f"worker {death.index} (pid {death.pid}) {death.cause}", now)

    def _ended_by(self, index: int, worker: _Worker, text: str, now: float) -> list[Effect]:
        """A worker is no more; `text` says why."""
        step = worker.step
        self._fold(worker)
        self._step(worker, "dead", now)
        if step in ("done", "quit"):
            return self._follow(now)
        if self._stopping:
            return [Emit("worker", "WARNING", f"{text} while stopping", index), *self._follow(now)]
        if not self._reached("init"):
            return self._fail(f"{text} during {_named(step)}" if step != "spawning" else text)
        return self._replace(index, worker, step, text, now)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: steps that take too long are ended."""
        effects: list[Effect] = []
        for index, worker in self._workers.items():
            if worker.deadline is None or now < worker.deadline:
                continue
            step, worker.deadline = worker.step, None
            text = f"worker {index}: {_named(step)} did not end within {TIMEOUTS[step]:.0f} s"
            effects += [Emit("worker", "ERROR", f"{text}; it is killed", index), Kill(index)]
            if step in ("terminate", "teardown"):
                self._fresh_errors.append(_error("TimeoutError", step, text))
            elif step in BEGINNING and not self._reached("init"):
                effects += self._fail(text)
        return effects

    def take(self) -> Taken:
        """What the next beat says."""
        ended, dropped = self._ledger.take()
        taken = Taken(
            state=self.state,
            run_id=self.run.id if self.run is not None else None,
            phase=self._phase,
            error=self._error,
            data=self._data,
            counts=self.counts(),
            workers=[worker.figures for worker in self._workers.values()],
            ended=ended,
            dropped=dropped,
            errors=self._fresh_errors,
        )
        self._fresh_errors = []
        return taken

    def counts(self) -> Counts:
        """Users of this node by what they do; the sum is what was assigned."""
        return self._ledger.counts(worker.shown for worker in self._workers.values())

    # Following the desired state

    @property
    def _stopping(self) -> bool:
        return "stop" in self._begun

    def _reached(self, phase: str) -> bool:
        return self._phase is not None and PHASES.index(self._phase) >= PHASES.index(phase)

    def _follow(self, now: float) -> list[Effect]:
        """Do what the desired phase asks for and is not done yet."""
        wanted = self.desired.phase
        if PHASES.index(wanted) >= PHASES.index("stop"):
            return self._follow_stop(wanted, now)
        if self._error is not None:  # the master will stop the run; whom it gives us until then never starts
            self._take_assigned(now)
            return []
        effects: list[Effect] = []
        if not self._reached("setup") and self._all("loaded"):
            if self._first and "setup" not in self._begun:
                self._begun.add("setup")
                return self._order([0], "setup", now)
            effects += self._finish("setup")
        if wanted == "init" and self._reached("setup") and "init" not in self._begun:
            self._begun.add("init")
            effects += self._order(self._workers, "init", now, self.desired.data)
        if not self._reached("init") and self._all("ready"):
            effects += self._finish("init")
        if wanted == "run" and self._reached("init"):
            if not self._reached("run"):
                self.state = "running"
                effects += self._finish("run")
            effects += self._follow_users(now)
        return effects

    def _follow_users(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        desired = self.desired
        ready = self._at("ready")
        if desired.settings != self._settings:
            self._settings = desired.settings
            effects += [Send(index, messages.Change(self._settings)) for index in ready]
        stretch = self._ledger.plan.repace(desired.interval, now)
        if stretch is not None:
            effects += [Send(index, messages.Repace(*stretch)) for index in ready]
        legs = self._take_assigned(now)
        if legs:
            effects += [Send(i, messages.Legs(new)) for i, new in legs.items() if i in ready]
            for index in legs:
                if self._workers[index].step == "dead":
                    self._lose(index, f"worker {index} is gone; its users are lost")
            effects.append(BeatNow())
        removals = desired.removed.get(self.name, [])
        for removal in removals[self._removals :]:
            effects += [Send(index, messages.Drop(removal.number, removal.ids, removal.force)) for index in ready]
            if self._ledger.remove(removal.number, removal.ids, ready):
                effects.append(BeatNow())
        self._removals = len(removals)
        return effects

    def _take_assigned(self, now: float) -> dict[int, list[Leg]]:
        """Plan the ids given since the last call, so that they count; their legs by worker."""
        assigned = self.desired.assigned.get(self.name, [])
        new, self._assignments = assigned[self._assignments :], len(assigned)
        return self._ledger.plan.assign(new, now)

    def _follow_stop(self, wanted: str, now: float) -> list[Effect]:
        effects: list[Effect] = []
        self._take_assigned(now)  # a snapshot may bring users and the stop at once
        gently = not self.desired.force and self._reached("init")
        if not self._stopping:
            self._begun.add("stop")
            if self.state != "error":
                self.state = "terminating"
            if gently:
                effects += self._order(self._at("ready"), "stop", now)
            elif not self.desired.force and self._first and self._reached("setup"):
                # what setup() made is taken down even if init() failed, by a worker that is not busy with it
                idle = [i for i in self._alive if self._workers[i].step in ("loaded", "ready", "failed")]
                for index in idle[:1]:
                    self._step(self._workers[index], "done", now)
        ending = () if self.desired.force else ("stop", "terminate", "done", "teardown")
        effects += self._kill([i for i in self._alive if self._workers[i].step not in ending], now)
        if not self._reached("stop") and all(self._workers[i].step == "done" for i in self._alive):
            effects += self._finish("stop")
        if PHASES.index(wanted) >= PHASES.index("teardown") and self._reached("stop"):
            effects += self._follow_teardown(wanted, now)
        return effects

    def _follow_teardown(self, wanted: str, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if "teardown" not in self._begun:
            self._begun.add("teardown")
            if self._first and (done := self._at("done")):
                return self._order(done[:1], "teardown", now, self._data)
        if not self._at("teardown") and (done := self._at("done")):
            for index in done:
                self._step(self._workers[index], "quit", now)
            effects.append(Quit())
        if not self._alive and not self._reached("teardown"):
            effects += self._finish("teardown")
        if wanted == "over" and self._reached("teardown") and not self._reached("over"):
            self.state = "error" if self._error is not None else "finished"
            effects += self._finish("over")
        return effects

    # What workers say

    def _reported(self, index: int, worker: _Worker, report: messages.Report) -> list[Effect]:
        worker.tally = worker.shown = report.tally
        figures = worker.figures
        figures.users = _present(report.tally)
        figures.rss, figures.lag_ms = report.rss, report.lag_ms
        figures.cpu, figures.late_ms = report.cpu, report.late_ms
        self._ledger.end(report.ended)
        effects: list[Effect] = []
        for f in report.failures:
            self._fresh_errors.append(ErrorCount(*msgspec.structs.astuple(f)))
            if f.key not in self._seen_errors:
                self._seen_errors.add(f.key)
                text = f"user {f.first_user} failed: {f.text}\n{f.traceback.rstrip()}"
                effects.append(Emit("error", "ERROR", text, figures.index))
        for number, dropped in report.dropped.items():
            if self._ledger.dropped(index, number, dropped):
                effects.append(BeatNow())
        return effects

    def _done(self, index: int, worker: _Worker, step: str, data: Any, now: float) -> list[Effect]:
        match step:
            case "load":
                self._step(worker, "loaded", now)
                if self._reached("setup"):  # a replacement: it goes on to init by itself
                    return self._order([index], "init", now, self.desired.data)
            case "setup":
                self._step(worker, "loaded", now)
                self._data = data
            case "init":
                self._step(worker, "ready", now)
                if self._reached("init"):
                    legs = self._ledger.restart(index, now)
                    return [Send(index, messages.Change(self._settings)), Send(index, messages.Legs(legs))]
            case "stop":
                return self._order([index], "terminate", now)
            case "terminate" | "teardown":
                self._step(worker, "done", now)
        return self._follow(now)

    def _step_failed(self, index: int, worker: _Worker, step: str, error: str, trace: str, now: float) -> list[Effect]:
        text = f"worker {index}: {error}"
        say = Emit("error", "ERROR", f"{text}\n{trace.rstrip()}" if trace else text, index)
        if step in ("terminate", "teardown"):
            self._fresh_errors.append(_error(error, step, error, trace))
            self._step(worker, "done", now)
            return [say, *self._follow(now)]
        if self._reached("init"):  # a replacement that does not come up: as if it had died
            return [say, Kill(index)]
        self._step(worker, "failed", now)
        return [say, *self._fail(text, said=True)]

    # Workers that die

    def _replace(self, index: int, worker: _Worker, step: str, text: str, now: float) -> list[Effect]:
        effects: list[Effect] = [BeatNow()] if self._ledger.bury(index) else []
        worker.crashes = [at for at in worker.crashes if now - at < CRASH_WINDOW] + [now]
        if len(worker.crashes) > MOST_CRASHES:
            return effects + self._give_up(index, text)
        worker.figures.restarts += 1
        if step == "ready":
            text += (
                f": {self._ledger.restarting(index, now)} users start again in a new one "
                f"(what it counted since its last report, up to 1 s, is lost)"
            )
        else:
            text += ", as the replacement of another; it is tried again"
        self._step(worker, "spawning", now)
        return [*effects, Emit("worker", "ERROR", text, index), Spawn(index), BeatNow()]

    def _give_up(self, index: int, text: str) -> list[Effect]:
        reason = f"{text}, more than {MOST_CRASHES} times within {CRASH_WINDOW:.0f} s"
        lost = self._lose(index, f"{reason}; its users are lost")
        say = Emit("worker", "ERROR", f"{reason}; it is not replaced, {lost} users are lost", index)
        if not self._alive:
            return [say, *self._fail(f"{reason}; no worker is left")]
        return [say, BeatNow()]

    def _lose(self, index: int, reason: str) -> int:
        """The users of a worker that is not replaced have failed; returns how many they are."""
        lost = self._ledger.give_up(index)
        if lost:
            self._fresh_errors.append(_error("WorkerLost", "worker", reason, count=len(lost), user=lost[0]))
        return len(lost)

    # Small things

    @property
    def _first(self) -> bool:
        return self.run is not None and self.run.nodes[0] == self.name

    @property
    def _alive(self) -> list[int]:
        return [index for index, worker in self._workers.items() if worker.step != "dead"]

    def _at(self, step: str) -> list[int]:
        return [index for index, worker in self._workers.items() if worker.step == step]

    def _all(self, step: str) -> bool:
        """Whether there are workers that live and all of them are at `step`."""
        return bool(self._alive) and all(self._workers[i].step == step for i in self._alive)

    def _kill(self, indices: Iterable[int], now: float) -> list[Effect]:
        effects: list[Effect] = []
        for index in indices:
            if self._workers[index].step != "quit":
                self._step(self._workers[index], "quit", now)
                effects.append(Kill(index))
        return effects

    def _order(self, indices: Iterable[int], step: str, now: float, data: Any = None) -> list[Effect]:
        effects: list[Effect] = []
        for index in indices:
            self._step(self._workers[index], step, now)
            effects.append(Send(index, messages.Begin(step, data)))
        return effects

    def _step(self, worker: _Worker, step: str, now: float) -> None:
        worker.step = step
        timeout = TIMEOUTS.get(step)
        worker.deadline = None if timeout is None else now + timeout

    def _finish(self, phase: str) -> list[Effect]:
        self._phase = phase
        return [BeatNow()]

    def _fail(self, text: str, *, said: bool = False) -> list[Effect]:
        """The run cannot go on; `said`: people know already."""
        if self._error is not None:
            return []
        self._error = text
        self.state = "error"
        return [BeatNow()] if said else [Emit("run", "ERROR", text), BeatNow()]

    def _fold(self, worker: _Worker) -> None:
        """Keep the counts of a worker that is gone; what its users were doing is over."""
        # A user whose end was not reported starts again, except when nobody starts any more.
        self._ledger.fold(worker.shown if self._stopping else worker.tally, stopping=self._stopping)
        worker.tally = worker.shown = Tally()
        figures = worker.figures
        figures.users, figures.cpu, figures.lag_ms = 0, 0.0, 0.0


def _present(tally: Tally) -> int:
    return tally.running + tally.waiting + tally.leaving


def _named(step: str) -> str:
    return NAMES.get(step, f"{step}()")


def _error(kind: str, where: str, text: str, trace: str = "", *, count: int = 1, user: int = 0) -> ErrorCount:
    name = kind.partition(":")[0].rpartition(" ")[2]
    return ErrorCount(f"{where}:{text}", name, where, text, trace, user, count)
