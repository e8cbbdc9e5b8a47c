"""A whole cluster on this machine: a master and slaves as processes of their own, over loopback, to try it all out.

Everything lives in the master's node dir, so that `amoc attach`, `status` and `nodes` need no more than that:

    DIR/                    the master's node dir
    DIR/keys/               the keys of all
    DIR/slaves/slave1/      a slave's node dir, …
    DIR/cluster.json        how many slaves, which ports, which options: `up` again starts what has died

A process is started and stopped like any node; nothing here knows more of it than its directory.
"""

import random
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from amoc.console import daemon
from amoc.console.node_dir import NodeDir
from amoc.control.keys import MASTER, new_pairs
from amoc.errors import AmocError, BadInput, Failed

__all__ = ["LocalCluster", "Member", "Plan"]

SLAVES = 3
MOST_SLAVES = 64  # on one machine; each is an interpreter of some 40 MB, and its workers
PORTS = range(20_000, 32_000)  # below those that the kernel gives to outgoing connections
AT_ONCE = 8

Tell = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True):
    """What is kept of a cluster: commands are published on `port`, requests answered on the next."""

    slaves: int
    port: int
    options: list[str] = []


@dataclass(frozen=True, slots=True)
class Member:
    """A process of the cluster; `options` are those of `amoc foreground`."""

    name: str
    node_dir: NodeDir
    options: list[str]


class LocalCluster:
    """The cluster in one node dir."""

    def __init__(self, node_dir: NodeDir) -> None:
        self.node_dir = node_dir
        self._file = node_dir.path / "cluster.json"
        self._keys = node_dir.path / "keys"

    def __repr__(self) -> str:
        return f"<LocalCluster in {self.node_dir.path}>"

    def plan(self) -> Plan | None:
        """What was kept of it; None if there has been no cluster here."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Plan)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise Failed(f"{self._file} cannot be read ({error}): remove it, and everything else there") from None

    def up(self, slaves: int | None, options: Sequence[str], tell: Tell) -> Plan:
        """Start what does not run, the master first; its plan. What is not given is as it was the last time.

        Raises BadInput when it cannot be, Failed that names what did not start; the others run then.
        """
        if slaves is not None and slaves > MOST_SLAVES:
            raise BadInput(f"{slaves} slaves on one machine are too many: at most {MOST_SLAVES}")
        self.node_dir.prepare()
        known = self.plan()
        if known is None and self.node_dir.running_pid() is not None:
            raise BadInput(
                f"a node that belongs to no cluster runs in {self.node_dir.path}: end it with `amoc stop`, "
                "or choose another directory with --dir"
            )
        if known is None:
            plan = Plan(slaves or SLAVES, _free_ports(), list(options))
        else:
            plan = Plan(max(slaves or 0, known.slaves), known.port, list(options) or known.options)
        self._file.write_bytes(msgspec.json.encode(plan))
        master, *others = self.members(plan)
        self._make_keys([master, *others])
        self._start(master, tell)
        _each(others, lambda member: self._start(member, tell))
        return plan

    def down(self, tell: Tell) -> None:
        """Stop what runs, the master and with it the test first. Raises BadInput if there is no cluster here."""
        plan = self.plan()
        if plan is None:
            raise BadInput(f"there is no cluster in {self.node_dir.path}: `amoc cluster up` makes one")
        master, *others = self.members(plan)
        _each([master], lambda member: self._stop(member, tell))
        _each(others, lambda member: self._stop(member, tell))

    def members(self, plan: Plan) -> list[Member]:
        """The processes: the master, then its slaves."""
        return [
            self._member(MASTER, "master", self.node_dir, plan),
            *(
                self._member(name, "slave", NodeDir(self.node_dir.path / "slaves" / name), plan)
                for name in (f"slave{number}" for number in range(1, plan.slaves + 1))
            ),
        ]

    def _member(self, name: str, role: str, node_dir: NodeDir, plan: Plan) -> Member:
        settings = {
            "role": role,
            "node_name": name,
            "control_host": "127.0.0.1",
            "master_host": "127.0.0.1",
            "control_port": plan.port,
            "keys_dir": self._keys,
            "status_file": node_dir.path / "status",
        }
        own = [word for setting, value in settings.items() for word in ("--set", f"{setting}={value}")]
        return Member(name, node_dir, [*plan.options, *own])

    def _make_keys(self, members: Sequence[Member]) -> None:
        missing = [member.name for member in members if not (self._keys / f"{member.name}.key_secret").exists()]
        if missing:
            new_pairs(self._keys, missing)

    def _start(self, member: Member, tell: Tell) -> None:
        pid = member.node_dir.running_pid()
        if pid is not None:
            tell(f"{member.name}: runs already (pid {pid})")
            return
        try:
            child = daemon.start(member.node_dir, member.options)
        except AmocError as error:
            raise type(error)(f"{member.name}: {error}") from None
        tell(f"{member.name}: started (pid {child.process.pid})")

    def _stop(self, member: Member, tell: Tell) -> None:
        if member.node_dir.running_pid() is None:
            tell(f"{member.name}: does not run")
            return
        try:
            pid = daemon.stop(member.node_dir)
        except AmocError as error:
            raise Failed(f"{member.name}: {error}") from None
        tell(f"{member.name}: ended (pid {pid})")


def _each(members: Sequence[Member], work: Callable[[Member], None]) -> None:
    """Do it with all members at once. Raises Failed with every failure, after all have been tried."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(work, member) for member in members]
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, AmocError):
            raise error
    if errors:
        raise Failed("; ".join(map(str, errors)))


def _free_ports() -> int:
    """The first of two neighbouring ports of loopback that are free now."""
    for _ in range(1000):
        port = random.SystemRandom().randrange(PORTS.start, PORTS.stop, 2)
        try:
            for one in (port, port + 1):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", one))
        except OSError:
            continue
        return port
    raise Failed("no two free ports found on 127.0.0.1")
