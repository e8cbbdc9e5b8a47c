"""Every transport against ejabberd and Prosody: logins, messages both ways, refusals, the end of the server."""

import asyncio
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from amoc import config, metrics
from amoc.config import CORE, Config
from amoc.xmpp import AuthFailed, Client, ConnectFailed, Disconnected, Element, IqError, connect, jid_of
from amoc.xmpp.settings import SETTINGS
from tests.support.servers import Server

TRANSPORTS = ["tls", "ws", "wss", "http", "https"]
SECURE = ["tls", "wss", "https"]
HTTP = ["ws", "http"]
PING = Element("{urn:xmpp:ping}ping")


@pytest.fixture(autouse=True)
def settings(server: Server) -> Iterator[Config]:
    before, registry = config.current(), metrics.current()
    own = Config((*CORE, *SETTINGS), env={})
    config.use(own)
    metrics.use(metrics.Registry())
    own.set_all({"xmpp_servers": [server.address], "xmpp_ca_file": str(server.authority)})
    yield own
    config.use(before)
    metrics.use(registry)


def tls(client: Client) -> ssl.SSLObject | None:
    """The TLS of the client's connection."""
    assert client._connection is not None
    assert client._connection.transport is not None
    found = client._connection.transport.get_extra_info("ssl_object")
    return found if isinstance(found, ssl.SSLObject) else None


def _is_from(sender: str, stanza: Element) -> bool:
    return stanza.get("from") == sender


@pytest.mark.parametrize("scheme", TRANSPORTS)
async def test_two_users_talk(server: Server, scheme: str) -> None:
    """One of them over TCP: both sides of the server have to agree on what was said."""
    before = server.counts()
    async with connect(201, servers=[server.url(scheme)]) as one, connect(202) as two:
        assert one.jid == "user_201@localhost/res1"
        assert (tls(one) is not None) == (scheme in SECURE)
        for client in (one, two):
            client.send_presence()
            await client.receive(partial(_is_from, client.jid), timeout=30)
        for sender, reader in ((one, two), (two, one)):
            for number in range(100):
                sender.send_message(reader.jid, f"number {number} <&> \U0001f426")
            for number in range(100):
                message = await reader.receive("message", timeout=30)
                assert message.findtext("body") == f"number {number} <&> \U0001f426"
                assert (message.get("from"), message.ns) == (sender.jid, "jabber:client")
        assert (await one.iq("get", "localhost", PING)).get("type") == "result"
        assert (await two.iq("get", one.jid, PING)).get("from") == one.jid
        large = "ä" * 50_000
        one.send_message(two.jid, large)
        two.send_message(one.jid, large)
        for client in (one, two):
            assert (await client.receive("message", timeout=30)).findtext("body") == large
        with pytest.raises(IqError):
            await one.iq("get", "localhost", Element("{urn:example:unheard-of}query"))
    seen = await server.until(lambda now: (now - before).closed == 2) - before
    assert (seen.opened, seen.messages_in, seen.messages_out) == (2, 202, 202)


@pytest.mark.parametrize("scheme", TRANSPORTS)
async def test_each_step_is_timed(server: Server, scheme: str) -> None:
    async with connect(203, servers=[server.url(scheme)]):
        pass
    times = metrics.current().flush().histograms
    steps = {name.rpartition(".")[2] for name in times if name.startswith("amoc.times.login.")}
    expected = {"resolve", "connect", "stream", "features", "sasl", "bind"}
    expected |= {"tls"} if scheme in SECURE else set()
    expected |= {"websocket"} if scheme in ("ws", "wss") else set()
    assert steps - {"session"} == expected
    total = times["amoc.times.connection"].sum
    assert sum(times[f"amoc.times.login.{step}"].sum for step in steps) == pytest.approx(total)


@pytest.mark.parametrize("scheme", TRANSPORTS)
@pytest.mark.parametrize("mechanism", ["PLAIN", ""])
async def test_accounts_and_a_wrong_password(server: Server, settings: Config, scheme: str, mechanism: str) -> None:
    settings.set_all({"xmpp_domain": "scram.local", "xmpp_servers": [server.url(scheme)]})
    if jid_of(204) not in server.accounts():
        server.register({jid_of(204): "password_204"})
    async with connect(204, sasl=mechanism) as client:
        await client.iq("get", None, PING)
    with pytest.raises(AuthFailed, match=r"user 204 .* was refused .*not-authorized"):
        await connect(204, sasl=mechanism, password="wrong")


