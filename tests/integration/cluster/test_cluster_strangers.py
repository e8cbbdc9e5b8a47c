"""Slaves that a master does not take: not listed, of another version, a second of the same name. Others go on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers.process import free_pair
from tests.support.terminal import Workplace, until

# amoc as it will be some day: it speaks another protocol.
OTHER = """
import sys
from amoc import control
from amoc.control import messages
control.PROTOCOL = messages.PROTOCOL = 99
from amoc.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


class Slaves:
    """A master in a folder, and slaves that come by hand."""

    def __init__(self, place: Workplace) -> None:
        self.place = place
        self._directories: list[str] = []
        self._others: list[subprocess.Popen[bytes]] = []
        port = free_pair()
        (place.folder / "app.config").write_text(f'role = "master"\ncontrol_port = {port}\nworkers = 1\n')
        for command in (("keys", "new", "master", "slave1", "slave2"), ("start",)):
            done = place.amoc(*command)
            assert done.returncode == 0, done.stderr

    def options(self, directory: str, name: str, keys: str) -> list[str]:
        """How a slave is told what it is."""
        self._directories.append(directory)
        settings = {"role": "slave", "node_name": name, "keys_dir": keys, "status_file": f"{directory}.status"}
        words = [word for setting, value in settings.items() for word in ("--set", f"{setting}={value}")]
        return ["--dir", directory, *words]

    def start(self, directory: str, name: str, keys: str = "keys") -> None:
        """Start one in the background."""
        done = self.place.amoc("start", *self.options(directory, name, keys))
        assert done.returncode == 0, done.stderr

    def start_another_version(self, directory: str, name: str) -> Path:
        """Start one that speaks another protocol; where it logs."""
        log = self.place.folder / "other.log"
        with log.open("wb") as output:
            command = [sys.executable, "-P", "-c", OTHER, "foreground", *self.options(directory, name, "keys")]
            environment = self.place.environment | {"PYTHONPATH": os.pathsep.join(sys.path)}
            self._others.append(
                subprocess.Popen(command, cwd=self.place.folder, env=environment, stdout=output, stderr=output)
            )
        return log

    def nodes(self) -> str:
        """`amoc nodes`."""
        return self.place.amoc("nodes").stdout

    def log(self, directory: str) -> str:
        """What a node has logged."""
        return (self.place.folder / directory / "node.log").read_text()

    def status(self, directory: str) -> str:
        """`amoc status` of a slave."""
        return self.place.amoc("status", "--dir", directory).stdout

    def close(self) -> None:
        """End them all."""
        for process in self._others:
            process.kill()
            process.wait()
        for directory in self._directories:
            self.place.amoc("stop", "--dir", directory)
        self.place.close()


@pytest.fixture
def slaves(tmp_path: Path) -> Iterator[Slaves]:
    made = Slaves(Workplace(tmp_path))
    yield made
    made.close()


def test_a_key_that_is_not_listed(slaves: Slaves) -> None:
    folder = slaves.place.folder
    (folder / "strangers").mkdir()
    for name in ("slave2.key_secret", "slave2.key", "master.key"):
        os.link(folder / "keys" / name, folder / "strangers" / name)
    (folder / "keys" / "slave2.key").unlink()
    slaves.start("a", "slave1")
    slaves.start("b", "slave2", "strangers")
    until(lambda: "slave1" in slaves.nodes(), "slave1 at its master")
    until(lambda: "was turned away: its key" in slaves.log(".amoc"), "the master to turn slave2 away")
    trouble = "the master does not list this node's key: put its .key file into the master's keys_dir"
    until(lambda: trouble in slaves.status("b"), "slave2 to say why")
    assert "slave2" not in slaves.nodes()
    os.link(folder / "strangers" / "slave2.key", folder / "keys" / "slave2.key")
    until(lambda: "slave2" in slaves.nodes(), "slave2, now that it is listed")


def test_another_version(slaves: Slaves) -> None:
    slaves.start("a", "slave1")
    log = slaves.start_another_version("b", "slave2")
    text = "node slave2 runs amoc 0.1.0 (control protocol 99), this master amoc 0.1.0 (control protocol 1)"
    until(lambda: text in log.read_text(), "the other version to be refused")
    assert "install the same amoc on both" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert "slave2" not in slaves.nodes()
    done = slaves.place.amoc("run", "chat", "--users", "2", "--cluster", "--duration", "1s")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_second_one_of_the_same_name(slaves: Slaves) -> None:
    slaves.start("a", "slave1")
    until(lambda: "slave1" in slaves.nodes(), "slave1 at its master")
    process = slaves.place.popen("run", "chat", "--users", "2", "--cluster", "--duration", "8s")
    until(lambda: "running" in slaves.nodes(), "the test to run")
    slaves.start("b", "slave1")
    until(
        lambda: "a node named slave1 is connected already: give this one another node_name" in slaves.log("b"),
        "the second one to be refused",
    )
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    assert "2 of 2 users started" in output
    assert "restarted" not in output
    assert slaves.nodes().count("slave1") == 1
