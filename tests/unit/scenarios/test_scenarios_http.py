"""http_simple against a small web server: what is counted, and that its connections are closed at the end."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from amoc import metrics
from amoc.metrics import Delta
from amoc.scenario import Scenario

Load = Callable[..., Scenario]


@dataclass
class Site:
    """A page that answers with `status`; `seen` counts the requests."""

    server: TestServer = field(init=False)
    status: int = 200
    seen: int = 0

    async def page(self, request: web.Request) -> web.Response:
        self.seen += 1
        return web.Response(text="hello" * 1000, status=self.status)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    application = web.Application()
    application.router.add_get("/", site.page)
    site.server = TestServer(application)
    await site.server.start_server()
    yield site
    await site.server.close()


async def run(scenario: Scenario) -> Delta:
    """One user's life with init and terminate around it; what it counted."""
    assert scenario.init is not None
    assert scenario.terminate is not None
    session = await scenario.init()
    try:
        await scenario.start(1, session)
    finally:
        await scenario.terminate(session)
    return metrics.current().flush()


async def test_requests_are_counted_and_timed(load_scenario: Load, site: Site) -> None:
    scenario = load_scenario("http_simple", url=str(site.server.make_url("/")), requests=5, pause=0)
    counted = await run(scenario)
    assert counted.counters == {"http_requests": 5, "http_errors": 0}
    assert counted.histograms["http_time"].count == site.seen == 5
    assert 0 < counted.histograms["http_time"].min < 10e6


async def test_error_statuses_count_as_requests_and_as_errors(load_scenario: Load, site: Site) -> None:
    site.status = 503
    scenario = load_scenario("http_simple", url=str(site.server.make_url("/")), requests=3, pause=0)
    assert (await run(scenario)).counters == {"http_requests": 3, "http_errors": 3}


async def test_a_server_that_is_not_there_is_an_error_not_an_exception(load_scenario: Load, site: Site) -> None:
    url = str(site.server.make_url("/"))
    await site.server.close()
    counted = await run(load_scenario("http_simple", url=url, requests=2, pause=0))
    assert counted.counters == {"http_requests": 0, "http_errors": 2}
    assert counted.histograms["http_time"].count == 0
