"""Message archives, XEP-0313 1.0, of users and of rooms.

    page = await mam.query(client, with_jid="user_2@localhost", max=50)
    for archived in page.messages:
        archived.id, archived.stamp, archived.message.findtext("body")
    latest = await mam.last(client, 10)
    async for page in mam.pages(client, start=yesterday): ...
    await mam.set_preferences(client, "always")

An archive sends what it has found as messages, ahead of its answer. They are taken ahead of any handler; a page may
not be longer than xmpp_inbox (1000). If messages are missing, `query` says so by MessagesLost. Messages that claim to
be results but come from somebody else than the archive, or belong to another query, do not count.
"""

import itertools
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypedDict, Unpack

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.jid import normal
from amoc.xmpp.errors import XmppError
from amoc.xmpp.ext import delay, forms, rsm
from amoc.xmpp.ext.session import BadAnswer, Session, child_of, is_own_account, names_user

__all__ = [
    "NS",
    "Archived",
    "Filters",
    "MessagesLost",
    "Page",
    "Preferences",
    "last",
    "pages",
    "parse_preferences",
    "parse_result",
    "preferences",
    "query",
    "request",
    "set_preferences",
]

NS = "urn:xmpp:mam:2"
FORWARD = "urn:xmpp:forward:0"  # XEP-0297

Default = Literal["always", "never", "roster"]

_ids = itertools.count(1)
_PREFIX = secrets.token_hex(4)  # nobody else may guess the id of a query


@dataclass(frozen=True, slots=True)
class Archived:
    """A message of an archive: `id` in the archive, when it was sent (None if that is not said), itself."""

    id: str
    query: str
    stamp: datetime | None
    message: Element


@dataclass(frozen=True, slots=True)
class Page:
    """A part of an archive, oldest first. `complete`: there is no more in the direction that was asked for."""

    messages: tuple[Archived, ...]
    part: rsm.Part
    complete: bool
    stable: bool


@dataclass(frozen=True, slots=True)
class Preferences:
    """Which messages are archived: by default ("always", "never", "roster"), and with these addresses."""

    default: str
    always: tuple[str, ...]
    never: tuple[str, ...]


class Filters(TypedDict, total=False):
    """What `last` and `pages` have in common with `query`."""

    to: str | None
    with_jid: str | None
    start: datetime | None
    end: datetime | None
    after: str | None
    timeout: float | None


class MessagesLost(XmppError):
    """The archive has answered, but messages of the page did not arrive here: `page` has those that did."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.page = page

    def what(self) -> str:  # noqa: D102 - inherited
        return (
            f"the archive sent a page from {self.page.part.first} to {self.page.part.last}, but its ends are not among "
            f"the {len(self.page.messages)} messages received: are pages larger than xmpp_inbox?"
        )


@names_user
async def query(
    session: Session,
    *,
    to: str | None = None,
    with_jid: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    max: int | None = None,
    after: str | None = None,
    before: str | None = None,
    timeout: float | None = None,
) -> Page:
    """One page of the archive of `to` (a room; by default the user's own); the parameters are those of `request`.

    Raises IqError (item-not-found: no such id in the archive), IqTimeout, BadAnswer, MessagesLost.
    """
    ident = f"{_PREFIX}-{next(_ids)}"
    own = to is None
    archive = normal(to or "")

    def belongs(stanza: Element) -> bool:
        if stanza.name != "message":
            return False
        result = stanza.find("result", NS)
        if result is None or result.get("queryid") != ident:
            return False
        sender = stanza.get("from")
        return is_own_account(session, sender) if own else normal(sender or "") == archive

    content = request(ident, with_jid=with_jid, start=start, end=end, max=max, after=after, before=before)
    with session.collect(belongs) as results:
        answer = await session.iq("set", to, content, timeout=timeout)
        messages = tuple(map(parse_result, results.taken()))
    fin = child_of(answer, "fin", NS)
    part = rsm.parse(fin)
    page = Page(messages, part, fin.get("complete") in ("true", "1"), fin.get("stable") not in ("false", "0"))
    if part.last and (not messages or (messages[0].id, messages[-1].id) != (part.first, part.last)):
        raise MessagesLost(page)
    return page


@names_user
async def last(session: Session, count: int, **filters: Unpack[Filters]) -> Page:
    """The last `count` messages, oldest first; the other parameters are those of `query`."""
    return await query(session, max=count, before="", **filters)


async def pages(session: Session, *, max: int = 50, **filters: Unpack[Filters]) -> AsyncIterator[Page]:
    """The whole archive, or what of it is asked for as in `query`, page by page, oldest first."""
    while True:
        page = await query(session, max=max, **filters)
        yield page
        if page.complete or not page.part.last:
            return
        filters["after"] = page.part.last


def request(
    ident: str,
    *,
    with_jid: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    max: int | None = None,
    after: str | None = None,
    before: str | None = None,
) -> Element:
    """The query: messages with that address, from `start` to `end` (with a time zone), `max` to a page.

    `after` and `before` are ids in the archive; `before=""` asks for the last page. `ident` marks the results.
    """
    values: dict[str, forms.Value] = {}
    if with_jid is not None:
        values["with"] = with_jid
    if start is not None:
        values["start"] = delay.format_time(start)
    if end is not None:
        values["end"] = delay.format_time(end)
    element = Element(f"{{{NS}}}query", {"queryid": ident})
    if values:
        element.add(forms.submit(values, NS))
    if (max, after, before) != (None, None, None):
        element.add(rsm.request(max=max, after=after, before=before))
    return element


def parse_result(stanza: Element) -> Archived:
    """The archived message in a message of an archive. Raises BadAnswer."""
    result = child_of(stanza, "result", NS)
    forwarded = result.find("forwarded", FORWARD)
    message = forwarded.find("message") if forwarded is not None else None
    if forwarded is None or message is None:
        raise BadAnswer(stanza, "no message in a result of an archive")
    sent = delay.parse(forwarded)
    return Archived(result.get("id", ""), result.get("queryid", ""), sent.stamp if sent else None, message)


# -- preferences -------------------------------------------------------------------------------------


@names_user
async def preferences(session: Session, *, timeout: float | None = None) -> Preferences:
    """What the user has archived. Raises IqError, IqTimeout, BadAnswer."""
    return parse_preferences(await session.iq("get", None, Element(f"{{{NS}}}prefs"), timeout=timeout))


@names_user
async def set_preferences(
    session: Session,
    default: Default,
    always: Iterable[str] = (),
    never: Iterable[str] = (),
    *,
    timeout: float | None = None,
) -> Preferences:
    """Say what is to be archived; return what the server made of it. Raises IqError, IqTimeout, BadAnswer."""
    prefs = Element(
        f"{{{NS}}}prefs",
        {"default": default},
        Element("always", *(Element("jid", jid) for jid in always)),
        Element("never", *(Element("jid", jid) for jid in never)),
    )
    return parse_preferences(await session.iq("set", None, prefs, timeout=timeout))


def parse_preferences(stanza: Element) -> Preferences:
    """The preferences in an iq. Raises BadAnswer."""
    prefs = child_of(stanza, "prefs", NS)
    return Preferences(prefs.get("default", ""), _jids(prefs.find("always", NS)), _jids(prefs.find("never", NS)))


def _jids(element: Element | None) -> tuple[str, ...]:
    return () if element is None else tuple(item.text for item in element.find_all("jid", NS))
