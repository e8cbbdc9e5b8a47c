"""A test from do to stop and again: master, agent and real workers through the operations."""

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

import pytest

from amoc.errors import BadInput, Failed
from tests.support.local import IDLE, local

ENDING = """
import asyncio
from amoc import config
from amoc.config import Setting
from amoc.metrics import increment

SETTINGS = [Setting("nap", float, 0.0, "seconds that a user works")]


async def start(user_id):
    increment("runs")
    await asyncio.sleep(config.get("nap") * (user_id % 5))
"""


async def test_do_add_remove_stop_and_do_again(tmp_path: Path) -> None:
    async with local(tmp_path, {"idle": IDLE}) as node:
        assert (await node.op("local.status"))["state"] == "idle"
        assert (await node.users())["wanted"] == 0

        assert await node.do("idle", 1, 10) == {"local": {"users": [[1, 10, 1]]}}
        assert (await node.op("local.status"))["state"] == "running"
        await node.until_users(wanted=10, running=10, starts=10)

        assert await node.op("local.add", 5) == {"local": {"added": 5, "users": [[11, 15, 1]]}}
        await node.until_users(wanted=15, running=15)

        assert await node.op("local.remove", 4) == {"local": {"removed": 4}}
        await node.until_users(wanted=11, running=11, leaving=4)
        assert await node.op("local.remove", 6, force=True) == {"local": {"removed": 6}}
        await node.until_users(wanted=5, running=5, leaving=4, removed=6)
        assert (await node.op("local.add", 1))["local"]["users"] == [[16, 16, 1]]  # no id is used twice
        await node.until_users(wanted=6, running=6)

        assert await node.op("local.stop") == {"local": {"state": "finished"}}
        users = await node.users()
        assert {k: v for k, v in users.items() if v} == {"wanted": 6, "removed": 10, "stopped": 6, "starts": 16}
        assert await node.pids() == []

        first = (await node.op("local.status"))["run"]
        assert await node.do("idle", 5, 6) == {"local": {"users": [[5, 6, 1]]}}
        await node.until_users(wanted=2, running=2, starts=2, removed=0, stopped=0)
        second = (await node.op("local.status"))["run"]
        assert first["id"] != second["id"]
        assert (first["reason"], second["reason"]) == ("stopped", None)
        assert [e["text"] for e in (await node.op("local.status"))["events"] if e["event"] == "run"] == [
            f"idle starts on local (run {second['id']})"
        ]  # each run has its own history


async def test_status_has_every_key(tmp_path: Path) -> None:
    async with local(tmp_path, {"ending": ENDING}) as node:
        await node.do("ending", 1, 20, repeat_num=0, interarrival=1)
        await node.until_users(finished=20)
        async with asyncio.timeout(60):
            while not any(event["text"].startswith("all users have ended") for event in node.events):
                await asyncio.sleep(0.01)
        await node.op("local.stop")
        status = await node.op("local.status")
    assert status.keys() == {
        *("node", "version", "pid", "uptime", "state", "run", "users", "nodes"),
        *("metrics", "rates", "errors", "events"),
    }
    assert status["users"].keys() == {
        *("wanted", "planned", "running", "waiting", "leaving", "finished", "failed", "removed", "stopped", "stuck"),
        *("unstarted", "lost", "restarted", "starts"),
    }
    assert (status["node"], status["state"]) == ("local", "finished")
    run = status["run"]
    assert (run["scenario"], run["reason"]) == ("ending", "stopped")
    assert run["settings"]["repeat_num"] == 0
    assert run["started_at"] < run["ended_at"] < run["started_at"] + 30
    assert run["elapsed"] == pytest.approx(run["ended_at"] - run["started_at"], abs=0.01)
    assert len(run["version"]) == 64
    workers = status["nodes"]["local"]["workers"]
    assert [w["index"] for w in workers] == [0, 1]
    for worker in workers:
        assert {"pid", "users", "cpu", "rss", "lag_ms", "late_ms", "restarts"} <= worker.keys()
    assert status["metrics"]["runs"] == {"type": "counter", "value": 20}
    assert status["metrics"]["amoc.users"] == {"type": "gauge", "value": 0.0}
    assert status["rates"].keys() == {"runs"}
    assert [e["text"] for e in status["events"] if e["event"] == "run"] == [
        f"ending starts on local (run {run['id']})",
        "all users have ended: 20 finished, 0 failed, 0 removed",
        "ending is over: stopped",
    ]