@pytest.mark.parametrize("scheme", SECURE)
async def test_certificates_are_checked(server: Server, settings: Config, scheme: str) -> None:
    settings.set_all({"xmpp_ca_file": "", "xmpp_servers": [server.url(scheme)]})
    with pytest.raises(ConnectFailed, match=r"certificate is not valid: .*xmpp_accept_any_certificate") as refused:
        await connect(205)
    assert refused.value.step == "tls"
    assert metrics.current().flush().counters["xmpp.failures.tls.certificate"] == 1
    async with connect(205, accept_any_certificate=True) as client:
        assert tls(client) is not None


async def test_direct_tls_checks_the_domain_and_agrees_on_the_protocol(server: Server, settings: Config) -> None:
    settings.set("xmpp_servers", [server.url("tls")])
    with pytest.raises(ConnectFailed, match=r"certificate is not valid: Hostname mismatch|UNRECOGNIZED_NAME"):
        await connect(206, domain="elsewhere.example")
    async with connect(206) as client:
        agreed = tls(client)
        assert agreed is not None
        assert agreed.selected_alpn_protocol() in ("xmpp-client", None)  # Debian's ejabberd does not do ALPN


@pytest.mark.parametrize("scheme", HTTP)
async def test_plain_http_is_refused_when_tls_is_required(server: Server, scheme: str) -> None:
    with pytest.raises(ConnectFailed, match=f"has no TLS: use {scheme}s://"):
        await connect(207, servers=[server.url(scheme)], tls="required")


@pytest.mark.parametrize("scheme", HTTP)
async def test_a_wrong_path(server: Server, scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{server.http_port}/no/such/thing"
    with pytest.raises(ConnectFailed, match=r"the server answered HTTP 4.. .*no/such/thing") as refused:
        await connect(208, servers=[url])
    assert refused.value.step == ("websocket" if scheme == "ws" else "stream")


@pytest.mark.parametrize("scheme", TRANSPORTS)
async def test_an_unknown_domain(server: Server, scheme: str) -> None:
    with pytest.raises(ConnectFailed):
        await connect(209, servers=[server.url(scheme)], domain="nowhere.example", accept_any_certificate=True)


@pytest.mark.parametrize("scheme", TRANSPORTS)
async def test_a_closed_session_is_gone(server: Server, scheme: str) -> None:
    before = server.counts()
    client = await connect(210, servers=[server.url(scheme)])
    await client.close()
    assert not client.connected
    await server.until(lambda now: (now - before).closed == 1)
    assert jid_of(210) + "/res1" not in server.sessions()


async def test_a_killed_session_leaves_nothing_here(server: Server, tmp_path: Path) -> None:
    """To a server of its own, which notices the end of a killed BOSH session late."""
    with type(server)(tmp_path) as own:
        for scheme in TRANSPORTS:
            client = await connect(211, servers=[own.url(scheme)], ca_file=str(own.authority))
            client.kill()
            assert not client.connected


async def test_no_session_of_bosh_is_left_behind(server: Server, settings: Config) -> None:
    """Goodbyes and messages that are said just after a response: their requests must not overtake the one before."""
    settings.set("xmpp_servers", [server.url("http")])
    users, rounds = 12, 10
    before = server.counts()

    async def come_and_go(user: int, turn: int) -> None:
        async with connect(user) as client:
            client.send_presence()
            for number in range(turn % 3):
                client.send_message(client.jid, str(number))
                await asyncio.sleep(0.001 * turn)
            for number in range(turn % 3):
                assert (await client.receive("message", timeout=30)).findtext("body") == str(number)

    for turn in range(rounds):
        async with asyncio.TaskGroup() as group:
            for user in range(users * turn + 1000, users * (turn + 1) + 1000):  # ejabberd still removes those of before
                group.create_task(come_and_go(user, turn))
    await server.until(lambda now: (now - before).closed == users * rounds)


@pytest.mark.parametrize("scheme", TRANSPORTS)
async def test_a_second_session_replaces_the_first(server: Server, scheme: str) -> None:
    async with connect(220, servers=[server.url(scheme)]) as first:
        first.send_presence()
        async with connect(220, servers=[server.url(scheme)]) as second:
            with pytest.raises(Disconnected):
                await first.receive("no such thing", timeout=30)
            second.send_presence()
            await second.receive("presence", timeout=30)
