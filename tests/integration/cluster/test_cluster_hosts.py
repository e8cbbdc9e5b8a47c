"""A master that starts its slaves over ssh: lines for each, the status file, those that fail, those that come later."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from amoc.console import daemon
from amoc.console.node_dir import NodeDir
from amoc.control.keys import new_pairs
from tests.support.leaks import MARK
from tests.support.servers.process import free_pair, free_ports
from tests.support.sshd import Sshd
from tests.support.terminal import Workplace, gone, until

pytestmark = pytest.mark.sshd

ROOT = Path(__file__).parents[3]

# What stands for an installation: each port of the sshd is a host, with a node dir of its own.
AMOC = """#!/bin/sh
export {mark} PYTHONPATH={root} AMOC_DIR=".amoc-${{SSH_CONNECTION##* }}"
exec {python} -P -m amoc "$@"
"""


class Site:
    """Two hosts with a slave's installation, and a folder for their master."""

    def __init__(self, folder: Path, sshd: Sshd) -> None:
        self.sshd = sshd
        self.path = folder / "installed"
        (self.path / "bin").mkdir(parents=True)
        script = self.path / "bin" / "amoc"
        mark = f"{MARK}={shlex.quote(os.environ[MARK])}"
        script.write_text(AMOC.format(mark=mark, root=ROOT, python=shlex.quote(sys.executable)))
        script.chmod(0o755)
        (folder / "master").mkdir()
        self.place = Workplace(folder / "master")
        self.place.environment |= {"HOME": str(sshd.home), "PYTHONPATH": os.pathsep.join(sys.path)}
        self.place.environment.pop("SSH_AUTH_SOCK", None)
        port = free_pair()
        keys = folder / "keys"
        new_pairs(keys, ["master", "s1", "s2", "s3"])
        common = f'control_port = {port}\nkeys_dir = "{keys}"\n'
        # As in a deployment, the slaves have the settings that all nodes have; the master says who they are.
        (self.path / "app.config").write_text(f'{common}status_file = ".status"\nworkers = 1\n')
        self._common = common

    def hosts(self, *entries: str, path: Path | None = None) -> None:
        """Write the master's settings."""
        listed = ", ".join(f'"{entry}"' for entry in entries)
        lines = f'role = "master"\nhosts = [{listed}]\npath = "{path or self.path}"\n'
        (self.place.folder / "app.config").write_text(self._common + lines)

    def entry(self, name: str, number: int) -> str:
        """An entry of the setting `hosts`: the host behind one port of the sshd."""
        return f"{name}={self.sshd.user}@127.0.0.1:{self.sshd.ports[number]}"

    def slave(self, number: int) -> NodeDir:
        """Where the slave of that host lives."""
        return NodeDir(self.path / f".amoc-{self.sshd.ports[number]}")

    def process(self, number: int) -> psutil.Process:
        """The agent of that host."""
        pid = self.slave(number).running_pid()
        assert pid
        return psutil.Process(pid)

    @property
    def status(self) -> str:
        """What the master's status file says."""
        return (self.place.folder / ".amoc.status").read_text().strip()

    def start(self) -> subprocess.CompletedProcess[str]:
        """`amoc start` at the master."""
        return self.place.amoc("start")

    def op(self, name: str, *args: Any) -> Any:
        """Carry out `dist.<name>` at the master."""
        with daemon.connect(NodeDir(self.place.node_dir)) as connection:
            return connection.call(f"dist.{name}", args, timeout=60)

    def up(self) -> list[str]:
        """The slaves that are up."""
        return [node["node"] for node in self.op("nodes") if node["state"] == "up"]

    def close(self) -> None:
        """End the master and the slaves."""
        self.place.close()
        for number in range(len(self.sshd.ports)):
            if self.slave(number).running_pid() is not None:
                daemon.stop(self.slave(number))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Sshd(tmp_path / "sshd", ports=2) as sshd:
        made = Site(tmp_path, sshd)
        yield made
        made.close()


