"""The master of 1000 slaves: its share of a core, its memory, the time of `do`, the return of all slaves at once.

The master is the real one, with its metrics store, in this process on a core of its own; the slaves are simulated
(bench/control_slaves.py) on the other cores: real sockets, CURVE, a beat a second with 20 histograms of 50 values each.
CPU time is the whole process's, libzmq's thread with its cryptography included.

`do` of ten users is compared with `do` of ten million on the same ten slaves, in turns.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from amoc import __version__
from amoc.cluster import Events, Master
from amoc.control import Command
from amoc.control.keys import KeyPair
from amoc.control.messages import encode
from amoc.control.zmq_master import ZmqMasterBus
from amoc.roles import EXTRA_SETTINGS, NodeOptions, build_config
from amoc.scenario import Store
from bench.local import SCENARIOS

NODES = 1000
PROCESSES = 2  # that simulate slaves
FILL = 150  # seconds until the store has its minute of history, and the allocator its fragments
STEADY = 30
ROUNDS = 7  # of few and many users
FEW, MANY, FEW_NODES = 10, 10_000_000, 10
SHARE_GOAL, DO_GOAL, RATIO_GOAL = 30.0, 3.0, 0.10  # percent of a core, seconds, part of the smaller
GROWTH_GOAL = 2 << 20  # bytes a minute: what is bounded stands still but for the allocator's fragments
REGISTERED = 120.0  # seconds until all slaves must be there


class CountingBus(ZmqMasterBus):
    """Knows how many bytes of commands it has sent to each slave."""

    published = 0

    def publish(self, command: Command) -> None:
        self.published += len(encode(command))
        super().publish(command)


@dataclass
class Cluster:
    """A master and the keys of its slaves."""

    master: Master
    bus: CountingBus
    keys: KeyPair
    slaves: dict[str, KeyPair]

    async def restart(self) -> None:
        """Another master on the same ports that knows nothing."""
        await self.master.close(end=False)
        self.bus.close()
        self.master, self.bus = _master(self.keys, self.slaves, self.bus.pub_port, self.bus.rep_port)


def main() -> None:
    """Measure with all slaves, then few users against many."""
    parser = argparse.ArgumentParser(prog="python -m bench.control")
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--fill", type=float, default=FILL)
    parser.add_argument("--steady", type=float, default=STEADY)
    measure(**vars(parser.parse_args(sys.argv[1:] if __name__ == "__main__" else [])))


def measure(nodes: int, fill: float, steady: float) -> None:
    """All of it."""
    cores = sorted(os.sched_getaffinity(0))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[:1])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_many_slaves(nodes, fill, steady, cores[1:] or cores))
            runner.run(_few_and_many_users(cores[1:] or cores))
    finally:
        os.sched_setaffinity(0, cores)


async def _many_slaves(nodes: int, fill: float, steady: float, cores: list[int]) -> None:
    async with _cluster(nodes, cores) as (cluster, pids):
        _line(f"{nodes} slaves come at once: all registered", *await _cost(lambda: _registered(cluster)))
        _line("no test, a beat a second", *await _cost(lambda: asyncio.sleep(steady)), SHARE_GOAL)
        before = cluster.bus.published
        _timed("do, from the request to the last acknowledgement", *await _cost(lambda: _do(cluster.master, nodes)))
        _timed("add, acknowledged by all", *await _cost(lambda: cluster.master.add(nodes)))
        print(f"{'bytes of all these commands to each slave':50}{cluster.bus.published - before:10,}")
        await asyncio.sleep(fill)
        memory, slaves = _resident(), [_cpu_of(pid) for pid in pids]
        wall, cpu = await _cost(lambda: asyncio.sleep(steady))
        _line("running, a beat a second", wall, cpu, SHARE_GOAL)
        busy = [(_cpu_of(pid) - was) / wall * 100 for pid, was in zip(pids, slaves, strict=True)]
        print(f"{'the simulated slaves beside it, percent of a core':50}{sum(busy):10.1f} %")
        grown = (_resident() - memory) / wall * 60
        growth = f"{grown / 2**20:+.1f} MiB a minute: {'as it must be' if grown <= GROWTH_GOAL else 'MISSED'}"
        print(f"{'memory of the master':50}{memory / 2**20:10.1f} MiB, {growth}")
        await cluster.restart()
        _line("another master on its ports: all registered again", *await _cost(lambda: _registered(cluster)))
        print(f"{'refused meanwhile':50}{dict(cluster.bus.refused)}")


async def _few_and_many_users(cores: list[int]) -> None:
    figures: dict[int, list[tuple[float, float, int]]] = {FEW: [], MANY: []}
    async with _cluster(FEW_NODES, cores) as (cluster, _):
        await _registered(cluster)
        for round_ in range(2 * ROUNDS + 2):
            users = (FEW, MANY)[round_ % 2]
            before = cluster.bus.published
            took, cpu = await _cost(partial(_do, cluster.master, users))
            sent = cluster.bus.published - before + len(encode(cluster.master.state.desired))
            if round_ >= 2:  # the first of each warms up
                figures[users].append((took, cpu, sent))
            await cluster.master.stop(force=True)
    few, many = ([statistics.median(column) for column in zip(*figures[users], strict=True)] for users in figures)
    print(f"do on {FEW_NODES} slaves, median of {ROUNDS}:   {FEW} users   {MANY:,} users   ratio")
    for name, scale, unit, a, b in zip(
        ("time", "CPU of the master", "bytes, commands and snapshot"),
        (1e3, 1e3, 1),
        ("ms", "ms", "B"),
        few,
        many,
        strict=True,
    ):
        verdict = "" if abs(b / a - 1) <= RATIO_GOAL else "  MISSED"
        print(f"  {name:32}{a * scale:10.1f} {unit:3}{b * scale:14.1f} {unit:3}{b / a:8.3f}{verdict}")


@asynccontextmanager
async def _cluster(nodes: int, cores: list[int]) -> AsyncIterator[tuple[Cluster, list[int]]]:
    """A master, and slaves in processes of their own that are coming; the processes' ids."""
    keys = KeyPair.generate()
    slaves = {f"slave{number:04}": KeyPair.generate() for number in range(nodes)}
    cluster = Cluster(*_master(keys, slaves, 0, 0), keys, slaves)
    ports = str(cluster.bus.pub_port), str(cluster.bus.rep_port)
    processes = []
    for index in range(min(PROCESSES, nodes)):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.control_slaves", *ports, keys.public.hex(), stdin=asyncio.subprocess.PIPE
        )
        os.sched_setaffinity(process.pid, cores)
        processes.append(process)
        assert process.stdin is not None
        for name in list(slaves)[index::PROCESSES]:
            line = json.dumps([name, slaves[name].public.hex(), slaves[name].secret.hex()])
            process.stdin.write(line.encode() + b"\n")
    try:
        yield cluster, [process.pid for process in processes]
    finally:
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in processes:
            await process.wait()
        await cluster.master.close(end=False)
        cluster.bus.close()


