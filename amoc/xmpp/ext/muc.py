"""Multi-user chat, XEP-0045 1.34, as an occupant: join, talk, leave, invite. For owners see `muc_admin`.

    joined = await muc.join(client, "nest@conference.localhost", "crow", history=0)
    if joined.created:
        await muc_admin.unlock(client, joined.room)
    client.send(muc.message(joined.room, "caw"))
    talk = muc.parse_message(stanza)          # in a handler of "message": GroupMessage(nick="crow", body="caw", …)
    await muc.leave(client, joined.room, joined.nick)

Joining, leaving, a new nick and a new subject are waited for: no handler may take presence ("message" for the
subject) meanwhile. After a join the history and the subject come as messages. A room's other presence and
messages are received, handled or ignored like any other. `ping.ping(client, "room/nick")` asks whether one is
still in a room (XEP-0410). Invitations of both kinds are here: mediated ones, and direct ones (XEP-0249 1.2).
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.jid import bare, normal, resource
from amoc.xmpp.errors import ReceiveTimeout, StanzaError
from amoc.xmpp.ext import delay
from amoc.xmpp.ext.session import WAIT, Session

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
]

NS = "http://jabber.org/protocol/muc"
USER = NS + "#user"
DIRECT = "jabber:x:conference"

SELF = 110  # status codes (XEP-0045, 15.6): this presence is about yourself
CREATED = 201  # the room did not exist before
NEW_NICK = 303  # who leaves only changes the nick


@dataclass(frozen=True, slots=True)
class Occupant:
    """What a presence of a room says of one occupant; of the room itself if `nick` is "".

    `jid` is "" where the room does not tell.
    """

    room: str
    nick: str
    available: bool
    affiliation: str
    role: str
    jid: str
    statuses: frozenset[int]


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


@dataclass(frozen=True, slots=True)
class GroupMessage:
    """What was said in a room; `nick` is "" when the room itself speaks.

    `subject` is a new subject, None in ordinary messages. `delayed`: it was said earlier, and is history.
    """

    room: str
    nick: str
    id: str
    body: str
    subject: str | None
    delayed: bool


@dataclass(frozen=True, slots=True)
class Invitation:
    """Come to `room`, says `sender`; directly, or by way of the room, which may know it by its nick only."""

    room: str
    sender: str
    reason: str
    password: str
    direct: bool


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

    Raises NickConflict, JoinRefused, ReceiveTimeout. Presence of the room that was left over from an earlier
    stay is dropped.
    """
    try:
        while True:
            await session.receive(_Presence(room), 0)
    except ReceiveTimeout:
        pass
    others: dict[str, Occupant] = {}
    deadline = _Deadline(session, f"{room} did not say that {nick} is in", timeout)
    session.send(join_presence(room, nick, password=password, history=history, seconds=seconds, since=since))
    while True:
        stanza = await deadline.receive(_Presence(room))
        _raise_refusal(session, stanza)
        occupant = parse_presence(stanza)
        if not occupant.nick:
            continue  # the room's own, about its picture (ejabberd)
        if not occupant.available:
            others.pop(occupant.nick, None)
        elif SELF not in occupant.statuses:
            others[occupant.nick] = occupant
        else:
            return Joined(
                room=occupant.room,
                nick=occupant.nick,
                affiliation=occupant.affiliation,
                role=occupant.role,
                statuses=occupant.statuses,
                occupants=MappingProxyType(others),
            )


async def leave(session: Session, room: str, nick: str, *, timeout: float | None = None) -> None:
    """Leave a room, and wait until it says that we are out. Raises StanzaError, ReceiveTimeout."""
    deadline = _Deadline(session, f"{room} did not say that {nick} is out", timeout)
    session.send(f"<presence to='{escape(room)}/{escape(nick)}' type='unavailable'/>")
    stanza = await deadline.receive(_Presence(room, kinds=("unavailable", "error"), nick=nick))
    _raise_refusal(session, stanza, StanzaError)


async def change_nick(session: Session, room: str, nick: str, *, timeout: float | None = None) -> Occupant:
    """Take another nick in a room where we are. Raises NickConflict, JoinRefused, ReceiveTimeout."""
    deadline = _Deadline(session, f"{room} did not give us the nick {nick}", timeout)
    session.send(f"<presence to='{escape(room)}/{escape(nick)}'/>")
    while True:
        stanza = await deadline.receive(_Presence(room, kinds=(None, "unavailable", "error"), nick=nick))
        _raise_refusal(session, stanza)
        occupant = parse_presence(stanza)
        if occupant.available:
            return occupant


def join_presence(
    room: str,
    nick: str,
    *,
    password: str | None = None,
    history: int | None = None,
    seconds: int | None = None,
    since: datetime | None = None,
) -> str:
    """The presence that asks to be let in.

    Of what was said before, at most `history` messages are wanted, of the last `seconds`, and `since` then (with
    a time zone); as much as the room likes when nothing is given.
    """
    content = "" if password is None else f"<password>{escape(password)}</password>"
    if history is not None or seconds is not None or since is not None:
        content += "<history"
        content += "" if history is None else f" maxstanzas='{history}'"
        content += "" if seconds is None else f" seconds='{seconds}'"
        content += "" if since is None else f" since='{delay.format_time(since)}'"
        content += "/>"
    return f"<presence to='{escape(room)}/{escape(nick)}'><x xmlns='{NS}'>{content}</x></presence>"


def parse_presence(stanza: Element) -> Occupant:
    """What a room's presence says of an occupant."""
    sender = stanza.get("from", "")
    x = stanza.find("x", USER)
    item = x.find("item", USER) if x is not None else None
    item = item if item is not None else Element("item")
    return Occupant(
        room=bare(sender),
        nick=resource(sender),
        available=stanza.get("type") is None,
        affiliation=item.get("affiliation", "none"),
        role=item.get("role", "none"),
        jid=item.get("jid", ""),
        statuses=_statuses(stanza),
    )


