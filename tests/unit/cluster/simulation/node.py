"""A node's process: the real state machine and conversation, and what the agent does around them."""

from collections import deque
from collections.abc import Callable
from functools import partial

from amoc.control import NodeLoad, Reply, Request
from amoc.control.messages import decode_command, decode_reply, encode
from amoc.node.effects import BeatNow, Effect, Emit, FetchSource, Kill, Quit, Send, Spawn
from amoc.node.link import Link
from amoc.node.state import NodeState
from amoc.worker import WorkerDeath, messages
from tests.unit.cluster.simulation.worker import WorkerProcess
from tests.unit.cluster.simulation.world import World

__all__ = ["NodeProcess"]

TICK = 0.5
TIMEOUT = 3.0  # of a request
LOAD = NodeLoad()


class NodeProcess:
    """One incarnation of a node. `frozen`: it is suspended, and what comes waits; its workers go on."""

    def __init__(self, world: World, name: str, workers: int) -> None:
        self.world = world
        self.name = name
        self.size = workers
        self.alive = True
        self.frozen = False
        incarnation = f"{name}-{world.random.getrandbits(32):x}"
        self.state = NodeState(name, workers, {}, (), incarnation)
        self.link = Link(self.state, "0.1", workers)
        self.workers: dict[int, WorkerProcess] = {}
        self._waiting: deque[Callable[[], None]] = deque()
        self._asked = 0  # number of the request that is under way, or of the last one
        self._busy = False
        self._wakes = 0
        self._act(self._talk)
        world.after(TICK * world.random.random(), self._tick)

    def __repr__(self) -> str:
        return f"<{self.name} {self.state} {self.link}>"

    def _act(self, act: Callable[[], None]) -> None:
        """Do something now, or when it goes on, or never."""
        if self.frozen:
            self._waiting.append(act)
        elif self.alive:
            act()

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self.world.after(seconds, lambda: self._act(act))

    @property
    def busy(self) -> bool:
        """Whether it has workers."""
        return any(worker.alive for worker in self.workers.values())

    # What befalls it

    def freeze(self) -> None:
        """SIGSTOP."""
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT: all that has come meanwhile is there."""
        self.frozen = False
        while self._waiting and not self.frozen and self.alive:
            self._waiting.popleft()()

    def crash(self) -> None:
        """SIGKILL: its workers notice and end."""
        self.alive = False
        for worker in list(self.workers.values()):
            worker.die("its agent is gone")

    # The conversation

    def command(self, data: bytes) -> None:
        """A command has arrived."""
        self._act(lambda: self._heard(data))

    def _heard(self, data: bytes) -> None:
        self._perform(self.link.heard(decode_command(data), self.world.now))
        self._wake()

    def _wake(self) -> None:
        if not self._busy:
            self._busy = True
            self._later(0.0, self._talk)

    def _talk(self) -> None:
        if self.link.over is not None:
            return
        self._busy = True
        self._perform(self.state.tick(self.world.now))
        request = self.link.next(self.world.wall, LOAD)
        self._asked += 1
        number, sent = self._asked, self.world.now
        data = encode(request)
        self.world.carry(self, lambda: self._arrives(data, number, request, sent))
        self._later(TIMEOUT, lambda: self._answered(number, request, None, sent))

    def _arrives(self, data: bytes, number: int, request: Request, sent: float) -> None:
        master = self.world.master
        if master is None:
            return
        reply = master.answer(data)
        self.world.carry(self, lambda: self._act(lambda: self._answered(number, request, reply, sent)))

    def _answered(self, number: int, request: Request, data: bytes | None, sent: float) -> None:
        if number != self._asked or not self._busy:  # late, or a copy
            return
        reply: Reply | None = None if data is None else decode_reply(data)
        self._busy = False
        self._wakes += 1
        wakes = self._wakes
        self._perform(self.link.answered(request, reply, sent, self.world.now, self.world.wall))
        if not self._busy:
            self._later(self.link.pause, lambda: self._pause_over(wakes))

    def _pause_over(self, wakes: int) -> None:
        if not self._busy and wakes == self._wakes:
            self._talk()

    def _tick(self) -> None:
        self._perform(self.state.tick(self.world.now))
        self._later(TICK, self._tick)

    # Effects and workers

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(index, message):
                    worker = self.workers.get(index)
                    if worker is not None and worker.alive:
                        worker.take(messages.decode_to_worker(messages.encode(message)))
                case Spawn(index):
                    self._later(0.05, partial(self._spawned, index))
                case Kill(index):
                    if index in self.workers:
                        self.workers[index].die("was killed by SIGKILL")
                case Quit():
                    for worker in list(self.workers.values()):
                        worker.take(messages.Begin("quit"))
                case FetchSource(version):
                    self._perform(self.link.fetch(version, self.world.now))
                    self._wake()
                case BeatNow():
                    self._wake()
                case Emit(text=text):
                    self.world.say(f"{self.name}: {text}")

    def _spawned(self, index: int) -> None:
        old = self.workers.get(index)
        if old is not None:
            old.die("was killed by SIGKILL", wanted=True)
        worker = WorkerProcess(self, index, self.world.random.getrandbits(30))
        self.workers[index] = worker
        self._perform(self.state.worker_up(index, worker.pid, self.world.now))

    def from_worker(self, worker: WorkerProcess, message: messages.FromWorker) -> None:
        """A worker says something, over its pipe."""
        data = messages.encode(message)
        self._later(0.0, lambda: self._said(worker.index, messages.decode_from_worker(data)))

    def _said(self, index: int, message: messages.FromWorker) -> None:
        self._perform(self.state.worker_said(index, message, self.world.now))

    def worker_gone(self, worker: WorkerProcess, cause: str, wanted: bool) -> None:
        """A worker's process has ended; what it said before comes first."""
        self._later(0.0, lambda: self._died(worker, WorkerDeath(worker.index, worker.pid, cause, wanted)))

    def _died(self, worker: WorkerProcess, death: WorkerDeath) -> None:
        if self.workers.get(worker.index) is worker:
            del self.workers[worker.index]
        self._perform(self.state.worker_died(death, self.world.now))
