"""slixmpp, an independent client, against the embedded server and on the other side of ours."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
import slixmpp

from amoc.config import Config
from amoc.xmpp import Element, connect
from amoc.xmpp.server import EmbeddedServer, serve

PASSWORD = "secret"


@asynccontextmanager
async def slix(server: EmbeddedServer, name: str, *, tls: bool, mechanism: str | None = None) -> AsyncIterator[Any]:
    """A slixmpp client, logged in."""
    client = slixmpp.ClientXMPP(f"{name}@localhost/slix", PASSWORD, sasl_mech=mechanism)
    client.loop = asyncio.get_running_loop()
    client.enable_direct_tls = False
    client.enable_starttls = tls
    client.enable_plaintext = not tls
    client.ssl_context = ssl.create_default_context()
    client.ssl_context.check_hostname = False
    client.ssl_context.verify_mode = ssl.CERT_NONE
    mechanisms = client.plugin["feature_mechanisms"]
    mechanisms.unencrypted_plain = mechanisms.unencrypted_scram = True
    for plugin in ("xep_0199", "xep_0184"):
        client.register_plugin(plugin)
    outcome: asyncio.Queue[str] = asyncio.Queue()
    client.add_event_handler("session_start", lambda _: outcome.put_nowait("started"))
    client.add_event_handler("failed_all_auth", lambda _: outcome.put_nowait("refused"))
    client.connect(server.host, server.port)
    try:
        if await asyncio.wait_for(outcome.get(), 30) == "refused":
            raise PermissionError
        yield client
    finally:
        await asyncio.wait_for(client.disconnect(wait=1), 30)
        if client._run_out_filters is not None:  # slixmpp itself does so only in __del__
            client._run_out_filters.cancel()


@pytest.mark.parametrize("mechanism", [None, "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"])
@pytest.mark.parametrize("tls", [None, "required"])
async def test_slixmpp_logs_in(tls: Literal["required"] | None, mechanism: str | None) -> None:
    async with await serve(tls=tls, password=lambda name: PASSWORD) as server:
        async with slix(server, "slix", tls=tls is not None, mechanism=mechanism) as client:
            assert server.router.jids() == ["slix@localhost/slix"] == [str(client.boundjid)]
        async with asyncio.timeout(30):
            while server.connections:
                await asyncio.sleep(0.001)


async def test_slixmpp_with_a_wrong_password() -> None:
    async with await serve(password=lambda name: "another") as server:
        with pytest.raises(PermissionError):
            async with slix(server, "slix", tls=False):
                pass


@pytest.mark.parametrize("strict", [False, True])
async def test_slixmpp_and_our_client_talk(settings: Config, strict: bool) -> None:
    async with await serve(strict=strict) as server:
        settings.set("xmpp_servers", [f"{server.host}:{server.port}"])
        async with slix(server, "slix", tls=False) as other, connect(1) as ours:
            heard: asyncio.Queue[Any] = asyncio.Queue()
            other.add_event_handler("message", heard.put_nowait)
            other.send_presence()
            roster = await other.get_roster()
            assert roster["type"] == "result"
            text = "1 < 2 & 'so' \"on\"\nnäxt \U0001f426"

            ours.send_message("slix@localhost/slix", text)
            message = await asyncio.wait_for(heard.get(), 30)
            assert (message["body"], str(message["from"])) == (text, ours.jid)

            other.send_message(mto=ours.jid, mbody=text, mtype="chat")
            answer = await ours.receive("message", timeout=5)
            assert answer.findtext("body") == text
            assert answer.get("from") == "slix@localhost/slix"

            # each asks the other
            assert await other.plugin["xep_0199"].ping(ours.jid, timeout=5) > 0
            pong = await ours.iq("get", "slix@localhost/slix", Element("{urn:xmpp:ping}ping"))
            assert pong.get("type") == "result"

            # XEP-0184: slixmpp answers our request with a receipt
            request = Element(
                "message",
                {"to": "slix@localhost/slix", "id": "r1", "type": "chat"},
                Element("body", "received?"),
                Element("{urn:xmpp:receipts}request"),
            )
            ours.send(request)
            receipt = await ours.receive(lambda stanza: stanza.find("received") is not None, timeout=5)
            received = receipt.find("received", "urn:xmpp:receipts")
            assert received is not None
            assert received.get("id") == "r1"

            # directed presence in both directions
            ours.send_presence(to="slix@localhost/slix")
            other.send_presence(pto=ours.jid, pshow="away", pstatus=text)
            presence = await ours.receive("presence", timeout=5)
            assert presence.findtext("show") == "away"
            assert presence.findtext("status") == text
