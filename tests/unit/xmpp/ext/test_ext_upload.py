"""Upload: slots, refusals, and the transfer to a web server that may refuse, break off or stall."""

import asyncio
import copy
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from amoc.xmpp import IqError, connect
from amoc.xmpp.ext import upload
from amoc.xmpp.ext.session import BadAnswer
from amoc.xmpp.ext.upload import Service, Slot, SlotRefused, UploadFailed
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

NS = "xmlns='urn:xmpp:http:upload:0'"
INFO = "xmlns='http://jabber.org/protocol/disco#info'"
SERVICE = "upload.localhost"
REQUEST = (
    f"<iq type='get' id='*' to='{SERVICE}'>"
    f"<request {NS} filename='a &amp; b.png' size='5' content-type='image/png'/></iq>"
)


def slot(put: str, get: str = "https://web.example/a", headers: str = "") -> str:
    return f"<slot {NS}><put url='{put}'>{headers}</put><get url='{get}'/></slot>"


def tell(content: str, type: str = "result") -> str:
    return f"> <iq type='{type}' id='*' from='{SERVICE}' to='$JID'>{content}</iq>"


@dataclass
class Web:
    """A web server that keeps what is put; `status` is its answer, `block` holds it back."""

    files: dict[str, tuple[bytes, str, str]] = field(default_factory=dict)
    status: int = 201
    stall: bool = False
    url: str = ""

    async def put(self, request: web.Request) -> web.Response:
        if self.stall:
            await asyncio.sleep(60)
        headers = request.headers
        self.files[request.path] = (
            await request.read(), headers["Content-Type"], headers.get("Authorization", "")
        )  # fmt: skip
        return web.Response(status=self.status)


@pytest.fixture
async def site() -> AsyncIterator[Web]:
    site = Web()
    application = web.Application()
    application.router.add_put("/{name}", site.put)
    server = TestServer(application, handler_cancellation=True, shutdown_timeout=0.01)
    await server.start_server()
    site.url = str(server.make_url("/"))
    yield site
    await server.close()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_a_file(embedded: EmbeddedServer, site: Web, http: aiohttp.ClientSession) -> None:
    headers = "<header name='Authorization'>Basic\n abc</header><header name='Host'>evil.example</header>"
    played = replay(embedded, [REQUEST, tell(slot(site.url + "x", headers=headers))])
    async with connect(1) as client:
        url = await upload.send(client, SERVICE, "a & b.png", b"\0\1\2\3\4", "image/png", http=http)
    assert url == "https://web.example/a"
    assert site.files == {"/x": (b"\0\1\2\3\4", "image/png", "Basic abc")}
    played.done()


async def test_a_client_of_its_own(site: Web) -> None:
    await upload.put(Slot(site.url + "y", "", {}), b"crow")
    assert site.files == {"/y": (b"crow", "application/octet-stream", "")}


async def test_a_web_server_that_refuses(embedded: EmbeddedServer, site: Web, http: aiohttp.ClientSession) -> None:
    site.status = 413
    replay(embedded, [REQUEST, tell(slot(site.url + "x"))])
    async with connect(1) as client:
        with pytest.raises(UploadFailed, match=r"^user 1 .*/x failed: the web server answered 413$") as failed:
            await upload.send(client, SERVICE, "a & b.png", b"12345", "image/png", http=http)
    assert failed.value.status == 413
    assert str(copy.copy(failed.value)) == str(failed.value)


async def test_a_web_server_that_stalls(site: Web, http: aiohttp.ClientSession) -> None:
    site.stall = True
    with pytest.raises(UploadFailed, match=r"not done within 0\.05 s") as failed:
        await upload.put(Slot(site.url + "x", "", {}), b"crow", http=http, timeout=0.05)
    assert failed.value.status == 0


async def test_a_web_server_that_is_not_there(site: Web) -> None:
    with pytest.raises(UploadFailed, match="Cannot connect"):
        await upload.put(Slot("http://127.0.0.1:9/x", "", {}), b"crow")


async def test_without_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ImportError, match="aiohttp"):
        await upload.put(Slot("http://127.0.0.1:9/x", "", {}), b"crow")


async def test_cancelled(site: Web, http: aiohttp.ClientSession) -> None:
    site.stall = True
    task = asyncio.create_task(upload.put(Slot(site.url + "x", "", {}), b"crow", http=http))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("detail", "size", "retry", "text"),
    [
        (
            f"<file-too-large {NS}><max-file-size>20000</max-file-size></file-too-large>",
            20000,
            "",
            "at most 20000 bytes",
        ),
        (
            f"<retry {NS} stamp='2026-11-24T03:15:00Z'/>",
            None,
            "2026-11-24T03:15:00Z",
            "not before 2026-11-24T03:15:00Z",
        ),
        (f"<file-too-large {NS}/>", None, "", "not-acceptable"),
        ("", None, "", "not-acceptable"),
    ],
)
async def test_no_slot(embedded: EmbeddedServer, detail: str, size: int | None, retry: str, text: str) -> None:
    condition = "<not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
    played = replay(embedded, [REQUEST, tell(f"<error type='modify'>{condition}{detail}</error>", "error")])
    async with connect(1) as client:
        with pytest.raises(SlotRefused, match=rf"^user 1 .*{text}$") as refused:
            await upload.request(client, SERVICE, "a & b.png", 5, "image/png")
    assert (refused.value.max_size, refused.value.retry) == (size, retry)
    assert isinstance(refused.value, IqError)
    assert str(copy.copy(refused.value)) == str(refused.value)
    played.done()


@pytest.mark.parametrize(
    "content",
    [
        "",
        f"<slot {NS}/>",
        f"<slot {NS}><put url='https://web.example/a'/></slot>",
        slot("file:///etc/passwd"),
        slot("https://web.example/a", "javascript:x"),
        slot(""),
    ],
)
def test_answers_that_make_no_sense(content: str) -> None:
    with pytest.raises(BadAnswer, match="answered with"):
        upload.parse_slot(xml(f"<iq type='result'>{content}</iq>"))


@pytest.mark.parametrize(("size", "expected"), [("5000", 5000), ("", None), ("much", None)])
async def test_finding_the_service(embedded: EmbeddedServer, size: str, expected: int | None) -> None:
    form = (
        "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:http:upload:0"
        f"</value></field><field var='max-file-size'><value>{size}</value></field></x>"
    )

    def asked(jid: str, answer: str) -> list[str]:
        return [f"<iq type='get' id='*' to='{jid}'><query {INFO}/></iq>", f"> {answer.replace('FROM', jid)}"]

    played = replay(
        embedded,
        [
            "<iq type='get' id='*' to='localhost'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
            "> <iq type='result' id='*' from='localhost' to='$JID'><query xmlns='http://jabber.org/protocol/disco#items'>"
            "<item jid='gone.localhost'/><item jid='muc.localhost'/><item jid='upload.localhost'/></query></iq>",
            *asked("gone.localhost", "<iq type='error' id='*' from='FROM' to='$JID'><error type='cancel'/></iq>"),
            *asked("muc.localhost", f"<iq type='result' id='*' from='FROM' to='$JID'><query {INFO}/></iq>"),
            *asked(
                "upload.localhost",
                f"<iq type='result' id='*' from='FROM' to='$JID'><query {INFO}>"
                f"<feature var='urn:xmpp:http:upload:0'/>{form}</query></iq>",
            ),
        ],
    )
    async with connect(1) as client:
        assert await upload.find(client, "localhost") == Service("upload.localhost", expected)
    played.done()
