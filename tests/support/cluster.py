"""A cluster of real processes on loopback for tests, made by `amoc cluster up`, with users on a real server.

What the test believes of users is what the server says: `online()` is its session list. The server chooses each
session's resource, so that an id that runs twice at once is there twice.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import psutil

from amoc.cli.local_cluster import LocalCluster
from amoc.console import daemon
from amoc.console.node_dir import NodeDir
from amoc.control.keys import new_pairs
from tests.support.servers import Server
from tests.support.terminal import Workplace

__all__ = ["RealCluster"]

# Users log in, send themselves a message now and then, and stay.
ONLINE = '''"""Users that are online and talk to themselves."""

import asyncio

from amoc import config, metrics
from amoc.config import Setting
from amoc.xmpp import connect

SETTINGS = [Setting("pause", float, 0.5, "seconds between two messages"), Setting("colour", str, "red", "a colour")]


async def start(user_id):
    async with connect(user_id) as client:
        client.on("message", lambda message: metrics.increment("echoes"))
        client.send_presence()
        while True:
            await asyncio.sleep(config.get("pause"))
            client.send_message(client.jid, config.get("colour"))
            metrics.increment("said")
'''


class RealCluster:
    """A master and slaves in a folder; users go to `server`. Everything is ended when the context is left."""

    def __init__(self, folder: Path, server: Server, slaves: int = 3, **settings: Any) -> None:
        self.place = Workplace(folder)
        self.server = server
        self.slaves = [f"slave{number}" for number in range(1, slaves + 1)]
        self._joined: list[str] = []
        self._prefix = f"u{random.getrandbits(32):x}_"
        self.place.scenario("online", ONLINE)
        values = {
            "xmpp_servers": [server.address],
            "xmpp_username": f"{self._prefix}{{id}}",
            "xmpp_resource": "",
            "xmpp_tls": "never",
            "interarrival": 5,
            "workers": 1,
            **settings,
        }
        lines = [f"{name} = {_toml(value)}" for name, value in values.items()]
        (folder / "app.config").write_text("\n".join(lines) + "\n")
        self.up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Processes

    def up(self) -> None:
        """Start what does not run."""
        done = self.place.amoc("cluster", "up", "--slaves", str(len(self.slaves)))
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def port(self) -> int:
        """The master's control_port."""
        plan = LocalCluster(NodeDir(self.place.node_dir)).plan()
        assert plan is not None
        return plan.port

    def join(self, name: str, port: int) -> None:
        """Start one more slave by hand, which finds its master at `port`."""
        keys, folder = self.place.node_dir / "keys", self.directory(name)
        new_pairs(keys, [name])
        settings = {"role": "slave", "node_name": name, "control_port": port, "keys_dir": keys}
        words = [word for setting, value in settings.items() for word in ("--set", f"{setting}={value}")]
        done = self.place.amoc("start", "--dir", str(folder), *words, "--set", f"status_file={folder / 'status'}")
        assert done.returncode == 0, done.stdout + done.stderr
        self._joined.append(name)
        self.until_node(name, "up")

    def close(self) -> None:
        """End every process, those that are stopped or hang too."""
        everybody = ("master", *self.slaves, *self._joined)
        for node in everybody:
            with contextlib.suppress(psutil.NoSuchProcess, AssertionError):
                self.process(node).resume()
        done = self.place.amoc("cluster", "down")
        for node in self._joined:
            self.place.amoc("stop", "--dir", str(self.directory(node)))
        for node in everybody:
            with contextlib.suppress(psutil.NoSuchProcess, AssertionError):
                self.process(node).kill()
        self.place.close()
        assert "Traceback" not in done.stderr, done.stderr

    def directory(self, node: str) -> Path:
        """A node's directory."""
        return self.place.node_dir if node == "master" else self.place.node_dir / "slaves" / node

    def process(self, node: str) -> psutil.Process:
        """A node's process: the master's, or a slave's agent."""
        pid = NodeDir(self.directory(node)).running_pid()
        assert pid is not None, f"{node} does not run"
        return psutil.Process(pid)

    def workers(self, node: str) -> list[psutil.Process]:
        """A slave's worker processes (its resource tracker is none)."""
        children = self.process(node).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

    def log(self, node: str) -> str:
        """What a node has logged."""
        return (self.directory(node) / "node.log").read_text()

    # Operations at the master

    def op(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Carry out `dist.<name>`."""
        with daemon.connect(NodeDir(self.place.node_dir)) as connection:
            return connection.call(name if "." in name else f"dist.{name}", args, kwargs, timeout=60)

    def do(self, first: int, last: int, **settings: Any) -> Any:
        """Start users, and wait until the server has them all."""
        reply = self.op("do", "online", first, last, **settings)
        self.until_online(range(first, last + 1))
        return reply

    def ids(self, reply: Any) -> dict[str, set[int]]:
        """The ids that a reply of `do` or `add` has given to each node."""
        return {
            node: {user for first, last, step in done["users"] for user in range(first, last + 1, step)}
            for node, done in reply.items()
        }

    def users(self, **counts: int) -> dict[str, int]:
        """Wait until the master's counts are these; all counts then."""
        seen: dict[str, int] = {}

        def reached() -> bool:
            seen.update(self.op("users"))
            return all(seen[name] == number for name, number in counts.items())

        _until(reached, lambda: f"users {counts}, it has {seen}")
        return seen

    def node(self, name: str) -> dict[str, Any]:
        """What the master knows of a slave."""
        found: dict[str, Any] = next((node for node in self.op("nodes") if node["node"] == name), {"state": "unknown"})
        return found

    def until_node(self, name: str, state: str, timeout: float = 60) -> dict[str, Any]:
        """Wait until a slave is up, suspect or lost; what the master knows of it."""
        _until(lambda: self.node(name)["state"] == state, lambda: f"{name} {state}, it is {self.node(name)}", timeout)
        return self.node(name)

    def until(self, condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
        """Wait for a condition."""
        _until(condition, lambda: what, timeout)

    def until_in_run(self, name: str) -> None:
        """Wait until a slave that came in mid-run can be given users."""
        _until(lambda: self.node(name).get("run") == "running", lambda: f"{name} in the run, it is {self.node(name)}")

    def said(self, text: str, timeout: float = 60) -> dict[str, Any]:
        """Wait for an event of the run whose text holds `text`."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self.op("status")["events"] if text in event["text"]]

        _until(
            lambda: bool(found()), lambda: f"{text!r} among {[e['text'] for e in self.op('status')['events']]}", timeout
        )
        return found()[0]

    # The server's word

    def online(self) -> list[int]:
        """The ids that are logged in, each as often as it is."""
        names = (jid.partition("@")[0] for jid in self.server.sessions() if jid.startswith(self._prefix))
        return sorted(int(name.removeprefix(self._prefix)) for name in names)

    def until_online(self, ids: Any, timeout: float = 60) -> None:
        """Wait until exactly these ids are logged in, each once."""
        wanted = sorted(ids)
        _until(
            lambda: self.online() == wanted, lambda: f"{_short(wanted)} online, it has {_short(self.online())}", timeout
        )

    @contextmanager
    def never_twice(self) -> Iterator[None]:
        """Look all the time, and fail if an id was logged in twice at once."""
        twice: set[int] = set()
        looks = 0
        over = threading.Event()

        def watch() -> None:
            nonlocal looks
            while not over.wait(0.05):
                ids = self.online()
                looks += 1
                twice.update(one for one, other in pairwise(ids) if one == other)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        assert looks > 1
        assert not twice, f"logged in twice at once: {_short(sorted(twice))}"


def _until(condition: Callable[[], bool], what: Callable[[], str], timeout: float = 60) -> None:
    """Wait for a condition; the failure says what was there instead."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what()}")
        time.sleep(0.05)


def _short(ids: list[int]) -> str:
    return f"{len(ids)} ids {ids if len(ids) <= 40 else [*ids[:20], '…', *ids[-20:]]}"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value)
