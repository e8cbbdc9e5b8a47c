"""What is wrong with a cluster is one line that says where and what to do, and disturbs nobody else."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers.process import free_pair, free_ports
from tests.support.terminal import Workplace


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    """A folder with a master's settings and keys."""
    workplace = Workplace(tmp_path)
    port = free_pair()
    (tmp_path / "app.config").write_text(f'role = "master"\ncontrol_port = {port}\nworkers = 1\n')
    yield workplace
    workplace.close()


def refused(place: Workplace, code: int, *arguments: str) -> str:
    """Run a command that fails; its one line."""
    done = place.amoc(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr.startswith("amoc: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("amoc: ").strip()


def test_keys_that_cannot_be_used(place: Workplace) -> None:
    assert refused(place, 2, "start") == "there is no key keys/master.key_secret: amoc keys new master"
    assert place.amoc("keys", "new", "master", "slave1").returncode == 0
    secret = place.folder / "keys" / "master.key_secret"
    secret.chmod(0o644)
    text = refused(place, 2, "start")
    assert (
        text == "the secret key keys/master.key_secret is open to others (mode 0644): chmod 600 keys/master.key_secret"
    )
    secret.chmod(0o600)
    slave = ("start", "--dir", ".slave", "--set", "role=slave", "--set", "node_name=slave2")
    assert refused(place, 2, *slave) == "there is no key keys/slave2.key_secret: amoc keys new slave2"
    assert "cannot be the name of a node" in refused(place, 2, *slave[:-1], "node_name=../slave2")


def test_a_port_that_is_taken(place: Workplace) -> None:
    place.amoc("keys", "new", "master")
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)):
        for first in (port, port - 1):
            text = refused(place, 2, "start", "--set", f"control_port={first}")
            assert f"the master cannot listen on tcp://127.0.0.1:{port}: Address already in use" in text
            assert "control_port" in text


def test_a_master_without_slaves(place: Workplace) -> None:
    place.amoc("keys", "new", "master", "slave1")
    assert place.amoc("start").returncode == 0
    assert place.amoc("nodes").stdout == "no slave has registered yet\n"
    assert "there is no slave to run users on" in refused(place, 1, "run", "chat", "--users", "2", "--cluster")
    assert "amoc cluster" not in refused(place, 2, "cluster", "up")
    shell = place.shell("attach")
    assert "there is no slave to run users on" in shell.run("amoc_dist.do(chat, 1, 2)")
    assert "no test is running" in shell.run("amoc_dist.stop()")
    assert "unknown scenario" in shell.run("amoc_dist.do('chta', 1, 2)").lower() or "no scenario" in shell.text
    assert "this master starts no slaves: the setting hosts is empty" in shell.run("amoc_dist.start_nodes()")
    assert "hosts is empty" not in shell.run("amoc_dist.ping_nodes()")


def test_commands_at_a_node_of_another_role(place: Workplace) -> None:
    (place.folder / "app.config").unlink()
    assert "no node runs in .amoc" in refused(place, 1, "nodes")
    assert "no node runs in .amoc" in refused(place, 1, "run", "chat", "--users", "2", "--cluster")
    assert refused(place, 2, "cluster", "down") == "there is no cluster in .amoc: `amoc cluster up` makes one"
    assert "at most 64" in refused(place, 2, "cluster", "up", "--slaves", "65")
    assert place.amoc("start").returncode == 0
    assert refused(place, 2, "nodes").startswith("not the master: this node runs tests by itself, with amoc_local")
    assert "the node in .amoc is no master" in refused(place, 2, "run", "chat", "--users", "2", "--cluster")
    assert "a node that belongs to no cluster runs in .amoc" in refused(place, 2, "cluster", "up")
    text = refused(place, 2, "run", "chat", "--users", "2", "--cluster", "--workers", "2")
    assert text == "--workers and --config are for a new node, those of the cluster run already"
