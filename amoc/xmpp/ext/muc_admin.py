"""Multi-user chat, XEP-0045 1.34, as an owner or admin: configuration, affiliations, roles, the end of a room.

    await muc_admin.unlock(client, room)                    # as it is: an "instant room"
    form = await muc_admin.config(client, room)
    await muc_admin.configure(client, room, {"muc#roomconfig_membersonly": True})
    await muc_admin.set_affiliations(client, room, {"user_2@localhost": "member"})
    await muc_admin.set_role(client, room, "magpie", "none", "too loud")        # kick
    await muc_admin.destroy(client, room)

Who may not do it gets an IqError (forbidden, not-allowed, conflict, …).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from amoc.xmpp.core.element import Element
from amoc.xmpp.ext import forms
from amoc.xmpp.ext.session import BadAnswer, Session, child_of, names_user

__all__ = [
    "ADMIN",
    "CONFIG",
    "OWNER",
    "Affiliation",
    "affiliations",
    "config",
    "configure",
    "destroy",
    "set_affiliations",
    "set_role",
    "unlock",
]

OWNER = "http://jabber.org/protocol/muc#owner"
ADMIN = "http://jabber.org/protocol/muc#admin"
CONFIG = "http://jabber.org/protocol/muc#roomconfig"


@dataclass(frozen=True, slots=True)
class Affiliation:
    """Somebody's lasting relation to a room: owner, admin, member, none or outcast (banned)."""

    jid: str
    affiliation: str
    nick: str
    reason: str


@names_user
async def unlock(session: Session, room: str, *, timeout: float | None = None) -> None:
    """Accept the configuration that a new room has, so that others can join (10.1.2). Raises IqError."""
    query = Element(f"{{{OWNER}}}query", forms.submit({}))
    await session.iq("set", room, query, timeout=timeout)


@names_user
async def config(session: Session, room: str, *, timeout: float | None = None) -> forms.Form:
    """The configuration (10.2). Raises IqError, BadAnswer."""
    answer = await session.iq("get", room, Element(f"{{{OWNER}}}query"), timeout=timeout)
    form = forms.find(child_of(answer, "query", OWNER))
    if form is None:
        raise BadAnswer(answer, "no form")
    return form


@names_user
async def configure(
    session: Session, room: str, values: Mapping[str, forms.Value], *, timeout: float | None = None
) -> None:
    """Change these fields ("muc#roomconfig_…"), leave the others; unlocks a new room. Raises IqError."""
    query = Element(f"{{{OWNER}}}query", forms.submit(values, CONFIG))
    await session.iq("set", room, query, timeout=timeout)


@names_user
async def affiliations(
    session: Session, room: str, affiliation: str, *, timeout: float | None = None
) -> tuple[Affiliation, ...]:
    """Those who are owner, admin, member or outcast (9.5, 9.8, 10.5). Raises IqError, BadAnswer."""
    query = Element(f"{{{ADMIN}}}query", Element("item", {"affiliation": affiliation}))
    answer = await session.iq("get", room, query, timeout=timeout)
    return tuple(
        Affiliation(
            jid=item.get("jid", ""),
            affiliation=item.get("affiliation", affiliation),
            nick=item.get("nick", ""),
            reason=item.findtext("reason", default=""),
        )
        for item in child_of(answer, "query", ADMIN).find_all("item", ADMIN)
    )


@names_user
async def set_affiliations(
    session: Session, room: str, changes: Mapping[str, str], reason: str = "", *, timeout: float | None = None
) -> None:
    """Give each bare address its affiliation, all or none; "outcast" bans. Raises IqError."""
    query = Element(f"{{{ADMIN}}}query")
    for jid, affiliation in changes.items():
        query.add(Element("item", {"jid": jid, "affiliation": affiliation}, *_reason(reason)))
    await session.iq("set", room, query, timeout=timeout)


@names_user
async def set_role(
    session: Session, room: str, nick: str, role: str, reason: str = "", *, timeout: float | None = None
) -> None:
    """Make an occupant moderator, participant or visitor while it stays, or kick it ("none"). Raises IqError."""
    query = Element(f"{{{ADMIN}}}query", Element("item", {"nick": nick, "role": role}, *_reason(reason)))
    await session.iq("set", room, query, timeout=timeout)


@names_user
async def destroy(
    session: Session, room: str, reason: str = "", alternate: str | None = None, *, timeout: float | None = None
) -> None:
    """End the room (10.9); `alternate` is the room to go to instead. Raises IqError."""
    content = Element("destroy", {"jid": alternate}, *_reason(reason))
    await session.iq("set", room, Element(f"{{{OWNER}}}query", content), timeout=timeout)


def _reason(text: str) -> tuple[Element, ...]:
    return (Element("reason", text),) if text else ()