# -- talking -----------------------------------------------------------------------------------------


def message(room: str, body: str, id: str = "") -> str:
    """A message to everybody in the room."""
    ident = f" id='{escape(id)}'" if id else ""
    return f"<message to='{escape(room)}' type='groupchat'{ident}><body>{escape(body)}</body></message>"


def private_message(room: str, nick: str, body: str, id: str = "") -> str:
    """A message to one occupant (XEP-0045, 7.5)."""
    to = f"{escape(room)}/{escape(nick)}"
    ident = f" id='{escape(id)}'" if id else ""
    return f"<message to='{to}' type='chat'{ident}><body>{escape(body)}</body><x xmlns='{USER}'/></message>"


def parse_message(stanza: Element) -> GroupMessage | None:
    """What was said in a room; None when the stanza is something else, such as an error."""
    attrs = stanza.attrs
    if attrs.get("type") != "groupchat" or stanza.name != "message":
        return None
    body = stanza.findtext("body")
    room, _, nick = attrs.get("from", "").partition("/")
    return GroupMessage(
        room,
        nick,
        attrs.get("id", ""),
        body or "",
        stanza.findtext("subject") if body is None else None,
        delay.is_delayed(stanza),
    )


def subject_message(room: str, subject: str) -> str:
    """The message that gives the room a new subject; "" takes it away."""
    return f"<message to='{escape(room)}' type='groupchat'><subject>{escape(subject)}</subject></message>"


async def set_subject(session: Session, room: str, subject: str, *, timeout: float | None = None) -> None:
    """Change the subject, and wait until the room tells everybody. Raises StanzaError, ReceiveTimeout."""
    here = normal(bare(room))

    def answers(stanza: Element) -> bool:
        if stanza.name != "message" or normal(bare(stanza.get("from", ""))) != here:
            return False
        talk = parse_message(stanza)
        return stanza.get("type") == "error" if talk is None else talk.subject == subject and not talk.delayed

    deadline = _Deadline(session, f"{room} did not change its subject", timeout)
    session.send(subject_message(room, subject))
    _raise_refusal(session, await deadline.receive(answers), StanzaError)


# -- invitations -------------------------------------------------------------------------------------


def invite(room: str, jids: Iterable[str], reason: str = "") -> Element:
    """The message that asks the room to invite these users (XEP-0045, 7.8.2)."""
    invites = (Element("invite", {"to": jid}, *_text("reason", reason)) for jid in jids)
    return Element("message", {"to": room}, Element(f"{{{USER}}}x", *invites))


def invite_directly(to: str, room: str, reason: str = "", password: str = "") -> Element:
    """The message that invites a user without the room's help (XEP-0249)."""
    attributes = {"jid": room, "reason": reason or None, "password": password or None}
    return Element("message", {"to": to}, Element(f"{{{DIRECT}}}x", attributes))


def decline(invitation: Invitation, reason: str = "") -> Element:
    """The message that declines an invitation which came by way of the room."""
    content = Element("decline", {"to": invitation.sender}, *_text("reason", reason))
    return Element("message", {"to": invitation.room}, Element(f"{{{USER}}}x", content))


def parse_invitation(stanza: Element) -> Invitation | None:
    """The invitation in a message, None if there is none."""
    if stanza.name != "message" or stanza.get("type") == "error":
        return None
    x = stanza.find("x", USER)
    invited = x.find("invite", USER) if x is not None else None
    if x is not None and invited is not None:
        return Invitation(
            room=bare(stanza.get("from", "")),
            sender=invited.get("from", ""),
            reason=invited.findtext("reason", default=""),
            password=x.findtext("password", default=""),
            direct=False,
        )
    direct = stanza.find("x", DIRECT)
    if direct is None or not direct.get("jid"):
        return None
    return Invitation(
        room=direct.get("jid", ""),
        sender=stanza.get("from", ""),
        reason=direct.get("reason", ""),
        password=direct.get("password", ""),
        direct=True,
    )


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
        return self._nick is None or kind == "error" or nick == self._nick or SELF in _statuses(stanza)


class _Deadline:
    """Receives until `timeout` seconds, WAIT if None, are over; then the error says what did not happen."""

    __slots__ = ("_end", "_session", "_timeout", "_what")

    def __init__(self, session: Session, what: str, timeout: float | None) -> None:
        self._session = session
        self._what = what
        self._timeout = WAIT if timeout is None else timeout
        self._end = time.monotonic() + self._timeout

    async def receive(self, match: Callable[[Element], bool]) -> Element:
        try:
            return await self._session.receive(match, max(0.0, self._end - time.monotonic()))
        except ReceiveTimeout:
            hint = "or a handler or ignore took the stanza"  # the usual mistake of a scenario
            late = ReceiveTimeout(f"{self._what} within {self._timeout:g} s, {hint}")
            late.who = self._session.who
            raise late from None


def _statuses(stanza: Element) -> frozenset[int]:
    x = stanza.find("x", USER)
    codes = [] if x is None else [item.get("code", "") for item in x.find_all("status", USER)]
    return frozenset(int(code) for code in codes if code.isascii() and code.isdigit())


def _raise_refusal(session: Session, stanza: Element, kind: type[StanzaError] = JoinRefused) -> None:
    if stanza.get("type") != "error":
        return
    error = kind(stanza)
    if kind is JoinRefused and error.condition == "conflict":
        error = NickConflict(stanza)
    error.who = session.who
    raise error


def _text(name: str, text: str) -> tuple[Element, ...]:
    return (Element(name, text),) if text else ()
