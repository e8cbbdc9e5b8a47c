"""Keeps the master's state going: answers nodes, lets time pass, writes down, publishes, tells.

A thin shell around `state`. Whatever is published is on disk before (if there is a journal); what nodes tell is
written down every `WRITE` seconds. A disk that cannot be written does not stop a test: it is said, and the nodes
keep what they have told.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

from amoc.cluster import saved
from amoc.cluster.effects import Pass, Publish, Say
from amoc.cluster.events import Events
from amoc.cluster.journal import Journal
from amoc.cluster.saved import Saved
from amoc.cluster.state import ClusterState
from amoc.control import Command, MasterBus, Reply, Request

__all__ = ["Keeper"]

TICK = 0.25  # seconds between two looks at who is missed
WRITE = 2.0  # seconds between two writings of what nodes have told
COMPLAIN = 60.0  # seconds between two complaints about the disk
PER_NODE = 50e-6  # seconds for a look at one node: so long events are gathered before the next look at all of them


class Keeper:
    """`complete` adds to what is written down what the master itself has to add; `heed` gets each command."""

    def __init__(
        self,
        state: ClusterState,
        bus: MasterBus,
        events: Events,
        journal: Journal | None,
        complete: Callable[[Saved], Saved],
        heed: Callable[[Command], None],
    ) -> None:
        self._state = state
        self._bus = bus
        self._events = events
        self._journal = journal
        self._complete = complete
        self._heed = heed
        self._written = -1
        self._complained = float("-inf")
        self._changed = asyncio.Event()
        self._look: asyncio.TimerHandle | None = None
        if journal is not None:
            state.durable = state.durable or {}
        bus.serve(self._answer)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._tick())]
        if journal is not None:
            self._tasks.append(loop.create_task(self._write_down(journal)))

    async def close(self) -> None:
        """Stop, with everything written down."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._look is not None:
            self._look.cancel()
        self._write()
        if self._journal is not None:
            self._journal.close()

    def perform(self) -> None:
        """Do what the state has asked for since the last call."""
        self._state.advance(time.monotonic(), time.time())
        self._perform()

    def _perform(self) -> None:
        effects = self._state.take()
        if any(isinstance(effect, Publish) for effect in effects):
            self._write()
        for effect in effects:
            match effect:
                case Publish(command):
                    self._heed(command)
                    self._bus.publish(command)
                case Say(event, text, level, node):
                    self._events.say(event, text, level, node)
                case Pass(event):
                    self._events.publish(event)
        self._changed.set()

    async def until(
        self, condition: Callable[[], bool], timeout: float, check: Callable[[], None] | None = None
    ) -> bool:
        """Wait for `condition`; False if it has not come within `timeout` seconds. `check` may raise meanwhile."""
        deadline = time.monotonic() + timeout
        while not condition():
            if check is not None:
                check()
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, 1.0)):  # not wait_for: before 3.12 it may swallow a cancellation
                    await self._changed.wait()
            await asyncio.sleep(len(self._state.members.by_name) * PER_NODE)
        return True

    # The bus

    def _answer(self, request: Request) -> Reply:
        reply = self._state.answer(request, time.monotonic(), time.time())
        self._perform()
        if self._state.due and self._look is None:
            loop = asyncio.get_running_loop()
            self._look = loop.call_later(len(self._state.members.by_name) * PER_NODE, self._look_now)
        return reply

    def _look_now(self) -> None:
        self._look = None
        self.perform()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._state.tick(time.monotonic(), time.time())
            self._perform()

    # The disk

    async def _write_down(self, journal: Journal) -> None:
        while True:
            await asyncio.sleep(WRITE)
            if self._state.changes != self._written:
                changes, seqs, data, turn = (
                    self._state.changes,
                    dict(self._state.books.seqs),
                    self._data(),
                    journal.turn(),
                )
                try:
                    await asyncio.to_thread(journal.write, data, turn)
                except OSError as error:
                    self._complain(error)
                else:
                    self._on_disk(changes, seqs)

    def _write(self) -> None:
        """Write down now."""
        if self._journal is None or self._state.changes == self._written:
            return
        try:
            self._journal.write(self._data(), self._journal.turn())
        except OSError as error:
            self._complain(error)
        else:
            self._on_disk(self._state.changes, dict(self._state.books.seqs))

    def _data(self) -> bytes:
        return saved.encode(self._complete(saved.save(self._state)))

    def _on_disk(self, changes: int, seqs: dict[str, int]) -> None:
        if changes > self._written:
            self._written, self._state.durable = changes, seqs

    def _complain(self, error: OSError) -> None:
        now = time.monotonic()
        if now - self._complained >= COMPLAIN:
            self._complained = now
            text = (
                f"the master's state cannot be written ({error.strerror}): a restarted master will not know this test"
            )
            self._events.say("run", text, "ERROR")
