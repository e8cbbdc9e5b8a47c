"""Every SASL mechanism that ejabberd and Prosody have in common with us, over each version of TLS and without."""

import ssl
from collections.abc import Iterator

import pytest

from amoc.config import Config
from amoc.xmpp import AuthFailed, Element, connect, jid_of
from amoc.xmpp.transport.tls import client_context
from tests.support.servers import Server, ServerError
from tests.support.servers.certificates import CLIENT

PING = Element("{urn:xmpp:ping}ping")
# server: the domain whose accounts are kept for a mechanism
SCRAM = {
    "ejabberd": {"SCRAM-SHA-1": "sha1.local", "SCRAM-SHA-256": "scram.local", "SCRAM-SHA-512": "sha512.local"},
    "prosody": {"SCRAM-SHA-1": "scram.local", "SCRAM-SHA-256": "sha256.local"},
}
ANONYMOUS = {"ejabberd": "localhost", "prosody": "anonymous.local"}
HASHES = ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@pytest.fixture(params=["TLSv1.2", "TLSv1.3"])
def tls(request: pytest.FixtureRequest, server: Server, settings: Config) -> Iterator[str]:
    """Clients speak this version only."""
    settings.set_all({"xmpp_tls": "required", "xmpp_ca_file": str(server.authority)})
    client_context.cache_clear()
    context = client_context(False, str(server.authority), "", "")
    version = ssl.TLSVersion.TLSv1_2 if request.param == "TLSv1.2" else ssl.TLSVersion.TLSv1_3
    context.minimum_version = context.maximum_version = version
    yield request.param
    client_context.cache_clear()


def register(server: Server, settings: Config, mechanism: str, user: int) -> bool:
    """Make the user's account where the server has the mechanism, if it has it anywhere."""
    domain = SCRAM[server.name].get(mechanism)
    if domain is None:
        return False
    settings.set("xmpp_domain", domain)
    try:
        server.register({jid_of(user): f"password_{user}"})
    except ServerError:  # there is one already
        pass
    return True


@pytest.mark.parametrize("name", HASHES)
async def test_scram_without_tls(server: Server, settings: Config, name: str) -> None:
    if not register(server, settings, name, 301):
        with pytest.raises(AuthFailed, match=f"xmpp_sasl is {name}, but the server offers .*PLAIN"):
            await connect(301, domain="scram.local", sasl=name)
        return
    for mechanism in (name, ""):
        async with connect(301, sasl=mechanism) as client:
            assert (await client.iq("get", None, PING)).get("type") == "result"
        with pytest.raises(AuthFailed, match="not-authorized"):
            await connect(301, sasl=mechanism, password="wrong")
    with pytest.raises(AuthFailed, match=f"xmpp_sasl is {name}-PLUS, but the server offers"):
        await connect(301, sasl=f"{name}-PLUS")


@pytest.mark.parametrize("name", HASHES)
async def test_channel_binding(server: Server, settings: Config, tls: str, name: str) -> None:
    if not register(server, settings, name, 302):
        with pytest.raises(AuthFailed, match=f"xmpp_sasl is {name}-PLUS, but the server offers .*PLAIN"):
            await connect(302, domain="scram.local", sasl=f"{name}-PLUS")
        return
    for mechanism in (name, ""):  # with 1.3 by the best that there is without: nobody is told that we could not
        async with connect(302, sasl=mechanism) as client:
            assert (await client.iq("get", None, PING)).get("type") == "result"
    if tls == "TLSv1.2":
        async with connect(302, sasl=f"{name}-PLUS") as client:
            assert (await client.iq("get", None, PING)).get("type") == "result"
        with pytest.raises(AuthFailed, match=f"{name}-PLUS was refused .*not-authorized"):
            await connect(302, sasl=f"{name}-PLUS", password="wrong")
    else:  # ejabberd offers it and knows no way to bind to TLS 1.3; Prosody does not offer it
        with pytest.raises(AuthFailed, match=r"-PLUS"):
            await connect(302, sasl=f"{name}-PLUS")


@pytest.mark.parametrize("tls", ["TLSv1.2"], indirect=True)
async def test_a_channel_that_is_not_the_servers(
    server: Server, settings: Config, tls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(iter(SCRAM[server.name]))
    register(server, settings, name, 303)
    monkeypatch.setattr("amoc.xmpp.connecting.channel_bindings", lambda _: {"tls-unique": b"somebody between"})
    with pytest.raises(AuthFailed, match=f"{name}-PLUS was refused"):
        await connect(303)


async def test_anonymous(server: Server, settings: Config) -> None:
    settings.set("xmpp_domain", ANONYMOUS[server.name])
    async with connect(304, sasl="ANONYMOUS") as one, connect(304, sasl="ANONYMOUS") as two:
        assert one.jid.partition("/")[0] != two.jid.partition("/")[0]
        assert (await one.iq("get", None, PING)).get("type") == "result"


async def test_external(server: Server, settings: Config) -> None:
    settings.set_all(
        {
            "xmpp_tls": "required",
            "xmpp_ca_file": str(server.authority),
            "xmpp_domain": "scram.local",
            "xmpp_client_certificate": str(server.certificate.client),
            "xmpp_password": "unknown",
        }
    )
    if server.name == "ejabberd":
        for mechanism in ("", "EXTERNAL"):
            async with connect(310, sasl=mechanism) as client:
                assert client.jid == f"{CLIENT}/res1"
                assert (await client.iq("get", None, PING)).get("type") == "result"
    else:  # Prosody has it for servers only
        with pytest.raises(AuthFailed, match="xmpp_sasl is EXTERNAL, but the server offers"):
            await connect(310, sasl="EXTERNAL")


async def test_what_they_do_not_offer(server: Server, settings: Config) -> None:
    for mechanism in ("EXTERNAL", "OAUTHBEARER"):
        with pytest.raises(AuthFailed, match=f"xmpp_sasl is {mechanism}, but the server offers"):
            await connect(305, sasl=mechanism)
    with pytest.raises(AuthFailed, match="xmpp_token is set, but the server offers"):
        await connect(305, token="t0ken")
