"""Users that are slixmpp clients, against ejabberd and Prosody: TLS, mechanisms, plugins, refusals, crash, removal."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import slixmpp

from amoc import metrics
from amoc.config import Config
from amoc.xmpp import AuthFailed, ConnectFailed, Disconnected, StreamError
from amoc.xmpp import connect as own_connect
from amoc.xmpp.slixmpp_bridge import connect
from amoc.xmpp.transport.tls import client_context
from tests.support.scene import scene
from tests.support.servers import Server
from tests.support.servers.certificates import CLIENT
from tests.support.servers.prosody import Prosody

pytestmark = pytest.mark.usefixtures("settings")

OFFERED = {"ejabberd": "SCRAM-SHA-256", "prosody": "SCRAM-SHA-1"}  # on scram.local


def counters() -> dict[str, float]:
    return dict(metrics.current().flush().counters)


def heard(client: Any, event: str) -> "asyncio.Queue[Any]":
    """What a client hears of an event from now on."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    client.add_event_handler(event, queue.put_nowait)
    return queue


async def next_of(queue: "asyncio.Queue[Any]") -> Any:
    return await asyncio.wait_for(queue.get(), 30)


@pytest.mark.parametrize("how", ["plain", "starttls", "direct"])
async def test_two_users_talk(server: Server, settings: Config, how: str) -> None:
    settings.set_all({"xmpp_tls": "never" if how == "plain" else "required", "xmpp_ca_file": str(server.authority)})
    if how == "direct":
        settings.set("xmpp_servers", [server.url("tls")])
    before = server.counts()
    async with connect(451) as one, connect(452) as two:
        for client in (one, two):
            assert client.transport is not None
            context = client.transport.get_extra_info("sslcontext")
            protocol = "xmpp-client" if how == "direct" else ""
            assert context is (None if how == "plain" else client_context(False, str(server.authority), protocol, ""))
        messages = heard(two, "message")
        two.send_presence()
        await two.wait_until("presence_available", 30)
        for number in range(20):
            one.send_message(mto=two.boundjid, mbody=f"number {number} <&> \U0001f426", mtype="chat")
        for number in range(20):
            message = await next_of(messages)
            assert (message["from"], message["body"]) == (one.boundjid, f"number {number} <&> \U0001f426")
    seen = await server.until(lambda now: (now - before).closed == 2) - before
    assert (seen.opened, seen.messages_in, seen.messages_out) == (2, 20, 20)
    delta = metrics.current().flush()
    assert delta.counters == {"amoc.counters.connections": 2}
    steps = {name.removeprefix("amoc.times.login.") for name in delta.histograms if ".login." in name}
    expected = {"resolve", "connect", "stream", "features", "sasl", "bind", "presence"}
    tls = {"plain": set(), "starttls": {"starttls", "tls"}, "direct": {"tls"}}[how]
    assert steps - {"session"} == expected | tls


@pytest.mark.parametrize("mechanism", ["", "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"])
async def test_every_mechanism(server: Server, settings: Config, accounts: Callable[..., None], mechanism: str) -> None:
    accounts(453)
    settings.set_all({"xmpp_tls": "required", "xmpp_ca_file": str(server.authority)})
    if mechanism in ("", "PLAIN", OFFERED[server.name]):
        async with connect(453, sasl=mechanism) as client:
            assert str(client.boundjid) == "user_453@scram.local/res1"
            await client.get_roster()
        with pytest.raises(AuthFailed, match=r"user 453 .* was refused .*not-authorized") as refused:
            await connect(453, password="wrong", sasl=mechanism).__aenter__()
        assert refused.value.condition == "not-authorized"
        assert counters()["xmpp.failures.sasl.not-authorized"] == 1
    else:
        with pytest.raises(AuthFailed, match=f"xmpp_sasl is {mechanism}, but the server offers .*PLAIN"):
            await connect(453, sasl=mechanism).__aenter__()


async def test_anonymous(server: Server) -> None:
    domain = "localhost" if server.name == "ejabberd" else "anonymous.local"
    async with (
        connect(457, sasl="ANONYMOUS", domain=domain) as one,
        connect(457, sasl="ANONYMOUS", domain=domain) as two,
    ):
        assert one.boundjid.bare != two.boundjid.bare


async def test_by_certificate(server: Server, settings: Config) -> None:
    settings.set_all({"xmpp_tls": "required", "xmpp_ca_file": str(server.authority), "xmpp_domain": "scram.local"})
    settings.set_all({"xmpp_client_certificate": str(server.certificate.client), "xmpp_password": "unknown"})
    if server.name == "ejabberd":
        for mechanism in ("", "EXTERNAL"):
            async with connect(458, sasl=mechanism) as client:
                assert str(client.boundjid) == f"{CLIENT}/res1"
    else:  # Prosody has it for servers only
        with pytest.raises(AuthFailed, match="xmpp_sasl is EXTERNAL, but the server offers"):
            await connect(458, sasl="EXTERNAL").__aenter__()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_channel_binding(server: Server, accounts: Callable[..., None], version: str) -> None:
    accounts(459)
    client_context.cache_clear()
    context = client_context(True, "", "", "")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    options: dict[str, Any] = {"accept_any_certificate": True, "tls": "required"}
    plus = f"{OFFERED[server.name]}-PLUS"
    try:
        async with connect(459, sasl="", **options):
            pass
        if version == "TLSv1_2":
            async with connect(459, sasl=plus, **options):
                pass
        else:  # Prosody does not offer it then
            words = "slixmpp cannot use" if server.name == "ejabberd" else "xmpp_sasl is"
            with pytest.raises(AuthFailed, match=f"{words} {plus}"):
                await connect(459, sasl=plus, **options).__aenter__()
    finally:
        client_context.cache_clear()


