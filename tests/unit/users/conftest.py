"""A crowd on a real event loop, stock asyncio's and uvloop, with settings and metrics of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from time import monotonic
from typing import Any

import pytest
import uvloop

from amoc import config, metrics
from amoc.config import Config
from amoc.metrics import Registry
from amoc.scenario import Scenario
from amoc.users import Crowd, Leg, Tally

Start = Callable[..., Any]
Make = Callable[..., "People"]


class People:
    """A crowd and what a test does with it."""

    def __init__(self, start: Start, state: Any, takes_state: bool, is_async: bool) -> None:
        scenario = Scenario("people", "1", "", (), start, takes_state, is_async, None, None, False, None, None)
        self.crowd = Crowd(scenario, state, asyncio.get_running_loop())

    def come(self, last: int, first: int = 1, spacing: float = 0.0) -> None:
        """Plan users, from now on."""
        self.crowd.plan([Leg(first, last, 1, monotonic(), spacing)])

    async def until(self, seconds: float = 30.0, **counts: int) -> Tally:
        """Wait until the tally has these counts."""
        deadline = monotonic() + seconds
        while True:
            tally = self.crowd.tally()
            if all(getattr(tally, name) == number for name, number in counts.items()):
                return tally
            assert monotonic() < deadline, (counts, tally)
            await asyncio.sleep(0.002)


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each asynchronous test on both loops: workers run on uvloop, and the crowd must not depend on it."""
    return LOOPS


@pytest.fixture
def settings() -> Iterator[Config]:
    """Fresh settings: nobody is repeated unless a test says so."""
    before, own = config.current(), Config(env={}, runtime={"repeat_num": 0, "repeat_interval": 0})
    config.use(own)
    yield own
    config.use(before)


@pytest.fixture
def registry() -> Iterator[Registry]:
    """Fresh metrics."""
    before, own = metrics.current(), Registry()
    metrics.use(own)
    yield own
    metrics.use(before)


@pytest.fixture
async def people(settings: Config, registry: Registry) -> AsyncIterator[Make]:
    """Makes a crowd of a `start` function; all users are gone at the end."""
    made: list[People] = []

    def make(start: Start, state: Any = None, takes_state: bool = False) -> People:
        made.append(People(start, state, takes_state, asyncio.iscoroutinefunction(start)))
        return made[-1]

    yield make
    for one in made:
        one.crowd.stop()
        await asyncio.wait_for(one.crowd.emptied.wait(), 30)