BAD_AT_REST: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("local.do", ("idel", 1, 5), {}, "unknown scenario 'idel'; did you mean 'idle'?"),
    ("local.do", ("idle", 5, 1), {}, "users 5 to 1: the first must be at least 1 and the last not below the first"),
    ("local.do", ("idle", 0, 1), {}, "users 0 to 1: the first must be at least 1 and the last not below the first"),
    ("local.do", ("idle", -3, -1), {}, "users -3 to -1:"),
    ("local.do", ("idle", 1, 2**53), {}, "user 9007199254740992 is out of range: the highest id is 9007199254740991"),
    ("local.do", ("idle", 1, "ten"), {}, "local.do: last must be a whole number, not 'ten'"),
    ("local.do", ("idle", 1, True), {}, "local.do: last must be a whole number, not True"),
    ("local.do", ("idle", 1.5, 2), {}, "local.do: first must be a whole number, not 1.5"),
    ("local.do", ("idle", 1), {}, "missing a required argument: 'last'"),
    ("local.do", ("idle", 1, 5), {"ronds": 2}, "unknown setting 'ronds'; did you mean 'rounds'?"),
    ("local.do", ("idle", 1, 5), {"context": 2}, "unknown setting 'context'"),
    ("local.do", ("idle", 1, 5), {"rounds": "many"}, "setting rounds: "),
    ("local.do", ("idle", 1, 5), {"interarrival": -1}, "setting interarrival: -1 is not acceptable"),
    ("local.do", ("idle", 1, 5), {"workers": 3}, "workers belongs to the node, not to one run"),
    ("local.do", ("broken", 1, 5), {}, "line 1: syntax error"),
    ("local.do", ("leaves", 1, 5), {}, "exit"),
    ("local.add", (5,), {}, "no test is running to add users to: start one with do"),
    ("local.remove", (5,), {}, "no test is running to remove users from: start one with do"),
    ("local.stop", (), {}, "no test is running"),
    ("config.set", ("interarival", 5), {}, "unknown setting 'interarival'; did you mean 'interarrival'?"),
    ("config.set", ("interarrival", "soon"), {}, "setting interarrival: "),
    ("config.set", ("rounds", 5), {}, "unknown setting 'rounds'"),
    ("config.unset", ("interarival",), {}, "unknown setting 'interarival'; did you mean 'interarrival'?"),
    ("config.get", ("interarival",), {}, "unknown setting 'interarival'; did you mean 'interarrival'?"),
    ("local.go", (), {}, "no operation 'local.go'; there are: config.all, "),
]

BAD_IN_A_RUN: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("local.do", ("idle", 1, 5), {}, "idle is running already: stop it first, or add users to it"),
    ("local.add", (0,), {}, "add(0): the number of users must be at least 1"),
    ("local.add", (-5,), {}, "add(-5): the number of users must be at least 1"),
    ("local.add", (2**53,), {}, "is out of range: the highest id is 9007199254740991"),
    ("local.remove", (0,), {}, "remove(0): the number of users must be at least 1"),
    ("local.remove", (-1,), {"force": True}, "remove(-1): the number of users must be at least 1"),
    ("local.remove", (1, "yes"), {}, "local.remove: force must be True or False, not 'yes'"),
    ("config.set", ("ronds", 5), {}, "unknown setting 'ronds'; did you mean 'rounds'?"),
    ("config.set", ("rounds", "five"), {}, "setting rounds: "),
    ("config.set", ("colour", "blue"), {}, "colour cannot be changed while a test runs: stop it first"),
    ("config.unset", ("colour",), {}, "colour cannot be changed while a test runs: stop it first"),
    ("config.set", ("scenarios_dir", "x"), {}, "scenarios_dir cannot be changed while a test runs: stop it first"),
    ("config.unset", ("scenarios_dir",), {}, "scenarios_dir cannot be changed while a test runs: stop it first"),
    ("config.unset", ("ronds",), {}, "unknown setting 'ronds'; did you mean 'rounds'?"),
]


async def test_bad_input_is_one_line_and_changes_nothing(tmp_path: Path) -> None:
    """At rest, in a run, and after it; one node for all, since none of them may leave a trace."""
    broken = {"broken": "async def start(user_id:\n", "leaves": "import sys\nsys.exit(3)\n"}
    async with local(tmp_path, {"idle": IDLE, **broken}, workers=1) as node:
        for name, args, kwargs, text in BAD_AT_REST:
            assert text in await node.refused(BadInput, name, *args, **kwargs), (name, args, kwargs)
        assert await node.pids() == []
        await node.do("idle", 1, 5)
        await node.until_users(running=5)
        for name, args, kwargs, text in BAD_IN_A_RUN:
            assert text in await node.refused(BadInput, name, *args, **kwargs), (name, args, kwargs)
        await node.until_users(running=5, starts=5)
        await node.op("local.stop")
        for name, args, kwargs, text in BAD_AT_REST[-7:]:
            assert text in await node.refused(BadInput, name, *args, **kwargs), (name, args, kwargs)