@pytest.mark.parametrize("direct", [False, True])
async def test_an_untrusted_certificate(server: Server, settings: Config, direct: bool) -> None:
    settings.set("xmpp_tls", "required")
    if direct:
        settings.set("xmpp_servers", [server.url("tls")])
    with pytest.raises(ConnectFailed, match=r"certificate is not valid: .*xmpp_accept_any_certificate") as refused:
        await connect(454).__aenter__()
    assert refused.value.step == "tls"
    assert counters()["xmpp.failures.tls.certificate"] == 1
    async with connect(454, accept_any_certificate=True) as client:
        assert client.is_connected()


async def test_an_unknown_domain(server: Server) -> None:
    with pytest.raises(ConnectFailed, match=r"the server said: host-unknown"):
        await connect(455, domain="nowhere.example").__aenter__()


async def test_another_session_takes_its_place(server: Server) -> None:
    async def be_replaced() -> None:
        async with connect(456) as first:
            first.send_presence()
            async with own_connect(456):
                await asyncio.sleep(30)

    with pytest.raises(StreamError, match="conflict"):
        await be_replaced()


async def test_plugins_work_together(server: Server) -> None:
    """Rooms and nodes by slixmpp's plugins, whose tasks and timers are gone afterwards (the conftest looks)."""
    room = slixmpp.JID("crows-457@conference.localhost")
    async with connect(1, plugins=["xep_0045", "xep_0060", "xep_0199", "xep_0030"]) as client:
        client.send_presence()
        news = heard(client, "groupchat_message")
        await client.plugin["xep_0045"].join_muc_wait(room, "crow", timeout=30, maxstanzas=0)
        client.send_message(mto=room, mbody="caw", mtype="groupchat")
        assert (await next_of(news))["body"] == "caw"
        pubsub: Any = client.plugin["xep_0060"]
        assert (await pubsub.create_node("pubsub.localhost", "crows-457", timeout=30))["type"] == "result"
        await pubsub.delete_node("pubsub.localhost", "crows-457", timeout=30)
        assert await client.plugin["xep_0199"].ping(slixmpp.JID("localhost"), timeout=30) > 0


@pytest.mark.prosody
async def test_a_crash_of_the_server_ends_every_user(tmp_path: Path, settings: Config) -> None:
    """20 users, of whom each does something else; all are told at once, and counted."""
    with Prosody(tmp_path) as own:
        settings.set("xmpp_servers", [own.address])

        async def user(user_id: int) -> None:
            async with connect(user_id, plugins=["xep_0199"]) as client:
                client.send_presence()
                inside.append(user_id)
                if user_id % 2:
                    await asyncio.sleep(600)
                while True:
                    await client.plugin["xep_0199"].ping(timeout=600)

        inside: list[int] = []
        users = [asyncio.ensure_future(user(user_id)) for user_id in range(1, 21)]
        async with asyncio.timeout(30):
            while len(inside) < len(users):
                await asyncio.sleep(0.01)
        own.process.kill()
        _, there = await asyncio.wait(users, timeout=15)
        assert there == set()
    errors = [task.exception() for task in users]
    assert all(isinstance(error, Disconnected) for error in errors), errors
    assert sorted(int(str(error).split()[1]) for error in errors) == list(range(1, 21))
    assert counters()["xmpp.disconnected"] == 20


SCENE = """
    import asyncio
    from amoc.xmpp.slixmpp_bridge import connect

    async def start(user_id):
        async with connect(user_id, plugins=["xep_0184", "xep_0199"]) as client:
            client.send_presence()
            client.wrap(asyncio.sleep(3600))
            while True:
                await client.plugin["xep_0199"].ping("localhost", timeout=60)
                await asyncio.sleep(0.2)
"""


async def test_users_are_removed_by_force(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the pool, with uvloop: 60 users are there, then gone, from the server, too."""
    monkeypatch.chdir(tmp_path)
    before = server.counts()
    async with scene(tmp_path) as node:
        await node.run(SCENE, 60, xmpp_servers=[server.address], xmpp_tls="never")
        await node.users(running=60)
        await server.until(lambda now: (now - before).sessions == 60)
        await node("remove", 60, force=True)
        await server.until(lambda now: (now - before).sessions == 0)
        status = await node.users(removed=60)
        assert status["errors"] == []
        await node("stop")
        assert not [event for event in node.events if "outlived" in event["text"]]
