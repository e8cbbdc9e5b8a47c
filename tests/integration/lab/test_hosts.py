"""What a test may expect of its hosts: they are machines, for all that the tested software sees."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lab import Host, Lab, LabError, cgroups
from tests.support.lab.command import until
from tests.support.lab.machine import first_process

pytestmark = pytest.mark.lab

KEY = "/etc/ssh/ssh_host_ed25519_key"


@pytest.fixture(params=["full", "light"])
def host(request: pytest.FixtureRequest, two_hosts: Lab) -> Iterator[Host]:
    """The one kind and the other, which is on again after each test."""
    chosen = two_hosts[request.param]
    yield chosen
    if not chosen.running:
        chosen.start()


@pytest.fixture
def full(two_hosts: Lab) -> Host:
    """The one with systemd."""
    return two_hosts["full"]


def answers(host: Host) -> bool:
    """Whether its sshd can be reached from here."""
    try:
        socket.create_connection((host.address, 22), timeout=0.3).close()
    except OSError:
        return False
    return True


def test_an_operator_logs_in_and_may_become_root(host: Host) -> None:
    assert host.ssh("id -un; sudo -n id -un; uname -n").stdout.split() == ["deploy", "root", host.name]


def test_a_host_is_known_by_its_key_and_another_key_is_refused(host: Host) -> None:
    host.run("rm", KEY)
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY)
    with pytest.raises(LabError, match="REMOTE HOST IDENTIFICATION HAS CHANGED"):
        host.ssh("true")
    host.write(KEY, (host.folder / "host_key").read_text(), mode="600")
    host.ssh("true")


def test_the_password_of_the_operator_is_his(two_hosts: Lab, host: Host) -> None:
    host.run("su", "deploy", "--shell", "/bin/sh", "--command", "true")
    stored = host.run("getent", "shadow", "deploy").stdout.split(":")[1]
    crypt = "import crypt, sys; print(crypt.crypt(sys.argv[1], sys.argv[2]))"
    assert host.run("python3", "-W", "ignore", "-c", crypt, two_hosts.password, stored).stdout.strip() == stored


def test_one_has_systemd_and_the_other_has_not(two_hosts: Lab) -> None:
    assert two_hosts["full"].ssh("systemctl is-system-running").stdout == "running\n"
    assert two_hosts["light"].ssh("systemctl is-system-running", check=False).stdout == "offline\n"


def test_hosts_see_each_other_and_nothing_beyond(two_hosts: Lab, host: Host) -> None:
    (other,) = (each for each in two_hosts.hosts if each is not host)
    assert host.ssh(f"bash -c 'exec 3<>/dev/tcp/{other.name}/22 && head -c 4 <&3'").stdout == "SSH-"
    assert "unreachable" in host.ssh("ip route get 192.0.2.1", check=False).stderr


def test_each_has_a_disk_and_a_control_group_of_its_own(two_hosts: Lab) -> None:
    full, light = two_hosts.hosts
    full.write("/srv/mine", "here\n", mode="600")
    assert full.read("/srv/mine") == "here\n"
    assert light.run("cat", "/srv/mine", check=False).returncode != 0
    for index, host in enumerate(two_hosts.hosts, start=1):
        group = two_hosts.network.namespace(index)
        inside = Path(f"/proc/{first_process(group)}/cgroup").read_text()
        assert f":name=systemd:/{group}/" in inside or f"0::/{group}/" in inside, host
        assert cgroups.processes(group)


def test_a_cut_cable_is_silence_and_what_runs_goes_on(host: Host) -> None:
    with host.cut():
        assert not answers(host)
        assert "NO-CARRIER" in host.run("ip", "link", "show", "eth0").stdout
    until(lambda: answers(host), "the healed host", 10)


def test_a_kill_tells_nobody_and_leaves_the_disk(host: Host) -> None:
    host.write("/srv/kept", "still here\n")
    host.run("touch", "/run/forgotten")
    host.ssh("sudo sysctl -q -w net.core.somaxconn=77")
    with socket.create_connection((host.address, 22)) as connection:
        connection.recv(100)
        host.kill()
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(100)
    assert not host.running
    assert not answers(host)
    with pytest.raises(LabError, match="is off"):
        host.run("true")
    host.start()
    assert host.read("/srv/kept") == "still here\n"
    assert host.run("ls", "/run/forgotten", check=False).returncode != 0
    assert host.run("sysctl", "-n", "net.core.somaxconn").stdout != "77\n"


def test_a_host_is_shut_down_in_order_and_started(full: Host) -> None:
    unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\nExecStop=/bin/sh -c 'echo bye > /srv/said'\n"
    full.write("/etc/systemd/system/polite.service", unit)
    full.run("systemctl", "start", "polite")
    full.restart()
    assert full.read("/srv/said") == "bye\n"
    with pytest.raises(LabError, match="on already"):
        full.start()


def test_a_host_that_reboots_comes_back(full: Host) -> None:
    full.run("touch", "/run/before")
    full.ssh("sudo systemctl reboot", check=False)
    until(lambda: full.ssh("test ! -e /run/before", check=False).returncode == 0, "the rebooted host", 30)
    full.wait()


def test_a_clock_can_be_off(host: Host) -> None:
    host.shift_clock(-300)
    for command in ("date +%s", "sudo date +%s"):
        assert float(host.ssh(command).stdout) == pytest.approx(time.time() - 300, abs=5)
    if host.machine.systemd:
        host.run("systemd-run", "--quiet", "--wait", "sh", "-c", "date +%s > /srv/time")
        assert float(host.read("/srv/time")) == pytest.approx(time.time() - 300, abs=5)
    host.shift_clock(0)
    assert float(host.ssh("date +%s").stdout) == pytest.approx(time.time(), abs=5)
