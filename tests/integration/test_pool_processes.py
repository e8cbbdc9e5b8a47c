"""The worker processes themselves: killed, replaced, orphaned, many users in them, and nothing left."""

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from amoc.scenario import Source
from amoc.worker import Pool, WorkerDeath, messages
from tests.support.scene import scene

ROOT = Path(__file__).resolve().parents[2]
SLEEP = """
    import asyncio
    async def start(user_id):
        print("start", user_id)
        await asyncio.sleep(1000)
"""
IDLE = """
    import asyncio
    async def start(user_id):
        await asyncio.sleep(1000)
"""
ORPHANS = """
import asyncio, sys
from pathlib import Path
from tests.support.scene import scene

async def main():
    async with scene(Path(sys.argv[1]), 2) as node:
        await node.run(sys.argv[2], 4)
        await node.users(running=4)
        print(*[worker["pid"] for worker in await node.workers()], flush=True)
        await asyncio.sleep(1000)

if __name__ == "__main__":
    Path(sys.argv[1], "scenarios").mkdir()
    asyncio.run(main())
"""
BLOCKS = "import time\nasync def start(user_id): time.sleep(1000)"


def gone(pids: list[int], seconds: float) -> None:
    """Wait until none of the processes is left."""
    deadline = time.monotonic() + seconds
    while left := [pid for pid in pids if psutil.pid_exists(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


async def test_a_killed_worker_is_noticed_at_once_and_replaced(tmp_path: Path) -> None:
    async with scene(tmp_path, 2) as node:
        await node.run(SLEEP, 20)
        await node.users(running=20)
        first = await node.workers()
        node.events.clear()
        killed = time.monotonic()
        os.kill(first[0]["pid"], signal.SIGKILL)
        event = await node.said("was killed by SIGKILL: 10 users start again in a new one")
        assert time.monotonic() - killed < 5
        assert (event["event"], event["level"], event["worker"]) == ("worker", "ERROR", 0)
        status = await node.users(running=20, restarted=10, starts=30)
        lines = [e["text"] for e in node.events if e["logger"] == "print"]
        assert sorted(lines) == sorted(f"start {i}" for i in range(1, 20, 2))  # their own ids, each once
        now = status["nodes"]["local"]["workers"]
        assert [worker["restarts"] for worker in now] == [1, 0]
        assert now[0]["pid"] != first[0]["pid"]
        assert now[1]["pid"] == first[1]["pid"]
        await node("stop")
        await node.users(stopped=20, running=0, planned=0)


async def test_removal_and_more_users_while_a_worker_is_replaced(tmp_path: Path) -> None:
    async with scene(tmp_path, 2) as node:
        await node.run(IDLE, 20)
        await node.users(running=20)
        os.kill((await node.workers())[0]["pid"], signal.SIGKILL)
        await node.said("was killed by SIGKILL")
        assert await node("remove", 10, force=True) == {"local": {"removed": 10}}
        await node("add", 4)
        await node.users(running=14, removed=10, planned=0)
        await node("stop")


async def test_stop_while_the_only_worker_is_replaced(tmp_path: Path) -> None:
    async with scene(tmp_path) as node:
        await node.run(IDLE, 5)
        await node.users(running=5)
        os.kill((await node.workers())[0]["pid"], signal.SIGKILL)
        await node.said("was killed by SIGKILL")
        async with asyncio.timeout(30):
            assert await node("stop") == {"local": {"state": "finished"}}
        await node.run(IDLE, 5)
        await node.users(running=5)
        await node("stop", force=True)


async def test_a_stopped_process_is_noticed_when_it_is_killed(tmp_path: Path) -> None:
    """A worker that hangs in the kernel or a debugger: nothing is lost when somebody ends it."""
    async with scene(tmp_path, 2) as node:
        await node.run(IDLE, 10)
        await node.users(running=10)
        pid = (await node.workers())[0]["pid"]
        os.kill(pid, signal.SIGSTOP)
        asking = asyncio.ensure_future(node("remove", 4, force=True))  # that worker does not answer
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        assert await asking == {"local": {"removed": 4}}
        await node.users(running=6, removed=4)
        await node("stop")


@pytest.mark.parametrize("text", [IDLE.strip("\n"), BLOCKS], ids=["idle", "blocked"])
async def test_workers_end_when_their_agent_is_killed(tmp_path: Path, text: str) -> None:
    """Also when their loop is blocked."""
    script = tmp_path / "agent.py"
    script.write_text(ORPHANS)
    agent = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(tmp_path), text, stdout=-1, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        assert agent.stdout is not None
        pids = [int(pid) for pid in (await asyncio.wait_for(agent.stdout.readline(), 60)).split()]
        assert len(pids) == 2
    finally:
        agent.kill()
        await agent.communicate()
    await asyncio.to_thread(gone, pids, 15.0)


async def test_ctrl_c_does_not_reach_a_worker() -> None:
    """Not even while it starts: the signal, sent to the whole group, is for its agent."""
    died = asyncio.Queue[WorkerDeath]()
    pool = Pool(lambda index, message: None, died.put_nowait)
    pid = await pool.spawn(0)
    for _ in range(50):
        os.kill(pid, signal.SIGINT)
        await asyncio.sleep(0.01)
    pool.quit()
    death = await asyncio.wait_for(died.get(), 60)
    assert (death.index, death.pid, death.cause, death.wanted) == (0, pid, "exited with code 0", True)
    await pool.close()


async def test_last_words_come_before_death() -> None:
    heard: list[object] = []
    died = asyncio.Event()

    def bury(death: WorkerDeath) -> None:
        heard.append(death)
        died.set()

    pool = Pool(lambda index, message: heard.append(message), bury)
    pid = await pool.spawn(3)
    source = Source("scene", "this is no Python", "/nowhere/scene.py", "v1")
    pool.send(3, messages.Load(source, {"env": {}}, (), {}, 1))
    async with asyncio.timeout(60):
        while not heard:
            await asyncio.sleep(0.01)
    pool.kill(3)
    await asyncio.wait_for(died.wait(), 60)
    failed, death = heard
    assert isinstance(failed, messages.Failed)
    assert "line 1: syntax error" in failed.error
    assert death == WorkerDeath(3, pid, "was killed by SIGKILL", False)
    assert len(pool) == 0
    pool.kill(3)
    pool.send(3, messages.Begin("quit"))  # nobody is there: nothing happens
    await pool.close()


LOUD = """
import threading

def start(user_id): pass
def init():
    print("from the loop")
    thread = threading.Thread(target=print, args=["from a thread"])
    thread.start()
    thread.join()
"""


async def test_what_a_step_printed_comes_before_its_answer() -> None:
    """So that a quit that meets the answer loses nothing of it."""
    heard: list[messages.FromWorker] = []
    died = asyncio.Event()

    def received(index: int, message: messages.FromWorker) -> None:
        heard.append(message)
        if isinstance(message, messages.Done) and message.step == "init":
            pool.quit()

    pool = Pool(received, lambda death: died.set())
    await pool.spawn(0)
    pool.send(0, messages.Load(Source("loud", LOUD, "/nowhere/loud.py", "v1"), {"env": {}}, (), {}, 1))
    pool.send(0, messages.Begin("init"))
    await asyncio.wait_for(died.wait(), 60)
    said = [m.event.text if isinstance(m, messages.Happened) else type(m).__name__ for m in heard]
    assert said.index("from the loop") < len(said) - 1 - said[::-1].index("Done")
    assert "from a thread" in said
    await pool.close()


async def test_a_pool_that_is_closed_leaves_no_process() -> None:
    pool = Pool(lambda index, message: None, lambda death: None)
    pids = [await pool.spawn(index) for index in range(3)]
    await pool.close()
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []


@contextmanager
def descriptors_left(many: int) -> Iterator[None]:
    """This process can open so many files more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 20, hard))
    taken: list[int] = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(many):
            os.close(taken.pop())
        yield
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_no_room_for_a_process_leaves_nothing_open() -> None:
    """Wherever the system refuses; what stays open is found by the check after every test."""
    pool = Pool(lambda index, message: None, lambda death: None)
    await pool.spawn(0)  # and with it the helper process of multiprocessing
    try:
        for left in range(8):
            with descriptors_left(left), pytest.raises(OSError, match="Too many open files"):
                await pool.spawn(1)
        assert len(pool) == 1
    finally:
        await pool.close()


async def test_a_node_without_room_for_its_workers(tmp_path: Path) -> None:
    """It says why, tries again after a pause, and goes on when there is room."""
    async with scene(tmp_path, 2) as node:
        await node.run(IDLE, 2)
        await node.users(running=2)
        first = (await node.workers())[0]["pid"]
        with descriptors_left(0):
            os.kill(first, signal.SIGKILL)
            await node.said("cannot be started: [Errno 24] Too many open files")
        await node.users(restarted=1, running=2, failed=0)
        await node("stop")
        await node.run(IDLE, 2)
        await node.users(running=2)
        await node("stop")


@pytest.mark.slow
async def test_fifty_thousand_idle_users(tmp_path: Path) -> None:
    """Two workers: at most 3 KiB a user; all removed by force at once; nothing left after stop."""
    many = 50_000
    async with scene(tmp_path, 2) as node:
        await node.run(IDLE, 2)
        await node.users(running=2)
        empty = {w["pid"]: psutil.Process(w["pid"]).memory_info().rss for w in await node.workers()}
        await node("add", many)
        status = await node.users(running=many + 2, seconds=100)
        full = {w["pid"]: psutil.Process(w["pid"]).memory_info().rss for w in status["nodes"]["local"]["workers"]}
        assert empty.keys() == full.keys()
        each = (sum(full.values()) - sum(empty.values())) / many
        print(f"{each:.0f} bytes a user")
        assert each < 3 * 1024
        begun = time.monotonic()
        assert await node("remove", many, force=True) == {"local": {"removed": many}}
        await node.users(removed=many, running=2)
        took = time.monotonic() - begun
        print(f"removed in {took:.1f} s")
        assert took < 20
        await node("add", 10)
        await node.users(running=12)
        await node("stop")
        await node.users(removed=many, stopped=12, running=0, failed=0, stuck=0)
        assert [pid for pid in full if psutil.pid_exists(pid)] == []
        assert not [e["text"] for e in node.events if "outlived" in e["text"]]
