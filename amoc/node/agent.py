"""The slave's agent: hears commands, keeps the workers, beats once a second.

A thin shell around `state`: it turns commands, worker messages, deaths and time into stimuli and performs the
effects. Shutdown order: beats stop, workers are killed and waited for.
"""

import asyncio
import os
import time
import uuid
from collections.abc import Coroutine
from typing import Any

from amoc.control import (
    PROTOCOL,
    Beat,
    BeatReply,
    Command,
    Desired,
    Event,
    Fetch,
    Fetched,
    Hello,
    NodeBus,
    Refused,
    Reply,
    Snapshot,
    SnapshotReply,
    apply,
)
from amoc.errors import Failed
from amoc.node.effects import BeatNow, Effect, Emit, FetchSource, Kill, Quit, Send, Spawn
from amoc.node.gather import Gathered
from amoc.node.state import NodeState
from amoc.scenario import Source
from amoc.worker import Pool, WorkerDeath, messages

__all__ = ["Agent"]

BEAT = 1.0  # seconds between two beats
TICK = 0.25  # seconds between two looks at the deadlines
MOST_EVENTS = 1000  # waiting for the next beat; more log lines than this in a second are counted, not sent


class Agent:
    """The agent of one node. `state` is the pure machine; `bus` leads to the master."""

    def __init__(self, state: NodeState, bus: NodeBus, version: str, address: str = "") -> None:
        self._address = address
        self.state = state
        self._bus = bus
        self._version = version
        self._incarnation = uuid.uuid4().hex
        self._pool = Pool(self._worker_said, self._worker_died)
        self._gathered = Gathered()
        self._events: list[Event] = []
        self._left_out = 0
        self._seq = 0
        self._unanswered: Beat | None = None
        self._beat_now = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Agent {self.state.name} {self._pool}>"

    async def start(self) -> None:
        """Register with the master and begin to beat. Raises Failed when the master refuses this node."""
        hello = Hello(self.state.name, self._incarnation, PROTOCOL, self._version, os.cpu_count() or 1, self._address)
        reply = await self._bus.request(hello)
        if isinstance(reply, Refused):
            raise Failed(f"the master refuses node {self.state.name}: {reply.reason}")
        self._bus.listen(self._heard)
        await self._take_snapshot()
        self._spawn_task(self._beats())
        self._spawn_task(self._ticks())

    async def close(self) -> None:
        """Stop beating, end all workers, wait until they are gone."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.close()

    # Stimuli

    def _heard(self, command: Command) -> None:
        try:
            desired = apply(self.state.desired, command)
        except ValueError:  # a gap: some command was lost on the way
            self._spawn_task(self._take_snapshot())
            return
        self._wants(desired)

    def _wants(self, desired: Desired) -> None:
        self._perform(self.state.wants(desired, time.monotonic()))
        self._beat_now.set()

    async def _take_snapshot(self) -> None:
        reply = await self._bus.request(Snapshot(self.state.name, self._incarnation))
        if isinstance(reply, SnapshotReply) and reply.desired.number >= self.state.desired.number:
            self._wants(reply.desired)

    def _worker_said(self, index: int, message: messages.FromWorker) -> None:
        if isinstance(message, messages.Happened):
            message.event.node = self.state.name
            self._event(message.event)
            return
        if isinstance(message, messages.Report) and message.metrics:
            self._gathered.add(index, message.metrics)
        self._perform(self.state.worker_said(index, message, time.monotonic()))

    def _worker_died(self, death: WorkerDeath) -> None:
        self._gathered.forget(death.index)
        self._perform(self.state.worker_died(death, time.monotonic()))

    # Effects

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(index, message):
                    self._pool.send(index, message)
                case Spawn(index):
                    self._spawn_task(self._start_worker(index))
                case Kill(index):
                    self._pool.kill(index)
                case Quit():
                    self._pool.quit()
                case FetchSource(version):
                    self._spawn_task(self._fetch(version))
                case Emit(event, level, text, worker):
                    self._event(Event(event, time.time(), level, text, self.state.name, worker))
                case BeatNow():
                    self._beat_now.set()

    async def _start_worker(self, index: int) -> None:
        try:
            pid = await self._pool.spawn(index)
        except OSError as error:
            self._perform(self.state.worker_not_up(index, str(error), time.monotonic()))
        else:
            self._perform(self.state.worker_up(index, pid, time.monotonic()))

    async def _fetch(self, version: str) -> None:
        reply = await self._bus.request(Fetch(self.state.name, self._incarnation, version))
        if isinstance(reply, Fetched):
            source = Source(name=reply.name, text=reply.text, path=reply.path, version=reply.version)
            self._perform(self.state.source_arrived(source, time.monotonic()))
        else:
            reason = reply.reason if isinstance(reply, Refused) else "no answer"
            self._perform(self.state.failed(f"the scenario's source could not be fetched: {reason}"))

    def _event(self, event: Event) -> None:
        if len(self._events) >= MOST_EVENTS and event.event == "log":
            self._left_out += 1
            return
        self._events.append(event)
        if len(self._events) == 1:  # people read these: a tenth of a second is soon enough
            asyncio.get_running_loop().call_later(0.1, self._beat_now.set)

    # Beats

    async def _beats(self) -> None:
        while True:
            self._beat_now.clear()
            await self._beat()
            try:
                async with asyncio.timeout(BEAT):  # not wait_for: before 3.12 it may swallow a cancellation
                    await self._beat_now.wait()
            except TimeoutError:
                pass

    async def _beat(self) -> None:
        """Send what is new. An unanswered beat is sent again as it was, before anything newer."""
        beat = self._unanswered or self._next_beat()
        self._unanswered = beat
        try:
            reply: Reply = await self._bus.request(beat)
            self._unanswered = None
            if isinstance(reply, BeatReply) and reply.number > self.state.desired.number:
                await self._take_snapshot()
        except TimeoutError:  # the next beat tries again
            pass

    def _next_beat(self) -> Beat:
        self._seq += 1
        taken = self.state.take()
        events, self._events = self._events, []
        if self._left_out:
            text = f"{self._left_out} log lines were left out"
            events.append(Event("log", time.time(), "WARNING", text, self.state.name))
            self._left_out = 0
        return Beat(
            node=self.state.name,
            incarnation=self._incarnation,
            seq=self._seq,
            applied=self.state.desired.number,
            state=taken.state,
            run_id=taken.run_id,
            phase=taken.phase,
            error=taken.error,
            data=taken.data,
            counts=taken.counts,
            workers=taken.workers,
            metrics=self._gathered.take(),
            ended=taken.ended,
            dropped=taken.dropped,
            errors=taken.errors,
            events=events,
            sent=time.time(),
        )

    async def _ticks(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._perform(self.state.tick(time.monotonic()))

    def _spawn_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._perform(self.state.failed(f"node {self.state.name}: internal error: {error!r}"))
