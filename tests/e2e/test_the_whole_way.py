"""From a clean checkout to a load on real hosts: prepare, deploy, console, and what the server itself says."""

import re
import tomllib

import pytest

from tests.support.operator import Done
from tests.support.site import Site
from tests.support.terminal import Shell, until

pytestmark = [pytest.mark.lab("ejabberd"), pytest.mark.timeout(1800)]

DO = "amoc_dist.do(mongoose_simple_with_metrics"
NEW = "99.0.1"
NOTHING = {"master": 0, "slave1": 0, "slave2": 0}
FIRST, MORE = range(1, 101), range(1, 151)


def do(shell: Shell) -> str:
    """Start a test with the users 1 to 100; its reply.

    A master that was stopped with its test tells the slaves of the end when it is there again: until they have said
    that it is over, it refuses a new one.
    """
    return shell.run_until(f"{DO}, 1, 100)", r"slave1: users 1 to ")


def test_prepare_changes_the_hosts_once(site: Site, prepared: Done) -> None:
    assert all(changes > 0 for changes in prepared.changed.values())
    assert site.checkout.made("prepare").changed == NOTHING


def test_deploy_changes_the_hosts_once(site: Site, deployed: Done) -> None:
    assert all(changes > 0 for changes in deployed.changed.values())
    assert site.checkout.made("deploy").changed == NOTHING


@pytest.mark.usefixtures("deployed")
def test_a_console_and_a_load(site: Site) -> None:
    before = site.server.counts()
    with site.shell("console") as shell:
        until(lambda: site.status_file() == "ready", "the master")
        shown = shell.run(f'{DO}, 1, 100, comment="first")')
        assert "slave1: users 1 to 99 by 2\nslave2: users 2 to 100 by 2" in shown
        site.await_sessions(site.spread(FIRST))
        assert sorted(site.server.sessions_by_address().values()) == [50, 50]
        assert "slave1: added 25, users 101 to 149 by 2" in shell.run("amoc_dist.add(50)")
        site.await_sessions(site.spread(MORE))
        shell.run_until("amoc_dist.users()", "150 wanted  150 running  150 starts")
        connections = r"(?m)^amoc\.counters\.connections +150\b"
        shell.run_until("amoc_dist.status()", connections)
        assert (site.server.counts() - before).opened == 150
        assert "slave2: removed 25" in shell.run("amoc_dist.remove(50, force=True)")
        site.await_sessions(site.spread(FIRST))
        shell.run_until("amoc_dist.users()", r"100 running")
        shell.type("exit()\r")
        shell.expect(re.escape("[y/N]"))
        shell.type("y\r")
        assert shell.ended() == 0
    site.await_sessions({})
    assert site.status_file() == ""


@pytest.mark.usefixtures("deployed")
def test_a_master_in_the_background_goes_on_without_its_shell(site: Site) -> None:
    with site.master():
        with site.shell("attach") as shell:
            do(shell)
            site.await_sessions(site.spread(FIRST))
            shell.ctrl_d()
            assert shell.ended() == 0
        before = site.server.counts()
        until(lambda: (site.server.counts() - before).messages_in > 1000, "the load that goes on")
        with site.shell("attach") as shell:
            shell.run_until("amoc_dist.users()", r" 100 running")
            shell.run("amoc_dist.add(50)")
            site.await_sessions(site.spread(MORE))
            shell.run("amoc_dist.remove(50, force=True)")
            site.await_sessions(site.spread(FIRST))
            assert (site.server.counts() - before).opened == 50
            assert "slave2: state finished" in shell.run("amoc_dist.stop(force=True)")
            site.await_sessions({})


@pytest.mark.usefixtures("deployed")
def test_a_slave_that_is_cut_off_goes_on_and_is_back_when_healed(site: Site) -> None:
    with site.master(), site.shell("attach") as shell:
        before = site.server.counts()
        do(shell)
        shell.run_until("amoc_dist.users()", r" 100 running")
        with site.lab["slave2"].cut():
            shell.run_until("amoc_dist.nodes()", r"slave2 .* lost")
            assert " 50 running" in shell.run("amoc_dist.users()")
        shell.run_until("amoc_dist.users()", r" 100 wanted +100 running +100 starts$")
        assert re.search(r"slave2 .* running", shell.run("amoc_dist.nodes()"))
        site.await_sessions(site.spread(FIRST))
        assert (site.server.counts() - before).opened == 100


