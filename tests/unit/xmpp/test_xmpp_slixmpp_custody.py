"""Custody: tasks that end with the block in which they were begun, whoever began them."""

import asyncio
import contextvars
from typing import Any

import pytest

from amoc.xmpp.slixmpp_bridge.custody import Custody


async def forever() -> None:
    await asyncio.sleep(3600)


def begun_later() -> "asyncio.Future[asyncio.Task[None]]":
    """A task that a callback of the loop begins."""
    loop = asyncio.get_running_loop()
    begun: asyncio.Future[asyncio.Task[None]] = loop.create_future()
    loop.call_later(0.001, lambda: begun.set_result(asyncio.create_task(forever())))
    return begun


async def test_what_is_begun_inside_ends_and_nothing_else() -> None:
    told: list[str] = []
    before = asyncio.create_task(forever())
    custody = Custody()
    custody.enter()
    inside = [asyncio.create_task(forever()), asyncio.ensure_future(asyncio.wait_for(forever(), 3600))]
    inside.append(await begun_later())
    await asyncio.sleep(0)  # wait_for begins another one
    assert len(custody) == 4
    custody.leave()
    after = asyncio.create_task(forever())
    custody.cancel(lambda: told.append("over"))
    assert told == []
    await asyncio.wait(inside)
    assert told == ["over"]
    assert all(task.cancelled() for task in inside)
    assert not before.done()
    assert not after.done()
    before.cancel()
    after.cancel()


async def test_what_is_begun_too_late_never_runs() -> None:
    ran: list[int] = []

    async def late() -> None:
        ran.append(1)

    custody = Custody()
    custody.enter()
    timer = begun_later()
    custody.cancel(lambda: None)
    task = asyncio.create_task(late())
    custody.leave()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ran == []
    with pytest.raises(asyncio.CancelledError):
        await (await timer)
    await asyncio.sleep(0)  # for the callbacks of a task that had already ended
    assert len(custody) == 0


async def test_blocks_within_blocks() -> None:
    outer, inner = Custody(), Custody()
    outer.enter()
    first = asyncio.create_task(forever())
    inner.enter()
    second = asyncio.create_task(forever())
    inner.leave()
    third = asyncio.create_task(forever())
    inner.cancel(lambda: None)
    await asyncio.wait([second])
    assert (first.done(), second.cancelled(), third.done()) == (False, True, False)
    outer.leave()
    outer.cancel(lambda: None)
    await asyncio.wait([first, third])
    assert first.cancelled()
    assert third.cancelled()


async def test_a_task_factory_that_was_there_before_is_used() -> None:
    made: list[Any] = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Future[Any]:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    custodies = [Custody(), Custody()]
    for custody in custodies:
        custody.enter()
    task = asyncio.create_task(forever(), name="crow")
    assert made == [task.get_coro()]  # once, however many blocks there are
    assert task.get_name() == "crow"
    for custody in reversed(custodies):
        custody.leave()
        custody.cancel(lambda: None)
    with pytest.raises(asyncio.CancelledError):
        await task
    loop.set_task_factory(None)


async def test_a_task_with_a_context_of_its_own() -> None:
    outside = contextvars.copy_context()
    custody = Custody()
    custody.enter()
    elsewhere = asyncio.create_task(forever(), context=outside)
    custody.leave()
    assert len(custody) == 0
    custody.cancel(lambda: None)
    await asyncio.sleep(0)
    assert not elsewhere.done()
    elsewhere.cancel()
