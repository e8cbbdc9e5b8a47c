"""The mongoose scenarios do what their docstrings say, and count what the server counts."""

import asyncio
import time
from collections.abc import Callable

import pytest

from amoc import metrics
from amoc.config import Config
from amoc.scenario import Scenario
from amoc.xmpp import Element, connect, jid_of
from amoc.xmpp.server import EmbeddedServer, serve

pytestmark = pytest.mark.slow  # whole scenarios, in real time

Load = Callable[..., Scenario]

QUICK = {"settle": 1.0, "rounds": 3, "pause": 0.05, "linger": 0.5}


async def run(scenario: Scenario, users: range) -> None:
    """Every user once, at the same time."""
    async with asyncio.TaskGroup() as group:
        for user_id in users:
            group.create_task(scenario.start(user_id))


async def test_simple(load_scenario: Load, embedded: EmbeddedServer) -> None:
    await run(load_scenario("mongoose_simple", **QUICK), range(1, 11))
    # users 1-10 have 8 neighbours each, but for those below 1
    pairs = sum(len([n for n in range(max(1, u - 4), u + 5) if n != u]) for u in range(1, 11))
    beyond = 4 + 3 + 2 + 1  # users 11 to 14 are written to, but are not there
    assert embedded.counters.logins == 10
    assert embedded.counters.messages_received == 3 * pairs
    assert embedded.counters.messages_routed == 3 * (pairs - beyond)
    assert embedded.sessions == 0


async def test_with_metrics_counts_what_the_server_counts(load_scenario: Load, embedded: EmbeddedServer) -> None:
    scenario = load_scenario("mongoose_simple_with_metrics", **QUICK)
    await run(scenario, range(1, 21))
    counted = metrics.current().flush()
    served = embedded.counters
    assert counted.counters["amoc.counters.connections"] == served.logins == 20
    assert counted.counters["messages_sent"] == served.messages_received > 0
    assert counted.counters["messages_received"] == served.messages_routed > 0
    assert counted.counters["messages_bounced"] == served.messages_bounced == 3 * (4 + 3 + 2 + 1)
    # users 10 and 20 measure: 8 and 4 neighbours wrote to them in each of 3 rounds
    ttd = counted.histograms["message_ttd"]
    assert ttd.count == 3 * (8 + 4)
    assert 0 < ttd.min <= ttd.max < 1e6


async def test_every_nth_user_measures(load_scenario: Load, embedded: EmbeddedServer) -> None:
    await run(load_scenario("mongoose_simple_with_metrics", **QUICK, checker_every=1, neighbours=1), range(1, 4))
    counted = metrics.current().flush()
    assert counted.histograms["message_ttd"].count == counted.counters["messages_received"] == 3 * 4


ODD = [
    Element("message", Element("body", "of another client")),
    Element("message", Element("{urn:amoc:sent}sent")),
    Element("message", Element("{urn:amoc:sent}sent", {"at": "yesterday"})),
    Element("message", Element("{urn:amoc:sent}sent", {"at": "-5"})),
    Element("message", Element("{urn:amoc:sent}sent", {"at": str(2**62)})),  # a clock that is ahead
    Element("message", Element("{urn:amoc:sent}sent", {"at": "1"}), Element("{urn:xmpp:delay}delay")),  # stored
    Element("message", Element("{urn:other}sent", {"at": "1"})),
]


async def test_messages_of_others_are_received_but_not_measured(load_scenario: Load, embedded: EmbeddedServer) -> None:
    scenario = load_scenario("mongoose_simple_with_metrics", **QUICK | {"rounds": 0, "linger": 1.0})
    checker = asyncio.create_task(scenario.start(10))
    async with connect(99) as stranger:
        async with asyncio.timeout(30):
            while embedded.sessions < 2:
                await asyncio.sleep(0.01)
        for odd in ODD:
            odd.attrs |= {"to": jid_of(10) + "/res1", "type": "chat"}
            stranger.send(odd)
        await checker
    counted = metrics.current().flush()
    assert counted.counters["messages_received"] == len(ODD)
    assert counted.histograms["message_ttd"].count == 0


async def test_reconnect_after_a_lost_connection_goes_on_where_it_was(load_scenario: Load, settings: Config) -> None:
    quick = {"settle": 0.1, "rounds": 4, "pause": 0.2, "linger": 0.1, "reconnect_after": 0.3, "neighbours": 1}
    first = await serve()
    settings.set("xmpp_servers", [f"127.0.0.1:{first.port}"])
    scenario = load_scenario("mongoose_simple_reconnect", **quick)
    user = asyncio.create_task(scenario.start(1))
    async with asyncio.timeout(30):
        while first.counters.messages_received < 2:
            await asyncio.sleep(0.01)
    began = time.monotonic()
    await first.close()
    async with await serve(port=first.port) as second:
        await user
        assert 0.3 < time.monotonic() - began < 20
        assert second.counters.logins == 1
        assert first.counters.messages_received + second.counters.messages_received == 4
    assert metrics.current().flush().counters["reconnects"] == 1


async def test_reconnect_after_failed_logins(load_scenario: Load, settings: Config) -> None:
    server = await serve()
    await server.close()  # nobody listens on its port now
    settings.set("xmpp_servers", [f"127.0.0.1:{server.port}"])
    quick = {"settle": 0, "rounds": 1, "pause": 0, "linger": 0, "reconnect_after": 0.05}
    reconnects = metrics.counter("reconnects")
    user = asyncio.create_task(load_scenario("mongoose_simple_reconnect", **quick).start(1))
    async with asyncio.timeout(30):
        while reconnects._value < 2:
            await asyncio.sleep(0.01)
    async with await serve(port=server.port) as again:
        await user
        assert again.counters.logins == 1


async def test_reconnecting_users_can_be_removed(load_scenario: Load, embedded: EmbeddedServer) -> None:
    user = asyncio.create_task(load_scenario("mongoose_simple_reconnect").start(1))
    async with asyncio.timeout(30):
        while not embedded.sessions:
            await asyncio.sleep(0.01)
    user.cancel()
    with pytest.raises(asyncio.CancelledError):
        await user
