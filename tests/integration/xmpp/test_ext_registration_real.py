"""Accounts of ejabberd and Prosody: made before a login, given another password, removed."""

import pytest

from amoc.config import Config
from amoc.xmpp import AuthFailed, ConnectFailed, connect, register
from amoc.xmpp.ext import registration
from tests.support.servers import Server


@pytest.fixture(autouse=True)
def _real_accounts(settings: Config, server: Server) -> None:
    settings.set_all({"xmpp_domain": "scram.local", "xmpp_ca_file": str(server.authority)})


@pytest.mark.parametrize(("user", "tls"), [(251, "required"), (252, "never")])
async def test_an_account_is_made_once(server: Server, settings: Config, user: int, tls: str) -> None:
    settings.set("xmpp_tls", tls)
    sessions = server.counts().opened
    assert await register(user) is True
    assert await register(user) is False
    assert f"user_{user}@scram.local" in server.accounts()
    assert server.counts().opened == sessions
    async with connect(user) as client:
        assert client.jid == f"user_{user}@scram.local/res1"


@pytest.mark.parametrize(("user", "scheme"), list(enumerate(["tls", "ws", "wss", "http", "https"], 256)))
async def test_over_every_transport(server: Server, user: int, scheme: str) -> None:
    servers = [server.url(scheme)]
    assert await register(user, servers=servers) is True
    assert await register(user, servers=servers) is False
    assert f"user_{user}@scram.local" in server.accounts()
    with pytest.raises(ConnectFailed) as refused:
        await register(user, servers=servers, domain="localhost")
    assert refused.value.step == "register"
    assert refused.value.said
    async with connect(user, servers=servers) as client:
        assert client.jid == f"user_{user}@scram.local/res1"


async def test_another_password_and_the_end(server: Server) -> None:
    await register(253)
    async with connect(253) as client:
        got = await registration.fields(client)
        assert got.registered
        await registration.change_password(client, "another")
    with pytest.raises(AuthFailed):
        await connect(253)
    async with connect(253, password="another") as client:
        await registration.remove(client)
    assert "user_253@scram.local" not in server.accounts()
    with pytest.raises(AuthFailed):
        await connect(253, password="another")


async def test_a_domain_without_accounts_refuses(server: Server) -> None:
    with pytest.raises(ConnectFailed) as refused:
        await register(254, domain="localhost")
    assert refused.value.step == "register"
    assert refused.value.said
