"""The bus between machines as it should be, on real sockets: requests, commands, reconnection, a clean end."""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from amoc.control import Beat, BeatReply, Fetch, Fetched, Ping, Refused, Reply, Request, Welcome, limits, zmq_master
from amoc.control.keys import KeyPair, KeyRing, new_pairs, read_pair, read_public
from amoc.control.zmq_master import ZmqMasterBus
from amoc.control.zmq_node import ZmqNodeBus
from amoc.errors import BadInput, Failed
from tests.integration.control.hub import Hub, answered, beat, eventually, hello
from tests.support.badwire import BadWire


async def test_requests_are_answered_and_commands_reach_every_node(hub: Hub) -> None:
    nodes = {name: hub.node(name) for name in ("a", "b", "c")}
    for name, node in nodes.items():
        assert isinstance(await node.request(hello(name)), Welcome)
    await hub.publish_until(lambda: all(hub.heard[name] for name in nodes))
    for name, node in nodes.items():
        assert await node.request(beat(name, 1)) == BeatReply(1, len(hub.asked))
        hub.heard[name].clear()
    for number in range(100, 400):
        hub.master.publish(Ping(number))
    await eventually(lambda: all(len(hub.heard[name]) >= 300 for name in nodes))
    for name in nodes:
        assert [command.number for command in hub.heard[name]][-300:] == list(range(100, 400))


