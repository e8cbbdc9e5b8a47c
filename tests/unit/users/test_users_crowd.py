"""The lives of users on a real event loop: starts, repetition, failures, settings that change."""

import asyncio
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from amoc.config import Config
from amoc.metrics import Registry
from amoc.users import LATENESS, Leg, Tally
from amoc.users import crowd as crowd_module
from tests.unit.users.conftest import LOOPS, Make, People


async def forever(user_id: int) -> None:
    await asyncio.Event().wait()


async def nothing(user_id: int) -> None:
    pass


async def test_every_planned_user_runs_once(people: Make) -> None:
    seen: list[int] = []

    async def start(user_id: int) -> None:
        seen.append(user_id)

    some = people(start)
    some.crowd.plan([Leg(2, 20, 2, monotonic(), 0.001), Leg(1, 19, 2, monotonic(), 0.0)])
    assert await some.until(finished=20) == Tally(finished=20, starts=20)
    assert sorted(seen) == list(range(1, 21))
    assert sorted(some.crowd.take_ended()) == list(range(1, 21))
    assert some.crowd.take_ended() == []
    assert len(some.crowd) == 0


async def test_starts_are_on_time_and_lateness_is_counted(people: Make, registry: Registry) -> None:
    begun = monotonic()
    some = people(nothing)
    some.come(10, spacing=0.01)
    await some.until(finished=10)
    assert monotonic() - begun >= 0.09 - 0.001
    lateness = registry.histogram(LATENESS).take()
    assert lateness is not None
    assert lateness.count == 10
    assert lateness.points()["max"] < 1e6


async def test_state_of_init_is_handed_on_as_it_is(people: Make) -> None:
    state, seen = object(), []

    async def start(user_id: int, given: Any) -> None:
        seen.append((user_id, given))

    some = people(start, state, takes_state=True)
    some.come(1)
    await some.until(finished=1)
    assert seen == [(1, state)]


@pytest.mark.parametrize(("again", "starts"), [(0, 1), (1, 2), (5, 6)])
async def test_repeat_num_is_how_often_a_user_runs_again(
    people: Make, settings: Config, again: int, starts: int
) -> None:
    settings.set("repeat_num", again)
    some = people(nothing)
    some.come(3)
    assert await some.until(finished=3) == Tally(finished=3, starts=3 * starts)


async def test_repetition_is_endless_by_default_and_changes_live(people: Make, settings: Config) -> None:
    settings.unset("repeat_num")
    runs = 0

    async def start(user_id: int) -> None:
        nonlocal runs
        runs += 1

    some = people(start)
    some.come(1)
    async with asyncio.timeout(30):
        while runs < 50:
            await asyncio.sleep(0)
    settings.set("repeat_num", 10)  # it has run more often already
    await some.until(finished=1)


async def test_a_user_waits_for_its_repetition(people: Make, settings: Config) -> None:
    settings.set_all({"repeat_num": 1, "repeat_interval": 100})
    some = people(nothing)
    some.come(2)
    waiting = await some.until(waiting=2)
    assert waiting == Tally(waiting=2, starts=2)
    begun = monotonic()
    await some.until(finished=2, starts=4)
    assert monotonic() - begun > 0.05


async def test_a_failure_ends_one_user_and_no_other(people: Make) -> None:
    async def start(user_id: int) -> None:
        if user_id == 3:
            raise ValueError("three is too many")
        await asyncio.Event().wait()

    some = people(start)
    some.come(5)
    tally = await some.until(failed=1, running=4)
    assert tally.starts == 5
    assert some.crowd.take_ended() == [3]
    (failure,) = some.crowd.errors.take()
    assert (failure.type, failure.text, failure.first_user) == ("ValueError", "ValueError: three is too many", 3)
    assert failure.where == "start"
    assert failure.count == 1


async def test_an_exception_group_is_counted_by_what_is_in_it(people: Make) -> None:
    async def fail() -> None:
        raise KeyError("inner")

    async def start(user_id: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(forever(user_id))

    some = people(start)
    some.come(2)
    await some.until(failed=2)
    assert [(f.type, f.count) for f in some.crowd.errors.take()] == [("KeyError", 2)]


async def test_a_user_that_cancels_itself_has_failed(people: Make) -> None:
    async def start(user_id: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(10)

    some = people(start)
    some.come(1)
    await some.until(failed=1)
    assert [f.type for f in some.crowd.errors.take()] == ["CancelledError"]


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, StopIteration])
async def test_a_decorator_that_raises_fails_its_user_and_the_others_start(
    people: Make, error: type[BaseException]
) -> None:
    """`start(1)` raises before there is a coroutine, in the loop's own callback."""

    async def start(user_id: int) -> None:
        pass

    some = people(start)

    def wrapper(user_id: int) -> Any:
        if user_id == 1:
            raise error
        return start(user_id)

    object.__setattr__(some.crowd._scenario, "start", wrapper)
    some.come(3)
    assert await some.until(failed=1, finished=2) == Tally(failed=1, finished=2, starts=3)
    assert [f.type for f in some.crowd.errors.take()] == [error.__name__]


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("exits", [SystemExit, KeyboardInterrupt])
def test_sys_exit_ends_the_user_and_not_the_loop(
    kind: str, settings: Config, registry: Registry, exits: type[BaseException]
) -> None:
    """The exception comes out of the loop, which is then run on, as the worker does."""
    loop = LOOPS[kind]()
    interrupted = 0

    async def start(user_id: int) -> None:
        await asyncio.sleep(0.001 * user_id)
        if user_id % 2:
            raise exits

    async def scene() -> None:
        some = People(start, None, False, True)
        some.come(4)
        await some.until(finished=2, failed=2)
        assert [(f.type, f.count) for f in some.crowd.errors.take()] == [(exits.__name__, 2)]

    done = loop.create_task(scene())
    done.add_done_callback(lambda _: loop.stop())
    try:
        while not done.done():
            try:
                loop.run_forever()
            except exits:
                interrupted += 1
        done.result()
    finally:
        loop.close()
    assert 1 <= interrupted <= 2  # two that are late leave the loop in the same turn


