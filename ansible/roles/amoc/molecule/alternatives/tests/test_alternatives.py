"""What `make deploy` brings about without systemd, with a master that is a slave, too, and with a Python elsewhere."""

import json
import re
from pathlib import Path

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://amoc"]

RELEASE = json.loads(Path("/var/tmp/amoc-lab/molecule-amoc-alternatives/rel/RELEASE").read_text())["id"]
MASTER, SLAVE = "/home/crow/amoc_master", "/srv/load-test/amoc"
NODES = ["both", "slave"]


@pytest.fixture
def name(host: Host) -> str:
    return host.check_output("uname -n")


@pytest.fixture
def homes(name: str) -> list[str]:
    return [MASTER, SLAVE] if name == "both" else [SLAVE]


def test_the_version_in_use_is_the_release(host: Host, homes: list[str]) -> None:
    with host.sudo():
        for home in homes:
            assert host.file(f"{home}/current").linked_to == f"{home}/versions/{RELEASE}"
            assert host.check_output(f"{home}/bin/amoc --version").split()[-1] in RELEASE


def test_its_environment_is_made_of_the_python_that_was_found(host: Host, name: str) -> None:
    expected = "/opt/python/bin/python3.11" if name == "slave" else "/usr/bin/python3.11"
    with host.sudo():
        assert host.check_output(f"readlink -f {SLAVE}/current/venv/bin/python") == expected


def test_everything_is_the_service_users_and_secrets_are_nobody_elses(host: Host, homes: list[str]) -> None:
    with host.sudo():
        for home in homes:
            assert host.check_output(f"find {home} ! -user crow") == ""
            assert host.check_output(f"find {home} -perm /022 ! -type l") == ""
            assert host.file(f"{home}/current/app.config").mode == 0o600
            assert host.file(f"{home}/keys").mode == 0o700
            assert host.check_output(f"find {home}/keys -type f ! -perm 600") == ""


def test_a_node_has_its_own_secret_key_and_no_others(host: Host, name: str) -> None:
    with host.sudo():
        keys = set(host.check_output(f"ls {SLAVE}/keys").split())
        assert keys == {f"{name}.key_secret", f"{name}.key", "master.key"}
        if name == "both":
            keys = set(host.check_output(f"ls {MASTER}/keys").split())
            assert keys == {"master.key_secret", "master.key", *(f"{node}.key" for node in NODES)}


def test_the_slaves_node_runs_in_the_background_as_the_service_user_with_the_limit(host: Host) -> None:
    with host.sudo():
        pid = int(host.file(f"{SLAVE}/.amoc/node.pid").content_string)
        assert host.process.get(pid=pid).user == "crow"
        limits = host.file(f"/proc/{pid}/limits").content_string
    soft = re.search(r"^Max open files +(\d+) ", limits, re.MULTILINE)
    assert soft
    assert int(soft[1]) >= 10000


def test_there_is_no_unit_and_nothing_for_sudo(host: Host) -> None:
    assert host.check_output("find /etc/systemd /etc/sudoers.d -name '*amoc*' 2>/dev/null || true") == ""


def test_the_master_reaches_every_slave_and_its_own_host(host: Host, name: str) -> None:
    if name != "both":
        pytest.skip("of the master")
    with host.sudo():
        hosts = host.file(f"{MASTER}/app.config").content_string
        for node in NODES:
            address = re.search(rf"{node}=crow@([\d.]+)", hosts)
            assert address
            ssh = f"su - crow -c 'ssh -o BatchMode=yes crow@{address[1]} {{}}'"
            assert json.loads(host.check_output(ssh.format("status")))["node"] == node
            assert host.run(ssh.format("id")).rc == 2
