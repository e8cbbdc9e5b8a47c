"""What `make deploy` has brought about, as the hosts have it after a boot."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://amoc"]

LAB = Path("/var/tmp/amoc-lab/molecule-amoc")
RELEASE = json.loads((LAB / "rel/RELEASE").read_text())["id"]
SLAVES = ["slave1", "slave2"]
LIMIT = "20000"


@pytest.fixture
def name(host: Host) -> str:
    return host.check_output("uname -n")


@pytest.fixture
def home(name: str) -> str:
    return f"/home/amoc/{'amoc_master' if name == 'master' else 'amoc'}"


@pytest.fixture
def slave(name: str) -> str:
    if name not in SLAVES:
        pytest.skip("of slaves")
    return name


@pytest.fixture
def master(name: str) -> str:
    if name != "master":
        pytest.skip("of the master")
    return name


def node(host: Host) -> int:
    """The process of the slave's node, by its unit."""
    return int(host.check_output("systemctl show -P MainPID amoc-slave"))


def test_the_version_in_use_is_the_release(host: Host, home: str) -> None:
    with host.sudo():
        assert host.file(f"{home}/current").linked_to == f"{home}/versions/{RELEASE}"
        assert host.check_output(f"ls {home}/versions") == RELEASE
        assert host.check_output(f"{home}/bin/amoc --version").split()[-1] in RELEASE


def test_everything_is_the_service_users_and_secrets_are_nobody_elses(host: Host, home: str) -> None:
    with host.sudo():
        assert host.check_output(f"find {home} ! -user amoc") == ""
        assert host.check_output(f"find {home} -perm /022 ! -type l") == ""
        assert host.file(f"{home}/current/app.config").mode == 0o600
        for folder in ("keys", *(["ssh"] if home.endswith("master") else [])):
            assert host.file(f"{home}/{folder}").mode == 0o700
            assert host.check_output(f"find {home}/{folder} -type f ! -perm 600") == ""
    for secret in ("current/app.config", "keys"):
        assert host.run(f"cat {home}/{secret}").rc != 0


def test_a_node_has_its_own_secret_key_and_no_others(host: Host, home: str, name: str) -> None:
    with host.sudo():
        keys = set(host.check_output(f"ls {home}/keys").split())
        secret = host.file(f"{home}/keys/{name}.key_secret").content_string
    if name == "master":
        assert keys == {"master.key_secret", "master.key", *(f"{slave}.key" for slave in SLAVES)}
    else:
        assert keys == {f"{name}.key_secret", f"{name}.key", "master.key"}
    assert secret == (LAB / f"keys/{name}.key_secret").read_text()


def test_app_config_has_the_settings_and_only_the_master_knows_the_slaves(host: Host, home: str, name: str) -> None:
    with host.sudo():
        settings = tomllib.loads(host.file(f"{home}/app.config").content_string)
    assert settings["interarrival"] == 20
    assert settings["xmpp_domain"] == 'with "quotes" and é'
    assert settings["node_name"] == name
    if name == "master":
        assert [entry.partition("=")[0] for entry in settings["hosts"]] == SLAVES
    else:
        assert "hosts" not in settings


def test_the_slaves_node_runs_since_the_boot_as_the_service_user(host: Host, slave: str) -> None:
    service = host.service("amoc-slave")
    assert service.is_running
    assert service.is_enabled
    process = host.process.get(pid=node(host))
    assert process.user == "amoc"


def test_the_slaves_node_has_the_limit(host: Host, slave: str) -> None:
    with host.sudo():
        limits = host.file(f"/proc/{node(host)}/limits").content_string
    assert re.search(rf"^Max open files +{LIMIT} +{LIMIT} ", limits, re.MULTILINE)


def test_the_slaves_node_has_no_rights_and_sees_little(host: Host, home: str, slave: str) -> None:
    with host.sudo():
        status = host.file(f"/proc/{node(host)}/status").content_string
        assert re.search(r"^NoNewPrivs:\s*1$", status, re.MULTILINE)
        assert re.search(r"^CapBnd:\s*0+$", status, re.MULTILINE)
        assert re.search(r"^Seccomp:\s*2$", status, re.MULTILINE)
        inside = f"nsenter -t {node(host)} -m -S $(id -u amoc)"
        for place in ("/home/amoc", f"{home}/versions", f"{home}/keys", "/etc", "/var/tmp/x"):
            assert host.run(f"{inside} touch {place}/written").rc != 0, place
        assert host.run(f"{inside} sh -c 'touch {home}/written && rm {home}/written'").rc == 0


def test_the_masters_node_waits_for_whoever_runs_a_test(host: Host, master: str) -> None:
    assert not host.service("amoc-master").is_running
    assert not host.service("amoc-master").is_enabled


def test_the_masters_key_may_start_stop_and_ask_and_nothing_else(host: Host, master: str) -> None:
    ssh = "su - amoc -c 'ssh -o BatchMode=yes amoc@{} {}'"
    with host.sudo():
        for slave in SLAVES:
            hosts = host.file("/home/amoc/amoc_master/app.config").content_string
            address = re.search(rf"{slave}=amoc@([\d.]+)", hosts)
            assert address
            answer = host.run(ssh.format(address[1], "id"))
            assert answer.rc == 2
            assert "may only start, stop" in answer.stderr
            status = json.loads(host.check_output(ssh.format(address[1], "status")))
            assert (status["node"], status["role"]) == (slave, "slave")
            assert host.run(ssh.format(address[1], '"status; touch /tmp/more"')).rc == 2


def test_nothing_secret_is_in_a_command_line_or_a_log(host: Host, home: str, name: str) -> None:
    secret = re.search(r'secret-key = "(.+)"', (LAB / f"keys/{name}.key_secret").read_text())
    assert secret
    with host.sudo():
        assert secret[1] not in host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
        assert secret[1] not in host.check_output("journalctl --no-pager -o cat")  # a grep would be in it, by sudo


def test_the_archive_that_was_uploaded_is_gone(host: Host) -> None:
    with host.sudo():
        assert host.check_output("find /home/amoc /tmp /root -name '*.tar.gz'") == ""
