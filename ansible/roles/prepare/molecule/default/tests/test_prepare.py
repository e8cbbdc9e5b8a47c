"""What `make prepare` has brought about, as the hosts have it after a boot."""

from pathlib import Path

import pytest
import yaml
from testinfra.host import Host

testinfra_hosts = ["ansible://amoc"]

DEFAULTS = yaml.safe_load((Path(__file__).parents[3] / "defaults/main.yml").read_text())
# Of the whole machine; a container cannot change them.
OF_THE_MACHINE = {
    "fs.file-max",
    "net.core.netdev_max_backlog",
    *(f"net.core.{way}mem_{what}" for way in "rw" for what in ("default", "max")),
}
TUNED = {name: str(value) for name, value in DEFAULTS["prepare_sysctls"].items()}
KEY = Path("/var/tmp/amoc-lab/molecule-prepare/id_ed25519.pub").read_text().strip()


def kernel(host: Host, name: str) -> str:
    """The value in the kernel."""
    return " ".join(host.file(f"/proc/sys/{name.replace('.', '/')}").content_string.split())


def is_slave(host: Host) -> bool:
    """Only slaves have the connections."""
    return host.check_output("uname -n") == "slave"


def test_the_service_user_has_a_home_and_no_password(host: Host) -> None:
    user = host.user("amoc")
    assert user.shell == "/bin/bash"
    assert host.file(user.home).user == "amoc"
    with host.sudo():
        assert not user.password.startswith("$")


def test_the_deploying_key_logs_in_as_operator_and_as_service_user(host: Host) -> None:
    for name in ("deploy", "amoc"):
        with host.sudo():
            keys = host.file(f"/home/{name}/.ssh/authorized_keys")
            assert keys.content_string.count(KEY) == 1
            assert (keys.user, keys.mode) == (name, 0o600)
            assert host.file(f"/home/{name}/.ssh").mode == 0o700


def test_a_login_of_the_service_user_has_the_limit_and_others_have_not(host: Host) -> None:
    with host.sudo():
        for kind in ("S", "H"):
            assert host.check_output(f"su - amoc -c 'ulimit -{kind}n'") == "20000"
        assert host.check_output("su - deploy -c 'ulimit -Sn'") != "20000"


def test_the_kernel_has_the_values_on_slaves_and_is_left_alone_elsewhere(host: Host) -> None:
    wanted = TUNED | {"net.ipv4.tcp_slow_start_after_idle": "0"}
    values = {name: kernel(host, name) for name in wanted.keys() - OF_THE_MACHINE}
    assert len(values) > 10
    right = [name for name, value in values.items() if value == wanted[name]]
    if is_slave(host):
        assert sorted(right) == sorted(values)
    else:
        assert "net.core.somaxconn" not in right
        assert not host.file("/etc/sysctl.d/zz-amoc.conf").exists


def test_what_is_written_for_the_next_boot_is_everything(host: Host) -> None:
    if not is_slave(host):
        pytest.skip("a master's kernel is left alone")
    file = host.file("/etc/sysctl.d/zz-amoc.conf")
    assert (file.user, file.mode) == ("root", 0o644)
    lines = dict(line.split(" = ") for line in file.content_string.splitlines() if " = " in line)
    assert lines == TUNED | {"net.ipv4.tcp_slow_start_after_idle": "0"}


def test_tcp_mem_is_left_alone(host: Host) -> None:
    assert host.run("grep -rs tcp_mem /etc/sysctl.d /etc/sysctl.conf").rc != 0
