"""The worker processes of one node, as the agent sees them: spawn, talk, notice their death, end them.

A worker is a spawned process (never forked: a fork would copy the agent's sockets and locks) with two
socket pairs: the pipe for messages, and one by which its watchdog speaks while the loop is held up.
"""

import asyncio
import contextlib
import multiprocessing
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess

from amoc.worker import messages
from amoc.worker.framing import FramedPipe
from amoc.worker.main import run

__all__ = ["Pool", "WorkerDeath"]

_spawn = multiprocessing.get_context("spawn")

# Seconds to wait for the end of a dead worker's pipe, which comes at once unless a process it left behind has it open.
DRAIN = 0.5


@dataclass(frozen=True, slots=True)
class WorkerDeath:
    """A worker's process has ended: `cause` says how, for people; `wanted`, that it had been told to."""

    index: int
    pid: int
    cause: str
    wanted: bool


class _Worker:
    """A process with our ends of its sockets; `code` is its exit code when it has ended."""

    __slots__ = ("code", "health", "index", "pid", "pipe", "process", "wanted")

    def __init__(self, index: int, process: SpawnProcess, pipe: FramedPipe, health: socket.socket) -> None:
        self.index = index
        self.process = process
        self.pid = process.pid or 0
        self.pipe = pipe
        self.health = health
        self.wanted = False
        self.code: int | None = None


class Pool:
    """All workers of this node. `received` gets their messages, `died` each death once, both in the loop.

    Of a worker that died the last messages come first, then its death; nothing of it comes before `spawn`
    has returned.
    """

    def __init__(
        self,
        received: Callable[[int, messages.FromWorker], None],
        died: Callable[[WorkerDeath], None],
    ) -> None:
        self._received = received
        self._died = died
        self._workers: dict[int, _Worker] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __repr__(self) -> str:
        return f"<Pool of {sorted(self._workers)}>"

    def __len__(self) -> int:
        return len(self._workers)

    async def spawn(self, index: int) -> int:
        """Start worker `index`; returns its process id. Raises OSError when the system has no room for it."""
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            pipe_socket, their_pipe = socket.socketpair()
            ours.enter_context(pipe_socket)
            theirs.enter_context(their_pipe)
            health, their_health = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.enter_context(health)
            theirs.enter_context(their_health)
            health.setblocking(False)
            process = _spawn.Process(
                target=run, args=(their_pipe, their_health, index), name=f"amoc-worker-{index}", daemon=True
            )
            # Some 8 ms. Not in a thread: each start looks after all earlier children, and so does `_ended`.
            with _without_interrupt():
                process.start()
            ours.pop_all()
        pipe = FramedPipe(lambda data: self._take(worker, data), lambda: self._drained(worker))
        worker = _Worker(index, process, pipe, health)
        self._workers[index] = worker
        self._empty.clear()
        try:
            await loop.create_unix_connection(lambda: pipe, sock=pipe_socket)
        finally:  # cancelled or not, its end must be noticed
            loop.add_reader(process.sentinel, self._ended, worker)
            loop.add_reader(health, self._health, worker)
        return worker.pid

    def send(self, index: int, message: messages.ToWorker) -> None:
        """Send to a worker; nothing happens if it is gone."""
        worker = self._workers.get(index)
        if worker is not None:
            worker.pipe.send(messages.encode(message))

    def quit(self) -> None:
        """Tell all workers to end; their deaths are reported as wanted."""
        for worker in self._workers.values():
            worker.wanted = True
            self.send(worker.index, messages.Begin("quit"))

    def kill(self, index: int) -> None:
        """End a worker at once; its death is reported as usual."""
        worker = self._workers.get(index)
        if worker is not None and worker.code is None:
            worker.process.kill()

    async def close(self) -> None:
        """End all workers at once and wait until they are gone; their deaths are reported as wanted."""
        for worker in list(self._workers.values()):
            worker.wanted = True
            self.kill(worker.index)
        async with asyncio.timeout(10):
            await self._empty.wait()

    def _take(self, worker: _Worker, data: bytes) -> None:
        if self._workers.get(worker.index) is worker:
            self._received(worker.index, messages.decode_from_worker(data))

    def _health(self, worker: _Worker) -> None:
        try:
            data = worker.health.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._take(worker, data)
        else:  # the process has ended: its sentinel tells
            asyncio.get_running_loop().remove_reader(worker.health)

    def _ended(self, worker: _Worker) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(worker.process.sentinel)
        loop.remove_reader(worker.health)
        worker.health.close()
        worker.process.join()
        worker.code = worker.process.exitcode or 0
        worker.process.close()
        if worker.pipe.is_open():
            loop.call_later(DRAIN, worker.pipe.abort)
        else:
            self._bury(worker, worker.code)

    def _drained(self, worker: _Worker) -> None:
        if worker.code is not None:
            self._bury(worker, worker.code)

    def _bury(self, worker: _Worker, code: int) -> None:
        if self._workers.get(worker.index) is worker:
            del self._workers[worker.index]
        if not self._workers:
            self._empty.set()
        self._died(WorkerDeath(worker.index, worker.pid, _cause(code), worker.wanted))


@contextlib.contextmanager
def _without_interrupt() -> Iterator[None]:
    """What is started inside begins with SIGINT held back, so that Ctrl+C does not hit it before it can ignore it."""
    resource_tracker.ensure_running()  # started by the first process otherwise, it would let the signal through
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _cause(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