async def test_remove_more_than_there_are(tmp_path: Path) -> None:
    async with local(tmp_path, {"idle": IDLE}) as node:
        await node.do("idle", 1, 7)
        assert await node.op("local.remove", 100, force=True) == {"local": {"removed": 7}}
        await node.until_users(wanted=0, removed=7, running=0)
        assert "no user left" in await node.refused(Failed, "local.remove", 1)
        await node.op("local.add", 2)
        assert await node.op("local.remove", 1) == {"local": {"removed": 1}}
        await node.until_users(wanted=1)


async def test_remove_races_with_users_that_end_by_themselves(tmp_path: Path) -> None:
    """Users of a hundred ids end all the time: each removal gets exactly its number, or all that were left."""
    async with local(tmp_path, {"ending": ENDING}) as node:
        await node.do("ending", 1, 400, repeat_num=0, nap=0.25, interarrival=2)
        removed = 0
        for number in itertools.chain([1, 7, 20], itertools.repeat(30)):
            try:
                reply = await node.op("local.remove", number, force=bool(number % 2))
            except Failed:  # no user is left
                break
            met = reply["local"]["removed"]
            removed += met
            if met < number:
                break
            assert met == number
        users = await node.until(lambda u: u["finished"] + u["removed"] + u["failed"] == 400)
        assert users["wanted"] == 400 - removed
        assert users["failed"] == 0
        assert users["removed"] == removed


async def test_two_consoles_add_and_remove_at_once(tmp_path: Path) -> None:
    async with local(tmp_path, {"idle": IDLE}) as node:
        await node.do("idle", 1, 20)
        added = await asyncio.gather(*(node.op("local.add", n) for n in (3, 4, 5)))
        assert [a["local"] for a in added] == [
            {"added": 3, "users": [[21, 23, 1]]},
            {"added": 4, "users": [[24, 27, 1]]},
            {"added": 5, "users": [[28, 32, 1]]},
        ]
        removed = await asyncio.gather(*(node.op("local.remove", n, force=n % 2 == 0) for n in (2, 3, 4)))
        assert [r["local"]["removed"] for r in removed] == [2, 3, 4]
        await node.until_users(wanted=23)


async def test_stop_ends_the_wait_for_a_lost_slave_s_users(tmp_path: Path) -> None:
    async with local(tmp_path, {"idle": IDLE}) as node:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(node.context.master.state, "quiet_at", lambda: time.monotonic() + 3600)
            starting = asyncio.create_task(node.do("idle", 1, 5))
            async with asyncio.timeout(60):
                while not any("waiting for their end" in event["text"] for event in node.events):
                    assert not starting.done()
                    await asyncio.sleep(0.01)
            assert await node.op("local.stop") == {"local": {"state": "idle"}}
            with pytest.raises(Failed, match="idle was stopped before it began"):
                await starting
        assert (await node.op("local.status"))["state"] == "idle"
        assert await node.do("idle", 1, 2) == {"local": {"users": [[1, 2, 1]]}}


async def test_two_consoles_do_and_stop_at_once(tmp_path: Path) -> None:
    async with local(tmp_path, {"idle": IDLE}) as node:
        replies: Any = await asyncio.gather(node.do("idle", 1, 5), node.do("idle", 1, 9), return_exceptions=True)
        first, second = replies
        assert first == {"local": {"users": [[1, 5, 1]]}}
        assert str(second) == "idle is being started already: wait for it, or stop it first"
        await node.until_users(running=5)
        replies = await asyncio.gather(
            node.op("local.stop"), node.op("local.stop", force=True), node.do("idle", 1, 5), return_exceptions=True
        )
        one, two, late = replies
        assert one == two == {"local": {"state": "finished"}}
        assert str(late) == "idle is still being stopped: wait until it is over"
        await node.do("idle", 1, 2)
        await node.until_users(running=2, wanted=2)


@pytest.mark.parametrize("phase", ["check", "setup", "init"])
async def test_stop_while_a_test_begins(tmp_path: Path, phase: str) -> None:
    slow = "".join(f"import asyncio\nasync def {name}():\n    await asyncio.sleep(2)\n" for name in ("setup", "init"))
    async with local(tmp_path, {"slow": "import time\ntime.sleep(0.3)\n" + slow + IDLE, "idle": IDLE}) as node:
        starting = asyncio.ensure_future(node.do("slow", 1, 5))
        master = node.context.master
        async with asyncio.timeout(60):
            while master.preparing is None or (phase != "check" and master.state.desired.phase != phase):
                await asyncio.sleep(0.01)
        await node.op("local.stop")
        with pytest.raises(Failed, match="stopped"):
            await starting
        status = await node.op("local.status")
        assert status["state"] == ("idle" if phase == "check" else "finished")
        assert await node.pids() == []
        await node.do("idle", 1, 3)
        await node.until_users(running=3, wanted=3)