def _master(keys: KeyPair, slaves: dict[str, KeyPair], pub: int, rep: int) -> tuple[Master, CountingBus]:
    owners = {pair.public: name for name, pair in slaves.items()}
    bus = CountingBus("127.0.0.1", pub, rep, keys, owners.get)
    configuration = build_config(NodeOptions(settings={"scenarios_dir": str(SCENARIOS)}))
    return Master("master", __version__, configuration, Events(), bus, EXTRA_SETTINGS), bus


async def _do(master: Master, users: int) -> None:
    await master.do(Store([SCENARIOS]).source("idle"), 1, users, {})


async def _registered(cluster: Cluster) -> None:
    """Until every slave has said hello and has beaten."""
    async with asyncio.timeout(REGISTERED):
        while len(cluster.master.state.books.seqs) < len(cluster.slaves):
            await asyncio.sleep(0.05)


async def _cost(work: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    """Seconds that it took, and seconds of CPU that this process used meanwhile."""
    wall, cpu = time.monotonic(), time.process_time()
    await work()
    return time.monotonic() - wall, time.process_time() - cpu


def _line(what: str, wall: float, cpu: float, goal: float = 0.0) -> None:
    share = cpu / wall * 100
    verdict = f"   goal {goal:.0f} %: {'as it must be' if share <= goal else 'MISSED'}" if goal else ""
    print(f"{what:50}{wall:10.2f} s {cpu:8.2f} s CPU{share:7.1f} % of a core{verdict}", flush=True)


def _timed(what: str, wall: float, cpu: float) -> None:
    verdict = "as it must be" if wall <= DO_GOAL else "MISSED"
    print(f"{what:50}{wall:10.2f} s {cpu:8.2f} s CPU   goal {DO_GOAL:.0f} s: {verdict}", flush=True)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
