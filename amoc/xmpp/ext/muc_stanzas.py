"""What is sent to rooms and what comes from them: stanzas built and read, for `muc`. Pure: no I/O."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.jid import bare, normal, resource
from amoc.xmpp.ext import delay

__all__ = [
    "CREATED",
    "DIRECT",
    "NEW_NICK",
    "NS",
    "SELF",
    "USER",
    "GroupMessage",
    "Invitation",
    "Occupant",
    "decline",
    "invite",
    "invite_directly",
    "join_presence",
    "message",
    "parse_invitation",
    "parse_message",
    "parse_presence",
    "private_message",
    "statuses_of",
    "subject_message",
    "talk_of",
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


# -- presence ---------------------------------------------------------------------------------------


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
        statuses=statuses_of(stanza),
    )


def statuses_of(stanza: Element) -> frozenset[int]:
    """The status codes of a room's presence (XEP-0045, 15.6)."""
    x = stanza.find("x", USER)
    codes = [] if x is None else [item.get("code", "") for item in x.find_all("status", USER)]
    return frozenset(int(code) for code in codes if code.isascii() and code.isdigit())


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


def talk_of(room: str) -> Callable[[Element], bool]:
    """Matches all that is said in a room, its subject included; errors are not."""
    here = normal(bare(room))

    def belongs(stanza: Element) -> bool:
        attrs = stanza.attrs
        return (
            stanza.name == "message"
            and attrs.get("type") == "groupchat"
            and normal(bare(attrs.get("from", ""))) == here
        )

    return belongs


def subject_message(room: str, subject: str) -> str:
    """The message that gives the room a new subject; "" takes it away."""
    return f"<message to='{escape(room)}' type='groupchat'><subject>{escape(subject)}</subject></message>"


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


def _text(name: str, text: str) -> tuple[Element, ...]:
    return (Element(name, text),) if text else ()
