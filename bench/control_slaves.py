"""Simulated slaves for `bench/control.py`: real sockets, real CURVE, real messages, and no users behind them.

    python -m bench.control_slaves PUB_PORT REP_PORT MASTER_KEY   < JSON lines: name, public key, secret key (hex)

Each slave registers, hears commands, applies them to its copy of the desired state, and beats every second at a
moment of its own, and at once after a change, as an agent does. Its beats carry what a busy node's do. It ends with its
standard input.

Real slaves have machines of their own: the commands and snapshots that 500 of them get here alike are decoded and
applied once.
"""

import asyncio
import contextlib
import json
import random
import sys
from collections.abc import Sequence
from functools import lru_cache

import uvloop
import zmq

from amoc.control import (
    PROTOCOL,
    Beat,
    BeatReply,
    Command,
    Counts,
    Desired,
    Hello,
    Refused,
    Snapshot,
    SnapshotReply,
    Welcome,
    WorkerFigures,
    apply,
    count,
    granted,
    messages,
)
from amoc.control.keys import KeyPair
from amoc.control.zmq_node import ZmqNodeBus
from amoc.control.zmq_sockets import Context
from amoc.metrics import Registry, pack

HISTOGRAMS = 20
VALUES = 50  # in each histogram of a beat
DELTAS = 50  # different beats of metrics, so that no two nodes fill the same buckets
WORKERS = 4
BEAT = 1.0
AGAIN = 3.0  # seconds until a slave that was refused says hello again

messages.decode_command = lru_cache(100)(messages.decode_command)  # type: ignore[assignment]  # bytes are hashable
messages.decode_reply = lru_cache(100)(messages.decode_reply)  # type: ignore[assignment]  # the same


class Slave:
    """One slave."""

    def __init__(self, bus: ZmqNodeBus, name: str, deltas: Sequence[bytes]) -> None:
        self._bus = bus
        self._name = name
        self._deltas = deltas
        self._incarnation = f"{name}-{random.getrandbits(64):x}"
        self._desired = Desired()
        self._now = asyncio.Event()
        self._seq = 0
        self._known = 0  # the last beat that the master has taken in

    async def live(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(random.random())
        self._bus.listen(self._heard)
        await self._register()
        while True:
            self._now.clear()
            await self._beat()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._now.wait()

    async def _register(self) -> None:
        while True:
            try:
                hello = Hello(self._name, self._incarnation, PROTOCOL, "bench", WORKERS)
                reply = await self._bus.request(hello)
                if isinstance(reply, Welcome):
                    self._known = reply.seq
                    return await self._take_snapshot()
                await asyncio.sleep(AGAIN)
            except TimeoutError:
                continue

    async def _take_snapshot(self) -> None:
        reply = await self._bus.request(Snapshot(self._name, self._incarnation))
        if isinstance(reply, SnapshotReply):
            self._desired = reply.desired
            self._now.set()

    def _heard(self, command: Command) -> None:
        try:
            self._desired = _applied(self._desired, command)
            self._now.set()
        except ValueError:
            pass  # the next beat's reply tells of it

    async def _beat(self) -> None:
        self._seq += 1
        beat = self._next_beat()
        while True:
            try:
                reply = await self._bus.request(beat)
                if isinstance(reply, BeatReply) and reply.number > self._desired.number:
                    await self._take_snapshot()
            except TimeoutError:
                continue
            if isinstance(reply, BeatReply):
                self._known = reply.seq
            if isinstance(reply, Refused):
                await self._register()
            return

    def _next_beat(self) -> Beat:
        desired = self._desired
        seat = desired.seats.get(self._name)
        users = 0 if seat is None else count(granted(seat.grants))
        workers = [WorkerFigures(i, 1000 + i, users // WORKERS, 37.5, 50 << 20, 1.5, 0.1) for i in range(WORKERS)]
        return Beat(
            node=self._name,
            incarnation=self._incarnation,
            seq=self._seq,
            covers=self._seq - self._known,
            applied=desired.number,
            state="running" if desired.phase == "run" else "idle",
            run_id=desired.run.id if desired.run is not None else None,
            seat=0 if seat is None else seat.number,
            phase=desired.phase if desired.run is not None else None,
            led=desired.leader == self._name,
            counts=Counts(running=users, starts=users),
            workers=workers,
            metrics=self._deltas[self._seq % len(self._deltas)],
        )


_states: dict[tuple[int, int], tuple[Desired, Desired]] = {}  # before and after, by identity and number


def _applied(state: Desired, command: Command) -> Desired:
    """`apply`, once for all slaves that hold the same state."""
    key = (id(state), command.number)
    if key not in _states:
        _states[key] = (state, apply(state, command))
    return _states[key][1]


def deltas() -> list[bytes]:
    """Metrics of a second, encoded: HISTOGRAMS histograms and as many counters."""
    registry, made = Registry(), []
    for _ in range(DELTAS):
        for number in range(HISTOGRAMS):
            for _ in range(VALUES):
                registry.histogram(f"amoc.times.step{number}").record(random.lognormvariate(9.0, 0.5))
            registry.counter(f"amoc.counters.step{number}").increment(VALUES)
        made.append(pack(registry.flush()))
    return made


async def main() -> None:
    """Run the slaves that standard input names until it ends."""
    pub_port, rep_port, master = int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3])
    context: Context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 65_535)
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    made, tasks, buses = deltas(), set(), []
    while line := await reader.readline():
        name, public, secret = json.loads(line)
        keys = KeyPair(bytes.fromhex(public), bytes.fromhex(secret))
        bus = ZmqNodeBus("127.0.0.1", pub_port, rep_port, keys, master, context=context)
        shuffled = random.sample(made, len(made))
        tasks.add(asyncio.create_task(Slave(bus, name, shuffled).live()))
        buses.append(bus)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for bus in buses:
        bus.close()
    context.term()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
