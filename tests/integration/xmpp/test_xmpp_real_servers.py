"""The client against ejabberd and Prosody: TLS, mechanisms, messages, iq; and what each says when it refuses."""

import ssl
from collections.abc import Iterator

import pytest

from amoc import config, metrics
from amoc.config import CORE, Config
from amoc.xmpp import AuthFailed, Client, ConnectFailed, Element, IqError, StreamError, connect, jid_of
from amoc.xmpp.errors import ReceiveTimeout
from amoc.xmpp.settings import SETTINGS
from tests.support.servers import Server

# on scram.local, as the fixtures set the servers up; "" is the strongest in common
OFFERED = {"ejabberd": ("", "PLAIN", "SCRAM-SHA-256"), "prosody": ("", "PLAIN", "SCRAM-SHA-1")}
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


def version(client: Client) -> str:
    """The TLS version of the client's connection, or ""."""
    assert client._connection is not None
    assert client._connection.transport is not None
    tls = client._connection.transport.get_extra_info("ssl_object")
    return (tls.version() or "") if isinstance(tls, ssl.SSLObject) else ""


def register(server: Server, user_id: int) -> None:
    if jid_of(user_id) not in server.accounts():
        server.register({jid_of(user_id): f"password_{user_id}"})


@pytest.mark.parametrize("tls", ["required", "never"])
async def test_two_users_talk(server: Server, settings: Config, tls: str) -> None:
    settings.set("xmpp_tls", tls)
    before = server.counts()
    async with connect(101) as one, connect(102) as two:
        assert one.jid == "user_101@localhost/res1"
        assert bool(version(one)) == (tls == "required")
        two.send_presence()
        await two.receive(lambda stanza: stanza.get("from") == two.jid, timeout=30)
        for number in range(100):
            one.send_message(two.jid, f"number {number} <&> \U0001f426")
        for number in range(100):
            message = await two.receive("message", timeout=30)
            assert message.findtext("body") == f"number {number} <&> \U0001f426"
            assert message.get("from") == one.jid
        assert (await one.iq("get", "localhost", PING)).get("type") == "result"
        assert (await one.iq("get", two.jid, PING)).get("from") == two.jid
        roster = await one.iq("get", None, Element("{jabber:iq:roster}query"))
        assert roster.find("query", "jabber:iq:roster") is not None
        with pytest.raises(IqError) as refused:
            await one.iq("get", "localhost", Element("{urn:example:unheard-of}query"))
        assert refused.value.condition in ("service-unavailable", "feature-not-implemented")
        with pytest.raises(ReceiveTimeout):
            await one.receive("message", timeout=0.05)
    counts = await server.until(lambda now: (now - before).closed == 2)
    seen = counts - before
    assert (seen.opened, seen.messages_in, seen.messages_out) == (2, 100, 100)


@pytest.mark.parametrize("tls", ["required", "never"])
@pytest.mark.parametrize("mechanism", ["", "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"])
async def test_every_mechanism(server: Server, settings: Config, mechanism: str, tls: str) -> None:
    settings.set_all({"xmpp_domain": "scram.local", "xmpp_tls": tls})
    register(server, 103)
    if mechanism in OFFERED[server.name]:
        async with connect(103, sasl=mechanism) as client:
            assert client.jid == "user_103@scram.local/res1"
            await client.iq("get", None, PING)
    else:
        with pytest.raises(AuthFailed, match=f"xmpp_sasl is {mechanism}, but the server offers .*PLAIN"):
            await connect(103, sasl=mechanism)


@pytest.mark.parametrize("mechanism", ["", "PLAIN"])
async def test_wrong_password(server: Server, settings: Config, mechanism: str) -> None:
    settings.set("xmpp_domain", "scram.local")
    register(server, 104)
    with pytest.raises(AuthFailed, match=r"user 104 .* was refused .*not-authorized") as refused:
        await connect(104, password="wrong", sasl=mechanism)
    assert (refused.value.step, refused.value.condition) == ("sasl", "not-authorized")
    assert metrics.current().flush().counters["xmpp.failures.sasl"] == 1


async def test_unknown_domain(server: Server) -> None:
    with pytest.raises(ConnectFailed, match="host-unknown"):
        await connect(105, domain="nowhere.example")


async def test_untrusted_certificate(server: Server, settings: Config) -> None:
    settings.set("xmpp_ca_file", "")
    with pytest.raises(ConnectFailed, match=r"certificate is not valid: .*xmpp_accept_any_certificate") as refused:
        await connect(106)
    assert refused.value.step == "tls"
    async with connect(106, accept_any_certificate=True) as client:
        assert version(client)


async def test_a_second_session_replaces_the_first(server: Server) -> None:
    async with connect(107) as first:
        first.send_presence()
        async with connect(107) as second:
            with pytest.raises(StreamError, match="conflict"):
                await first.receive("no such thing", timeout=30)
            second.send_presence()
            await second.receive("presence", timeout=30)
