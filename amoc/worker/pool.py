"""The worker processes of one node, as the agent sees them: spawn, talk, notice their death, end them.

A worker is a spawned process (never forked: a fork would copy the agent's sockets and locks) with two
socket pairs: the pipe for messages, and one by which its watchdog speaks while the loop is held up.
"""

import asyncio
import contextlib
import multiprocessing
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess

from amoc.worker import messages
from amoc.worker.framing import FramedPipe
from amoc.worker.main import run

__all__ = ["Pool", "WorkerDeath"]

_spawn = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class WorkerDeath:
    """A worker's process has ended: `cause` says how, for people; `wanted`, that it had been told to."""

    index: int
    pid: int
    cause: str
    wanted: bool


class _Worker:
    __slots__ = ("health", "index", "pipe", "process", "wanted")

    def __init__(self, index: int, process: SpawnProcess, health: socket.socket) -> None:
        self.index = index
        self.process = process
        self.health = health
        self.pipe: FramedPipe | None = None
        self.wanted = False


class Pool:
    """All workers of this node. `received` gets their messages, `died` each death once, both in the loop."""

    def __init__(
        self,
        received: Callable[[int, messages.FromWorker], None],
        died: Callable[[WorkerDeath], None],
    ) -> None:
        self._received = received
        self._died = died
        self._workers: dict[int, _Worker] = {}

    def __repr__(self) -> str:
        return f"<Pool of {sorted(self._workers)}>"

    def __len__(self) -> int:
        return len(self._workers)

    def pid(self, index: int) -> int:
        """The process id of a worker; 0 if there is none."""
        worker = self._workers.get(index)
        return (worker.process.pid or 0) if worker is not None else 0

    async def spawn(self, index: int) -> None:
        """Start worker `index`. Raises OSError when the system has no room for it."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        health, their_health = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = _spawn.Process(
            target=run, args=(theirs, their_health, index), name=f"amoc-worker-{index}", daemon=True
        )
        try:
            await loop.run_in_executor(None, process.start)
        except BaseException:
            ours.close()
            health.close()
            raise
        finally:
            theirs.close()
            their_health.close()
        health.setblocking(False)
        worker = _Worker(index, process, health)
        self._workers[index] = worker
        loop.add_reader(process.sentinel, self._ended, worker)
        loop.add_reader(health, self._health, worker)
        pipe = FramedPipe(lambda data: self._take(worker, data), lambda: None)
        await loop.create_unix_connection(lambda: pipe, sock=ours)
        worker.pipe = pipe

    def send(self, index: int, message: messages.ToWorker) -> None:
        """Send to a worker; nothing happens if it is gone."""
        worker = self._workers.get(index)
        if worker is not None and worker.pipe is not None:
            worker.pipe.send(messages.encode(message))

    def quit(self) -> None:
        """Tell all workers to end; their deaths are reported as wanted."""
        for worker in self._workers.values():
            worker.wanted = True
            self.send(worker.index, messages.Begin("quit"))

    def kill(self, index: int) -> None:
        """End a worker at once; its death is reported as usual."""
        worker = self._workers.get(index)
        if worker is not None:
            worker.process.kill()

    def kill_all(self) -> None:
        """End all workers at once; their deaths are reported as wanted."""
        for worker in self._workers.values():
            worker.wanted = True
            worker.process.kill()

    def _take(self, worker: _Worker, data: bytes) -> None:
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
        code = worker.process.exitcode or 0
        pid = worker.process.pid or 0
        worker.process.close()
        # What it wrote before it died may still be in the pipe: deliver that before the news of its death.
        loop.call_later(0.02, self._bury, worker, pid, code)

    def _bury(self, worker: _Worker, pid: int, code: int) -> None:
        if worker.pipe is not None:
            worker.pipe.close()
        if self._workers.get(worker.index) is worker:
            del self._workers[worker.index]
        self._died(WorkerDeath(worker.index, pid, _cause(code), worker.wanted))


def _cause(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
