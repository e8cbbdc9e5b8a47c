"""200 users through the pool against ejabberd and Prosody: what the server counted is what amoc counted."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from amoc import config
from amoc.operations import Context, call
from amoc.roles import NodeOptions, local_node
from tests.support.servers import Server
from tests.support.servers.fixtures import EACH_SERVER

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = "mongoose_simple_with_metrics"
USERS = 200
ROUNDS = 5
QUICK = {"settle": 3, "rounds": ROUNDS, "pause": 0.6, "linger": 5, "xmpp_close_timeout": 60}
# Users 201 to 204 are written to and are not there: 4 + 3 + 2 + 1 messages a round come back.
BOUNCED = ROUNDS * 10
SENT = ROUNDS * (USERS * 8 - 10)  # users 1 to 4 have fewer than 8 neighbours
# Users 10, 20, … 190 are written to by 8 neighbours, user 200 by 4.
MEASURED = ROUNDS * (19 * 8 + 4)
IN_TIME = 1e6  # µs for a login, or a message: much less than `settle` and `linger`


def test_the_server_counts_what_amoc_counts(server: Server, tmp_path: Path) -> None:
    """On `localhost`, with STARTTLS and PLAIN, by the command line."""
    before = server.counts()
    outcome = run(server, tmp_path)
    compare(outcome, server, before)


def test_with_real_accounts(server: Server, tmp_path: Path) -> None:
    """On `scram.local`, where passwords are checked by SCRAM."""
    known = set(server.accounts())
    accounts = {f"pool_{n}@scram.local": f"password_{n}" for n in range(1, USERS + 1)}  # nobody else's
    server.register({jid: password for jid, password in accounts.items() if jid not in known})
    before = server.counts()
    outcome = run(server, tmp_path, xmpp_domain="scram.local", xmpp_username="pool_{id}", xmpp_sasl="")
    compare(outcome, server, before)


async def test_sessions_while_users_come_and_go(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the operations: do, add, remove, stop; the server has exactly the sessions that it should have."""
    monkeypatch.chdir(tmp_path)
    before = config.current()
    settings = {"xmpp_servers": [server.address], "xmpp_ca_file": str(server.authority), "interarrival": 5}
    options = NodeOptions(settings={"scenarios_dir": str(ROOT / "scenarios")})
    try:
        async with local_node(options) as context:
            await call(context, "local.do", [SCENARIO, 1, 150], {**settings, "settle": 3600})
            await exactly(server, range(1, 151))
            await call(context, "local.add", [USERS - 150])
            await exactly(server, range(1, USERS + 1))
            async with asyncio.timeout(60):  # workers report once a second
                while (await call(context, "local.status"))["users"]["running"] != USERS:
                    await asyncio.sleep(0.05)
            await call(context, "local.remove", [50], {"force": True})
            await exactly(server, range(1, USERS - 50 + 1))  # the newest are gone
            await call(context, "local.stop")
            await exactly(server, range(0))
    finally:
        config.use(before)


@pytest.mark.parametrize("kind", EACH_SERVER)
async def test_every_user_comes_back_after_a_crash_of_the_server(
    kind: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mongoose_simple_reconnect: the server is killed under 50 users and started again."""
    monkeypatch.chdir(tmp_path)
    before = config.current()
    options = NodeOptions(settings={"scenarios_dir": str(ROOT / "scenarios")})
    with kind(tmp_path) as server:
        settings = {"xmpp_servers": [server.address], "xmpp_ca_file": str(server.authority), "interarrival": 5}
        try:
            async with local_node(options) as context:
                quick = {"settle": 3600, "reconnect_after": 0.3}
                await call(context, "local.do", ["mongoose_simple_reconnect", 1, 50], {**settings, **quick})
                await exactly(server, range(1, 51))
                server.process.kill()
                await asyncio.to_thread(server.start)  # the thread, with which it would die, is the loop's
                await exactly(server, range(1, 51))
                async with asyncio.timeout(60):
                    while (await counter(context, "amoc.counters.connections")) != 100:
                        await asyncio.sleep(0.05)
                failures = await counter(context, "amoc.counters.connection_failures")
                assert await counter(context, "reconnects") == 50 + failures  # and after each failed login
                assert (await call(context, "local.status"))["users"]["failed"] == 0
        finally:
            config.use(before)


def run(server: Server, folder: Path, **settings: Any) -> dict[str, Any]:
    """`amoc run` in `folder`; the result that it wrote."""
    chosen = {**QUICK, "scenarios_dir": ROOT / "scenarios", "xmpp_ca_file": server.authority, **settings}
    command = [sys.executable, "-m", "amoc", "run", SCENARIO, "--users", str(USERS), "--repeat-num", "0"]
    command += ["--interarrival", "10", "--server", server.address, "--json", "result.json"]
    command += [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    outcome: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return outcome


def compare(outcome: dict[str, Any], server: Server, before: Any) -> None:
    """The result against what the server has counted since `before`, and against what the scenario must do."""
    seen = server.counts() - before
    totals = outcome["totals"]
    assert outcome["errors"] == []
    assert outcome["users"]["finished"] == outcome["users"]["starts"] == USERS
    assert totals["amoc.counters.connections"] == seen.opened == seen.closed == USERS
    assert totals.get("amoc.counters.connection_failures", 0) == 0
    assert totals["messages_sent"] == seen.messages_in == SENT
    assert server.sessions() == []
    logins, delivered = (outcome["metrics"][name] for name in ("amoc.times.connection", "message_ttd"))
    assert logins["count"] == USERS
    assert 0 < delivered["count"] <= MEASURED
    # On a busy machine some users come so late that messages for them bounce or are stored, and some messages so late
    # that the user is gone.
    if max(logins["max"], delivered["max"]) < IN_TIME:
        assert totals["messages_received"] == seen.messages_out
        assert totals["messages_bounced"] == seen.errors_out
        assert seen.messages_out == SENT - BOUNCED
        assert seen.errors_out == BOUNCED
        assert delivered["count"] == MEASURED


async def counter(context: Context, name: str) -> int:
    """A counter as the operator sees it; 0 before it is known."""
    metrics = (await call(context, "local.status"))["metrics"]
    return int(metrics.get(name, {}).get("value", 0))


async def exactly(server: Server, users: range) -> None:
    """Wait until the server has the sessions of these users and no other."""
    wanted = sorted(f"user_{user}@localhost/res1" for user in users)
    async with asyncio.timeout(60):
        while (found := await asyncio.to_thread(server.sessions)) != wanted:
            await asyncio.sleep(0.05)
            assert len(found) <= USERS