async def test_thousands_at_once_leave_room_for_others(people: Make) -> None:
    """1000 users without spacing are started in batches: the loop turns in between."""
    some = people(forever)
    turns = 0
    some.come(1000)
    while some.crowd.tally().running < 1000:
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 1000 // crowd_module.START_BATCH


async def test_pace_changes_while_users_come(people: Make) -> None:
    some = people(forever)
    some.come(500, spacing=10.0)
    await some.until(running=1)
    some.crowd.repace(monotonic(), 0.0)
    await some.until(running=500)


async def test_users_are_a_gauge(people: Make, registry: Registry) -> None:
    some = people(forever)
    some.come(7)
    await some.until(running=7)
    assert registry.gauge("amoc.users").take() == 7


# Plain functions, in threads


async def test_a_plain_start_runs_in_a_thread_of_its_own(people: Make, settings: Config) -> None:
    settings.set("repeat_num", 1)
    threads = []

    def start(user_id: int) -> None:
        threads.append(threading.current_thread())
        if user_id == 2:
            raise OSError("no")

    some = people(start)
    some.come(2)
    assert await some.until(finished=1, failed=1) == Tally(finished=1, failed=1, starts=3)
    assert len(set(threads)) == 3
    assert threading.main_thread() not in threads
    assert [f.type for f in some.crowd.errors.take()] == ["OSError"]


@pytest.mark.parametrize("end", ["drop", "stop"])
async def test_a_thread_ends_at_its_next_instruction_when_removed(people: Make, end: str) -> None:
    let_go, cleaned = threading.Event(), threading.Event()

    def start(user_id: int) -> None:
        try:
            while not let_go.wait(0.005):
                pass
        finally:
            cleaned.set()

    some = people(start)
    some.come(1)
    await some.until(running=1)
    if end == "drop":
        assert some.crowd.drop([1], force=True) == 1
        await some.until(removed=1)
    else:
        some.crowd.stop()
        await some.until(stopped=1)
    assert cleaned.is_set()


async def test_removal_at_the_very_end_of_a_thread_loses_nobody(people: Make) -> None:
    """Cancelled at any moment, a thread's user ends: the exception never hits the code that tells its end."""
    some = people(lambda user_id: None)
    for first in range(1, 400, 20):
        some.come(first + 19, first)
        await asyncio.sleep(0)
        some.crowd.drop(range(first, first + 20), force=True)
    tally = await some.until(running=0, planned=0)
    assert tally.removed + tally.finished == 400


async def test_a_thread_in_a_system_call_is_given_up(
    people: Make, monkeypatch: pytest.MonkeyPatch, quick: Callable[[], None]
) -> None:
    let_go = threading.Event()
    some = people(lambda user_id: let_go.wait(20) and None)
    some.come(1)
    await some.until(running=1)
    some.crowd.drop([1], force=True)
    await some.until(stuck=1)
    let_go.set()


async def test_a_decorated_async_start_is_refused_readably(people: Make) -> None:
    """A plain wrapper around an async function: calling it in a thread would do nothing and look fine."""
    some = people(lambda user_id: nothing(user_id))
    some.come(1)
    await some.until(failed=1)
    (failure,) = some.crowd.errors.take()
    assert "async def" in failure.text


# Removal


