"""slixmpp_receipts against the embedded server: what it counts, and what it makes of a lost connection."""

import asyncio
from collections.abc import Callable

import pytest

from amoc import metrics
from amoc.scenario import Scenario
from amoc.xmpp import Disconnected
from amoc.xmpp.server import EmbeddedServer

pytestmark = pytest.mark.slow  # whole scenarios, in real time

Load = Callable[..., Scenario]


async def test_each_message_that_arrives_is_confirmed(load_scenario: Load, embedded: EmbeddedServer) -> None:
    scenario = load_scenario("slixmpp_receipts", settle=1.0, rounds=3, pause=0.05, neighbours=2, linger=0.5)
    async with asyncio.TaskGroup() as group:
        for user_id in range(1, 6):
            group.create_task(scenario.start(user_id))
    delivered = 3 * (2 + 3 + 4 + 3 + 2)  # to the neighbours who are there
    bounced = 3 * (1 + 2)  # of users 4 and 5, to users 6 and 7
    delta = metrics.current().flush()
    expected = {
        "amoc.counters.connections": 5,
        "messages_sent": delivered + bounced,
        "messages_received": delivered,
        "messages_bounced": bounced,
        "receipts_received": delivered,
    }
    assert delta.counters == expected
    assert delta.histograms["receipt_time"].count == delivered
    assert 0 < delta.histograms["receipt_time"].max < 1e6
    assert embedded.sessions == 0


async def test_a_user_ends_with_its_connection(load_scenario: Load, embedded: EmbeddedServer) -> None:
    scenario = load_scenario("slixmpp_receipts", settle=30.0)
    user = asyncio.ensure_future(scenario.start(1))
    async with asyncio.timeout(30):
        while embedded.sessions < 1:
            await asyncio.sleep(0.01)
    await embedded.close()
    with pytest.raises(Disconnected, match="user 1 "):
        await asyncio.wait_for(user, 30)
