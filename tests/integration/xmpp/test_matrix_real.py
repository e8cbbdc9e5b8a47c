"""Every transport with every mechanism and stream management, as far as ejabberd and Prosody have them there.

TLS is 1.2, where there is a channel to bind to (`test_sasl_real` has 1.3). What a server does not offer on a transport
is refused and named; Prosody 0.12 resumes no session over BOSH.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from ssl import TLSVersion

import pytest

from amoc.config import Config
from amoc.xmpp import AuthFailed, Client, Element, connect
from amoc.xmpp.core.sasl import MECHANISMS, PLUS
from amoc.xmpp.transport.tls import client_context
from tests.support.servers import Server, ServerError

SECONDS = 30.0
TRANSPORTS = ["tcp", "starttls", "tls", "ws", "wss", "http", "https"]
# where a server keeps accounts for a mechanism
DOMAINS = {
    "ejabberd": {
        "ANONYMOUS": "localhost",
        "PLAIN": "scram.local",
        "SCRAM-SHA-1": "sha1.local",
        "SCRAM-SHA-256": "scram.local",
        "SCRAM-SHA-512": "sha512.local",
        "EXTERNAL": "scram.local",
    },
    "prosody": {
        "ANONYMOUS": "anonymous.local",
        "PLAIN": "scram.local",
        "SCRAM-SHA-1": "scram.local",
        "SCRAM-SHA-256": "sha256.local",
    },
}
# the transports of what is not to be had on every one
BINDS = {"ejabberd": ["starttls", "tls"], "prosody": ["starttls", "tls", "wss"]}
CERTIFIES = {"ejabberd": ["starttls"], "prosody": []}


def offered(server: Server, mechanism: str, transport: str) -> bool:
    if mechanism.removesuffix("-PLUS") not in DOMAINS[server.name]:
        return False
    if mechanism in PLUS:
        return transport in BINDS[server.name]
    return mechanism != "EXTERNAL" or transport in CERTIFIES[server.name]


def managements(server: Server, transport: str) -> list[str]:
    """Prosody cannot go on with a session of BOSH, but keeps those that could be resumed for half a minute."""
    return ["off", "on"] if server.name == "prosody" and transport in ("http", "https") else ["off", "on", "resume"]


async def register(server: Server, user: int, domain: str) -> None:
    """Make the account, unless it is there already, or needs none."""
    if domain != DOMAINS[server.name]["ANONYMOUS"]:
        with contextlib.suppress(ServerError):
            await asyncio.to_thread(server.register, {f"user_{user}@{domain}": f"password_{user}"})


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest, server: Server, settings: Config) -> Iterator[str]:
    """Clients come on this one."""
    chosen: str = request.param
    tls = {"tcp": "never", "starttls": "required"}.get(chosen, "optional")
    settings.set_all({"xmpp_ca_file": str(server.authority), "xmpp_tls": tls})
    settings.set_all({"xmpp_login_timeout": SECONDS, "xmpp_close_timeout": SECONDS})
    if chosen not in ("tcp", "starttls"):
        settings.set("xmpp_servers", [server.url(chosen)])
    client_context.cache_clear()
    for protocol in ("", "xmpp-client", "http/1.1"):
        for certificate in ("", str(server.certificate.client)):
            context = client_context(False, str(server.authority), protocol, certificate)
            context.minimum_version = context.maximum_version = TLSVersion.TLSv1_2
    yield chosen
    client_context.cache_clear()


async def speak(client: Client) -> None:
    """The session is there both ways; what was said is acknowledged where that is done."""
    client.send_message(client.jid, "caw")
    assert (await client.receive("message", timeout=SECONDS)).findtext("body") == "caw"
    if client.management is not None:
        await client.acknowledged(SECONDS)


async def go_through(server: Server, transport: str, user: int, mechanism: str) -> None:
    """Log in by the mechanism with each kind of stream management, and go on with the session that may be."""
    base = mechanism.removesuffix("-PLUS")
    overrides = {"sasl": mechanism, "domain": DOMAINS[server.name].get(base, "scram.local")}
    if mechanism == "EXTERNAL":
        overrides |= {"client_certificate": str(server.certificate.client), "password": "unknown"}
    if not offered(server, mechanism, transport):
        with pytest.raises(AuthFailed, match=f"xmpp_sasl is {mechanism}, but the server offers") as refused:
            await connect(user, **overrides)
        assert refused.value.cause == "not-offered"
        return
    for management in managements(server, transport):
        async with connect(user, stream_management=management, **overrides) as client:
            await speak(client)
            if management == "resume" and mechanism != "ANONYMOUS":  # who comes back without a name is somebody else
                jid = client.jid
                client.kill()
                assert await client.resume() is True
                assert client.jid == jid
                await speak(client)


async def test_mechanisms_and_stream_management(server: Server, transport: str) -> None:
    users = {mechanism: 601 + number for number, mechanism in enumerate(MECHANISMS)}
    for mechanism, user in users.items():
        await register(server, user, DOMAINS[server.name].get(mechanism.removesuffix("-PLUS"), "scram.local"))
    before = server.counts()
    async with asyncio.TaskGroup() as group:
        for mechanism, user in users.items():
            group.create_task(go_through(server, transport, user, mechanism))
    seen = await server.until(lambda now: now.sessions == before.sessions, timeout=60) - before
    there = sum(offered(server, mechanism, transport) for mechanism in users)
    assert seen.messages_in >= there * len(managements(server, transport))


async def test_the_strongest_is_taken(server: Server, transport: str) -> None:
    """Without a mechanism that is fixed; and a wrong password is not tried again by a weaker one."""
    domain = "scram.local"
    await register(server, 620, domain)
    for management in managements(server, transport):
        async with connect(620, domain=domain, stream_management=management) as client:
            assert (await client.iq("get", None, Element("{urn:xmpp:ping}ping"))).get("type") == "result"
    strongest = {"ejabberd": "SCRAM-SHA-256", "prosody": "SCRAM-SHA-1"}[server.name]
    strongest += "-PLUS" if transport in BINDS[server.name] else ""
    with pytest.raises(AuthFailed, match=f"{strongest} was refused") as refused:
        await connect(620, domain=domain, password="wrong")
    assert refused.value.mechanism == strongest