def test_slaves_are_started_and_stopped_with_their_master(site: Site) -> None:
    site.hosts(site.entry("s1", 0), site.entry("s2", 1))
    done = site.start()
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "starting 2 slaves over ssh"
    user, ports = site.sshd.user, site.sshd.ports
    assert sorted(lines[1:3]) == [f"slave s{n + 1} ({user}@127.0.0.1:{ports[n]}): started" for n in (0, 1)]
    assert "is ready" in lines[-1]
    assert site.status == "ready"
    assert site.up() == ["s1", "s2"]
    assert "s1: users 1 to 3 by 2" in console(site, "amoc_dist.do(chat, 1, 4)")

    # the master ends, its slaves wait for another one, which does not start them again
    slaves = [site.process(0), site.process(1)]
    assert site.place.amoc("stop").returncode == 0
    assert not gone(slaves)
    assert not (site.place.folder / ".amoc.status").exists()
    done = site.start()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("runs already") == 2
    assert [site.process(0), site.process(1)] == slaves

    assert site.op("stop_nodes", ["s2"]) == {"s2": {"state": "stopped"}}
    until(lambda: gone(slaves[1:]), "s2 to end")
    assert not gone(slaves[:1])
    assert site.op("start_nodes", "s2") == {"s2": {"state": "started"}}
    until(lambda: site.process(1).pid != slaves[1].pid and site.up() == ["s1", "s2"], "s2 to be back")
    assert console(site, "amoc_dist.stop_nodes()").count("state stopped") == 2


def test_hosts_that_cannot_be_used_are_named_and_the_others_go_on(site: Site) -> None:
    (closed,) = free_ports(1)
    site.hosts(site.entry("s1", 0), f"s2=127.0.0.1:{closed}", f"s9={site.entry('x', 1).partition('=')[2]}")
    done = site.start()
    assert done.returncode == 1
    unreachable = f"slave s2: ssh cannot reach 127.0.0.1:{closed}: connection refused"
    keyless = "slave s9: the master has no key of it and would turn it away: `amoc keys new s9`"
    assert "without all its slaves" in done.stderr
    assert unreachable in done.stderr
    assert keyless in done.stderr
    assert done.stderr.count("\n") == 1
    assert site.status == f"error {unreachable}; {keyless}"
    assert site.up() == ["s1"]
    assert "s1: users 1 to 4" in console(site, "amoc_dist.do(chat, 1, 4)")
    site.op("stop")
    assert site.op("stop_nodes", ["s1"])["s1"] == {"state": "stopped"}


def test_a_slave_that_comes_late_makes_the_master_ready(site: Site) -> None:
    moved = site.path.with_name("moved")
    site.path.rename(moved)
    site.hosts(site.entry("s1", 0))
    done = site.start()
    assert done.returncode == 1
    gone_text = f"slave s1: there is no amoc in {site.path} (no bin/amoc): deploy it there, or set path"
    assert site.status == f"error {gone_text}"
    assert gone_text in site.place.amoc("attach").stdout + done.stderr
    moved.rename(site.path)
    assert site.op("start_nodes") == {"s1": {"state": "started"}}
    until(lambda: site.status == "ready", "the status file to say ready")
    assert site.op("stop_nodes") == {"s1": {"state": "stopped"}}


def test_a_console_of_the_master_shows_its_slaves_come(site: Site) -> None:
    site.hosts(site.entry("s1", 0), site.entry("s2", 1))
    shell = site.place.shell("console")
    shell.expect(r"slave s[12] \(.*\): started")
    shell.expect(r"slave s[12] \(.*\): started")
    shell.run_until("amoc_dist.nodes()", r"s1 +127.0.0.1 idle.*\ns2 +127.0.0.1 idle")
    assert shell.run("amoc_dist.stop_nodes()").count("state stopped") == 2
    shell.ctrl_d()
    assert shell.ended() == 0


def test_a_master_that_does_not_know_where_its_slaves_are_installed(site: Site) -> None:
    (site.place.folder / "app.config").write_text(f'{site._common}role = "master"\nhosts = ["s1=127.0.0.1"]\n')
    done = site.start()
    assert done.returncode == 2
    assert done.stderr == (
        "amoc: hosts names slaves to be started, but path is not set: where is amoc installed on them?\n"
    )
    assert site.status.startswith("error hosts names slaves")


def console(site: Site, line: str) -> str:
    """Type a line at a console of the master."""
    typed = subprocess.run(
        [sys.executable, "-P", "-m", "amoc", "attach"],
        cwd=site.place.folder,
        env=site.place.environment,
        input=f"{line}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return typed.stdout
