"""Master and nodes joined by hand: their state machines, a network that loses, doubles and reorders, tiny workers.

All that happens is chosen by one random generator, so a seed is a schedule. Messages are encoded and decoded on
their way, as on a real bus. Pipes to workers are in order and lossless, as those of the kernel.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator

from amoc.cluster.state import ClusterState
from amoc.control import (
    Beat,
    BeatReply,
    Command,
    Desired,
    Hello,
    Remove,
    Reply,
    Run,
    SnapshotReply,
    apply,
    compress,
)
from amoc.control.messages import decode_command, decode_reply, decode_request, encode
from amoc.node import NodeState
from amoc.node.effects import BeatNow, Effect, Emit, FetchSource, Kill, Quit, Send, Spawn
from amoc.scenario import Source
from amoc.worker import WorkerDeath, messages
from amoc.worker.messages import Tally

__all__ = ["Simulation"]

SOURCE = Source.of("chat", "async def start(user_id): ...", "/chat.py")
INTERVAL = 0.05
Wait = Callable[[], bool]


class Worker:
    """A worker process as its node sees it: takes messages, has users, reports."""

    def __init__(self, simulation: "Simulation", pid: int) -> None:
        self.pid = pid
        self.inbox: deque[messages.ToWorker] = deque()
        self.outbox: deque[messages.FromWorker] = deque()
        self.over = False
        self._simulation = simulation
        self._planned: dict[int, float] = {}
        self._running: set[int] = set()
        self._leaving: set[int] = set()
        self._tally = Tally()
        self._ended: list[int] = []
        self._dropped: dict[int, int] = {}

    def live(self) -> None:
        """Take one message, start who is due, perhaps let somebody end, perhaps report."""
        chance = self._simulation.random.random
        if self.inbox:
            self._take(self.inbox.popleft())
        for user_id in [i for i, at in self._planned.items() if at <= self._simulation.now]:
            del self._planned[user_id]
            self._running.add(user_id)
            self._tally.starts += 1
            self._simulation.started[user_id] += 1
        if self._running and chance() < self._simulation.ending:
            user_id = self._simulation.random.choice(sorted(self._running))
            self._end(user_id, "finished")
            self._simulation.finished.add(user_id)
        if self._leaving and chance() < 0.3:
            self._end(min(self._leaving), "removed")
        if chance() < 0.3:
            self._report()

    def _take(self, message: messages.ToWorker) -> None:
        match message:
            case messages.Load():
                self._answer("load")
            case messages.Begin(step="quit"):
                self.over = True
            case messages.Begin(step="setup"):
                self._answer("setup", {"room": 7})
            case messages.Begin(step=step):
                if step == "stop":
                    self._planned.clear()
                    for user_id in self._running | self._leaving:
                        self._end(user_id, "stopped")
                self._answer(step)
            case messages.Legs(legs=legs):
                for leg in legs:
                    self._planned |= {user_id: leg.at + k * leg.spacing for k, user_id in enumerate(leg.ids())}
            case messages.Drop(number=number, ids=ids, force=force):
                self._dropped[number] = sum(self._drop(user_id, force) for r in ids for user_id in r)
                self._report()

    def _drop(self, user_id: int, force: bool) -> int:
        if user_id in self._planned:
            del self._planned[user_id]
            self._ended.append(user_id)
            self._tally.removed += 1
        elif user_id not in self._running:
            return 0
        elif force:
            self._end(user_id, "removed")
        else:
            self._running.discard(user_id)
            self._leaving.add(user_id)
        self._simulation.removed.add(user_id)
        return 1

    def _end(self, user_id: int, how: str) -> None:
        self._running.discard(user_id)
        self._leaving.discard(user_id)
        self._ended.append(user_id)
        setattr(self._tally, how, getattr(self._tally, how) + 1)

    def _answer(self, step: str, data: object = None) -> None:
        self._report()
        self.outbox.append(messages.Done(step, data))

    def _report(self) -> None:
        tally = Tally(
            planned=len(self._planned),
            running=len(self._running),
            leaving=len(self._leaving),
            finished=self._tally.finished,
            removed=self._tally.removed,
            stopped=self._tally.stopped,
            starts=self._tally.starts,
        )
        self.outbox.append(messages.Report(tally, compress(self._ended), self._dropped, b"", [], 0.0, 0, 0.0, 0.0))
        self._ended, self._dropped = [], {}


class Node:
    """A node: the real state machine, and what its agent does with commands, beats and effects."""

    def __init__(self, simulation: "Simulation", name: str, size: int) -> None:
        self.state = NodeState(name, size, {})
        self.commands: list[bytes] = []  # on their way here
        self.workers: dict[int, Worker] = {}
        self._simulation = simulation
        self._effects: deque[Effect] = deque()
        self._seq = 0
        self._unanswered: Beat | None = None

    def step(self) -> None:
        """One of the things that may happen next on this node."""
        choice = self._simulation.random.choice
        worker = self.workers[choice(sorted(self.workers))] if self.workers else None
        move = choice(["effect", "effect", "hear", "hear", "worker", "worker", "said", "said", "beat"])
        now = self._simulation.now
        if move == "effect" and self._effects:
            self._perform(self._effects.popleft())
        elif move == "hear" and self.commands:
            at = 0 if self._simulation.random.random() < 0.7 else self._simulation.random.randrange(len(self.commands))
            self._hear(decode_command(self.commands.pop(at)))
        elif move == "worker" and worker is not None:
            worker.live()
        elif move == "said" and worker is not None:
            index = next(i for i, w in self.workers.items() if w is worker)
            if worker.outbox:
                self._effects += self.state.worker_said(index, worker.outbox.popleft(), now)
            elif worker.over:
                self._bury(index, wanted=True)
        elif move == "beat":
            self._beat()

    def _hear(self, command: Command) -> None:
        try:
            self._want(apply(self.state.desired, command))
        except ValueError:
            self._snapshot()

    def _want(self, desired: Desired) -> None:
        self._effects += self.state.wants(desired, self._simulation.now)

    def _snapshot(self) -> None:
        reply = decode_reply(encode(SnapshotReply(self._simulation.cluster.desired)))
        assert isinstance(reply, SnapshotReply)
        if reply.desired.number >= self.state.desired.number:
            self._want(reply.desired)

    def _beat(self) -> None:
        beat = self._unanswered or self._next_beat()
        self._unanswered = beat
        reply = self._simulation.carry(beat)
        if isinstance(reply, BeatReply):
            self._unanswered = None
            if reply.number > self.state.desired.number:
                self._snapshot()

    def _next_beat(self) -> Beat:
        self._seq += 1
        taken = self.state.take()
        return Beat(
            node=self.state.name,
            incarnation="1",
            seq=self._seq,
            applied=self.state.desired.number,
            state=taken.state,
            run_id=taken.run_id,
            phase=taken.phase,
            error=taken.error,
            data=taken.data,
            counts=taken.counts,
            workers=taken.workers,
            ended=taken.ended,
            dropped=taken.dropped,
            errors=taken.errors,
        )

    def _perform(self, effect: Effect) -> None:
        now = self._simulation.now
        match effect:
            case FetchSource():
                self._effects += self.state.source_arrived(SOURCE, now)
            case Spawn(index):
                self.workers[index] = Worker(self._simulation, self._simulation.random.getrandbits(30))
                self._effects += self.state.worker_up(index, self.workers[index].pid, now)
            case Send(index, message):
                if index in self.workers:
                    self.workers[index].inbox.append(message)
            case Kill(index):
                self._bury(index, wanted=False)
            case Quit():
                for worker in self.workers.values():
                    worker.inbox.append(messages.Begin("quit"))
            case Emit() | BeatNow():
                pass

    def _bury(self, index: int, *, wanted: bool) -> None:
        worker = self.workers.pop(index, None)
        if worker is not None:
            death = WorkerDeath(index, worker.pid, "has ended", wanted)
            self._effects += self.state.worker_died(death, self._simulation.now)


class Simulation:
    """A cluster of `sizes` workers; `loss` is how often a message is lost, doubled or late."""

    def __init__(self, seed: int, sizes: dict[str, int], loss: float, ending: float = 0.1) -> None:
        self.random = random.Random(seed)
        self.now = 100.0
        self.ending = ending
        self.started: Counter[int] = Counter()
        self.removed: set[int] = set()
        self.finished: set[int] = set()
        self.cluster = ClusterState()
        self.nodes = {name: Node(self, name, size) for name, size in sizes.items()}
        self._loss = loss
        for name in self.nodes:
            self.cluster.hello(Hello(name, "1", 1, "0.1", 2), self.now)

    def carry(self, beat: Beat) -> Reply | None:
        """A beat's way to the master and the answer's way back; None if one of them is lost."""
        if self.random.random() < self._loss:
            return None
        for _ in range(2 if self.random.random() < self._loss else 1):
            received = decode_request(encode(beat))
            assert isinstance(received, Beat)
            self.cluster.beat(received, self.now)
        if self.random.random() < self._loss:
            return None
        return decode_reply(encode(BeatReply(beat.seq, self.cluster.desired.number)))

    def publish(self, command: Command) -> None:
        """A command on its way to every node."""
        for node in self.nodes.values():
            for _ in range(self.random.choices([0, 1, 2], [self._loss, 1 - 2 * self._loss, self._loss])[0]):
                node.commands.append(encode(command))

    def play(self, script: Iterator[Wait]) -> None:
        """Carry out `script`, which yields what it waits for, until it ends."""
        for wait in script:
            for _ in range(30_000):
                if wait():
                    break
                self.now += self.random.random() * 0.01
                self.random.choice(list(self.nodes.values())).step()
            else:
                raise AssertionError(f"waited in vain: {self.cluster}, {[n.state for n in self.nodes.values()]}")

    # What a master does, as scripts

    def begin(self, number: int, first: int, last: int) -> Iterator[Wait]:
        """A run from its start to its users."""
        self.started.clear()
        self.removed.clear()
        self.finished.clear()
        cluster = self.cluster
        run = Run(f"r{number}", "chat", SOURCE.version, {}, sorted(self.nodes), self.now, 1)
        self.publish(cluster.start(run, INTERVAL))
        yield lambda: cluster.reached("setup")
        assert cluster.of_run()[0].data == {"room": 7}
        self.publish(cluster.step("init", cluster.of_run()[0].data))
        yield lambda: cluster.reached("init")
        self.publish(cluster.step("run"))
        yield from self.assign(first, last)

    def assign(self, first: int, last: int) -> Iterator[Wait]:
        """More users."""
        command = self.cluster.assign(first, last)
        self.publish(command)
        yield lambda: self.cluster.applied(command.number)

    def remove(self, count: int, force: bool, total: list[int]) -> Iterator[Wait]:
        """The newest `count` users, or all there are; appends how many they were."""
        left = count
        while left and (command := self.cluster.remove(left, force)) is not None:
            yield from self._removal(command)
            left -= sum((self.cluster.dropped(command) or {}).values())
        total.append(count - left)

    def _removal(self, command: Remove) -> Iterator[Wait]:
        self.publish(command)
        yield lambda: self.cluster.dropped(command) is not None

    def end(self, force: bool) -> Iterator[Wait]:
        """The run's end, up to the last process."""
        cluster = self.cluster
        self.publish(cluster.stop(force))
        yield lambda: cluster.reached("stop")
        self.publish(cluster.step("teardown"))
        yield lambda: cluster.reached("teardown")
        self.publish(cluster.step("over"))
        yield lambda: cluster.reached("over")
