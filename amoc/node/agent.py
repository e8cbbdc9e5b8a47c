"""The slave's agent: hears commands, keeps the workers, talks to the master.

A thin shell around `state` and `link`: it turns commands, answers, worker messages, deaths and time into stimuli and
performs the effects. Shutdown order: the conversation stops, workers are killed and waited for.
"""

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from amoc.control import Command, Event, NodeBus, NodeLoad, Refused, Reply
from amoc.errors import AmocError, Failed
from amoc.node.descriptors import Descriptors, raised_limit
from amoc.node.effects import BeatNow, Effect, Emit, FetchSource, Kill, Quit, Send, Spawn
from amoc.node.link import Link
from amoc.node.state import NodeState
from amoc.worker import Pool, WorkerDeath, messages

__all__ = ["Agent"]

TICK = 0.25  # seconds between two looks at the deadlines
PAGE = os.sysconf("SC_PAGE_SIZE")


class Agent:
    """The agent of one node. `state` is the pure machine; `bus` leads to the master.

    `address` is the one by which people know this node's machine.
    """

    def __init__(self, state: NodeState, bus: NodeBus, version: str, address: str = "") -> None:
        self.state = state
        state.incarnation = state.incarnation or uuid.uuid4().hex[:16]
        self._bus = bus
        self._link = Link(state, version, os.cpu_count() or 1, address)
        self._load = _Load()
        self.files = Descriptors(raised_limit())
        self._pool = Pool(self._worker_said, self._worker_died)
        self._spawns: dict[int, int] = {}
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Agent {self.state.name} {self._link} {self._pool}>"

    def begin(self) -> None:
        """Begin to talk to the master, which need not be there yet."""
        self._bus.listen(self._heard)
        self._spawn_task(self._talk())
        self._spawn_task(self._ticks())

    async def start(self) -> None:
        """Begin, and wait until this node is registered. Raises Failed when the master does not answer or refuses."""
        self.begin()
        while not self._link.registered:
            self._changed.clear()
            await self._changed.wait()
            if self._link.trouble:
                raise Failed(self._link.trouble)

    async def over(self) -> str:
        """Wait until this node may not go on, because another has taken its name; returns why."""
        while self._link.over is None:
            self._changed.clear()
            await self._changed.wait()
        return self._link.over

    @property
    def registered(self) -> bool:
        """Whether the master knows this node."""
        return self._link.registered

    @property
    def trouble(self) -> str:
        """Why the master has not registered this node, for people; empty while all is well."""
        return self._link.trouble

    async def close(self) -> None:
        """Stop talking, end all workers, wait until they are gone."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.close()

    # Stimuli

    def _heard(self, command: Command) -> None:
        self._perform(self._link.heard(command, time.monotonic()))
        self._wake.set()

    def _worker_said(self, index: int, message: messages.FromWorker) -> None:
        if isinstance(message, messages.Happened):
            message.event.node = self.state.name
            self._event(message.event)
            return
        self._perform(self.state.worker_said(index, message, time.monotonic()))

    def _worker_died(self, death: WorkerDeath) -> None:
        self._perform(self.state.worker_died(death, time.monotonic()))

    # Effects

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(index, message):
                    self._pool.send(index, message)
                case Spawn(index):
                    self._spawns[index] = self._spawns.get(index, 0) + 1
                    self._spawn_task(self._start_worker(index, self._spawns[index]))
                case Kill(index):
                    self._pool.kill(index)
                case Quit():
                    self._pool.quit()
                case FetchSource(version):
                    self._perform(self._link.fetch(version, time.monotonic()))
                    self._wake.set()
                case Emit(event, level, text, worker):
                    self._event(Event(event, time.time(), level, text, self.state.name, worker))
                case BeatNow():
                    self._wake.set()

    async def _start_worker(self, index: int, turn: int) -> None:
        try:
            pid = await self._pool.spawn(index)
        except OSError as error:
            effects = self.state.worker_not_up(index, str(error), time.monotonic())
        else:
            if turn != self._spawns[index]:  # another was asked for meanwhile, and takes its place
                return
            effects = self.state.worker_up(index, pid, time.monotonic())
        self._perform(effects)

    def _event(self, event: Event) -> None:
        if self._link.event(event):  # people read these: a tenth of a second is soon enough
            asyncio.get_running_loop().call_later(0.1, self._wake.set)

    # The conversation

    async def _talk(self) -> None:
        while self._link.over is None:
            self._wake.clear()
            await self._exchange()
            try:
                async with asyncio.timeout(self._link.pause):  # not wait_for: before 3.12 it may swallow a cancellation
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _exchange(self) -> None:
        """One request and its answer."""
        sent = time.monotonic()
        self._perform(self.state.tick(sent))  # the lease is looked at before anything else, after a pause of any length
        request = self._link.next(time.time(), self._load.take())
        reply: Reply | None = None
        trouble = ""
        try:
            reply = await self._bus.request(request)
        except Failed as error:  # too long to be sent, now and later
            reply = Refused(str(error), "size")
        except (TimeoutError, AmocError) as error:
            trouble = str(error)
        self._perform(self._link.answered(request, reply, sent, time.monotonic(), time.time(), trouble))
        self._changed.set()

    async def _ticks(self) -> None:
        while True:
            self._load.tick()
            await asyncio.sleep(TICK)
            self._perform(self.state.tick(time.monotonic()))
            self._look_at_files()

    def _look_at_files(self) -> None:
        """Say it when more users are wanted than files can be opened."""
        counts, run = self.state.counts(), self.state.run
        text = self.files.look(None if run is None else run.id, counts.planned + counts.present, self.state.size)
        if text:
            self._event(Event("node", time.time(), "WARNING", text, self.state.name))

    def _spawn_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._perform(self.state.failed(f"node {self.state.name}: internal error: {error!r}", time.monotonic()))


class _Load:
    """What the agent's own process costs, between two beats."""

    def __init__(self) -> None:
        self._cpu, self._at = time.process_time(), time.monotonic()
        self._due = self._at + TICK
        self._lag = 0.0

    def tick(self) -> None:
        """Called every `TICK` seconds; what is later than that is the loop's lag."""
        now = time.monotonic()
        self._lag = max(self._lag, now - self._due)
        self._due = now + TICK

    def take(self) -> NodeLoad:
        """The figures since the last call."""
        cpu, at = time.process_time(), time.monotonic()
        percent = 100 * (cpu - self._cpu) / max(at - self._at, 1e-3)
        self._cpu, self._at = cpu, at
        lag, self._lag = self._lag, 0.0
        memory = 0
        with contextlib.suppress(OSError):  # there may be no room for one more file
            memory = int(Path("/proc/self/statm").read_bytes().split()[1]) * PAGE
        return NodeLoad(round(percent, 1), memory, round(max(lag, 0.0) * 1000, 1))
