"""mongoose_simple_docker and mongoose_pubsub_docker by the command line, with their servers from the environment."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import Ejabberd, Prosody, Server

ROOT = Path(__file__).resolve().parents[2]
USERS = 6  # of whom Prosody lets users 1, 3 and 5 make nodes
QUICK = {"settle": 5, "rounds": 3, "pause": 0.2, "linger": 2}


def run(scenario: str, folder: Path, servers: list[Server]) -> subprocess.CompletedProcess[str]:
    """`amoc run` in `folder`; the result is in result.json."""
    chosen = {**QUICK, "scenarios_dir": ROOT / "scenarios", "xmpp_tls": "never"}
    command = [sys.executable, "-m", "amoc", "run", scenario, "--users", str(USERS), "--repeat-num", "0"]
    command += ["--interarrival", "10", "--json", "result.json"]
    command += [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
    environment = {name: value for name, value in os.environ.items() if name != "AMOC_XMPP_SERVERS"}
    if servers:
        environment["AMOC_XMPP_SERVERS"] = " ".join(server.address for server in servers)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )


def result(scenario: str, folder: Path, servers: list[Server]) -> dict[str, Any]:
    """What came out of a run that went well."""
    done = run(scenario, folder, servers)
    assert done.returncode == 0, done.stdout + done.stderr
    outcome: dict[str, Any] = json.loads((folder / "result.json").read_text())
    assert outcome["errors"] == []
    assert outcome["users"]["finished"] == USERS
    return outcome


@pytest.mark.ejabberd
@pytest.mark.prosody
def test_users_are_spread_over_the_servers_of_the_environment(
    ejabberd: Ejabberd, prosody: Prosody, tmp_path: Path
) -> None:
    servers: list[Server] = [ejabberd, prosody]
    before = [server.counts() for server in servers]
    outcome = result("mongoose_simple_docker", tmp_path, servers)
    seen = [server.counts() - counts for server, counts in zip(servers, before, strict=True)]
    assert outcome["totals"]["amoc.counters.connections"] == USERS
    assert [counts.opened for counts in seen] == [USERS / 2, USERS / 2]
    sent = sum(len([other for other in range(max(1, user - 4), user + 5) if other != user]) for user in range(1, 7))
    assert sum(counts.messages_in for counts in seen) == QUICK["rounds"] * sent


def test_no_servers_in_the_environment(tmp_path: Path) -> None:
    done = run("mongoose_simple_docker", tmp_path, [])
    assert done.returncode == 1
    assert "set AMOC_XMPP_SERVERS" in done.stdout + done.stderr


def test_publishers_and_subscribers(server: Server, tmp_path: Path) -> None:
    totals = result("mongoose_pubsub_docker", tmp_path, [server])["totals"]
    assert totals["pubsub_nodes"] == 3
    assert totals["items_sent"] == 3 * QUICK["rounds"]
    # users 2 and 4 find the nodes of 1, 3 and 5, user 6 those of 3 and 5
    assert totals["subscriptions"] == 3 + 3 + 2
    assert totals["items_received"] == QUICK["rounds"] * totals["subscriptions"]
    # nothing is left: once more with the same result
    again = result("mongoose_pubsub_docker", tmp_path, [server])["totals"]
    assert {name: again[name] for name in ("pubsub_nodes", "subscriptions", "items_sent", "items_received")} == {
        name: totals[name] for name in ("pubsub_nodes", "subscriptions", "items_sent", "items_received")
    }
