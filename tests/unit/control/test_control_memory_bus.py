"""The bus of local mode: in order, later, and only what a network could carry."""

import asyncio

import pytest

from amoc.control import BeatReply, Command, Hello, MemoryBus, Reply, Request, Snapshot, Step, Stop, Welcome


async def test_commands_arrive_later_in_order_at_every_listener() -> None:
    bus = MemoryBus()
    first: list[Command] = []
    second: list[Command] = []
    bus.listen(first.append)
    bus.listen(second.append)
    sent: list[Command] = [Step(1, "r1", "init"), Stop(2, "r1", True)]
    for command in sent:
        bus.publish(command)
    assert first == []
    await asyncio.sleep(0)
    assert first == second == sent
    assert first[0] is not sent[0]


async def test_requests_are_answered_by_the_master() -> None:
    bus = MemoryBus()
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        return Welcome(4) if isinstance(request, Hello) else BeatReply(1, 2)

    bus.serve(answer)
    hello = Hello("a", "i", 1, "0.1", 2)
    assert await bus.request(hello) == Welcome(4)
    assert await bus.request(Snapshot("a", "i")) == BeatReply(1, 2)
    assert asked[0] == hello
    assert asked[0] is not hello


async def test_without_a_master_nobody_answers() -> None:
    with pytest.raises(TimeoutError):
        await MemoryBus().request(Snapshot("a", "i"))
