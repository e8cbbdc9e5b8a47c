"""Settings in a running test: they reach every worker, all or none, and are recorded; the environment wins."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from amoc.errors import BadInput, Failed
from tests.support.local import IDLE, LocalNode, local

OBSERVED = """
import asyncio
from amoc import config
from amoc.config import Setting
from amoc.metrics import gauge

SETTINGS = [
    Setting("rounds", int, 3, "rounds"),
    Setting("room", str, doc="a room"),
    Setting("token", str, "", "a secret", secret=True),
]


async def start(user_id):
    while True:
        gauge(f"rounds_{user_id}").set(config.get("rounds"))
        gauge(f"interval_{user_id}").set(config.get("repeat_interval"))
        gauge(f"token_{user_id}").set(len(config.get("token")))
        config.get("room")
        await asyncio.sleep(0.02)
"""
QUICK = """
from amoc.metrics import increment


async def start(user_id):
    increment("runs")
"""


async def seen(node: LocalNode, **wanted: Any) -> None:
    """Wait until users 1 and 2, who are in two workers, see these values."""
    names = {f"{name}_{user}": float(value) for name, value in wanted.items() for user in (1, 2)}
    deadline = time.monotonic() + 60
    while True:
        metrics = (await node.op("local.status"))["metrics"]
        found = {name: metrics.get(name, {}).get("value") for name in names}
        if found == names:
            return
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.02)


async def test_a_change_reaches_every_user(tmp_path: Path) -> None:
    async with local(tmp_path, {"observed": OBSERVED}) as node:
        await node.do("observed", 1, 2, rounds=5, room="lobby")
        await seen(node, rounds=5, interval=60000)
        assert await node.op("config.set", "rounds", 7) == {"rounds": 7}
        assert await node.op("config.set", "repeat_interval", 1500) == {"repeat_interval": 1500.0}
        await seen(node, rounds=7, interval=1500)
        assert (await node.op("config.all"))["rounds"] | {"doc": ""} == {
            "value": 7,
            "source": "runtime",
            "type": "int",
            "default": 3,
            "doc": "",
            "change": "live",
        }
        assert await node.op("config.unset", "rounds") == 3
        assert await node.op("config.get", "rounds") == 3
        await seen(node, rounds=3, interval=1500)
        status = await node.op("local.status")
        assert status["run"]["settings"] == {
            "interarrival": 0.0,
            "repeat_interval": 1500.0,
            "room": "lobby",
        }
        assert [e["text"] for e in status["events"] if e["event"] == "settings"] == [
            "settings changed: rounds = 7",
            "settings changed: repeat_interval = 1500",
            "settings changed: rounds taken back",
        ]


async def test_a_value_that_the_scenario_needs_cannot_be_taken_back(tmp_path: Path) -> None:
    async with local(tmp_path, {"observed": OBSERVED}) as node:
        assert "setting room has no value" in await node.refused(BadInput, "local.do", "observed", 1, 2)
        await node.do("observed", 1, 2, room="lobby")
        assert "setting room has no value" in await node.refused(BadInput, "config.unset", "room")
        await node.op("config.set", "room", "hall")
        assert await node.op("config.get", "room") == "hall"
        await node.until_users(running=2, failed=0)


async def test_several_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    async with local(tmp_path, {"observed": OBSERVED}) as node:
        await node.do("observed", 1, 2, room="lobby")
        await asyncio.gather(
            node.op("config.set", "rounds", 8),
            node.op("config.set", "token", "xyz"),
            node.op("config.set", "repeat_interval", 10),
        )
        await seen(node, rounds=8, token=3, interval=10)
        assert await node.op("config.get", "room") == "lobby"


async def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    async with local(tmp_path, {"observed": OBSERVED}) as node:
        replies = [
            await node.op("config.set", "xmpp_password", "hunter2"),
            await node.do("observed", 1, 2, room="lobby", token="hunter2"),
        ]
        await seen(node, token=7)
        replies.append(await node.op("config.set", "token", "hunter2hunter2"))
        await seen(node, token=14)
        replies += [await node.op("config.get", "token"), await node.op("config.get", "xmpp_password")]
        with pytest.raises(BadInput) as refusal:
            await node.op("config.set", "token", ["hunter2"])
        replies += [await node.op("config.all"), await node.op("local.status"), str(refusal.value)]
        await node.op("local.stop")
        replies += [await node.op("config.all"), await node.op("local.status"), node.events]
        assert "hunter2" not in repr(replies)
        assert replies[0] == {"xmpp_password": "***"}


async def test_a_change_while_a_test_begins_is_not_lost(tmp_path: Path) -> None:
    slow = "import asyncio\nasync def setup():\n    await asyncio.sleep(0.5)\n" + OBSERVED
    async with local(tmp_path, {"slow": slow}) as node:
        starting = asyncio.ensure_future(node.do("slow", 1, 2, room="lobby"))
        async with asyncio.timeout(60):
            while not node.context.master.state.active():
                await asyncio.sleep(0.01)
        await node.op("config.set", "rounds", 9)
        await node.op("config.set", "repeat_interval", 20)
        assert not starting.done()
        await starting
        await seen(node, rounds=9, interval=20)


async def test_a_change_that_meets_the_end_changes_nothing(tmp_path: Path) -> None:
    """The check of a scenario's setting takes a while; the run is over when it comes back."""
    slow = "import time\ntime.sleep(0.6)\n" + OBSERVED
    async with local(tmp_path, {"slow": slow}, workers=1) as node:
        await node.do("slow", 1, 2, room="lobby")
        changing = asyncio.ensure_future(node.op("config.set", "rounds", 9))
        await asyncio.sleep(0)
        await node.op("local.stop", force=True)
        with pytest.raises(Failed, match="the test ended meanwhile: nothing was changed"):
            await changing
        with pytest.raises(BadInput, match="unknown setting 'rounds'"):
            await node.op("config.get", "rounds")
        assert not [e for e in node.events if e["event"] == "settings"]


