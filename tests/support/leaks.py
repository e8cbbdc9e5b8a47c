"""What a test left behind: threads, sockets and processes that were not there when it started.

`Snapshot.take()` before, `leftovers(before)` after; what ends by itself within `GRACE_SECONDS` is no leak.
Tasks are looked at inside the event loop (`leftover_tasks`), before the loop's shutdown would cancel them.

Processes are found by an environment variable that every descendant inherits, so that a daemon which has left
the process tree is found as well. `MARK` must be set in `os.environ` before the first test (see conftest.py).
"""

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path

import psutil

__all__ = ["MARK", "Snapshot", "leftover_tasks", "leftovers"]

MARK = "TEST_SESSION_OF_AMOC"
GRACE_SECONDS = 15.0
PROC = Path("/proc")
LIBRARY_THREAD = "(_run_safe_shutdown_loop)"  # pycares, the resolver of aiohttp, keeps one for the whole process


@dataclass(frozen=True)
class Snapshot:
    """Threads of this process, socket inodes it holds, and every process id of the machine."""

    threads: frozenset[threading.Thread]
    sockets: frozenset[str]
    processes: frozenset[int]

    @classmethod
    def take(cls) -> "Snapshot":
        """What is there now."""
        return cls(frozenset(threading.enumerate()), frozenset(_sockets()), frozenset(_processes()))


def leftovers(before: Snapshot) -> list[str]:
    """Describe what is there now and was not before; processes among it are killed, to harm one test only."""
    found = _settle(lambda: _new_threads(before) + _new_sockets(before) + _new_processes(before))
    for pid in _marked(before):
        _kill(pid)
    return found


async def leftover_tasks(before: set[asyncio.Task[object]]) -> list[str]:
    """Describe the tasks of the running loop that were not in `before` and do not end by themselves."""
    deadline = time.monotonic() + GRACE_SECONDS
    while new := asyncio.all_tasks() - before - {asyncio.current_task()}:
        if time.monotonic() > deadline:
            return [f"task {task.get_name()}: {task.get_coro()}" for task in new]
        await asyncio.sleep(0.01)
    return []


def _settle(look: Callable[[], list[str]]) -> list[str]:
    """Look until nothing is found or the grace time is over; unreachable objects are collected in between."""
    deadline = time.monotonic() + GRACE_SECONDS
    while (found := look()) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    return found


def _new_threads(before: Snapshot) -> list[str]:
    new = [thread.name for thread in threading.enumerate() if thread not in before.threads]
    return [f"thread {name}" for name in new if not name.endswith(LIBRARY_THREAD)]


def _new_sockets(before: Snapshot) -> list[str]:
    new = {inode: fd for inode, fd in _sockets().items() if inode not in before.sockets}
    if not new:
        return []
    known = {connection.fd: connection for connection in psutil.Process().net_connections(kind="all")}
    return [f"socket {known.get(fd, fd)}" for fd in new.values()]


def _new_processes(before: Snapshot) -> list[str]:
    return [f"process {pid}: {_command(pid)}" for pid in _marked(before)]


def _marked(before: Snapshot) -> list[int]:
    """New processes that descend from this test session, without multiprocessing's tracker, which stays."""
    tracker = getattr(resource_tracker._resource_tracker, "_pid", None)
    mark = f"{MARK}={os.environ[MARK]}".encode()
    return [pid for pid in _processes() - before.processes if pid != tracker and mark in _environment(pid)]


def _sockets() -> dict[str, int]:
    """The sockets of this process, inode to descriptor: an inode is not given again while numbers are."""
    found = {}
    for entry in os.listdir(PROC / "self/fd"):
        try:
            name = os.readlink(PROC / "self/fd" / entry)
        except OSError:
            continue  # the descriptor of the listing itself
        if name.startswith("socket:"):
            found[name] = int(entry)
    return found


def _processes() -> set[int]:
    return {int(entry) for entry in os.listdir(PROC) if entry.isdigit()}


def _environment(pid: int) -> list[bytes]:
    """What the process was started with; empty when it has ended (zombies too) or is another user's."""
    try:
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "(ended)"


def _kill(pid: int) -> None:
    try:
        psutil.Process(pid).kill()
    except psutil.NoSuchProcess:
        pass