async def test_requests_of_one_node_are_answered_one_after_the_other(hub: Hub) -> None:
    node = hub.node("a")
    replies = await asyncio.gather(*(node.request(beat("a", seq)) for seq in range(50)))
    assert [reply.seq for reply in replies if isinstance(reply, BeatReply)] == list(range(50))
    assert not hub.master.refused


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_on_either_loop(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        hub = Hub()
        try:
            node = hub.node("a")
            for seq in range(500):
                assert await node.request(beat("a", seq)) == BeatReply(seq, seq + 1)
            await hub.publish_until(lambda: hub.heard["a"])
        finally:
            hub.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


async def test_with_keys_from_files(tmp_path: Path) -> None:
    new_pairs(tmp_path, ["master", "a"])
    master = ZmqMasterBus("127.0.0.1", 0, 0, read_pair(tmp_path, "master"), KeyRing(tmp_path).owner)
    master.serve(lambda request: Refused(request.node))
    server = read_public(tmp_path, "master")
    node = ZmqNodeBus("127.0.0.1", master.pub_port, master.rep_port, read_pair(tmp_path, "a"), server)
    assert await node.request(hello("a")) == Refused("a")
    node.close()
    master.close()


async def test_over_ipv6() -> None:
    keys, own = KeyPair.generate(), KeyPair.generate()
    try:
        master = ZmqMasterBus("::1", 0, 0, keys, {own.public: "a"}.get)
    except BadInput:
        pytest.skip("this machine has no IPv6")
    master.serve(lambda request: Welcome(1))
    node = ZmqNodeBus("::1", master.pub_port, master.rep_port, own, keys.public)
    assert await node.request(hello("a")) == Welcome(1)
    node.close()
    master.close()


async def test_a_node_may_be_there_before_its_master(hub: Hub) -> None:
    hub.master.close()
    node = hub.node("a", timeout=0.3)
    with pytest.raises(TimeoutError, match=rf"within 0.3 s: nothing answers at tcp://127.0.0.1:{hub.ports[1]}"):
        await node.request(hello("a"))
    assert "nothing answers" in repr(node)
    hub.start_master()
    await answered(node, hello("a"))
    assert node.trouble == ""
    await hub.publish_until(lambda: hub.heard["a"])


async def test_nothing_is_sent_late_to_a_master_that_was_away(hub: Hub) -> None:
    node = hub.node("a", timeout=0.1)
    await answered(node, hello("a"))
    hub.master.close()
    hub.asked.clear()
    for seq in range(5):
        with pytest.raises(TimeoutError):
            await node.request(beat("a", seq))
    hub.start_master()
    await answered(node, beat("a", 99))
    assert [request.seq for request in hub.asked if isinstance(request, Beat)] == [99]


async def test_a_master_that_restarts_on_its_ports_has_its_nodes_back(hub: Hub) -> None:
    nodes = {f"n{number}": hub.node(f"n{number}", timeout=1.0) for number in range(20)}
    for name, node in nodes.items():
        await node.request(hello(name))
    for _ in range(2):
        hub.master.close()
        hub.start_master()
        hub.asked.clear()
        await asyncio.gather(*(answered(node, hello(name)) for name, node in nodes.items()))
        assert {request.node for request in hub.asked} == set(nodes)
        for heard in hub.heard.values():
            heard.clear()
        await hub.publish_until(lambda: all(hub.heard.values()))
    assert set(hub.master.refused) <= {"handshake"}


async def test_a_late_reply_is_not_taken_for_the_next(hub: Hub) -> None:
    async with BadWire(hub.ports[1]) as wire:
        node = hub.node("a", rep=wire.port, timeout=0.5)
        await answered(node, hello("a"))
        with wire.stalled():
            for seq in (1, 2):
                with pytest.raises(TimeoutError, match="busy, or the network"):
                    await node.request(beat("a", seq))
        for seq in range(3, 9):
            reply = await answered(node, beat("a", seq))
            assert isinstance(reply, BeatReply)
            assert reply.seq == seq
        node.close()


async def test_a_cancelled_request_does_not_disturb_the_next(hub: Hub) -> None:
    node = hub.node("a")
    await node.request(hello("a"))
    for seq in range(20):
        task = asyncio.create_task(node.request(beat("a", seq)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await node.request(beat("a", 100 + seq)) == BeatReply(100 + seq, len(hub.asked))


async def test_a_mistake_of_the_master_is_told_to_the_node_and_serves_the_others(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(request: Request) -> Reply:
        if request.node == "a":
            raise RuntimeError("boom")
        return Welcome(1)

    monkeypatch.setattr(hub, "answer", answer)
    hub.master.close()
    hub.start_master()
    a, b = hub.node("a"), hub.node("b")
    for _ in range(3):
        reply = await a.request(hello("a"))
        assert isinstance(reply, Refused)
        assert "internal error" in reply.reason
        assert await b.request(hello("b")) == Welcome(1)
    assert "boom" in caplog.text


async def test_what_is_too_long_is_not_sent(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node = hub.node("a")
    with pytest.raises(Failed, match=r"node a: a Fetch of \d+ bytes cannot be sent"):
        await node.request(Fetch("a", "i", "x" * limits.REQUEST_LIMIT))
    monkeypatch.setattr(hub, "answer", lambda request: Fetched("n", "p", "x" * 2000, "v"))
    monkeypatch.setattr(zmq_master, "REPLY_LIMIT", 1000)
    hub.master.close()
    hub.start_master()
    reply = await answered(node, hello("a"))
    assert isinstance(reply, Refused)
    assert "the most is 1000" in reply.reason
    assert hub.master.refused == {"size": 1}


async def test_closing_ends_what_is_under_way_and_leaves_nothing(hub: Hub) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd")) + len(os.listdir("/proc/self/task"))

    before = descriptors()
    for _ in range(10):
        other = Hub()
        node, lonely = other.node("a"), other.node("b", timeout=30)
        await node.request(hello("a"))
        other.master.close()
        waiting = [asyncio.create_task(lonely.request(beat("b", seq))) for seq in range(3)]
        await asyncio.sleep(0.02)
        other.close()
        other.close()
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(result, TimeoutError)
            assert "closed" in str(result) or "was lost" in str(result)  # whichever comes first
        with pytest.raises(TimeoutError, match="closed"):
            await node.request(hello("a"))
    await eventually(lambda: descriptors() <= before)


async def test_an_address_that_cannot_be_used(hub: Hub) -> None:
    for host, ports in (("127.0.0.1", hub.ports), ("203.0.113.1", (0, 0)), ("no host", (0, 0))):
        with pytest.raises(BadInput, match=r"cannot listen on tcp://.*control_host"):
            ZmqMasterBus(host, *ports, hub.keys, hub.listed.get)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BadInput, match="in use"):
        ZmqMasterBus("127.0.0.1", 0, taken.getsockname()[1], hub.keys, hub.listed.get)
    assert isinstance(await hub.node("a").request(hello("a")), Welcome)
