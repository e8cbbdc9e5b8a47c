"""The node's state machine: the master's desired state and the workers' words in, effects out.

Pure: time comes in as `now` (monotonic seconds); every stimulus returns the effects that the shell
(`agent`) is to perform, in order. Applying the same desired state again has no effect. What follows from a stimulus
is in `course` (the desired phase), `replacing` (workers that die) and `losses` (users whose worker is gone); all of
them work on the node's `part`.

A node whose master has not answered for the run's lease ends its users, which are lost, and its workers. When
the master answers again the node takes up what is then wanted of it: it goes on in its seat with new workers and
without users, or, if its seat is gone, it leaves the run. Every stimulus looks at the lease first.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from amoc.control import Counts, Desired, ErrorCount, IdRange, Seat, WorkerFigures
from amoc.node.course import follow, spawn
from amoc.node.crew import BEGINNING, TIMEOUTS, Worker, named
from amoc.node.effects import BeatNow, Effect, Emit, FetchSource, Kill, Send, Spawn
from amoc.node.lease import GRACE
from amoc.node.losses import error_count, fail, kill
from amoc.node.part import Part
from amoc.node.replacing import ended_by
from amoc.scenario import Source
from amoc.worker import WorkerDeath, messages

__all__ = ["NodeState", "Taken"]

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


class NodeState(Part):
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
        super().__init__(name, workers, incarnation)
        self.layers = dict(layers)
        self.extra_settings = extra_settings

    # Stimuli

    def wants(self, desired: Desired, now: float, *, fresh: bool = False) -> list[Effect]:
        """The master's desired state is now this; `fresh`: it comes from a snapshot that was asked for just now."""
        effects = self._heed(now)
        self.desired = desired
        run, seat = desired.run, self.own_seat()
        if run is None or seat is None:
            return effects + self._leave(now)
        if self.run is None or self.run.id != run.id or self.seat != seat.number:
            effects += self._leave(now)
            if desired.phase == "over":
                return effects
            self.clear(run, seat)
            self.settings = self.own_settings()
            return [*effects, FetchSource(run.version), *follow(self, now)]
        # A snapshot that was asked for before a long sleep is as old as the sleep: the lease tells.
        self.fresh = self.lapsed and (self.fresh or (fresh and not self.lease.lapsed(now)))
        return effects + follow(self, now)

    def renewed(self, sent: float, now: float) -> list[Effect]:
        """The master has answered a request that was sent then."""
        effects = self._heed(now)
        self.heard = max(self.heard, sent)
        if self.lease.renew(sent) and self.run is not None and not self.lapsed:
            end = self.lease.end
            assert end is not None
            effects += [Send(index, messages.Lease(end)) for index in self.crew.processes]
        return effects

    def source_arrived(self, source: Source, now: float) -> list[Effect]:
        """The scenario's source is here: start the workers."""
        effects = self._heed(now)
        if self.run is None or source.version != self.run.version or self.source is not None or self.stopping:
            return effects
        self.source = source
        self.ledger.plan.interval = self.own_interval()
        return effects + (follow(self, now) if self.lapsed else spawn(self, now))

    def failed(self, text: str, now: float) -> list[Effect]:
        """The shell could not do what was asked of it: there is no source, or an error inside."""
        return fail(self, text, now, alone=True)

    def superseded(self, now: float) -> list[Effect]:
        """Another incarnation has this node's name: whatever runs here ends at once."""
        effects = kill(self, self.crew.alive, now)
        self.clear(None, Seat("", 0))
        return effects

    def worker_up(self, index: int, pid: int, now: float) -> list[Effect]:
        """Worker `index` is a process now: let it load the scenario."""
        effects = self._heed(now)
        worker = self.crew.get(index)
        if worker is None or self.source is None or self.run is None:
            return [*effects, Kill(index)]
        worker.figures.pid = pid
        if worker.step != "spawning":  # it has become needless meanwhile
            return [*effects, Kill(index)]
        worker.go("loading", now)
        seed = self.run.seed + index
        load = messages.Load(self.source, self.layers, self.extra_settings, self.settings, seed, self.lease.end)
        return [*effects, Send(index, load)]

    def worker_not_up(self, index: int, reason: str, now: float) -> list[Effect]:
        """Worker `index` could not be started."""
        effects = self._heed(now)
        worker = self.crew.get(index)
        if worker is None:
            return effects
        return effects + ended_by(self, index, worker, f"worker {index} cannot be started: {reason}", now, up=False)

    def worker_said(self, index: int, message: messages.FromWorker, now: float) -> list[Effect]:
        """A worker's message, other than events, which the shell takes itself."""
        effects = self._heed(now)
        worker = self.crew.get(index)
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
        worker = self.crew.get(death.index)
        if worker is None or worker.figures.pid != death.pid:  # of a run before this one
            return effects
        if death.wanted:
            worker.step = "quit"
        text = f"worker {death.index} (pid {death.pid}) {death.cause}"
        return effects + ended_by(self, death.index, worker, text, now)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: steps that take too long are ended, pauses are over."""
        effects = self._heed(now)
        for index, worker in self.crew.due(now):
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
                self.fresh_errors.append(error_count("TimeoutError", step, text))
            elif step in BEGINNING and not self.reached("init"):
                effects += fail(self, text, now, alone=step in ("spawning", "loading"))
        return effects

    def take(self) -> Taken:
        """What the next beat says."""
        ended, released, dropped = self.ledger.take()
        shown = self.crew.shown()
        taken = Taken(
            state=self.state,
            run_id=self.run.id if self.run is not None else None,
            seat=self.seat,
            phase=self.phase,
            led=self.led,
            error=self.error,
            alone=self.alone,
            data=self.data,
            counts=self.counts(),
            shown=None if shown is None else self.ledger.counts(shown, over=self.reached("stop")),
            workers=self.crew.figures(),
            metrics=self.gathered.take(),
            ended=ended,
            released=released,
            dropped=dropped,
            errors=self.fresh_errors,
        )
        self.fresh_errors = []
        return taken

    def counts(self) -> Counts:
        """Users of this node by what they do, as reported; the sum is what was assigned."""
        return self.ledger.counts(self.crew.tallies(), over=self.reached("stop"))

    @property
    def stale(self) -> bool:
        """Whether the lease was over and what the master wants now is not known: a snapshot is needed."""
        return self.lapsed and not self.fresh and not self.stopping

    # The lease

    def _heed(self, now: float) -> list[Effect]:
        """End the users if the master has not answered for too long."""
        if self.lapsed and self.lease.lapsed(now):
            self.fresh = False
        if self.run is None or self.lapsed or self.error is not None or self.stopping:
            return []
        if not self.lease.lapsed(now):
            return []
        self.lapsed = True
        self.state = "terminating"
        text = f"no answer from the master for {self.lease.length:.0f} s: the users are ended"
        effects: list[Effect] = [Emit("node", "WARNING", text)]
        gentle = [] if self.lease.expired(now) else self.crew.at("ready")
        effects += self.crew.order(gentle, "stop", now, within=GRACE)
        return effects + kill(self, [i for i in self.crew.alive if i not in gentle], now) + follow(self, now)

    def _leave(self, now: float) -> list[Effect]:
        """This node has no part in the run that it was in."""
        if self.run is None:
            return []
        effects: list[Effect] = []
        if self.desired.run is not None and self.desired.run.id == self.run.id:
            effects.append(Emit("node", "WARNING", "its users are ended here: the master has given them up"))
        effects += kill(self, self.crew.alive, now)
        self.clear(None, Seat("", 0))
        return effects

    # What workers say

    def _reported(self, index: int, worker: Worker, report: messages.Report) -> list[Effect]:
        if not worker.report(report):
            return []
        if report.metrics:
            self.gathered.add(index, report.metrics)
        self.ledger.end(report.ended)
        if report.released:
            self.ledger.release(report.released)
        effects: list[Effect] = [BeatNow()] if report.released else []
        for f in report.failures:
            self.fresh_errors.append(ErrorCount(*msgspec.structs.astuple(f)))
            if f.key not in self.seen_errors:
                self.seen_errors.add(f.key)
                text = f"user {f.first_user} failed: {f.text}\n{f.traceback.rstrip()}"
                effects.append(Emit("error", "ERROR", text, worker.figures.index))
        for number, dropped in report.dropped.items():
            if self.ledger.dropped(index, number, dropped):
                effects.append(BeatNow())
        return effects

    def _done(self, index: int, worker: Worker, step: str, data: Any, now: float) -> list[Effect]:
        match step:
            case "load":
                worker.go("loaded", now)
                if self.reached("setup") and "init" in self.begun:  # a replacement: it goes on to init by itself
                    return self.crew.order([index], "init", now, self.desired.data)
            case "setup":
                worker.go("loaded", now)
                self.data, self.led = data, True
                return follow(self, now) or [BeatNow()]
            case "init":
                worker.go("ready", now)
                if self.reached("init"):
                    legs = self.ledger.restart(index, now)
                    return [Send(index, messages.Change(self.settings)), Send(index, messages.Legs(legs))]
            case "stop":
                return self.crew.order([index], "terminate", now)
            case "terminate" | "teardown":
                worker.go("done", now)
        return follow(self, now)

    def _step_failed(self, index: int, worker: Worker, step: str, error: str, trace: str, now: float) -> list[Effect]:
        text = f"worker {index}: {error}"
        say = Emit("error", "ERROR", f"{text}\n{trace.rstrip()}" if trace else text, index)
        if step in ("terminate", "teardown"):
            self.fresh_errors.append(error_count(error, step, error, trace))
            worker.go("done", now)
            return [say, *follow(self, now)]
        if self.reached("init"):  # a replacement that does not come up: as if it had died
            return [say, Kill(index)]
        worker.go("failed", now)
        return [say, *fail(self, text, now, said=True)]
