"""The XMPP tests' surroundings: settings of their own, and an embedded server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import uvloop

from amoc import config, metrics
from amoc.config import CORE, Config
from amoc.xmpp.core import parser, shared
from amoc.xmpp.server import EmbeddedServer, serve
from amoc.xmpp.settings import SETTINGS


@pytest.fixture(autouse=True)
def settings() -> Iterator[Config]:
    """A Config of the test's own, with a registry of metrics of its own."""
    before, registry = config.current(), metrics.current()
    own = Config((*CORE, *SETTINGS), env={})
    config.use(own)
    metrics.use(metrics.Registry())
    yield own
    config.use(before)
    metrics.use(registry)


@pytest.fixture(scope="module", params=["compiled", "python"])
def each_parser(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test once with the compiled parser and once with that in Python."""
    compiled = shared.compiled
    if request.param == "compiled" and compiled is None:
        pytest.skip("not compiled: apt-get install gcc libc6-dev python3-dev, and install amoc again")
    if request.param == "python":
        shared.compiled = None
    parser._shared.renew()
    yield
    shared.compiled = compiled
    parser._shared.renew()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each asynchronous test once with asyncio's loop and once with uvloop's, which workers use."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def embedded(settings: Config) -> AsyncIterator[EmbeddedServer]:
    """An embedded server that anybody may log in to, and that clients connect to by default."""
    async with await serve() as running:
        settings.set("xmpp_servers", [f"127.0.0.1:{running.port}"])
        yield running
