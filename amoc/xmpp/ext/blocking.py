"""Blocking, XEP-0191 1.3: addresses from which, and to which, the server lets nothing through.

    await blocking.block(client, "raven@localhost")
    await blocking.blocked(client)                       # frozenset({"raven@localhost"})
    await blocking.unblock(client)                       # all

The user's other resources are told by a request:

    change = await blocking.next_change(other, timeout=5)
    change.kind, change.jids                             # "block", frozenset({"raven@localhost"})

A handler of requests does that by `parse` and `answer`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from amoc.xmpp.core.element import Element
from amoc.xmpp.ext.session import BadAnswer, Session, child_of, expect, is_own_account, names_user

__all__ = ["BLOCKED", "NS", "Change", "answer", "block", "blocked", "next_change", "parse", "unblock", "was_blocked"]

NS = "urn:xmpp:blocking"
BLOCKED = NS + ":errors"


@dataclass(frozen=True, slots=True)
class Change:
    """A change that another resource made. `jids` of an unblock is empty when nobody is blocked any more."""

    kind: Literal["block", "unblock"]
    jids: frozenset[str]


@names_user
async def blocked(session: Session, *, timeout: float | None = None) -> frozenset[str]:
    """The addresses that are blocked. Raises IqError, IqTimeout, BadAnswer."""
    answer = await session.iq("get", None, Element(f"{{{NS}}}blocklist"), timeout=timeout)
    return _jids(answer, child_of(answer, "blocklist", NS))


@names_user
async def block(session: Session, *jids: str, timeout: float | None = None) -> None:
    """Block addresses: of accounts, resources, or domains. Raises ValueError without any, IqError, IqTimeout."""
    if not jids:
        raise ValueError("block whom? name at least one address")
    await session.iq("set", None, _items("block", jids), timeout=timeout)


@names_user
async def unblock(session: Session, *jids: str, timeout: float | None = None) -> None:
    """Unblock addresses; without any, all. Raises IqError, IqTimeout."""
    await session.iq("set", None, _items("unblock", jids), timeout=timeout)


@names_user
async def next_change(session: Session, *, timeout: float | None = None) -> Change:
    """The next change by another resource, which is answered, and taken ahead of any handler.

    Only what comes while this waits is seen. Raises ReceiveTimeout, BadAnswer.
    """
    stanza = await expect(session, "no change came", lambda stanza: parse(stanza, session), timeout)
    session.send(answer(stanza))
    change = parse(stanza, session)
    assert change is not None
    return change


def parse(stanza: Element, session: Session) -> Change | None:
    """The change that the server tells of by this request; None if it is none, or from somebody else.

    Raises BadAnswer for an entry without address.
    """
    if stanza.name != "iq" or stanza.get("type") != "set" or not is_own_account(session, stanza.get("from")):
        return None
    for child in stanza:
        if child.ns == NS and child.name in ("block", "unblock"):
            return Change("block" if child.name == "block" else "unblock", _jids(stanza, child))
    return None


def answer(stanza: Element) -> Element:
    """The answer to the server's request, for those who handle requests themselves."""
    return Element("iq", {"type": "result", "id": stanza.get("id"), "to": stanza.get("from")})


def was_blocked(stanza: Element) -> bool:
    """Whether this error says that the user has blocked the addressee (section 3.5)."""
    error = stanza.find("error")
    return error is not None and error.find("blocked", BLOCKED) is not None


def _items(name: str, jids: Iterable[str]) -> Element:
    return Element(f"{{{NS}}}{name}", *(Element("item", {"jid": jid}) for jid in jids))


def _jids(answer: Element, parent: Element) -> frozenset[str]:
    jids = frozenset(item.get("jid", "") for item in parent.find_all("item"))
    if "" in jids:
        raise BadAnswer(answer, "an entry without address")
    return jids