@pytest.mark.parametrize("state", ["checking", "starting"])
async def test_a_do_that_is_cancelled_is_taken_back(tmp_path: Path, state: str) -> None:
    async with local(tmp_path, {"idle": "import time\ntime.sleep(0.3)\n" + IDLE}) as node:
        starting = asyncio.ensure_future(node.do("idle", 1, 5))
        async with asyncio.timeout(60):
            while (await node.op("local.status"))["state"] != "starting":
                await asyncio.sleep(0)
            while state == "starting" and not node.context.master.state.active():
                await asyncio.sleep(0.005)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        assert starting.cancelled()
        status = await node.op("local.status")
        assert status["state"] == ("finished" if state == "starting" else "idle")
        if state == "starting":
            assert status["run"]["reason"] == "its start was cancelled"
        assert await node.pids() == []
        await node.do("idle", 1, 3)
        await node.until_users(running=3)


async def test_a_forced_stop_hurries_a_gentle_one(tmp_path: Path) -> None:
    stubborn = """
import asyncio, time


async def start(user_id):
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(3600)


async def terminate():
    await asyncio.sleep(12)
"""
    async with local(tmp_path, {"stubborn": stubborn}) as node:
        await node.do("stubborn", 1, 4)
        await node.until_users(running=4)
        gentle = asyncio.ensure_future(node.op("local.stop"))
        async with asyncio.timeout(5):
            while (await node.op("local.status"))["state"] != "terminating":
                await asyncio.sleep(0.01)
            assert await node.op("local.stop", force=True) == {"local": {"state": "finished"}}
            assert await gentle == {"local": {"state": "finished"}}
        users = await node.users()
        assert users["stopped"] + users["stuck"] == 4


async def test_an_error_in_init_leaves_a_usable_node(tmp_path: Path) -> None:
    failing = IDLE + "\n\nasync def init():\n    raise RuntimeError('no accounts')\n"
    async with local(tmp_path, {"idle": IDLE, "failing": failing}) as node:
        with pytest.raises(Failed) as failure:
            await node.do("failing", 1, 5)
        assert "init() raised RuntimeError: no accounts" in str(failure.value)
        assert "\n" not in str(failure.value)
        status = await node.op("local.status")
        assert status["state"] == "error"
        assert "no accounts" in status["run"]["reason"]
        assert status["users"]["starts"] == 0
        assert await node.pids() == []
        assert any("no accounts" in event["text"] for event in status["events"])
        await node.do("idle", 1, 3)
        await node.until_users(running=3, wanted=3)
        assert (await node.op("local.status"))["state"] == "running"


async def test_setup_data_reaches_every_worker_and_teardown(tmp_path: Path) -> None:
    rooms = """
import asyncio, os
from amoc.metrics import increment
from amoc.users import setup_data


def setup():
    print("setup in", os.getpid())
    return {"rooms": ["a", {"b": 2}]}


def init():
    assert setup_data() == {"rooms": ["a", {"b": 2}]}
    return setup_data()["rooms"][0]


async def start(user_id, room):
    increment(f"room_{room}")


def terminate(room):
    print("terminate with", room)


def teardown(data):
    print("teardown with", data)
"""
    async with local(tmp_path, {"rooms": rooms}) as node:
        await node.do("rooms", 1, 10, repeat_num=0)
        await node.until_users(finished=10)
        await node.op("local.stop")
        assert (await node.op("local.status"))["metrics"]["room_a"]["value"] == 10
        said = [e["text"] for e in node.events if e["logger"] == "print"]
        assert [text.partition(" ")[0] for text in said] == ["setup", "terminate", "terminate", "teardown"]
        assert said[1:] == ["terminate with a"] * 2 + ["teardown with {'rooms': ['a', {'b': 2}]}"]


async def test_what_setup_made_is_taken_down_when_init_fails(tmp_path: Path) -> None:
    half = """
def setup():
    return "room 7"


def init():
    raise RuntimeError("no luck")


async def start(user_id):
    pass


def teardown(data):
    print("teardown of", data)
"""
    async with local(tmp_path, {"half": half}) as node:
        with pytest.raises(Failed, match="no luck"):
            await node.do("half", 1, 10)
        assert "teardown of room 7" in [e["text"] for e in node.events if e["logger"] == "print"]
        assert await node.pids() == []
