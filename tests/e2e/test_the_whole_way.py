"""From a clean checkout to a load on real hosts: prepare, deploy, console, and what the server itself says."""

import re

import pytest

from tests.support.operator import Done
from tests.support.site import Site
from tests.support.terminal import until

pytestmark = [pytest.mark.lab("ejabberd"), pytest.mark.timeout(600)]

NOTHING = {"master": 0, "slave1": 0, "slave2": 0}
FIRST, MORE = range(1, 101), range(1, 151)


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
        shown = shell.run('amoc_dist.do(mongoose_simple_with_metrics, 1, 100, comment="first")')
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
    assert "slave1" in site.amoc("start")
    try:
        assert site.status_file() == "ready"
        with site.shell("attach") as shell:
            shell.run("amoc_dist.do(mongoose_simple_with_metrics, 1, 100)")
            site.await_sessions(site.spread(FIRST))
            shell.ctrl_d()
            assert shell.ended() == 0
        opened = site.server.counts().opened
        sent = site.server.counts().messages_in
        until(lambda: site.server.counts().messages_in > sent + 1000, "the load that goes on")
        with site.shell("attach") as shell:
            assert "100 running" in shell.run("amoc_dist.users()")
            shell.run("amoc_dist.add(50)")
            site.await_sessions(site.spread(MORE))
            shell.run("amoc_dist.remove(50, force=True)")
            site.await_sessions(site.spread(FIRST))
            assert site.server.counts().opened == opened + 50
            shell.run("amoc_dist.stop(force=True)")
            site.await_sessions({})
    finally:
        site.amoc("stop")
