"""A user is cancelled at every await of its life, not only of its login: no socket, task or timer is left."""

import asyncio
from pathlib import Path

import pytest

from amoc.config import Config
from amoc.xmpp import Element, connect, reconnect
from amoc.xmpp.ext import ping
from amoc.xmpp.server import serve

PING = Element("{urn:xmpp:ping}ping")


async def live() -> None:
    """What a user may wait for."""
    async with connect(1) as client:
        client.send_presence()
        await client.receive("presence", timeout=5)
        await client.iq("get", None, PING, timeout=5)
        await client.expect("message", 5, f"<message to='{client.jid}'><body>caw</body></message>")
        with client.collect("message") as collected:
            client.send_message(client.jid, "caw")
            await collected.get(5)
        await client.drain()
        await ping.ping(client)
        if client.management is not None:
            client.send_message(client.jid, "caw")
            await client.acknowledged(5)
        client.kill()
        await reconnect(client, attempts=1)
        await client.iq("get", None, PING, timeout=5)


def timers() -> list[asyncio.TimerHandle]:
    """Those of asyncio's loop that have yet to go off; uvloop does not tell."""
    return [timer for timer in getattr(asyncio.get_running_loop(), "_scheduled", []) if not timer.cancelled()]


@pytest.mark.slow
@pytest.mark.parametrize("management", ["off", "resume"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_cancelled_after_any_number_of_turns_of_the_loop(
    settings: Config, management: str, tls: bool, tmp_path: Path
) -> None:
    before = timers()
    async with await serve(tls="required" if tls else None, resume_timeout=60) as server:
        settings.set_all({"xmpp_servers": [f"127.0.0.1:{server.port}"], "xmpp_accept_any_certificate": True})
        settings.set_all({"xmpp_stream_management": management, "xmpp_keepalive": 50, "xmpp_tls": "optional"})
        for turns in range(2000):
            user = asyncio.ensure_future(live())
            for _ in range(turns):
                await asyncio.sleep(0)
            if user.done():
                await user
                break
            user.cancel()
            with pytest.raises(asyncio.CancelledError):
                await user
        else:
            pytest.fail("no user ever came to its end")
        assert turns > 20
        async with asyncio.timeout(10):
            while server.connections:
                await asyncio.sleep(0.001)
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert [timer for timer in timers() if timer not in before] == []
