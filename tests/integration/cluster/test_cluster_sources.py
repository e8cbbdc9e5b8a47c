"""Scenarios travel with their helper modules, to slaves whose directories know nothing of them, or have other ones."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amoc.console import daemon
from amoc.console.node_dir import NodeDir
from amoc.errors import BadInput
from tests.support.servers.process import free_ports
from tests.support.terminal import Workplace, until

SCENE = """
import asyncio

from amoc import metrics
from amoc.config import Setting
from _voice import WORD
from rooms import numbers

SETTINGS = [Setting("room", int, 1)]


async def start(user_id):
    metrics.increment(f"{WORD}_{numbers.FIRST}")
    numbers.enter(user_id)
    await asyncio.sleep(60)
"""
NUMBERS = """
from . import names
FIRST = len(names.NAMES)


def enter(user_id):
    if user_id == 3:
        raise LookupError("room 3 is locked")
"""


class Cluster:
    """A master and two slaves, each in a folder of its own; `slave2` has stale copies first on its `sys.path`."""

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        keys = folder / "keys"
        self.places: dict[str, Workplace] = {}
        for name in ("master", "slave1", "slave2"):
            (folder / name).mkdir()
            self.places[name] = place = Workplace(folder / name)
            settings = {"role": name.rstrip("12"), "node_name": name, "keys_dir": str(keys), "control_port": port}
            lines = [f"{key} = {value!r}" for key, value in settings.items()]
            (place.folder / "app.config").write_text("\n".join([*lines, "workers = 1"]) + "\n")
        self.master = self.places["master"]
        self.write("_voice", "WORD = 'crow'")
        self.write("rooms/__init__", "")
        self.write("rooms/numbers", NUMBERS)
        self.write("rooms/names", "NAMES = ['nest', 'tree']")
        self.write("scene", SCENE)
        stale = self.places["slave2"].folder / "scenarios"
        (stale / "_voice.py").write_text("WORD = 'stale'")
        (stale / "rooms.py").write_text("raise SystemExit('stale')")
        done = self.master.amoc("keys", "new", "master", "slave1", "slave2")
        assert done.returncode == 0, done.stderr
        for name, place in self.places.items():
            path = [str(stale), *sys.path] if name == "slave2" else sys.path
            done = place.amoc("start", PYTHONPATH=os.pathsep.join(path))
            assert done.returncode == 0, done.stdout + done.stderr
        until(lambda: len([node for node in self.op("dist.nodes") if node["state"] == "up"]) == 2, "two slaves")

    def write(self, path: str, text: str) -> None:
        """Write a file among the master's scenarios."""
        file = self.master.folder / "scenarios" / f"{path}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def op(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """An operation at the master, as the console does it."""
        with daemon.connect(NodeDir(self.master.node_dir)) as connection:
            return connection.call(name, args, kwargs, timeout=60)

    def counted(self, name: str, number: int) -> None:
        """Wait until the users have counted so much under that name."""
        until(
            lambda: self.op("dist.status")["metrics"].get(name, {}).get("value", 0) == number,
            f"{number} of {name} among the metrics",
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("sources"))
    running.op("dist.do", "chat", 1, 2)  # multiprocessing leaves a process in each agent that had workers
    running.op("dist.stop")
    yield running
    for place in reversed(running.places.values()):
        place.close()


@pytest.fixture(autouse=True)
def _stopped(cluster: Cluster) -> Iterator[None]:
    yield
    if cluster.op("dist.status")["state"] not in ("idle", "finished", "error"):
        cluster.op("dist.stop", force=True)


def test_slaves_run_what_the_master_has(cluster: Cluster) -> None:
    assert set(cluster.op("dist.do", "scene", 1, 4)) == {"slave1", "slave2"}
    cluster.counted("crow_2", 4)


def test_a_changed_helper_is_the_one_that_runs(cluster: Cluster) -> None:
    cluster.op("dist.do", "scene", 1, 2)
    cluster.write("_voice", "WORD = 'raven'")
    cluster.counted("crow_2", 2)
    cluster.op("dist.stop")
    cluster.op("dist.do", "scene", 1, 2)
    cluster.counted("raven_2", 2)
    cluster.op("dist.stop")
    cluster.write("_voice", "WORD = 'crow'")
    cluster.op("dist.do", "scene", 1, 2)
    cluster.counted("crow_2", 2)
    assert "raven_2" not in cluster.op("dist.status")["metrics"]


def test_a_users_traceback_names_the_helpers_file_and_line(cluster: Cluster) -> None:
    cluster.op("dist.do", "scene", 3, 3)
    path = cluster.master.folder / "scenarios" / "rooms" / "numbers.py"
    wanted = f'File "{path}", line 8, in enter\n    raise LookupError("room 3 is locked")'
    until(lambda: any(wanted in event["text"] for event in cluster.op("dist.status")["events"]), f"{wanted} shown")


@pytest.mark.parametrize(
    ("helper", "message"),
    [
        ("x = 1\ny = (", r"bad\.py, line 2: it imports .*/_broken\.py, line 2: syntax error: '\(' was never closed"),
        ("import nowhere", r"bad\.py, line 2: it imports .*/_broken\.py, line 1: No module named 'nowhere'"),
        ("#" * (1 << 20) + "#", r"bad\.py, line 2: /.*/_broken\.py is too large"),
        (None, r"bad\.py, line 2: No module named '_broken': install it, or put _broken\.py beside the scenario"),
    ],
)
def test_a_helper_that_is_wrong_is_named_before_anything_starts(
    cluster: Cluster, helper: str | None, message: str
) -> None:
    file = cluster.master.folder / "scenarios" / "_broken.py"
    cluster.write("bad", "\nimport _broken\nasync def start(user_id): ...\n")
    if helper is not None:
        file.write_text(helper)
    try:
        with pytest.raises(BadInput, match=message):
            cluster.op("dist.do", "bad", 1, 4)
    finally:
        file.unlink(missing_ok=True)
    assert cluster.op("dist.status")["state"] in ("idle", "finished")


def test_the_command_line(cluster: Cluster) -> None:
    done = cluster.master.amoc("scenarios", "info", "scene")
    assert "with _voice.py, rooms/__init__.py, rooms/names.py, rooms/numbers.py" in done.stdout, done.stderr
    done = cluster.master.amoc("run", "scene", "--users", "2", "--duration", "1s", "--cluster")
    assert "crow_2" in done.stdout, done.stdout + done.stderr


def test_on_one_machine(cluster: Cluster) -> None:
    done = cluster.master.amoc("run", "scene", "--users", "2", "--duration", "1s", "--set", "role=local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "crow_2" in done.stdout, done.stdout + done.stderr
