"""HTTP upload, XEP-0363 1.1: a file goes to a web server of the domain; its address can be sent to others.

    service = await upload.find(client, "localhost")
    url = await upload.send(client, service.jid, "crow.png", data, "image/png", http=http)

The file is transferred by `http`, an `aiohttp.ClientSession` or something with such a `put`: make one in the scenario's
`init` and give it to every user. Without one, aiohttp is imported, and a session is made for this one file; that
costs a connection and, for https, the loading of the certificate authorities each time. Needs aiohttp:
`pip install aiohttp`.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from amoc.xmpp.core.element import Element
from amoc.xmpp.errors import IqError, XmppError
from amoc.xmpp.ext import disco
from amoc.xmpp.ext.session import BadAnswer, Session, child_of, names_user, number

__all__ = [
    "NS",
    "Http",
    "HttpAnswer",
    "Service",
    "Slot",
    "SlotRefused",
    "UploadFailed",
    "build_request",
    "find",
    "parse_slot",
    "put",
    "request",
    "send",
]

NS = "urn:xmpp:http:upload:0"

# the only headers that a service may ask for (section 5), in lower case
_HEADERS = frozenset(("authorization", "cookie", "expires"))


class HttpAnswer(Protocol):
    """What `put` needs of an answer."""

    @property
    def status(self) -> int:
        """The HTTP status."""


class Http(Protocol):
    """What `put` needs of an HTTP client: the part of `aiohttp.ClientSession` that it uses."""

    def put(self, url: str, *, data: Any, headers: Mapping[str, str]) -> AbstractAsyncContextManager[HttpAnswer, Any]:
        """Send a PUT request."""


class SlotRefused(IqError):
    """The service gives no slot: the file is larger than `max_size` bytes, or there were too many until `retry`.

    `max_size` is None, `retry` (a time as text, XEP-0082) "" if it is for another reason, which `condition` tells.
    """

    def __init__(self, error: IqError, max_size: int | None, retry: str) -> None:
        super().__init__(error.stanza, error.asked)
        self.max_size = max_size
        self.retry = retry

    def what(self) -> str:  # noqa: D102 - inherited
        limit = f": files have at most {self.max_size} bytes" if self.max_size is not None else ""
        return super().what() + limit + (f": not before {self.retry}" if self.retry else "")


class UploadFailed(XmppError):
    """The web server did not take the file; `status` is its answer, 0 if none came."""

    def __init__(self, url: str, reason: str, status: int = 0) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason
        self.status = status

    def what(self) -> str:  # noqa: D102 - inherited
        return f"the upload to {self.url} failed: {self.reason}"


@dataclass(frozen=True, slots=True)
class Service:
    """An upload service. `max_size` is the largest file in bytes, None if it does not say."""

    jid: str
    max_size: int | None


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a file goes to, with which headers, and where it can be got from then."""

    put: str
    get: str
    headers: Mapping[str, str]


@names_user
async def find(session: Session, domain: str, *, timeout: float | None = None) -> Service | None:
    """The upload service of a domain, None if there is none. Raises IqError, IqTimeout, BadAnswer."""
    for item in await disco.items(session, domain, timeout=timeout):
        try:
            info = await disco.info(session, item.jid, timeout=timeout)
        except IqError:
            continue
        if NS in info.features:
            sizes = [form.get("max-file-size") for form in info.forms if form.form_type == NS]
            size = sizes[0] if sizes else ""
            return Service(item.jid, int(size) if size.isascii() and size.isdigit() else None)
    return None


@names_user
async def request(
    session: Session, service: str, name: str, size: int, type: str = "", *, timeout: float | None = None
) -> Slot:
    """Ask for a slot for a file of exactly `size` bytes. Raises SlotRefused, IqTimeout, BadAnswer."""
    try:
        return parse_slot(await session.iq("get", service, build_request(name, size, type), timeout=timeout))
    except IqError as error:
        raise _refusal(error) from None


async def put(slot: Slot, data: bytes, type: str = "", *, http: Http | None = None, timeout: float = 60.0) -> None:
    """Transfer the file, in `timeout` seconds. Raises UploadFailed."""
    headers = {**slot.headers, "Content-Type": type or "application/octet-stream"}
    try:
        async with asyncio.timeout(timeout):
            if http is not None:
                status = await _put(http, slot.put, data, headers)
            else:
                import aiohttp  # by then: scenarios that upload nothing need not have it

                async with aiohttp.ClientSession() as own:
                    status = await _put(own, slot.put, data, headers)
    except TimeoutError:
        raise UploadFailed(slot.put, f"not done within {timeout:g} s") from None
    except ImportError:
        raise
    except Exception as error:  # whatever that HTTP client raises
        raise UploadFailed(slot.put, f"{error.__class__.__name__}: {error}") from error
    if not 200 <= status < 300:
        raise UploadFailed(slot.put, f"the web server answered {status}", status)


@names_user
async def send(
    session: Session,
    service: str,
    name: str,
    data: bytes,
    type: str = "",
    *,
    http: Http | None = None,
    timeout: float = 60.0,
) -> str:
    """Upload a file, return its address. Raises SlotRefused, UploadFailed, IqTimeout, BadAnswer."""
    slot = await request(session, service, name, len(data), type)
    await put(slot, data, type, http=http, timeout=timeout)
    return slot.get


def build_request(name: str, size: int, type: str = "") -> Element:
    """The payload of a request for a slot."""
    return Element(f"{{{NS}}}request", {"filename": name, "size": str(size), "content-type": type or None})


def parse_slot(answer: Element) -> Slot:
    """The slot in an iq. Headers that services may not set are left out. Raises BadAnswer."""
    slot = child_of(answer, "slot", NS)
    target, source = child_of(slot, "put", NS), child_of(slot, "get", NS)
    urls = target.get("url", ""), source.get("url", "")
    for url in urls:
        if not url.startswith(("https://", "http://")):  # https only, says the XEP; test servers have http
            raise BadAnswer(answer, f"{url!r} instead of a web address")
    headers = {
        header.get("name", ""): header.text.replace("\r", "").replace("\n", "")
        for header in target.find_all("header", NS)
        if header.get("name", "").lower() in _HEADERS
    }
    return Slot(*urls, headers)


def _refusal(error: IqError) -> SlotRefused:
    details = error.stanza.find("error")
    large = None if details is None else details.find("file-too-large", NS)
    retry = None if details is None else details.find("retry", NS)
    size = None if large is None else number(error.stanza, large.findtext("max-file-size"))
    return SlotRefused(error, size, "" if retry is None else retry.get("stamp", ""))


async def _put(http: Http, url: str, data: bytes, headers: Mapping[str, str]) -> int:
    async with http.put(url, data=data, headers=headers) as answer:
        return answer.status
