"""What `make prepare` does where systemd, or Python, is not as usual."""

from testinfra.host import Host

testinfra_hosts = ["ansible://amoc"]


def name(host: Host) -> str:
    return host.check_output("uname -n")


def test_there_is_a_python_that_can_make_environments(host: Host) -> None:
    if name(host) == "elsewhere":
        assert host.run("command -v python3").rc != 0  # none was installed beside the one that is there
    else:
        assert host.run("python3 -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))'").rc == 0


def test_the_service_user_has_the_name_that_was_asked_for_and_the_limit(host: Host) -> None:
    assert host.user("crow").exists
    assert not host.user("amoc").exists
    with host.sudo():
        assert host.check_output("su - crow -c 'ulimit -Sn; ulimit -Hn'").split() == ["10000", "10000"]


def test_the_kernel_has_the_values_now(host: Host) -> None:
    assert host.check_output("cat /proc/sys/net/core/somaxconn") == "40000"
    assert host.check_output("cat /proc/sys/net/ipv4/ip_local_port_range").split() == ["1024", "65535"]
