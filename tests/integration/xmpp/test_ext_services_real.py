"""Upload and ad-hoc commands on ejabberd and Prosody."""

import urllib.request

import aiohttp
import pytest

from amoc.xmpp import IqError, connect
from amoc.xmpp.ext import adhoc, upload
from amoc.xmpp.ext.upload import Service, SlotRefused, UploadFailed
from tests.support.servers import Server

pytestmark = pytest.mark.usefixtures("settings")

ADMIN = "http://jabber.org/protocol/admin#"


async def test_upload(server: Server) -> None:
    data = bytes(range(256)) * 64
    async with connect(421) as crow, aiohttp.ClientSession() as http:
        service = await upload.find(crow, "localhost")
        assert service == Service("upload.localhost", 1_000_000)
        url = await upload.send(crow, service.jid, "crow & co.png", data, "image/png", http=http)
        async with http.get(url) as answer:
            assert answer.status == 200
            assert await answer.read() == data


async def test_uploads_that_are_refused(server: Server) -> None:
    async with connect(422) as crow:
        with pytest.raises(SlotRefused, match="at most 1000000 bytes") as refused:
            await upload.request(crow, "upload.localhost", "big.bin", 1_000_001)
        assert (refused.value.condition, refused.value.max_size) == ("not-acceptable", 1_000_000)
        slot = await upload.request(crow, "upload.localhost", "small.bin", 10)
        with pytest.raises(UploadFailed, match="the web server answered 4"):
            await upload.put(slot, b"more than ten bytes")
        with pytest.raises(urllib.request.HTTPError):
            urllib.request.urlopen(slot.get).close()


async def test_commands(server: Server) -> None:
    # for everybody: ejabberd has ping, Prosody says how long it has been up
    node = {"ejabberd": "ping", "prosody": "uptime"}[server.name]
    async with connect(423) as crow:
        offered = await adhoc.commands(crow, "localhost")
        assert node in [command.node for command in offered]
        assert not [command for command in offered if command.node.startswith(ADMIN)]
        stage = await adhoc.execute(crow, "localhost", node)
        assert stage.status == "completed"
        assert stage.notes[0].text
        with pytest.raises(IqError) as refused:
            await adhoc.execute(crow, "localhost", ADMIN + "end-user-session")
        assert refused.value.condition == "forbidden"
        with pytest.raises(IqError) as refused:
            await adhoc.execute(crow, "localhost", "no-such-command")
        assert refused.value.condition in ("item-not-found", "service-unavailable")


async def test_a_command_with_a_form(server: Server) -> None:
    node = ADMIN + "end-user-session"
    async with connect(1, username="admin") as admin, connect(424) as crow:
        assert node in [command.node for command in await adhoc.commands(admin, "localhost")]
        stage = await adhoc.execute(admin, "localhost", node)
        assert stage.status == "executing"
        assert stage.form is not None
        (field,) = [name for name in stage.form.fields if name.startswith("accountjid")]
        cancelled = await adhoc.cancel(admin, stage)
        assert cancelled.status == "canceled"
        stage = await adhoc.execute(admin, "localhost", node)
        stage = await adhoc.proceed(admin, stage, {field: crow.jid}, action="complete")
        assert stage.status == "completed"
