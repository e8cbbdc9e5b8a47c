"""Scenarios that misbehave, in real worker processes: each ends in a counted, readable outcome."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from amoc.errors import Failed
from tests.support.scene import Scene, scene

SLEEP = """
    import asyncio
    async def start(user_id):
        await asyncio.sleep(1000)
"""


def errors(status: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(e["type"], e["where"], e["count"]) for e in status["errors"]]


async def usable(node: Scene) -> None:
    """The node is idle again, has no worker left, and runs the next test."""
    status = await node("status")
    assert status["state"] in ("finished", "error")
    await node.run("async def start(user_id): pass", 3, repeat_num=0)
    await node.users(finished=3)
    await node("stop")


FAULTY = {
    "def init(): raise OSError('no accounts')": "init() raised OSError: no accounts",
    "async def init(): raise OSError('caf\\udce9')": "init() raised OSError: caf\\udce9",
    "def init():\n    import sys; sys.exit(3)": "init() raised SystemExit: 3",
    "def init():\n    import os; os._exit(3)": "exited with code 3 during init()",
    "def setup(): raise OSError('no room')": "setup() raised OSError: no room",
    "def setup(): return object()": "setup() returned what cannot be sent",
    "def setup(): return 2 ** 70": "setup() returned what cannot be sent",
}


async def test_runs_that_cannot_begin(tmp_path: Path) -> None:
    """One after the other, on one node: each says why, in one line, and starts nobody."""
    async with scene(tmp_path, 2) as node:
        for text, says in FAULTY.items():
            with pytest.raises(Failed) as raised:
                await node.run(f"async def start(user_id): pass\n{text}", 10)
            assert says in str(raised.value)
            assert len(str(raised.value).splitlines()) == 1
            status = await node("status")
            assert (status["state"], status["users"]["starts"]) == ("error", 0)
        await usable(node)


async def test_users_that_fail_each_in_their_way(tmp_path: Path) -> None:
    """Nobody disturbs anybody else, and every failure is counted by type."""
    async with scene(tmp_path, 2) as node:
        await node.run(
            """
            import asyncio, sys
            async def deeper(): raise KeyError("inner")
            async def start(user_id):
                await asyncio.sleep(0.01)
                match user_id % 6:
                    case 0: sys.exit("enough")
                    case 1: raise ValueError("bytes that are no text: \\udcff")
                    case 2:
                        async with asyncio.TaskGroup() as group:
                            group.create_task(deeper())
                    case 3: raise KeyboardInterrupt
                    case 4: asyncio.current_task().cancel(); await asyncio.sleep(1)
                await asyncio.sleep(1000)
            """,
            60,
        )
        status = await node.users(running=10, failed=50)
        assert sorted(errors(status)) == sorted(
            (name, "start", 10)
            for name in ("CancelledError", "KeyError", "KeyboardInterrupt", "SystemExit", "ValueError")
        )
        said = [event for event in node.events if event["event"] == "error"]
        assert len(said) == 5
        assert "deeper" in next(event["text"] for event in said if "KeyError" in event["text"])
        await node("stop")
        await usable(node)


async def test_users_that_swallow_their_cancellation(tmp_path: Path) -> None:
    """Given up after two seconds, and gone with their worker."""
    async with scene(tmp_path) as node:
        await node.run(
            """
            import asyncio
            async def start(user_id):
                while True:
                    try:
                        await asyncio.sleep(1000)
                    except BaseException:
                        pass
            """,
            6,
        )
        await node.users(running=6)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await node("remove", 3, force=True)
        await node.users(stuck=3, running=3)
        assert 1 < loop.time() - begun < 15  # the machine may be busy
        begun = loop.time()
        await node("stop")
        assert loop.time() - begun < 15
        users = (await node("status"))["users"]
        assert (users["stuck"], users["running"]) == (6, 0)
        await usable(node)


async def test_a_terminate_that_raises(tmp_path: Path) -> None:
    async with scene(tmp_path, 2) as node:
        await node.run(f"{SLEEP}\n    def terminate(): raise KeyError('gone')", 2)
        await node("stop")
        status = await node("status")
        assert status["state"] == "finished"
        assert errors(status) == [("KeyError", "terminate", 2)]
        await usable(node)


async def test_a_terminate_that_exits_the_process(tmp_path: Path) -> None:
    async with scene(tmp_path) as node:
        await node.run(f"{SLEEP}\n    def terminate():\n        import os; os._exit(9)", 2)
        await node("stop")
        await node.said("exited with code 9 while stopping")
        await usable(node)


async def test_a_user_that_ends_the_process_again_and_again(tmp_path: Path) -> None:
    """Its worker is given up after a few attempts; the users of the other go on."""
    async with scene(tmp_path, 2) as node:
        await node.run(
            """
            import asyncio, os
            async def start(user_id):
                await asyncio.sleep(0.05)
                if user_id == 1:
                    os._exit(7)
                await asyncio.sleep(1000)
            """,
            10,
        )
        status = await node.users(failed=5, running=5, seconds=100)
        assert errors(status) == [("WorkerLost", "worker", 5)]
        assert "exited with code 7, more than 3 times within 60 s" in (await node.said("it is not replaced"))["text"]
        assert status["state"] == "running"
        await node("stop")
        await usable(node)


async def test_a_loop_that_is_blocked_is_reported_with_its_line(tmp_path: Path) -> None:
    async with scene(tmp_path) as node:
        await node.run(
            """
            import asyncio, time
            def careless(): time.sleep(0.6)
            async def start(user_id):
                while True:
                    careless()
                    await asyncio.sleep(0.01)
            """,
            1,
        )
        event = await node.said("the event loop is blocked for")
        assert event["event"] == "blocked"
        assert "scene.py:3 careless < scene.py:6 start" in event["text"]
        await node.until(lambda s: s["nodes"]["local"]["workers"][0]["lag_ms"] > 300)
        await node("stop")
        await usable(node)


async def test_a_loop_that_is_blocked_for_good(tmp_path: Path) -> None:
    """It is seen, it can be ended, and the console works all the while."""
    async with scene(tmp_path) as node:
        await node.run("import time\nasync def start(user_id): time.sleep(1000)", 2)
        await node.said("the event loop is blocked for")
        await node.users(running=2)  # the watchdog tells
        await node("stop", force=True)
        await node.users(stopped=2)
        await usable(node)


async def test_what_a_scenario_prints_and_logs(tmp_path: Path) -> None:
    async with scene(tmp_path) as node:
        await node.run(
            """
            import logging, sys, threading
            print("at import")
            def init():
                print("in init")
            async def start(user_id):
                logging.getLogger("chat").warning("user %d logs", user_id)
                print("user", user_id, "complains \\udcff", file=sys.stderr)
                thread = threading.Thread(target=print, args=("from a thread",)); thread.start(); thread.join()
            def terminate():
                print("at the end")
            """,
            1,
            repeat_num=0,
        )
        await node.users(finished=1)
        await node("stop")
        await node.said("at the end")
        lines = {(e["level"], e["logger"], e["text"]) for e in node.events if e["event"] == "log"}
        assert {
            ("INFO", "print", "at import"),
            ("INFO", "print", "in init"),
            ("WARNING", "chat", "user 1 logs"),
            ("WARNING", "print", "user 1 complains \\udcff"),
            ("INFO", "print", "from a thread"),
            ("INFO", "print", "at the end"),
        } <= lines


async def test_tasks_that_outlive_their_user_are_named(tmp_path: Path) -> None:
    async with scene(tmp_path) as node:
        await node.run(
            """
            import asyncio
            async def forgotten(): await asyncio.sleep(1000)
            kept = []
            async def start(user_id): kept.append(asyncio.create_task(forgotten()))
            """,
            3,
            repeat_num=0,
        )
        await node.users(finished=3)
        await node("stop")
        await node.said("3 tasks outlived their users: forgotten")
