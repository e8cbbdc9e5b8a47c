"""The node's state machine: the master's desired state and the workers' words in, effects out.

Pure: time comes in as `now` (monotonic seconds); every stimulus returns the effects that the shell
(`agent`) is to perform, in order. Applying the same desired state again has no effect.

A worker that dies before the node is ready fails the run. One that dies later is replaced under its own
index, and its users start again under their own ids at the worker's own pace; after `MOST_CRASHES` deaths
within `CRASH_WINDOW` it is given up, and its users are counted as failed.

A node whose master has not answered for the run's lease ends its users, which are lost, and its workers. When
the master answers again the node takes up what is then wanted of it: it goes on in its seat with new workers and
without users, or, if its seat is gone, it leaves the run. Every stimulus looks at the lease first.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from amoc.control import Counts, Desired, ErrorCount, IdRange, Run, Seat, WorkerFigures, not_before
from amoc.node.crew import BEGINNING, TIMEOUTS, Crew, Worker, named
from amoc.node.effects import BeatNow, Effect, Emit, FetchSource, Kill, Quit, Send, Spawn
from amoc.node.gather import Gathered
from amoc.node.lease import GRACE, Lease
from amoc.node.ledger import Ledger
from amoc.scenario import Source
from amoc.worker import WorkerDeath, messages
from amoc.worker.messages import Leg, Tally

__all__ = ["NodeState", "Taken"]

MOST_CRASHES = 3
CRASH_WINDOW = 60.0
PAUSE = 1.0  # seconds, times the crashes so far, before a replacement that could not be started is tried again

MESSAGE = {"load": "loading"}  # what a worker calls otherwise than its step is called here


class Taken(msgspec.Struct):
    """What is to go into the next beat; what is counted since the last one is handed out once."""

    state: str
    run_id: str | None
    seat: int
    phase: str | None
    led: bool
    error: str | None
    alone: bool
    data: Any
    counts: Counts
    shown: Counts | None
    workers: list[WorkerFigures]
    metrics: bytes
    ended: list[IdRange]
    released: list[IdRange]
    dropped: dict[int, int]
    errors: list[ErrorCount]


class NodeState:
    """State of node `name` with `workers` workers.

    `layers`: arguments of `config.Config` for the workers; `extra_settings`: modules that declare settings.
    `incarnation` is of this process of the node; a seat of another one is not its own.
    """

    def __init__(
        self,
        name: str,
        workers: int,
        layers: Mapping[str, Any],
        extra_settings: tuple[str, ...] = (),
        incarnation: str = "",
    ) -> None:
        self.name = name
        self.size = workers
        self.layers = dict(layers)
        self.extra_settings = extra_settings
        self.incarnation = incarnation
        self.desired = Desired()
        self.run: Run | None = None
        self._heard = 0.0
        self._clear(None, Seat("", 0))

    def __repr__(self) -> str:
        return f"<NodeState {self.name} {self.state} {self._crew}>"

    def _clear(self, run: Run | None, seat: Seat) -> None:
        """Take part in a run, in that seat; or in none."""
        self.run = run
        self.state = "idle" if run is None else "starting"
        self.lapsed = False
        self._seat = seat.number
        self._lease = Lease(None if run is None else run.lease, self._heard)
        self._fresh = False
        self._source: Source | None = None
        self._phase: str | None = None
        self._error: str | None = None
        self._alone = False
        self._led = False
        self._data: Any = None
        self._crew = Crew()
        self._gathered = Gathered()
        self._ledger = Ledger(self.size, 0.0)
        self._settings: dict[str, Any] = {}
        self._granted = 0
        self._removals = 0
        self._fresh_errors: list[ErrorCount] = []
        self._begun: set[str] = set()
        self._seen_errors: set[str] = set()

    # Stimuli

    def wants(self, desired: Desired, now: float, *, fresh: bool = False) -> list[Effect]:
        """The master's desired state is now this; `fresh`: it comes from a snapshot that was asked for just now."""
        effects = self._heed(now)
        self.desired = desired
        run, seat = desired.run, self._own_seat()
        if run is None or seat is None:
            return effects + self._leave(now)
        if self.run is None or self.run.id != run.id or self._seat != seat.number:
            effects += self._leave(now)
            if desired.phase == "over":
                return effects
            self._clear(run, seat)
            self._settings = self._own_settings()
            return [*effects, FetchSource(run.version), *self._follow(now)]
        # A snapshot that was asked for before a long sleep is as old as the sleep: the lease tells.
        self._fresh = self.lapsed and (self._fresh or (fresh and not self._lease.lapsed(now)))
        return effects + self._follow(now)

    def renewed(self, sent: float, now: float) -> list[Effect]:
        """The master has answered a request that was sent then."""
        effects = self._heed(now)
        self._heard = max(self._heard, sent)
        if self._lease.renew(sent) and self.run is not None and not self.lapsed:
            end = self._lease.end
            assert end is not None
            effects += [Send(index, messages.Lease(end)) for index in self._crew.processes]
        return effects

    def source_arrived(self, source: Source, now: float) -> list[Effect]:
        """The scenario's source is here: start the workers."""
        effects = self._heed(now)
        if self.run is None or source.version != self.run.version or self._source is not None or self._stopping:
            return effects
        self._source = source
        self._ledger.plan.interval = self._own_interval()
        return effects + (self._follow(now) if self.lapsed else self._spawn(now))

    def failed(self, text: str, now: float) -> list[Effect]:
        """The shell could not do what was asked of it: there is no source, or an error inside."""
        return self._fail(text, now, alone=True)

    def superseded(self, now: float) -> list[Effect]:
        """Another incarnation has this node's name: whatever runs here ends at once."""
        effects = self._kill(self._crew.alive, now)
        self._clear(None, Seat("", 0))
        return effects

    def worker_up(self, index: int, pid: int, now: float) -> list[Effect]:
        """Worker `index` is a process now: let it load the scenario."""
        effects = self._heed(now)
        worker = self._crew.get(index)
        if worker is None or self._source is None or self.run is None:
            return [*effects, Kill(index)]
        worker.figures.pid = pid
        if worker.step != "spawning":  # it has become needless meanwhile
            return [*effects, Kill(index)]
        worker.go("loading", now)
        seed = self.run.seed + index
        load = messages.Load(self._source, self.layers, self.extra_settings, self._settings, seed, self._lease.end)
        return [*effects, Send(index, load)]

    def worker_not_up(self, index: int, reason: str, now: float) -> list[Effect]:
        """Worker `index` could not be started."""
        effects = self._heed(now)
        worker = self._crew.get(index)
        if worker is None:
            return effects
        return effects + self._ended_by(index, worker, f"worker {index} cannot be started: {reason}", now, up=False)

    def worker_said(self, index: int, message: messages.FromWorker, now: float) -> list[Effect]:
        """A worker's message, other than events, which the shell takes itself."""
        effects = self._heed(now)
        worker = self._crew.get(index)
        if worker is None:
            return effects
        match message:
            case messages.Report():
                effects += self._reported(index, worker, message)
            case messages.HeldUp():
                worker.show(message)
            case messages.Done(step=step, data=data) if worker.step == MESSAGE.get(step, step):
                effects += self._done(index, worker, step, data, now)
            case messages.Failed(step=step, error=error, traceback=trace) if worker.step == MESSAGE.get(step, step):
                effects += self._step_failed(index, worker, step, error, trace, now)
        return effects

    def worker_died(self, death: WorkerDeath, now: float) -> list[Effect]:
        """A worker's process has ended."""
        effects = self._heed(now)
        worker = self._crew.get(death.index)
        if worker is None or worker.figures.pid != death.pid:  # of a run before this one
            return effects
        if death.wanted:
            worker.step = "quit"
        text = f"worker {death.index} (pid {death.pid}) {death.cause}"
        return effects + self._ended_by(death.index, worker, text, now)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: steps that take too long are ended, pauses are over."""
        effects = self._heed(now)
        for index, worker in self._crew.due(now):
            step = worker.step
            if step == "pausing":
                worker.go("spawning", now)
                effects.append(Spawn(index))
                continue
            text = f"worker {index}: {named(step)} did not end within {TIMEOUTS[step]:.0f} s"
            if not self.lapsed:
                effects.append(Emit("worker", "ERROR", f"{text}; it is killed", index))
            effects.append(Kill(index))
            if step in ("terminate", "teardown"):
                self._fresh_errors.append(_error("TimeoutError", step, text))
            elif step in BEGINNING and not self._reached("init"):
                effects += self._fail(text, now, alone=step in ("spawning", "loading"))
        return effects

    def take(self) -> Taken:
        """What the next beat says."""
        ended, released, dropped = self._ledger.take()
        shown = self._crew.shown()
        taken = Taken(
            state=self.state,
            run_id=self.run.id if self.run is not None else None,
            seat=self._seat,
            phase=self._phase,
            led=self._led,
            error=self._error,
            alone=self._alone,
            data=self._data,
            counts=self.counts(),
            shown=None if shown is None else self._ledger.counts(shown, over=self._reached("stop")),
            workers=self._crew.figures(),
            metrics=self._gathered.take(),
            ended=ended,
            released=released,
            dropped=dropped,
            errors=self._fresh_errors,
        )
        self._fresh_errors = []
        return taken

    def counts(self) -> Counts:
        """Users of this node by what they do, as reported; the sum is what was assigned."""
        return self._ledger.counts(self._crew.tallies(), over=self._reached("stop"))

    @property
    def stale(self) -> bool:
        """Whether the lease was over and what the master wants now is not known: a snapshot is needed."""
        return self.lapsed and not self._fresh and not self._stopping

    # The lease

    def _heed(self, now: float) -> list[Effect]:
        """End the users if the master has not answered for too long."""
        if self.lapsed and self._lease.lapsed(now):
            self._fresh = False
        if self.run is None or self.lapsed or self._error is not None or self._stopping:
            return []
        if not self._lease.lapsed(now):
            return []
        self.lapsed = True
        self.state = "terminating"
        text = f"no answer from the master for {self._lease.length:.0f} s: the users are ended"
        effects: list[Effect] = [Emit("node", "WARNING", text)]
        gentle = [] if self._lease.expired(now) else self._crew.at("ready")
        effects += self._crew.order(gentle, "stop", now, within=GRACE)
        return effects + self._kill([i for i in self._crew.alive if i not in gentle], now) + self._follow(now)

    def _follow_lapse(self, now: float) -> list[Effect]:
        """Once the workers are gone and the master is back: go on in the same seat, with new ones."""
        alive = self._crew.alive
        if alive:
            return self._quit(now) if all(self._crew[i].step == "done" for i in alive) else []
        if not self._fresh or self._lease.lapsed(now) or self.run is None:
            return []
        self.lapsed = self._fresh = False
        self.state = "starting"
        self._phase = None
        self._begun = {"setup"} if self._led else set()  # what setup() made is there
        return [FetchSource(self.run.version)] if self._source is None else self._spawn(now)

    def _leave(self, now: float) -> list[Effect]:
        """This node has no part in the run that it was in."""
        if self.run is None:
            return []
        effects: list[Effect] = []
        if self.desired.run is not None and self.desired.run.id == self.run.id:
            effects.append(Emit("node", "WARNING", "its users are ended here: the master has given them up"))
        effects += self._kill(self._crew.alive, now)
        self._clear(None, Seat("", 0))
        return effects

    # Following the desired state

    def _own_seat(self) -> Seat | None:
        seat = self.desired.seats.get(self.name)
        return seat if seat is not None and seat.incarnation == self.incarnation else None

    def _own_settings(self) -> dict[str, Any]:
        seat = self._own_seat()
        own = seat.own if seat is not None else None
        return self.desired.settings if own is None else {**self.desired.settings, **own.settings}

    def _own_interval(self) -> float:
        seat = self._own_seat()
        own = seat.own.interval if seat is not None and seat.own is not None else None
        return self.desired.interval if own is None else own

    @property
    def _stopping(self) -> bool:
        return "stop" in self._begun

    @property
    def _leads(self) -> bool:
        return self.desired.leader == self.name

    def _reached(self, phase: str) -> bool:
        return self._phase is not None and not_before(self._phase, phase)

    def _spawn(self, now: float) -> list[Effect]:
        for index in range(self.size):
            self._crew.add(index, now)
        return [Spawn(index) for index in range(self.size)]

    def _follow(self, now: float) -> list[Effect]:
        """Do what the desired phase asks for and is not done yet."""
        wanted = self.desired.phase
        if not_before(wanted, "stop"):
            return self._follow_stop(wanted, now)
        if self.lapsed:
            return self._follow_lapse(now)
        if self._error is not None:  # whom the master gives us before it knows never starts
            for index in self._take_granted(now):
                self._lose(index, self._error)
            return []
        effects: list[Effect] = []
        if wanted == "setup" and self._leads and "setup" not in self._begun and self._crew.all("loaded"):
            self._begun.add("setup")
            return self._crew.order(self._crew.alive[:1], "setup", now)
        if not self._reached("setup") and self._crew.all("loaded"):
            effects += self._finish("setup")
        ready = self._reached("setup") and self._crew.all("loaded")
        if not_before(wanted, "init") and ready and "init" not in self._begun:
            self._begun.add("init")
            effects += self._crew.order(self._crew.at("loaded"), "init", now, self.desired.data)
        if not self._reached("init") and self._crew.all("ready"):
            effects += self._finish("init")
        if wanted == "run" and self._reached("init"):
            if not self._reached("run"):
                self.state = "running"
                effects += self._finish("run")
            effects += self._follow_users(now)
        return effects

    def _follow_users(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        ready = self._crew.at("ready")
        settings = self._own_settings()
        if settings != self._settings:
            self._settings = settings
            effects += [Send(index, messages.Change(settings)) for index in ready]
        stretch = self._ledger.plan.repace(self._own_interval(), now)
        if stretch is not None:
            effects += [Send(index, messages.Repace(*stretch)) for index in ready]
        legs = self._take_granted(now)
        if legs:
            effects += [Send(i, messages.Legs(new)) for i, new in legs.items() if i in ready]
            for index in legs:
                if self._crew[index].step == "dead":
                    self._lose(index, f"worker {index} is gone; its users are lost")
            effects.append(BeatNow())
        seat = self._own_seat()
        for removal in seat.removed if seat is not None else ():
            if removal.number <= self._removals:
                continue
            self._removals = removal.number
            drop = messages.Drop(removal.number, removal.ids, removal.force, removal.moved)
            effects += [Send(index, drop) for index in ready]
            if removal.moved:
                self._ledger.move(removal.ids, ready)
            elif self._ledger.remove(removal.number, removal.ids, ready):
                effects.append(BeatNow())
        return effects

    def _take_granted(self, now: float) -> dict[int, list[Leg]]:
        """Plan the ids given since the last call, so that they count; their legs by worker."""
        new: dict[int, list[Leg]] = {}
        seat = self._own_seat()
        for grant in seat.grants if seat is not None else ():
            if grant.number > self._granted:
                self._granted = grant.number
                for index, legs in self._ledger.assign(grant.ids, now).items():
                    new.setdefault(index, []).extend(legs)
        return new

    def _follow_stop(self, wanted: str, now: float) -> list[Effect]:
        effects: list[Effect] = []
        self._take_granted(now)  # a snapshot may bring users and the stop at once
        force = self.desired.force
        if not self._stopping:
            self._begun.add("stop")
            if self.state != "error":
                self.state = "terminating"
            if not force and self._reached("init"):
                effects += self._crew.order(self._crew.at("ready"), "stop", now)
            elif not force and self._leads and self._reached("setup"):
                # what setup() made is taken down even if init() failed, by a worker that is not busy with it
                for index in self._crew.at("loaded", "ready", "failed")[:1]:
                    self._crew[index].go("done", now)
        ending = () if force else ("stop", "terminate", "done", "teardown")
        effects += self._kill([i for i in self._crew.alive if self._crew[i].step not in ending], now)
        if not self._reached("stop") and all(self._crew[i].step == "done" for i in self._crew.alive):
            effects += self._finish("stop")
        if not_before(wanted, "teardown") and self._reached("stop"):
            effects += self._follow_teardown(wanted, now)
        return effects

    def _follow_teardown(self, wanted: str, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if "teardown" not in self._begun:
            self._begun.add("teardown")
            if self._leads and (done := self._crew.at("done")):
                data = self.desired.data if self._data is None else self._data
                return self._crew.order(done[:1], "teardown", now, data)
        if not self._crew.at("teardown"):
            effects += self._quit(now)
        if not self._crew.alive and not self._reached("teardown"):
            effects += self._finish("teardown")
        if wanted == "over" and self._reached("teardown") and not self._reached("over"):
            self.state = "error" if self._error is not None else "finished"
            effects += self._finish("over")
        return effects

    # What workers say

    def _reported(self, index: int, worker: Worker, report: messages.Report) -> list[Effect]:
        if not worker.report(report):
            return []
        if report.metrics:
            self._gathered.add(index, report.metrics)
        self._ledger.end(report.ended)
        if report.released:
            self._ledger.release(report.released)
        effects: list[Effect] = [BeatNow()] if report.released else []
        for f in report.failures:
            self._fresh_errors.append(ErrorCount(*msgspec.structs.astuple(f)))
            if f.key not in self._seen_errors:
                self._seen_errors.add(f.key)
                text = f"user {f.first_user} failed: {f.text}\n{f.traceback.rstrip()}"
                effects.append(Emit("error", "ERROR", text, worker.figures.index))
        for number, dropped in report.dropped.items():
            if self._ledger.dropped(index, number, dropped):
                effects.append(BeatNow())
        return effects

    def _done(self, index: int, worker: Worker, step: str, data: Any, now: float) -> list[Effect]:
        match step:
            case "load":
                worker.go("loaded", now)
                if self._reached("setup") and "init" in self._begun:  # a replacement: it goes on to init by itself
                    return self._crew.order([index], "init", now, self.desired.data)
            case "setup":
                worker.go("loaded", now)
                self._data, self._led = data, True
                return self._follow(now) or [BeatNow()]
            case "init":
                worker.go("ready", now)
                if self._reached("init"):
                    legs = self._ledger.restart(index, now)
                    return [Send(index, messages.Change(self._settings)), Send(index, messages.Legs(legs))]
            case "stop":
                return self._crew.order([index], "terminate", now)
            case "terminate" | "teardown":
                worker.go("done", now)
        return self._follow(now)

    def _step_failed(self, index: int, worker: Worker, step: str, error: str, trace: str, now: float) -> list[Effect]:
        text = f"worker {index}: {error}"
        say = Emit("error", "ERROR", f"{text}\n{trace.rstrip()}" if trace else text, index)
        if step in ("terminate", "teardown"):
            self._fresh_errors.append(_error(error, step, error, trace))
            worker.go("done", now)
            return [say, *self._follow(now)]
        if self._reached("init"):  # a replacement that does not come up: as if it had died
            return [say, Kill(index)]
        worker.go("failed", now)
        return [say, *self._fail(text, now, said=True)]

    # Workers that die

    def _ended_by(self, index: int, worker: Worker, text: str, now: float, *, up: bool = True) -> list[Effect]:
        """A worker is no more; `text` says why, `up` whether it was there at all."""
        step = worker.step
        self._fold(index, worker)
        worker.go("dead", now)
        if self._stopping:
            said = step in ("done", "quit")
            return [*([] if said else [Emit("worker", "WARNING", f"{text} while stopping", index)]), *self._follow(now)]
        if self.lapsed or self._error is not None or step in ("done", "quit"):
            return self._follow(now)
        if not self._reached("init"):
            during = text if step == "spawning" else f"{text} during {named(step)}"
            return self._fail(during, now, alone=step in ("spawning", "loading"))
        return self._replace(index, worker, step, text, now, up)

    def _replace(self, index: int, worker: Worker, step: str, text: str, now: float, up: bool) -> list[Effect]:
        effects: list[Effect] = [BeatNow()] if self._ledger.bury(index) else []
        worker.crashes = [at for at in worker.crashes if now - at < CRASH_WINDOW] + [now]
        if len(worker.crashes) > MOST_CRASHES:
            return effects + self._give_up(index, text, now)
        worker.figures.restarts += 1
        if step == "ready":
            text += (
                f": {self._ledger.restarting(index, now)} users start again in a new one "
                f"(what it counted since its last report, up to 1 s, is lost)"
            )
        else:
            text += ", as the replacement of another; it is tried again"
        say = Emit("worker", "ERROR", text, index)
        if not up:
            worker.go("pausing", now, within=PAUSE * len(worker.crashes))
            return [*effects, say, BeatNow()]
        worker.go("spawning", now)
        return [*effects, say, Spawn(index), BeatNow()]

    def _give_up(self, index: int, text: str, now: float) -> list[Effect]:
        reason = f"{text}, more than {MOST_CRASHES} times within {CRASH_WINDOW:.0f} s"
        lost = self._lose(index, f"{reason}; its users are lost")
        say = Emit("worker", "ERROR", f"{reason}; it is not replaced, {lost} users are lost", index)
        if not self._crew.alive:
            return [say, *self._fail(f"{reason}; no worker is left", now, alone=True)]
        return [say, BeatNow()]

    def _lose(self, index: int, reason: str) -> int:
        """The users of a worker that is not replaced have failed; returns how many they are."""
        lost = self._ledger.give_up(index)
        if lost:
            self._fresh_errors.append(_error("WorkerLost", "worker", reason, count=len(lost), user=lost[0]))
        return len(lost)

    def _fold(self, index: int, worker: Worker) -> None:
        """Keep the counts of a worker that is gone; what its users were doing is over."""
        self._gathered.forget(index)
        tally, shown = worker.fold()
        # A user whose end was not reported starts again, except when nobody starts any more.
        self._ledger.fold(shown if self._stopping else tally, stopping=self._stopping)
        if not self._stopping:
            self._end_users(index, tally)

    def _end_users(self, index: int, tally: Tally) -> None:
        """The worker is gone and nobody takes its place: what becomes of its users."""
        if self.lapsed:
            self._ledger.bury(index)
            self._ledger.lose(index, tally)
        elif self._error is not None:
            self._ledger.bury(index)
            self._lose(index, self._error)

    # Small things

    def _kill(self, indices: list[int], now: float) -> list[Effect]:
        effects = self._crew.kill(indices, now)
        if not self._stopping:
            for index in indices:
                if self._crew[index].step == "dead":  # it had no process: nothing more will be heard of it
                    self._end_users(index, Tally())
        return effects

    def _quit(self, now: float) -> list[Effect]:
        """Let workers that are done with everything end by themselves."""
        done = self._crew.at("done")
        for index in done:
            self._crew[index].go("quit", now)
        return [Quit()] if done else []

    def _finish(self, phase: str) -> list[Effect]:
        self._phase = phase
        return [BeatNow()]

    def _fail(self, text: str, now: float, *, alone: bool = False, said: bool = False) -> list[Effect]:
        """This node cannot go on; `alone`: others may; `said`: people know already."""
        if self._error is not None:
            return []
        self._error, self._alone = text, alone
        self.state = "error"
        effects: list[Effect] = [BeatNow()] if said else [Emit("run", "ERROR", text), BeatNow()]
        if alone or self._reached("init"):
            effects += self._kill(self._crew.alive, now)
        return effects


def _error(kind: str, where: str, text: str, trace: str = "", *, count: int = 1, user: int = 0) -> ErrorCount:
    name = kind.partition(":")[0].rpartition(" ")[2]
    return ErrorCount(f"{where}:{text}", name, where, text, trace, user, count)
