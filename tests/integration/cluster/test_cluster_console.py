"""A person at the master of three slaves, through a real pseudo-terminal."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.session import session_of, shape
from tests.support.terminal import Workplace

ROOT = Path(__file__).parents[3]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    """A folder with the project's scenarios, a server, and a cluster of three slaves with a worker each."""
    workplace = Workplace(tmp_path)
    server = workplace.popen("server", "--port", "0")
    assert server.stdout is not None
    workplace.environment["AMOC_XMPP_SERVERS"] = server.stdout.readline().split(" on ")[1].split(",")[0]
    workplace.environment["AMOC_SCENARIOS_DIR"] = str(ROOT / "scenarios")
    done = workplace.amoc("cluster", "up", "--slaves", "3", "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    yield workplace
    workplace.amoc("cluster", "down")
    workplace.close()


def test_the_session_of_the_manual(place: Workplace) -> None:
    shell = place.shell("attach")
    assert re.search(r"amoc \d+\.\d+\.\d+: master in \.amoc, pid \d+", shell.text)
    assert "Start one: amoc_dist.do(http_simple, 1, 10)" in shell.text
    session = session_of(ROOT / "docs" / "cluster.md")
    assert len(session) >= 10
    for line, reply in session:
        if ".users()" in line:  # a person reads before typing on; meanwhile the users start
            shown = shell.run_until(line, "30 running")
        elif ".remove(" in line:
            shell.run_until("amoc_dist.users()", "32 running")
            shown = shell.run(line)
        else:
            shown = shell.run(line)
        pattern = r"Out\[\d+\]:\s*" + shape(reply) if reply else ""
        assert re.search(pattern, shown), (line, shown)
        if "is running already" in shown:
            assert ".do(" in line
    status = shell.run("amoc_dist.status()")
    assert re.search(r"node master  amoc .* finished\n", status)
    assert "half of them" in status


def test_a_console_comes_and_goes_and_the_test_stays(place: Workplace) -> None:
    shell = place.shell("attach")
    assert "slave1: users 1 to 4 by 3" in shell.run("amoc_dist.do(mongoose_simple, 1, 6, interarrival=1)")
    assert "this is a master, it runs no users itself: use amoc_dist" in shell.run(
        "amoc_local.do(mongoose_simple, 1, 2)"
    )
    assert "amoc_dist.do(mongoose_simple, 1, 10)" in shell.run("mongoose_simple")
    shell.ctrl_d()
    assert shell.ended() == 0
    again = place.shell("attach")
    again.run_until("amoc_dist.users()", "6 wanted  6 running")
    assert place.amoc("nodes").stdout.count("running") == 3
    slave = place.shell("attach", "--dir", ".amoc/slaves/slave2")
    assert re.search(r"amoc \S+: slave slave2 in ", slave.text)
    refusal = "not the master: this is slave slave2; tests are run from its master, with amoc_dist"
    assert refusal in slave.run("amoc_dist.stop()")
    assert refusal in slave.run("amoc_local.users()")
    assert re.search(r"node slave2  amoc .* running", slave.run("amoc_node.status()"))
