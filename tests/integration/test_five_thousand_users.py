"""5,000 users on this machine, logged in to one ejabberd at once for a minute: none is lost, and all of them are heard.

Users come in pairs, who write to each other. The server's own count of sessions is the judge through the whole minute.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.local import LocalNode, local
from tests.support.servers import Ejabberd

USERS = 5_000
MINUTE = 60.0
INTERARRIVAL = 4.0  # ms: 250 logins a second leave a part of two cores free
PAIRS = """
import asyncio
import random

from amoc import config, metrics
from amoc.config import Setting
from amoc.xmpp import connect, jid_of

SETTINGS = [
    Setting("talking", bool, False, "whether users write to each other"),
    Setting("pause", float, 10.0, "seconds between two messages of a user"),
]


async def start(user_id):
    other = user_id + 1 if user_id % 2 else user_id - 1
    heard = 0

    def hear(message):
        nonlocal heard
        wrong = message.get("type") == "error" or message.get("from") != jid_of(other) + "/res1"
        metrics.increment("misdirected" if wrong else "heard_by_odd" if user_id % 2 else "heard_by_even")
        heard += 1
        if heard == 1:
            metrics.increment("ears")

    async with connect(user_id) as client:
        client.ignore("presence")
        client.on("message", hear)
        client.send_presence()
        metrics.increment("present")
        rested = random.uniform(0, config.get("pause"))
        while client.connected:
            await asyncio.sleep(1 + random.random())
            rested += 1.5
            if config.get("talking") and rested >= config.get("pause"):
                rested = 0
                client.send_message(jid_of(other), "hello")
                metrics.increment("said_by_odd" if user_id % 2 else "said_by_even")
    metrics.increment("dropped")
"""


@pytest.mark.ejabberd
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_none_is_lost_in_a_minute(ejabberd: Ejabberd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = ejabberd.counts()
    async with local(tmp_path, {"pairs": PAIRS}) as node:
        settings = {"xmpp_servers": [ejabberd.address], "xmpp_tls": "never", "xmpp_close_timeout": 10.0}
        await node.do("pairs", 1, USERS, interarrival=INTERARRIVAL, repeat_num=0, **settings)
        await counted(node, seconds=120, present=USERS)
        assert sessions(ejabberd, before) == (USERS, USERS)

        await node.op("config.set", "talking", True)
        began = time.monotonic()
        looks = 0
        while time.monotonic() < began + MINUTE:
            assert await asyncio.to_thread(sessions, ejabberd, before) == (USERS, USERS)
            users = await node.users()
            assert (users["running"], users["failed"], users["starts"]) == (USERS, 0, USERS)
            looks += 1
            await asyncio.sleep(1)
        assert looks > MINUTE / 3

        await node.op("config.set", "talking", False)
        totals = await quiet(node)
        seen = ejabberd.counts() - before
        print(f"{totals}, {seen}, looked at {looks} times")
        assert totals["ears"] == USERS, "somebody was never written to"
        assert totals["heard_by_odd"] == totals["said_by_even"]
        assert totals["heard_by_even"] == totals["said_by_odd"]
        said = totals["said_by_odd"] + totals["said_by_even"]
        assert said > USERS * MINUTE / 20
        assert (seen.messages_in, seen.messages_out, seen.errors_in, seen.errors_out) == (said, said, 0, 0)
        assert totals["amoc.counters.connections"] == USERS
        for trouble in ("amoc.counters.connection_failures", "xmpp.disconnected", "misdirected", "dropped"):
            assert totals.get(trouble, 0) == 0, trouble
        assert sessions(ejabberd, before) == (USERS, USERS)

        await node.op("local.stop")
        gone = await ejabberd.until(lambda now: now.closed - before.closed == USERS, timeout=60)
        assert gone.opened - before.opened == USERS
        status = await node.op("local.status")
        assert status["errors"] == []
        assert status["users"]["failed"] == 0


def sessions(ejabberd: Ejabberd, before: Any) -> tuple[int, int]:
    """How many there are, by what has come and gone at the connections, and by the server's own table."""
    return (ejabberd.counts() - before).sessions, ejabberd.api("connected_users_number")["num_sessions"]


async def totals_of(node: LocalNode) -> dict[str, int]:
    metrics = (await node.op("local.status"))["metrics"]
    return {name: int(found["value"]) for name, found in metrics.items() if "value" in found}


async def counted(node: LocalNode, seconds: float, **wanted: int) -> None:
    """Wait until these counters have these values; nobody may fail meanwhile."""
    deadline = time.monotonic() + seconds
    while (totals := await totals_of(node)).items() & wanted.items() != wanted.items():
        assert time.monotonic() < deadline, totals
        assert (await node.users())["failed"] == 0
        await asyncio.sleep(0.2)


async def quiet(node: LocalNode) -> dict[str, int]:
    """Wait until all that was said was heard, and no more is said; the totals then."""
    deadline = time.monotonic() + 100
    last: dict[str, int] = {}
    since = time.monotonic()
    while time.monotonic() < since + 5:  # users look at the setting every other second, workers report every second
        totals = await totals_of(node)
        if totals != last:
            last, since = totals, time.monotonic()
        assert time.monotonic() < deadline, totals
        await asyncio.sleep(0.2)
    return last