async def test_who_had_no_turn_to_end_in_is_not_given_up(people: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop was held up for ten seconds after the users were cancelled."""
    ahead = 0.0
    monkeypatch.setattr(crowd_module, "monotonic", lambda: monotonic() + ahead)

    async def start(user_id: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()  # until it is cancelled again

    some = people(start)
    some.come(50)
    await some.until(running=50)
    assert some.crowd.drop(range(1, 51), force=True) == 50
    ahead = 10.0
    assert await some.until(removed=50) == Tally(removed=50, starts=50)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users that do not end are given up ten times sooner."""
    monkeypatch.setattr(crowd_module, "CANCEL_AGAIN", (0.05, 0.15))
    monkeypatch.setattr(crowd_module, "GIVE_UP", 0.25)


async def test_gentle_removal_lets_a_run_end_and_does_not_repeat_it(people: Make, settings: Config) -> None:
    settings.unset("repeat_num")
    go = asyncio.Event()

    async def start(user_id: int) -> None:
        await go.wait()

    some = people(start)
    some.come(4)
    await some.until(running=4)
    assert some.crowd.drop([2, 3, 99], force=False) == 2
    assert some.crowd.drop([2], force=False) == 0  # counted once
    assert some.crowd.tally() == Tally(running=2, leaving=2, starts=4)
    go.set()
    await some.until(removed=2, leaving=0)
    assert sorted(some.crowd.take_ended()) == [2, 3]


async def test_gentle_removal_ends_a_waiting_user_at_once(people: Make, settings: Config) -> None:
    settings.set_all({"repeat_num": 5, "repeat_interval": 1_000_000})
    some = people(nothing)
    some.come(3)
    await some.until(waiting=3)
    assert some.crowd.drop([3], force=False) == 1
    assert some.crowd.tally() == Tally(waiting=2, removed=1, starts=3)


@pytest.mark.parametrize("force", [False, True])
async def test_a_planned_user_is_never_started(people: Make, force: bool) -> None:
    some = people(forever)
    some.come(5, spacing=1000.0)
    await some.until(running=1)
    assert some.crowd.drop([4, 5], force) == 2
    assert some.crowd.tally() == Tally(planned=2, running=1, removed=2, starts=1)
    assert some.crowd.take_ended() == [4, 5]


async def test_forced_removal_cancels(people: Make) -> None:
    cancelled = []

    async def start(user_id: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(user_id)
            raise

    some = people(start)
    some.come(3)
    await some.until(running=3)
    assert some.crowd.drop([1, 2], force=True) == 2
    assert some.crowd.drop([1, 2], force=True) == 0
    assert await some.until(removed=2) == Tally(running=1, removed=2, starts=3)
    assert cancelled == [1, 2]


async def test_who_leaves_gently_can_be_forced(people: Make) -> None:
    some = people(forever)
    some.come(1)
    await some.until(running=1)
    assert some.crowd.drop([1], force=False) == 1
    assert some.crowd.drop([1], force=True) == 0  # it was counted as removed before
    assert await some.until(removed=1) == Tally(removed=1, starts=1)


async def test_a_failure_while_being_removed_is_counted_as_such(people: Make) -> None:
    async def start(user_id: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("cannot close")

    some = people(start)
    some.come(1)
    await some.until(running=1)
    some.crowd.drop([1], force=True)
    assert await some.until(failed=1) == Tally(failed=1, starts=1)


@pytest.mark.parametrize("times", [1, 2])
async def test_swallowed_cancellation_is_repeated(people: Make, times: int, quick: None) -> None:
    async def start(user_id: int) -> None:
        for _ in range(times):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue
        await asyncio.Event().wait()

    some = people(start)
    some.come(1)
    await some.until(running=1)
    some.crowd.drop([1], force=True)
    assert await some.until(removed=1) == Tally(removed=1, starts=1)


async def test_who_never_ends_is_stuck_and_given_up(people: Make, quick: None) -> None:
    let_go = asyncio.Event()

    async def start(user_id: int) -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        if user_id == 1:
            raise ValueError("late")

    some = people(start)
    some.come(3)
    await some.until(running=3)
    some.crowd.drop([1], force=True)
    assert await some.until(stuck=1) == Tally(running=2, stuck=1, starts=3)
    assert some.crowd.take_ended() == [1]
    some.crowd.drop([2], force=False)
    some.crowd.stop()
    assert await some.until(stuck=3) == Tally(stuck=3, starts=3)
    let_go.set()
    await asyncio.sleep(0)
    assert some.crowd.tally() == Tally(stuck=3, starts=3)  # what it does later is no longer counted
    assert some.crowd.errors.total == 0


def test_two_seconds_are_enough_to_give_up() -> None:
    assert max(crowd_module.CANCEL_AGAIN) < crowd_module.GIVE_UP < 2


async def test_stop_ends_everybody(people: Make, settings: Config) -> None:
    """Running, waiting, leaving, planned: nobody is started any more, and each is counted once."""
    settings.set_all({"repeat_num": 5, "repeat_interval": 1_000_000})

    async def start(user_id: int) -> None:
        if user_id > 2:
            await asyncio.Event().wait()

    some = people(start)
    some.come(5)
    some.come(9, first=6, spacing=1000.0)
    await some.until(waiting=2, running=4)
    some.crowd.drop([5], force=False)
    some.crowd.stop()
    async with asyncio.timeout(30):
        await some.crowd.emptied.wait()
    assert some.crowd.tally() == Tally(removed=1, stopped=5, starts=6)
    some.come(20, first=15)
    some.crowd.repace(monotonic(), 0.5)
    some.crowd.stop()
    assert some.crowd.tally() == Tally(removed=1, stopped=5, starts=6)