@pytest.mark.usefixtures("deployed")
def test_a_new_version_waits_for_the_end_of_a_test_or_ends_it(site: Site) -> None:
    version = tomllib.loads((site.checkout.folder / "pyproject.toml").read_text())["project"]["version"]
    for path, name in (("pyproject.toml", "version"), ("amoc/__init__.py", "__version__")):
        site.checkout.replace(path, f'{name} = "{version}"', f'{name} = "{NEW}"')
    with site.master(), site.shell("attach") as shell:
        do(shell)
        site.await_sessions(site.spread(FIRST))
        refused = site.checkout.make("deploy")
        assert refused.code != 0
        assert "a test runs (master (master: running)" in refused.text
        assert refused.changed == NOTHING
        assert site.server.sessions() == site.spread(FIRST)
        site.checkout.made("deploy", "-e force=true")
        site.await_sessions({})
        assert site.amoc("--version").split()[-1] == NEW
        assert site.amoc("start")
        shell.run_until("amoc_dist.nodes()", rf"slave1 .* {NEW} .*\n.*slave2 .* {NEW} ")
        do(shell)
        site.await_sessions(site.spread(FIRST))


@pytest.mark.usefixtures("deployed")
def test_a_slave_that_is_killed_takes_new_users_after_its_start(site: Site) -> None:
    with site.master(), site.shell("attach") as shell:
        do(shell)
        shell.run_until("amoc_dist.users()", r" 100 running")
        site.lab["slave2"].kill()
        shell.run_until("amoc_dist.nodes()", r"slave2 .* lost")
        shell.run_until("amoc_dist.users()", r" 100 wanted +50 running +100 starts +50 lost$")
        site.lab["slave2"].start()
        shell.run_until("amoc_dist.nodes()", r"slave2 .* running")
        assert "slave2: added 5, users 102 to 110 by 2" in shell.run("amoc_dist.add(10)")
        shell.run_until("amoc_dist.users()", r" 110 wanted +60 running +110 starts +50 lost$")
        # the server misses those of before when it writes to them
        alive = site.spread(range(1, 101, 2)) | site.spread(range(101, 111))
        site.await_sessions(alive)


@pytest.mark.usefixtures("deployed")
def test_a_unit_that_fails_again_and_again_fails_the_deploy_of_its_host(site: Site) -> None:
    slave, unit = site.lab["slave2"], "amoc-slave.service"
    broken = f"/etc/systemd/system/{unit}.d/broken.conf"
    slave.write(
        broken,
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStartPre=/bin/sh -c 'echo no luck today; exit 1'\n",
    )
    slave.run("systemctl", "daemon-reload")
    slave.run("systemctl", "restart", unit, check=False)
    done = site.checkout.make("deploy")
    assert done.code != 0
    assert {name for name, recap in done.recap.items() if recap.failed} == {"slave2"}
    assert re.search(rf"(?m)^slave2: {re.escape(unit)} does not stay up: .*no luck today", done.text)
    slave.run("rm", broken)
    slave.run("systemctl", "daemon-reload")
    site.checkout.made("deploy")
    assert slave.run("systemctl", "is-active", unit).stdout == "active\n"


@pytest.mark.usefixtures("deployed")
def test_the_masters_host_can_be_a_slave_too(site: Site) -> None:
    site.write_inventory(["slave1", "slave2", "master"])
    site.checkout.made("prepare")
    site.checkout.made("deploy")
    assert site.checkout.make("status").text.count("slave3") == 1
    with site.master(), site.shell("attach") as shell:
        assert "slave3: users 3 to 99 by 3" in do(shell)
        site.await_sessions(site.spread(FIRST))
        assert site.server.sessions_by_address()[site.lab["master"].address] == 33
