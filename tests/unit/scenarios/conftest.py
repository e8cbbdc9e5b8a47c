"""Runs the sample scenarios in the test's own process, against an embedded server."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from amoc import config, metrics
from amoc.config import CORE, Config
from amoc.scenario import Scenario, Store, load
from amoc.xmpp import SETTINGS
from amoc.xmpp.server import EmbeddedServer, serve

ROOT = Path(__file__).resolve().parents[3]
STORE = Store([ROOT / "scenarios"])

Load = Callable[..., Scenario]


@pytest.fixture(autouse=True)
def settings() -> Iterator[Config]:
    """Settings and metrics of the test's own."""
    before, registry = config.current(), metrics.current()
    own = Config((*CORE, *SETTINGS), env={})
    config.use(own)
    metrics.use(metrics.Registry())
    yield own
    config.use(before)
    metrics.use(registry)


@pytest.fixture
def load_scenario(settings: Config) -> Iterator[Load]:
    """`load_scenario(name, **settings)`: the scenario as a worker loads it, with run-time settings."""
    modules, path = dict(sys.modules), list(sys.path)

    def load_it(name: str, **values: object) -> Scenario:
        scenario = load(STORE.source(name))
        settings.set_all(values)
        return scenario

    yield load_it
    for name in set(sys.modules) - set(modules):
        if name in STORE.names():
            del sys.modules[name]
    sys.path[:] = path


@pytest.fixture
async def embedded(settings: Config) -> AsyncIterator[EmbeddedServer]:
    """A server that anybody may log in to; the users of the test go there."""
    async with await serve() as running:
        settings.set("xmpp_servers", [f"127.0.0.1:{running.port}"])
        yield running