async def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMOC_rounds", "11")
    monkeypatch.setenv("AMOC_REPEAT_INTERVAL", "2500")
    async with local(tmp_path, {"observed": OBSERVED}) as node:
        await node.do("observed", 1, 2, rounds=5, room="lobby", repeat_interval=10)
        await seen(node, rounds=11, interval=2500)
        assert await node.op("config.set", "rounds", 7) == {"rounds": 11}
        assert await node.op("config.set", "repeat_interval", 7) == {"repeat_interval": 2500.0}
        assert (await node.op("config.all"))["rounds"]["source"] == "env"
        entry = (await node.op("config.all"))["repeat_interval"]
        assert (entry["source"], entry["shadowed"]) == ("env", True)
        await seen(node, rounds=11, interval=2500)


async def test_the_rate_follows_interarrival_in_mid_ramp(tmp_path: Path) -> None:
    """At 100 ms the last of 400 users would start after 40 s; at 2 ms after less than one."""
    async with local(tmp_path, {"idle": IDLE}) as node:
        began = time.monotonic()
        await node.do("idle", 1, 400, interarrival=100)
        users = await node.until(lambda u: u["starts"] >= 5)
        assert users["starts"] <= (time.monotonic() - began) / 0.1 + 2
        assert users["planned"] > 300
        await node.op("config.set", "interarrival", 2)
        await node.until_users(starts=400, running=400, timeout=10)
        assert (await node.op("local.status"))["run"]["interval"] == 2.0
        began = time.monotonic()
        await node.op("config.set", "user_rate", 6000)  # per minute: one in 10 ms
        await node.op("local.add", 100)  # takes its place behind the ramp, at the new rate
        await node.until_users(starts=500, running=500, timeout=10)
        assert time.monotonic() - began >= 0.99


async def test_a_ramp_is_extended_by_add_and_cut_by_remove(tmp_path: Path) -> None:
    async with local(tmp_path, {"idle": IDLE}) as node:
        await node.do("idle", 1, 200, interarrival=20)
        await node.op("local.add", 10)
        assert await node.op("local.remove", 195) == {"local": {"removed": 195}}  # most have not started
        users = await node.until(lambda u: u["running"] + u["leaving"] + u["removed"] == 210)
        assert (users["wanted"], users["running"], users["planned"]) == (15, 15, 0)
        assert users["starts"] == users["running"] + users["leaving"]


async def test_repeat_interval_and_number_in_a_run(tmp_path: Path) -> None:
    async with local(tmp_path, {"quick": QUICK}) as node:
        await node.do("quick", 1, 10, repeat_interval=3_600_000)
        await node.until_users(waiting=10, starts=10)
        await node.op("config.set", "repeat_interval", 1)  # for whoever begins to wait from now on
        await node.op("local.add", 10)
        await node.until(lambda u: u["starts"] >= 100)
        await node.op("config.set", "repeat_num", 0)
        users = await node.until_users(finished=10, waiting=10)
        assert users["wanted"] == 20
