"""A cluster from the command line and from scripts: up, down, run --cluster, amoc.dist."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from amoc.console.node_dir import NodeDir
from tests.support.terminal import Workplace, gone, until

SLOW = """
import asyncio

async def init():
    await asyncio.sleep(600)

async def start(user_id):
    pass
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    """A folder with a cluster of two slaves, in a directory that is not the usual one."""
    workplace = Workplace(tmp_path)
    workplace.node_dir = tmp_path / "c"
    workplace.environment["AMOC_DIR"] = "c"
    done = workplace.amoc("cluster", "up", "--slaves", "2", "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "slave1 127.0.0.1 idle" in done.stdout
    yield workplace
    workplace.amoc("cluster", "down")
    workplace.close()


def slave(place: Workplace, number: int) -> psutil.Process:
    """A slave's agent."""
    pid = NodeDir(place.node_dir / "slaves" / f"slave{number}").running_pid()
    assert pid
    return psutil.Process(pid)


def result(place: Workplace) -> dict[str, Any]:
    """The last result that was kept."""
    path = max((place.node_dir / "results").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    kept: dict[str, Any] = json.loads(path.read_text())
    return kept


def test_up_starts_what_is_missing_and_down_ends_it_all(place: Workplace) -> None:
    first, second, master = slave(place, 1), slave(place, 2), place.node()
    second.kill()
    until(lambda: gone([second]), "slave2 to end")
    done = place.amoc("cluster", "up", "--slaves", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (f"master: runs already (pid {master.pid})", f"slave1: runs already (pid {first.pid})"):
        assert line in done.stdout
    assert "slave2: started" in done.stdout
    assert "slave3: started" in done.stdout
    processes = [master, *(slave(place, number) for number in (1, 2, 3))]
    modes = [path.stat().st_mode & 0o777 for path in (place.node_dir / "keys").glob("*.key_secret")]
    assert modes == [0o600] * 4
    done = place.amoc("cluster", "down")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ended") == 4
    until(lambda: gone(processes), "all to end")
    assert place.amoc("cluster", "down").stdout.count("does not run") == 4
    assert place.amoc("cluster", "up").stdout.count("started") == 4, "as many as there were"


def test_a_run_on_the_cluster(place: Workplace) -> None:
    place.scenario("mongoose_simple", (Path(__file__).parents[3] / "scenarios" / "mongoose_simple.py").read_text())
    settings = ["settle=0.5", "rounds=3", "pause=0.2", "linger=0.2", "repeat_num=0"]
    done = place.amoc(
        *("run", "mongoose_simple", "--cluster", "--users", "10", "--interarrival", "1", "--server", "embedded"),
        *(word for setting in settings for word in ("--set", setting)),
        *("--json", "out.json"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mongoose_simple  finished after" in done.stdout
    assert "slave1[0]" in done.stdout
    kept = result(place)
    assert kept == json.loads((place.folder / "out.json").read_text())
    assert kept["totals"]["amoc.counters.connections"] == kept["users"]["finished"] == 10
    assert {worker["node"] for worker in kept["generator"]["workers"]} == {"slave1", "slave2"}
    assert "role" not in kept["settings"]
    done = place.amoc("run", "no_such", "--cluster", "--users", "1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = place.amoc("run", "chat", "--cluster", "--users", "1", "--set", "workers=3")
    assert "workers belongs to the node" in done.stderr


def test_interrupts_end_the_test_and_leave_the_cluster(place: Workplace) -> None:
    process = place.popen("run", "chat", "--users", "4", "--interarrival", "1", "--cluster")
    assert process.stdout is not None
    for line in process.stdout:
        if "says hello 2" in line:
            break
    assert "chat[slave" in line
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert result(place)["run"]["reason"] == "interrupted"
    place.scenario("slow", SLOW)
    process = place.popen("run", "slow", "--users", "4", "--cluster")
    assert process.stdout is not None
    for line in process.stdout:
        if "slow starts on slave1, slave2" in line:
            break
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    status = json.loads(place.amoc("status", "--json").stdout)
    assert status["state"] in ("finished", "error")
    assert status["users"]["starts"] == 0
    assert place.amoc("nodes").stdout.count("slave") == 2


def test_a_script(place: Workplace) -> None:
    script = place.folder / "script.py"
    script.write_text(
        "from amoc import dist\n"
        "from amoc.errors import BadInput\n"
        "print(dist.do('chat', 1, 4))\n"
        "print(dist.users()['wanted'], [node['node'] for node in dist.nodes()])\n"
        "try:\n    dist.add(0)\nexcept BadInput as error:\n    print(error)\n"
        "print(dist.stop())\n"
        "assert dist.do.__doc__.endswith('dist.do(mongoose_simple, 1, 100, interarrival=20)')\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=place.folder,
        env=place.environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "{'slave1': {'users': [[1, 3, 2]]}, 'slave2': {'users': [[2, 4, 2]]}}",
        "4 ['slave1', 'slave2']",
        "add(0): the number of users must be at least 1",
        "{'slave1': {'state': 'finished'}, 'slave2': {'state': 'finished'}}",
    ], done.stderr
