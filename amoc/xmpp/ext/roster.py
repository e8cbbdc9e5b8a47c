"""The roster and subscriptions to presence (RFC 6121, 2 and 3).

    contacts = await roster.get(client)
    await roster.set(client, "user_2@localhost", name="Two", groups=["crows"])
    await roster.subscribe(client, "user_2@localhost")      # returns when the other one has agreed
    sender = await roster.next_request(other)               # meanwhile the other user ...
    roster.allow(other, sender)                             # ... agrees

A server sends pushes and the answers to subscriptions only to resources that have asked for the roster and are
available: call `get` and send presence first. A client acknowledges pushes by itself, and forgets them; `next_push`
catches one while it waits, and a handler (`client.on("iq", …)`) sees all others: `parse_push` reads and `acknowledge`
answers them. `subscribe`, `next_request` and `next_push` take what they wait for ahead of any handler.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.jid import bare, normal
from amoc.xmpp.errors import StanzaError, XmppError
from amoc.xmpp.ext.session import Session, child_of, expect, is_own_account, names_user

__all__ = [
    "NS",
    "Contact",
    "Push",
    "Roster",
    "SubscriptionRefused",
    "acknowledge",
    "allow",
    "cancel",
    "get",
    "next_push",
    "next_request",
    "parse",
    "parse_push",
    "refuse",
    "remove",
    "request",
    "set",
    "subscribe",
    "unsubscribe",
]

NS = "jabber:iq:roster"


@dataclass(frozen=True, slots=True)
class Contact:
    """One entry. `subscription` is none, to, from, both, or (in a push) remove; `ask`: our request is pending."""

    jid: str
    name: str
    subscription: str
    ask: bool
    approved: bool
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Roster:
    """The contacts by their bare addresses; `version` is "" unless the server has versions (RFC 6121, 2.6)."""

    contacts: Mapping[str, Contact]
    version: str


@dataclass(frozen=True, slots=True)
class Push:
    """A contact has changed, or is gone (subscription "remove")."""

    contact: Contact
    version: str


class SubscriptionRefused(XmppError):
    """The other user does not want to be seen, or takes back that it could be. `jid` is its address."""

    def __init__(self, jid: str) -> None:
        super().__init__(jid)
        self.jid = jid

    def what(self) -> str:  # noqa: D102 - inherited
        return f"{self.jid} refused the subscription"


# -- the roster --------------------------------------------------------------------------------------


@names_user
async def get(session: Session, version: str | None = None, *, timeout: float | None = None) -> Roster | None:
    """The roster; from now on the server pushes its changes. Raises IqError, IqTimeout, BadAnswer.

    `version` is that of a roster that is known already ("" if none is): then None is returned if it has not
    changed, or if the changes come as pushes. Give it only to servers that have versions.
    """
    answer = await session.iq("get", None, Element(f"{{{NS}}}query", {"ver": version}), timeout=timeout)
    if version is not None and not list(answer):
        return None
    return parse(answer)


@names_user
async def set(
    session: Session, jid: str, *, name: str | None = None, groups: Iterable[str] = (), timeout: float | None = None
) -> None:
    """Add a contact, or give it this name and these groups. Raises IqError (not-acceptable, …), IqTimeout."""
    item = Element("item", {"jid": jid, "name": name}, *(Element("group", group) for group in groups))
    await session.iq("set", None, Element(f"{{{NS}}}query", item), timeout=timeout)


@names_user
async def remove(session: Session, jid: str, *, timeout: float | None = None) -> None:
    """Remove a contact and both subscriptions. Raises IqError (item-not-found, …), IqTimeout."""
    item = Element("item", {"jid": jid, "subscription": "remove"})
    await session.iq("set", None, Element(f"{{{NS}}}query", item), timeout=timeout)


@names_user
async def next_push(session: Session, *, timeout: float | None = None) -> Push:
    """The next push, which is acknowledged. Only what comes while this waits is seen. Raises ReceiveTimeout."""
    stanza = await expect(session, "no push came", lambda stanza: parse_push(session, stanza), timeout)
    session.send(acknowledge(stanza))
    push = parse_push(session, stanza)
    assert push is not None
    return push


def parse(stanza: Element) -> Roster:
    """The roster in an iq. Raises BadAnswer."""
    query = child_of(stanza, "query", NS)
    contacts = map(_contact, query.find_all("item", NS))
    return Roster(MappingProxyType({contact.jid: contact for contact in contacts}), query.get("ver", ""))


def parse_push(session: Session, stanza: Element) -> Push | None:
    """The push that a stanza is, None if it is none, or comes from somebody who may not push (RFC 6121, 2.1.6)."""
    if stanza.name != "iq" or stanza.get("type") != "set":
        return None
    query = stanza.find("query", NS)
    item = query.find("item", NS) if query is not None else None
    if query is None or item is None or not is_own_account(session, stanza.get("from")):
        return None
    return Push(_contact(item), query.get("ver", ""))


def acknowledge(push: Element) -> str:
    """The answer to a push."""
    return f"<iq type='result' id='{escape(push.get('id', ''))}'/>"


# -- subscriptions -----------------------------------------------------------------------------------


@names_user
async def subscribe(session: Session, jid: str, *, timeout: float | None = None) -> None:
    """Ask to see the presence of `jid`, and wait until it agrees. Raises SubscriptionRefused, ReceiveTimeout.

    Raises StanzaError when a server says that there is no such user or domain.
    """
    wanted = normal(bare(jid))

    def answers(stanza: Element) -> bool:
        kind = stanza.get("type")
        return (
            stanza.name == "presence"
            and kind in ("subscribed", "unsubscribed", "error")
            and normal(bare(stanza.get("from", ""))) == wanted
        )

    what = f"{jid} did not answer the request for a subscription"
    stanza = await expect(session, what, answers, timeout, _presence("subscribe", jid))
    kind = stanza.get("type")
    if kind != "subscribed":
        raise StanzaError(stanza) if kind == "error" else SubscriptionRefused(jid)


@names_user
async def next_request(session: Session, *, timeout: float | None = None) -> str:
    """The bare address of the next user who wants to see our presence. Raises ReceiveTimeout."""
    what = "no request for a subscription came"
    return bare((await expect(session, what, _is_request, timeout)).get("from", ""))


def request(session: Session, jid: str) -> None:
    """Ask to see the presence of `jid`, without waiting for what it says."""
    session.send(_presence("subscribe", jid))


def allow(session: Session, jid: str) -> None:
    """Let `jid` see our presence."""
    session.send(_presence("subscribed", jid))


def refuse(session: Session, jid: str) -> None:
    """Do not let `jid` see our presence."""
    session.send(_presence("unsubscribed", jid))


cancel = refuse
"""Let `jid` see our presence no longer: the same stanza (RFC 6121, 3.2)."""


def unsubscribe(session: Session, jid: str) -> None:
    """Do not want to see the presence of `jid` any more."""
    session.send(_presence("unsubscribe", jid))


def _presence(kind: str, jid: str) -> str:
    return f"<presence to='{escape(bare(jid))}' type='{kind}'/>"


def _is_request(stanza: Element) -> bool:
    return stanza.name == "presence" and stanza.get("type") == "subscribe"


def _contact(item: Element) -> Contact:
    return Contact(
        jid=item.get("jid", ""),
        name=item.get("name", ""),
        subscription=item.get("subscription", "none"),
        ask=item.get("ask") == "subscribe",
        approved=item.get("approved") in ("true", "1"),
        groups=tuple(group.text for group in item.find_all("group", NS)),
    )
