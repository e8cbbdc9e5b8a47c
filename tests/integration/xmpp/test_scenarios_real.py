"""The sample scenarios that need more than messages, against real servers: they count what must have happened."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amoc import metrics
from amoc.config import Config
from amoc.metrics import Delta
from amoc.scenario import Scenario, Store, load
from amoc.xmpp import ConnectFailed, connect
from amoc.xmpp.ext import mam, muc, muc_admin
from tests.support.servers import Server

STORE = Store([Path(__file__).resolve().parents[3] / "scenarios"])
# a busy machine needs some time until all are there, and until all has arrived
QUICK = {"settle": 2.0, "rounds": 2, "pause": 0.1, "linger": 1.5}
USERS = range(1, 8)

Load = Callable[..., Scenario]


@pytest.fixture
def load_scenario(settings: Config) -> Iterator[Load]:
    """`load_scenario(name, **settings)`: the scenario as a worker loads it."""
    path = list(sys.path)

    def load_it(name: str, **values: object) -> Scenario:
        scenario = load(STORE.source(name))
        settings.set_all(QUICK | values)
        return scenario

    yield load_it
    for name in STORE.names():
        sys.modules.pop(name, None)
    sys.path[:] = path


async def run(scenario: Scenario, users: range) -> Delta:
    """Every user once, at the same time; what was counted."""
    state = (scenario.init(),) if scenario.init is not None else ()
    metrics.current().flush()
    async with asyncio.TaskGroup() as group:
        for user_id in users:
            group.create_task(scenario.start(user_id, *state))
    return metrics.current().flush()


def conversations(users: range, distance: int = 4) -> int:
    """How many messages the users send to each other in a round, and others are not there to get them."""
    return sum(1 for one in users for other in users if 0 < abs(one - other) <= distance)


async def test_in_band_registration(server: Server, settings: Config, load_scenario: Load) -> None:
    settings.set_all({"xmpp_domain": "scram.local", "xmpp_sasl": "PLAIN"})
    users = range(2001, 2008)
    scenario = load_scenario("mongoose_in_band_registration")
    counted = await run(scenario, users)
    assert counted.counters["accounts_created"] == len(users)
    assert counted.counters["amoc.counters.connections"] == len(users)
    assert counted.histograms["registration_time"].count == len(users)
    assert {f"user_{user}@scram.local" for user in users} <= set(server.accounts())
    # a new worker finds the accounts; the same worker does not ask twice
    registered: set[int] = set()
    settings.set_all({"rounds": 0, "settle": 0, "linger": 0})
    for _ in range(2):
        await scenario.start(2001, registered)
    counted = metrics.current().flush()
    assert counted.counters["accounts_existing"] == 1
    assert counted.counters.get("accounts_created", 0) == 0
    assert counted.counters["amoc.counters.connections"] == 2


async def test_mam(server: Server, settings: Config, accounts: Callable[..., None], load_scenario: Load) -> None:
    accounts(*USERS)
    for user in USERS:
        async with connect(user) as client:
            await mam.set_preferences(client, "always")
            before = len((await mam.last(client, 10)).messages)
            assert before == 0
    scenario = load_scenario("mongoose_mam_read_and_send_msgs_with_metrics", checker_every=3, neighbours=6)
    counted = await run(scenario, USERS)
    total = QUICK["rounds"] * conversations(USERS, 6)
    beyond = QUICK["rounds"] * sum(1 for one in USERS for other in range(8, 14) if other - one <= 6)
    assert counted.counters["messages_sent"] == total + beyond
    assert counted.counters["messages_received"] == total
    assert counted.counters.get("mam_messages_read", 0) == 0
    assert counted.histograms["mam_last_10_read"].count == len(USERS)
    assert counted.histograms["message_ttd"].count == 2 * QUICK["rounds"] * 6  # users 3 and 6
    again = await run(scenario, USERS)  # each has said and heard at least 24 messages
    assert again.counters["mam_messages_read"] == 10 * len(USERS)


async def test_muc(server: Server, load_scenario: Load) -> None:
    values = {"muc_service": "conference.localhost", "rooms_per_user": 3, "users_per_room": 3, "retry": 0.1}
    scenario = load_scenario("mongoose_muc", checker_every=4, **values)
    rooms = {user: [f"room-{n}-{(user - 1 + n) // 3}" for n in range(3)] for user in USERS}
    members = Counter(room for mine in rooms.values() for room in mine)
    assert max(members.values()) == 3
    counted = await run(scenario, USERS)
    assert counted.counters["muc_rooms_joined"] == counted.histograms["muc_join_time"].count == 3 * len(USERS)
    assert counted.counters["muc_rooms_created"] == len(members)
    assert counted.counters["muc_messages_sent"] == QUICK["rounds"] * 3 * len(USERS)
    # all users are in before the first speaks
    assert counted.counters["muc_messages_received"] == QUICK["rounds"] * sum(n * n for n in members.values())
    assert counted.counters.get("muc_messages_bounced", 0) == 0
    heard = sum(members[room] for room in rooms[4])  # user 4 measures
    assert counted.histograms["message_ttd"].count == QUICK["rounds"] * heard


async def test_muc_that_may_not_join(server: Server, load_scenario: Load) -> None:
    scenario = load_scenario("mongoose_muc", muc_service="conference.localhost", rooms_per_user=1, users_per_room=1)
    async with connect(299) as owner:
        await muc.join(owner, "room-0-97@conference.localhost", "owner")
        await muc_admin.configure(owner, "room-0-97@conference.localhost", {"muc#roomconfig_membersonly": True})
        with pytest.raises(ExceptionGroup) as raised:
            await run(scenario, range(98, 99))
    assert raised.group_contains(muc.JoinRefused, match="registration-required")
    assert metrics.current().flush().counters["muc_joins_refused"] == 1


async def test_receipts_by_slixmpp(server: Server, load_scenario: Load) -> None:
    scenario = load_scenario("slixmpp_receipts", neighbours=6)
    before = server.counts()
    counted = await run(scenario, USERS)
    seen = await server.until(lambda now: (now - before).closed == len(USERS)) - before
    delivered = QUICK["rounds"] * conversations(USERS, 6)
    beyond = QUICK["rounds"] * sum(1 for one in USERS for other in range(8, 14) if other - one <= 6)
    assert counted.counters["messages_sent"] == delivered + beyond
    assert counted.counters["messages_received"] == counted.counters["receipts_received"] == delivered
    assert counted.counters["messages_bounced"] == seen.errors_out == beyond
    assert counted.histograms["receipt_time"].count == delivered
    assert seen.messages_out == 2 * delivered  # each with its receipt
    assert seen.messages_in == 2 * delivered + beyond
    assert counted.counters["amoc.counters.connections"] == seen.opened == len(USERS)
    assert "xmpp.disconnected" not in counted.counters


@pytest.fixture
def encrypted(server: Server) -> dict[str, object]:
    """The settings with which the users of mongoose_ssl_tcp_ws_bosh find the server."""
    return {
        "xmpp_ca_file": str(server.authority),
        "bosh_servers": [server.url("https")],
        "websocket_servers": [server.url("wss")],
    }


async def test_users_of_three_transports_talk(
    server: Server, load_scenario: Load, encrypted: dict[str, object]
) -> None:
    scenario = load_scenario("mongoose_ssl_tcp_ws_bosh", neighbours=12, **encrypted)
    users = range(1, 13)
    before = server.counts()
    counted = (await run(scenario, users)).counters
    # a session of BOSH whose goodbye came too late ends by the server's own clock, after 30 s
    seen = await server.until(lambda now: (now - before).closed == len(users)) - before
    beyond = sum(users)  # user 1 writes to user 13, user 2 to 13 and 14, …, who are not there
    assert counted["messages_received"] == seen.messages_out == 2 * conversations(users, 12)
    assert counted["messages_sent"] == seen.messages_in == 2 * (conversations(users, 12) + beyond)
    assert counted["amoc.counters.connections"] == seen.opened == len(users)


@pytest.mark.parametrize("user_id", [3, 1, 2])
async def test_none_of_them_trusts_anybody(load_scenario: Load, encrypted: dict[str, object], user_id: int) -> None:
    scenario = load_scenario("mongoose_ssl_tcp_ws_bosh", **encrypted | {"xmpp_ca_file": ""})
    with pytest.raises(ConnectFailed, match="certificate is not valid") as failed:
        await scenario.start(user_id)
    assert failed.value.step == "tls"
