"""The node's state machine: the master's desired state and the workers' words in, effects out.

Pure: time comes in as `now` (monotonic seconds); every stimulus returns the effects that the shell
(`agent`) is to perform, in order. Applying the same desired state again has no effect.

A worker goes through these steps; each but `ready` and `done` has a deadline:

    spawning → loading → loaded → [setup] → init → ready → stop → terminate → done → [teardown]

A worker that dies before the node is ready fails the run. One that dies later is replaced under its own
index, and its users start again under their own ids at the worker's own pace; after `MOST_CRASHES` deaths
within `CRASH_WINDOW` it is given up, and its users are counted as failed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from amoc.control import PHASES, Counts, Desired, ErrorCount, IdRange, IdSet, Run, WorkerFigures, compress
from amoc.node.effects import BeatNow, Effect, Emit, FetchSource, Kill, KillAll, Quit, Send, Spawn
from amoc.node.plan import NodePlan
from amoc.scenario import Source
from amoc.worker import WorkerDeath, messages
from amoc.worker.messages import Leg, Tally

__all__ = ["NodeState", "Taken"]

# Seconds a step may take. Loading imports a scenario's libraries; setup and init may register accounts.
# Users are given up 2 s after a stop; more means that the loop itself is held up.
BEGINNING = {"spawning": 30.0, "loading": 30.0, "setup": 120.0, "init": 120.0}
TIMEOUTS = {**BEGINNING, "stop": 4.0, "terminate": 15.0, "teardown": 120.0, "quit": 3.0}
MOST_CRASHES = 3
CRASH_WINDOW = 60.0

CUMULATIVE = ("finished", "failed", "removed", "stopped", "stuck", "starts")


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

    __slots__ = ("crashes", "deadline", "figures", "step", "tally")

    def __init__(self, index: int) -> None:
        self.step = "spawning"
        self.deadline: float | None = None
        self.tally = Tally()
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
        self._plan = NodePlan(self.size, 0.0)
        self._base = Counts()
        self._ended = IdSet()
        self._removed = IdSet()
        self._settings: dict[str, Any] = {}
        self._assignments = 0
        self._removals = 0
        self._drops: dict[int, tuple[set[int], int, list[IdRange]]] = {}
        self._fresh_ended: list[IdRange] = []
        self._fresh_dropped: dict[int, int] = {}
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
            if self._workers:
                effects.append(KillAll())
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
        self._plan = NodePlan(self.size, self.desired.interval)
        effects: list[Effect] = []
        for index in range(self.size):
            self._workers[index] = _Worker(index)
            effects += self._spawn(index, now)
        return effects

    def failed(self, text: str) -> list[Effect]:
        """The shell could not do what was asked of it: no source, no process."""
        return self._fail(text)

    def worker_up(self, index: int, pid: int, now: float) -> list[Effect]:
        """Worker `index` is a process now: let it load the scenario."""
        worker = self._workers.get(index)
        if worker is None or self._source is None or self.run is None:
            return [Kill(index)]
        worker.figures.pid = pid
        self._step(worker, "loading", now)
        return [
            Send(
                index,
                messages.Load(self._source, self.layers, self.extra_settings, self._settings, self.run.seed + index),
            )
        ]

    def worker_said(self, index: int, message: messages.FromWorker, now: float) -> list[Effect]:
        """A worker's message, other than events and metrics, which the shell takes itself."""
        worker = self._workers.get(index)
        if worker is None:
            return []
        match message:
            case messages.Report():
                return self._reported(worker, message)
            case messages.Dropped(number=number, count=count):
                return self._dropped(index, number, count)
            case messages.Done(step=step, data=data):
                return self._done(index, worker, step, data, now)
            case messages.Failed(step=step, error=error, traceback=trace):
                return self._step_failed(index, worker, step, error, trace, now)
        return []

    def worker_died(self, death: WorkerDeath, now: float) -> list[Effect]:
        """A worker's process has ended."""
        worker = self._workers.get(death.index)
        if worker is None:
            return []
        step = worker.step
        self._fold(worker)
        worker.step, worker.deadline = "dead", None
        if death.wanted or step == "done":
            return self._follow(now)
        text = f"worker {death.index} (pid {death.pid}) {death.cause}"
        if self._stopping:
            return [Emit("worker", "WARNING", f"{text} while stopping", death.index), *self._follow(now)]
        if not self._reached("init"):
            return self._fail(f"{text} during {_named(step)}")
        return self._replace(death.index, worker, text, now)

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
        taken = Taken(
            state=self.state,
            run_id=self.run.id if self.run is not None else None,
            phase=self._phase,
            error=self._error,
            data=self._data,
            counts=self.counts(),
            workers=[worker.figures for worker in self._workers.values()],
            ended=self._fresh_ended,
            dropped=self._fresh_dropped,
            errors=self._fresh_errors,
        )
        self._fresh_ended, self._fresh_dropped, self._fresh_errors = [], {}, []
        return taken

    def counts(self) -> Counts:
        """Users of this node by what they do. Who is nothing else is planned, so the sum is what was assigned."""
        counts = msgspec.structs.replace(self._base)
        for worker in self._workers.values():
            tally = worker.tally
            for name in ("running", "waiting", "leaving", *CUMULATIVE):
                setattr(counts, name, getattr(counts, name) + getattr(tally, name))
        others = ("running", "waiting", "leaving", "finished", "failed", "removed", "stopped", "stuck")
        counts.planned = max(0, self._plan.given - sum(getattr(counts, name) for name in others))
        return counts

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
        effects: list[Effect] = []
        if not self._reached("setup") and self._all("loaded"):
            if self._first and "setup" not in self._begun:
                self._begun.add("setup")
                return self._order([0], "setup", now)
            if not self._first:
                return self._finish("setup")
        if wanted == "init" and self._reached("setup") and "init" not in self._begun:
            self._begun.add("init")
            effects += self._order(self._workers, "init", now, self.desired.data)
        if wanted == "run" and self._reached("init"):
            if not self._reached("run"):
                self.state = "running"
                effects += self._finish("run")
            effects += self._follow_users(now)
        return effects

    def _follow_users(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        desired = self.desired
        ready = [index for index, worker in self._workers.items() if worker.step == "ready"]
        if desired.settings != self._settings:
            self._settings = desired.settings
            effects += [Send(index, messages.Change(self._settings)) for index in ready]
        stretch = self._plan.repace(desired.interval, now)
        if stretch is not None:
            effects += [Send(index, messages.Repace(*stretch)) for index in ready]
        assigned = desired.assigned.get(self.name, [])
        if len(assigned) > self._assignments:
            legs = self._plan.assign(assigned[self._assignments :], now)
            self._assignments = len(assigned)
            effects += [Send(i, messages.Legs(new)) for i, new in legs.items() if i in ready]
            self._lose_unservable(legs)
            effects.append(BeatNow())
        removals = desired.removed.get(self.name, [])
        for removal in removals[self._removals :]:
            effects += self._remove(removal.number, removal.ids, removal.force, ready)
        self._removals = len(removals)
        return effects

    def _remove(self, number: int, ids: list[IdRange], force: bool, ready: list[int]) -> list[Effect]:
        absent = 0
        for index, worker in self._workers.items():
            if worker.step != "ready":  # being replaced: its users only have to not start again
                absent += self._forget(index, ids)
        self._removed.update(ids)
        if not ready:
            self._fresh_dropped[number] = absent
            return [BeatNow()]
        self._drops[number] = (set(ready), absent, ids)
        return [Send(index, messages.Drop(number, ids, force)) for index in ready]

    def _forget(self, index: int, ids: list[IdRange]) -> int:
        """How many of the ids are the absent worker's and not ended; they count as removed from now on."""
        mine = [
            user_id
            for user_id in _each(ids)
            if user_id not in self._ended and any(leg.position(user_id) is not None for leg in self._plan.legs(index))
        ]
        self._base.removed += len(mine)
        self._ended.update(compress(mine))
        self._fresh_ended += compress(mine)
        return len(mine)

    def _follow_stop(self, wanted: str, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if not self._stopping:
            self._begun.add("stop")
            if self.state != "error":
                self.state = "terminating"
            ready = [i for i, w in self._workers.items() if w.step == "ready"]
            if not self.desired.force and ready and self._reached("init"):
                effects += self._order(ready, "stop", now)
                effects += [Kill(i) for i, w in self._workers.items() if w.step not in ("stop", "dead")]
        if self.desired.force or not self._reached("init"):
            if self._alive and "kill" not in self._begun and not self._reached("stop"):
                self._begun.add("kill")
                effects.append(KillAll())
            if not self._alive and not self._reached("stop"):
                effects += self._finish("stop")
        elif self._all("done") and not self._reached("stop"):
            effects += self._finish("stop")
        if PHASES.index(wanted) >= PHASES.index("teardown") and self._reached("stop"):
            effects += self._follow_teardown(wanted, now)
        return effects

    def _follow_teardown(self, wanted: str, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if "teardown" not in self._begun:
            self._begun.add("teardown")
            if self._first and 0 in self._alive and self._workers[0].step == "done":
                return self._order([0], "teardown", now, self.desired.data)
        teardown_runs = any(worker.step == "teardown" for worker in self._workers.values())
        if not teardown_runs and self._alive and "quit" not in self._begun:
            self._begun.add("quit")
            for index in self._alive:
                self._step(self._workers[index], "quit", now)
            effects.append(Quit())
        if not self._alive and not self._reached("teardown"):
            effects += self._finish("teardown")
        if wanted == "over" and self._reached("teardown") and not self._reached("over"):
            self.state = "error" if self._error is not None else "finished"
            effects += self._finish("over")
        return effects

    # What workers say

    def _reported(self, worker: _Worker, report: messages.Report) -> list[Effect]:
        worker.tally = report.tally
        figures = worker.figures
        figures.users = report.tally.running + report.tally.waiting + report.tally.leaving
        figures.rss, figures.lag_ms = report.rss, report.lag_ms
        if report.metrics:  # not one that the watchdog sent
            figures.cpu, figures.late_ms = report.cpu, report.late_ms
        self._ended.update(report.ended)
        self._fresh_ended += report.ended
        effects: list[Effect] = []
        for f in report.failures:
            self._fresh_errors.append(ErrorCount(*msgspec.structs.astuple(f)))
            if f.key not in self._seen_errors:
                self._seen_errors.add(f.key)
                text = f"user {f.first_user} failed: {f.text}\n{f.traceback.rstrip()}"
                effects.append(Emit("error", "ERROR", text, figures.index))
        return effects

    def _dropped(self, index: int, number: int, count: int) -> list[Effect]:
        open_drop = self._drops.get(number)
        if open_drop is None:
            return []
        waiting, so_far, ids = open_drop
        waiting.discard(index)
        self._drops[number] = (waiting, so_far + count, ids)
        if waiting:
            return []
        del self._drops[number]
        self._fresh_dropped[number] = so_far + count
        return [BeatNow()]

    def _done(self, index: int, worker: _Worker, step: str, data: Any, now: float) -> list[Effect]:
        match step:
            case "load":
                self._step(worker, "loaded", now)
                if self._reached("setup"):  # a replacement: it goes on to init by itself
                    return self._order([index], "init", now, self.desired.data)
            case "setup":
                self._step(worker, "loaded", now)
                self._data = data
                return [*self._finish("setup"), *self._follow(now)]
            case "init":
                self._step(worker, "ready", now)
                if self._reached("init"):
                    legs = self._plan.restart(index, now, self._gone)
                    return [Send(index, messages.Change(self._settings)), Send(index, messages.Legs(legs))]
                if self._all("ready"):
                    return [*self._finish("init"), *self._follow(now)]
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
        return [say, *self._fail(text)]

    # Workers that die

    def _replace(self, index: int, worker: _Worker, text: str, now: float) -> list[Effect]:
        for number, (waiting, _, ids) in list(self._drops.items()):
            if index in waiting:  # it died before it answered: its part counts as removed all the same
                self._dropped(index, number, self._forget(index, ids))
        worker.crashes = [at for at in worker.crashes if now - at < CRASH_WINDOW] + [now]
        if len(worker.crashes) > MOST_CRASHES:
            return self._give_up(index, text)
        started = self._plan.started(index, now, self._gone)
        self._base.restarted += started
        worker.figures.restarts += 1
        say = Emit(
            "worker",
            "ERROR",
            f"{text}: {started} users start again in a new one "
            f"(what it counted since its last report, up to 1 s, is lost)",
            index,
        )
        return [say, *self._spawn(index, now), BeatNow()]

    def _give_up(self, index: int, text: str) -> list[Effect]:
        lost = [i for leg in self._plan.legs(index) for i in _leg_ids(leg) if not self._gone(i)]
        self._base.failed += len(lost)
        self._ended.update(compress(lost))
        self._fresh_ended += compress(lost)
        reason = f"{text}, more than {MOST_CRASHES} times within {CRASH_WINDOW:.0f} s"
        if lost:
            self._fresh_errors.append(
                _error("WorkerLost", "worker", f"{reason}; its users are lost", count=len(lost), user=lost[0])
            )
        say = Emit("worker", "ERROR", f"{reason}; it is not replaced, {len(lost)} users are lost", index)
        if not self._alive:
            return [say, *self._fail(f"{reason}; no worker is left")]
        return [say, BeatNow()]

    def _lose_unservable(self, legs: Mapping[int, list[Leg]]) -> None:
        """Users given to a worker that is not replaced any more are lost, and counted so."""
        for index, new in legs.items():
            if self._workers[index].step == "dead" and len(self._workers[index].crashes) > MOST_CRASHES:
                lost = [i for leg in new for i in _leg_ids(leg)]
                self._base.failed += len(lost)
                self._ended.update(compress(lost))
                self._fresh_ended += compress(lost)
                self._fresh_errors.append(
                    _error("WorkerLost", "worker", f"worker {index} is gone", count=len(lost), user=lost[0])
                )

    # Small things

    @property
    def _first(self) -> bool:
        return self.run is not None and self.run.nodes[0] == self.name

    @property
    def _alive(self) -> list[int]:
        return [index for index, worker in self._workers.items() if worker.step != "dead"]

    def _gone(self, user_id: int) -> bool:
        return user_id in self._ended or user_id in self._removed

    def _all(self, step: str) -> bool:
        """Whether every worker that lives is at `step` (and there are some, or all are gone after a start)."""
        if self._source is None:
            return False
        steps = [worker.step for worker in self._workers.values() if worker.step != "dead"]
        return all(s == step for s in steps) and (bool(steps) or self._stopping)

    def _spawn(self, index: int, now: float) -> list[Effect]:
        self._step(self._workers[index], "spawning", now)
        return [Spawn(index)]

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

    def _fail(self, text: str) -> list[Effect]:
        if self._error is not None:
            return []
        self._error = text
        self.state = "error"
        return [Emit("run", "ERROR", text), BeatNow()]

    def _fold(self, worker: _Worker) -> None:
        """Keep the counts of a worker that is gone; what its users were doing is over."""
        tally, base = worker.tally, self._base
        for name in CUMULATIVE:
            setattr(base, name, getattr(base, name) + getattr(tally, name))
        base.removed += tally.leaving
        if self._stopping:
            base.stopped += tally.running + tally.waiting
        worker.tally = Tally()
        worker.figures.users = 0
        worker.figures.cpu = 0.0
        worker.figures.lag_ms = 0.0


def _each(ranges: Iterable[IdRange]) -> Iterable[int]:
    for ids in ranges:
        yield from ids


def _leg_ids(leg: Leg) -> range:
    return range(leg.first, leg.last + 1, leg.step)


def _named(step: str) -> str:
    return {"spawning": "its start", "loading": "loading the scenario", "stop": "ending its users"}.get(
        step, f"{step}()"
    )


def _error(kind: str, where: str, text: str, trace: str = "", *, count: int = 1, user: int = 0) -> ErrorCount:
    name = kind.partition(":")[0].rpartition(" ")[2]
    return ErrorCount(f"{where}:{text}", name, where, text, trace, user, count)
