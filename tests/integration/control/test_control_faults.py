"""What a network does: it damages, repeats, swaps, stalls, cuts and swallows. And a node that is frozen."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable

import pytest

from amoc.control import Beat, Ping, Request
from amoc.control.keys import KeyPair
from amoc.control.limits import TRIES
from tests.integration.control.hub import Hub, answered, beat, eventually, hello
from tests.support.badwire import BadWire, Harm, damage, repeat, swap


def seqs(asked: list[Request]) -> list[int]:
    return [request.seq for request in asked if isinstance(request, Beat)]


@pytest.mark.parametrize("make", [lambda: damage, lambda: repeat, swap], ids=["damaged", "repeated", "swapped"])
@pytest.mark.parametrize("way", ["to_server", "to_client"])
async def test_bad_frames_change_nothing_and_the_node_comes_back(hub: Hub, make: Callable[[], Harm], way: str) -> None:
    async with BadWire(hub.ports[1]) as wire:
        node = hub.node("a", rep=wire.port, timeout=0.3)
        await answered(node, beat("a", 1))
        unanswered = 0
        with wire.harm(**{way: make()}):
            for seq in range(2, 7):
                try:
                    await node.request(beat("a", seq))
                except TimeoutError:
                    unanswered += 1
        assert unanswered
        assert seqs(hub.asked) == sorted(set(seqs(hub.asked))), "a frame got through twice, or after its time"
        hub.asked.clear()
        await answered(node, beat("a", 10))
        assert set(seqs(hub.asked)) == {10}
        assert wire.connections >= 2
        assert hub.master.refused["handshake"] or way == "to_client"
        node.close()


@pytest.mark.parametrize("make", [lambda: damage, lambda: repeat, swap], ids=["damaged", "repeated", "swapped"])
async def test_bad_commands_change_nothing_and_are_heard_again_afterwards(hub: Hub, make: Callable[[], Harm]) -> None:
    async with BadWire(hub.ports[0]) as wire:
        node = hub.node("a", pub=wire.port)
        await hub.publish_until(lambda: hub.heard["a"])
        await node.request(hello("a"))
        hub.heard["a"].clear()
        with wire.harm(to_client=make()):
            number = 100
            while wire.connections == 1:  # beats are what mends the socket
                hub.master.publish(Ping(number := number + 1))
                await node.request(beat("a", number))
                await asyncio.sleep(0.02)
            heard = [command.number for command in hub.heard["a"] if command.number > 1]
            assert heard == sorted(set(heard)), "a command got through twice, or after its time"
            assert set(heard) <= set(range(101, number + 1))
        await node.request(hello("a"))
        hub.heard["a"].clear()

        def mended() -> bool:
            hub.master.publish(Ping(9999))
            return Ping(9999) in hub.heard["a"]

        async with asyncio.timeout(60):
            while not mended():
                await node.request(hello("a"))
                await asyncio.sleep(0.05)
        node.close()


async def test_a_connection_that_is_cut_is_made_again(hub: Hub) -> None:
    async with BadWire(hub.ports[1]) as wire:
        node = hub.node("a", rep=wire.port, timeout=10.0)
        for seq in range(5):
            await answered(node, beat("a", seq))
            await wire.cut()
        await answered(node, beat("a", 5))
        assert wire.connections >= 6
        node.close()


async def test_a_request_fails_at_once_when_its_connection_is_lost(hub: Hub) -> None:
    async with BadWire(hub.ports[1]) as wire:
        node = hub.node("a", rep=wire.port, timeout=10)  # what is lost while it connects again is sent anew then
        await answered(node, beat("a", 1))
        with wire.stalled():
            request = asyncio.create_task(node.request(beat("a", 2)))
            await asyncio.sleep(0)
            await wire.cut()
            with pytest.raises(TimeoutError, match="was lost"):
                await asyncio.wait_for(request, 30)
        await answered(node, beat("a", 3))
        node.close()


async def test_a_connection_that_swallows_everything_is_given_up(hub: Hub) -> None:
    async with BadWire(hub.ports[1]) as wire:
        node = hub.node("a", rep=wire.port, timeout=0.1)
        await answered(node, beat("a", 1))
        wire.swallow()
        hub.asked.clear()
        for _ in range(TRIES):
            with pytest.raises(TimeoutError):
                await node.request(beat("a", 2))
        await answered(node, beat("a", 3))
        assert set(seqs(hub.asked)) == {3}
        node.close()


async def test_heartbeats_find_a_dead_network_before_any_request_does(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amoc.control.zmq_sockets._HEARTBEAT", 100)
    monkeypatch.setattr("amoc.control.zmq_sockets._HEARTBEAT_TIMEOUT", 200)
    async with BadWire(hub.ports[0]) as wire:
        node = hub.node("a", pub=wire.port)
        await hub.publish_until(lambda: hub.heard["a"])
        wire.swallow()
        await eventually(lambda: wire.connections >= 2)
        hub.heard["a"].clear()
        await hub.publish_until(lambda: hub.heard["a"])
        node.close()


FROZEN = """
import asyncio, sys
from amoc.control import Hello
from amoc.control.keys import KeyPair
from amoc.control.zmq_node import ZmqNodeBus

async def main():
    pub, rep, public, secret, master = sys.argv[1:]
    keys = KeyPair(bytes.fromhex(public), bytes.fromhex(secret))
    bus = ZmqNodeBus("127.0.0.1", int(pub), int(rep), keys, bytes.fromhex(master))
    last = [0]
    bus.listen(lambda command: last.append(command.number))
    while True:
        await bus.request(Hello("frozen", "i", 1, "0.1", last[-1]))
        await asyncio.sleep(0.05)

asyncio.run(main())
"""


async def test_a_frozen_node_disturbs_nobody_and_comes_back(hub: Hub) -> None:
    keys = hub.key("frozen")
    arguments = [*map(str, hub.ports), keys.public.hex(), keys.secret.hex(), hub.keys.public.hex()]
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", FROZEN, *arguments)
    try:
        await eventually(lambda: any(request.node == "frozen" for request in hub.asked))
        node = hub.node("a")
        await hub.publish_until(lambda: hub.heard["a"])
        os.kill(process.pid, signal.SIGSTOP)
        hub.heard["a"].clear()
        slowest = 0.0
        for number in range(1000, 6001):  # far more than is kept for the frozen one
            hub.master.publish(Ping(number))
            if number % 50 == 0:
                before = time.monotonic()
                await node.request(beat("a", number))
                slowest = max(slowest, time.monotonic() - before)
                await eventually(lambda number=number: Ping(number) in hub.heard["a"][-1:])  # type: ignore[misc]  # mypy infers no default
        assert [command.number for command in hub.heard["a"] if command.number > 1] == list(range(1000, 6001))
        assert slowest < 10
        hub.asked.clear()
        os.kill(process.pid, signal.SIGCONT)
        await eventually(lambda: any(request.node == "frozen" for request in hub.asked))
        hub.master.publish(Ping(7777))
        await eventually(lambda: any(getattr(request, "cores", 0) == 7777 for request in hub.asked))
    finally:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()


async def test_many_nodes_come_at_once(hub: Hub) -> None:
    names = [f"n{number}" for number in range(60)]
    pairs = [KeyPair.generate() for _ in names]
    hub.listed.update({pair.public: name for name, pair in zip(names, pairs, strict=True)})
    nodes = [hub.node(name, pair) for name, pair in zip(names, pairs, strict=True)]
    await asyncio.gather(*(node.request(hello(name)) for name, node in zip(names, nodes, strict=True)))
    assert sorted(request.node for request in hub.asked) == sorted(names)
