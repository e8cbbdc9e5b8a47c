"""The real servers of tests/support start, let users in as promised, count right and stop without a trace.

The client here is slixmpp, so that these tests do not lean on the client that they are there to judge.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import slixmpp

from tests.support.servers import Counts, Ejabberd, Prosody, Server, ServerError
from tests.support.servers.fixtures import EACH_SERVER
from tests.support.servers.process import ServerProcess


@asynccontextmanager
async def session(server: Server, jid: str, password: str) -> AsyncIterator[slixmpp.ClientXMPP]:
    """A slixmpp client that has logged in and whose presence the server knows; PermissionError if refused."""
    client = slixmpp.ClientXMPP(jid, password)
    client.ca_certs = Path(server.authority)
    outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    client.add_event_handler("session_start", lambda _: client.send_presence())
    client.add_event_handler("presence_available", lambda _: outcome.set_result(True), disposable=True)
    client.add_event_handler("failed_all_auth", lambda _: outcome.set_result(False))
    client.connect("127.0.0.1", server.port)
    try:
        if not await asyncio.wait_for(outcome, timeout=60):
            raise PermissionError(f"{jid}: {server.name} refused the password")
        yield client
    finally:
        await client.disconnect()
        client.cancel_connection_attempt()
        if client._run_out_filters is not None:  # slixmpp leaves this task running
            client._run_out_filters.cancel()


def send(client: slixmpp.ClientXMPP, to: str, count: int = 1) -> None:
    for number in range(count):
        client.send_message(mto=slixmpp.JID(to), mbody=f"hello {number}", mtype="chat")


async def test_sessions_and_messages_are_counted_exactly(server: Server) -> None:
    before = server.counts()
    async with session(server, "a@localhost/res1", "any") as a, session(server, "b@localhost/res1", "any"):
        assert server.sessions() == ["a@localhost/res1", "b@localhost/res1"]
        send(a, "b@localhost", 10)
        send(a, "nobody@localhost")  # comes back
        await server.until(lambda now: (now - before).messages_out == 10 and (now - before).errors_out == 1)
    after = await server.until(lambda now: now.sessions == 0)
    assert after - before == Counts(opened=2, closed=2, messages_in=11, messages_out=10, errors_in=0, errors_out=1)
    assert server.sessions() == []


async def test_real_accounts_log_in_with_scram_and_nobody_else(server: Server) -> None:
    server.register({"real@scram.local": "its pass word"})
    assert "real@scram.local" in server.accounts()
    async with session(server, "real@scram.local/res1", "its pass word") as client:
        mechanism = client.plugin["feature_mechanisms"].mech
        assert mechanism is not None
        assert mechanism.name.startswith("SCRAM-SHA-")
    with pytest.raises(PermissionError):
        async with session(server, "real@scram.local/res1", "another"):
            pass
    with pytest.raises(ServerError, match=r"refused: \[.real@scram\.local again"):
        server.register({"real@scram.local": "again"})


async def test_a_stored_message_counts_when_it_is_delivered(server: Server) -> None:
    server.register({"sender@scram.local": "one", "absent@scram.local": "two"})
    before = server.counts()
    async with session(server, "sender@scram.local/res1", "one") as sender:
        send(sender, "absent@scram.local")
        stored = await server.until(lambda now: (now - before).messages_in == 1)
        assert (stored - before).messages_out == 0
    async with session(server, "absent@scram.local/res1", "two"):
        await server.until(lambda now: (now - before).messages_out == 1)


@pytest.mark.ejabberd
async def test_ejabberd_itself_counts_the_same_sessions(ejabberd: Ejabberd) -> None:
    async with session(ejabberd, "a@localhost/res1", "any"), session(ejabberd, "b@localhost/res1", "any"):
        assert ejabberd.api("connected_users_number") == {"num_sessions": 2}
        assert sorted(ejabberd.api("connected_users")) == ejabberd.sessions()
        assert ejabberd.counts().sessions == 2


@pytest.mark.parametrize("kind", EACH_SERVER)
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_nothing_of_a_server_is_left_running(kind: type[Server], end: str, tmp_path: Path) -> None:
    with kind(tmp_path) as server:
        process = psutil.Process(server.process.pid)
        family = [process, *process.children(recursive=True)]
        server.stop() if end == "stop" else server.process.kill()
        assert [one for one in family if one.is_running()] == []
        server.stop()  # ended already: nothing to do


@pytest.mark.prosody
def test_a_server_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    class Broken(Prosody):
        """Prosody in a folder whose configuration cannot be read."""

        def _start(self) -> ServerProcess:
            command = ["prosody", "-F", "--config", str(self.folder / "missing.lua")]
            return ServerProcess(command, self.folder, {})

    with pytest.raises(ServerError, match=r"(?s)prosody does not answer.*missing\.lua"):
        Broken(tmp_path)
