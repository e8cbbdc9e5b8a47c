"""Multi-user chat, XEP-0045 1.34, as an occupant: join, talk, leave, invite. For owners see `muc_admin`.

    joined = await muc.join(client, "nest@conference.localhost", "crow", history=0)
    if joined.created:
        await muc_admin.unlock(client, joined.room)
    client.send(muc.message(joined.room, "caw"))
    talk = muc.parse_message(stanza)          # in a handler of "message": GroupMessage(nick="crow", body="caw", …)
    await muc.leave(client, joined.room, joined.nick)

Joining, leaving, a new nick and a new subject are waited for; what the room answers is taken ahead of any handler,
and so is its presence during a join. A room's other presence and messages are received, handled or ignored like any
other. The history and the subject, which come after a join, are among them, unless they are collected:

    with client.collect(muc.talk_of(room)) as talk:
        await muc.join(client, room, "crow", history=2)
        said = [muc.parse_message(await talk.get(timeout=5)) for _ in range(2)]

`ping.ping(client, "room/nick")` asks whether one is still in a room (XEP-0410). Invitations of both kinds are here:
mediated ones, and direct ones (XEP-0249 1.2). What only builds or reads a stanza is explained in `muc_stanzas`.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.jid import bare, normal
from amoc.xmpp.errors import StanzaError
from amoc.xmpp.ext.muc_stanzas import (
    CREATED,
    NEW_NICK,
    NS,
    SELF,
    USER,
    GroupMessage,
    Invitation,
    Occupant,
    decline,
    invite,
    invite_directly,
    join_presence,
    message,
    parse_invitation,
    parse_message,
    parse_presence,
    private_message,
    statuses_of,
    subject_message,
    talk_of,
)
from amoc.xmpp.ext.session import WAIT, Collection, Session, expect, names_user, waited

__all__ = [
    "CREATED",
    "NEW_NICK",
    "NS",
    "SELF",
    "USER",
    "GroupMessage",
    "Invitation",
    "JoinRefused",
    "Joined",
    "NickConflict",
    "Occupant",
    "change_nick",
    "decline",
    "invite",
    "invite_directly",
    "join",
    "join_presence",
    "leave",
    "message",
    "parse_invitation",
    "parse_message",
    "parse_presence",
    "private_message",
    "set_subject",
    "subject_message",
    "talk_of",
]


@dataclass(frozen=True, slots=True)
class Joined:
    """A room that has let us in. `nick` is what the room calls us; `occupants` the others, by their nicks."""

    room: str
    nick: str
    affiliation: str
    role: str
    statuses: frozenset[int]
    occupants: Mapping[str, Occupant]

    @property
    def created(self) -> bool:
        """Whether the room did not exist before: it may be locked until its owner configures it."""
        return CREATED in self.statuses


class JoinRefused(StanzaError):
    """The room did not let us in: see `condition` (XEP-0045, 7.2).

    not-authorized: a password is needed; forbidden: banned; registration-required: members only;
    service-unavailable: full; item-not-found: locked, or not there; not-allowed: rooms cannot be created.
    """

    def what(self) -> str:  # noqa: D102 - inherited
        text = f" ({self.text})" if self.text else ""
        return f"{self.stanza.get('from')} refused to let us in: {self.condition}{text}"


class NickConflict(JoinRefused):
    """Another occupant has that nick."""


# -- in and out --------------------------------------------------------------------------------------


@names_user
async def join(
    session: Session,
    room: str,
    nick: str,
    *,
    password: str | None = None,
    history: int | None = None,
    seconds: int | None = None,
    since: datetime | None = None,
    timeout: float | None = None,
) -> Joined:
    """Enter a room, and wait until it says that we are in; the other parameters are those of `join_presence`.

    Raises NickConflict, JoinRefused, ReceiveTimeout.
    """
    others: dict[str, Occupant] = {}
    deadline = _Deadline(f"{room} did not say that {nick} is in", timeout)
    with session.collect(_Presence(room)) as presence:
        session.send(join_presence(room, nick, password=password, history=history, seconds=seconds, since=since))
        while True:
            stanza = await deadline.get(presence)
            _raise_refusal(stanza)
            occupant = parse_presence(stanza)
            if not occupant.nick:
                continue  # the room's own, about its picture (ejabberd)
            if not occupant.available:
                others.pop(occupant.nick, None)
            elif SELF not in occupant.statuses:
                others[occupant.nick] = occupant
            else:
                break
    return Joined(
        room=occupant.room,
        nick=occupant.nick,
        affiliation=occupant.affiliation,
        role=occupant.role,
        statuses=occupant.statuses,
        occupants=MappingProxyType(others),
    )


@names_user
async def leave(session: Session, room: str, nick: str, *, timeout: float | None = None) -> None:
    """Leave a room, and wait until it says that we are out. Raises StanzaError, ReceiveTimeout."""
    gone = _Presence(room, kinds=("unavailable", "error"), nick=nick)
    request = f"<presence to='{escape(room)}/{escape(nick)}' type='unavailable'/>"
    _raise_refusal(await expect(session, f"{room} did not say that {nick} is out", gone, timeout, request), StanzaError)


@names_user
async def change_nick(session: Session, room: str, nick: str, *, timeout: float | None = None) -> Occupant:
    """Take another nick in a room where we are. Raises NickConflict, JoinRefused, ReceiveTimeout."""
    deadline = _Deadline(f"{room} did not give us the nick {nick}", timeout)
    with session.collect(_Presence(room, kinds=(None, "unavailable", "error"), nick=nick)) as presence:
        session.send(f"<presence to='{escape(room)}/{escape(nick)}'/>")
        while True:
            stanza = await deadline.get(presence)
            _raise_refusal(stanza)
            occupant = parse_presence(stanza)
            if occupant.available:
                return occupant


@names_user
async def set_subject(session: Session, room: str, subject: str, *, timeout: float | None = None) -> None:
    """Change the subject, and wait until the room tells everybody. Raises StanzaError, ReceiveTimeout."""
    here = normal(bare(room))

    def answers(stanza: Element) -> bool:
        if stanza.name != "message" or normal(bare(stanza.get("from", ""))) != here:
            return False
        talk = parse_message(stanza)
        return stanza.get("type") == "error" if talk is None else talk.subject == subject and not talk.delayed

    what = f"{room} did not change its subject"
    _raise_refusal(await expect(session, what, answers, timeout, subject_message(room, subject)), StanzaError)


# -- inside ------------------------------------------------------------------------------------------


class _Presence:
    """Matches presence of a room: of these kinds (any if None), and about ourselves if our nick is given."""

    __slots__ = ("_kinds", "_nick", "_room")

    def __init__(self, room: str, *, kinds: tuple[str | None, ...] | None = None, nick: str | None = None) -> None:
        self._room = normal(bare(room))
        self._kinds = kinds
        self._nick = nick

    def __call__(self, stanza: Element) -> bool:
        if stanza.name != "presence":
            return False
        room, _, nick = stanza.get("from", "").partition("/")
        kind = stanza.get("type")
        if normal(room) != self._room or (self._kinds is not None and kind not in self._kinds):
            return False
        return self._nick is None or kind == "error" or nick == self._nick or SELF in statuses_of(stanza)


class _Deadline:
    """Gets stanzas until `timeout` seconds, WAIT if None, are over; then the error says what did not happen."""

    __slots__ = ("_end", "_timeout", "_what")

    def __init__(self, what: str, timeout: float | None) -> None:
        self._what = what
        self._timeout = WAIT if timeout is None else timeout
        self._end = time.monotonic() + self._timeout

    async def get(self, collection: Collection) -> Element:
        return await waited(collection.get(max(0.0, self._end - time.monotonic())), self._what, self._timeout)


def _raise_refusal(stanza: Element, kind: type[StanzaError] = JoinRefused) -> None:
    if stanza.get("type") != "error":
        return
    error = kind(stanza)
    raise NickConflict(stanza) if kind is JoinRefused and error.condition == "conflict" else error
